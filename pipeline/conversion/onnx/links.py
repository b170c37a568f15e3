"""From the raw prediction to probability and decision, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.conversion.onnx.construction import NAN, Construction
from pipeline.conversion.onnx.graph import INT64, texts
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.logistic.making import labels_of
from pipeline.models.logistic.predictor import Predictor
from pipeline.units import EXACT_INTEGER

_NO_OPERATOR = {"probit": "Erf", "cauchit": "Atan"}


@dataclass(frozen=True, slots=True)
class Decided:
    """The value of a decision, and whether it is text."""

    name: str
    is_text: bool


def probability(made: Construction, model: Predictor, raw: str) -> str:
    """Return the probabilities of raw predictions, both of shape (rows, 1) or (rows, classes).

    Raises
    ------
    ModelError
        onnxruntime has no operator in float64 for the link.
    """
    output = model.output.model_dump()
    if model.classes is not None:
        calibrated = _calibrated(made, output, raw)
        return _softmax(made, calibrated) if model.normalise == "softmax" else _one_vs_rest(made, calibrated)
    if model.link in _NO_OPERATOR:
        lacking = _NO_OPERATOR[model.link]
        raise ModelError(
            f'the link "{model.link}" cannot be written as a graph: onnxruntime has no {lacking} in float64',
            "export the model as python or sql, or score with logitstream",
        )
    if (steps := _isotonic(output)) is not None:
        return _steps(made, raw, *steps)
    return _LINKS[model.link](made, _calibrated(made, output, raw))


def decision(made: Construction, model: Predictor, raw: str, chance: str, threshold: float) -> Decided:
    """Return the decision of rows: with classes the first one with the largest raw prediction.

    It is text for text, else float64; where there is no probability, it is the empty text or NaN.
    """
    if model.classes is not None:
        place = made.add("ArgMax", raw, axis=1, keepdims=1)
        return _value(made, list(model.classes), place, made.add("IsNaN", made.total(chance)))
    reached = made.add("GreaterOrEqual", chance, made.row(threshold))
    return _value(made, list(labels_of(model)), made.cast(reached, INT64), made.add("IsNaN", chance))


def _value(made: Construction, values: list[Any], place: str, is_none: str) -> Decided:
    if "" in values:
        raise ModelError(
            "a class is the empty text, which is the decision of a row without a score in a graph",
            "give the class another name",
        )
    if is_text := isinstance(values[0], str):
        chosen, none = made.chosen(texts(values), place), made.constant(texts([""]).reshape(1, 1))
        # GatherND over the only axis leaves one value a row.
        shaped = made.add("Reshape", chosen, made.constant(np.array([-1, 1], dtype=np.int64)))
    else:
        if too_large := [v for v in values if type(v) is int and abs(v) > EXACT_INTEGER]:
            raise ModelError(
                f"the class {too_large[0]} is beyond 2**53, and decisions are float64 in a graph",
                "use smaller numbers or text for the classes",
            )
        chosen, none = made.number(made.chosen(np.array(values), place)), made.row(NAN)
        shaped = made.add("Reshape", chosen, made.constant(np.array([-1, 1], dtype=np.int64)))
    return Decided(made.add("Where", is_none, none, shaped), is_text)


def _isotonic(output: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    said = output.get("calibration")
    return (said["thresholds"], said["probabilities"]) if said and said["method"] == "isotonic" else None


def _steps(made: Construction, raw: str, thresholds: list[float], values: list[float]) -> str:
    edges = made.constant(np.array([thresholds], dtype=np.float64))
    place = made.counted(made.add("GreaterOrEqual", raw, edges))
    none = made.whole(len(values))
    return made.chosen(np.array([*values, NAN])[:, None], made.add("Where", made.add("IsNaN", raw), none, place))


def _calibrated(made: Construction, output: Mapping[str, Any], raw: str) -> str:
    """Return what the sigmoid or softmax is of."""
    said = output.get("calibration") or {}
    if said:
        return _CALIBRATIONS[said["method"]](made, raw, said)
    return _of_parameters(made, raw, {name: output.get(name, None) for name in ("alpha", "beta", "temperature")})


def _of_parameters(made: Construction, raw: str, said: Mapping[str, float | None]) -> str:
    """Return ``(alpha * raw + beta) / temperature``; what changes nothing is left out."""
    for operator, name, neutral in (("Mul", "alpha", 1), ("Add", "beta", 0), ("Div", "temperature", 1)):
        value = said[name]
        if value is not None and value != neutral:
            raw = made.add(operator, raw, made.row(value))
    return raw


def _platt(made: Construction, raw: str, said: Mapping[str, float]) -> str:
    return made.add("Add", made.add("Mul", raw, made.row(said["slope"])), made.row(said["intercept"]))


def _temperature(made: Construction, raw: str, said: Mapping[str, float]) -> str:
    return made.add("Div", raw, made.row(said["temperature"]))


def _beta(made: Construction, raw: str, said: Mapping[str, float]) -> str:
    """Return ``(c + a log s(z)) - b log s(-z)``; a factor of 0 leaves its term out, which may be infinite."""
    total = made.row(said["c"])
    for factor, z in ((said["a"], raw), (-said["b"], made.add("Neg", raw))):
        if factor:
            total = made.add("Add", total, made.add("Mul", _log_sigmoid(made, z), made.row(factor)))
    return total


def _log_sigmoid(made: Construction, z: str) -> str:
    """Return ``min(z, 0) - log(1 + exp(-abs(z)))``."""
    small = made.add("Log", made.add("Add", made.row(1.0), _exp_of_minus_abs(made, z)))
    return made.add("Sub", made.add("Min", z, made.row(0.0)), small)


def _exp_of_minus_abs(made: Construction, z: str) -> str:
    return made.add("Exp", made.add("Neg", made.add("Abs", z)))


def _sigmoid(made: Construction, z: str) -> str:
    """Return ``exp(min(z, 0)) / (1 + exp(-abs(z)))``: onnxruntime's Sigmoid is off by 4e-8 at -20, and 0 below -36."""
    above = made.add("Exp", made.add("Min", z, made.row(0.0)))
    return made.add("Div", above, made.add("Add", made.row(1.0), _exp_of_minus_abs(made, z)))


