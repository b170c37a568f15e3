"""The layers of Keras that are read: what each makes of the layers before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from pipeline.conversion.networks.keras.archive import KerasWeights
from pipeline.conversion.networks.keras.config import KerasLayer
from pipeline.conversion.networks.stack import Floats, Stack, StackedRecurrent
from pipeline.dataclass import dataclass
from pipeline.units import escape

_LEAVE_OUT = "leave the layer out, or use one of those that logitstream guide other-tools lists"
_TORN = "write it again with Keras 3: model.save('model.keras')"
# What Keras calls a function, with its parameters there.
_FUNCTIONS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    **{name: (name, {}) for name in ("sigmoid", "tanh", "relu", "elu", "gelu", "silu", "softplus", "softmax")},
    "hard_sigmoid": ("hard_sigmoid", {}),
    "log_sigmoid": ("log_sigmoid", {}),
    "swish": ("silu", {}),
    "leaky_relu": ("leaky_relu", {"alpha": 0.2}),
}
_PLAIN = "use the layer without it"
_NO_SETTINGS = {
    "go_backwards": "reads the steps in reverse",
    "return_state": "gives its state, too",
    "stateful": "keeps its state from batch to batch",
}
_FLOATS = frozenset({"float32", "float64"})


@dataclass(frozen=True, slots=True)
class KerasStep:
    """A layer, what is before it, and where its weights are."""

    layer: KerasLayer
    stack: Stack
    weights: KerasWeights

    def arrays(self, *shapes: tuple[int, ...], cell: str = "") -> Sequence[Floats]:
        """Return the weights, which must have these shapes."""
        found = self.weights.of(self.layer.stored, cell, self.layer.shown)
        if tuple(each.shape for each in found) != shapes:
            said = ", ".join(str(each.shape) for each in found) or "none"
            raise self.layer.refused(f"has weights of the shapes {said}, not {', '.join(map(str, shapes))}", _TORN)
        return found

    @property
    def units_axes(self) -> tuple[int, int]:
        """The numbers of the axis of the units: behind the rows, and the steps of a sequence."""
        return (-1, 2 if self.stack.is_sequence else 1)

    def activated(self, stack: Stack, name: str = "activation") -> Stack:
        """Return a stack with the function behind it that a setting names."""
        function = self.layer.settings.get(name, "linear")
        if function == "linear" or function is None:
            return stack
        if not isinstance(function, str) or function not in _FUNCTIONS:
            said = escape(str(function.get("class_name") if isinstance(function, dict) else function), 40)
            raise self.layer.refused(f"has the function {said}, which logitstream does not have", _LEAVE_OUT)
        return stack.function(*_FUNCTIONS[function])


def stacked(layer: KerasLayer, stack: Stack, weights: KerasWeights) -> Stack:
    """Return a stack with a layer of Keras behind it.

    Raises
    ------
    ModelError
        There is no such layer here, or it has settings that there are not.
    """
    function = _LAYERS.get(layer.kind)
    if function is None:
        raise layer.refused("is of a class that logitstream does not read", _LEAVE_OUT)
    if layer.precision not in _FLOATS:
        raise layer.refused(f"computes in {escape(layer.precision, 40)}; here it is float32 or float64", _LEAVE_OUT)
    return function(KerasStep(layer, stack, weights))


def _dense(step: KerasStep) -> Stack:
    units = step.layer.setting("units", int, 0)
    shapes = (
        [(step.stack.units, units), (units,)]
        if step.layer.setting("use_bias", bool, True)
        else [(step.stack.units, units)]
    )
    if any(step.layer.settings.get(name) for name in ("quantization_config", "lora_rank")):
        raise step.layer.refused("is quantised or has LoRA weights", "save the network without them")
    kernel, *bias = step.arrays(*shapes)
    return step.activated(step.stack.dense(kernel.T, bias[0] if bias else None))


def _normalised(step: KerasStep) -> Stack:
    """Return a batch normalisation with the statistics of the training, which is straight."""
    layer, units = step.layer, step.stack.units
    axis = layer.setting("axis", int, -1)
    if axis not in step.units_axes:
        raise layer.refused(f"normalises axis {axis}, not that of the units", _LEAVE_OUT)
    is_scaled, is_centered = layer.setting("scale", bool, True), layer.setting("center", bool, True)
    found = [*step.arrays(*[(units,)] * (2 + is_scaled + is_centered))]
    scale = found.pop(0) if is_scaled else np.ones(units)
    shift = found.pop(0) if is_centered else np.zeros(units)
    mean, variance = found
    spread = variance + float(layer.setting("epsilon", (float, int), 1e-3))
    if spread.min(initial=1.0) <= 0:
        raise layer.refused("has a variance that is not positive", _TORN)
    factor = scale / np.sqrt(spread)
    return step.stack.straight(factor, shift - mean * factor)


def _recurrent(step: KerasStep) -> Stack:
    """Return an LSTM or a GRU: Keras has the gates in the order i, f, c, o and z, r, h (keras.layers)."""
    layer, units = step.layer, step.layer.setting("units", int, 0)
    for name, why in _NO_SETTINGS.items():
        if layer.settings.get(name):
            raise layer.refused(f"{why} ({name})", _PLAIN)
    functions = (layer.settings.get("activation", "tanh"), layer.settings.get("recurrent_activation", "sigmoid"))
    if functions != ("tanh", "sigmoid"):
        said = " and ".join(escape(str(each), 80) for each in functions)
        raise layer.refused(f"has the functions {said}, not tanh and sigmoid", "train it with these two")
    order = (0, 1, 2, 3) if layer.kind == "LSTM" else (1, 0, 2)
    is_after = layer.kind == "LSTM" or layer.setting("reset_after", bool, True)
    has_two = layer.kind == "GRU" and is_after
    columns = len(order) * units
    shapes: list[tuple[int, ...]] = [(step.stack.units, columns), (units, columns)]
    if layer.setting("use_bias", bool, True):
        shapes.append((2, columns) if has_two else (columns,))
    kernel, hidden, *biases = (
        np.concatenate([each[..., gate * units : (gate + 1) * units] for gate in order], axis=-1)
        for each in step.arrays(*shapes, cell="cell")
    )
    kind: Literal["lstm", "gru"] = "lstm" if layer.kind == "LSTM" else "gru"
    part = StackedRecurrent(kind, kernel.T, hidden.T, reset_after=is_after)
    if biases:
        # The second bias, of GRU alone, is that of the state.
        added = dict(zip(("input_bias", "hidden_bias"), np.atleast_2d(biases[0]), strict=False))
        part = replace(part, **added)
    stack = step.stack.recurrent(part)
    return stack if layer.setting("return_sequences", bool, False) else stack.pooled("last")


def _pooling(kind: Literal["mean", "max"]) -> Callable[[KerasStep], Stack]:
    """Return what takes the mean or the largest over the steps."""

    def made(step: KerasStep) -> Stack:
        if step.layer.settings.get("data_format", "channels_last") != "channels_last":
            raise step.layer.refused("has its steps behind its units (data_format)", _PLAIN)
        if step.layer.setting("keepdims", bool, False):
            raise step.layer.refused("keeps the axis of the steps (keepdims)", _PLAIN)
        return step.stack.pooled(kind)

    return made


def _same(step: KerasStep) -> Stack:
    return step.stack


def _relu(step: KerasStep) -> Stack:
    said = step.layer.settings
    if said.get("max_value") is not None or said.get("threshold"):
        raise step.layer.refused("cuts values at both ends or at a threshold", _LEAVE_OUT)
    slope = float(step.layer.setting("negative_slope", (float, int), 0.0))
    return step.stack.function("leaky_relu", {"alpha": slope}) if slope else step.stack.function("relu")


def _leaky(step: KerasStep) -> Stack:
    return step.stack.function("leaky_relu", {"alpha": float(step.layer.setting("negative_slope", (float, int), 0.3))})


def _elu(step: KerasStep) -> Stack:
    return step.stack.function("elu", {"alpha": float(step.layer.setting("alpha", (float, int), 1.0))})


def _softmax(step: KerasStep) -> Stack:
    axis = step.layer.setting("axis", (int, list), -1)
    if axis not in step.units_axes and axis not in [[each] for each in step.units_axes]:
        raise step.layer.refused("works over another axis than that of the units", _LEAVE_OUT)
    return step.stack.function("softmax")


_LAYERS: Mapping[str, Callable[[KerasStep], Stack]] = {
    "Dense": _dense,
    "BatchNormalization": _normalised,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "GlobalAveragePooling1D": _pooling("mean"),
    "GlobalMaxPooling1D": _pooling("max"),
    "Dropout": _same,
    "Activation": lambda step: step.activated(step.stack),
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "ELU": _elu,
    "Softmax": _softmax,
}
