"""Gradients of a limited size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.layers.checks import positive
from pipeline.kernels.tiles import as_source

Gradient = npt.NDArray[Any]


def clip_gradients(gradients: Any, threshold: float, *, elementwise: bool = False) -> Any:
    """Return gradients whose norm over all of their elements is at most a threshold; the direction stays.

    All are multiplied by the same factor, threshold / norm, where the norm is larger, and are equal copies where it is
    not. What is given is never changed. R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent
    neural networks, 2013.

    Parameters
    ----------
    gradients : array, or a sequence or mapping of arrays
        Of any shapes, float32 and float64 in their own type, integers as float64. The result is an array, a list, or a
        dictionary with the same keys. Dask arrays are computed: the result is in memory.
    threshold : float
        Finite and above 0.
    elementwise : bool
        Clip each element to between -threshold and threshold instead, which changes the direction.

    Raises
    ------
    TypeError
        An array is of another type, or the threshold is no number.
    ValueError
        The threshold is not allowed, or a gradient holds NaN or infinity: there is no direction to keep.
    """
    limit = positive("threshold", threshold)
    if isinstance(gradients, Mapping):
        given = [_finite(f"gradient {name!r}", each) for name, each in gradients.items()]
        return dict(zip(gradients, _clipped(given, limit, elementwise), strict=True))
    if isinstance(gradients, list | tuple):
        given = [_finite(f"gradient {place}", each) for place, each in enumerate(gradients)]
        return _clipped(given, limit, elementwise)
    return _clipped([_finite("the gradient", gradients)], limit, elementwise)[0]


def _clipped(gradients: list[Gradient], limit: float, elementwise: bool) -> list[Gradient]:
    if elementwise:
        return [np.clip(each, -limit, limit, dtype=each.dtype) for each in gradients]
    wide = [each.astype(np.float64) for each in gradients]
    largest = max((float(np.abs(each).max(initial=0.0)) for each in wide), default=0.0)
    # Squares of shares of the largest element are finite, and of the others none is lost that counts.
    shares = [each / largest for each in wide] if largest else wide
    root = math.sqrt(math.fsum(float(np.square(each).sum()) for each in shares))
    if root <= limit / (largest or 1.0):
        return [each.copy() for each in gradients]
    return [(share * (limit / root)).astype(each.dtype) for share, each in zip(shares, gradients, strict=True)]


def _finite(name: str, gradient: Any) -> Gradient:
    array = as_source(gradient)
    floats = array if array.dtype.kind == "f" else array.astype(np.float64)
    if not np.isfinite(floats).all():
        raise ValueError(f"{name} holds NaN or infinity, which clipping cannot mend: lower the learning rate")
    return floats
