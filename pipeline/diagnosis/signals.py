"""Values and error signals of dense layers, for given weights.

Layer k has z_k = W_k a_(k-1) + b_k and a_k = f(z_k), where a_0 is the input; its error signal is dL/dz_k. Going back,

    dL/dz_k = (W_(k+1)^T dL/dz_(k+1)) f'(z_k)

with the steps of :mod:`pipeline.kernels.layers.backward`. Arrays have a row for each input row and a column for each
unit, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipeline import kernels
from pipeline.dataclass import dataclass
from pipeline.kernels.layers import DenseLayer, dense_error, dense_signal, dense_slopes
from pipeline.registry import function_named

Floats = npt.NDArray[np.float64]

# A unit is saturated where its slope is less than this share of the largest that its function has. For the sigmoid
# that is where its value is less than 0.05 or more than 0.95: there, the slope p (1 - p) is less than 0.0475 of 0.25.
SATURATED_SHARE = 4 * 0.05 * 0.95

# No function has its largest slope further out than 10, and none changes faster than these points are apart, but for
# elu left of 0.
_POINTS = np.append(np.linspace(-10, 10, 2_001), -1e-6)
_ENDS = np.array([-10.0, 10.0])
_STRAIGHT = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class LayerPass:
    """What a layer had on the way forward.

    Attributes
    ----------
    inputs : array
        Of shape (rows, inputs).
    values, slopes : array
        f(z) and f'(z), of shape (rows, units).
    """

    inputs: Floats
    values: Floats
    slopes: Floats


def forward(layers: Sequence[DenseLayer], x: Floats) -> Iterator[LayerPass]:
    """Yield what each layer has, from the input on.

    Parameters
    ----------
    layers : sequence of DenseLayer
        With weights in float64.
    x : array
        The input, of shape (rows, inputs of the first layer).
    """
    for layer in layers:
        sums = layer.raw(x)
        slopes = dense_slopes(layer, sums)
        done = LayerPass(x, layer.activate(sums), slopes)
        x = done.values
        yield done


def backward(layers: Sequence[DenseLayer], passes: Sequence[LayerPass], signal: Floats) -> Iterator[Floats]:
    """Yield dL/dz of each layer, from the last one back.

    Parameters
    ----------
    layers : sequence of DenseLayer
        As for :func:`forward`.
    passes : sequence of LayerPass
        What :func:`forward` yields.
    signal : array
        dL/dz of the last layer, of shape (rows, units): :func:`output_signal` makes it of an error dL/da.
    """
    yield signal
    for number in reversed(range(len(layers) - 1)):
        below, done = layers[number], passes[number]
        signal = dense_signal(below, done.values, done.slopes, dense_error(layers[number + 1], signal))
        yield signal


def output_signal(layers: Sequence[DenseLayer], passes: Sequence[LayerPass], error: Floats) -> Floats:
    """Return dL/dz of the last layer for an error dL/da."""
    return dense_signal(layers[-1], passes[-1].values, passes[-1].slopes, error)


def row_norms(signal: Floats) -> Floats:
    """Return the Euclidean norm of each row, infinite only where it is beyond float64 itself."""
    norms: Floats = np.linalg.norm(signal, axis=1)
    if not np.isfinite(norms).all():
        largest = np.abs(signal).max(axis=1, keepdims=True)
        scaled = np.linalg.norm(signal / np.where(largest > 0, largest, 1.0), axis=1)
        norms = scaled * largest[:, 0]
    return norms


def largest_slope(function: str | None, parameters: Mapping[str, float] = MappingProxyType({})) -> float:
    """Return the largest absolute derivative of a function, to within 1e-4 of itself; NaN if it has no bound."""
    if function is None:
        return 1.0
    entry, options = function_named(function), cast("dict[str, Any]", dict(parameters))
    arguments = entry.arguments(parameters)
    if entry.several:
        return 0.25 / arguments["temperature"]
    points = _POINTS
    if arguments.get("alpha") and "beta" in arguments:
        points = (points * arguments["temperature"] - arguments["beta"]) / arguments["alpha"]
    return float(np.max(np.abs(kernels.gradient(function, points, **options))))


def is_straight(function: str) -> bool:
    """Return whether a function has a side on which its slope goes to 1, as relu has."""
    return float(np.max(np.abs(kernels.gradient(function, _ENDS)))) > _STRAIGHT
