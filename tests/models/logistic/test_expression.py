"""Trees of features say what the scorer computes: evaluated one node at a time, they give its bits."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import pyarrow as pa
import pytest

from pipeline.conversion.formula import formula
from pipeline.models import LogisticModel
from pipeline.models.logistic.expression import (
    Arithmetic,
    Bins,
    ColumnValue,
    Constant,
    Expression,
    Lookup,
    for_class,
    nodes,
    weighted,
)
from pipeline.models.logistic.features import FEATURE_KINDS
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.logistic.policies import Level
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.tally import RowTally

Row = Mapping[str, Any]


class _NoScoreError(Exception):
    pass


def _value(policy: object) -> float:
    if isinstance(policy, str):
        raise _NoScoreError
    assert isinstance(policy, float)
    return policy


def _column(node: ColumnValue, row: Row) -> float:
    cell = row[node.name]
    return _value(node.missing) if cell is None or math.isnan(cell) else float(cell)


def _lookup(node: Lookup, row: Row) -> float:
    (key,) = node.keys
    cell = row[key.column]
    if cell is None:
        return _value(_replacement(node, key.missing))
    level = cell if cell in key.levels else key.by_value.get(cell)
    return _value(_replacement(node, key.unseen) if level is None else node.values[level,])


def _replacement(node: Lookup, policy: str | Level) -> object:
    if isinstance(policy, Level):
        return node.values[policy.level,]
    return 0.0 if policy == "zero" else policy


def _arithmetic(node: Arithmetic, row: Row) -> float:
    return OPERATORS[node.operator](evaluate(node.left, row), evaluate(node.right, row))


OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
NODES: Mapping[type, Callable[[Any, Row], Any]] = {
    ColumnValue: _column,
    Constant: lambda node, _: node.value,
    Lookup: _lookup,
    Arithmetic: _arithmetic,
}


def evaluate(node: Expression, row: Row) -> float:
    return float(NODES[type(node)](node, row))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


DOCUMENT = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": -1.1,
    "features": [
        {"column": "a", "kind": "numeric", "coefficient": 0.1, "center": 3.3, "scale": 0.7},
        {"column": "b", "kind": "numeric", "coefficient": -0.3, "missing": {"impute": 1.7}},
        {
            "column": "c",
            "kind": "categorical",
            "coefficients": {"1": 0.1, "2": -0.7, "other": 0.3},
            "missing": "null",
            "unseen": {"level": "other"},
        },
    ],
}


def test_a_tree_gives_the_bits_of_the_scorer() -> None:
    model = LogisticModel(from_mapping(DOCUMENT))
    table = pa.table(
        {
            "a": [0.1, 2.2, None, 1e300, 3.3, 0.7],
            "b": [None, 0.3, 1.0, math.nan, -1.3, 0.1],
            "c": ["1", "2.0", "1", "x", None, "other"],
        }
    )
    made = formula(model.file)
    (scores,), _ = ScoreBlock(model.file, ("raw_prediction",)).scores([*map(_whole, table)], RowTally(len(table)))
    expected = scores.to_numpy(zero_copy_only=False).tolist()
    for row, raw in zip(table.to_pylist(), expected, strict=True):
        row["c"] = {"2.0": "2"}.get(row["c"], row["c"])
        try:
            total = made.base
            assert isinstance(total, float)
            for _, tree in made.contributions:
                total += evaluate(tree, row)
        except _NoScoreError:
            total = math.nan
        assert math.isnan(raw) if math.isnan(total) else raw == total


def test_numbers_are_folded_so_that_centers_and_scales_are_gone() -> None:
    made = formula(from_mapping(DOCUMENT))
    assert dict(made.contributions)["a"] == Arithmetic("*", ColumnValue("a"), Constant(0.1 / 0.7))
    assert made.base == math.fsum([-1.1, -0.1 * 3.3 / 0.7])


def test_every_kind_has_a_tree() -> None:
    assert all(callable(kind.expression) for kind in FEATURE_KINDS.values())


def test_a_class_has_its_own_numbers() -> None:
    tree = weighted((1.0, 2.0), ColumnValue("x", 0.5))
    assert for_class(tree, 1) == weighted(2.0, ColumnValue("x", 0.5))
    assert [type(node) for node in nodes(tree)] == [Arithmetic, ColumnValue, Constant]


@pytest.mark.parametrize(("policy", "expected"), [("zero", 0.0), ({"level": "other"}, 0.3), ("null", None)])
def test_a_policy_of_a_lookup_is_a_word_or_a_value(policy: Any, expected: float | None) -> None:
    feature = cast("Any", DOCUMENT["features"])[2] | {"unseen": policy}
    ((_, tree),) = formula(from_mapping(DOCUMENT | {"features": [feature]})).contributions
    try:
        found = evaluate(tree, {"c": "new"})
    except _NoScoreError:
        found = None
    assert found == expected


def test_a_missing_number_that_is_imputed_into_a_bin_has_the_coefficient_of_that_bin() -> None:
    feature = {"kind": "binned", "column": "x", "edges": [0.0, 1.0], "coefficients": [1.0, 2.0, 4.0]}
    for impute, coefficient in ((-1.0, 1.0), (0.0, 2.0), (0.5, 2.0), (1.0, 4.0)):
        kind = FEATURE_KINDS["binned"]
        tree = kind.expression(kind.schema.model_validate(feature | {"missing": {"impute": impute}}))
        assert isinstance(tree, Bins)
        assert tree.missing == coefficient


@pytest.mark.parametrize(("missing", "of_class"), [("null", "null"), ({"coefficient": [7.0, 8.0]}, 8.0)])
def test_bins_of_one_class_keep_the_policy_or_have_the_coefficient_of_the_class(missing: Any, of_class: object) -> None:
    feature = {"kind": "binned", "column": "x", "edges": [0.0], "coefficients": [[1.0, 2.0], [3.0, 4.0]]}
    kind = FEATURE_KINDS["binned"]
    tree = for_class(kind.expression(kind.schema.model_validate(feature | {"missing": missing})), 1)
    assert isinstance(tree, Bins)
    assert (tree.values, tree.missing) == ((2.0, 4.0), of_class)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ({"terms": [{"column": "a"}, {"column": "b"}], "coefficient": 0.5}, 7.5),
        (
            {
                "terms": [{"column": "a"}, {"column": "c", "kind": "categorical"}],
                "coefficients": {"x": 0.5, "y": -2.0},
            },
            -6.0,
        ),
    ],
    ids=["of numbers", "with levels"],
)
def test_a_product_has_its_coefficient_or_the_one_that_its_levels_choose(
    feature: dict[str, Any], expected: float
) -> None:
    kind = FEATURE_KINDS["product"]
    tree = kind.expression(kind.schema.model_validate({"kind": "product", **feature}))
    assert evaluate(tree, {"a": 3.0, "b": 5.0, "c": "y"}) == expected
