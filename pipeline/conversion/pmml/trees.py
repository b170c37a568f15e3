"""Features as elements of PMML: derived fields, and the predictors that name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from pipeline.conversion.pmml.columns import is_of_type
from pipeline.conversion.pmml.values import free_level
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.levels import level_value
from pipeline.models.logistic.expression import (
    Arithmetic,
    Bins,
    Clipped,
    ColumnValue,
    Constant,
    Expression,
    FiniteOnly,
    FunctionCall,
    IsMissing,
    Key,
    Lookup,
    Numbers,
    with_children,
)
from pipeline.models.logistic.policies import Level
from pipeline.models.logistic.sections import number_of
from pipeline.units import escape

# The label of levels without a coefficient, and that of missing numbers.
UNSEEN, MISSING = "(unseen)", "(missing)"
_FUNCTIONS = {"log": "ln", "log1p": "ln1p", "sqrt": "sqrt"}


@dataclass(frozen=True, slots=True)
class FieldPredictor:
    """A field that adds to the raw prediction.

    Attributes
    ----------
    field : str
        Its name in the document.
    coefficient : float or tuple of float, optional
        What it is multiplied by, where it is a number.
    levels : mapping, optional
        The coefficient of each of its levels, where it has levels.
    only : int, optional
        The class that it adds to, where that is one.
    """

    field: str
    coefficient: Numbers | None = None
    levels: Mapping[str, Numbers] | None = None
    only: int | None = None

    @classmethod
    def of_levels(cls, field: str, tree: Lookup) -> FieldPredictor:
        """Return the predictor of a field with the levels of the only key of a tree."""
        return cls(field, levels={level: value for (level,), value in tree.values.items()})


@dataclass(slots=True)
class FreeNames:
    """Names that are not used yet in the document."""

    used: set[str] = field(default_factory=set)

    def free(self, wanted: str) -> str:
        """Return the name, or with a number behind it."""
        name, count = wanted, 1
        while name in self.used:
            count += 1
            name = f"{wanted} ({count})"
        self.used.add(name)
        return name


@dataclass(slots=True)
class Derivations:
    """The derived fields of a document, and the predictors of its features, in the order of the model.

    Attributes
    ----------
    names : FreeNames
    parent : Element
        Where ``DerivedField`` are put.
    continuous : frozenset of str
        The columns that are numbers in the document.
    classes : int
        How many raw predictions there are.
    imputed : dict
        The derived fields of columns with a number in place of missing values.
    """

    names: FreeNames
    parent: Element
    continuous: frozenset[str]
    classes: int
    predictors: list[FieldPredictor] = field(default_factory=list)
    imputed: dict[ColumnValue, str] = field(default_factory=dict)

    def add(self, name: str, tree: Expression) -> None:
        """Add a feature."""
        if isinstance(tree, Bins):
            self._bins(name, tree)
        elif isinstance(tree, Lookup):
            self._lookup(name, tree, None)
        elif isinstance(tree, Arithmetic) and isinstance(tree.right, Lookup):
            self._lookup(name, tree.right, tree.left)
        elif isinstance(tree, Arithmetic) and isinstance(tree.right, Constant):
            self._number(name, tree.left, tree.right.value)
        else:
            self._number(name, tree, 1.0)

    def _number(self, name: str, signal: Expression, coefficient: Numbers) -> None:
        signal = self._imputed(signal) if not isinstance(signal, ColumnValue) else signal
        derived = self._derived(name, "continuous", "double", shown=name)
        if isinstance(signal, FiniteOnly) and _is_affine(signal.result):
            # A reader folds the last such step, as center and scale of the feature: this one changes nothing.
            written(_apply(derived, "-"), signal.result)
            _constant(derived[-1], 0.0)
        else:
            written(derived, signal)
        self.predictors.append(FieldPredictor(derived.get("name", ""), coefficient))

    def _imputed(self, tree: Expression) -> Expression:
        """Return a tree in which columns with a number in place of missing values are derived fields.

        Evaluators take what ``mapMissingTo`` puts into the argument of a function for a text.
        """
        if isinstance(tree, ColumnValue):
            if isinstance(tree.missing, str):
                return tree
            if tree not in self.imputed:
                derived = self._derived(f"{tree.name}, or {tree.missing!r}", "continuous", "double")
                written(derived, tree)
                self.imputed[tree] = derived.get("name", "")
            return ColumnValue(self.imputed[tree], "error")
        return with_children(tree, self._imputed)

    def _bins(self, name: str, tree: Bins) -> None:
        derived = self._derived(name, "categorical", "string", shown=name)
        missing = {} if isinstance(tree.missing, str) else {"mapMissingTo": MISSING}
        made = SubElement(derived, "Discretize", {"field": tree.column, **missing, "dataType": "string"})
        ends = [None, *tree.edges, None]
        for place, (low, high) in enumerate(pairwise(ends)):
            margins = {"leftMargin": low, "rightMargin": high}
            given = {key: repr(float(value)) for key, value in margins.items() if value is not None}
            one = SubElement(made, "DiscretizeBin", binValue=str(place))
            SubElement(one, "Interval", {"closure": "closedOpen", **given})
        levels: dict[str, Numbers] = {str(place): value for place, value in enumerate(tree.values)}
        if not isinstance(tree.missing, str):
            levels[MISSING] = tree.missing
        self.predictors.append(FieldPredictor(derived.get("name", ""), levels=levels))

    def _lookup(self, name: str, tree: Lookup, times: Expression | None) -> None:
        if times is None and len(tree.keys) == 1:
            made = self._labels(name, tree.keys[0], shown=name)
            self.predictors.append(FieldPredictor.of_levels(made, tree))
            return
        labels = [self._labels(f"{name}: {key.column}", key) for key in tree.keys]
        times = None if times is None else self._imputed(times)
        for class_ in range(self.classes):
            value = {key: number_of(numbers, class_) for key, numbers in tree.values.items()}
            only = class_ if self.classes > 1 else None
            derived = self._derived(name, "continuous", "double", shown=name)
            inner = derived if times is None else _apply(derived, "*")
            if times is not None:
                written(inner, times)
            _grid(inner, labels, value)
            self.predictors.append(FieldPredictor(derived.get("name", ""), 1.0, only=only))

    def _labels(self, name: str, key: Key, *, shown: str = "") -> str:
        """Add a field with the level of a column, unknown and missing ones as policies say; return its name."""
        derived = self._derived(name, "categorical", "string", shown=shown)
        known = [level for level in key.levels if is_of_type(level, key)]
        if key.column in self.continuous:
            _points(derived, key, known)
        else:
            _renamed(derived, key, known)
        return derived.get("name", "")

    def _derived(self, name: str, optype: str, type_: str, *, shown: str = "") -> Element:
        named = {"displayName": shown} if shown else {}
        return SubElement(
            self.parent, "DerivedField", {"name": self.names.free(name), **named, "optype": optype, "dataType": type_}
        )


def _is_affine(tree: Expression) -> bool:
    return isinstance(tree, Arithmetic) and tree.operator in "-/"


def _instead(key: Key) -> dict[str, str]:
    """Return what unknown and missing levels become, as attributes."""
    found = {}
    if isinstance(key.unseen, Level):
        found["defaultValue"] = key.unseen.level
    elif key.unseen == "zero":
        found["defaultValue"] = free_level(key.levels, UNSEEN)
    if isinstance(key.missing, Level):
        found["mapMissingTo"] = key.missing.level
    return found


def _renamed(parent: Element, key: Key, known: list[str]) -> None:
    rest = _instead(key)
    made = SubElement(parent, "MapValues", {"outputColumn": "label", **rest, "dataType": "string"})
    SubElement(made, "FieldColumnPair", field=key.column, column="level")
    table = SubElement(made, "InlineTable")
    for level in known:
        row = SubElement(table, "row")
        SubElement(row, "level").text = level
        SubElement(row, "label").text = level


def _points(parent: Element, key: Key, known: list[str]) -> None:
    """Write the levels of a column that is a number elsewhere: each is an interval of one number."""
    if key.unseen == "error":
        raise ModelError(
            f'the column "{escape(key.column)}" is a number and has levels with unseen "error", which PMML cannot say',
            'use unseen "zero" or a level',
        )
    made = SubElement(parent, "Discretize", {"field": key.column, **_instead(key), "dataType": "string"})
    for level in known:
        value = repr(float(level_value(level, key.type) or 0.0))
        one = SubElement(made, "DiscretizeBin", binValue=level)
        SubElement(one, "Interval", closure="closedClosed", leftMargin=value, rightMargin=value)


def _grid(parent: Element, fields: list[str], values: Mapping[tuple[str, ...], float]) -> None:
    made = SubElement(parent, "MapValues", outputColumn="value", defaultValue="0", dataType="double")
    columns = [f"level{place + 1}" for place in range(len(fields))]
    for name, column in zip(fields, columns, strict=True):
        SubElement(made, "FieldColumnPair", field=name, column=column)
    table = SubElement(made, "InlineTable")
    for levels, number in values.items():
        row = SubElement(table, "row")
        for column, level in zip(columns, levels, strict=True):
            SubElement(row, column).text = level
        SubElement(row, "value").text = repr(float(number))


def written(parent: Element, tree: Expression) -> None:
    """Write a tree of numbers as an expression below an element."""
    _NODES[type(tree)](parent, tree)


def _apply(parent: Element, function: str) -> Element:
    return SubElement(parent, "Apply", function=function)


def _constant(parent: Element, value: float) -> None:
    SubElement(parent, "Constant", dataType="double").text = repr(float(value))


def _column(parent: Element, node: ColumnValue) -> None:
    missing = {} if isinstance(node.missing, str) else {"mapMissingTo": repr(float(node.missing))}
    if node.boolean:
        SubElement(parent, "NormDiscrete", {"field": node.name, "value": "true", **missing})
    else:
        SubElement(parent, "FieldRef", {"field": node.name, **missing})


def _arithmetic(parent: Element, node: Arithmetic) -> None:
    made = _apply(parent, node.operator)
    written(made, node.left)
    written(made, node.right)


def _function(parent: Element, node: FunctionCall) -> None:
    made = _apply(parent, _FUNCTIONS.get(node.name, "pow"))
    written(made, node.argument)
    if node.name == "square":
        _constant(made, 2.0)


def _clip(parent: Element, node: Clipped) -> None:
    inner = parent
    for function, end in (("min", node.high), ("max", node.low)):
        if end is not None:
            inner = _apply(inner, function)
    written(inner, node.argument)
    at = parent[-1]
    for end in (node.high, node.low):
        if end is not None:
            _constant(at, end)
            at = at[0]


def _is_missing(parent: Element, node: IsMissing) -> None:
    made = _apply(parent, "if")
    SubElement(_apply(made, "isMissing"), "FieldRef", field=node.column)
    _constant(made, 1.0)
    _constant(made, 0.0)


_NODES: Mapping[type, Callable[[Element, Any], None]] = {
    ColumnValue: _column,
    Constant: lambda parent, node: _constant(parent, node.value),
    Arithmetic: _arithmetic,
    FunctionCall: _function,
    Clipped: _clip,
    FiniteOnly: lambda parent, node: written(parent, node.result),
    IsMissing: _is_missing,
}
