"""Dense layers of a network, and the functions of the registry, as nodes of a graph in the type of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.onnx.construction import Construction
from pipeline.errors import ModelError
from pipeline.models.network.file import DenseSection
from pipeline.registry import FUNCTIONS, function_named

Tensors = Mapping[str, npt.NDArray[Any]]

# Names of constants that are tensors of the network.
TENSOR = "tensor "
# Below it x times a sigmoid of x is 0, and at minus infinity the product would be NaN.
_LOWEST = -1e4
_FLOAT32_ALONE = {"gelu": "Erf", "inverse_probit": "Erf", "inverse_cauchit": "Atan"}


class LayerWriter:
    """Writes layers into a graph. Values have shape (rows, units).

    Parameters
    ----------
    made : Construction
        Gets the nodes.
    tensors : mapping of str to ndarray
        The weights of the network, all of one type, in which the nodes compute.
    """

    def __init__(self, made: Construction, tensors: Tensors) -> None:
        self.made = made
        self._tensors = tensors
        self.dtype = next(iter(tensors.values())).dtype

    def number(self, value: float) -> str:
        """Return a constant of shape (1, 1)."""
        return self.made.constant(np.array([[value]], dtype=self.dtype))

    def tensor(self, name: str) -> str:
        """Return a tensor of the network."""
        return self.made.named(f"{TENSOR}{name}", self._tensors[name])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the network."""
        return self._tensors[name].shape

    def dense(self, layer: DenseSection, x: str) -> str:
        """Return what a layer makes of the values of the layer before it."""
        sums = self.made.add("Gemm", x, *map(self.tensor, layer.tensors), transB=1)
        return sums if layer.function is None else self.applied(layer.function, layer.parameters, sums)

    def applied(self, name: str, parameters: Mapping[str, float], x: str) -> str:
        """Return a function of the registry of each value; the softmax over the units.

        Raises
        ------
        ModelError
            onnxruntime has no operator for it in float64.
        """
        if self.dtype == np.float64 and name in _FLOAT32_ALONE:
            raise ModelError(
                f'the function "{name}" cannot be written as a graph: onnxruntime has no {_FLOAT32_ALONE[name]} in '
                "float64",
                "save the weights as float32, or score with logitstream",
            )
        return _WRITERS[name](self, x, **function_named(name).arguments(parameters))

    def add(self, operator: str, *inputs: str | float, **attributes: Any) -> str:
        """Return the output of a node; numbers are constants."""
        names = [each if isinstance(each, str) else self.number(each) for each in inputs]
        return self.made.add(operator, *names, **attributes)

    def logistic(self, x: str) -> str:
        """Return the sigmoid: in float64 ``exp(min(x, 0)) / (1 + exp(-abs(x)))``, as Sigmoid is off by 4e-8 there."""
        if self.dtype == np.float32:
            return self.add("Sigmoid", x)
        above = self.add("Exp", self.add("Min", x, 0.0))
        return self.add("Div", above, self.add("Add", 1.0, self.small(x)))

    def small(self, x: str) -> str:
        """Return ``exp(-abs(x))``."""
        return self.add("Exp", self.add("Neg", self.add("Abs", x)))

    def softplus(self, x: str) -> str:
        """Return ``max(x, 0) + log(1 + exp(-abs(x)))``."""
        return self.add("Add", self.add("Max", x, 0.0), self.add("Log", self.add("Add", 1.0, self.small(x))))


def _sigmoid(to: LayerWriter, x: str, *, temperature: float, alpha: float, beta: float, low: float, high: float) -> str:
    for operator, number, neutral in (("Mul", alpha, 1), ("Add", beta, 0), ("Div", temperature, 1)):
        if number != neutral:
            x = to.add(operator, x, number)
    made = to.logistic(x)
    return made if (low, high) == (0, 1) else to.add("Add", low, to.add("Mul", high - low, made))


def _log_sigmoid(to: LayerWriter, x: str) -> str:
    return to.add("Neg", to.softplus(to.add("Neg", x)))


def _logit(to: LayerWriter, x: str) -> str:
    return to.add("Log", to.add("Div", x, to.add("Sub", 1.0, x)))


def _half(to: LayerWriter, operator: str, x: str, scale: float, by: str | float) -> str:
    """Return ``by (1 + f(scale x)) / 2``."""
    return to.add("Mul", to.add("Mul", by, 0.5), to.add("Add", 1.0, to.add(operator, to.add("Mul", x, scale))))


def _inverse_probit(to: LayerWriter, x: str) -> str:
    return _half(to, "Erf", x, math.sqrt(0.5), 1.0)


def _inverse_cloglog(to: LayerWriter, x: str) -> str:
    return to.add("Sub", 1.0, to.add("Exp", to.add("Neg", to.add("Exp", x))))


def _inverse_loglog(to: LayerWriter, x: str) -> str:
    return to.add("Exp", to.add("Neg", to.add("Exp", to.add("Neg", x))))


def _inverse_cauchit(to: LayerWriter, x: str) -> str:
    return to.add("Add", 0.5, to.add("Div", to.add("Atan", x), math.pi))


def _above(to: LayerWriter, x: str, otherwise: str) -> str:
    """Return x where it is above 0, else another value."""
    return to.add("Where", to.add("Greater", x, 0.0), x, otherwise)


def _leaky_relu(to: LayerWriter, x: str, *, alpha: float) -> str:
    return _above(to, x, to.add("Mul", x, alpha))


def _elu(to: LayerWriter, x: str, *, alpha: float) -> str:
    rest = to.add("Sub", to.add("Exp", to.add("Min", x, 0.0)), 1.0)
    return _above(to, x, to.add("Mul", rest, alpha))


def _silu(to: LayerWriter, x: str) -> str:
    return to.add("Mul", to.add("Max", x, _LOWEST), to.logistic(x))


def _hard_sigmoid(to: LayerWriter, x: str) -> str:
    return to.add("Min", to.add("Max", to.add("Div", to.add("Add", x, 3.0), 6.0), 0.0), 1.0)


def _gelu(to: LayerWriter, x: str) -> str:
    return _half(to, "Erf", x, math.sqrt(0.5), to.add("Max", x, _LOWEST))


def _gelu_tanh(to: LayerWriter, x: str) -> str:
    x = to.add("Max", x, _LOWEST)
    cube = to.add("Mul", to.add("Mul", x, x), x)
    inner = to.add("Add", x, to.add("Mul", cube, 0.044715))
    return _half(to, "Tanh", inner, math.sqrt(2 / math.pi), x)


def _softmax(to: LayerWriter, x: str, *, temperature: float) -> str:
    if temperature != 1:
        x = to.add("Div", x, temperature)
    power = to.add("Exp", to.add("Sub", x, to.add("ReduceMax", x, axes=[1], keepdims=1)))
    return to.add("Div", power, to.made.total(power))


_WRITERS: Mapping[str, Callable[..., str]] = {
    "sigmoid": _sigmoid,
    "log_sigmoid": _log_sigmoid,
    "logit": _logit,
    "inverse_probit": _inverse_probit,
    "inverse_cloglog": _inverse_cloglog,
    "inverse_loglog": _inverse_loglog,
    "inverse_cauchit": _inverse_cauchit,
    "tanh": lambda to, x: to.add("Tanh", x),
    "relu": lambda to, x: to.add("Relu", x),
    "leaky_relu": _leaky_relu,
    "softplus": LayerWriter.softplus,
    "silu": _silu,
    "hard_sigmoid": _hard_sigmoid,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "elu": _elu,
    "softmax": _softmax,
}
assert _WRITERS.keys() == FUNCTIONS.keys()
