"""The tail of the normal distribution, for the functions that are made of it."""

from __future__ import annotations

import numpy as np

from pipeline.kernels.logistic import Library
from pipeline.kernels.tiles import Floats, settle_nan
from pipeline.registry import TAIL_END, TAIL_SHIFT, TAIL_TERMS

INVERSE_ROOT_2PI = 0.3989422804014326779399460599
# The upper 26 bits of a significand: their square is exact.
_UPPER_BITS = ~((1 << 27) - 1)


def half_tail(x: Floats, a: Floats, tail: Floats, w: Floats, t: Floats) -> None:
    """Write |x|, at most 40, to ``a``, and the factor of exp(-a^2/2) that gives the normal probability above ``a``."""
    np.abs(x, out=a)
    np.minimum(a, TAIL_END, out=a)
    np.add(a, TAIL_SHIFT, out=w)
    np.divide(2.0, w, out=w)
    np.multiply(a, w, out=t)
    np.subtract(t, 1.0, out=t)
    polynomial(t, TAIL_TERMS, tail)
    np.multiply(tail, w, out=tail)


def multiply_by_bell(library: Library, values: Floats, a: Floats, upper: Floats, lower: Floats) -> None:
    """Multiply by exp(-a^2/2); the other arrays are overwritten.

    The exponential of a rounded square would magnify the rounding by a^2: the square of the upper bits is exact, and
    what it leaves of a^2, (a - upper) (a + upper), is small.
    """
    np.bitwise_and(a.view(np.int64), _UPPER_BITS, out=upper.view(np.int64))
    np.subtract(a, upper, out=lower)
    np.add(a, upper, out=a)
    np.multiply(lower, a, out=lower)
    np.multiply(lower, -0.5, out=lower)
    library.exp(lower, out=lower)
    np.multiply(values, lower, out=values)
    np.multiply(upper, upper, out=upper)
    np.multiply(upper, -0.5, out=upper)
    library.exp(upper, out=upper)
    np.multiply(values, upper, out=values)


def polynomial(x: Floats, coefficients: tuple[float, ...], out: Floats) -> None:
    """Write a polynomial to ``out``, the constant coefficient first."""
    np.multiply(x, coefficients[-1], out=out)
    np.add(out, coefficients[-2], out=out)
    for coefficient in reversed(coefficients[:-2]):
        np.multiply(out, x, out=out)
        np.add(out, coefficient, out=out)


def mirror(x: Floats, left: Floats, out: Floats, scratch: Floats) -> None:
    """Write ``left`` where ``x`` is negative, else ``1 - left``: a p with p(x) + p(-x) = 1, or the slope of x p(x)."""
    np.greater_equal(x, 0.0, out=scratch)
    np.multiply(scratch, -2.0, out=out)
    np.add(out, 1.0, out=out)
    np.multiply(out, left, out=out)
    np.add(out, scratch, out=out)
    settle_nan(out)
