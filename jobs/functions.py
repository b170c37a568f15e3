"""Functions as a command line names them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.grammar import parse_application
from pipeline.registry import FUNCTIONS, function_named
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Asked:
    """A function with the parameters that differ from their defaults, and how it is to be called."""

    label: str
    function: str
    parameters: tuple[tuple[str, float], ...] = ()


def known(name: str) -> str:
    """Return the name of a function.

    Raises
    ------
    UsageError
        There is none; the message has the nearest.
    """
    try:
        return function_named(name).name
    except LookupError as error:
        raise UsageError(escape(error.args[0], 300), f"there are {', '.join(FUNCTIONS)}") from None


def as_asked(text: str) -> Asked:
    """Return what a name, or a text such as ``flat=sigmoid(x, temperature=2)``, asks for.

    Raises
    ------
    UsageError
        There is no such function, or the text does not follow the grammar.
    """
    if "(" not in text:
        name = known(text.strip())
        return Asked(f"{name}(x)", name)
    found = parse_application(text)
    shown = ", ".join(["x", *(f"{name}={value:g}" for name, value in found.parameters)])
    named = text.partition("(")[0].partition("=")
    label = named[0].strip() if named[1] else f"{found.function}({shown})"
    return Asked(label, found.function, found.parameters)
