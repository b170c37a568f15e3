"""What a fit writes as a model file scores rows as its tiles did."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import DataError
from pipeline.fitting.asking.formula import parse_terms, term_text
from pipeline.fitting.asking.job import DataWishes, FitJob, ModelWishes
from pipeline.fitting.designs.design import DesignColumn, FitDesign, LevelSource, NumberSource
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt, LearntBins, LearntLevels, LearntNumber
from pipeline.fitting.outcome.making import model_of
from pipeline.fitting.passes.points import PassSums
from pipeline.fitting.solving.objective import Certificate, Solution
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.models import LogisticModel

X = [1.0, 2.5, 9.0, 4.0, 0.5]
Y = [-20.0, -19.9, -21.0, -20.5, -18.0]
CARRIERS = ["AA", "UA", "DL", "AA", "B6"]
HOURS = [7, 8, 7, 9, 8]
ROWS = pa.table({"x": X, "y": Y, "carrier": CARRIERS, "hour": pa.array(HOURS, pa.int64())})
ROWS_WITH_GAPS = pa.table(
    {
        "x": [1.0, None, 9.0, float("nan"), 0.5],
        "y": Y,
        "carrier": pa.array(["AA", None, "DL", "ZZ", "rare"]),
        "hour": pa.array([7, 8, None, 9, 8], pa.int64()),
    }
)

NUMBERS = {
    "x": LearntNumber(5, 0, 3.4, 3.0, 0.5, 9.0),
    "y": LearntNumber(5, 0, -19.88, 1.0, -21.0, -18.0),
    "log1p(x)": LearntNumber(5, 0, 1.25, 0.7, 0.4, 2.3),
}
LEVELS = {
    "carrier": LearntLevels("text", {"AA": 2, "UA": 1, "DL": 1, "B6": 1}, {}),
    "hour": LearntLevels("integer", {"7": 2, "8": 2, "9": 1}, {}),
}
SOURCES = (
    LevelSource("carrier", "text", {"AA": -1, "UA": 0, "DL": 1, "B6": 2}, "error"),
    LevelSource("hour", "integer", {"7": -1, "8": 0, "9": 1}, "error"),
)
LEARNT = Learnt(FitAccounts(used=5), 5.0, (False, True), (1.0, 1.0), NUMBERS, LEVELS, class_totals=(2.0, 3.0))
JOB = FitJob(DataWishes(()), ModelWishes("late"))


def solution_of(coefficients, dropped=()):
    certificate = Certificate(True, "", 0.0, 0.0, 0.0, 1, 1)
    return Solution(np.atleast_2d(coefficients), PassSums(1, 1.0, 0.5), 0.5, certificate, (), dropped)


def column_of(text: str, dense=None, levels=None, edges=(), **more) -> DesignColumn:
    (term,) = parse_terms(text)
    name = term_text(term)
    term = replace(term, edges=edges) if edges else term
    if levels is not None and "cells" not in more:
        more["cells"] = tuple((code,) for code in range(len(more["labels"])))
    return DesignColumn(term, name, dense, levels, **more)


def design_of(*columns: DesignColumn, x="error", y="error", levels=SOURCES, **layout) -> FitDesign:
    dense = sum(column.dense is not None for column in columns)
    counts = tuple(len(column.labels) for column in columns if column.levels is not None)
    return FitDesign(FitLayout(dense, counts, **layout), columns, (NumberSource("x", x), NumberSource("y", y)), levels)


def made(design, coefficients, learnt=LEARNT, dropped=(), **wishes) -> LogisticModel:
    job = replace(JOB, model=replace(JOB.model, **wishes))
    return model_of(job, design, learnt, solution_of(coefficients, dropped), {})


# The code of the first level is -1.
AND_FIRST = ((0,), (1,), (2,), (-1,))
CARRIER = column_of("C(carrier)", levels=0, labels=("UA", "DL", "B6"), reference="AA")


def test_a_binary_model_of_numbers_has_the_raw_predictions_of_the_tiles() -> None:
    design = design_of(column_of("x", 0, center=3.0, scale=7.0), column_of("y", 1, center=-20.0, scale=0.1), y=4.5)
    model = model_of(JOB, design, LEARNT, solution_of([0.3, 1.25, -0.7]), {"rows": 3})
    wanted = 0.3 + 1.25 * (np.array(X) - 3.0) / 7.0 - 0.7 * (np.array(Y) + 20.0) / 0.1
    assert model.raw_prediction(ROWS) == pytest.approx(wanted, abs=1e-12)
    assert model.file.version == 1
    assert model.training == {"rows": 3}
    assert model.classes == (False, True)
    assert [
        feature.missing if isinstance(feature.missing, str) else feature.missing.impute for feature in model.features
    ] == ["error", 4.5]


def test_without_an_intercept_the_raw_prediction_is_that_of_the_columns() -> None:
    model = made(design_of(column_of("x", 0, scale=7.0), intercept=False), [1.25])
    assert model.intercept == 0.0
    assert model.raw_prediction(ROWS) == pytest.approx(1.25 * np.array(X) / 7.0, abs=1e-14)


def test_levels_have_their_coefficients_and_the_reference_has_none() -> None:
    model = made(design_of(CARRIER), [0.3, 1.0, -2.0, 0.5])
    assert model.raw_prediction(ROWS) == pytest.approx([0.3, 1.3, -1.7, 0.3, 0.8], abs=1e-14)
    assert model.file.version == 1
    assert model.features[0].coefficients == {"AA": 0.0, "UA": 1.0, "DL": -2.0, "B6": 0.5}
    assert (model.features[0].missing, model.features[0].unseen, model.features[0].levels) == ("error", "null", "text")


def test_every_level_has_a_coefficient_with_full_coding() -> None:
    hour = column_of("C(hour)", levels=0, labels=("7", "8", "9"))
    sources = (LevelSource("hour", "integer", {"7": 0, "8": 1, "9": 2}, "drop"),)
    model = made(design_of(hour, levels=sources), [0.0, 1.0, 2.0, 3.0])
    assert model.raw_prediction(ROWS) == pytest.approx([1.0, 2.0, 1.0, 3.0, 2.0], abs=1e-14)
    assert (model.features[0].levels, model.features[0].missing) == ("integer", "null")


@pytest.mark.parametrize(
    ("codes", "missing", "labels", "expected"),
    [
        # A level of its own for missing values; rare and unseen ones are one level.
        ({"AA": -1, "DL": 0, "rare": 1}, 2, ("DL", "(other)", "(missing)"), [0.0, 4.0, 1.0, 2.0, 2.0]),
        # Missing values count as rare ones.
        ({"AA": -1, "DL": 0, "rare": 1}, 1, ("DL", "(other)"), [0.0, 2.0, 1.0, 2.0, 2.0]),
        # Rare levels are with the reference, missing values with a level.
        ({"AA": -1, "DL": 0, "rare": -1}, 0, ("DL",), [0.0, 1.0, 1.0, 0.0, 0.0]),
        # Missing values are with the reference.
        ({"AA": -1, "DL": 0, "rare": 1}, -1, ("DL", "(other)"), [0.0, 0.0, 1.0, 2.0, 2.0]),
    ],
)
def test_rare_unseen_and_missing_levels_count_as_they_were_fitted(codes, missing, labels, expected) -> None:
    learnt = replace(LEARNT, levels={"carrier": LearntLevels("text", {"AA": 3, "DL": 2}, {}, ("rare",))})
    column = column_of("C(carrier)", levels=0, labels=labels, reference="AA")
    design = design_of(column, levels=(LevelSource("carrier", "text", codes, missing),))
    model = made(design, [0.0, 1.0, 2.0, 4.0][: 1 + len(labels)], learnt)
    assert model.raw_prediction(ROWS_WITH_GAPS) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(("rule", "expected"), [("drop", math.nan), (4.0, 0.5 * math.log1p(4.0))])
def test_missing_numbers_are_treated_as_they_were_fitted(rule, expected) -> None:
    design = design_of(column_of("log1p(x)", 0, center=1.0, scale=2.0), x=rule)
    model = made(design, [0.5, 1.0])
    found = model.raw_prediction(ROWS_WITH_GAPS)
    assert found[[0, 2]] == pytest.approx(0.5 * np.log1p([1.0, 9.0]), abs=1e-14)
    assert found[[1, 3]] == pytest.approx([expected] * 2, abs=1e-14, nan_ok=True)


def test_an_indicator_counts_where_its_column_is_missing() -> None:
    design = design_of(column_of("x", 0, scale=2.0), column_of("M(x)", 1, center=0.25, scale=0.5), x=3.0)
    found = made(design, [0.125, 1.0, 0.25]).raw_prediction(ROWS_WITH_GAPS)
    assert found == pytest.approx([0.5, 2.0, 4.5, 2.0, 0.25], abs=1e-14)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sqrt(x)", np.sqrt(X)),
        ("log1p(clip(x, 1, 4))", np.log1p(np.clip(X, 1, 4))),
        ("scale(square(x), 2, 8)", (np.square(X) - 2) / 8),
        ("x:y", np.multiply(X, Y)),
        ("x:log1p(x):y", np.array(X) * np.log1p(X) * Y),
    ],
)
def test_transforms_and_products_are_those_of_the_tiles(text, values) -> None:
    model = made(design_of(column_of(text, 0, center=1.5, scale=4.0)), [0.5, -3.0])
    assert model.raw_prediction(ROWS) == pytest.approx(0.5 - 3.0 * (values - 1.5) / 4.0, abs=1e-12)
    assert model.file.version == 2
    assert model.features[0].label == text


def test_a_number_has_a_slope_for_each_level() -> None:
    column = column_of("C(carrier):x", levels=0, labels=("UA", "DL", "B6", "AA"), scale=2.0, cells=AND_FIRST)
    model = made(design_of(column), [0.5, 1.0, -1.0, 3.0, 2.0])
    slopes = np.array([2.0, 1.0, -1.0, 2.0, 3.0])
    assert model.raw_prediction(ROWS) == pytest.approx(0.5 + slopes * X / 2.0, abs=1e-14)


def test_combinations_of_levels_that_no_row_had_add_nothing() -> None:
    labels, cells = ("AA:7", "UA:8", "AA:9"), ((-1, -1), (0, 0), (-1, 1))
    column = column_of("C(carrier):C(hour)", levels=0, labels=labels, cells=cells)
    model = made(design_of(column), [0.5, 1.0, 2.0, 4.0])
    assert model.raw_prediction(ROWS) == pytest.approx([1.5, 2.5, 0.5, 4.5, 0.5], abs=1e-14)
    assert model.features[0].label == "C(carrier):C(hour)"


BINS = LearntBins((1.0, 4.0), ((1.0, 2.0), (3.0, 1.0), (2.0, 2.0), (1.0, 0.0)))
INTERVALS = ("(-inf, 1)", "[1, 4)", "[4, inf)")


@pytest.mark.parametrize(
    ("cells", "reference", "x", "expected"),
    [
        ((1, 2), INTERVALS[0], 5.0, [1.0, 2.0, 2.0, 2.0, 0.0]),
        ((0, 1, 2, 3), None, 5.0, [2.0, 4.0, 3.0, 4.0, 1.0]),
        ((0, 2, 3), INTERVALS[1], 5.0, [0.0, 3.0, 2.0, 3.0, 1.0]),
        ((0, 1, 2), "(missing)", 5.0, [2.0, 0.0, 3.0, 0.0, 1.0]),
        ((1, 2), INTERVALS[0], "drop", [1.0, math.nan, 2.0, math.nan, 0.0]),
    ],
)
def test_intervals_have_their_coefficients(cells, reference, x, expected) -> None:
    labels = tuple((*INTERVALS, "(missing)")[number] for number in cells)
    pairs = tuple((number,) for number in cells)
    more = {"levels": 0, "labels": labels, "reference": reference, "cells": pairs}
    column = column_of("B(x, bins=3)", edges=(1.0, 4.0), **more)
    model = made(design_of(column, x=x), [0.0, 1.0, 2.0, 3.0, 4.0][: 1 + len(labels)])
    assert model.raw_prediction(ROWS_WITH_GAPS) == pytest.approx(expected, abs=1e-14, nan_ok=True)
    assert model.features[0].label == "B(x, bins=3)"


def test_weights_of_evidence_have_one_coefficient() -> None:
    more = {"edges": (1.0, 4.0), "center": 0.25, "scale": 0.5, "values": (-1.0, 0.5, 2.0, 0.125)}
    model = made(design_of(column_of("B(x, bins=3, woe=true)", 0, **more), x=3.0), [0.0, 3.0])
    wanted = 3.0 * (np.array([0.5, 0.125, 2.0, 0.125, -1.0]) - 0.25) / 0.5
    assert model.raw_prediction(ROWS_WITH_GAPS) == pytest.approx(wanted, abs=1e-14)


def test_one_interval_and_missing_values_are_an_indicator() -> None:
    column = column_of("B(x)", levels=0, labels=("(-inf, inf)", "(missing)"), cells=((0,), (1,)))
    model = made(design_of(column, x=3.0), [0.5, 1.0, 3.0])
    assert model.raw_prediction(ROWS_WITH_GAPS) == pytest.approx([1.5, 3.5, 1.5, 3.5, 1.5], abs=1e-14)


def test_a_column_in_several_terms_is_told_apart_by_name() -> None:
    columns = (column_of("x", 0), column_of("log1p(x)", 1), column_of("M(x)", 2), replace(CARRIER, levels=0))
    model = made(design_of(*columns, x=1.0), np.arange(7.0))
    assert [feature.label for feature in model.features] == ["x", "log1p(x)", "missing_x", "carrier"]


def test_a_column_that_is_a_number_and_levels_has_two_names() -> None:
    hour = column_of("C(hour)", levels=0, labels=("8", "9"), reference="7")
    design = design_of(column_of("hour", 0), hour)
    design = replace(design, numbers=(NumberSource("hour", "error"),))
    model = made(design, [0.0, 1.0, 2.0, 3.0])
    assert [feature.label for feature in model.features] == ["hour", "C(hour)"]
    assert model.raw_prediction(ROWS) == pytest.approx([7.0, 10.0, 7.0, 12.0, 10.0], abs=1e-14)


def test_dropped_columns_are_left_out_and_dropped_levels_are_like_the_reference() -> None:
    design = design_of(column_of("x", 0), column_of("y", 1), CARRIER)
    model = made(design, [0.5, 2.0, 0.0, 1.0, 0.0, -1.0], dropped=((2, ()), (4, ((3, -1.0),))))
    assert model.columns == ("x", "carrier")
    assert model.features[1].coefficients == {"AA": 0.0, "UA": 1.0, "DL": 0.0, "B6": -1.0}


def test_a_model_without_any_feature_is_refused() -> None:
    with pytest.raises(DataError, match="no feature is left"):
        made(design_of(column_of("x", 0)), [0.5, 0.0], dropped=((1, ()),))


def test_a_coefficient_beyond_float64_in_its_own_units_is_refused() -> None:
    with pytest.raises(DataError, match="the coefficient of x is too large for a float64"):
        made(design_of(column_of("x", 0, scale=1e-300)), [0.5, 1e10])


def test_classes_have_a_coefficient_each_and_the_first_one_has_none_where_it_is_the_reference() -> None:
    learnt = replace(LEARNT, classes=("a", "b", "c"), class_weights=(1.0, 1.0, 1.0))
    columns = (column_of("x", 0, center=1.0, scale=2.0), CARRIER)
    design = design_of(*columns, classes=3, outputs=2)
    fitted = np.array([[0.5, 2.0, 1.0, 2.0, 3.0], [-0.5, 4.0, 0.0, -1.0, 0.0]])
    model = made(design, fitted, learnt)
    levels = np.array([[0.0, 1.0, 2.0, 0.0, 3.0], [0.0, 0.0, -1.0, 0.0, 0.0]])
    wanted = fitted[:, :1] + fitted[:, 1:2] * (np.array(X) - 1.0) / 2.0 + levels
    assert model.classes == ("a", "b", "c")
    assert model.raw_prediction(ROWS) == pytest.approx(np.vstack([np.zeros(5), wanted]).T, abs=1e-14)
    every = design_of(*columns, classes=3, outputs=3)
    model = made(every, np.vstack([fitted, fitted[:1]]), learnt)
    assert model.raw_prediction(ROWS) == pytest.approx(np.vstack([wanted, wanted[:1]]).T, abs=1e-14)


def test_an_offset_is_added() -> None:
    model = made(design_of(column_of("x", 0)), [0.5, 2.0], offset="y")
    assert model.raw_prediction(ROWS) == pytest.approx(0.5 + 2.0 * np.array(X) + Y, abs=1e-14)


@pytest.mark.parametrize(("weights", "odds"), [((1.0, 1.0), 1.5), ((1.25, 5 / 6), 1.0), ((1.0, 4.0), 6.0)])
def test_a_prior_makes_the_odds_of_the_intercept_those_of_the_true_share(weights, odds) -> None:
    design, learnt = design_of(column_of("x", 0)), replace(LEARNT, class_weights=weights)
    model = made(design, [0.5, 2.0], learnt, prior=0.1)
    assert model.intercept == pytest.approx(0.5 + math.log(0.1 / 0.9) - math.log(odds), abs=1e-14)
    assert made(design, [0.5, 2.0], learnt).intercept == 0.5


def test_controls_are_set_to_a_reference_and_recorded() -> None:
    slopes = column_of("C(carrier):x", levels=0, labels=("UA", "DL", "B6", "AA"), cells=AND_FIRST)
    mixed = (column_of("x", 0, center=3.0, scale=7.0), column_of("log1p(x)", 1), column_of("x:y", 2), slopes)
    design = design_of(*mixed, column_of("C(hour)", levels=1, labels=("8", "9"), reference="7"))
    fitted = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    model = made(design, fitted, controls=("x", "hour"))
    assert model.columns == ("y", "carrier")
    constant = 0.5 + 1.0 * (3.4 - 3.0) / 7.0 + 2.0 * 1.25
    wanted = constant + 3.0 * 3.4 * np.array(Y) + 3.4 * np.array([7.0, 4.0, 5.0, 7.0, 6.0])
    assert model.raw_prediction(ROWS) == pytest.approx(wanted, abs=1e-12)
    assert model.training == {"controls": {"x": 3.4, "log1p(x)": 1.25, "C(hour)": "7"}}


def test_controls_that_are_levels_choose_the_coefficients_of_the_most_frequent_one() -> None:
    slopes = column_of("C(carrier):x", levels=0, labels=("UA", "DL", "B6", "AA"), cells=AND_FIRST)
    model = made(design_of(slopes, replace(CARRIER, levels=1)), np.arange(8.0), controls=("carrier",))
    assert model.columns == ("x",)
    assert model.raw_prediction(ROWS) == pytest.approx(4.0 * np.array(X), abs=1e-14)
    assert model.training == {"controls": {"C(carrier)": "AA"}}


def test_controls_that_are_intervals_or_indicators_are_set_to_the_most_frequent() -> None:
    more = {"labels": INTERVALS[1:], "reference": INTERVALS[0], "cells": ((1,), (2,)), "edges": (1.0, 4.0)}
    bins = column_of("B(x, bins=3)", levels=0, **more)
    learnt = replace(LEARNT, bins={bins.name: BINS})
    design = design_of(column_of("y", 0), column_of("M(x)", 1), bins)
    model = made(design, [0.5, 1.0, 2.0, 3.0, 4.0], learnt, controls=("x",))
    assert model.raw_prediction(ROWS) == pytest.approx(0.5 + np.array(Y) + 3.0, abs=1e-14)
    assert model.training == {"controls": {"M(x)": 0.0, "B(x, bins=3)": "[1, 4)"}}


def test_a_model_of_controls_alone_is_refused() -> None:
    with pytest.raises(DataError, match="no feature is left"):
        made(design_of(column_of("x", 0)), [0.5, 1.0], controls=("x",))
