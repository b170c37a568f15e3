"""Signals give what their operations say, exactly: against fractions, whatever the order of operations."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from pipeline.conversion.algebra import (
    Encoding,
    UnfoldableError,
    affine,
    column,
    combine,
    impute,
    is_missing,
    lookup,
    map_values,
    multiply,
    states,
    times,
    transform,
)
from pipeline.conversion.folding import document
from pipeline.models import LogisticModel
from pipeline.models.logistic.parsing import from_mapping

X, Y = column("x", 0), column("y", 1)
LEVELS = Encoding("c", 2, ("a", "b", "c"), "text")


def folded(*signals: Any, weights: list[float] | None = None, intercept: float = 0.0) -> dict[str, Any]:
    return document(list(signals), [weights or [1.0] * len(signals)], [intercept])


def scored(made: dict[str, Any], **cells: Any) -> float:
    model = LogisticModel(from_mapping(made, "a test"))
    return float(model.raw_prediction({name: [value] for name, value in cells.items()})[0])


def test_numbers_are_rounded_once_however_many_steps_there_are() -> None:
    signal = X
    weight, added = Fraction(1), Fraction(0)
    for center, scale in ((0.1, 3.0), (-7.3, 0.7), (1e-3, 11.1)):
        signal = affine(signal, center, scale)
        weight, added = weight / Fraction(scale), (added - Fraction(center)) / Fraction(scale)
    signal = combine([times(signal, 0.3, 0.9), Y], [2.0, 0.0], 0.25)
    weight, added = weight * Fraction(0.3) * 2, (added * Fraction(0.3) + Fraction(0.9)) * 2 + Fraction(0.25)
    made = folded(signal, weights=[1.7], intercept=0.4)
    assert made["features"][0]["coefficient"] == float(weight * Fraction(1.7))
    assert made["intercept"] == float(Fraction(0.4) + Fraction(1.7) * added)


def test_one_affine_step_is_kept_bit_for_bit_and_of_version_1() -> None:
    made = folded(affine(X, 0.1, 0.3), weights=[0.7], intercept=0.9)
    assert (made["version"], made["intercept"]) == (1, 0.9)
    assert made["features"] == [
        {"column": "x", "kind": "numeric", "coefficient": 0.7, "missing": "error", "center": 0.1, "scale": 0.3}
    ]


def test_a_value_for_missing_ones_is_that_of_the_end_of_the_steps() -> None:
    signal = impute(affine(X, 10.0, 4.0), 0.5)
    assert folded(signal)["features"][0]["missing"] == {"impute": 12.0}
    root = impute(transform(affine(X, 1.0, 2.0), "square"), -3.0)
    made = folded(root)
    assert [feature["kind"] for feature in made["features"]] == ["transformed", "indicator"]
    assert scored(made, x=None) == -3.0
    assert scored(made, x=5.0) == 4.0


def test_products_of_levels_and_numbers_are_their_products() -> None:
    level = lookup(LEVELS, {"a": 2.0, "b": 3.0}, 0.0, 5.0)
    made = folded(multiply(level, affine(X, 1.0, 2.0)), multiply(level, level))
    for cell, value in (("a", 2.0), ("b", 3.0), ("c", 0.0), (None, 0.0), ("new", 5.0)):
        assert scored(made, c=cell, x=4.0) == value * 1.5 + value * value


def test_functions_of_levels_and_indicators_are_computed_value_by_value() -> None:
    level = lookup(LEVELS, {"a": 2.0, "b": 3.0}, "missing", "refused")
    made = folded(map_values(level, lambda value: value**3 + 1), map_values(is_missing(X), lambda value: 10 - value))
    for cell, value in (("a", 9.0), ("b", 28.0), ("c", 1.0)):
        assert scored(made, c=cell, x=4.0) == value + 10
        assert scored(made, c=cell, x=None) == value + 9
    assert made["features"][1]["missing"] == made["features"][1]["unseen"] == "error"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: multiply(is_missing(X), Y), 'a missing indicator of column "x"'),
        (lambda: impute(transform(X, "log"), 1.0), "behind a logarithm or root"),
        (lambda: transform(impute(X, 0.0), "log"), "is not finite"),
        (lambda: map_values(combine([X, Y], [1.0, 1.0]), abs), "is a function of what is made"),
        (lambda: impute(combine([X, Y], [1.0, 1.0]), 0.0), "fills missing values of what is made"),
        (lambda: is_missing(combine([X, Y], [1.0, 1.0])), "of several columns at once"),
        (lambda: folded(impute(X, "text")), "filled with text"),
    ],
)
def test_what_no_feature_can_say_is_refused(make: Any, said: str) -> None:
    with pytest.raises(UnfoldableError, match=said):
        make()


def test_values_of_levels_behind_other_steps_are_those_of_the_steps_and_missing_stays_missing() -> None:
    start = lookup(LEVELS, {"a": 1.0, "b": 2.0, "c": 4.0}, missing="missing", unseen=0.5)
    levels = states(start)
    behind = replace(start, start=start, path=(lambda values: values * 3.0, lambda values: values - 1.0))
    assert None in levels.values()
    assert states(behind) == {atom: None if value is None else value * 3.0 - 1.0 for atom, value in levels.items()}
