"""Parse and format sizes, counts and durations as people write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from decimal import ROUND_CEILING, Context
from difflib import get_close_matches
from fractions import Fraction

from pipeline.errors import UsageError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# float64 holds every integer up to here.
EXACT_INTEGER = 2**53

_BYTE_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "k": KIB,
    "m": MIB,
    "g": GIB,
    "t": 1024 * GIB,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
    "tib": 1024 * GIB,
}
_SECOND_UNITS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
# Timers and 64-bit integers hold no more.
_LONGEST_SECONDS = 3650 * 86400
_TOO_LARGE = 2**63
_BAD_LIMIT = re.compile(r"\s*(\d[\d_,]*(?:\.\d+)?)\s*(%?)\s*")
_SHARE_DIGITS, _SHARE_REMEDY = 30, "write a percentage (20%), or one of a column (carrier=20%)"
# What a list separated by commas can hold only in quotes.
_IN_QUOTES = re.compile(r'^ |[",\r\n]')
# How much of a text is shown before and behind a mistake in it.
_AROUND = 60
_BOUND = Context(prec=2, rounding=ROUND_CEILING)
_QUANTITY = re.compile(r"\s*(\d[\d_,]*(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: str) -> int:
    """Return a size in bytes: ``512MiB`` and ``512M`` count in powers of 1,024, ``512MB`` in powers of 1,000.

    Raises
    ------
    UsageError
        The text is not a positive number followed by a known unit.
    """
    number, unit = _quantity(text)
    if unit not in _BYTE_UNITS:
        raise _not_a("size", text, "write 512MiB or 4GiB")
    return _positive(number * _BYTE_UNITS[unit], "size", text)


def parse_chunk_size(text: str) -> tuple[int | None, int | None]:
    """Return ``(rows, None)`` for a plain number, ``(None, bytes)`` for a number with a unit of bytes."""
    number, unit = _quantity(text)
    if unit == "":
        return _positive(number, "chunk size", text), None
    if unit not in _BYTE_UNITS:
        raise _not_a("chunk size", text, "write rows (500000) or bytes (64MiB)")
    return None, _positive(number * _BYTE_UNITS[unit], "chunk size", text)


def parse_seconds(text: str) -> float:
    """Return a duration in seconds: ``90``, ``90s``, ``25m``, ``3h``, ``7d``.

    Raises
    ------
    UsageError
        The text is not a positive number followed by a known unit.
    """
    number, unit = _quantity(text, "duration", "write 90s, 25m, 3h or 7d")
    if unit not in _SECOND_UNITS:
        raise _not_a("duration", text, "write 90s, 25m, 3h or 7d")
    seconds = number * _SECOND_UNITS[unit]
    if seconds <= 0:
        raise _not_a("duration", text, "it must be more than 0")
    if seconds > _LONGEST_SECONDS:
        raise _not_a("duration", text, "it must be at most 3650d")
    return seconds


def parse_bad_limit(text: str) -> tuple[int | None, float | None]:
    """Return ``(rows, None)`` for a whole number, ``(None, share)`` for a percentage: ``1%`` is 0.01.

    Raises
    ------
    UsageError
        The text is neither a number of rows nor a percentage.
    """
    remedy = "write a number of rows (100) or a percentage (0.5%)"
    match = _BAD_LIMIT.fullmatch(text)
    if match is None or (match.group(2) and float(_digits(match.group(1))) > 100):
        raise _not_a("number of bad rows", text, remedy)
    number = _digits(match.group(1))
    if match.group(2):
        return None, float(number) / 100
    if "." in number or float(number) >= _TOO_LARGE:
        raise _not_a("number of bad rows", text, remedy)
    return int(number), None


def parse_share_limit(text: str) -> tuple[str | None, Fraction]:
    """Return ``(None, share)`` for a percentage, ``(column, share)`` for one of a column: ``carrier=20%``.

    Raises
    ------
    UsageError
        The text is neither.
    """
    name, equals, share = text.rpartition("=")
    match = _BAD_LIMIT.fullmatch(share)
    # A number of more digits is a mistake, and takes long.
    if match is None or not match.group(2) or len(share) > _SHARE_DIGITS or (equals and not name):
        raise _not_a("share", text, _SHARE_REMEDY)
    number = Fraction(_digits(match.group(1)))
    if number > 100:
        raise _not_a("share", text, _SHARE_REMEDY)
    return name if equals else None, number / 100


def format_share(count: int, of: int) -> str:
    """Return a share as a percentage, cut to a tenth: only nothing is 0%, and only all is 100%."""
    tenths = 1000 * count // of
    return "less than 0.1%" if count and not tenths else f"{tenths / 10:g}%"


def split_texts(text: str) -> tuple[str, ...]:
    """Return the texts in one: commas separate them, and a text with a comma is in double quotes.

    Raises
    ------
    UsageError
        A quote is not closed.
    """
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error:
        raise _not_a("list separated by commas", text, "close the double quote") from None
    return tuple(each for row in rows for each in row) if text else ("",)


def join_texts(texts: Iterable[str]) -> str:
    """Return one text that :func:`split_texts` splits into these."""
    return ",".join('"{}"'.format(text.replace('"', '""')) if _IN_QUOTES.search(text) else text for text in texts)


def texts_of(texts: str | Iterable[str]) -> tuple[str, ...]:
    """Return texts as a tuple; one text may hold several, as on the command line: ``"NA,-"``."""
    return split_texts(texts) if isinstance(texts, str) else tuple(texts)


def names_of(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return names as a tuple; one text may hold several, as on the command line: ``"a, b"``."""
    return tuple(map(str.strip, split_texts(names))) if isinstance(names, str) else tuple(names)


