"""Probabilities of a binary model in SQL: its link, or its calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pipeline.conversion.sql.links import exponential, inverse_link, sigmoid
from pipeline.conversion.sql.nodes import by_constant, log1p
from pipeline.conversion.sql.writer import SqlWriter
from pipeline.models.logistic.calibration import Beta, Isotonic, Platt, Temperature
from pipeline.models.logistic.file import ModelFile


def probability(writer: SqlWriter, model: ModelFile, raw: str) -> str:
    """Return the probability of the positive class for a raw prediction."""
    calibration = model.output.calibration
    if calibration is not None:
        return _METHODS[type(calibration)](writer, calibration, raw)
    if model.link != "logit":
        return writer.let(raw, partial(inverse_link, writer, model.link))
    parameters = model.output.parameters
    return _affine(writer, raw, parameters["alpha"], parameters["beta"], parameters["temperature"])


def joined(writer: SqlWriter, x: str, operator: str, number: float) -> str:
    """Return a number and a constant joined; 1 as a factor and 0 added change no bit and are left out."""
    neutral = 0.0 if operator == "+" else 1.0
    return x if number == neutral else writer.let(x, partial(by_constant, writer, operator, constant=number))


def _affine(writer: SqlWriter, raw: str, alpha: float, beta: float, temperature: float = 1.0) -> str:
    scaled = joined(writer, raw, "*", alpha)
    argument = joined(writer, joined(writer, scaled, "+", beta), "/", temperature)
    return writer.let(argument, partial(sigmoid, writer))


def _beta(writer: SqlWriter, calibration: Beta, raw: str) -> str:
    def argument(z: str) -> str:
        total = writer.number(calibration.c)
        for x, factor in ((z, calibration.a), (f"(-{z})", -calibration.b)):
            if factor:
                total = f"({total} + {joined(writer, _log_sigmoid(writer, x), '*', factor)})"
        return writer.let(total, partial(sigmoid, writer))

    return writer.let(raw, argument)


def _log_sigmoid(writer: SqlWriter, x: str) -> str:
    """Return min(x, 0) - log1p(exp(-abs(x)))."""
    zero = writer.number(0.0)
    power = writer.let(f"(-abs({x}))", partial(exponential, writer))
    return f"(CASE WHEN {x} < {zero} THEN {x} ELSE {zero} END - {writer.let(power, partial(log1p, writer))})"


def _isotonic(writer: SqlWriter, calibration: Isotonic, raw: str) -> str:
    def steps(z: str) -> str:
        pairs = zip(calibration.thresholds, calibration.probabilities, strict=False)
        cases = (f"WHEN {z} < {writer.exactly(end)} THEN {writer.number(share)}" for end, share in pairs)
        last, infinity, nan = (writer.number(value) for value in (calibration.probabilities[-1], math.inf, math.nan))
        return f"CASE {' '.join(cases)} WHEN {z} <= {infinity} THEN {last} WHEN {z} > {infinity} THEN {nan} END"

    return writer.let(raw, steps)


_METHODS: Mapping[type, Callable[[SqlWriter, Any, str], str]] = {
    Platt: lambda writer, method, raw: _affine(writer, raw, method.slope, method.intercept),
    Temperature: lambda writer, method, raw: _affine(writer, raw, 1.0, 0.0, method.temperature),
    Beta: _beta,
    Isotonic: _isotonic,
}
