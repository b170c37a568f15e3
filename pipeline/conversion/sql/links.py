"""From raw predictions to probabilities in SQL, without an overflow or underflow that some dialects make an error.

NaN is above every number, and NULL stays NULL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pipeline.conversion.sql.writer import SqlWriter
from pipeline.registry import TAIL_SHIFT, TAIL_TERMS

# exp is finite and positive between these, and a sigmoid is 0 or 1 beyond them.
_LEAST, LARGEST_EXPONENT = -745.0, 709.0
_FLAT = 700.0
# Nearer to 0 a square or a quotient may underflow; the inverse of a symmetric link is 1/2 there.
_NEAR = 1e-100


def inverse_link(writer: SqlWriter, link: str, z: str) -> str:
    """Return the probability of a raw prediction, which is written several times."""
    return _LINKS[link](writer, z)


def exponential(writer: SqlWriter, x: str, most: float = LARGEST_EXPONENT) -> str:
    """Return exp(x), infinite above ``most`` and 0 below -745 where the dialect has errors there."""
    if not writer.dialect.raises:
        return f"exp({x})"
    above, least, infinity, zero = (writer.number(value) for value in (most, _LEAST, math.inf, 0.0))
    return f"CASE WHEN {x} > {above} THEN {x} * {infinity} WHEN {x} < {least} THEN {zero} ELSE exp({x}) END"


def sigmoid(writer: SqlWriter, z: str) -> str:
    """Return 1 / (1 + exp(-z)), and exp(z) where that is the same and z is far below 0."""
    one, zero, flat, least = (writer.number(value) for value in (1.0, 0.0, _FLAT, _LEAST))
    return (
        f"CASE WHEN abs({z}) <= {flat} THEN {one} / ({one} + exp(-{z})) WHEN {z} < {least} THEN {zero} "
        f"WHEN {z} < {zero} THEN exp({z}) {_above(writer, z)} END"
    )


def _above(writer: SqlWriter, z: str) -> str:
    """Return the cases of the largest raw predictions and of NaN."""
    one, infinity, nan = (writer.number(value) for value in (1.0, math.inf, math.nan))
    return f"WHEN {z} <= {infinity} THEN {one} WHEN {z} > {infinity} THEN {nan}"


def _middle(writer: SqlWriter, z: str) -> str:
    """Return the case of a raw prediction that changes no bit of 1/2."""
    return f"WHEN abs({z}) < {writer.number(_NEAR)} THEN {writer.number(0.5)}"


def _probit(writer: SqlWriter, z: str) -> str:
    # The tail of the normal distribution as the kernels have it: w P(a w - 1) exp(-a a / 2), w = 2 / (a + 5).
    shift, two, one, zero = (writer.number(value) for value in (TAIL_SHIFT, 2.0, 1.0, 0.0))
    end, least = writer.number(37.5), writer.number(-38.4)
    a, middle = f"abs({z})", _middle(writer, z)
    w = f"({two} / ({a} + {shift}))"

    def tail(u: str) -> str:
        polynomial = writer.number(TAIL_TERMS[-1])
        for coefficient in reversed(TAIL_TERMS[:-1]):
            polynomial = f"({polynomial} * {u} + {writer.number(coefficient)})"
        return f"{w} * {polynomial} * exp(-({a} * {a}) / {two})"

    below = writer.let(f"({a} * {w} - {one})", tail)
    return (
        f"CASE WHEN {z} < {least} THEN {zero} {middle} WHEN {z} < {zero} THEN {below} "
        f"WHEN {z} < {end} THEN {one} - ({below}) {_above(writer, z)} END"
    )


def _cloglog(writer: SqlWriter, z: str) -> str:
    # exp(x) - 1 after W. Kahan: (u - 1) x / log(u), u = exp(x); two terms of its series where u is nearly 1.
    one, zero, least, most = (writer.number(value) for value in (1.0, 0.0, _LEAST, 4.0))
    alone, series, half = (writer.number(value) for value in (-40.0, -30.0, 0.5))
    e = f"exp({z})"
    return (
        f"CASE WHEN {z} < {least} THEN {zero} WHEN {z} < {alone} THEN {e} "
        f"WHEN {z} < {series} THEN {e} * ({one} - {half} * {e}) "
        f"WHEN {z} < {most} THEN ({one} - exp(-{e})) * (-{e} / ln(exp(-{e}))) {_above(writer, z)} END"
    )


def _loglog(writer: SqlWriter, z: str) -> str:
    zero, least, most = (writer.number(value) for value in (0.0, -6.6, 40.0))
    return f"CASE WHEN {z} < {least} THEN {zero} WHEN {z} < {most} THEN exp(-exp(-{z})) {_above(writer, z)} END"


def _cauchit(writer: SqlWriter, z: str) -> str:
    pi, half, low, infinity = (writer.number(value) for value in (math.pi, 0.5, -1.0, math.inf))
    nan = writer.number(math.nan)
    return (
        f"CASE WHEN {z} < {low} THEN atan({low} / {z}) / {pi} {_middle(writer, z)} "
        f"WHEN {z} <= {infinity} THEN {half} + atan({z}) / {pi} "
        f"WHEN {z} > {infinity} THEN {nan} END"
    )


_LINKS: Mapping[str, Callable[[SqlWriter, str], str]] = {
    "logit": sigmoid,
    "probit": _probit,
    "cloglog": _cloglog,
    "loglog": _loglog,
    "cauchit": _cauchit,
}
