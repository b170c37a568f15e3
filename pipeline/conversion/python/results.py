"""The columns that a model makes, as Python expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pipeline.errors import ModelError
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.making import class_text
from pipeline.models.logistic.score import ScoreBlock
from pipeline.units import escape

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
    return f"{_NORMALISED[model.normalise]}(raw, {model.output.temperature!r})"


def _probability(model: ModelFile) -> str:
    if not model.output.changed or model.link != "logit":
        return f"{_LINKS[model.link]}(raw)"
    alpha, beta, temperature = (model.output.parameters[name] for name in ("alpha", "beta", "temperature"))
    return f"sigmoid(({alpha!r} * raw + {beta!r}) / {temperature!r})"


def _decision(model: ModelFile) -> Iterator[tuple[str, str]]:
    target = model.target
    is_named = target is not None and target.negative is not None
    values = (target.negative, target.positive) if target is not None and is_named else (False, True)
    negative, positive = map(repr, values)
    yield "decision", f"decided({_probability(model)}, {ScoreBlock.of(model).threshold!r}, {negative}, {positive})"


def _contributions(model: ModelFile) -> Iterator[tuple[str, str]]:
    for place, name in enumerate(model.terms):
        yield f"contribution_{escape(name)}", f"terms[{place}]"


Maker = Callable[[ModelFile], Iterator[tuple[str, str]]]

_BINARY: Mapping[str, Maker] = {
    "probability": lambda model: iter([("probability", _probability(model))]),
    "raw_prediction": lambda _: iter([("raw_prediction", "raw")]),
    "decision": _decision,
    "contributions": _contributions,
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
