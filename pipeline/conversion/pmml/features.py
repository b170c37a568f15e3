"""From the sums of terms of a model to the features of a model file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from pipeline.conversion.pmml.elements import refused
from pipeline.conversion.pmml.terms import Class, FeatureDraft, TermSums, check_count
from pipeline.conversion.pmml.values import (
    INVALID,
    MISSING,
    Absent,
    ColumnNumber,
    ColumnTable,
    free_level,
    rounded,
)
from pipeline.dataclass import dataclass
from pipeline.kernels import Affine
from pipeline.models.levels import LevelType, spelled_type
from pipeline.models.logistic.transforms import step_document
from pipeline.units import escape

# A level of each type, where one is needed that changes nothing.
_ANY_LEVEL: Mapping[LevelType, str] = {"text": "(none)", "boolean": "true", "integer": "0", "number": "0.5"}
_WORDS = {MISSING: "null", INVALID: "error"}


def features(terms: TermSums, *, classes: bool) -> list[dict[str, Any]]:
    """Return the features of a model file, in the order of the fields of the document."""
    entries = _merged(
        [entry for _, entry in sorted(enumerate(terms.entries.values()), key=lambda each: (each[1].order, each[0]))]
    )
    count = terms.count
    writer = _DraftWriter(count, classes)
    return [made for entry in entries for made in writer.write(entry)]


def _merged(entries: Sequence[FeatureDraft]) -> list[FeatureDraft]:
    """Join neighbours that have all in common and add to different classes: exporters write one field a class."""
    found: list[FeatureDraft] = []
    for entry in entries:
        last = found[-1] if found else None
        if last is not None and entry.cells and last.cells and _is_rest(last, entry):
            for levels, cells in entry.cells.items():
                last.cells.setdefault(levels, {}).update({each: value for each, value in cells.items() if value})
        else:
            found.append(entry)
    return found


def _is_rest(left: FeatureDraft, right: FeatureDraft) -> bool:
    return left.numbers == right.numbers and left.columns == right.columns and not left.classes & right.classes


@dataclass(frozen=True, slots=True)
class _DraftWriter:
    """Writes features, whose numbers are one a class if the model has classes."""

    count: int
    classes: bool

    def write(self, entry: FeatureDraft) -> Iterator[dict[str, Any]]:
        made = list(self._made(entry))
        for feature in made:
            if entry.name and len(made) == 1:
                feature["name"] = entry.name
            yield feature

    def _made(self, entry: FeatureDraft) -> Iterator[dict[str, Any]]:
        if any("abs" in number.steps for number in entry.numbers):
            message = "the absolute value of a column is only read where intervals are made of it"
            raise refused(entry.at, message, "derive the column before scoring")
        if entry.tables:
            yield from self._table(entry)
        elif entry.cells:
            yield self._product(entry)
        else:
            numbers = self._numbers([rounded(entry.weights.get(each, Fraction(0))) for each in range(self.count)])
            yield number_feature(entry.numbers, numbers)

    def _numbers(self, numbers: Sequence[float]) -> Any:
        return list(numbers) if self.classes else numbers[0]

    def _table(self, entry: FeatureDraft) -> Iterator[dict[str, Any]]:
        joined = _stacked(entry, self.count)
        if joined.type is None:
            yield from self._bins(entry, joined)
        elif not joined.levels and not any(map(_is_absent, (joined.other, joined.missing))) and not any(joined.other):
            yield {"kind": "indicator", "column": joined.column, "coefficient": self._numbers(joined.missing)}
        else:
            yield self._levels(entry, joined)

    def _bins(self, entry: FeatureDraft, joined: ColumnTable) -> Iterator[dict[str, Any]]:
        if any(_is_absent(value) for value in joined.bins):
            message = f'some values of "{escape(joined.column)}" have no result'
            raise refused(entry.at, message, "give defaultValue to its Discretize, MapValues or Apply")
        if not joined.edges and not _is_absent(joined.missing) and not any(joined.bins[0]):
            yield {"kind": "indicator", "column": joined.column, "coefficient": self._numbers(joined.missing)}
            return
        # A constant that needs the column to be there: the same in both bins.
        edges = list(joined.edges) or [0.0]
        bins = joined.bins if joined.edges else joined.bins * 2
        missing = (
            _WORDS[joined.missing] if _is_absent(joined.missing) else {"coefficient": self._numbers(joined.missing)}
        )
        coefficients = [self._numbers(value) for value in bins]
        yield {
            "kind": "binned",
            "column": joined.column,
            "edges": edges,
            "coefficients": coefficients,
            "missing": missing,
        }

    def _levels(self, entry: FeatureDraft, joined: ColumnTable) -> dict[str, Any]:
        coefficients = dict(joined.levels)
        for level, value in joined.levels.items():
            if _is_absent(value):
                if value is not joined.other:
                    raise refused(
                        entry.at, f'the level "{escape(level)}" has no result', "give defaultValue to its MapValues"
                    )
                del coefficients[level]
        named: list[str] = []
        unseen = self._policy(joined.other, coefficients, named, "(other)", zero=True)
        missing = self._policy(joined.missing, coefficients, named, "(missing)", zero=False)
        if not coefficients:
            # Nothing but what missing and unknown values do, and still a level must be there.
            coefficients[_ANY_LEVEL[joined.type or "text"]] = (
                joined.other if isinstance(joined.other, tuple) else (0.0,) * self.count
            )
        feature: dict[str, Any] = {"kind": "categorical", "column": joined.column}
        feature |= {"coefficients": {level: self._numbers(value) for level, value in coefficients.items()}}
        feature |= _typed(joined.type, coefficients.keys() - set(named))
        return {**feature, "missing": missing, "unseen": unseen}

    def _policy(self, value: Any, coefficients: dict[str, Any], named: list[str], free: str, *, zero: bool) -> Any:
        if _is_absent(value):
            return _WORDS[value]
        if zero and not any(value):
            return "zero"
        level = next((level for level, known in coefficients.items() if known == value), None)
        if level is None:
            level = free_level(coefficients, free)
            coefficients[level] = value
            named.append(level)
        return {"level": level}

    def _product(self, entry: FeatureDraft) -> dict[str, Any]:
        _unlabel(entry)
        terms = [number_term(each) for each in entry.numbers]
        terms += [_level_term(entry, place, column) for place, column in enumerate(entry.columns)]
        nested: dict[str, Any] = {}
        for levels, cells in entry.cells.items():
            _put(nested, levels, self._numbers([cells.get(each, 0.0) for each in range(self.count)]))
        self._known(nested, entry.columns)
        if len(terms) == 1:
            return {**terms[0], "coefficients": nested}
        return {"kind": "product", "terms": terms, "coefficients": nested}

    def _known(self, nested: dict[str, Any], columns: Sequence[ColumnTable]) -> None:
        """Give a coefficient of 0 to levels that are known although no combination has one."""
        firsts = _firsts(nested, len(columns))
        for place, column in enumerate(columns):
            if column.other is not INVALID:
                continue
            known = _at_depth(nested, place)
            for level in column.levels:
                if level not in known:
                    _put(nested, (*firsts[:place], level, *firsts[place + 1 :]), self._numbers([0.0] * self.count))


def _is_absent(value: Any) -> bool:
    return isinstance(value, Absent)


def _stacked(entry: FeatureDraft, count: int) -> ColumnTable:
    """Return the tables of all classes as one, whose values are a number for each class."""
    zero = next(iter(entry.tables.values()))
    empty = zero.map(lambda value: value if isinstance(value, Absent) or value is None else 0.0)
    tables = [entry.tables.get(each, empty) for each in range(count)]
    joined = tables[0].map(lambda value: value if isinstance(value, Absent) or value is None else (value,))
    for table in tables[1:]:
        joined = joined.join(
            table, lambda left, right: left if isinstance(left, Absent) or left is None else (*left, right)
        )
    return joined


def _typed(type_: LevelType | None, levels: set[str]) -> dict[str, Any]:
    return {} if type_ in {None, "text"} and spelled_type(levels) == "text" else {"levels": type_}


def _put(nested: dict[str, Any], levels: Sequence[str], value: Any) -> None:
    for level in levels[:-1]:
        nested = nested.setdefault(level, {})
    nested[levels[-1]] = value


def _firsts(nested: Mapping[str, Any], depth: int) -> tuple[str, ...]:
    firsts = []
    for _ in range(depth):
        first = next(iter(nested))
        firsts.append(first)
        nested = nested[first] if len(firsts) < depth else {}
    return tuple(firsts)


def _at_depth(nested: Mapping[str, Any], depth: int) -> set[str]:
    if depth == 0:
        return set(nested)
    return {level for inner in nested.values() for level in _at_depth(inner, depth - 1)}


def _level_term(entry: FeatureDraft, place: int, column: ColumnTable) -> dict[str, Any]:
    used = {levels[place] for levels in entry.cells}
    term = {"kind": "categorical", "column": column.column}
    named = {value for value in (column.missing, column.other) if isinstance(value, str)}
    term |= _typed(column.type, used - named)
    missing = {"level": column.missing} if isinstance(column.missing, str) else _WORDS[column.missing]
    # A level that is in no combination adds 0.
    unseen: Any = {"level": column.other} if column.other in used else "zero"
    if column.other in _WORDS:
        unseen = _WORDS[column.other]
    if isinstance(column.missing, str) and column.missing not in used:
        # The level of missing values must be in a combination, or it is not known.
        _zero(entry, place, column.missing)
    return {**term, "missing": missing, "unseen": unseen}


def _unlabel(entry: FeatureDraft) -> None:
    """Put the levels of the columns in place of the labels that the file gives them."""
    here = [_of_label(column) for column in entry.columns]
    cells: dict[tuple[str, ...], dict[Class, float]] = {}
    for labels, cell in entry.cells.items():
        choices = [levels.get(label, [label]) for levels, label in zip(here, labels, strict=True)]
        check_count(entry.at, len(cells) + math.prod(map(len, choices)))
        cells |= dict.fromkeys(product(*choices), cell)
    entry.cells = cells


def _of_label(column: ColumnTable) -> dict[str, list[str]]:
    """Return the levels of each label; a label that missing or unknown levels have is kept as a level, too."""
    found: dict[str, list[str]] = {}
    for level, label in column.levels.items():
        found.setdefault(label, []).append(level)
    for label in (column.missing, column.other):
        if isinstance(label, str) and label not in found.get(label, []):
            found.setdefault(label, []).append(label)
    return found


def _zero(entry: FeatureDraft, place: int, level: str) -> None:
    first = next(iter(entry.cells))
    entry.cells[(*first[:place], level, *first[place + 1 :])] = {}


def number_feature(numbers: tuple[ColumnNumber, ...], coefficient: Any) -> dict[str, Any]:
    """Return the feature of a number or of a product of numbers."""
    if len(numbers) > 1:
        return {"kind": "product", "terms": [number_term(each) for each in numbers], "coefficient": coefficient}
    term = number_term(numbers[0])
    kind = "transformed" if "transform" in term else "numeric"
    return {**term, "kind": kind, "coefficient": coefficient}


def number_term(number: ColumnNumber) -> dict[str, Any]:
    """Return a number as a term of a product: its last affine step is center and scale."""
    steps = list(number.steps)
    term: dict[str, Any] = {"kind": "numeric", "column": number.column}
    last = steps.pop() if steps and isinstance(steps[-1], Affine) else None
    if isinstance(last, Affine):
        term |= {"center": last.center} if last.center else {}
        term |= {"scale": last.scale} if last.scale != 1 else {}
    if steps:
        term["transform"] = [step_document(step) for step in steps]
    if number.boolean:
        term["boolean"] = True
    missing = number.missing
    term["missing"] = _WORDS[missing] if isinstance(missing, Absent) else {"impute": missing}
    return term
