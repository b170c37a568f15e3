"""Values and error signals of fully connected layers without biases, for given weights.

Layer k has z_k = W_k a_(k-1) and a_k = f(z_k), where a_0 is the input; its error signal is dL/dz_k. Going back,

    dL/dz_k = (W_(k+1)^T dL/dz_(k+1)) f'(z_k)

(D. E. Rumelhart, G. E. Hinton, R. J. Williams, Learning representations by back-propagating errors, 1986). Arrays have
a row for each input row and a column for each unit, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline import kernels

Floats = npt.NDArray[np.float64]

# A unit is saturated where its slope is less than this share of the largest that its function has. For the sigmoid
# that is where its value is less than 0.05 or more than 0.95: there, the slope p (1 - p) is less than 0.0475 of 0.25.
SATURATED_SHARE = 4 * 0.05 * 0.95

# No function has its largest slope further out than 10, and none changes faster than these points are apart.
_POINTS = np.linspace(-10, 10, 2_001)
_STRAIGHT = 0.9


def forward(weights: Sequence[Floats], x: Floats, function: str) -> Iterator[tuple[Floats, Floats]]:
    """Yield the values f(z) and the slopes f'(z) of each layer, from the input on.

    Parameters
    ----------
    weights : sequence of array
        Of shape (units, inputs) each.
    x : array
        The input, of shape (rows, inputs of the first layer).
    function : str
        A function of the registry that takes one column.
    """
    for weight in weights:
        # numpy.dot lets other threads work meanwhile; the operator does not.
        z = np.dot(x, weight.T)
        x = kernels.evaluate(function, z)
        yield x, kernels.gradient(function, z)


def backward(weights: Sequence[Floats], slopes: Sequence[Floats], error: Floats) -> Iterator[Floats]:
    """Yield dL/dz of each layer, from the last one back.

    Parameters
    ----------
    weights : sequence of array
        As for :func:`forward`.
    slopes : sequence of array
        What :func:`forward` yields.
    error : array
        dL/da of the last layer, of shape (rows, units).
    """
    for layer in reversed(range(len(weights))):
        signal = error * slopes[layer]
        yield signal
        if layer:
            error = np.dot(signal, weights[layer])


def largest_slope(function: str) -> float:
    """Return the largest absolute derivative of a function, to within 1e-4 of itself."""
    return float(np.max(np.abs(kernels.gradient(function, _POINTS))))


def is_straight(function: str) -> bool:
    """Return whether a function has a side on which its slope goes to 1, as relu has."""
    return float(np.max(np.abs(kernels.gradient(function, _POINTS[[0, -1]])))) > _STRAIGHT
