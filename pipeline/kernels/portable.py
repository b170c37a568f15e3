"""exp, expm1, log and log1p with the same bits on every CPU, with every numpy and every C library.

IEEE 754 fixes the result of a sum, a difference, a product and a quotient to the last bit. It does not fix logarithms
and exponentials, and libraries differ. So these functions use only the four operations, comparisons and the bits of
float64 numbers as integers. Each step is one ufunc that rounds by itself, so a compiler finds no product and sum in one
expression that it could fuse. To scale a number by a power of two, the power is put together from its bits and
multiplied, because ldexp comes from the C library.

They assume rounding to nearest and subnormal numbers, which are the default in every process.

The methods, and the coefficients of the polynomials, are those of ``e_exp.c``, ``e_log.c`` and ``s_log1p.c`` in fdlibm
(K. C. Ng, Sun Microsystems, 1993). A change that changes a bit is a new :data:`VERSION`.
"""

from __future__ import annotations

import numpy as np

from pipeline.kernels.tiles import Floats, in_pieces

VERSION = 1

# 128 KiB each. They and a tile stay near an L2 cache, and each function makes some 25 calls a piece: with pieces of a
# quarter of the length their fixed cost takes a third of the time.
_PIECE_ROWS = 16_384

_INVERSE_LN2 = 1.44269504088896338700
# ln 2 in two parts: the first ends in 21 zero bits, so that its product with an exponent is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10

# r (e^r + 1) / (e^r - 1) = 2 + r^2 times this polynomial in r^2, up to |r| = ln(2)/2.
_EXP_TERMS = (
    4.13813679705723846039e-08,
    -1.65339022054652515390e-06,
    6.61375632143793436117e-05,
    -2.77777777770155933842e-03,
    1.66666666666666019037e-01,
)
# (log(1+s) - log(1-s) - 2s) / s = s^2 times this polynomial in s^2, up to |s| = 0.1716.
_LOG_TERMS = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)

# Added to a number under 2^51 in magnitude, it leaves the nearest integer in the lowest bits of the sum.
_SHIFT = 1.5 * 2.0**52
_SHIFT_BITS = 0x4338_0000_0000_0000
_MANTISSA_BITS = 52
_BIAS = 1023
_SQRT_HALF_BITS = 0x3FE6_A09E_667F_3BCD

# exp of it is under half of the smallest number: so is that of anything less.
_LEAST = -746.0
# e to the power of it is under a quarter of the distance between -1 and the next number.
_LEAST_OF_EXPM1 = -44.0
# Subnormal numbers are exact multiples of 2^-1074, and 2^54 times each of them is a normal number.
_LIFT = 54


def exp(x: Floats, out: Floats) -> None:
    """Write e to the power of each element to ``out``; no element may be over 600.

    Error: at most 1 u (largest found: 0.91), subnormal results included. Minus infinity gives 0; NaN stays NaN, with
    any bits. Both arrays are contiguous; ``out`` may be ``x``. Memory beyond them is four pieces of 128 KiB.

    Notes
    -----
    With k the integer nearest to x / ln 2 and r = x - k ln 2 in two parts, e^r = 1 + r + r c / (2 - c), where
    c = r - r^2 P(r^2). The power of two comes last, in two factors, the first of them exact, so that a subnormal
    result is rounded once.
    """
    in_pieces(_exp_piece, 4, x, out, rows=_PIECE_ROWS)


def expm1(x: Floats, out: Floats) -> None:
    """Write e to the power of each element, minus 1, to ``out``; no element may be positive.

    Error: at most 1 u (largest found: 0.94). Minus infinity gives -1, a zero gives 0; NaN stays NaN, with any bits.
    Both arrays are contiguous; ``out`` may be ``x``. Memory beyond them is four pieces of 128 KiB.

    Notes
    -----
    With k and r as in :func:`exp`, it is 2^k (e^r - 1) + (2^k - 1).
    """
    in_pieces(_expm1_piece, 4, x, out, rows=_PIECE_ROWS)


def log(x: Floats, out: Floats) -> None:
    """Write the natural logarithm of each element to ``out``; no finite element may be over 2^969.

    Error: at most 1 u (largest found: 0.84). Zeros give minus infinity, infinity stays, negative numbers and NaN give
    NaN. Both arrays are contiguous; ``out`` may be ``x``. Memory beyond them is four pieces of 128 KiB.

    Notes
    -----
    With x = 2^k (1 + f), 1 + f between the roots of 1/2 and 2, and s = f / (2 + f), log(1 + f) is
    f - f^2/2 + s (f^2/2 + R(s^2)), and k ln 2 is added in two parts.
    """
    in_pieces(_log_piece, 4, x, out, rows=_PIECE_ROWS)


def log1p(x: Floats, out: Floats) -> None:
    """Write the natural logarithm of 1 plus each element to ``out``; elements must be in [-1/2, 1].

    Error: at most 1 u (largest found: 0.87). NaN stays NaN, with any bits. Both arrays are contiguous; ``out``
    may be ``x``. Memory beyond them is five pieces of 128 KiB.

    Notes
    -----
    :func:`log` of u = 1 + x, and, since no other number is near, what the rounding of u left out divided by u.
    """
    in_pieces(_log1p_piece, 5, x, out, rows=_PIECE_ROWS)


