"""Why a row is kept out of the output: the one table from a cause to its text and its remedy.

A cause is a word of :data:`~pipeline.choices.Cause`. Code decides by that word, never by the text. Quarantine files
hold the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.choices import Cause, Hint
from pipeline.dataclass import dataclass
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
        What to do, in the imperative; a template of the same values. More may be appended, so it has no final period.
    """

    text: str
    remedy: str


_LAYOUT = "fix the record, or say how the file is written with --delimiter, --quote or --columns"
_IN_QUOTES = "write fields that have delimiters or line ends in quotes, or write the file with another --delimiter"
_QUOTE = "close the quote, or name the --quote of the file (none if nothing is quoted) or its --escape"
_BEHIND = "write each quote inside the field twice, or name the --escape or --quote of the file (none: quotes are text)"
_COMMENT = "remove the line; if it is data, leave out --comment"
_TORN = "write or copy the file again; if it is UTF-16, add --encoding utf-16"
_ENCODING = "fix the text, or name the encoding of the file with --encoding NAME (such as cp1252)"
_SPELLING = "fix the value; if it means null, add --null TEXT with this spelling"
_BOOLEAN = "add --type NAME=bool with the name of this column, or fix the value"
_ONE_OR_ZERO = "add --type NAME=float64 with the name of this column, which reads 1.0 as true, or fix the value"
_SEPARATORS = "fix the value, or add {0} to read it{1}"
_NULL = "fix the value; if it means null, add --null {0} (and --quoted-null if it is in quotes)"
_GROUPS = "fix the value: one to three digits, then groups of exactly three"
_TRUE_OR_FALSE = 'fix the value, or leave "boolean" out of this feature in the model file'
_TYPE = "fix the value, or name another type with --type NAME=TYPE; if it means null, add --null TEXT"
_ROUND = "add --type NAME=float64 with the name of this column to round it, or leave the column out"
_LEAVE_OUT = "fix the value, or leave the column out"
_PATH = "fix the value or the name of the folder, or leave the column out"
_MISSING = 'fix the value, or choose another "missing" for this feature in the model file'
_MISSING_STEP = 'fix the value, or choose another "missing_step" for this feature in the model file'
_STEPS = "fix the value, or leave the row out of the input"
_UNSEEN = 'fix the value, or choose another "unseen" for this feature in the model file'
_DOMAIN = 'fix the value, or clip it before in the model file ("transform": [{{"clip": [LOW, null]}}, ...])'
_RULES = (
    "fix the value, or choose --missing impute-mean, impute-median, indicator or drop (--missing NAME=drop for one)"
)
_WITHOUT = "fix the value, or leave such rows out with --missing-target drop"
_LIMITED = "fix the value, or limit it first under --features: clip(NAME, LOW, HIGH)"
_REFUSED = "and the model treats that as an error"
_SET_ASIDE = "and the model sends such rows to the quarantine"

