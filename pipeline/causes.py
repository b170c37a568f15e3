"""Why a row is kept out of the output: the one table from a cause to its text and its remedy.

A cause is a word of :data:`~pipeline.choices.Cause`. Code decides by that word, never by the text. Quarantine files
hold the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.choices import Cause, Hint
from pipeline.units import EXACT_INTEGER


@dataclass(frozen=True, slots=True)
class CauseText:
    """The words that a person reads for a cause or a hint.

    Attributes
    ----------
    text : str
        A template of :meth:`str.format`: a clause that follows the cell. ``{0}``, ``{1}`` are the values that come with
        the cause; ``{s}`` makes a plural where the first of them is not 1.
    remedy : str
        What to do, in the imperative. More may be appended, so it has no final period.
    """

    text: str
    remedy: str


_LAYOUT = "fix the record, or say how the file is written with --delimiter, --quote or --columns"
_QUOTE = "close the quote, or name the quote character with --quote ('' if nothing is quoted)"
_TORN = "write or copy the file again; if it is UTF-16, add --encoding utf-16"
_ENCODING = "fix the text, or name the encoding of the file with --encoding NAME (such as cp1252)"
_SPELLING = "fix the value; if it means null, add --null TEXT with this spelling"
_BOOLEAN = "add --type NAME=bool with the name of this column, or fix the value"
_POINT = "write numbers with a decimal point (19134.07)"
_UNQUOTED = "fix the value, or write null as an empty field without quotes"
_TYPE = "fix the value, or name another type with --type NAME=TYPE; if it means null, add --null TEXT"
_ROUND = "add --type NAME=float64 with the name of this column to round it, or leave the column out"
_LEAVE_OUT = "fix the value, or leave the column out"
_MISSING = 'fix the value, or choose another "missing" for this feature in the model file'
_UNSEEN = 'fix the value, or choose another "unseen" for this feature in the model file'
_REFUSED = "and the model treats that as an error"
_SET_ASIDE = "and the model sends such rows to the quarantine"

CAUSES: Mapping[Cause, CauseText] = {
    "ragged": CauseText("has {0:,} field{s} instead of {1:,}", _LAYOUT),
    "open quote": CauseText("has a quote that is not closed before the end of the file", _QUOTE),
    "too long": CauseText("is longer than {0}", _QUOTE),
    "nul byte": CauseText("contains a NUL byte (is the file damaged?)", _TORN),
    "undecodable": CauseText("is not valid {0}", _ENCODING),
    "no number": CauseText("is not a number", _SPELLING),
    "boolean for a number": CauseText("is not a number", _BOOLEAN),
    "decimal comma": CauseText("is not a number: it has a decimal comma, which no option reads", _POINT),
    "empty for a number": CauseText("is not a number: a quoted empty field is text, not null", _UNQUOTED),
    "other type": CauseText("is not of type {0}", _TYPE),
    "empty for a type": CauseText("is not of type {0}: a quoted empty field is text, not null", _UNQUOTED),
    "out of range": CauseText("is beyond the range of {0}", _LEAVE_OUT),
    "inexact": CauseText(f"cannot be held exactly as a float64 (integers: up to {EXACT_INTEGER})", _ROUND),
    "missing refused": CauseText(f"is missing, {_REFUSED}", _MISSING),
    "missing set aside": CauseText(f"is missing, {_SET_ASIDE}", _MISSING),
    "unseen refused": CauseText(f"is not a level of the model, {_REFUSED}", _UNSEEN),
    "unseen set aside": CauseText(f"is not a level of the model, {_SET_ASIDE}", _UNSEEN),
}

HINTS: Mapping[Hint, CauseText] = {
    "repeats the header": CauseText(
        "; this record repeats the header (were files concatenated?)", "remove the header lines between the records"
    ),
    "looks like a header": CauseText(
        "; this record looks like a header: leave out --columns",
        "leave out --columns, or remove the first record",
    ),
}

# Causes that a header cannot have: the cell is a number.
_NEVER_A_HEADER: frozenset[Cause] = frozenset({"out of range", "inexact"})


def reason_of(cause: Cause, values: Sequence[int | str] = (), hint: Hint | None = None) -> str:
    """Return why a cell or a record cannot be used, as a clause: ``is not of type int64``.

    Raises
    ------
    LookupError, ValueError
        There is no such cause or hint, or the values do not fit the cause.
    """
    plural = "" if values and values[0] == 1 else "s"
    reason = CAUSES[cause].text.format(*values, s=plural)
    return reason if hint is None else reason + HINTS[hint].text


def remedy_of(cause: Cause, hint: Hint | None = None) -> str:
    """Return what to do about a cause."""
    return CAUSES[cause].remedy if hint is None or cause in _NEVER_A_HEADER else HINTS[hint].remedy
