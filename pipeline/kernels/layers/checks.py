"""What layers check of weights, sizes and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def checked_weights(
    weights: Mapping[str, npt.NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, npt.NDArray[Any]]:
    """Return weights by name as contiguous arrays that cannot be written to.

    Raises
    ------
    TypeError
        One is no array of float32 or float64, or they are of both.
    ValueError
        One has another shape than it must have, or holds NaN or infinity.
    """
    checked = {name: _checked(name, weights[name], shape) for name, shape in shapes.items()}
    types = {name: str(weight.dtype) for name, weight in checked.items()}
    if len(set(types.values())) > 1:
        listed = ", ".join(f"{name} {dtype}" for name, dtype in types.items())
        raise TypeError(f"the weights of a layer must have one type: {listed}")
    return checked


def matrix_shape(name: str, weight: object) -> tuple[int, int]:
    """Return the shape of a weight matrix, (units, inputs), each at least 1.

    Raises
    ------
    TypeError
        It is no array.
    ValueError
        It has another number of axes, or is empty.
    """
    if not isinstance(weight, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, got {type(weight).__name__}")
    if weight.ndim != 2 or not weight.size:
        raise ValueError(f"{name} must have the shape (units, inputs), each at least 1, got {weight.shape}")
    units, inputs = weight.shape
    return units, inputs


def check_sizes(**sizes: int) -> None:
    """Raise a ``TypeError`` for a size that is not an integer, a ``ValueError`` for one that is less than 1."""
    for name, size in sizes.items():
        if not is_integer(size):
            raise TypeError(f"{name} must be an integer, got {type(size).__name__}")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def is_integer(number: object) -> bool:
    """Return whether it is an integer, and no boolean."""
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def positive(name: str, number: float) -> float:
    """Return a number as a float.

    Raises
    ------
    TypeError
        It is no number.
    ValueError
        It is not finite, or not above 0.
    """
    if isinstance(number, bool) or not isinstance(number, int | float | np.number):
        raise TypeError(f"{name} must be a number, got {type(number).__name__}")
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {number:g}")
    return float(number)


def _checked(name: str, weight: object, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if not isinstance(weight, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, got {type(weight).__name__}")
    if weight.dtype.newbyteorder("=") not in _FLOATS:
        raise TypeError(f"{name} must be float32 or float64, got {weight.dtype}")
    if weight.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {weight.shape}")
    if not np.isfinite(weight).all():
        raise ValueError(f"{name} holds NaN or infinity")
    whole = np.ascontiguousarray(weight, dtype=weight.dtype.newbyteorder("=")).view(np.ndarray)
    whole.flags.writeable = False
    return whole
