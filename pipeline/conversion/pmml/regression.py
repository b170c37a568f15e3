"""``RegressionModel``: sums of predictors, and a normalisation that makes probabilities of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.conversion.pmml.elements import Element, fault, refused
from pipeline.conversion.pmml.expressions import equal
from pipeline.conversion.pmml.fields import DocumentFields, read_fields
from pipeline.conversion.pmml.functions import as_text, call, merged_if, power, to_sum
from pipeline.conversion.pmml.target import TargetField, document, read_target
from pipeline.conversion.pmml.terms import TermSums
from pipeline.conversion.pmml.values import ITSELF, MISSING, Absent, ColumnTable, Value, constant
from pipeline.units import escape

LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit")
_NO_PROBABILITY = (
    "a model file holds models whose sum goes through a link: logit, softmax, probit, cloglog, loglog, cauchit"
)
_PARTS = (
    *("MiningSchema", "Output", "ModelStats", "ModelExplanation", "Targets", "LocalTransformations"),
    *("RegressionTable", "ModelVerification"),
)


def read_regression(root: Element, model: Element) -> dict[str, Any]:
    """Return the model file of a ``RegressionModel``."""
    check_parts(model, _PARTS)
    fields = read_fields(root, model)
    target = read_target(root, model)
    tables = model.all("RegressionTable")
    method = model.get("normalizationMethod", "none")
    if not tables:
        raise fault(model, "has no RegressionTable")
    if method == "softmax" and model.get("functionName") == "classification":
        return _softmax(model, fields, target, tables)
    if method in LINKS:
        return _binary(model, fields, target, tables, method)
    raise refused(
        model, f'normalizationMethod="{escape(method)}" gives no probability of a logistic model', _NO_PROBABILITY
    )


def check_parts(model: Element, known: Sequence[str]) -> None:
    """Refuse a model that is not scorable, has parts that are not read, or changes what it predicts."""
    if model.get("isScorable", "true") == "false":
        raise refused(model, "says that it cannot be scored", 'remove isScorable="false" if it can')
    model.only(*known)
    for target in model.descendants("Target"):
        changing = {"rescaleConstant", "rescaleFactor", "castInteger", "min", "max"} & target.attributes.keys()
        if changing:
            raise refused(
                target, f"{min(changing)} changes the prediction", "remove it, and change the prediction afterwards"
            )


def _binary(
    model: Element, fields: DocumentFields, target: TargetField, tables: Sequence[Element], link: str
) -> dict[str, Any]:
    if len(tables) > 2:
        remedy = "use softmax, or a MiningModel with a model for each class"
        raise refused(model, f'normalizationMethod="{link}" with {len(tables)} tables', remedy)
    if len(tables) == 2 and not _is_empty(tables[1]):
        message = f'normalizationMethod="{link}" takes the first table alone, but this one is not empty'
        raise refused(tables[1], message, "put the table with the predictors first, and leave the other one empty")
    terms = TermSums(1, fields.order, names(fields))
    add_table(terms, 0, tables[0], fields)
    return document(model, terms, **_linked(link), **_outcome(model, target, tables))


def _linked(link: str) -> dict[str, Any]:
    return {} if link == "logit" else {"link": link}


def _outcome(model: Element, target: TargetField, tables: Sequence[Element]) -> dict[str, Any]:
    if model.get("functionName") != "classification":
        return {}
    positive = tables[0].require("targetCategory")
    others = [table.require("targetCategory") for table in tables[1:]] or [
        each for each in target.values if each != positive
    ]
    return outcome(tables[0], target, positive, others)


def outcome(at: Element, target: TargetField, positive: str, others: Sequence[str]) -> dict[str, Any]:
    """Return the section ``target`` of a binary model."""
    if len(others) != 1:
        raise fault(at, f'the target has {1 + len(others)} values, not 2: give each as <Value value="..."/>')
    named = {"column": target.column} if target.column else {}
    return {"target": {**named, "negative": target.value(at, others[0]), "positive": target.value(at, positive)}}


def _is_empty(table: Element) -> bool:
    return not table.all("NumericPredictor", "CategoricalPredictor", "PredictorTerm") and table.number("intercept") == 0


def _softmax(model: Element, fields: DocumentFields, target: TargetField, tables: Sequence[Element]) -> dict[str, Any]:
    if len(tables) < 2:
        raise fault(model, "softmax needs a RegressionTable for each class")
    full = [table for table in tables if not _is_empty(table)]
    if len(tables) == 2 and len(full) == 1:
        terms = TermSums(1, fields.order, names(fields))
        add_table(terms, 0, full[0], fields)
        return document(
            model, terms, **_outcome(model, target, [full[0], *(table for table in tables if table is not full[0])])
        )
    terms = TermSums(len(tables), fields.order, names(fields))
    for place, table in enumerate(tables):
        add_table(terms, place, table, fields)
    classes = [target.value(table, table.require("targetCategory")) for table in tables]
    return document(model, terms, classes=classes, **classes_target(target))


def classes_target(target: TargetField) -> dict[str, Any]:
    """Return the section ``target`` of a model with classes."""
    return {"target": {"column": target.column}} if target.column else {}


def names(fields: DocumentFields) -> Mapping[str, str]:
    """Return the names of features that the file gives to derived fields."""
    return {name: each.get("displayName") for name, each in fields.derived.items() if each.get("displayName")}


def add_table(terms: TermSums, class_: int, table: Element, fields: DocumentFields) -> None:
    """Add what a ``RegressionTable`` says to the sum of a class."""
    terms.add(table, class_, "", constant(table.number("intercept")), 1.0)
    categories: dict[str, list[Element]] = {}
    for each in table.only("NumericPredictor", "CategoricalPredictor", "PredictorTerm"):
        if each.name == "CategoricalPredictor":
            categories.setdefault(each.require("name"), []).append(each)
        else:
            name, value = _NUMERIC[each.name](each, fields)
            terms.add(each, class_, name, value, each.number("coefficient"))
    for name, found in categories.items():
        numbers = [(each, each.require("value"), each.number("coefficient")) for each in found]
        terms.add(found[0], class_, name, levels_table(name, numbers, fields, missing=0.0), 1.0)


def _numeric(each: Element, fields: DocumentFields) -> tuple[str, Value]:
    name = each.require("name")
    value = fields.value(name, each)
    exponent = each.number("exponent", 1.0)
    return name, value if exponent == 1 else power(each, to_sum(each, value), exponent, fields.spelled)


def _term(each: Element, fields: DocumentFields) -> tuple[str, Value]:
    named = [child.require("field") for child in each.only("FieldRef")]
    if not named:
        raise fault(each, "names no field")
    values: Iterator[Value] = (fields.value(name, each) for name in named)
    value = next(values)
    for other in values:
        value = call(each, "*", [value, other], fields.spelled)
    # Like a field of its own: a product of the columns that it names.
    return (named[0], value) if len(named) == 1 else (max(named, key=lambda name: fields.order.get(name, 0)), value)


_NUMERIC = {"NumericPredictor": _numeric, "PredictorTerm": _term}


def levels_table(
    name: str, numbers: Sequence[tuple[Element, str, float]], fields: DocumentFields, missing: float | Absent
) -> ColumnTable:
    """Return a table with a number at each of some levels of a field, 0 elsewhere, and what a missing value adds.

    ``numbers`` has an element for messages, the level and the number.
    """
    at = numbers[0][0]
    value = fields.value(name, at)
    if isinstance(value, ColumnTable):
        return _of_levels(value, numbers, fields, missing)
    made: ColumnTable | None = None
    for each, text, number in numbers:
        found = equal(each, value, text, fields.spelled)
        if not isinstance(found, ColumnTable):
            raise refused(each, "its field is a constant", "add the coefficient to the intercept")
        one = found.map(partial(_number, number, missing))
        made = one if made is None else made.join(one, _plus)
    assert made is not None
    return merged_if(made)


def _number(number: float, missing: float | Absent, test: Any) -> Any:
    if isinstance(test, bool):
        return number * test
    return missing if test is MISSING else test


def _plus(left: Any, right: Any) -> Any:
    return left + right if isinstance(left, float) and isinstance(right, float) else left


def _of_levels(
    value: ColumnTable, numbers: Sequence[tuple[Element, str, float]], fields: DocumentFields, missing: float | Absent
) -> ColumnTable:
    """Return the numbers of the levels of a table in one go: there may be many."""
    is_column = value.type is not None
    found: dict[str, float] = {}
    for _, text, number in numbers:
        level = as_text(fields.spelled(value.column, text) if is_column else text)
        found[level] = found.get(level, 0.0) + number

    def look(old: Any) -> Any:
        if isinstance(old, Absent):
            return {MISSING: missing, ITSELF: 0.0}.get(old, old)
        return old if old is None else found.get(as_text(old), 0.0)

    return merged_if(value.map(look, tuple(found)))