def format_bytes(size: float) -> str:
    """Return a size with three significant digits and a unit of powers of two."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(size) >= factor:
            return f"{size / factor:.3g} {unit}" if size < 1000 * factor else f"{size / factor:,.0f} {unit}"
    return f"{size:.0f} B"


def format_count(count: int) -> str:
    """Return a whole number with thousands separated by commas."""
    return f"{count:,}"


def format_seconds(seconds: float) -> str:
    """Return a duration as ``0.42 s``, ``3 min 05 s`` or ``2 h 14 min``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def number_pattern(decimal: str = ".", *, exponent: bool = True) -> str:
    """Return the regular expression of a finite number in text: ``-1``, ``2.``, ``.5``, and ``1e-3`` with an exponent.

    It has no groups. ``decimal`` is the decimal sign.
    """
    point = re.escape(decimal)
    number = rf"[+-]?(?:[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+)"
    return rf"{number}(?:[eE][+-]?[0-9]+)?" if exponent else number


def shortest(number: float) -> str:
    """Return the fewest digits that are read back as this number; a whole number without a point: ``10``, ``0.1``."""
    return repr(float(number)).removesuffix(".0")


def bound_text(bound: float) -> str:
    """Return a bound with two digits, rounded up, so that what is shown holds too; ``exact`` for 0."""
    if bound == 0:
        return "exact"
    return f"{float(_BOUND.create_decimal_from_float(bound)):.2g}"


def value_text(value: object) -> str:
    """Return a boolean, a number or a text as a model file spells a level: ``true``, ``10``, ``0.1``."""
    if isinstance(value, bool):
        return str(value).lower()
    return shortest(value) if isinstance(value, float) else str(value)


def escape(text: str, limit: int = 120) -> str:
    """Return text that is safe on a terminal and in a log: control characters escaped, long text cut."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in shown)


def escape_name(text: str) -> str:
    """Return text as a part of the name of a column: control characters and backslashes escaped, nothing cut.

    Different texts stay different.
    """
    return "".join(
        c if c.isprintable() and c != "\\" else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )


def quoted(text: str, limit: int = 120) -> str:
    """Return escaped text between single quotes."""
    return f"'{escape(text, limit)}'"


def visible(text: str, limit: int = 120) -> str:
    """Return escaped text, in double quotes where it is empty or begins or ends with a blank."""
    return escape(text, limit) if text and text == text.strip() else f'"{escape(text, limit)}"'


def is_text(text: str) -> bool:
    """Return whether a text can be written in UTF-8; what a shell passes on as bytes of another encoding cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def pointed(text: str, offset: int) -> str:
    """Return two indented lines for a terminal: the text around a place, and a caret under it."""
    before = escape(text[max(0, offset - _AROUND) : offset], limit=_AROUND + 1)
    after = escape(text[offset : offset + _AROUND], limit=_AROUND + 1)
    return f"  {before}{after}\n  {' ' * _cells(before)}^"


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese letters take two, accents behind a letter none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - few names are not ASCII

    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "..."?`` where a known name is close, else nothing."""
    close = near_name(name, known)
    return f'; did you mean "{escape(close)}"?' if close else ""


def near_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that is closest to a name, empty where none is close."""
    # A comparison with every level of a huge model would take minutes.
    names = list(known)[:10_000]
    folded = {candidate.casefold(): candidate for candidate in names}
    close = get_close_matches(name[:200].casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def _quantity(
    text: str, what: str = "size", remedy: str = "write a number, with a unit where bytes are meant (64MiB)"
) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise _not_a(what, text, remedy)
    return float(_digits(match.group(1))), match.group(2).lower()


def _digits(text: str) -> str:
    return text.replace("_", "").replace(",", "")


def _positive(value: float, what: str, text: str) -> int:
    if value < 1:
        raise _not_a(what, text, "it must be at least 1")
    if value >= _TOO_LARGE:
        raise _not_a(what, text, "it is too large")
    return int(value)


def _not_a(what: str, text: str, remedy: str) -> UsageError:
    return UsageError(f"{quoted(text)} is not a {what}", remedy)
