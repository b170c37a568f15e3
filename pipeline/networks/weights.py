"""Weights that are given, and weights that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.layers import Seed, glorot

_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def weight_type(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64 as a type of numpy; raise a ``TypeError`` for another."""
    found = np.dtype(dtype)
    if found not in _TYPES:
        raise TypeError(f"dtype must be float32 or float64, got {found}")
    return found


def copied(*weights: Any) -> Any:
    """Return copies of arrays, so that a later change does not reach the layer; anything else as it is."""
    return tuple(np.array(weight) if isinstance(weight, np.ndarray) else weight for weight in weights)


def gate_weights(gates: int, inputs: int, units: int, seed: Seed) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return weights for inputs and for hidden states, the gates one below the other, each as Glorot with gain 1."""
    start = seed if isinstance(seed, tuple) else (seed,)
    of_inputs = [glorot(inputs, units, seed=(*start, gate, 0)) for gate in range(gates)]
    of_states = [glorot(units, units, seed=(*start, gate, 1)) for gate in range(gates)]
    return np.concatenate(of_inputs), np.concatenate(of_states)
