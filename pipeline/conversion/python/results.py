"""The columns that a model makes, as Python expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pipeline.conversion.cut import cut_at
from pipeline.conversion.results import columns_made, points_of, shares_of
from pipeline.models.logistic.calibration import Beta, Isotonic, Platt, Temperature
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.making import class_text, labels_of, temperature_of
from pipeline.models.logistic.score import ScoreBlock
from pipeline.units import escape_name

_NORMALISED: Mapping[str, str] = {"softmax": "softmax", "one-vs-rest": "one_vs_rest"}


def columns_of(model: ModelFile) -> Iterator[tuple[str, str]]:
    """Yield the name of each column that a model makes, in their order, and its expression.

    Raises
    ------
    ModelError
        A column cannot be made in Python; the message names it.
    """
    makers = _BINARY if model.classes is None else _OF_CLASSES
    for wanted in columns_made(model, makers, "the Python module"):
        yield from makers[wanted](model)


def literal(value: float) -> str:
    """Return a float as an expression."""
    return repr(value) if math.isfinite(value) else f"float({str(value)!r})"


def normalised(model: ModelFile) -> str:
    """Return the probabilities of the classes."""
    return f"{_NORMALISED[model.normalise]}(raw, {temperature_of(model)!r})"


def _probability(model: ModelFile) -> str:
    calibration = model.output.calibration
    if calibration is not None:
        return _METHODS[type(calibration)](calibration)
    if model.link != "logit":
        # The runtime has a function of the name of each other link.
        return f"{model.link}(raw)"
    alpha, beta, temperature = (model.output.parameters[name] for name in ("alpha", "beta", "temperature"))
    return f"sigmoid(({alpha!r} * raw + {beta!r}) / {temperature!r})" if model.output.changed else "sigmoid(raw)"


_METHODS: Mapping[type, Callable[[Any], str]] = {
    Platt: lambda method: f"sigmoid({method.slope!r} * raw + {method.intercept!r})",
    Temperature: lambda method: f"sigmoid(raw / {method.temperature!r})",
    Beta: lambda method: f"beta(raw, {method.a!r}, {method.b!r}, {method.c!r})",
    Isotonic: lambda method: f"stepped(raw, {method.thresholds!r}, {method.probabilities!r})",
}


def _decision(model: ModelFile) -> Iterator[tuple[str, str]]:
    negative, positive = map(repr, labels_of(model))
    cut, is_rising = cut_at(model, ScoreBlock.of(model).threshold)
    yield "decision", f"decided(raw, {literal(cut)}, {is_rising}, {negative}, {positive})"


def _contributions(model: ModelFile) -> Iterator[tuple[str, str]]:
    for place, name in enumerate(model.terms):
        yield f"contribution_{escape_name(name)}", f"terms[{place}]"


def _total(model: ModelFile) -> str:
    """Return the points of a row, rounded but not yet an integer."""
    points = points_of(model)
    if points.rounding == "features":
        return f"added(0.0, map(rounded, {_of_terms(model)}))"
    total = f"raw * {points.slope!r} + {points.constant!r}"
    return f"rounded({total})" if points.rounding == "points" else total


def _of_terms(model: ModelFile) -> str:
    return f"points_of_terms(terms, {shares_of(model)!r}, {points_of(model).slope!r})"


def _points(model: ModelFile) -> Iterator[tuple[str, str]]:
    total = _total(model)
    yield "points", total if points_of(model).rounding == "none" else f"integer({total})"


def _points_by_feature(model: ModelFile) -> Iterator[tuple[str, str]]:
    are_whole = points_of(model).rounding == "features"
    for place, name in enumerate(model.terms):
        part = f"{_of_terms(model)}[{place}]"
        yield f"points_{escape_name(name)}", f"integer(rounded({part}))" if are_whole else part


def _band(model: ModelFile) -> Iterator[tuple[str, str]]:
    bands = model.output.bands
    assert bands is not None
    if bands.on == "points":
        yield "band", f"banded({_total(model)}, {bands.thresholds!r}, {bands.names!r})"
        return
    cuts = [cut_at(model, threshold) for threshold in bands.thresholds]
    is_rising = all(rises for _, rises in cuts)
    yield "band", f"banded_at(raw, ({_listed(cut for cut, _ in cuts)}), {is_rising}, {bands.names!r})"


def _listed(numbers: Iterable[float]) -> str:
    return "".join(f"{literal(each)}, " for each in numbers).rstrip()


Maker = Callable[[ModelFile], Iterator[tuple[str, str]]]

_BINARY: Mapping[str, Maker] = {
    "probability": lambda model: iter([("probability", _probability(model))]),
    "raw_prediction": lambda _: iter([("raw_prediction", "raw")]),
    "decision": _decision,
    "contributions": _contributions,
    "points": _points,
    "points_by_feature": _points_by_feature,
    "band": _band,
}


def _of_each_class(what: str, values: str) -> Maker:
    def columns(model: ModelFile) -> Iterator[tuple[str, str]]:
        for place, value in enumerate(model.classes or ()):
            yield f"{what}_{class_text(value)}", f"{values}[{place}]"

    return columns


def _class_decision(model: ModelFile) -> Iterator[tuple[str, str]]:
    yield "decision", f"first_largest(raw, probabilities, {model.classes!r})"


_OF_CLASSES: Mapping[str, Maker] = {
    "probability": _of_each_class("probability", "probabilities"),
    "raw_prediction": _of_each_class("raw_prediction", "raw"),
    "decision": _class_decision,
}
