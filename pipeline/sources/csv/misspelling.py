"""Tell why a cell is not a value of its type, and which option would read it."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from pipeline.sources.csv.spelling import is_number
from pipeline.types.inputs import USUAL_NULLS
from pipeline.units import join_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.choices import Cause
    from pipeline.sources.csv.dialect import Dialect
    from pipeline.sources.csv.spelling import Spelling

_Blame: TypeAlias = "tuple[Cause, tuple[int | str, ...]]"

_MOST_BLANKS = 8
# The last are the blanks of French files, and the apostrophe of Swiss ones.
_SEPARATORS = (",", ".", " ", "'", "_", "\xa0", "\u202f", "\u2019")
_COMMA, _POINT = ",", "."
# A single one may be the decimal character of another column.
_SURE = 2


def misspelling(cell: bytes, type_: pa.DataType, spelling: Spelling, dialect: Dialect) -> _Blame:
    """Return the cause and its values for a cell that is not a value of a type other than text."""
    text = cell.decode(errors="replace")
    if text in spelling.nulls:
        return "null in quotes", ()
    if _looks_like_null(text):
        written = _for_a_shell(join_texts([text]))
        if pa.types.is_floating(type_):
            return "null for a number", (written,)
        return "null for a type", (written, str(type_))
    word = text.strip(" \t")
    found = _separated(word, type_, spelling, dialect) if is_number(type_) else None
    if found is not None:
        return found
    if not pa.types.is_floating(type_):
        decimal = pa.types.is_boolean(type_) and re.fullmatch(rf"[01]{re.escape(spelling.decimal)}0+", word)
        return ("decimal for a boolean", ()) if decimal else ("other type", (str(type_),))
    return "boolean for a number" if word.lower() in {"true", "false"} else "no number", ()


def _looks_like_null(text: str) -> bool:
    blanks = not text.strip(" ") and 0 < len(text) <= _MOST_BLANKS
    return blanks or text.lower() in USUAL_NULLS


def _separated(word: str, type_: pa.DataType, spelling: Spelling, dialect: Dialect) -> _Blame | None:
    """Return the blame of a number with separators that the options do not name, or that are in wrong places."""
    found = list(_other_separators(word, type_, spelling, dialect))
    if found:
        options = " or ".join(_options(*pair, spelling) for pair in found)
        taken = any(dialect.delimiter in pair for pair in found)
        note = " (and write the file with another --delimiter)" if taken else ""
        if len(found) > 1 or found[0][0] not in word or found[0][0] == spelling.decimal:
            return "thousands", (options, note)
        return ("decimal comma", (options, note)) if found[0][0] == _COMMA else ("decimal point", ())
    thousands = spelling.thousands
    if thousands and thousands in word and _numeral(spelling.decimal, "").fullmatch(word.replace(thousands, "")):
        return "groups of digits", ()
    return None


def _other_separators(word: str, type_: pa.DataType, spelling: Spelling, dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Yield each pair of decimal and thousands character that makes a number of a word, the present ones if they do."""
    for decimal in dict.fromkeys((spelling.decimal, _POINT, _COMMA)):
        if pa.types.is_integer(type_) and decimal in word:
            continue
        for thousands in dict.fromkeys((spelling.thousands, "", *_SEPARATORS)):
            changed = decimal != spelling.decimal
            if thousands == decimal or (dialect.quote and dialect.quote in (decimal, thousands)):
                continue
            if (decimal, thousands) == (spelling.decimal, spelling.thousands):
                continue
            if changed and decimal not in word and (thousands != spelling.decimal or word.count(thousands) < _SURE):
                continue
            if _numeral(decimal, thousands).fullmatch(word):
                yield decimal, thousands


def _options(decimal: str, thousands: str, spelling: Spelling) -> str:
    named = {"--decimal": (decimal, spelling.decimal), "--thousands": (thousands, spelling.thousands)}
    return " ".join(f"{name} {_for_a_shell(new)}" for name, (new, old) in named.items() if new and new != old)


def _for_a_shell(text: str) -> str:
    if not text.isascii() and len(text) == 1:
        # a blank that nobody sees
        return f"$'\\u{ord(text):04x}'"
    return f'"{text}"' if text == "'" else shlex.quote(text)


@cache
def _numeral(decimal: str, thousands: str) -> re.Pattern[str]:
    """Return the pattern of a number, which has groups of three digits if there is a character between them."""
    digits = rf"[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+" if thousands else "[0-9]+"
    fraction = rf"{re.escape(decimal)}[0-9]+"
    return re.compile(rf"[+-]?(?:{digits}(?:{fraction})?|{fraction})(?:[eE][+-]?[0-9]+)?")
