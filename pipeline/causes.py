"""Why a row is kept out of the output: the one table from a cause to its text and to what helps against it.

A cause is a word of :data:`~pipeline.choices.Cause`; what a reader, a model or a run decides about a bad cell, it
decides by that word and never by the text. The texts are published: quarantine files hold them, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.choices import Cause, Hint
from pipeline.units import EXACT_INTEGER


@dataclass(frozen=True, slots=True)
class CauseText:
    """What a person reads of a cause or of a hint.

    Attributes
    ----------
    text : str
        A template of :meth:`str.format`: a clause that follows the cell. ``{0}``, ``{1}`` are the values that come with
        the cause; ``{s}`` makes a plural where the first of them is not 1.
    remedy : str
        What helps, as the beginning of a sentence; of a hint it is empty where the remedy of the cause holds.
    """

    text: str
    remedy: str


_LEAVE_OUT = "mend the data, or leave the column out"
_SPELLING = "mend the data; a spelling of null is named by --null TEXT, another encoding by --encoding NAME"
_TYPE = "mend the data, or name another type with --type"
_LAYOUT = "mend the data; --delimiter, --quote and --columns say how it is written"
_POLICY = "mend the data; the model file says what becomes of a missing or an unseen value"
_REFUSED = "and the model takes that for an error"
_SET_ASIDE = "and the model sends such rows to the quarantine"

CAUSES: Mapping[Cause, CauseText] = {
    "ragged": CauseText("has {0:,} field{s} instead of {1:,}", _LAYOUT),
    "open quote": CauseText("has a quote that is not closed before the end of the file", _LAYOUT),
    "too long": CauseText("is longer than {0}", _LAYOUT),
    "nul byte": CauseText("holds a NUL byte; was the file torn?", _SPELLING),
    "undecodable": CauseText("is not valid {0}", _SPELLING),
    "no number": CauseText("is not a number", _SPELLING),
    "empty for a number": CauseText("is not a number: a quoted empty field is text, not null", _SPELLING),
    "other type": CauseText("is not of type {0}", _TYPE),
    "empty for a type": CauseText("is not of type {0}: a quoted empty field is text, not null", _TYPE),
    "out of range": CauseText("is beyond the range of {0}", _LEAVE_OUT),
    "inexact": CauseText(f"cannot be held exactly as a float64 (integers: up to {EXACT_INTEGER})", _LEAVE_OUT),
    "missing refused": CauseText(f"is missing, {_REFUSED}", _POLICY),
    "missing set aside": CauseText(f"is missing, {_SET_ASIDE}", _POLICY),
    "unseen refused": CauseText(f"is not a level of the model, {_REFUSED}", _POLICY),
    "unseen set aside": CauseText(f"is not a level of the model, {_SET_ASIDE}", _POLICY),
}

HINTS: Mapping[Hint, CauseText] = {
    "repeats the header": CauseText("; the record repeats the header: concatenated files?", ""),
    "looks like a header": CauseText(
        "; the record looks like a header: leave out --columns", "mend the data, or the command"
    ),
}

# They are what they are in a header as well.
_WHATEVER_THE_RECORD: frozenset[Cause] = frozenset({"out of range", "inexact"})


def reason_of(cause: Cause, values: Sequence[int | str] = (), hint: Hint | None = None) -> str:
    """Return why a cell or a record cannot be used, as a clause: ``is not of type int64``.

    Raises
    ------
    LookupError, ValueError
        There is no such cause or hint, or its values are not those of the cause.
    """
    plural = "" if values and values[0] == 1 else "s"
    reason = CAUSES[cause].text.format(*values, s=plural)
    return reason if hint is None else reason + HINTS[hint].text


def remedy_of(cause: Cause, hint: Hint | None = None) -> str:
    """Return what helps against a cause."""
    hinted = "" if hint is None or cause in _WHATEVER_THE_RECORD else HINTS[hint].remedy
    return hinted or CAUSES[cause].remedy
