"""Tails of distributions: how likely a value at least as large is."""

from __future__ import annotations

import math

# The 97.5 % point of the normal distribution: 95 % lie between it and its opposite.
NORMAL_975 = 1.959963984540054

_EPSILON = 2.0**-53
_TINY = 1e-300


def two_sided_normal(z: float) -> float:
    """Return the probability that a standard normal number is as far from 0 as ``z`` or farther."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def chi_square_tail(value: float, degrees: int) -> float:
    """Return the probability that a chi-square number with some degrees of freedom is ``value`` or larger.

    Accurate to about 1e-13 times the size of the exponents involved (Abramowitz and Stegun, 26.4.19).
    """
    return upper_gamma(degrees / 2.0, value / 2.0)


def upper_gamma(a: float, x: float) -> float:
    """Return the regularised upper incomplete gamma function Q(a, x), for a > 0.

    By the series of P where x < a + 1, else by the continued fraction of Legendre, evaluated as Lentz does (DLMF 8.11.4
    and 8.9.2).
    """
    if x <= 0:
        return 1.0
    if math.isinf(x):
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1.0 - front * _series(a, x) if x < a + 1.0 else front * _fraction(a, x)


def _series(a: float, x: float) -> float:
    """Return the sum of x^k / (a (a + 1) ... (a + k))."""
    term = total = 1.0 / a
    while term > total * _EPSILON:
        a += 1.0
        term *= x / a
        total += term
    return total


def _fraction(a: float, x: float) -> float:
    """Return 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / (x + 5 - a - ...)))."""
    b = x + 1.0 - a
    c, d = 1.0 / _TINY, 1.0 / b
    value, step, k = d, 2.0, 0
    while abs(step - 1.0) > 2.0 * _EPSILON:
        k += 1
        numerator = -k * (k - a)
        b += 2.0
        d = 1.0 / (_off_zero(numerator * d + b))
        c = _off_zero(b + numerator / c)
        step = c * d
        value *= step
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
