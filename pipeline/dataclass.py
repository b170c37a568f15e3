"""Dataclasses whose methods are made when they are first used.

:func:`dataclasses.dataclass` compiles up to eight methods a class, which takes most of a millisecond. A command loads
hundreds of classes, makes instances of a third of them, and hardly ever compares or shows one. The dataclasses made
here are those of the standard library, with the same fields, arguments and errors: the library itself makes their
methods, but not before somebody calls one; and as most classes have few instances, values of the first ones are set one
by one. For type checkers there is no difference at all.
"""

from __future__ import annotations

import dataclasses
import types
from typing import TYPE_CHECKING

# Setting values one by one takes some microseconds more than a compiled method, and compiling one some hundred.
_FIRST_ONES = 50

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True, repr=True, order=False):  # noqa: A002 - as there
        """Make a class a dataclass, as :func:`dataclasses.dataclass`, with the arguments that are used here."""
        if cls is None:
            return lambda found: dataclass(found, frozen=frozen, slots=slots, eq=eq, repr=repr, order=order)
        if order:
            return dataclasses.dataclass(cls, frozen=frozen, slots=slots, eq=eq, repr=repr, order=order)
        # There the library checks that both are frozen, or neither.
        below = frozen and any(map(dataclasses.is_dataclass, cls.__mro__[1:]))
        made = dataclasses.dataclass(cls, init=False, repr=False, eq=False, frozen=below, slots=slots)
        params = made.__dataclass_params__
        params.init, params.repr, params.eq, params.frozen = True, repr, eq, frozen
        _made_later(made, "__init__", frozen=frozen)
        if repr:
            _made_later(made, "__repr__", frozen=frozen)
        if eq:
            _made_later(made, "__eq__", frozen=frozen)
            if frozen:
                _made_later(made, "__hash__", frozen=True)
            elif "__hash__" not in vars(made):
                made.__hash__ = None
        if frozen and not below:
            _freeze(made)
        if frozen and slots and "__setstate__" not in vars(cls):
            made.__getstate__, made.__setstate__ = _state, _set_state
        if "__signature__" not in vars(made):
            made.__signature__ = _Signature()
        return made

    class _Signature:
        """Lets :func:`inspect.signature`, and with it every help page, see the arguments of a dataclass."""

        def __get__(self, instance, owner):
            for each in owner.__mro__:
                later = vars(each).get("__init__")
                if isinstance(later, types.FunctionType) and hasattr(later, "_make"):
                    later._make()
            # Whoever asks goes on with the methods as they are.

    def _made_later(made, name, *, frozen):
        """Give a class a method that replaces itself with the one of the standard library when it is called."""
        if vars(made).get(name) is not None:
            return

        def make():
            setattr(made, name, _method(made, name, frozen=frozen))

        def method(self, *arguments, **named):
            make()
            return getattr(made, name)(self, *arguments, **named)

        if name == "__init__":
            method = _setting_values(made, method, frozen=frozen)
        method._make = make
        method.__name__, method.__qualname__ = name, f"{made.__qualname__}.{name}"
        setattr(made, name, method)

    def _setting_values(made, compiled, *, frozen):
        """Return an ``__init__`` for the first instances; arguments that do not fit are left to the compiled one."""
        fields = dataclasses.fields(made)
        if not all(field.init and not field.kw_only for field in fields):
            return compiled
        names = [field.name for field in fields]
        assign = object.__setattr__ if frozen else setattr
        instances = iter(range(_FIRST_ONES))

        def method(self, *arguments, **named):
            values = dict(zip(names, arguments, strict=False))
            known = len(arguments) <= len(names) and all(name in names and name not in values for name in named)
            if not known or next(instances, None) is None:
                compiled(self, *arguments, **named)
                return
            values |= named
            for field in fields:
                if field.name in values:
                    value = values[field.name]
                elif field.default is not dataclasses.MISSING:
                    value = field.default
                elif field.default_factory is not dataclasses.MISSING:
                    value = field.default_factory()
                else:
                    compiled(self, *arguments, **named)
                    return
                assign(self, field.name, value)
            if hasattr(self, "__post_init__"):
                self.__post_init__()

        return method

    def _method(made, name, *, frozen):
        """Return a method of a dataclass with the same fields."""
        fields = dataclasses.fields(made)
        names = {"__module__": made.__module__, "__qualname__": made.__qualname__, "__doc__": "."}
        names["__annotations__"] = {field.name: field.type for field in fields}
        names |= {field.name: field for field in fields}
        if hasattr(made, "__post_init__"):
            names["__post_init__"] = made.__post_init__
        wanted = {"init": name == "__init__", "repr": name == "__repr__", "eq": name in {"__eq__", "__hash__"}}
        wanted |= {"frozen": frozen, "slots": "__slots__" in vars(made)}
        return vars(dataclasses.dataclass(type(made.__name__, (), names), **wanted))[name]

    def _freeze(made):
        names = frozenset(field.name for field in dataclasses.fields(made))

        def refuse_to_set(self, name, value):
            if type(self) is made or name in names:
                raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
            super(made, self).__setattr__(name, value)

        def refuse_to_delete(self, name):
            if type(self) is made or name in names:
                raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
            super(made, self).__delattr__(name)

        made.__setattr__, made.__delattr__ = refuse_to_set, refuse_to_delete

    def _state(self):
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def _set_state(self, state):
        # Instances with slots have no dictionary that pickle and copy could fill.
        for name, value in state.items():
            object.__setattr__(self, name, value)


__all__ = ["dataclass"]
