"""Contributions, points, bands and reasons of rows: right in each row, whatever the batch, with exact fields."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.models import LogisticModel, ScoreBlock, ScoreRequest, restore
from pipeline.models.request import ScoreRequest as Request

FEATURES = [
    {"kind": "numeric", "column": "x", "coefficient": 0.5, "center": 2.0, "scale": 4.0},
    {"kind": "categorical", "column": "c", "coefficients": {"a": 0.3, "b": -0.7}, "unseen": "zero"},
    {
        "kind": "binned",
        "column": "y",
        "edges": [0, 10],
        "coefficients": [-0.2, 0.1, 0.4],
        "missing": {"coefficient": -1},
    },
    {"kind": "indicator", "column": "y", "coefficient": -0.1},
    {"kind": "numeric", "column": "z", "coefficient": -0.25, "missing": {"impute": 1.0}},
]
NAMES = ["x", "c", "y", "missing_y", "z"]
SCALE = {"pdo": 20, "base_points": 600, "base_odds": 50}
ALL = ["probability", "raw_prediction", "contributions", "points", "points_by_feature", "band", "reasons"]


def model(**output: Any) -> LogisticModel:
    document = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": -0.4}
    document["offset"] = {"column": "o"}
    return LogisticModel.from_json(json.dumps(document | {"features": FEATURES, "output": output}))


def some_rows(count: int, seed: int = 0) -> list[pa.Array]:
    random = np.random.default_rng(seed)

    def with_nulls(values: Any, share: float = 0.1) -> pa.Array:
        return pa.array(list(values), mask=random.random(count) < share)

    numbers = random.normal(0, 5, (4, count))
    numbers[1][random.random(count) < 0.1] = np.nan
    numbers[0][random.random(count) < 0.02] = -np.inf
    return [
        with_nulls(numbers[3], 0.02),
        with_nulls(numbers[0], 0.05),
        with_nulls(random.choice(["a", "b", "new"], count)),
        with_nulls(numbers[1]),
        with_nulls(numbers[2]),
    ]


def columns(block: ScoreBlock, rows: list[pa.Array]) -> dict[str, list[Any]]:
    arrays = block.block(rows).arrays
    fields = block.fields()
    for field, array in zip(fields, arrays, strict=True):
        type_ = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
        assert type_ == field.type, field.name
        assert field.nullable or not array.null_count, field.name
    return {field.name: array.to_pylist() for field, array in zip(fields, arrays, strict=True)}


BANDS = {"on": "points", "thresholds": [470, 500, 510.5], "names": ["D", "C", "B", "A"]}


@pytest.mark.parametrize("rounding", ["none", "points", "features"])
@pytest.mark.parametrize("reference", ["zero", "mean"])
@pytest.mark.parametrize("direction", ["lower", "raise"])
def test_each_row_has_the_decisions_that_the_rules_state(rounding: str, reference: str, direction: str) -> None:
    means = dict(zip(NAMES, [0.1, -0.2, 0.05, 0.0, -0.3], strict=True))
    told = {name: {"code": f"R-{name}", "mean": mean} for name, mean in means.items()}
    told["x"]["text"] = "x it is"
    reasons = {"count": 3, "direction": direction, "reference": reference, "features": told}
    ours = model(columns=ALL, points=SCALE | {"rounding": rounding}, bands=BANDS, reasons=reasons)
    found = columns(ScoreBlock.of(ours.file), some_rows(400))
    for row in range(400):
        raw = found["raw_prediction"][row]
        decided = {name: values[row] for name, values in found.items() if name != "raw_prediction"}
        if raw is None or np.isnan(raw):
            assert decided["band"] is None
            assert all(decided[name] is None for name in decided if name.startswith("reason"))
            assert decided["points"] is None or (rounding == "none" and np.isnan(decided["points"]))
            continue
        parts = {name: decided[f"contribution_{name}"] for name in ["o", *NAMES]}
        total = ours.base
        for part in parts.values():
            total += part
        assert total == raw
        effects = [parts[name] - (means[name] if reference == "mean" else 0.0) for name in NAMES]
        sign = 1 if direction == "lower" else -1
        order = sorted((sign * effect, place) for place, effect in enumerate(effects) if sign * effect < 0)[:3]
        codes = [f"R-{NAMES[place]}" for _, place in order]
        assert [decided[f"reason_{k}"] for k in (1, 2, 3)] == codes + [None] * (3 - len(codes))
        texts = ["x it is" if code == "R-x" else None for code in codes]
        assert [decided[f"reason_{k}_text"] for k in (1, 2, 3)] == texts + [None] * (3 - len(texts))
        if np.isinf(raw):
            assert decided["points"] == (np.inf if rounding == "none" else None)
            assert decided["band"] == "A"
            continue
        exact = 600 - 20 / np.log(2) * (raw + np.log(50))
        slack = {"none": 1e-9, "points": 0.5 + 1e-9, "features": 3.0}[rounding]
        assert abs(decided["points"] - exact) <= slack
        assert decided["band"] == "DCBA"[np.searchsorted([470, 500, 510.5], decided["points"], side="right")]
        by_feature = sum(decided[f"points_{name}"] for name in ["o", *NAMES])
        assert abs(by_feature - decided["points"]) <= (0.5 + 1e-9 if rounding == "points" else 1e-9)


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(1, 20_000), max_size=4),
    seed=st.integers(0, 3),
    rounding=st.sampled_from(["none", "features"]),
)
def test_decisions_do_not_depend_on_how_rows_are_cut_into_batches(cuts: list[int], seed: int, rounding: str) -> None:
    rows = some_rows(20_001, seed)
    reasons = {"count": 2, "reference": "zero", "features": {"x": {"reference": {"value": 3.5}}}}
    ours = model(columns=ALL, points=SCALE | {"rounding": rounding}, bands=BANDS, reasons=reasons)
    block = ScoreBlock.of(ours.file)
    whole = block.block(rows).arrays
    ends = [0, *sorted(set(cuts)), 20_001]
    pieces = [block.block([array.slice(a, b - a) for array in rows]).arrays for a, b in pairwise(ends)]
    for array, *parts in zip(whole, *pieces, strict=True):
        joined = pa.concat_arrays(parts)
        if pa.types.is_dictionary(array.type):
            assert joined.equals(array)
            continue
        # As bytes, so that NaN equals itself.
        assert joined.is_null().equals(array.is_null())
        assert np.asarray(joined.fill_null(0)).tobytes() == np.asarray(array.fill_null(0)).tobytes()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"value": 4.0}, 0.125 * 4.0),
        ({"contribution": -2.5}, -2.5),
    ],
)
def test_a_feature_may_have_a_reference_of_its_own(reference: dict[str, float], expected: float) -> None:
    reasons = {"count": 1, "features": {name: {"reference": {"contribution": -1e9}} for name in NAMES[1:]}}
    reasons["features"]["x"] = {"reference": reference}
    ours = model(reasons=reasons)
    below, at, above = (np.nextafter(expected, -9), expected, np.nextafter(expected, 9))
    rows = {"o": [0.0] * 3, "x": [value / 0.125 for value in (below, at, above)], "c": ["a"] * 3, "y": [1.0] * 3}
    assert ours.reasons(rows | {"z": [0.0] * 3})[:, 0].tolist() == ["x", None, None]


def test_the_best_reference_is_the_largest_contribution_or_the_smallest_where_those_that_raise_are_named() -> None:
    told = {name: {"reference": {"contribution": 0.0}} for name in ("x", "z")}
    rows = {"o": [0.0], "x": [0.0], "c": ["b"], "y": [5.0], "z": [0.0]}
    lower = model(reasons={"count": 4, "reference": "best", "features": told}).reasons(rows)[0].tolist()
    # c: -0.7 against 0.3; y: 0.1 against 0.4; the indicator is at its best.
    assert lower == ["c", "y", None, None]
    raised = model(reasons={"count": 4, "direction": "raise", "reference": "best", "features": told})
    # c: 0 against -0.7; y: 0.1 against -1; the indicator: 0 against -0.1.
    assert raised.reasons(rows | {"c": ["new"]})[0].tolist() == ["y", "c", "missing_y", None]


def test_a_level_may_be_the_reference() -> None:
    told = {name: {"reference": {"contribution": -1e9}} for name in NAMES}
    told["c"] = {"code": "C", "reference": {"level": "a"}}
    ours = model(reasons={"count": 1, "features": told})
    rows = {"o": [0.0] * 3, "x": [0.0] * 3, "c": ["a", "b", "new"], "y": [1.0] * 3, "z": [0.0] * 3}
    assert ours.reasons(rows)[:, 0].tolist() == [None, "C", "C"]


def test_reasons_may_be_asked_of_any_model() -> None:
    block = ScoreBlock.of(model().file, Request(reasons=2))
    assert [field.name for field in block.fields()] == ["probability", "reason_1", "reason_2"]
    assert all(field.nullable and field.type == pa.string() for field in block.fields()[1:])
    found = columns(block, some_rows(50))
    assert set(found["reason_1"]) <= {*NAMES, None}
    again = restore(json.loads(json.dumps(block.describe())))
    assert again.describe() == block.describe()
    assert again.fields() == block.fields()


REASONS = [
    {"features": {"x": {"reference": {"value": 4.0}}, "c": {"reference": {"level": "a"}, "code": "C"}}},
    {"reference": "best", "features": {name: {"reference": {"contribution": 0.5}} for name in ("x", "z")}},
    {"reference": "mean", "features": {name: {"mean": 0.25, "text": name} for name in NAMES}},
]


@pytest.mark.parametrize("reasons", REASONS)
def test_a_block_with_any_references_travels_by_json(reasons: dict[str, Any]) -> None:
    block = ScoreBlock.of(model(points=SCALE, bands=BANDS, reasons=reasons).file)
    assert restore(json.loads(json.dumps(block.describe()))) == block


def test_a_request_replaces_the_number_of_reasons_of_the_file() -> None:
    block = ScoreBlock.of(model(reasons={"count": 3, "features": {"x": {"text": "x it is"}}}).file, Request(reasons=1))
    assert [field.name for field in block.fields()] == ["probability", "reason_1", "reason_1_text"]


@pytest.mark.parametrize("count", [0, 101])
def test_a_number_of_reasons_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="number of reasons must be from 1 to 100"):
        ScoreBlock.of(model().file, ScoreRequest(reasons=count))


def test_reasons_of_a_model_with_classes_are_refused() -> None:
    feature = {"kind": "numeric", "column": "x", "coefficient": [0.1, 0.2, 0.3]}
    head = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": [0, 0, 0]}
    classes = LogisticModel.from_json(json.dumps(head | {"classes": ["a", "b", "c"], "features": [feature]}))
    with pytest.raises(UsageError, match="--reasons is for models with two classes; this one has 3"):
        ScoreBlock.of(classes.file, Request(reasons=2))
    with pytest.raises(ValueError, match='"reasons" is not for models with classes'):
        classes.reasons({"x": [1.0]})


def test_sections_of_the_output_add_their_columns_unless_the_file_names_columns() -> None:
    told = {"points": SCALE, "bands": BANDS, "reasons": {"count": 1}, "threshold": 0.5}
    made = [field.name for field in ScoreBlock.of(model(**told).file).fields()]
    assert made == ["probability", "decision", "points", "band", "reason_1"]
    assert [field.name for field in ScoreBlock.of(model(columns=["band"], **told).file).fields()] == ["band"]


def test_a_band_is_on_the_probability_before_it_is_rounded_to_float32() -> None:
    cut = 0.1
    below = float(np.nextafter(cut, 0))
    assert np.float32(below) == np.float32(cut)
    told = {"on": "probability", "thresholds": [cut], "names": ["low", "high"]}
    ours = model(
        columns=["probability", "band"],
        bands=told,
        calibration={"method": "isotonic", "thresholds": [0.0], "probabilities": [below, cut]},
    )
    rows = [
        pa.array([-50.0, 50.0]),
        pa.array([0.0, 0.0]),
        pa.array(["a", "a"]),
        pa.array([1.0, 1.0]),
        pa.array([0.0, 0.0]),
    ]
    found = columns(ScoreBlock.of(ours.file, Request(float32=True)), rows)
    assert found["band"] == ["low", "high"]
    assert found["probability"][0] == found["probability"][1]


def test_a_band_of_points_that_are_no_number_is_null() -> None:
    document = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.0}
    features = [
        {"kind": "numeric", "column": name, "coefficient": 1.0, "missing": {"impute": 0.0}} for name in ("x", "y")
    ]
    bands = {"on": "points", "thresholds": [500.0], "names": ["low", "high"]}
    output = {"columns": ["raw_prediction", "points", "band"], "points": SCALE | {"rounding": "features"}}
    made = LogisticModel.from_json(json.dumps(document | {"features": features, "output": output | {"bands": bands}}))
    # In the first row the points of the terms are minus infinity and, as 1e308 times the slope, infinity.
    found = columns(ScoreBlock.of(made.file), [pa.array([np.inf, np.inf, 1e3]), pa.array([-1e308, 1.0, 1.0])])
    assert found["raw_prediction"] == [np.inf, np.inf, 1001.0]
    assert (found["points"], found["band"]) == ([None, None, -28395], [None, "low", "low"])


def test_features_may_share_a_code() -> None:
    ours = model(reasons={"count": 2, "features": {name: {"code": "SAME"} for name in NAMES}})
    rows = {"o": [0.0, 0.0], "x": [-1.0, 1.0], "c": ["b", "b"], "y": [1.0, 1.0], "z": [0.0, 0.0]}
    assert ours.reasons(rows).tolist() == [["SAME", "SAME"], ["SAME", None]]


def test_calibrated_probabilities_are_those_of_scoring_and_of_both_classes() -> None:
    rows = dict(zip(["o", "x", "c", "y", "z"], some_rows(200), strict=True))
    for calibration in (
        {"method": "platt", "slope": 0.7, "intercept": 0.2},
        {"method": "beta", "a": 0.7, "b": 1.2, "c": 0.2},
        {"method": "temperature", "temperature": 3.0},
        {"method": "isotonic", "thresholds": [-1.0, 1.0], "probabilities": [0.1, 0.4, 0.9]},
    ):
        ours = model(calibration=calibration)
        both = ours.predict_proba(rows)
        np.testing.assert_array_equal(both[:, 1], ours.probability(rows))
        np.testing.assert_allclose(both.sum(axis=1)[~np.isnan(both[:, 1])], 1.0, rtol=1e-15)


def test_a_temperature_calibrates_classes() -> None:
    feature = {"kind": "numeric", "column": "x", "coefficient": [0.1, 0.2, -0.3]}
    head = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": [0, 0.5, 0]}
    head |= {"classes": ["a", "b", "c"], "features": [feature]}
    stated = [{"calibration": {"method": "temperature", "temperature": 2.5}}, {"temperature": 2.5}]
    first, second = (LogisticModel.from_json(json.dumps(head | {"output": output})) for output in stated)
    rows = {"x": [1.0, -3.0, 20.0]}
    np.testing.assert_array_equal(first.predict_proba(rows), second.predict_proba(rows))


def test_the_description_of_a_block_without_decisions_is_what_it_was() -> None:
    first = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.0}
    block = ScoreBlock.of(LogisticModel.from_json(json.dumps(first | {"features": FEATURES[:1]})).file)
    described = block.describe()
    assert list(described) == ["function", "model", "columns", "threshold", "float32", "precision"]
    assert set(described["model"]["output"]) == {"columns", "threshold"}


def test_reasons_with_equal_effects_are_in_the_order_of_the_file_beside_missing_and_infinite_values() -> None:
    names = [f"x{number}" for number in range(6)]
    features = [{"column": name, "kind": "numeric", "coefficient": -1.0, "missing": {"impute": 3.0}} for name in names]
    content = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.0, "features": features}
    block = ScoreBlock.of(LogisticModel.from_json(json.dumps(content | {"output": {"reasons": {}}})).file)
    rows = np.random.default_rng(5).integers(0, 3, (6, 5_000)).astype(float)
    rows[2, ::7], missing = np.inf, np.random.default_rng(6).random(rows.shape) < 0.01
    _, *made = block.block([pa.array(x, mask=mask) for x, mask in zip(rows, missing, strict=True)]).arrays
    effects = np.where(missing, 3.0, rows)
    expected = np.argsort(-effects, axis=0, kind="stable")
    for place, reasons in enumerate(made):
        lowers = np.take_along_axis(effects, expected, axis=0)[place] > 0
        assert reasons.to_pylist() == [
            f"x{feature}" if is_one else None for feature, is_one in zip(expected[place], lowers, strict=True)
        ]
