"""What ``reproducible`` should give, to the last bit: the formulas one number at a time, in Python's own floats.

Where the kernels work on the bits of a number, this takes ``round``, ``frexp`` and fractions, which are exact and
become a float with one rounding, subnormal or not.
"""

from __future__ import annotations

import math
from fractions import Fraction

LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
P = [float.fromhex(x) for x in ("0x1.555555555553ep-3", "-0x1.6c16c16bebd93p-9", "0x1.1566aaf25de2cp-14")]
P += [float.fromhex(x) for x in ("-0x1.bbd41c5d26bf1p-20", "0x1.6376972bea4d0p-25")]
L = [float.fromhex(x) for x in ("0x1.5555555555593p-1", "0x1.999999997fa04p-2", "0x1.2492494229359p-2")]
L += [float.fromhex(x) for x in ("0x1.c71c51d8e78afp-3", "0x1.7466496cb03dep-3", "0x1.39a09d078c69fp-3")]
L += [float.fromhex("0x1.2f112df3e5244p-3")]


def exp(x: float) -> float:
    if math.isnan(x) or x < -746.0:
        return x if math.isnan(x) else 0.0
    k = round(x * float.fromhex("0x1.71547652b82fep+0"))
    high, low = x - k * LN2_HIGH, k * LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (P[0] + t * (P[1] + t * (P[2] + t * (P[3] + t * P[4]))))
    return float(Fraction(1.0 - ((low - (r * c) / (2.0 - c)) - high)) * Fraction(2) ** k)


def expm1(x: float) -> float:
    if math.isnan(x):
        return x
    x = max(x, -44.0)
    k = round(x * float.fromhex("0x1.71547652b82fep+0"))
    high, low = x - k * LN2_HIGH, k * LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (P[0] + t * (P[1] + t * (P[2] + t * (P[3] + t * P[4]))))
    return (high - (low - (r * c) / (2.0 - c))) * 2.0**k + (2.0**k - 1.0)


def log(x: float, left_out: float = 0.0) -> float:
    if math.isnan(x) or x < 0:
        return math.nan
    if x in {0.0, math.inf}:
        return -math.inf if x == 0 else x
    m, k = math.frexp(x)
    if m < float.fromhex("0x1.6a09e667f3bcdp-1"):
        m, k = 2.0 * m, k - 1
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = z * (L[0] + z * (L[1] + z * (L[2] + z * (L[3] + z * (L[4] + z * (L[5] + z * L[6]))))))
    half_square = 0.5 * (f * f)
    return (((s * (half_square + r) + (k * LN2_LOW + left_out)) - half_square) + f) + k * LN2_HIGH


def log1p(x: float) -> float:
    u = 1.0 + x
    return log(u, (x - (u - 1.0)) / u)


def sigmoid(x: float) -> float:
    t = exp(-abs(x))
    return math.nan if math.isnan(x) else (1.0 if x >= 0 else t) / (1.0 + t)


def log_sigmoid(x: float) -> float:
    return math.nan if math.isnan(x) else (x if x < 0 else 0.0) - log1p(exp(-abs(x)))


def logit(p: float) -> float:
    if 0.3 <= p <= 0.65:
        return log1p(2.0 * (p - 0.5)) - log1p(-(2.0 * (p - 0.5)))
    return log(p / (1.0 - p) if p != 1 else math.inf)


def tanh(x: float) -> float:
    e = expm1(-2.0 * abs(x))
    return math.copysign(e / (2.0 + e), x)
