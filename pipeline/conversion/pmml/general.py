"""``GeneralRegressionModel``: parameters, each a product of factors and covariates, and their coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.conversion.pmml.elements import Element, fault, number, refused
from pipeline.conversion.pmml.features import number_term
from pipeline.conversion.pmml.fields import DocumentFields, read_fields
from pipeline.conversion.pmml.functions import call, power, to_sum
from pipeline.conversion.pmml.regression import LINKS, check_parts, classes_target, levels_table, names, outcome
from pipeline.conversion.pmml.target import TargetField, document, read_target
from pipeline.conversion.pmml.terms import TermSums
from pipeline.conversion.pmml.values import MISSING, Polynomial, Value, constant
from pipeline.dataclass import dataclass
from pipeline.units import escape

_PARTS = (
    *("MiningSchema", "Output", "ModelStats", "ModelExplanation", "Targets", "LocalTransformations", "ParameterList"),
    *("FactorList", "CovariateList", "PPMatrix", "PCovMatrix", "ParamMatrix", "ModelVerification"),
)
_TYPES = ("multinomialLogistic", "generalizedLinear", "generalLinear")
_LINKED = "use linkFunction logit, probit, cloglog, loglog or cauchit"


@dataclass(frozen=True, slots=True)
class _Parameters:
    """What each parameter is a product of: the predictors that ``PPMatrix`` names for it."""

    cells: Mapping[str, list[Element]]
    factors: frozenset[str]
    covariates: frozenset[str]

    def value(self, parameter: str, at: Element, fields: DocumentFields) -> tuple[str, Value]:
        """Return a name for the predictors of a parameter, and their product; 1 for the intercept."""
        cells = self.cells.get(parameter, [])
        value: Value = constant(1.0)
        named: list[str] = []
        for cell in cells:
            name = cell.require("predictorName")
            named.append(name)
            one = self._predictor(name, cell, fields)
            value = one if len(named) == 1 else call(at, "*", [value, one], fields.spelled)
        return "\n".join(named), value

    def _predictor(self, name: str, cell: Element, fields: DocumentFields) -> Value:
        value = fields.value(name, cell)
        text = cell.require("value")
        if name in self.covariates:
            exponent = number(cell, text, "value")
            return value if exponent == 1 else power(cell, to_sum(cell, value), exponent, fields.spelled)
        if name not in self.factors:
            raise fault(cell, f'"{escape(name)}" is neither a factor nor a covariate')
        return levels_table(name, [(cell, text, 1.0)], fields, missing=MISSING)


def read_general(root: Element, model: Element) -> dict[str, Any]:
    """Return the model file of a ``GeneralRegressionModel``."""
    check_parts(model, _PARTS)
    type_ = model.require("modelType")
    if type_ not in _TYPES:
        raise refused(model, f'modelType="{escape(type_)}" is not read', f"use {', '.join(_TYPES)}")
    for trials in ("trialsVariable", "trialsValue"):
        if trials in model.attributes:
            raise refused(model, f"{trials} counts several trials a row", "write one trial a row")
    fields = read_fields(root, model)
    target = read_target(root, model)
    parameters = _parameters(model)
    cells = model.one("ParamMatrix").only("PCell")
    if type_ == "multinomialLogistic":
        return _multinomial(model, fields, target, parameters, cells)
    link = model.get("linkFunction")
    if link not in LINKS:
        raise refused(model, f'linkFunction="{escape(link)}" gives no probability', _LINKED)
    return _generalized(model, fields, target, parameters, cells, link)


def _parameters(model: Element) -> _Parameters:
    cells: dict[str, list[Element]] = {
        each.require("name"): [] for each in model.one("ParameterList").only("Parameter")
    }
    for each in model.one("PPMatrix").only("PPCell"):
        if "targetCategory" in each.attributes:
            raise refused(
                each, "a parameter that differs by class is not read", "give each class parameters of its own"
            )
        name = each.require("parameterName")
        if name not in cells:
            raise fault(each, f'there is no parameter "{escape(name)}"')
        cells[name].append(each)
    for matrix in model.descendants("Matrix"):
        raise refused(matrix, "contrasts of a factor are not read", "fit with one parameter a level")
    return _Parameters(cells, _listed(model, "FactorList"), _listed(model, "CovariateList"))


def _listed(model: Element, name: str) -> frozenset[str]:
    """Return the names of the predictors in a list of a model."""
    found = model.first(name)
    return frozenset() if found is None else frozenset(each.require("name") for each in found.only("Predictor"))


def _generalized(
    model: Element,
    fields: DocumentFields,
    target: TargetField,
    parameters: _Parameters,
    cells: list[Element],
    link: str,
) -> dict[str, Any]:
    categories = list(
        dict.fromkeys(cell.get("targetCategory") for cell in cells if "targetCategory" in cell.attributes)
    )
    if len(categories) > 1:
        raise refused(cells[0], "has parameters for more than one class", 'use modelType="multinomialLogistic"')
    terms = TermSums(1, _order(fields, parameters), names(fields))
    _add(terms, 0, cells, parameters, fields)
    terms.add(model, 0, "", constant(model.number("offsetValue", 0.0)), 1.0)
    more = {} if link == "logit" else {"link": link}
    return document(model, terms, **more, **_offset(model, fields), **_outcome(model, target, categories))


def _outcome(model: Element, target: TargetField, categories: list[str]) -> dict[str, Any]:
    if model.get("functionName") != "classification":
        return {}
    reference = model.get("targetReferenceCategory")
    positives = categories or [each for each in target.values if reference and each != reference]
    if len(positives) != 1 or positives[0] == reference:
        raise fault(model, "does not say which of two values it predicts: give targetReferenceCategory")
    others = [each for each in target.values if each != positives[0]] or ([reference] if reference else [])
    return outcome(model, target, positives[0], others)


def _offset(model: Element, fields: DocumentFields) -> dict[str, Any]:
    name = model.get("offsetVariable")
    if not name:
        return {}
    value = fields.value(name, model)
    inner = value.number if isinstance(value, Polynomial) else None
    if inner is None or inner.steps:
        raise refused(model, "the offset is not a column", "derive the column before scoring")
    term = number_term(inner)
    given = fields.derived[name].get("displayName") if name in fields.derived else ""
    named = {} if given in {"", term["column"]} else {"name": given}
    return {"offset": {"column": term["column"], **named, "missing": term["missing"]}}


def _order(fields: DocumentFields, parameters: _Parameters) -> dict[str, int]:
    """Return the place of the predictors of each parameter: that of the last field that they name."""
    order = dict(fields.order)
    for cells in parameters.cells.values():
        named = [cell.require("predictorName") for cell in cells]
        if named:
            order["\n".join(named)] = max(fields.order.get(name, len(fields.order)) for name in named)
    return order


def _add(
    terms: TermSums, class_: int, cells: Sequence[Element], parameters: _Parameters, fields: DocumentFields
) -> None:
    """Add the parameters of a class; those of the levels of one factor together, since there may be many."""
    levels: dict[str, list[tuple[Element, str, float]]] = {}
    for cell in cells:
        own = parameters.cells.get(cell.require("parameterName"), [])
        name = own[0].require("predictorName") if len(own) == 1 else ""
        if name in parameters.factors:
            levels.setdefault(name, []).append((own[0], own[0].require("value"), cell.number("beta")))
        else:
            name, value = parameters.value(cell.require("parameterName"), cell, fields)
            terms.add(cell, class_, name, value, cell.number("beta"))
    for name, numbers in levels.items():
        terms.add(numbers[0][0], class_, name, levels_table(name, numbers, fields, missing=MISSING), 1.0)


def _multinomial(
    model: Element, fields: DocumentFields, target: TargetField, parameters: _Parameters, cells: list[Element]
) -> dict[str, Any]:
    used: dict[str, list[Element]] = {}
    for cell in cells:
        used.setdefault(cell.require("targetCategory"), []).append(cell)
    reference = model.get("targetReferenceCategory")
    values = list(target.values) or [*used, *([reference] if reference else [])]
    rest = [value for value in values if value not in used]
    if len(rest) != 1 or (reference and reference != rest[0]):
        raise fault(model, "needs parameters for every value of the target but the reference")
    if len(used) == 1:
        terms = TermSums(1, _order(fields, parameters), names(fields))
        _add(terms, 0, cells, parameters, fields)
        return document(model, terms, **outcome(model, target, next(iter(used)), rest))
    terms = TermSums(len(values), _order(fields, parameters), names(fields))
    for value, here in used.items():
        _add(terms, values.index(value), here, parameters, fields)
    classes = [target.value(model, value) for value in values]
    return document(model, terms, classes=classes, **classes_target(target))
