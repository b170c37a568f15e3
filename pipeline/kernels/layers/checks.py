"""What every layer checks of its weights."""

from __future__ import annotations

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
