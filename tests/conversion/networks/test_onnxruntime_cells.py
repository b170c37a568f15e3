"""Recurrent layers in forms that exporters seldom write, against onnxruntime: graphs drawn from a seed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed"),
    pytest.mark.skipif(find_spec("safetensors") is None, reason="safetensors is not installed"),
]


def graph(kind: str, layout: int, reset: int, pooling: str, dtype: type, seed: int) -> Any:
    """Return a graph of a recurrent layer and a dense one."""
    import onnx
    from onnx import helper, numpy_helper

    generator = np.random.default_rng(seed)
    inputs, units = (int(generator.integers(1, 6)) for _ in range(2))
    rows = {"LSTM": 4, "GRU": 3}[kind] * units
    shapes = {"W": (1, rows, inputs), "R": (1, rows, units), "B": (1, 2 * rows), "V": (units, 1)}
    arrays = {name: generator.normal(0, 0.7, shape).astype(dtype) for name, shape in shapes.items()}
    steps = 1 if layout else 0
    arrays |= {
        "axis": np.array([steps]),
        "ones": np.array([2 if layout else 1]),
        "last": np.array(-1),
        "first": np.array([0]),
    }
    said = {"hidden_size": units} | ({"layout": 1} if layout else {})
    said |= {"linear_before_reset": reset} if kind == "GRU" else {}
    nodes = [helper.make_node(kind, ["X", "W", "R", "B"], ["Y", "H"], **said)]
    if pooling == "state":
        nodes.append(helper.make_node("Squeeze", ["H", "axis" if layout else "first"], ["h"]))
    else:
        nodes.append(helper.make_node("Squeeze", ["Y", "ones"], ["S"]))
        last = helper.make_node("Gather", ["S", "last"], ["h"], axis=steps)
        operator = {"mean": "ReduceMean", "max": "ReduceMax"}.get(pooling, "")
        nodes.append(helper.make_node(operator, ["S", "axis"], ["h"], keepdims=0) if operator else last)
    nodes += [helper.make_node("MatMul", ["h", "V"], ["z"]), helper.make_node("Sigmoid", ["z"], ["p"])]
    type_ = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    shape = ["rows", "steps", inputs] if layout else ["steps", "rows", inputs]
    body = helper.make_graph(
        nodes,
        "cell",
        [helper.make_tensor_value_info("X", type_, shape)],
        [helper.make_tensor_value_info("p", type_, ["rows", 1])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), inputs, onnx


@pytest.mark.parametrize("pooling", ["state", "last", "mean", "max"])
@pytest.mark.parametrize(("kind", "reset"), [("LSTM", 0), ("GRU", 0), ("GRU", 1)])
@pytest.mark.parametrize("seed", range(5))
def test_a_layer_has_the_scores_of_onnxruntime(kind: str, reset: int, pooling: str, seed: int, tmp_path: Path) -> None:
    model, inputs, onnx = graph(kind, 0, reset, pooling, np.float32, seed)
    onnx.save(model, tmp_path / "cell.onnx")
    generator = np.random.default_rng(seed)
    lists = [generator.normal(size=(n, inputs)).tolist() for n in generator.integers(1, 9, 20)]
    pq.write_table(pa.table({"X": lists}), tmp_path / "rows.parquet")
    made = pipeline.import_model(tmp_path / "cell.onnx", check=tmp_path / "rows.parquet")
    assert made.training is not None
    facts = made.training["imported"]
    assert facts["rows"] == 20
    assert facts["largest_difference"] < 5e-7


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_rows_may_come_before_steps(kind: str, tmp_path: Path) -> None:
    """onnxruntime has no layout 1: the scores are those of the same layer with steps first."""
    made = []
    for layout in (0, 1):
        model, inputs, onnx = graph(kind, layout, 1, "mean", np.float64, 1)
        onnx.save(model, tmp_path / "cell.onnx")
        rows = {"X": np.random.default_rng(0).normal(size=(6, 5, inputs)).tolist()}
        network: Any = pipeline.import_model(tmp_path / "cell.onnx")
        made.append(network.probability(rows))
    np.testing.assert_array_equal(*made)
