"""The layers of Keras that are read: what each makes of the layers before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.conversion.networks.keras.archive import KerasWeights
from pipeline.conversion.networks.keras.config import KerasLayer
from pipeline.conversion.networks.stack import Floats, Stack
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
    axis = layer.settings.get("axis", -1)
    if axis not in {-1, 1} and axis not in ([-1], [1]):
        raise layer.refused(f"normalises axis {axis!r:.20}, not that of the units", _LEAVE_OUT)
    is_scaled, is_centered = layer.setting("scale", bool, True), layer.setting("center", bool, True)
    found = [*step.arrays(*[(units,)] * (2 + is_scaled + is_centered))]
    scale = found.pop(0) if is_scaled else np.ones(units)
    shift = found.pop(0) if is_centered else np.zeros(units)
    mean, variance = found
    factor = scale / np.sqrt(variance + float(layer.setting("epsilon", (float, int), 1e-3)))
    return step.stack.straight(factor, shift - mean * factor)


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
    if step.layer.settings.get("axis", -1) not in {-1, 1}:
        raise step.layer.refused("works over another axis than that of the units", _LEAVE_OUT)
    return step.stack.function("softmax")


_LAYERS: Mapping[str, Callable[[KerasStep], Stack]] = {
    "Dense": _dense,
    "BatchNormalization": _normalised,
    "Dropout": _same,
    "Activation": lambda step: step.activated(step.stack),
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "ELU": _elu,
    "Softmax": _softmax,
}
