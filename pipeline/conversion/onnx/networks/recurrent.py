"""The operators LSTM and GRU: their weights as PyTorch orders them, and what they do not have here.

ONNX has the gates in the order i, o, f, c and z, r, h (onnx.ai, Operators).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from pipeline.conversion.networks.stack import Floats, StackedRecurrent
from pipeline.conversion.onnx.networks.values import (
    ONE,
    UNITS,
    NetworkStep,
    NetworkTensor,
    NetworkValue,
    UniformTensor,
)

# Where PyTorch's gates i, f, g, o and r, z, n are among those of ONNX.
_ORDER: Mapping[Literal["lstm", "gru"], tuple[int, ...]] = {"lstm": (0, 2, 3, 1), "gru": (1, 0, 2)}
_ACTIVATIONS = {"lstm": ["sigmoid", "tanh", "tanh"], "gru": ["sigmoid", "tanh"]}
_PLAIN = "train the layer without it: layers are computed as PyTorch computes them"
_FORWARD = "train the layer in one direction, from the first step to the last"
_FROM_ZERO = "train the layer without initial states: here they are zero in every row"
_TORN = "the graph does not fit together: write it again with another version of the tool that made it"


def _check_kind(step: NetworkStep, kind: Literal["lstm", "gru"]) -> None:
    """Raise an error that names what a layer has and none has here."""
    direction = step.attribute("direction", "forward")
    if direction != "forward":
        raise step.refused(f"is {direction}: it does not read the steps from the first to the last alone", _FORWARD)
    if step.attribute("clip") is not None:
        raise step.refused("clips the sums of its gates (clip)", _PLAIN)
    if step.attribute("input_forget", 0):
        raise step.refused("couples its input and forget gates (input_forget)", _PLAIN)
    if kind == "lstm" and step.has(7):
        raise step.refused("has peepholes", _PLAIN)
    said = [str(each).lower() for each in step.attribute("activations") or _ACTIVATIONS[kind]]
    if said != _ACTIVATIONS[kind]:
        raise step.refused(f"has the activations {', '.join(said)}", _PLAIN)


def _check_start(step: NetworkStep, tensor: NetworkTensor, steps: str) -> None:
    """Raise an error unless all states begin at zero and all rows have all steps."""
    for position in (5, 6):
        if not step.has(position):
            continue
        state = step.value(position)
        is_zero = state.number == 0 if isinstance(state, UniformTensor) else not np.any(step.constant(position))
        if not is_zero:
            raise step.refused("begins with states that are not zero", _FROM_ZERO)
    length = step.length(tensor, steps)
    if step.has(4) and not np.all(step.constant(4) == (length if isinstance(length, int) else -1)):
        raise step.refused("is told how many steps each row has (sequence_lens)", "leave these lengths out")


def _weights(step: NetworkStep, kind: Literal["lstm", "gru"], inputs: int) -> StackedRecurrent:
    order = _ORDER[kind]
    given, hidden = step.finite(1), step.finite(2)
    units = hidden.shape[-1]
    rows = len(order) * units
    shapes = [(1, rows, inputs), (1, rows, units), (1, 2 * rows)]
    found = [given, hidden, step.finite(3) if step.has(3) else np.zeros(shapes[2])]
    if [each.shape for each in found] != shapes or not units:
        said = ", ".join(str(each.shape) for each in found)
        raise step.refused(f"takes {inputs} numbers a step, but has weights of the shapes {said}", _TORN)

    def ordered(values: Floats) -> Floats:
        return np.concatenate([values[gate * units : (gate + 1) * units] for gate in order])

    bias = found[2][0]
    is_after = kind == "lstm" or bool(step.attribute("linear_before_reset", 0))
    inputs_, states = ordered(given[0]), ordered(hidden[0])
    return StackedRecurrent(kind, inputs_, states, ordered(bias[:rows]), ordered(bias[rows:]), is_after)


def _layer(kind: Literal["lstm", "gru"]) -> Callable[[NetworkStep], Sequence[NetworkValue]]:
    """Return what makes the states of all steps, and those of the last one."""

    def made(step: NetworkStep) -> Sequence[NetworkValue]:
        tensor = step.tensor()
        _check_kind(step, kind)
        rows_first = bool(step.attribute("layout", 0))
        if len(tensor.axes) != 3 or tensor.axes[2] != UNITS or ONE in tensor.axes:
            raise step.refused("takes no sequence: its input has the axes " + ", ".join(tensor.axes))
        steps, rows = tensor.axes[:2][::-1] if rows_first else tensor.axes[:2]
        if tensor.steps not in {"", steps}:
            raise step.refused("takes the rows of the layer before it as its steps")
        _check_start(step, tensor, steps)
        length = step.length(tensor, steps)
        before = tensor.stack.over(length if isinstance(length, int) else None)
        stack = before.recurrent(_weights(step, kind, tensor.units))
        all_axes = (rows, steps, ONE, UNITS) if rows_first else (steps, ONE, rows, UNITS)
        last_axes = (rows, ONE, UNITS) if rows_first else (ONE, rows, UNITS)
        return NetworkTensor.of(stack, all_axes, steps), NetworkTensor.of(stack.pooled("last"), last_axes)

    return made


RECURRENT_OPERATORS: Mapping[str, Callable[[NetworkStep], Sequence[NetworkValue]]] = {
    "LSTM": _layer("lstm"),
    "GRU": _layer("gru"),
}
