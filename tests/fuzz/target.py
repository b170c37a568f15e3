"""What a target is, and what every target asks of a refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import DataError, LogitstreamError, MemoryBudgetError
from pipeline.types.inputs import CsvOptions

ESCAPES, COMMENTS, SKIPPED, QUOTES = ("", "\\", "!", "a"), ("", "#", "1", ""), (0, 0, 1, 3), (True, True, True, False)
# None keeps what the options have.
NUMERALS = (None, (",", "."), (".", "'"), ("!", " "), ("#", "\\"), (".", ","), (";", "\t"), ("_", "#"))
NULLS = (None, ("pandas",), ("NA", "-"), ("pandas", "1", 'a"', "\\"))
QUOTED_NULLS = (None, True, False, None)

Check = Callable[[bytes], None]


class ViolationError(AssertionError):
    """The code under test broke its promise for an input."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that takes bytes from outside.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    make : callable
        Gives the check of one input, for an empty folder that the check may use. The check returns where the promise
        was kept, and raises anything else otherwise.
    seeds : callable
        Gives inputs to begin with.
    tokens : sequence of bytes
        Words that the inputs are made of.
    claims : callable
        Gives the bytes that an input may take because it says so: a known limit of the reader.
    """

    name: str
    make: Callable[[Path], Check]
    seeds: Callable[[], list[bytes]]
    tokens: Sequence[bytes] = ()
    claims: Callable[[bytes], int] = lambda _: 0


def with_dialect(options: CsvOptions, structure: int, cells: int = 0) -> CsvOptions:
    """Return options with what the bits of two bytes choose.

    The first chooses escape, comment, lines to skip and quote, the second the separators of numbers, the spellings of
    null, and whether they are null in quotes. 0 chooses the options as they are. Separators that
    the file uses otherwise are not chosen.
    """
    escape, comment, skipped, quoted = (
        words[structure >> 2 * place & 3] for place, words in enumerate((ESCAPES, COMMENTS, SKIPPED, QUOTES))
    )
    quote = options.quote if quoted else ""
    options = replace(options, quote=quote, escape=escape, comment=comment, skip_lines=skipped)
    nulls, in_quotes = NULLS[cells >> 3 & 3], QUOTED_NULLS[cells >> 5 & 3]
    options = replace(
        options,
        nulls=options.nulls if nulls is None else nulls,
        quoted_null=options.quoted_null if in_quotes is None else in_quotes,
    )
    numerals = NUMERALS[cells & 7]
    if numerals is None or {*numerals} & {options.delimiter, quote, escape, comment}:
        return options
    return replace(options, decimal=numerals[0], thousands=numerals[1])


def require(condition: object, message: str) -> None:
    """Raise a :class:`ViolationError` unless the condition holds."""
    if not condition:
        raise ViolationError(message)


def check_refusal(
    error: LogitstreamError, name: str, kinds: tuple[type[LogitstreamError], ...] = (DataError, MemoryBudgetError)
) -> None:
    """Check that a refusal is of an expected kind, names the file, gives a reason and can be shown."""
    require(isinstance(error, kinds), f"refused with {type(error).__name__}: {error}")
    require(name in error.message, f"the refusal does not name {name}: {error.message!r}")
    require(len(error.message) > len(name) + 5, f"the refusal gives no reason: {error.message!r}")
    require(len(error.message) < 100_000, f"the refusal has {len(error.message):,} characters")
    for line in str(error).split("\n"):
        require(line.isprintable(), f"the refusal cannot be shown as it is: {line!r}")
