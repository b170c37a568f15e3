"""The dense layers of a network while it learns: all parameters in one vector, the loss, and its gradient.

For one block of rows, in float64. Back-propagation as in D. Rumelhart, G. Hinton, R. Williams, Learning representations
by back-propagating errors, 1986. Products are made by ``numpy.dot``, because ``@`` keeps the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.network.wishes import LearningWishes
from pipeline.fitting.tiles.layout import Codes, Floats
from pipeline.kernels.activations import evaluate, gradient
from pipeline.kernels.layers import (
    default_gain,
    glorot,
    he,
    log_loss_signal,
    log_losses,
    normal,
)


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """The sizes of dense layers, and the functions of all but the last.

    Attributes
    ----------
    widths : tuple of int
        The inputs, the units of each hidden layer, and the raw predictions: 1 for two classes, else one for each class.
    functions : tuple of str
        Of the hidden layers.
    """

    widths: tuple[int, ...]
    functions: tuple[str, ...]

    @classmethod
    def of(cls, learning: LearningWishes, inputs: int, classes: int) -> NetworkShape:
        """Return the shape of a network of so many inputs and classes."""
        units = (layer.units for layer in learning.hidden)
        return cls((inputs, *units, 1 if classes == 2 else classes), tuple(each.function for each in learning.hidden))

    @property
    def head(self) -> str:
        """What makes probabilities of the raw predictions: sigmoid or softmax."""
        return "sigmoid" if self.widths[-1] == 1 else "softmax"

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return sum((inputs + 1) * units for inputs, units in pairwise(self.widths))

    def views(self, parameters: Floats) -> list[tuple[Floats, Floats]]:
        """Return weight, shape (units, inputs), and bias of each layer, in the memory of a vector."""
        return list(self._views(parameters))

    def _views(self, parameters: Floats) -> Iterator[tuple[Floats, Floats]]:
        first = 0
        for inputs, units in pairwise(self.widths):
            middle, stop = first + inputs * units, first + (inputs + 1) * units
            yield parameters[first:middle].reshape(units, inputs), parameters[middle:stop]
            first = stop


def drawn(shape: NetworkShape, learning: LearningWishes) -> Floats:
    """Return initial parameters, the same ones for the same seed; biases are 0.

    The last layer has the gain 1, the hidden ones that of their function unless another is asked for.
    """
    parameters = np.zeros(shape.size)
    functions = (*shape.functions, None)
    for number, ((weight, _), function) in enumerate(zip(shape.views(parameters), functions, strict=True)):
        units, inputs = weight.shape
        seed = (learning.seed, 0, number)
        if learning.initialisation == "normal":
            weight[:] = normal(inputs, units, seed=seed)
        elif learning.initialisation == "he":
            gain = learning.gain if learning.gain is not None and function else 1.0
            weight[:] = he(inputs, units, gain=gain, seed=seed)
        else:
            own = default_gain(function) if function else 1.0
            gain = learning.gain if learning.gain is not None and function else own
            weight[:] = glorot(inputs, units, gain=gain, seed=seed)
    return parameters


def raw_predictions(shape: NetworkShape, parameters: Floats, inputs: Floats, offset: Floats | None = None) -> Floats:
    """Return raw predictions, shape (rows, outputs); ``offset`` is added to the one of two classes."""
    values = inputs
    layers = shape.views(parameters)
    for (weight, bias), function in zip(layers[:-1], shape.functions, strict=True):
        values = evaluate(function, _sums(values, weight, bias))
    return _added(_sums(values, *layers[-1]), offset)


def loss_and_gradient(
    shape: NetworkShape,
    parameters: Floats,
    inputs: Floats,
    classes: Codes,
    weights: Floats | None,
    offset: Floats | None = None,
) -> tuple[float, Floats]:
    """Return the mean log loss of some rows, and its gradient by the parameters.

    The mean is weighted. Rows whose weights are all 0 have the loss 0. ``offset`` is added to the raw prediction.
    """
    layers = shape.views(parameters)
    sums, values = list[Floats](), [inputs]
    for (weight, bias), function in zip(layers[:-1], shape.functions, strict=True):
        sums.append(_sums(values[-1], weight, bias))
        values.append(evaluate(function, sums[-1]))
    raw = _added(_sums(values[-1], *layers[-1]), offset)
    shares = _shares(len(classes), weights)
    slopes = np.empty(shape.size)
    signal = log_loss_signal(shape.head, raw, classes) * shares[:, np.newaxis]
    found = shape.views(slopes)
    for number in range(len(layers) - 1, -1, -1):
        weight_slope, bias_slope = found[number]
        np.dot(signal.T, values[number], out=weight_slope)
        signal.sum(axis=0, out=bias_slope)
        if number:
            signal = np.dot(signal, layers[number][0]) * gradient(shape.functions[number - 1], sums[number - 1])
    return float(np.dot(log_losses(shape.head, raw, classes), shares)), slopes


def add_penalty(shape: NetworkShape, parameters: Floats, slopes: Floats, l2: float) -> None:
    """Add the gradient of half of the squares of all weights, times a number; biases have no penalty."""
    for (weight, _), (slope, _) in zip(shape.views(parameters), shape.views(slopes), strict=True):
        np.add(slope, l2 * weight, out=slope)


def _sums(values: Floats, weight: Floats, bias: Floats) -> Floats:
    sums: Floats = np.dot(values, weight.T)
    sums += bias
    return sums


def _added(raw: Floats, offset: Floats | None) -> Floats:
    if offset is not None:
        raw += offset[:, np.newaxis]
    return raw


def _shares(rows: int, weights: Floats | None) -> Floats:
    if weights is None:
        return np.full(rows, 1.0 / rows)
    total = float(weights.sum())
    shares: Floats = weights / total if total else np.zeros(rows)
    return shares


def rows_bytes(widths: Sequence[int], rows: int) -> int:
    """Return the bytes that a loss and its gradient take for so many rows: inputs, sums, values and signals."""
    return 8 * rows * (2 * widths[0] + 5 * sum(widths[1:]) + 8)
