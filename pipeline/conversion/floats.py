"""The least float64 at which something begins to hold, by bisection over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
# Places of float64 in their order: that of both zeros is 0, and the next larger float is one place further.
_INFINITY = int(np.float64(math.inf).view(np.int64))


def least_floats(holds: Callable[[Floats], npt.NDArray[np.bool_]], count: int = 1) -> Floats:
    """Return the least float64 at which each of some conditions holds; infinite where one holds always or never.

    Parameters
    ----------
    holds : callable
        Takes a number for each condition and returns whether they hold there, shape (count,). What holds at a number
        holds at every larger one.
    count : int
        How many conditions there are.
    """
    low, high = np.full(count, -_INFINITY), np.full(count, _INFINITY)
    always = holds(_floats(low))
    # It holds at high, not at low; their sum may be beyond int64.
    while np.any((middle := (low >> 1) + (high >> 1) + (low & high & 1)) != low):
        is_held = holds(_floats(middle))
        low, high = np.where(is_held, low, middle), np.where(is_held, middle, high)
    return np.where(always, -math.inf, _floats(high))


def _floats(places: Places) -> Floats:
    magnitudes = np.abs(places).view(np.float64)
    return np.where(places < 0, -magnitudes, magnitudes)
