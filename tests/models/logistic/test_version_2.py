"""Models of version 2 give what their definition says, row by row, in any batch."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.tally import RowTally
from tests.models.logistic import oracle
from tests.models.logistic.strategies import NUMBERS, TEXTS, documents, tables

FIRST = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.25}


def columns_of(block: ScoreBlock, rows: list[dict[str, Any]]) -> list[pa.Array]:
    types = {name: pa.float64() for name in (*NUMBERS, "w")} | dict.fromkeys(TEXTS, pa.string())
    return [pa.array([row[need.name] for row in rows], types[need.name]) for need in block.columns()]


def scored(block: ScoreBlock, columns: list[pa.Array]) -> tuple[RowTally, list[np.ndarray]]:
    tally = RowTally(len(columns[0]))
    arrays, _ = block.scores(columns, tally)
    return tally, [array.to_numpy(zero_copy_only=False) for array in arrays]


def words(tally: RowTally) -> list[str]:
    found = np.full(tally.rows, "scored", dtype=object)
    if tally.null is not None:
        found[tally.null] = "null"
    found[tally.rejected] = "aside"
    found[tally.bad] = "bad"
    return list(found)


@settings(max_examples=80, deadline=None)
@given(documents(), tables())
def test_a_model_gives_what_its_definition_gives(document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    block = ScoreBlock(from_mapping(document), ("raw_prediction",))
    tally, results = scored(block, columns_of(block, rows))
    expected = [oracle.score(document, row) for row in rows]
    assert words(tally) == [word for word, _ in expected]
    exact = not any(name in str(document) for name in ("log", "log1p"))
    for position, (word, totals) in enumerate(expected):
        if word == "scored":
            ours = [float(result[position]) for result in results]
            if exact:
                assert ours == totals
            else:
                np.testing.assert_allclose(ours, totals, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(documents(), tables(), st.integers(0, 12), st.sampled_from(["fast", "accurate", "reproducible"]))
def test_any_batching_gives_the_same_bits_and_counts(
    document: dict[str, Any], rows: list[dict[str, Any]], cut: int, precision: Any
) -> None:
    block = ScoreBlock(from_mapping(document), ("probability", "raw_prediction"), precision=precision)
    columns = columns_of(block, rows)
    whole = block.block(columns)
    parts = [block.block([column.slice(*piece) for column in columns]) for piece in ((0, cut), (cut, len(rows)))]
    for position, array in enumerate(whole.arrays):
        joined = pa.concat_arrays([part.arrays[position] for part in parts])
        used = pa.array([row not in {cell.record for cell in whole.rejected} for row in range(len(rows))])
        assert joined.filter(used).equals(array.filter(used))
    assert sum(part.null for part in parts) == whole.null
    for column, count in (whole.features or {}).items():
        of_parts = [(part.features or {}).get(column) for part in parts]
        assert sum(each.missing for each in of_parts if each) == count.missing
        assert sum(each.unseen for each in of_parts if each) == count.unseen


@settings(max_examples=40, deadline=None)
@given(documents(outputs=1), tables())
def test_base_and_contributions_added_one_by_one_are_the_raw_prediction(
    document: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    model = from_mapping(document)
    block = ScoreBlock(model, ("raw_prediction", "contributions"))
    tally, (raw, *parts) = scored(block, columns_of(block, rows))
    names = [field.name for field in block.fields()][1:]
    assert (
        names
        == [f"contribution_{name}" for name in ("offset", *(each.label for each in model.features))][
            "offset" not in document :
        ]
    )
    total = np.full(len(rows), model.base)
    for part in parts:
        total = total + part
    is_scored = np.array([word == "scored" for word in words(tally)])
    np.testing.assert_array_equal(raw[is_scored], total[is_scored])


def test_a_column_of_several_features_is_read_once_and_its_missing_values_are_counted_once() -> None:
    document = FIRST | {
        "features": [
            {"kind": "numeric", "column": "x", "coefficient": 1.0, "missing": {"impute": 2.0}},
            {"kind": "indicator", "column": "x", "coefficient": 0.5},
            {
                "kind": "binned",
                "column": "x",
                "name": "bins",
                "edges": [0.0],
                "coefficients": [1.0, 2.0],
                "missing": {"coefficient": 4.0},
            },
        ]
    }
    block = ScoreBlock(from_mapping(document), ("raw_prediction",))
    assert [need.name for need in block.columns()] == ["x"]
    values = block.block([pa.array([1.0, None, math.nan, -1.0])])
    assert values.arrays[0].to_pylist() == [3.25, 6.75, 6.75, 0.25]
    assert values.features is not None
    assert values.features["x"].missing == 2
    assert values.events == {"missing x": 2}


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_a_column_may_be_a_number_and_a_level_if_its_levels_are_values(kind: str) -> None:
    features = [
        {"kind": "numeric", "column": "hour", "coefficient": 0.5},
        {
            "kind": "categorical",
            "column": "hour",
            "name": "h",
            "coefficients": {"1": 1.0, "2": 2.0},
            "levels": "integer",
        },
    ]
    block = ScoreBlock(
        from_mapping(FIRST | {"features": features[:: 1 if kind == "numeric" else -1]}), ("raw_prediction",)
    )
    assert [(need.name, need.role) for need in block.columns()] == [("hour", "numeric")]
    for cells in (pa.array([1, 2, 3]), pa.array([1.0, 2.0, 3.0])):
        assert block.block([cells]).arrays[0].to_pylist() == [1.75, 3.25, None]


@pytest.mark.parametrize(
    ("transform", "cells", "bad"),
    [
        ("log", [1.0, 0.0, -1.0, math.inf, None], [1, 2]),
        ("log1p", [0.0, -1.0, -2.0], [1, 2]),
        ("sqrt", [0.0, -0.5, -0.0], [1]),
        ("square", [1e200, 2.0], [0]),
        ([{"clip": [1e-9, None]}, "log"], [0.0, -1.0, 5.0], []),
    ],
)
def test_a_value_outside_the_domain_of_a_transform_is_a_bad_cell(transform: Any, cells: Any, bad: list[int]) -> None:
    feature = {"kind": "transformed", "column": "x", "transform": transform, "coefficient": 1.0}
    block = ScoreBlock(from_mapping(FIRST | {"features": [feature]}), ("probability",))
    found = block.block([pa.array(cells, pa.float64())])
    assert [cell.record for cell in found.rejected] == bad
    assert all(cell.cause == "outside domain" and not cell.by_policy for cell in found.rejected)


def test_an_offset_counts_for_nullability_and_is_imputed_by_its_policy() -> None:
    feature = {"kind": "indicator", "column": "x", "coefficient": 1.0}
    for missing, nullable, expected in [("null", True, None), ({"impute": 3.0}, False, 3.25), ("error", False, 0.0)]:
        offset = {"column": "w", "missing": missing}
        block = ScoreBlock(from_mapping(FIRST | {"offset": offset, "features": [feature]}), ("raw_prediction",))
        (field,) = block.fields()
        assert field.nullable is nullable
        found = block.block([pa.array([None], pa.float64()), pa.array(["a"])])
        assert found.arrays[0].to_pylist() == [expected]
        assert bool(found.rejected) is (missing == "error")


CLASSES = {"classes": ["a", "b", "c"], "intercept": [0.0, 0.0, 0.0]}
SLOPES = {"features": [{"kind": "numeric", "column": "x", "coefficient": [1.0, 0.0, -1.0]}]}


def test_classes_have_the_shares_of_softmax_or_of_their_sigmoids() -> None:
    cells = [pa.array([0.0, 2.0, -800.0, math.nan, math.inf])]
    softmax = ScoreBlock(from_mapping(FIRST | CLASSES | SLOPES), ("probability", "decision"))
    arrays = [array.to_pylist() for array in softmax.block(cells).arrays]
    e = math.exp(2.0)
    np.testing.assert_allclose([a[1] for a in arrays[:3]], np.array([e, 1, 1 / e]) / (e + 1 + 1 / e), rtol=1e-15)
    assert [a[0] for a in arrays] == [1 / 3, 1 / 3, 1 / 3, "a"]
    assert [a[2] for a in arrays] == [0.0, 0.0, 1.0, "c"]
    assert [a[3] for a in arrays] == [None] * 4
    assert math.isnan(arrays[0][4])
    assert arrays[3][4] is None
    shares = ScoreBlock(from_mapping(FIRST | CLASSES | SLOPES | {"normalise": "one-vs-rest"}), ("probability",))
    arrays = [array.to_pylist() for array in shares.block(cells).arrays]
    sigmoids = [1 / (1 + math.exp(-z)) for z in (2.0, 0.0, -2.0)]
    np.testing.assert_allclose([a[1] for a in arrays], np.array(sigmoids) / sum(sigmoids), rtol=1e-15)


def test_shares_of_one_vs_rest_that_are_all_zero_are_equal() -> None:
    model = (
        FIRST
        | CLASSES
        | {"normalise": "one-vs-rest", "features": [{"kind": "numeric", "column": "x", "coefficient": [1.0, 1.0, 1.0]}]}
    )
    block = ScoreBlock(from_mapping(model), ("probability", "decision"))
    arrays = [array.to_pylist() for array in block.block([pa.array([-1e5, 0.0])]).arrays]
    assert [a[0] for a in arrays] == [1 / 3, 1 / 3, 1 / 3, "a"]


@pytest.mark.parametrize("classes", [["a", "b\n"], [True, False], [1, 2], [1.5, 2.0]])
def test_columns_and_decisions_have_the_names_and_values_of_the_classes(classes: list[Any]) -> None:
    model = FIRST | {"classes": classes, "intercept": [0.0, 0.0]}
    model |= {"features": [{"kind": "numeric", "column": "x", "coefficient": [1.0, -1.0]}]}
    block = ScoreBlock(from_mapping(model), ("probability", "raw_prediction", "decision"))
    texts = {"str": ["a", "b\\n"], "bool": ["true", "false"], "int": ["1", "2"], "float": ["1.5", "2.0"]}
    names = [
        f"{what}_{text}" for what in ("probability", "raw_prediction") for text in texts[type(classes[0]).__name__]
    ]
    assert [field.name for field in block.fields()] == [*names, "decision"]
    decision = block.block([pa.array([3.0, -3.0, None, 0.0])]).arrays[-1]
    assert decision.to_pylist() == [classes[0], classes[1], None, classes[0]]
    assert decision.type == block.fields()[-1].type


def test_names_of_columns_are_whole_and_differ_where_names_differ() -> None:
    classes = ["a\n", "a\\n", "n" * 130 + "1", "n" * 130 + "2"]
    several = FIRST | {"classes": classes, "intercept": [0.0] * 4}
    several |= {"features": [{"kind": "numeric", "column": "x", "coefficient": [1.0] * 4}]}
    names = [field.name for field in ScoreBlock(from_mapping(several)).fields()]
    assert names == ["probability_a\\n", "probability_a\\\\n", *(f"probability_{name}" for name in classes[2:])]
    features = [{"kind": "numeric", "column": "x", "name": name, "coefficient": 1.0} for name in classes]
    scale = {"points": {"pdo": 20, "base_points": 600, "base_odds": 50}}
    one = FIRST | {"features": features, "output": scale}
    names = [field.name for field in ScoreBlock(from_mapping(one), ("contributions", "points_by_feature")).fields()]
    assert len(set(names)) == 8
    assert names[2:4] == [f"contribution_{name}" for name in classes[2:]]


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([1, None, 3], pa.date32()),
        pa.array([1, None, 3], pa.timestamp("us")),
        pa.array([1, None, 3], pa.decimal128(30, 2)),
        pa.array([b"a", None, b""], pa.binary()),
        pa.array([["a"], None, []]),
        pa.array(["a", None, ""]),
        pa.array([True, None, False]),
    ],
    ids=lambda cells: str(cells.type),
)
def test_an_indicator_looks_at_a_column_of_any_type(cells: pa.Array) -> None:
    model = FIRST | {"features": [{"kind": "indicator", "column": "x", "coefficient": 1.0}]}
    block = ScoreBlock(from_mapping(model), ("raw_prediction",))
    assert block.check([pa.field("x", cells.type)]) == []
    found = LogisticModel(from_mapping(model)).raw_prediction(pa.table({"x": cells}))
    assert found.tolist() == [0.25, 1.25, 0.25]
    values = block.block([cells])
    assert values.arrays[0].to_pylist() == [0.25, 1.25, 0.25]
    assert values.events == {"missing x": 1}


def test_a_column_of_an_indicator_and_a_number_must_be_numbers() -> None:
    features = [{"kind": kind, "column": "x", "coefficient": 1.0} for kind in ("indicator", "numeric")]
    block = ScoreBlock(from_mapping(FIRST | {"features": features}))
    (message,) = block.check([pa.field("x", pa.date32())])
    assert "a numeric feature" in message


@pytest.mark.parametrize("order", [1, -1])
def test_known_levels_are_those_of_the_feature_that_counts_what_is_unseen(order: int) -> None:
    term = {"kind": "categorical", "column": "c", "unseen": "zero"}
    features = [
        {"coefficients": {"1": 1.0}, "levels": "integer"} | term,
        {"kind": "product", "terms": [term, {"column": "x"}], "coefficients": {"a": 1.0, "b": 2.0}},
    ]
    block = ScoreBlock(from_mapping(FIRST | {"features": features[::order]}))
    cells = {"c": pa.array(["a", "b", "1"]), "x": pa.array([1.0, 1.0, 1.0])}
    found = block.block([cells[need.name] for need in block.columns()]).features["c"]
    facts = {each.column: each for each in block.features()}["c"]
    assert (found.unseen, facts.levels) == ((2, ("1",)) if order == 1 else (1, ("a", "b")))


def test_a_wide_model_copies_few_cells_at_a_time_where_a_column_is_nan_throughout() -> None:
    feature = {
        "kind": "transformed",
        "column": "x",
        "transform": "square",
        "coefficient": 0.5,
        "missing": {"impute": 2},
    }
    features = [feature | {"name": f"x{place}"} for place in range(400)] + [
        {"kind": "transformed", "column": "y", "transform": "log", "coefficient": 0.5, "missing": "quarantine"}
    ]
    block = ScoreBlock(from_mapping(FIRST | {"features": features}), ("raw_prediction",))
    random = np.random.default_rng(0)
    x = np.full(20_000, np.nan)
    x[random.random(x.size) < 0.1] = np.inf
    y = np.where(random.random(x.size) < 0.1, random.choice([0.0, np.nan], x.size), 1.5)
    tracemalloc.start()
    whole = block.block([pa.array(x, from_pandas=False), pa.array(y, from_pandas=False)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6  # 400 columns of 20,000 float64 take 64e6
    halves = [block.block([pa.array(each[part]) for each in (x, y)]) for part in np.split(np.arange(x.size), [9_999])]
    assert whole.arrays[0].equals(pa.concat_arrays([half.arrays[0] for half in halves]))
    assert dict(whole.events) == {name: sum(half.events.get(name, 0) for half in halves) for name in whole.events}
    assert len(whole.rejected) == len(halves[0].rejected) + len(halves[1].rejected)
    assert {(cell.column, cell.cause) for cell in whole.rejected} == {
        ("y", "outside domain"),
        ("y", "missing set aside"),
    }
