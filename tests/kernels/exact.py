"""What the kernels should give, from mpmath with 200 bits, and distances from it in units in the last place."""

from __future__ import annotations

import mpmath
import numpy as np

_CONTEXT = mpmath.MPContext()
_CONTEXT.prec = 200
mpf, exp, log, log1p, expm1 = _CONTEXT.mpf, _CONTEXT.exp, _CONTEXT.log, _CONTEXT.log1p, _CONTEXT.expm1


def sigmoid(x):
    return 1 / (1 + _CONTEXT.exp(-x))


def log_sigmoid(x):
    return -_CONTEXT.log1p(_CONTEXT.exp(-x)) if x > 0 else x - _CONTEXT.log1p(_CONTEXT.exp(x))


def logit(p):
    return _CONTEXT.log(p) - _CONTEXT.log1p(-p)


def unit(value):
    """The distance between neighbouring float64 numbers at a value."""
    return mpf(2) ** max(_CONTEXT.frexp(value)[1] - 53, -1074)


def largest_error(results: np.ndarray, inputs: np.ndarray, function) -> float:
    errors = []
    for result, x in zip(results.tolist(), inputs.tolist(), strict=True):
        truth = function(mpf(x))
        errors.append(abs(mpf(result) - truth) / unit(truth))
    return float(max(errors))


def bits(array: np.ndarray) -> np.ndarray:
    """The bits of floats as integers, so that NaN equals NaN and 0.0 is not -0.0."""
    contiguous = np.ascontiguousarray(array)
    return contiguous.view(f"u{contiguous.dtype.itemsize}")
