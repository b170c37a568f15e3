"""Lists of rows to check that have no score: the other tool is not asked, and gives none either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.conversion.agreement import difference, in_memory
from pipeline.conversion.networks.pytorch import torch_scorer
from pipeline.conversion.networks.sequences import scored_by_length, step_numbers
from pipeline.models import load_model
from tests.models.network.networks import drawn_steps, sequence, step_layers, written

NAN, LARGE = np.nan, 2**53 + 1
FLAT, NESTED = pa.list_(pa.float64()), pa.list_(pa.list_(pa.float64()))
INTEGERS, NESTED_INTEGERS = pa.list_(pa.int64()), pa.list_(pa.list_(pa.int64()))
# Lists of steps of two numbers, by the type of their column, and what is read of them.
COLUMNS: dict[str, tuple[pa.DataType, list[Any], list[Any]]] = {
    "no whole number of steps": (FLAT, [[1.0, 2.0], [1.0, 2.0, 3.0]], [[[1.0, 2.0]], None]),
    "a number that is missing": (FLAT, [[1.0, 2.0], [1.0, None]], [[[1.0, 2.0]], [[1.0, NAN]]]),
    "a step that is null": (NESTED, [[[1.0, 2.0], None], [[3.0, 4.0]]], [[[1.0, 2.0], [NAN, NAN]], [[3.0, 4.0]]]),
    "nothing but a null step": (NESTED, [[None], [[3.0, 4.0]]], [[[NAN, NAN]], [[3.0, 4.0]]]),
    "a short step": (NESTED, [[[1.0, 2.0], [3.0]], [[3.0, 4.0]]], [None, [[3.0, 4.0]]]),
    "steps of one and of three": (NESTED, [[[1.0], [2.0, 3.0, 4.0]], [[3.0, 4.0]]], [None, [[3.0, 4.0]]]),
    "steps of four": (NESTED, [[[1.0, 2.0, 3.0, 4.0]], [[3.0, 4.0]]], [None, [[3.0, 4.0]]]),
    "a large integer": (INTEGERS, [[1, LARGE], [1, 2], [-LARGE, 1], [2**53, 0]], [None, [[1, 2]], None, [[2**53, 0]]]),
    "a large integer in a step": (NESTED_INTEGERS, [[[1, LARGE]], [[1, 2]]], [None, [[1, 2]]]),
    "no list": (NESTED, [None, [], [[1.0, 2.0]]], [np.empty((0, 2)), np.empty((0, 2)), [[1.0, 2.0]]]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_a_list_is_read_as_steps_or_has_no_score(case: str) -> None:
    type_, cells, expected = COLUMNS[case]
    found = step_numbers(pa.array(cells, type_).to_pylist(), 2)
    assert [each is None for each in found] == [each is None for each in expected]
    for mine, theirs in zip(found, expected, strict=True):
        if mine is not None:
            np.testing.assert_array_equal(mine, np.array(theirs))


@pytest.mark.parametrize("case", COLUMNS)
def test_a_tool_gets_only_the_lists_that_have_a_score(case: str, tmp_path: Path) -> None:
    type_, cells, expected = COLUMNS[case]
    found = scored_by_length(pa.array(cells, type_).to_pylist(), 2, None, 1, lambda values: values.sum(axis=1)[:, :1])
    path = written(
        tmp_path,
        drawn_steps("lstm", (2, 3, 1)),
        features=[sequence("x", width=2)],
        layers=step_layers("lstm", 1, "last"),
    )
    model: Any = load_model(path)
    gap = difference(
        model, in_memory({"x": pa.array(cells, type_)}), lambda rows: np.where(np.isnan(found[:, 0]), NAN, 0.5)
    )
    assert gap.absolute < 1
    scored = [each is not None and len(each) > 0 and not np.isnan(each).any() for each in expected]
    assert (~np.isnan(found[:, 0])).tolist() == scored


def test_rows_without_any_list_are_compared_with_a_softmax_of_three(tmp_path: Path) -> None:
    network = {"features": [sequence("x", width=2)], "head": "softmax", "classes": ["a", "b", "c"]}
    path = written(tmp_path, drawn_steps("lstm", (2, 3, 3)), layers=step_layers("lstm", 1, "last"), **network)
    model: Any = load_model(path)
    gap = difference(
        model,
        in_memory({"x": pa.array([None, []], NESTED)}),
        lambda rows: scored_by_length(rows["x"], 2, None, 3, lambda values: values[:, 0]),
    )
    assert (gap.rows, gap.absolute) == (2, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("case", COLUMNS)
@pytest.mark.parametrize("missing_step", ["null", "error", {"impute": 0.5}])
def test_pytorch_has_no_score_where_the_model_has_none(case: str, missing_step: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    type_, cells, _ = COLUMNS[case]
    too_long = [[1, 1]] * 5 if pa.types.is_list(type_.value_type) else [1] * 10
    rows = pa.array([*cells, too_long], type_)
    for missing in ("null", "empty"):
        path = written(
            tmp_path,
            drawn_steps("gru", (2, 3, 1)),
            features=[sequence("x", width=2, missing=missing, missing_step=missing_step)],
            layers=step_layers("gru", 1, "last"),
            steps=4,
        )
        model: Any = load_model(path)
        score = torch_scorer(model)
        assert score is not None
        assert difference(model, in_memory({"x": rows}), score).absolute < 1e-12
