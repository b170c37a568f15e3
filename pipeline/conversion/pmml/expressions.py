"""The expressions and predicates of PMML, evaluated to what they are for any row: see ``values``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from pipeline.conversion.pmml import functions
from pipeline.conversion.pmml.elements import Element, fault, in_range, is_number, number, refused
from pipeline.conversion.pmml.intervals import COMPARISONS, compare, partition
from pipeline.conversion.pmml.values import (
    INVALID,
    ITSELF,
    MISSING,
    NUMBER_TYPES,
    Absent,
    ColumnNumber,
    ColumnTable,
    LevelGrid,
    Polynomial,
    Scalar,
    Value,
    constant,
    factor,
)
from pipeline.dataclass import dataclass
from pipeline.kernels import Clip
from pipeline.models.levels import level_value
from pipeline.units import escape, format_count

CALLS_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class ExpressionScope:
    """What an expression may name: fields, functions that the file defines, and the spelling of levels.

    ``calls`` counts the calls of such functions: where each calls another one twice, they double with each.
    """

    field: Callable[[str, Element], Value]
    spelled: Callable[[str, str], str]
    functions: Mapping[str, Element]
    calls: Iterator[int]


def evaluate(element: Element, scope: ExpressionScope) -> Value:
    """Return what an expression is."""
    known = _EXPRESSIONS.get(element.name)
    if known is None:
        raise refused(element, "this expression is not read")
    return known(element, scope)


def _constant(element: Element, _: ExpressionScope) -> Value:
    if element.get("missing") == "true":
        return MISSING
    return scalar(element, element.text, element.get("dataType"))


def scalar(element: Element, text: str, type_: str = "") -> Scalar:
    """Return a text as a value of a type; without one, a number where it is one."""
    if type_ in NUMBER_TYPES:
        return number(element, text)
    if type_ == "boolean":
        return text.strip().lower() in {"true", "1"}
    if type_ == "string":
        return text
    return number(element, text) if is_number(text) else text


def _field_ref(element: Element, scope: ExpressionScope) -> Value:
    value = scope.field(element.require("field"), element)
    return map_missing(element, value, scope)


def map_missing(element: Element, value: Value, scope: ExpressionScope) -> Value:
    """Return a value with what ``mapMissingTo`` puts in place of missing ones."""
    text = element.attributes.get("mapMissingTo")
    if text is None:
        return value
    if value is MISSING:
        return scalar(element, text)
    if isinstance(value, ColumnTable):
        new: Scalar = scope.spelled(value.column, text) if _is_text(value) else scalar(element, text)
        return value.map(lambda old: new if old is MISSING else old)
    if isinstance(value, Polynomial) and value.constant is None:
        inner = value.number
        if inner is None or inner.steps:
            raise refused(
                element, "mapMissingTo is only read where a column is named", "move it to the FieldRef of the column"
            )
        replacement = number(element, text, "mapMissingTo")
        return factor(replace(inner, missing=replacement)) if inner.missing is MISSING else value
    return value


def _is_text(table: ColumnTable) -> bool:
    return any(isinstance(value, str) or value is ITSELF for value in table.values)


def _norm_continuous(element: Element, scope: ExpressionScope) -> Value:
    value = scope.field(element.require("field"), element)
    inner = value.number if isinstance(value, Polynomial) else None
    points = [(each.number("orig"), each.number("norm")) for each in element.only("LinearNorm")]
    if inner is None:
        raise refused(element, "its field is not a number of one column")
    if len(points) < 2 or any(right[0] <= left[0] for left, right in pairwise(points)):
        raise fault(element, "needs two or more LinearNorm, in the order of orig")
    outliers = element.get("outliers", "asIs")
    if outliers not in {"asIs", "asExtremeValues"}:
        raise refused(element, f'outliers="{escape(outliers)}" is not read')
    clipped = outliers == "asExtremeValues"
    if "mapMissingTo" not in element.attributes or inner.missing is not MISSING:
        return _pieces(inner, points, clipped=clipped)
    return _pieces_or(element, inner, points, element.number("mapMissingTo"), clipped=clipped)


def _pieces_or(
    element: Element, inner: ColumnNumber, points: Sequence[tuple[float, float]], missing: float, *, clipped: bool
) -> Polynomial:
    """Return the same with a value for missing numbers: that of the first point, and the difference to it."""
    start, value = points[0]
    if inner.steps:
        raise refused(
            element, "mapMissingTo is only read where its field is a column", "move it to the FieldRef of the column"
        )
    filled = replace(inner, missing=start)
    gap = ColumnTable(inner.column, missing - value, (), (0.0,))
    total = _pieces(filled, points, clipped=clipped)
    return total if missing == value else total + factor(gap)


def _pieces(inner: ColumnNumber, points: Sequence[tuple[float, float]], *, clipped: bool) -> Polynomial:
    """Return a continuous function that is straight between points, as a sum of clipped numbers."""
    total = constant(points[0][1])
    last = len(points) - 2
    for place, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        slope = (Fraction(y1) - Fraction(y0)) / (Fraction(x1) - Fraction(x0))
        low = x0 if clipped or place > 0 else -math.inf
        high = x1 if clipped or place < last else math.inf
        part = inner if low == -high == -math.inf else inner.then(Clip(low, high))
        total += (factor(part) + constant(-Fraction(x0))) * constant(slope)
    return total


def _norm_discrete(element: Element, scope: ExpressionScope) -> Value:
    value = scope.field(element.require("field"), element)
    text = element.require("value")
    missing = element.number("mapMissingTo") if "mapMissingTo" in element.attributes else MISSING
    found = equal(element, value, text, scope.spelled)
    if not isinstance(found, ColumnTable):
        return float(found) if isinstance(found, bool) else found
    if isinstance(value, ColumnTable) and value.type == "boolean" and level_value(text, "boolean") is True:
        return factor(_flag(value, missing))
    plain = isinstance(value, ColumnTable) and value.other is not None
    made = found.map(lambda each: missing if each is MISSING else functions.as_number(each))
    return replace(made, single=plain and len(made.levels) >= 1)


def _flag(value: ColumnTable, missing: float | Absent) -> ColumnNumber:
    """Return a column of booleans as 1 and 0."""
    known = {MISSING: missing, INVALID: INVALID}
    inner = known.get(value.missing)
    return ColumnNumber(value.column, float(value.missing == "true") if inner is None else inner, boolean=True)


def equal(element: Element, value: Value, text: str, spelled: Callable[[str, str], str]) -> Value:
    """Return whether a value is the one that a text means."""
    if isinstance(value, ColumnTable):
        return functions.table_equal(value, text, spelled)
    if isinstance(value, Polynomial):
        with in_range(element):
            return compare(element, "equal", value, number(element, text))
    return value if isinstance(value, Absent) else str(value) == text


def _discretize(element: Element, scope: ExpressionScope) -> Value:
    value = scope.field(element.require("field"), element)
    type_ = element.get("dataType")
    default, missing = (_given(element, name, type_) for name in ("defaultValue", "mapMissingTo"))
    bins = []
    for each in element.only("DiscretizeBin"):
        interval = each.one("Interval")
        closure = interval.require("closure")
        if closure not in _CLOSURES:
            raise fault(interval, f'closure="{escape(closure)}" does not exist')
        low, high = (
            interval.number(name) if name in interval.attributes else None for name in ("leftMargin", "rightMargin")
        )
        bins.append((low, high, *_CLOSURES[closure], scalar(each, each.require("binValue"), type_)))
    return partition(element, value, bins, default, missing)


def _given(element: Element, name: str, type_: str) -> Scalar:
    """Return an attribute as a value of a type, MISSING where it is not given."""
    return scalar(element, element.get(name), type_) if name in element.attributes else MISSING


# Whether the left and the right end belong to an interval.
_CLOSURES = {
    "openOpen": (False, False),
    "openClosed": (False, True),
    "closedOpen": (True, False),
    "closedClosed": (True, True),
}


def _map_values(element: Element, scope: ExpressionScope) -> Value:
    type_ = element.get("dataType")
    pairs = element.all("FieldColumnPair")
    rows = _inline(element)
    output = _column(element.require("outputColumn"))
    default, missing = (_given(element, name, type_) for name in ("defaultValue", "mapMissingTo"))
    keys = [_column(pair.require("column")) for pair in pairs]
    values = [scope.field(pair.require("field"), pair) for pair in pairs]
    table: dict[tuple[str, ...], Scalar] = {}
    for row in rows:
        cells = {_column(cell.name): cell for cell in row.children}
        if any(key not in cells for key in (*keys, output)):
            raise fault(row, "lacks a column that MapValues names")
        place = tuple(cells[key].text for key in keys)
        table.setdefault(place, scalar(cells[output], cells[output].text, type_))
    if len(values) == 1:
        return _mapped(element, values[0], {key[0]: value for key, value in table.items()}, (default, missing), scope)
    return _grid(element, values, table, (default, missing), scope)


def _column(name: str) -> str:
    """Return a name without the prefix of its namespace, which the elements of a table may have."""
    return name.rpartition(":")[2]


def _inline(element: Element) -> list[Element]:
    table = element.first("InlineTable")
    if table is None:
        raise refused(element, "reads a table outside the file", "write the table as InlineTable")
    return table.all("row")


def _mapped(
    element: Element, value: Value, table: Mapping[str, Scalar], rest: tuple[Scalar, Scalar], scope: ExpressionScope
) -> Value:
    default, missing = rest
    if not isinstance(value, ColumnTable):
        raise refused(element, "its field is not a column of levels", 'give the DataField optype="categorical"')
    spelled = {scope.spelled(value.column, key): found for key, found in table.items()} if _is_text(value) else table

    def look(old: Scalar) -> Scalar:
        if old is MISSING or old is INVALID:
            return missing if old is MISSING else old
        return spelled.get(functions.as_text(old), default) if old is not ITSELF else default

    return value.map(look, tuple(spelled))


def _grid(
    element: Element,
    values: Sequence[Value],
    table: Mapping[tuple[str, ...], Scalar],
    rest: tuple[Scalar, Scalar],
    scope: ExpressionScope,
) -> Value:
    default, missing = rest
    columns = [value for value in values if isinstance(value, ColumnTable) and value.type is not None]
    if len(columns) < len(values) or any(not isinstance(found, float) for found in table.values()):
        raise refused(element, "several fields must be columns of levels, and give a number")
    if default != 0.0 or missing not in (MISSING, 0.0):
        raise refused(element, "several fields need defaultValue 0", 'give defaultValue="0"')
    numbers = {
        tuple(scope.spelled(column.column, part) for column, part in zip(columns, key, strict=True)): found
        for key, found in table.items()
    }
    return factor(LevelGrid(tuple(columns), numbers))  # type: ignore[arg-type]


def _apply(element: Element, scope: ExpressionScope) -> Value:
    name = element.require("function")
    arguments = [evaluate(child, scope) for child in element.children if child.name != "Extension"]
    if name in scope.functions:
        return _defined(element, scope.functions[name], arguments, scope)
    value = functions.call(element, name, arguments, scope.spelled)
    if "defaultValue" in element.attributes:
        default = scalar(element, element.get("defaultValue"))
        if isinstance(value, Polynomial) and value.constant is None:
            raise refused(
                element, "defaultValue is not read", "give missingValueReplacement to the MiningField of the column"
            )
        value = value.map(lambda old: default if old is MISSING else old) if isinstance(value, ColumnTable) else value
    return map_missing(element, value, scope)


def _defined(element: Element, function: Element, arguments: Sequence[Value], scope: ExpressionScope) -> Value:
    if next(scope.calls) >= CALLS_LIMIT:
        message = f"is called after {format_count(CALLS_LIMIT)} other calls of functions"
        raise refused(element, message, "define fewer functions that call others")
    parameters = [each.require("name") for each in function.all("ParameterField")]
    if len(parameters) != len(arguments):
        raise fault(element, f"takes {len(parameters)} arguments, not {len(arguments)}")
    given = dict(zip(parameters, arguments, strict=True))
    body = next((child for child in function.children if child.name not in {"ParameterField", "Extension"}), None)
    if body is None:
        raise fault(function, "has no expression")
    # A function may not name itself: the body sees the functions without it.
    others = {name: each for name, each in scope.functions.items() if each is not function}

    def named(name: str, at: Element) -> Value:
        if name not in given:
            raise fault(at, f'the function has no parameter "{escape(name)}"')
        return given[name]

    return evaluate(body, ExpressionScope(named, scope.spelled, others, scope.calls))


_EXPRESSIONS: Mapping[str, Callable[[Element, ExpressionScope], Value]] = {
    "Constant": _constant,
    "FieldRef": _field_ref,
    "NormContinuous": _norm_continuous,
    "NormDiscrete": _norm_discrete,
    "Discretize": _discretize,
    "MapValues": _map_values,
    "Apply": _apply,
}


def is_true(element: Element, scope: ExpressionScope) -> Value:
    """Return whether a predicate holds; MISSING where that is unknown."""
    known = _PREDICATES.get(element.name)
    if known is None:
        raise refused(element, "this predicate is not read")
    return known(element, scope)


def _simple(element: Element, scope: ExpressionScope) -> Value:
    value = scope.field(element.require("field"), element)
    operator = element.require("operator")
    if operator in {"isMissing", "isNotMissing"}:
        return functions.call(element, operator, [value], scope.spelled)
    if operator not in COMPARISONS:
        raise refused(element, f'operator="{escape(operator)}" is not read', f"use {', '.join(COMPARISONS)}")
    text = element.require("value")
    given: Scalar = text if isinstance(value, ColumnTable) else number(element, text, 'the attribute "value"')
    return functions.call(element, operator, [value, given], scope.spelled)


def _set(element: Element, scope: ExpressionScope) -> Value:
    value = scope.field(element.require("field"), element)
    operator = element.require("booleanOperator")
    if operator not in {"isIn", "isNotIn"}:
        raise refused(element, f'booleanOperator="{escape(operator)}" is not read', "use isIn, isNotIn")
    members: list[Value] = [*array(element.one("Array"))]
    given = [number(element, str(member)) for member in members] if isinstance(value, Polynomial) else members
    return functions.call(element, operator, [value, *given], scope.spelled)


def array(element: Element) -> list[str]:
    """Return the members of an ``Array``: words, or texts in quotes."""
    members, word, quoted, started = [], "", False, False
    text = iter(element.text)
    for letter in text:
        if letter == "\\" and quoted:
            word += next(text, "")
        elif letter == '"':
            quoted, started = not quoted, True
        elif letter.isspace() and not quoted:
            members += [word] if word or started else []
            word, started = "", False
        else:
            word += letter
    return members + ([word] if word or started else [])


def _compound(element: Element, scope: ExpressionScope) -> Value:
    operator = element.require("booleanOperator")
    if operator not in {"and", "or"}:
        raise refused(element, f'booleanOperator="{escape(operator)}" is not read', "use and, or")
    return functions.call(
        element, operator, [is_true(child, scope) for child in element.only(*_PREDICATES)], scope.spelled
    )


_PREDICATES: Mapping[str, Callable[[Element, ExpressionScope], Value]] = {
    "SimplePredicate": _simple,
    "SimpleSetPredicate": _set,
    "CompoundPredicate": _compound,
    "True": lambda *_: True,
    "False": lambda *_: False,
}
