"""The values of a target as classes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pipeline.errors import DataError, UsageError
from pipeline.fitting.first_pass.classes import Class, classes_of, positive_note, weights_of


@pytest.mark.parametrize(
    ("rows", "positive", "values", "noted"),
    [
        ({"true": 5, "false": 9}, None, (False, True), False),
        ({"true": 5, "false": 9}, "false", (True, False), False),
        ({"true": 5, "false": 9}, "0", (True, False), False),
        ({"1": 5, "0": 9}, None, (0, 1), False),
        ({"1.0": 5, "0.0": 9}, None, (0, 1), False),
        ({"1.0": 5, "0.0": 9}, "0", (1, 0), False),
        ({"10": 5, "9": 9}, None, (9, 10), True),
        ({"-1": 5, "1": 9}, None, (-1, 1), True),
        ({"yes": 5, "no": 9}, None, ("no", "yes"), True),
        ({"yes": 5, "no": 9}, "no", ("yes", "no"), False),
        ({"1": 1, "x": 1}, None, ("1", "x"), True),
        ({"2": 1, "10": 1, "1": 1}, None, (1, 2, 10), False),
        ({"b": 1, "a": 1, "c": 1}, None, ("a", "b", "c"), False),
        ({"1e16": 3, "0": 1}, None, (0, 10**16), True),
    ],
)
def test_classes_have_the_type_that_their_spellings_mean(
    rows: Mapping[str, int], positive: str | None, values: tuple[Class, ...], noted: bool
) -> None:
    found = classes_of("late", rows, (), positive)
    assert found.values == values
    assert [type(value) for value in found.values] == [type(value) for value in values]
    assert set(found.spellings) == set(rows)
    assert bool(positive is None and positive_note("late", found.values)) == noted


def test_a_note_says_which_class_is_positive() -> None:
    assert positive_note("late", ("no", "yes")) == "yes is the positive class of late; --positive chooses the other"


@pytest.mark.parametrize("rows", [{"1": 2, "1.0": 3, "0": 1}, {"0.5": 2, "1.5": 1}, {"inf": 1, "0.0": 2}])
def test_numbers_that_are_no_classes_are_refused(rows: Mapping[str, int]) -> None:
    with pytest.raises(DataError, match="column late: the target"):
        classes_of("late", rows, (), None)


def test_more_than_two_classes_have_no_positive_one() -> None:
    with pytest.raises(UsageError, match="has 12 classes, '0', '1', '2', '3', '4', '5', '6', '7' and 4 more"):
        classes_of("late", {str(number): 1 for number in range(12)}, (), "3")


def test_weights_of_classes_are_given_or_balanced() -> None:
    classes = classes_of("late", {"true": 1, "false": 3}, (), None)
    assert weights_of(classes, None, {"true": 1, "false": 3}) == (1, 1)
    assert weights_of(classes, "balanced", {"true": 1, "false": 3}) == (4 / 6, 2)
    assert weights_of(classes, {"1": 5.0}, {"true": 1, "false": 3}) == (1, 5)
    numbers = classes_of("late", {"1.0": 1, "0.0": 3}, (), None)
    assert weights_of(numbers, {"0": 2.0}, {"1.0": 1, "0.0": 3}) == (2, 1)


def test_a_truth_value_in_several_spellings_is_refused() -> None:
    rows = dict.fromkeys(["False", "True", "false", "true"], 5)
    with pytest.raises(DataError, match="spells one value in several ways, 'False', 'True', 'false', 'true'") as caught:
        classes_of("late", rows, (), None)
    assert "--type late=bool" in caught.value.remedy
    assert classes_of("late", {"False": 5, "True": 5}, (), None).values == ("False", "True")
