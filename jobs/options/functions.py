"""Functions, as written on a command line."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.choices import listed
from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.grammar import parse_application
from pipeline.registry import FUNCTIONS, function_named
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Asked:
    """A function, its parameters that differ from the defaults, and its label."""

    label: str
    function: str
    parameters: tuple[tuple[str, float], ...] = ()


def known(name: str) -> str:
    """Return the name of a function that exists.

    Raises
    ------
    UsageError
        There is no such function; the message has the nearest name.
    """
    try:
        return function_named(name).name
    except LookupError as error:
        raise UsageError(escape(error.args[0], 300), f"choose {listed(FUNCTIONS)}") from None


def as_asked(text: str) -> Asked:
    """Return the function that a name, or a text such as ``flat=sigmoid(x, temperature=2)``, asks for.

    Raises
    ------
    UsageError
        There is no such function, or the text cannot be parsed.
    """
    if "(" not in text:
        name = known(text.strip())
        return Asked(f"{name}(x)", name)
    found = parse_application(text)
    shown = ", ".join(["x", *(f"{name}={value:g}" for name, value in found.parameters)])
    unnamed = found.function if FUNCTIONS[found.function].several else f"{found.function}_{found.columns[0]}"
    label = f"{found.function}({shown})" if found.name == unnamed else escape(found.name)
    return Asked(label, found.function, found.parameters)


def told_apart(asked: Iterable[Asked]) -> tuple[Asked, ...]:
    """Return the functions without repetitions.

    Raises
    ------
    UsageError
        Two different functions have one name, or one function has two.
    """
    different = tuple(dict.fromkeys(asked))
    labels: set[str] = set()
    curves: dict[tuple[str, tuple[tuple[str, float], ...]], str] = {}
    for each in different:
        if each.label in labels:
            raise UsageError(f'two curves are called "{each.label}"', "give them different names: NAME=FUNCTION(x)")
        if (other := curves.get((each.function, each.parameters))) is not None:
            raise UsageError(f'"{other}" and "{each.label}" are the same curve', "give only one of them")
        labels.add(each.label)
        curves[each.function, each.parameters] = each.label
    return different
