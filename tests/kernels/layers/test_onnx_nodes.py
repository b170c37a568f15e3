"""LSTM and GRU give what the node tests of the onnx package state, for each that describes a cell as ours are."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from pipeline.kernels.layers import GruLayer, LstmLayer
from tests.kernels.layers.onnx_oracle import ORDERS

# Of the others one has peepholes, one runs backwards and one both ways.
NODES = (
    *(f"test_lstm_{name}" for name in ("defaults", "with_initial_bias", "batchwise")),
    *(f"test_gru_{name}" for name in ("defaults", "with_initial_bias", "seq_length", "batchwise")),
)


@cache
def nodes() -> dict[str, Any]:
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        return {case.name: case for case in collect_testcases(None)}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnx") is None, reason="onnx is not installed")
@pytest.mark.parametrize("name", NODES)
def test_cells_give_what_the_node_tests_of_onnx_state(name: str) -> None:
    from onnx import helper

    case = nodes()[name]
    node = case.model.graph.node[0]
    options = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    given, stated = case.data_sets[0]
    arrays = dict(zip((each for each in node.input if each), given, strict=True))
    last = dict(zip((each for each in node.output if each), stated, strict=True))["Y_h"]
    batch_first = options.get("layout", 0) == 1
    x = arrays["X"] if batch_first else arrays["X"].transpose(1, 0, 2)
    kind = node.op_type.lower()
    gates = len(ORDERS[kind])
    width = arrays["R"].shape[1]
    bias = arrays.get("B", np.zeros((1, 2 * width), arrays["X"].dtype))[0]
    torch_order = np.argsort(ORDERS[kind])
    weights = [
        np.concatenate([np.split(part, gates)[gate] for gate in torch_order])
        for part in (arrays["W"][0], arrays["R"][0], *np.split(bias, 2))
    ]
    after = bool(options.get("linear_before_reset", 0))
    layer = LstmLayer(*weights) if kind == "lstm" else GruLayer(*weights, reset_after=after)
    np.testing.assert_allclose(layer.outputs(x, arrays.get("sequence_lens")), np.squeeze(last), rtol=0, atol=1e-6)
