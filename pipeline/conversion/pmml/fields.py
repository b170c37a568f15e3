"""The fields of a PMML document: columns, what their missing and invalid values become, and what is derived."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from itertools import count

from pipeline.conversion.pmml.elements import Element, fault, number, refused
from pipeline.conversion.pmml.expressions import ExpressionScope, evaluate
from pipeline.conversion.pmml.values import (
    INVALID,
    ITSELF,
    LEVEL_TYPES,
    MISSING,
    NUMBER_TYPES,
    Absent,
    ColumnNumber,
    ColumnTable,
    Polynomial,
    Value,
    factor,
)
from pipeline.dataclass import dataclass
from pipeline.kernels import Clip
from pipeline.models.levels import level_value
from pipeline.units import escape

_EXPRESSIONS = (
    *("Constant", "FieldRef", "NormContinuous", "NormDiscrete", "Discretize", "MapValues", "Apply"),
    *("TextIndex", "Aggregate", "Lag"),
)
_PREPARED = "prepare the column before scoring, or change the attribute"


@dataclass(frozen=True, slots=True)
class DocumentFields:
    """The fields that the elements of a model may name.

    Attributes
    ----------
    data : mapping of str to Element
        ``DataField`` by name.
    mining : mapping of str to Element
        ``MiningField`` by name.
    derived : mapping of str to Element
        ``DerivedField`` by name.
    functions : mapping of str to Element
        ``DefineFunction`` by name.
    order : mapping of str to int
        The place of each field: the data dictionary first, then what is derived.
    calls : iterator of int
        Counts the calls of functions.
    found : dict
        The fields that are known by now.
    under_way : list of str
        The fields of which the value is being found, each derived of the next.
    spellings : dict
        The levels of each column by their value, as they are spelled where they come first.
    """

    data: Mapping[str, Element]
    mining: Mapping[str, Element]
    derived: Mapping[str, Element]
    functions: Mapping[str, Element]
    order: Mapping[str, int]
    calls: Iterator[int] = field(default_factory=count)
    found: dict[str, Value] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)
    spellings: dict[str, dict[object, str]] = field(default_factory=dict)

    def value(self, name: str, at: Element) -> Value:
        """Return what a field is, named by an element."""
        if name not in self.found:
            if name in self.under_way:
                raise fault(at, f'the field "{escape(name)}" is derived from itself')
            self.under_way.append(name)
            self.found[name] = self._derive(name, at)
            self.under_way.pop()
        return self.found[name]

    @property
    def scope(self) -> ExpressionScope:
        """What an expression may name."""
        return ExpressionScope(self.value, self.spelled, self.functions, self.calls)

    def _derive(self, name: str, at: Element) -> Value:
        if name in self.derived:
            return derived(self.derived[name], self.scope)
        if name in self.data:
            return self._column(self.data[name])
        raise fault(at, f'there is no field "{escape(name)}"')

    def spelled(self, column: str, text: str) -> str:
        """Return a level of a column as it is spelled where it comes first."""
        known = self.data.get(column)
        type_ = "text" if known is None else LEVEL_TYPES.get(known.get("dataType"), "text")
        value = text if type_ == "text" else level_value(text, type_)
        return text if value is None else self.spellings.setdefault(column, {}).setdefault(value, text)

    def _column(self, data: Element) -> Value:
        name, type_ = data.require("name"), data.require("dataType")
        if type_ not in LEVEL_TYPES:
            raise refused(
                data, f'a column of type "{escape(type_)}" is not read', "derive a number or a text before scoring"
            )
        mining = self.mining.get(name, Element("MiningField", {"name": name}, data.line))
        optype = mining.get("optype") or data.require("optype")
        if type_ in NUMBER_TYPES and optype == "continuous":
            return self._number(name, data, mining)
        return self._levels(name, data, mining)

    def _number(self, name: str, data: Element, mining: Element) -> Polynomial:
        for unread in data.all("Value", "Interval"):
            if unread.name == "Value" and unread.get("property", "valid") != "valid":
                raise refused(unread, f'"{escape(unread.get("value"))}" means {unread.get("property")}', _PREPARED)
            if mining.get("invalidValueTreatment", "returnInvalid") != "asIs":
                where = f'"{escape(name)}" is limited to some values'
                raise refused(unread, where, 'give its MiningField the attribute invalidValueTreatment="asIs"')
        text = _replacement(mining)
        missing = text if isinstance(text, Absent) else number(mining, text, "missingValueReplacement")
        treatment = mining.get("outliers", "asIs")
        if treatment == "asIs":
            return factor(ColumnNumber(name, missing))
        if treatment != "asExtremeValues":
            raise refused(mining, f'outliers="{escape(treatment)}" is not read', _PREPARED)
        low, high = mining.number("lowValue", -math.inf), mining.number("highValue", math.inf)
        if isinstance(missing, float) and not low <= missing <= high:
            raise refused(mining, "missingValueReplacement is not between lowValue and highValue", _PREPARED)
        inner = ColumnNumber(name, missing)
        return factor(inner if low == -high == -math.inf else inner.then(Clip(low, high)))

    def _levels(self, name: str, data: Element, mining: Element) -> ColumnTable:
        values = data.all("Value")
        for value in values:
            if value.get("property", "valid") == "missing":
                raise refused(value, f'"{escape(value.get("value"))}" means missing', _PREPARED)
        valid = [value.require("value") for value in values if value.get("property", "valid") == "valid"]
        levels = {level: level for level in (self.spelled(name, text) for text in valid)}
        text = _replacement(mining)
        missing = text if isinstance(text, Absent) else self.spelled(name, text)
        other = self._invalid(name, mining, missing) if levels else ITSELF
        return ColumnTable(name, missing, levels=levels, other=other, type=LEVEL_TYPES[data.require("dataType")])

    def _invalid(self, name: str, mining: Element, missing: str | Absent) -> str | Absent:
        treatment = mining.get("invalidValueTreatment", "returnInvalid")
        if treatment == "asValue":
            return self.spelled(name, mining.require("invalidValueReplacement"))
        known = {"returnInvalid": INVALID, "asIs": ITSELF, "asMissing": missing}
        if treatment not in known:
            raise fault(mining, f'invalidValueTreatment="{escape(treatment)}" does not exist')
        return known[treatment]


def _replacement(mining: Element) -> str | Absent:
    """Return what a missing value of a column becomes."""
    if mining.get("missingValueTreatment") == "returnInvalid":
        return INVALID
    return mining.attributes.get("missingValueReplacement", MISSING)


def derived(element: Element, scope: ExpressionScope) -> Value:
    """Return what a ``DerivedField`` is."""
    found = element.only(*_EXPRESSIONS, "Value")
    expression = found[0] if found else None
    if expression is None:
        raise fault(element, "has no expression")
    return evaluate(expression, scope)


def read_fields(root: Element, model: Element, above: DocumentFields | None = None) -> DocumentFields:
    """Return the fields that a model may name; ``above`` has those of the model that it is a part of."""
    dictionary = root.one("DataDictionary")
    transformations = root.first("TransformationDictionary")
    local = model.first("LocalTransformations")
    functions = [] if transformations is None else transformations.all("DefineFunction")
    derived_fields = [
        each for part in (transformations, local) if part is not None for each in part.all("DerivedField")
    ]
    inherited = {} if above is None else above.derived
    mining = {} if above is None else dict(above.mining)
    own = model.one("MiningSchema").only("MiningField")
    # A part of a model sees the columns as the whole has prepared them.
    mining |= {each.require("name"): each for each in own if above is None or len(each.attributes) > 2}
    data = _by_name(dictionary.only("DataField", "Taxonomy"), "DataField")
    made = {**inherited, **_by_name(derived_fields, "DerivedField")}
    order = {name: place for place, name in enumerate([*data, *made])}
    return DocumentFields(data, mining, made, _by_name(functions, "DefineFunction"), order)


def _by_name(elements: list[Element], kind: str) -> dict[str, Element]:
    found: dict[str, Element] = {}
    for element in elements:
        if element.name != kind:
            raise refused(element, "is not read")
        name = element.require("name")
        if name in found and found[name] is not element:
            raise fault(element, f'the name "{escape(name)}" is used on line {found[name].line}')
        found[name] = element
    return found
