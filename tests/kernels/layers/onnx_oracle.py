"""What onnxruntime (in float32) and the reference of the onnx package (in float64) give for a drawn recurrent case.

    python -m tests.kernels.layers.onnx_oracle

writes a corner of it for each case into ``onnx.json`` beside this file.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.kernels.layers.drawn import CASES, Array, Case
from tests.kernels.layers.oracle import corner

STORED = Path(__file__).with_name("onnx.json")
# PyTorch's order of gates, i f g o and r z n, in that of ONNX: i o f c and z r h.
ORDERS = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
# Each GRU both ways. The LSTM of onnx has no such thing.
RECURRENT = [
    replace(case, reset_after=after)
    for case in CASES
    if case.kind != "dense" and 0 < case.rows * case.steps < 10_000
    for after in ((True, False) if case.kind == "gru" else (True,))
]
# The reference does not know lengths.
WHOLE = [case for case in RECURRENT if not case.is_ragged]


def name_of(case: Case) -> str:
    return f"{case.kind}-{case.number}" + ("" if case.reset_after else "-before")


def graph_of(case: Case, dtype: Any) -> Any:
    """Return a model of ONNX with the inputs x, shape (steps, rows, inputs), and the lengths of a ragged case."""
    import onnx
    from onnx import helper

    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensors = [onnx.numpy_helper.from_array(np.array([1]), "direction")]
    nodes, name = [], "x"
    for layer, weights in enumerate(case.weights(dtype)):
        input_weight, hidden_weight, *biases = (_ordered(case, weight) for weight in weights)
        arrays = {"W": input_weight, "R": hidden_weight, "B": np.concatenate(biases)}
        tensors += [onnx.numpy_helper.from_array(array[np.newaxis], f"{key}{layer}") for key, array in arrays.items()]
        options = {} if case.kind == "lstm" else {"linear_before_reset": int(case.reset_after)}
        given = [name, *(f"{key}{layer}" for key in arrays), *(["lengths"] if case.is_ragged else [])]
        made = [f"Y{layer}", f"last{layer}"]
        nodes.append(helper.make_node(case.kind.upper(), given, made, hidden_size=case.sizes[layer + 1], **options))
        nodes.append(helper.make_node("Squeeze", [f"Y{layer}", "direction"], [f"y{layer}"]))
        name = f"y{layer}"
    inputs = [helper.make_tensor_value_info("x", element, [case.steps, None, case.sizes[0]])]
    if case.is_ragged:
        inputs.append(helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, [None]))
    last = helper.make_tensor_value_info(made[1], element, [1, None, case.sizes[-1]])
    graph = helper.make_graph(nodes, "cells", inputs, [last], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _ordered(case: Case, weight: Array) -> Array:
    gates = np.split(weight, len(ORDERS[case.kind]))
    return np.concatenate([gates[gate] for gate in ORDERS[case.kind]])


def given_to(case: Case, dtype: Any) -> dict[str, Array]:
    """Return the inputs of the graph, without the rows that have no steps: it refuses them."""
    lengths, x = case.lengths(), case.inputs(dtype)
    if lengths is None:
        return {"x": x.transpose(1, 0, 2)}
    return {"x": x[lengths > 0].transpose(1, 0, 2), "lengths": lengths[lengths > 0].astype(np.int32)}


def filled(case: Case, found: Array) -> Array:
    """Return last states with zeros for the rows without steps."""
    lengths = case.lengths()
    if lengths is None:
        return found
    states = np.zeros((case.rows, case.sizes[-1]), dtype=found.dtype)
    states[lengths > 0] = found
    return states


def by_onnxruntime(case: Case) -> Array:
    from pipeline.conversion.onnx.scoring import runtime

    given = given_to(case, np.float32)
    if not given["x"].shape[1]:
        return filled(case, np.zeros((0, case.sizes[-1]), np.float32))
    graph = graph_of(case, np.float32).SerializeToString()
    session = runtime().InferenceSession(graph, providers=["CPUExecutionProvider"])
    (last,) = session.run(None, given)
    return filled(case, last[0])


def by_reference(case: Case) -> Array:
    from onnx.reference import ReferenceEvaluator

    (last,) = ReferenceEvaluator(graph_of(case, np.float64)).run(None, given_to(case, np.float64))
    return np.asarray(last)[0]


def main() -> None:
    lines = [
        *(f'"float32 {name_of(case)}": {json.dumps(corner(by_onnxruntime(case)).tolist())}' for case in RECURRENT),
        *(f'"float64 {name_of(case)}": {json.dumps(corner(by_reference(case)).tolist())}' for case in WHOLE),
    ]
    STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
