"""Frozen dataclasses as JSON and back, by the types of their fields: floats are exact, nothing is unpickled.

A dataclass becomes an object; where a field may have one of several dataclasses, the object names its class under
``is``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")

_CLASS = "is"


def to_plain(value: object) -> Any:
    """Return a value as JSON has it: objects, lists, texts, numbers, booleans and null."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
        return {_CLASS: type(value).__name__, **shown}
    if isinstance(value, Mapping):
        return [[to_plain(key), to_plain(each)] for key, each in value.items()]
    if isinstance(value, tuple | list):
        return [to_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is not plain")


def from_plain(kind: type[Kind], plain: Any) -> Kind:
    """Return a value of a type, of what :func:`to_plain` returned for it.

    Raises
    ------
    TypeError, ValueError, KeyError
        It is no such value.
    """
    made: Kind = _made(kind, plain)
    return made


def _made(kind: Any, plain: Any) -> Any:
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return _one_of(get_args(kind), plain)
    if origin is Literal:
        return _checked(plain, plain in get_args(kind))
    if origin is tuple:
        inner = get_args(kind)
        kinds = [inner[0]] * len(plain) if inner[-1] is Ellipsis else inner
        return tuple(_made(each, part) for each, part in zip(kinds, plain, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        of_key, of_value = get_args(kind)
        return {_made(of_key, key): _made(of_value, each) for key, each in plain}
    return _record(kind, plain) if is_dataclass(kind) else _scalar(kind, plain)


def _record(kind: Any, plain: Any) -> Any:
    _checked(plain, isinstance(plain, dict) and plain.get(_CLASS) == kind.__name__)
    hints = _hints(kind)
    return kind(**{name: _made(hints[name], each) for name, each in plain.items() if name != _CLASS})


def _scalar(kind: Any, plain: Any) -> Any:
    if kind is float:
        return float(_checked(plain, isinstance(plain, float | int) and not isinstance(plain, bool)))
    return _checked(plain, type(plain) is kind or (kind is NoneType and plain is None))


def _one_of(kinds: Sequence[Any], plain: Any) -> Any:
    if isinstance(plain, dict):
        return _made(next(kind for kind in kinds if getattr(kind, "__name__", "") == plain[_CLASS]), plain)
    for kind in kinds:
        try:
            return _made(kind, plain)
        except (TypeError, ValueError):
            continue
    return _checked(plain, False)


def _checked(plain: Any, fits: bool) -> Any:
    if not fits:
        raise ValueError(f"{plain!r} is not of its type")
    return plain


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)