def _loglog(made: Construction, z: str) -> str:
    """Return ``exp(-exp(-z))``."""
    return made.add("Exp", made.add("Neg", made.add("Exp", made.add("Neg", z))))


def _cloglog(made: Construction, z: str) -> str:
    """Return ``1 - exp(-t)`` with t = exp(z).

    Below 1/2 it is ``(1 - u) t / -log(u)`` with u = exp(-t), in which the error of u cancels (W. Kahan's expm1), and t
    itself where u is 1.
    """
    t = made.add("Exp", z)
    u = made.add("Exp", made.add("Neg", t))
    rest = made.add("Sub", made.row(1.0), u)
    mended = made.add("Div", made.add("Mul", rest, t), made.add("Neg", made.add("Log", u)))
    small = made.add("Where", made.add("Equal", u, made.row(1.0)), t, mended)
    return made.add("Where", made.add("Less", u, made.row(0.5)), rest, small)


def _softmax(made: Construction, z: str) -> str:
    largest = made.add("ReduceMax", z, axes=[1], keepdims=1)
    power = made.add("Exp", made.add("Sub", z, largest))
    return made.add("Div", power, made.total(power))


def _one_vs_rest(made: Construction, z: str) -> str:
    each = _sigmoid(made, z)
    total = made.total(each)
    equal = made.row(1.0 / made.width)
    return made.add("Where", made.add("Equal", total, made.row(0.0)), equal, made.add("Div", each, total))


_LINKS: Mapping[str, Callable[[Construction, str], str]] = {
    "logit": _sigmoid,
    "loglog": _loglog,
    "cloglog": _cloglog,
}
_CALIBRATIONS: Mapping[str, Callable[[Construction, str, Mapping[str, float]], str]] = {
    "platt": _platt,
    "temperature": _temperature,
    "beta": _beta,
}
