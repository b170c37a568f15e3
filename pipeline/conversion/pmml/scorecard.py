"""``Scorecard``: points for each characteristic, added to an initial score.

A Scorecard has no probability. Its score becomes the raw prediction, a feature for each characteristic with the partial
scores as coefficients, and ``output.points`` is such that the points *are* the raw prediction: 0 points at even odds,
and ``pdo`` = ln 2, so that pdo / ln 2 is 1. Only ``points`` is made unless other columns are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipeline.conversion.pmml.elements import Element, fault, refused
from pipeline.conversion.pmml.expressions import ExpressionScope, is_true
from pipeline.conversion.pmml.fields import read_fields
from pipeline.conversion.pmml.functions import call
from pipeline.conversion.pmml.regression import check_parts
from pipeline.conversion.pmml.target import document
from pipeline.conversion.pmml.terms import TermSums
from pipeline.conversion.pmml.values import MISSING, ColumnTable, Value, constant
from pipeline.models.logistic.documents import default_name
from pipeline.units import escape

_PARTS = (
    *("MiningSchema", "Output", "ModelStats", "ModelExplanation", "Targets", "LocalTransformations"),
    *("Characteristics", "ModelVerification"),
)
_POINTS = {"pdo": math.log(2), "base_points": 0.0, "base_odds": 1.0, "higher": "positive"}
# How many reasons a model has where the document asks for none.
_REASONS = 3
_DIRECTIONS = {"pointsBelow": "lower", "pointsAbove": "raise"}


def read_scorecard(root: Element, model: Element) -> dict[str, Any]:
    """Return the model file of a ``Scorecard``."""
    check_parts(model, _PARTS)
    fields = read_fields(root, model)
    characteristics = model.one("Characteristics").only("Characteristic")
    order = {_source(place): place for place in range(len(characteristics))}
    terms = TermSums(1, order, {_source(place): each.get("name") for place, each in enumerate(characteristics)})
    terms.add(model, 0, "", constant(model.number("initialScore", 0.0)), 1.0)
    scope = fields.scope
    for place, characteristic in enumerate(characteristics):
        terms.add(characteristic, 0, _source(place), _points(characteristic, scope), 1.0)
    output = {"columns": ["points"], "points": _POINTS}
    made = document(model, terms, output=output)
    if len(made["features"]) < len(characteristics):
        raise refused(model, "a characteristic gives the same points to every row", "add its points to initialScore")
    output |= _reasons(model, characteristics, made)
    return made


def _source(place: int) -> str:
    return f"characteristic {place}"


def _points(characteristic: Element, scope: ExpressionScope) -> Value:
    """Return the points of a characteristic: those of its first attribute whose predicate is true."""
    value: Value = MISSING
    for attribute in reversed(characteristic.only("Attribute")):
        if attribute.first("ComplexPartialScore") is not None:
            raise refused(
                attribute.one("ComplexPartialScore"),
                "a partial score that is computed is not read",
                "give partialScore",
            )
        points = attribute.number("partialScore")
        predicate = next((each for each in attribute.children if each.name != "Extension"), None)
        if predicate is None:
            raise fault(attribute, "has no predicate")
        test = is_true(predicate, scope)
        # An unknown predicate is not true: the next attribute is looked at.
        known = (
            test.map(lambda each: False if each is MISSING else each) if isinstance(test, ColumnTable) else test is True
        )
        value = call(predicate, "if", [known, points, value], scope.spelled)
    if not isinstance(value, ColumnTable):
        raise refused(characteristic, "gives the same points to every row", "add its points to initialScore")
    return value


def _reasons(model: Element, characteristics: list[Element], made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reasons of a Scorecard with reason codes; columns of them if its ``Output`` asks for them."""
    asked = [each for each in model.descendants("OutputField") if each.get("feature") == "reasonCode"]
    if model.get("useReasonCodes", "true") == "false" or not (asked or any(map(_code, characteristics))):
        return {}
    algorithm = model.get("reasonCodeAlgorithm", "pointsBelow")
    if algorithm not in _DIRECTIONS:
        raise fault(model, f'reasonCodeAlgorithm="{escape(algorithm)}" does not exist')
    count = max((int(each.number("rank", 1.0)) for each in asked), default=_REASONS)
    features = {}
    for characteristic, feature in zip(characteristics, made["features"], strict=True):
        baseline = characteristic.number("baselineScore", model.number("baselineScore", 0.0))
        reason: dict[str, Any] = {"reference": {"contribution": baseline}}
        code = _code(characteristic)
        features[feature.get("name") or default_name(feature)] = reason | ({"code": code} if code else {})
    reasons = {"count": min(count, len(features)), "direction": _DIRECTIONS[algorithm], "features": features}
    return {"reasons": reasons} | ({"columns": ["points", "reasons"]} if asked else {})


def _code(characteristic: Element) -> str:
    codes = {each.get("reasonCode") or characteristic.get("reasonCode") for each in characteristic.all("Attribute")}
    return characteristic.get("reasonCode") or (codes.pop() if len(codes) == 1 else "")


def notes(model: Element) -> list[str]:
    """Return what a person should know of a Scorecard as a model file."""
    found = ["a Scorecard has no probability: its score is the raw prediction and the points"]
    for each in model.descendants("Characteristic"):
        codes = {attribute.get("reasonCode") or each.get("reasonCode") for attribute in each.all("Attribute")}
        if len(codes) > 1:
            found.append(
                f'the reason codes of the attributes of "{escape(each.get("name"))}" differ: one a feature is kept'
            )
    return found
