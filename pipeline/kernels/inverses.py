"""Inverse links: from a raw prediction z to a probability, accurate in both tails.

Each function and its complement, the probability of the other class, is computed by itself, so neither is lost where
the other rounds to 1. All arithmetic beyond the exp and expm1 of a precision is sums, products and quotients, with
the same bits on every CPU.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from pipeline.kernels.logistic import Library, library_of
from pipeline.kernels.normal import INVERSE_ROOT_2PI, half_tail, mirror, multiply_by_bell, polynomial
from pipeline.kernels.tiles import Floats, TileFunction, in_pieces, settle_nan
from pipeline.registry import TAIL_END

if TYPE_CHECKING:
    from pipeline.choices import Precision

_INVERSE_PI = 0.318309886183790671537767526745
_QUARTER_PI = 0.785398163397448309615660845820
_TAN_EIGHTH_PI = 0.41421356237309503
# atan(t) = t + t s times this polynomial in s = t^2, to within 4e-18 of itself for |t| up to tan(pi/8): a Chebyshev
# series of that range, cut off.
_ARCTANGENT_TERMS = (
    -0.3333333333333333,
    0.19999999999999804,
    -0.14285714285659779,
    0.11111111105150588,
    -0.09090908753259112,
    0.07692296368042296,
    -0.0666642476020052,
    0.05878927554473807,
    -0.05230443640686948,
    0.045515447340221615,
    -0.03456931506332609,
    0.016284375050043393,
)

# exp(-exp(w)), and even its product with exp(w), is 0 from here on.
_GUMBEL_END = 6.75
_STEPS = 1024
_DIGITS = 40
# Up to seven arrays more are held for the elements that need the table.
_TABLE_ROWS = 4_096
# (e^b - 1 - b) / b^2 for |b| up to 1/2048.
_EXPM1_TERMS = (1 / 2, 1 / 6, 1 / 24, 1 / 120)


def probit_function(sign: float, precision: Precision) -> TileFunction:
    """Return what computes the normal distribution at ``sign * z`` for one tile."""
    return partial(in_pieces, partial(_probit_piece, library_of(precision), sign), 4)


def probit_gradient(precision: Precision) -> TileFunction:
    """Return what computes the normal density for one tile."""
    return partial(in_pieces, partial(_probit_gradient_piece, library_of(precision)), 3)


def rising_function(sign: float, precision: Precision) -> TileFunction:
    """Return what computes 1 - exp(-exp(w)) at ``w = sign * z`` for one tile."""
    return partial(_rising, library_of(precision), sign)


def falling_function(sign: float, precision: Precision) -> TileFunction:
    """Return what computes exp(-exp(w)) at ``w = sign * z`` for one tile."""
    piece = partial(_falling_piece, library_of(precision), sign, with_factor=False)
    return partial(in_pieces, piece, 2, rows=_TABLE_ROWS)


def gumbel_gradient(sign: float, precision: Precision) -> TileFunction:
    """Return what computes exp(w - exp(w)) at ``w = sign * z`` for one tile: the slope of both of these functions."""
    piece = partial(_falling_piece, library_of(precision), sign, with_factor=True)
    return partial(in_pieces, piece, 2, rows=_TABLE_ROWS)


def cauchit_function(sign: float, precision: Precision) -> TileFunction:
    """Return what computes the Cauchy distribution at ``sign * z`` for one tile; every precision has the same bits."""
    library_of(precision)
    return partial(in_pieces, partial(_cauchit_piece, sign), 3)


def cauchit_gradient(precision: Precision) -> TileFunction:
    """Return what computes the Cauchy density for one tile; every precision has the same bits."""
    library_of(precision)
    return partial(in_pieces, _cauchit_gradient_piece, 2)


def _probit_piece(
    library: Library, sign: float, z: Floats, out: Floats, a: Floats, tail: Floats, upper: Floats, lower: Floats
) -> None:
    half_tail(z, a, tail, upper, lower)
    multiply_by_bell(library, tail, a, upper, lower)
    np.multiply(z, sign, out=upper)
    mirror(upper, tail, out, lower)


def _probit_gradient_piece(library: Library, z: Floats, out: Floats, a: Floats, upper: Floats, lower: Floats) -> None:
    np.abs(z, out=a)
    np.minimum(a, TAIL_END, out=a)
    out.fill(INVERSE_ROOT_2PI)
    multiply_by_bell(library, out, a, upper, lower)
    settle_nan(out)


def _rising(library: Library, sign: float, z: Floats, out: Floats, scratch: Floats) -> None:
    np.multiply(z, sign, out=scratch)
    np.minimum(scratch, _GUMBEL_END, out=scratch)
    library.exp(scratch, out=scratch)
    np.negative(scratch, out=scratch)
    library.expm1(scratch, out=out)
    np.abs(out, out=out)
    settle_nan(out)


def _falling_piece(
    library: Library, sign: float, z: Floats, out: Floats, w: Floats, t: Floats, *, with_factor: bool
) -> None:
    np.multiply(z, sign, out=w)
    np.minimum(w, _GUMBEL_END, out=w)
    # Up to 0 the rounding of exp(w) is harmless: the exponential magnifies it by exp(w).
    steep = np.flatnonzero(w > 0)
    steep_results = _falling_by_table(library, w[steep], with_factor=with_factor) if steep.size else None
    library.exp(w, out=t)
    np.negative(t, out=w)
    library.exp(w, out=out)
    if with_factor:
        np.multiply(out, t, out=out)
    if steep_results is not None:
        out[steep] = steep_results
    settle_nan(out)


def _falling_by_table(library: Library, w: Floats, *, with_factor: bool) -> Floats:
    """Return exp(-exp(w)), times exp(w) where asked, for w between 0 and 6.75; ``w`` is overwritten.

    With a for the multiple of 1/1024 nearest to w, and b = w - a (exact), exp(w) is T + T (exp(b) - 1). The table has
    T in two parts, and the second term is small, so that the sum that is the exponent loses nothing. The exponential
    of the first part is taken in two halves, so that no factor is subnormal unless the result is.
    """
    high, low = _powers()
    b = np.rint(w * _STEPS)
    index = b.astype(np.intp)
    b /= -_STEPS
    b += w
    first, rest = high[index], low[index]
    change = w
    polynomial(b, _EXPM1_TERMS, change)
    change *= b
    change *= b
    change += b
    change *= first
    rest += change
    np.negative(rest, out=rest)
    library.exp(rest, out=rest)
    halves = np.multiply(first, -0.5, out=b)
    library.exp(halves, out=halves)
    rest *= halves
    if with_factor:
        change += first
        halves *= change
    rest *= halves
    return rest


@cache
def _powers() -> tuple[Floats, Floats]:
    """Return exp(k / 1024) for every k up to 6.75 times 1024, each as a sum of two numbers."""
    with localcontext() as context:
        context.prec = _DIGITS
        step, power = (Decimal(1) / _STEPS).exp(), Decimal(1)
        parts = []
        for _ in range(int(_GUMBEL_END * _STEPS) + 1):
            high = float(power)
            parts.append((high, float(power - Decimal(high))))
            power *= step
    high_parts, low_parts = np.array(parts).T.copy()
    return high_parts, low_parts


def _cauchit_piece(sign: float, z: Floats, out: Floats, t: Floats, s: Floats, angle: Floats) -> None:
    np.abs(z, out=t)
    is_far = t > 1.0
    _at_most_one(t, s)
    _arctangent(t, angle, s)
    np.multiply(angle, _INVERSE_PI, out=angle)
    # The probability beyond |z| is the angle over pi where |z| > 1, and 1/2 less the angle over pi elsewhere.
    np.subtract(0.5, angle, out=t)
    np.copyto(t, angle, where=is_far)
    np.multiply(z, sign, out=angle)
    mirror(angle, t, out, s)


def _at_most_one(a: Floats, scratch: Floats) -> None:
    """Replace each number that is not negative by the smaller of it and its reciprocal."""
    np.divide(1.0, a, out=scratch)
    np.minimum(a, scratch, out=a)


def _arctangent(u: Floats, out: Floats, scratch: Floats) -> None:
    """Write the arctangent of numbers between 0 and 1, by atan(u) = pi/4 + atan((u - 1) / (u + 1)) above tan(pi/8)."""
    is_upper = u > _TAN_EIGHTH_PI
    np.add(u, 1.0, out=out)
    np.subtract(u, 1.0, out=scratch)
    np.divide(scratch, out, out=scratch)
    np.copyto(u, scratch, where=is_upper)
    np.multiply(u, u, out=scratch)
    polynomial(scratch, _ARCTANGENT_TERMS, out)
    np.multiply(out, scratch, out=out)
    np.multiply(out, u, out=out)
    np.add(out, u, out=out)
    np.multiply(is_upper, _QUARTER_PI, out=scratch)
    np.add(out, scratch, out=out)


def _cauchit_gradient_piece(z: Floats, out: Floats, u: Floats, factor: Floats) -> None:
    """Write 1 / (pi (1 + z^2)), with the square of the reciprocal where the square would overflow."""
    np.abs(z, out=u)
    np.divide(1.0, u, out=factor)
    np.minimum(factor, 1.0, out=factor)
    np.multiply(factor, _INVERSE_PI, out=out)
    np.multiply(out, factor, out=out)
    _at_most_one(u, factor)
    np.multiply(u, u, out=u)
    np.add(u, 1.0, out=u)
    np.divide(out, u, out=out)
    settle_nan(out)