CAUSES: Mapping[Cause, CauseText] = {
    "ragged": CauseText("has {0:,} field{s} instead of {1:,}", _LAYOUT),
    "escaped delimiter": CauseText(
        "has {0:,} field{s} instead of {1:,}; a backslash does not make a delimiter or a line end text", _IN_QUOTES
    ),
    "open quote": CauseText("has a quote that is not closed before the end of the file", _QUOTE),
    "behind quote": CauseText("has text behind a closing quote, in field {0:,}", _BEHIND),
    "comment": CauseText("is a comment among records: it begins with {0}", _COMMENT),
    "too long": CauseText("is longer than {0}", _QUOTE),
    "nul byte": CauseText("contains a NUL byte (is the file damaged?)", _TORN),
    "undecodable": CauseText("is not valid {0}", _ENCODING),
    "no number": CauseText("is not a number", _SPELLING),
    "boolean for a number": CauseText("is not a number", _BOOLEAN),
    "number for a boolean": CauseText("is neither 1 nor 0, and the feature is a boolean", _TRUE_OR_FALSE),
    "decimal for a boolean": CauseText("is not of type bool", _ONE_OR_ZERO),
    "decimal comma": CauseText("is not a number: it has a decimal comma", _SEPARATORS),
    "decimal point": CauseText("is not a number: it has a decimal point", "fix the value, or leave out --decimal"),
    "thousands": CauseText("is not a number", _SEPARATORS),
    "groups of digits": CauseText("is not a number: its digits are not in groups of three", _GROUPS),
    "null for a number": CauseText("is not a number", _NULL),
    "other type": CauseText("is not of type {0}", _TYPE),
    "null for a type": CauseText("is not of type {1}", _NULL),
    "null in quotes": CauseText("is not null, because it is in quotes", "fix the value, or add --quoted-null"),
    "out of range": CauseText("is beyond the range of {0}", _LEAVE_OUT),
    "inexact": CauseText(f"cannot be held exactly as a float64 (integers: up to {EXACT_INTEGER})", _ROUND),
    "not as in path": CauseText("is not {0}, the value that the path of the file states", _PATH),
    "missing refused": CauseText(f"is missing, {_REFUSED}", _MISSING),
    "missing set aside": CauseText(f"is missing, {_SET_ASIDE}", _MISSING),
    "unseen refused": CauseText(f"is not a level of the model, {_REFUSED}", _UNSEEN),
    "unseen set aside": CauseText(f"is not a level of the model, {_SET_ASIDE}", _UNSEEN),
    "outside domain": CauseText("has no finite value under the transform of this feature", _DOMAIN),
    "missing in fit": CauseText("is a missing value, and the fit has no rule for those", _RULES),
    "infinite": CauseText("is infinite, but a fit takes only finite numbers", _LIMITED),
    "outside steps": CauseText("has no finite value under the steps of its feature", _LIMITED),
    "target missing": CauseText("is a missing value, but every row needs a target", _WITHOUT),
    "target unknown": CauseText(
        "is not a class of the model", "fix the value, or name the column of the classes with --target"
    ),
    "target not binary": CauseText(
        "is not a target: a target is 0 or 1, or false or true", "fix the value, or name another column with --target"
    ),
    "probability refused": CauseText(
        "is not a probability from 0 to 1", "fix the value, or name another column with --probability"
    ),
    "weight missing": CauseText("is a missing value, but every row needs a weight", _WITHOUT),
    "weight refused": CauseText(
        "is not a weight: weights are finite and not negative", "fix the value, or name another column with --weight"
    ),
    "offset missing": CauseText(
        "is a missing value, but every row needs an offset", "fix the value, or leave the row out of the input"
    ),
    "offset infinite": CauseText(
        "is infinite, and the offset of a row is a finite number", "fix the value, or leave the row out of the input"
    ),
    "group missing": CauseText(
        "is missing, and it is the group of the row under --robust-groups",
        "fix the value, or leave the row out of the input",
    ),
    "no comparison": CauseText(
        "cannot be compared with the constant of --holdout", "fix the value, or compare another column"
    ),
    "partial step": CauseText(
        "is no whole number of steps of the width that the model states",
        'fix the value, or correct "width" of this feature in the model file',
    ),
    "inexact step": CauseText(
        f"has an integer that cannot be held exactly as a float64 (up to {EXACT_INTEGER})",
        "write the column as lists of float64, which rounds it, or leave the row out of the input",
    ),
    "steps differ": CauseText("has another number of steps than the sequences before it in the model", _STEPS),
    "too many steps": CauseText('has more steps than the model takes ("steps")', _STEPS),
    "missing step refused": CauseText(f"has a missing value in a step, {_REFUSED}", _MISSING_STEP),
    "missing step set aside": CauseText(f"has a missing value in a step, {_SET_ASIDE}", _MISSING_STEP),
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

# Causes of a cell that has no value.
MISSING_VALUE: frozenset[Cause] = frozenset(
    {
        "missing refused",
        "missing set aside",
        "missing in fit",
        "target missing",
        "weight missing",
        "offset missing",
        "group missing",
    }
)

# Causes that a header cannot have: the cell is a number.
_NEVER_A_HEADER: frozenset[Cause] = frozenset(
    {"out of range", "inexact", "inexact step", "number for a boolean", "outside domain"}
)


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


def remedy_of(cause: Cause, hint: Hint | None = None, values: Sequence[int | str] = ()) -> str:
    """Return what to do about a cause, given the values that came with it.

    Raises
    ------
    LookupError
        There is no such cause or hint, or the cause has values that are not given.
    """
    if hint is not None and cause not in _NEVER_A_HEADER:
        return HINTS[hint].remedy
    return CAUSES[cause].remedy.format(*values)
