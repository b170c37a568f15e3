"""Sums of reciprocals of neighbouring whole numbers."""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.exact import Floats

# From here on three terms of the series are accurate to float64.
_FAR = 64


def harmonic_differences(start: Floats, count: Floats) -> Floats:
    """Return the sum of 1 / (start + i) for i = 1 ... count, for whole numbers; accurate to about 1e-15 of itself.

    Close to 0 by a table; farther with H(n) = log m + 1 / (24 m^2) - 7 / (960 m^4) + ..., m = n + 1/2, and the constant
    of Euler (DLMF 5.11.1 around the middle of an interval), as a difference, so that nothing is lost where both are
    large.
    """
    table = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _FAR + 1))])
    stop = start + count
    near: Floats = table[np.minimum(stop, _FAR).astype(np.intp)] - table[np.minimum(start, _FAR).astype(np.intp)]
    first, last = np.maximum(start, _FAR) + 0.5, np.maximum(stop, _FAR) + 0.5
    near += np.log1p((last - first) / first) + _rest(last) - _rest(first)
    return near


def _rest(middle: Floats) -> Floats:
    square = 1.0 / (middle * middle)
    rest: Floats = square * (1.0 / 24.0 - square * (7.0 / 960.0 - square * (31.0 / 8064.0)))
    return rest
