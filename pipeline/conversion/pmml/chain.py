"""``MiningModel``: a model for each class, whose probabilities are divided by their sum."""

from __future__ import annotations

from typing import Any

from pipeline.conversion.pmml.elements import Element, fault, refused
from pipeline.conversion.pmml.fields import DocumentFields, read_fields
from pipeline.conversion.pmml.regression import add_table, check_parts, classes_target, names
from pipeline.conversion.pmml.target import document, read_target
from pipeline.conversion.pmml.terms import TermSums
from pipeline.units import escape

_PARTS = (
    *("MiningSchema", "Output", "ModelStats", "ModelExplanation", "Targets", "LocalTransformations"),
    *("Segmentation", "ModelVerification"),
)
_WANTED = "a chain of RegressionModel with logit, one for each class, and a last one with simplemax is read"


def read_chain(root: Element, model: Element) -> dict[str, Any]:
    """Return the model file of a chain of models, one for each class."""
    check_parts(model, _PARTS)
    segmentation = model.one("Segmentation")
    if segmentation.get("multipleModelMethod") != "modelChain":
        raise refused(segmentation, "combines models in a way that is not read", _WANTED)
    models = [_model(segment) for segment in segmentation.only("Segment")]
    if not models:
        raise fault(segmentation, "has no Segment")
    fields = read_fields(root, model)
    target = read_target(root, model)
    *parts, last = models
    if last.get("normalizationMethod") != "simplemax":
        raise refused(last, "the last model of the chain has no simplemax", _WANTED)
    made = dict(_part(root, part, fields) for part in parts)
    tables = last.all("RegressionTable")
    if not tables or len(tables) != len(made):
        raise fault(last, f"has {len(tables)} tables for {len(made)} models before it")
    terms = TermSums(len(tables), _order(made), _names(made))
    for place, table in enumerate(tables):
        name = _source(table)
        if name not in made:
            raise refused(table, f'"{escape(name)}" is not a result of a model before it', _WANTED)
        part, own = made[name]
        add_table(terms, place, part, own)
    classes = [target.value(table, table.require("targetCategory")) for table in tables]
    return document(model, terms, classes=classes, normalise="one-vs-rest", **classes_target(target))


def _order(made: dict[str, tuple[Element, DocumentFields]]) -> dict[str, int]:
    order: dict[str, int] = {}
    for _, own in made.values():
        for name in own.order:
            order.setdefault(name, len(order))
    return order


def _names(made: dict[str, tuple[Element, DocumentFields]]) -> dict[str, str]:
    return {name: shown for _, own in made.values() for name, shown in names(own).items()}


def _model(segment: Element) -> Element:
    children = [child for child in segment.children if child.name != "Extension"]
    if len(children) != 2:
        raise fault(segment, "must have a predicate and a model")
    predicate, model = children
    if predicate.name != "True":
        raise refused(predicate, "a model for some rows only is not read", _WANTED)
    if model.name != "RegressionModel":
        raise refused(model, "is not a RegressionModel", _WANTED)
    return model


def _part(root: Element, part: Element, above: DocumentFields) -> tuple[str, tuple[Element, DocumentFields]]:
    """Return the name of the probability that a model of the chain gives, its table and its fields."""
    tables = part.all("RegressionTable")
    if part.get("normalizationMethod") != "logit" or not tables:
        raise refused(part, "is not a model with logit", _WANTED)
    feature = "predictedValue" if part.get("functionName") == "regression" else "probability"
    category = tables[0].get("targetCategory")
    for each in part.descendants("OutputField"):
        if each.get("feature", "predictedValue") == feature and each.get("value", category) == category:
            return each.require("name"), (tables[0], read_fields(root, part, above))
    raise fault(part, f"has no OutputField with its {feature}")


def _source(table: Element) -> str:
    """Return the field that a table passes on as it is."""
    predictors = table.only("NumericPredictor")
    plain = (
        len(predictors) == 1 and predictors[0].number("coefficient") == 1 and predictors[0].number("exponent", 1.0) == 1
    )
    if not plain or table.number("intercept") != 0:
        raise refused(table, "does more than pass on one probability", _WANTED)
    return predictors[0].require("name")
