"""The table of causes: it has every word, quarantine files hold its texts, and each remedy fits its cause."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from typing import get_args

import pytest

from pipeline.causes import CAUSES, HINTS, reason_of, remedy_of
from pipeline.choices import Cause, Hint
from pipeline.types.rows import BadCell

# Quarantine files hold these texts.
TEXTS: dict[tuple[Cause, tuple[int | str, ...]], str] = {
    ("ragged", (1, 2)): "has 1 field instead of 2",
    ("ragged", (3, 1)): "has 3 fields instead of 1",
    ("ragged", (0, 1234)): "has 0 fields instead of 1,234",
    (
        "escaped delimiter",
        (3, 2),
    ): "has 3 fields instead of 2; a backslash does not make a delimiter or a line end text",
    ("open quote", ()): "has a quote that is not closed before the end of the file",
    ("behind quote", (2,)): "has text behind a closing quote, in field 2",
    ("comment", ("#",)): "is a comment among records: it begins with #",
    ("too long", ("64 MiB",)): "is longer than 64 MiB",
    ("nul byte", ()): "contains a NUL byte (is the file damaged?)",
    ("undecodable", ("UTF-8",)): "is not valid UTF-8",
    ("no number", ()): "is not a number",
    ("boolean for a number", ()): "is not a number",
    ("number for a boolean", ()): "is neither 1 nor 0, and the feature is a boolean",
    ("decimal for a boolean", ()): "is not of type bool",
    ("decimal comma", ("--decimal ,", "")): "is not a number: it has a decimal comma",
    ("decimal point", ()): "is not a number: it has a decimal point",
    ("thousands", ("--thousands ,", "")): "is not a number",
    ("groups of digits", ()): "is not a number: its digits are not in groups of three",
    ("null for a number", ("-",)): "is not a number",
    ("other type", ("int64",)): "is not of type int64",
    ("null for a type", ("-", "date32[day]")): "is not of type date32[day]",
    ("null in quotes", ()): "is not null, because it is in quotes",
    ("out of range", ("double",)): "is beyond the range of double",
    ("inexact", ()): "cannot be held exactly as a float64 (integers: up to 9007199254740992)",
    ("not as in path", ("'NL'",)): "is not 'NL', the value that the path of the file states",
    ("missing refused", ()): "is missing, and the model treats that as an error",
    ("missing set aside", ()): "is missing, and the model sends such rows to the quarantine",
    ("unseen refused", ()): "is not a level of the model, and the model treats that as an error",
    ("unseen set aside", ()): "is not a level of the model, and the model sends such rows to the quarantine",
    ("outside domain", ()): "has no finite value under the transform of this feature",
    ("missing in fit", ()): "is a missing value, and the fit has no rule for those",
    ("infinite", ()): "is infinite, but a fit takes only finite numbers",
    ("outside steps", ()): "has no finite value under the steps of its feature",
    ("target missing", ()): "is a missing value, but every row needs a target",
    ("target unknown", ()): "is not a class of the model",
    ("target not binary", ()): "is not a target: a target is 0 or 1, or false or true",
    ("probability refused", ()): "is not a probability from 0 to 1",
    ("weight missing", ()): "is a missing value, but every row needs a weight",
    ("weight refused", ()): "is not a weight: weights are finite and not negative",
    ("offset missing", ()): "is a missing value, but every row needs an offset",
    ("offset infinite", ()): "is infinite, and the offset of a row is a finite number",
    ("group missing", ()): "is missing, and it is the group of the row under --robust-groups",
    ("no comparison", ()): "cannot be compared with the constant of --holdout",
    ("partial step", ()): "is no whole number of steps of the width that the model states",
    ("inexact step", ()): "has an integer that cannot be held exactly as a float64 (up to 9007199254740992)",
    ("steps differ", ()): "has another number of steps than the sequences before it in the model",
    ("too many steps", ()): 'has more steps than the model takes ("steps")',
    ("missing step refused", ()): "has a missing value in a step, and the model treats that as an error",
    ("missing step set aside", ()): "has a missing value in a step, and the model sends such rows to the quarantine",
}


def test_every_cause_and_hint_has_its_text_and_remedy() -> None:
    assert set(CAUSES) == set(get_args(Cause)) == {cause for cause, _ in TEXTS}
    assert set(HINTS) == set(get_args(Hint))
    verbs = {text.remedy.split(" ")[0] for text in (*CAUSES.values(), *HINTS.values())}
    assert verbs == {"add", "fix", "write", "close", "remove", "leave"}
    assert not any(text.remedy.endswith(".") for text in (*CAUSES.values(), *HINTS.values()))


@pytest.mark.parametrize(("stated", "text"), TEXTS.items())
def test_texts_are_those_that_quarantines_hold(stated: tuple[Cause, tuple[int | str, ...]], text: str) -> None:
    cause, values = stated
    assert reason_of(cause, values) == text
    repeats = reason_of(cause, values, "repeats the header")
    assert repeats == f"{text}; this record repeats the header (were files concatenated?)"
    looks_like = reason_of(cause, values, "looks like a header")
    assert looks_like == f"{text}; this record looks like a header: leave out --columns"


def test_a_value_is_never_read_as_a_template() -> None:
    assert reason_of("other type", ("{0} {s}",)) == "is not of type {0} {s}"


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        ("ragged", "--delimiter, --quote or --columns"),
        ("escaped delimiter", "write fields that have delimiters or line ends in quotes"),
        ("open quote", "--quote"),
        ("behind quote", "--escape or --quote"),
        ("comment", "--comment"),
        ("too long", "--quote"),
        ("nul byte", "--encoding utf-16"),
        ("undecodable", "--encoding NAME"),
        ("no number", "--null TEXT"),
        ("boolean for a number", "--type NAME=bool"),
        ("number for a boolean", 'leave "boolean" out of this feature in the model file'),
        ("decimal for a boolean", "--type NAME=float64"),
        ("decimal comma", "or add --decimal , to"),
        ("decimal point", "leave out --decimal"),
        ("thousands", "or add --thousands , to"),
        ("groups of digits", "groups of exactly three"),
        ("null for a number", "add --null - ("),
        ("null for a type", "add --null - ("),
        ("null in quotes", "add --quoted-null"),
        ("other type", "--type NAME=TYPE"),
        ("out of range", "leave the column out"),
        ("inexact", "leave the column out"),
        ("inexact step", "as lists of float64"),
        ("missing refused", 'another "missing" for this feature in the model file'),
        ("missing in fit", "--missing impute-mean"),
        ("infinite", "clip(NAME, LOW, HIGH)"),
        ("outside steps", "clip(NAME, LOW, HIGH)"),
        ("target missing", "--missing-target drop"),
        ("target unknown", "--target"),
        ("weight missing", "--missing-target drop"),
        ("weight refused", "--weight"),
        ("unseen set aside", 'another "unseen" for this feature in the model file'),
    ],
)
def test_the_remedy_suits_the_cause(cause: Cause, remedy: str) -> None:
    values = next(values for known, values in TEXTS if known == cause)
    assert remedy in remedy_of(cause, values=values)


def test_a_header_among_the_records_has_a_remedy_that_says_so() -> None:
    assert remedy_of("no number", "looks like a header") == "leave out --columns, or remove the first record"
    assert remedy_of("no number", "repeats the header") == "remove the header lines between the records"
    for hint in get_args(Hint):
        assert remedy_of("out of range", hint) == remedy_of("out of range")


def test_what_the_table_does_not_have_is_refused() -> None:
    for cause, values, hint in (("another", (), None), ("ragged", (1,), None), ("ragged", (1, 2), "another")):
        with pytest.raises(LookupError):
            reason_of(cause, values, hint)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Cannot specify"):
        reason_of("ragged", ("a", "b"))


def test_a_cell_is_plain_values() -> None:
    cell = BadCell(3, "x", "1,2", "ragged", (3, 2), "repeats the header", 10, "1,2,3")
    assert pickle.loads(pickle.dumps(cell)) == cell
    again = json.loads(json.dumps(asdict(cell)))
    assert BadCell(**{**again, "values": tuple(again["values"])}) == cell
