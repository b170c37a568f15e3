"""The columns that a model makes, as Python expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.errors import ModelError
from pipeline.models.logistic.calibration import Beta, Isotonic, Platt, Temperature
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.making import class_text, temperature_of
from pipeline.models.logistic.points import Points
from pipeline.models.logistic.score import ScoreBlock
from pipeline.units import escape_name

_LINKS: Mapping[str, str] = {
    "logit": "sigmoid",
    "probit": "probit",
    "cloglog": "cloglog",
    "loglog": "loglog",
    "cauchit": "cauchit",
}
_NORMALISED: Mapping[str, str] = {"softmax": "softmax", "one-vs-rest": "one_vs_rest"}


def columns_of(model: ModelFile) -> Iterator[tuple[str, str]]:
    """Yield the name of each column that a model makes, in their order, and its expression.

    Raises
    ------
    ModelError
        A column cannot be made in Python; the message names it.
    """
    makers = _BINARY if model.classes is None else _OF_CLASSES
    for wanted in ScoreBlock.of(model).columns_made:
        if wanted not in makers:
            raise ModelError(
                f"the Python module cannot make the column {wanted}",
                "name the columns that it can make in output.columns: " + ", ".join(makers),
            )
        yield from makers[wanted](model)


def normalised(model: ModelFile) -> str:
    """Return the probabilities of the classes."""
    return f"{_NORMALISED[model.normalise]}(raw, {temperature_of(model)!r})"


def _probability(model: ModelFile) -> str:
    calibration = model.output.calibration
    if calibration is not None:
        return _METHODS[type(calibration)](calibration)
    if model.link != "logit":
        return f"{_LINKS[model.link]}(raw)"
    alpha, beta, temperature = (model.output.parameters[name] for name in ("alpha", "beta", "temperature"))
    return f"sigmoid(({alpha!r} * raw + {beta!r}) / {temperature!r})" if model.output.changed else "sigmoid(raw)"


_METHODS: Mapping[type, Callable[[Any], str]] = {
    Platt: lambda method: f"sigmoid({method.slope!r} * raw + {method.intercept!r})",
    Temperature: lambda method: f"sigmoid(raw / {method.temperature!r})",
    Beta: lambda method: f"beta(raw, {method.a!r}, {method.b!r}, {method.c!r})",
    Isotonic: lambda method: f"stepped(raw, {method.thresholds!r}, {method.probabilities!r})",
}


def _decision(model: ModelFile) -> Iterator[tuple[str, str]]:
    target = model.target
    is_named = target is not None and target.negative is not None
    values = (target.negative, target.positive) if target is not None and is_named else (False, True)
    negative, positive = map(repr, values)
    yield "decision", f"decided({_probability(model)}, {ScoreBlock.of(model).threshold!r}, {negative}, {positive})"


def _contributions(model: ModelFile) -> Iterator[tuple[str, str]]:
    for place, name in enumerate(model.terms):
        yield f"contribution_{escape_name(name)}", f"terms[{place}]"


def _points_of(model: ModelFile) -> Points:
    points = model.output.points
    if points is None:
        raise ModelError("the model has no scale of points", "add output.points to the model file")
    return points


def _total(model: ModelFile) -> str:
    """Return the points of a row, rounded but not yet an integer."""
    points = _points_of(model)
    if points.rounding == "features":
        return f"added(0.0, map(rounded, {_of_terms(model)}))"
    total = f"raw * {points.slope!r} + {points.constant!r}"
    return f"rounded({total})" if points.rounding == "points" else total


def _of_terms(model: ModelFile) -> str:
    points, features = _points_of(model), len(model.features)
    shares = (0.0,) * (len(model.terms) - features) + (points.share(model.base, features),) * features
    return f"points_of_terms(terms, {shares!r}, {points.slope!r})"


def _points(model: ModelFile) -> Iterator[tuple[str, str]]:
    total = _total(model)
    yield "points", total if _points_of(model).rounding == "none" else f"integer({total})"


def _points_by_feature(model: ModelFile) -> Iterator[tuple[str, str]]:
    are_whole = _points_of(model).rounding == "features"
    for place, name in enumerate(model.terms):
        part = f"{_of_terms(model)}[{place}]"
        yield f"points_{escape_name(name)}", f"integer(rounded({part}))" if are_whole else part


def _band(model: ModelFile) -> Iterator[tuple[str, str]]:
    bands = model.output.bands
    assert bands is not None
    value = _total(model) if bands.on == "points" else _probability(model)
    yield "band", f"banded({value}, {bands.thresholds!r}, {bands.names!r})"


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
