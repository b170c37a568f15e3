"""The functions of the registry and their derivatives from mpmath, and how far results are from them."""

from __future__ import annotations

import mpmath
import numpy as np

from pipeline.registry import Function


def _context(bits: int) -> mpmath.MPContext:
    context = mpmath.MPContext()
    context.prec = bits
    return context


VALUES = _context(160)
_NARROW, _WIDE = _context(400), _context(1400)
_STEP_BITS = 80


def unit(value):
    """The distance between neighbouring float64 numbers at a value."""
    exponent = VALUES.frexp(value)[1] - 53 if value else -1074
    return VALUES.ldexp(VALUES.one, max(exponent, -1074))


def value(entry: Function, x: float, **parameters: float):
    return VALUES.mpf(entry.exact(VALUES, VALUES.mpf(x), **parameters))


def value_beside_zero(entry: Function, x: float, **parameters: float):
    """The same where the definition subtracts numbers that are all but equal."""
    return VALUES.mpf(entry.exact(_WIDE, _WIDE.mpf(x), **parameters))


def derivative(entry: Function, x: float, **parameters: float):
    """The derivative, by a difference over a step far below any distance that matters."""
    for context in (_NARROW, _WIDE):
        left, middle, right, h = _around(context, entry, x, parameters)
        if abs(right - left) > context.ldexp(abs(context.mpf(middle)), 160 - context.prec):
            break
    return VALUES.mpf((right - left) / (2 * h))


def second_derivative(entry: Function, x: float, **parameters: float):
    left, middle, right, h = _around(_WIDE, entry, x, parameters)
    return VALUES.mpf((right - 2 * middle + left) / h**2)


def _around(context, entry, x, parameters):
    exact = context.mpf(x)
    room = min(abs(exact), abs(1 - exact), 1) if entry.name == "logit" else min(abs(exact), 1)
    h = context.ldexp(context.mpf(room), -_STEP_BITS)
    return *(entry.exact(context, exact + k * h, **parameters) for k in (-1, 0, 1)), h


def points(entry: Function, count: int, seed: int) -> np.ndarray:
    """Where a function is defined: near 0, around its bends, and where its results are tiny or huge."""
    random = np.random.default_rng(seed)
    if entry.name == "logit":
        parts = (
            random.random(count),
            random.uniform(0.2, 0.7, count),
            10.0 ** random.uniform(-307, -1, count),
            1 - 10.0 ** random.uniform(-15, -1, count),
        )
    else:
        parts = (
            random.uniform(-3, 3, count),
            random.uniform(-38.6, 40, count),
            random.uniform(-745, -690, count // 2),
            random.uniform(-700, 700, count // 2),
            random.standard_normal(count) * 10.0 ** random.uniform(-300, 0, count),
        )
    return np.concatenate(parts)