def _exp_piece(x: Floats, out: Floats, shifted: Floats, low: Floats, r: Floats, c: Floats) -> None:
    _reduce(x, out, shifted, low, r, c)
    np.subtract(2.0, c, out=c)
    np.divide(r, c, out=r)
    np.subtract(low, r, out=low)
    np.subtract(low, out, out=low)
    np.subtract(1.0, low, out=out)
    exponents = shifted.view(np.uint64)
    np.left_shift(exponents, _MANTISSA_BITS, out=exponents)
    np.add(exponents, (_BIAS + _LIFT) << _MANTISSA_BITS, out=exponents)
    np.multiply(out, shifted, out=out)
    np.multiply(out, 2.0**-_LIFT, out=out)


def _expm1_piece(x: Floats, out: Floats, shifted: Floats, low: Floats, r: Floats, c: Floats) -> None:
    # e^r - 1 times 2^k, and 2^k - 1: under exp(-44) the first is lost, and the power is kept normal.
    np.maximum(x, _LEAST_OF_EXPM1, out=r)
    _reduce(r, out, shifted, low, r, c)
    np.subtract(2.0, c, out=c)
    np.divide(r, c, out=r)
    np.subtract(low, r, out=low)
    np.subtract(out, low, out=out)
    powers = shifted.view(np.uint64)
    np.left_shift(powers, _MANTISSA_BITS, out=powers)
    np.add(powers, _BIAS << _MANTISSA_BITS, out=powers)
    np.multiply(out, shifted, out=out)
    np.subtract(shifted, 1.0, out=shifted)
    np.add(out, shifted, out=out)


def _reduce(x: Floats, out: Floats, shifted: Floats, low: Floats, r: Floats, c: Floats) -> None:
    """Reduce x to r = x - k ln 2: k is left in ``shifted``, the parts of r in ``out`` and ``low``, r c in ``r``."""
    np.maximum(x, _LEAST, out=out)
    np.multiply(out, _INVERSE_LN2, out=shifted)
    np.add(shifted, _SHIFT, out=shifted)
    np.subtract(shifted, _SHIFT, out=low)
    np.multiply(low, _LN2_HIGH, out=r)
    np.subtract(out, r, out=out)
    np.multiply(low, _LN2_LOW, out=low)
    # From here on `out` is the high part of r, and r itself is computed twice rather than kept.
    np.subtract(out, low, out=r)
    np.multiply(r, r, out=r)
    _polynomial(r, _EXP_TERMS, c)
    np.subtract(out, low, out=r)
    np.subtract(r, c, out=c)
    np.multiply(r, c, out=r)


def _log_piece(x: Floats, out: Floats, u: Floats, k: Floats, s: Floats, z: Floats) -> None:
    # A comparison with NaN is false, so that pieces with NaN are among the rare ones.
    is_plain = np.minimum.reduce(x) > 0 and np.maximum.reduce(x) < np.inf
    limits = None if is_plain else _log_limits(x)
    np.multiply(x, 2.0**_LIFT, out=u)
    _log_lifted(u, out, k, s, z, None, _LIFT)
    if limits is not None:
        np.add(out, limits, out=out)


def _log_limits(x: Floats) -> Floats:
    """Return what to add to the logarithms: infinities and NaN where the result is one, else 0."""
    limits = np.where(x > 0, 0.0, np.nan)
    limits[x == 0] = -np.inf
    limits[x == np.inf] = np.inf
    return limits


def _log1p_piece(x: Floats, out: Floats, u: Floats, k: Floats, s: Floats, z: Floats, left_out: Floats) -> None:
    np.add(x, 1.0, out=u)
    np.subtract(u, 1.0, out=left_out)
    np.subtract(x, left_out, out=left_out)
    np.divide(left_out, u, out=left_out)
    _log_lifted(u, out, k, s, z, left_out, 0)


def _log_lifted(u: Floats, out: Floats, k: Floats, s: Floats, z: Floats, addend: Floats | None, lift: int) -> None:
    """Write ``log(u) - lift * log(2) + addend`` to ``out``; the other arrays are overwritten."""
    mantissas, exponents, powers = u.view(np.int64), k.view(np.int64), s.view(np.int64)
    np.subtract(mantissas, _SQRT_HALF_BITS, out=exponents)
    np.right_shift(exponents, _MANTISSA_BITS, out=exponents)
    np.left_shift(exponents, _MANTISSA_BITS, out=powers)
    np.subtract(mantissas, powers, out=mantissas)
    np.add(exponents, _SHIFT_BITS - lift, out=exponents)
    np.subtract(k, _SHIFT, out=k)
    f = u
    np.subtract(u, 1.0, out=f)
    np.add(f, 2.0, out=s)
    np.divide(f, s, out=s)
    np.multiply(s, s, out=z)
    _polynomial(z, _LOG_TERMS, out)
    half_square = z
    np.multiply(f, f, out=half_square)
    np.multiply(half_square, 0.5, out=half_square)
    np.add(out, half_square, out=out)
    np.multiply(out, s, out=out)
    np.multiply(k, _LN2_LOW, out=s)
    if addend is not None:
        np.add(s, addend, out=s)
    np.add(out, s, out=out)
    np.subtract(out, half_square, out=out)
    np.add(out, f, out=out)
    np.multiply(k, _LN2_HIGH, out=k)
    np.add(out, k, out=out)


def _polynomial(x: Floats, coefficients: tuple[float, ...], out: Floats) -> None:
    """Write a polynomial without a constant term to ``out``, the coefficient of the highest power first."""
    first, *others = coefficients
    np.multiply(x, first, out=out)
    for coefficient in others:
        np.add(out, coefficient, out=out)
        np.multiply(out, x, out=out)
