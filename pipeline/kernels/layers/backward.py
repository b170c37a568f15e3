"""The way back through a layer: from the derivatives of a loss by what it gives to those by what it gets.

Of a dense layer with the sums z = W x + b and the values a = f(z): dL/dz = dL/da f'(z), dL/dW is the sum of dL/dz x^T
over the rows, and dL/dx = W^T dL/dz (D. E. Rumelhart, G. E. Hinton, R. J. Williams, Learning representations by
back-propagating errors, 1986). Arrays have the shape (rows, features).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipeline.kernels.activations import evaluate, gradient
from pipeline.kernels.layers.dense import DenseLayer
from pipeline.kernels.layers.tiles import Tile
from pipeline.kernels.logistic import log_sigmoid
from pipeline.kernels.softmax import softmax, softmax_gradient
from pipeline.registry import function_named


def dense_slopes(layer: DenseLayer, sums: Tile) -> Tile:
    """Return the derivative of each value by its own sum, as read-only ones where the layer has no function."""
    options = cast("dict[str, Any]", layer.parameters)
    if layer.function is None:
        return np.broadcast_to(np.ones((), dtype=sums.dtype), sums.shape)
    if function_named(layer.function).several:
        return softmax_gradient(sums, **options)
    return gradient(layer.function, sums, **options)


def dense_signal(layer: DenseLayer, values: Tile, slopes: Tile, error: Tile) -> Tile:
    """Return dL/dz.

    Parameters
    ----------
    layer : DenseLayer
    values, slopes : ndarray, shape (rows, units)
        Of :meth:`DenseLayer.activate` and :func:`dense_slopes`.
    error : ndarray, shape (rows, units)
        dL/da.
    """
    if layer.function is None or not function_named(layer.function).several:
        return error * slopes
    # Each value of the softmax depends on all sums of its row: dL/dz_i = a_i (e_i - sum of a_j e_j) / temperature.
    mean = (values * error).sum(axis=1, keepdims=True)
    found: Tile = values * (error - mean) / layer.parameters["temperature"]
    return found


def dense_weight_gradient(inputs: Tile, signal: Tile) -> Tile:
    """Return dL/dW, the sum over the rows, of shape (units, inputs); ``signal`` is dL/dz."""
    # numpy.dot lets other threads work meanwhile; the operator does not.
    found: Tile = np.dot(signal.T, inputs)
    return found


def dense_error(layer: DenseLayer, signal: Tile) -> Tile:
    """Return dL/dx, of shape (rows, inputs), in the type of the weights; ``signal`` is dL/dz."""
    found: Tile = np.dot(signal, layer.weight)
    return found


def log_losses(head: str, raw: Tile, codes: npt.NDArray[np.integer[Any]]) -> Tile:
    """Return the log loss of each row, from raw predictions of any size; parameters as of :func:`log_loss_signal`."""
    if head == "sigmoid":
        return -log_sigmoid((2.0 * codes[:, np.newaxis] - 1.0) * raw)[:, 0]
    above = raw - raw.max(axis=1, keepdims=True)
    losses: Tile = np.log(np.exp(above).sum(axis=1)) - above[np.arange(len(raw)), codes]
    return losses


def log_loss_signal(head: str, raw: Tile, codes: npt.NDArray[np.integer[Any]]) -> Tile:
    """Return dL/dz of the log loss, shape (rows, outputs).

    With the probabilities p it is p - 1 for the class of the row, and p for the others. Where p is near 1, p - 1 is
    computed from the others, so that nothing cancels.

    Parameters
    ----------
    head : {"sigmoid", "softmax"}
    raw : ndarray, shape (rows, outputs)
    codes : ndarray of integers, shape (rows,)
        The number of the class of each row: 0 or 1 with the sigmoid.
    """
    if head == "sigmoid":
        sign = 1.0 - 2.0 * codes[:, np.newaxis]
        found: Tile = sign * evaluate("sigmoid", sign * raw)
        return found
    rows = np.arange(len(raw))
    signal = softmax(raw)
    signal[rows, codes] = 0.0
    signal[rows, codes] = -signal.sum(axis=1)
    return signal
