"""The terms of the raw predictions of a model, sorted by what becomes one feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from fractions import Fraction
from typing import Any

from pipeline.conversion.pmml.elements import Element, in_range, refused
from pipeline.conversion.pmml.functions import to_sum
from pipeline.conversion.pmml.values import (
    INVALID,
    ITSELF,
    MISSING,
    Absent,
    ColumnNumber,
    ColumnTable,
    Factor,
    LevelGrid,
    Value,
    free_level,
    rounded,
)
from pipeline.dataclass import dataclass
from pipeline.units import escape, format_count

Class = int
_COMBINATIONS_LIMIT = 1_000_000


@dataclass(slots=True, eq=False)
class FeatureDraft:
    """What becomes one feature.

    Attributes
    ----------
    at : Element
        For messages.
    order : int
        The place of its field in the document.
    name : str
        The name that the file gives it; empty for none.
    numbers : tuple of ColumnNumber
    columns : tuple of ColumnTable
        Of a product: the columns whose levels choose.
    weights : dict
        The coefficient of each class, where there are only numbers.
    tables : dict
        The table of each class, where there is one and no number.
    cells : dict
        The number of each class by the levels of ``columns``.
    """

    at: Element
    order: int
    name: str = ""
    numbers: tuple[ColumnNumber, ...] = ()
    columns: tuple[ColumnTable, ...] = ()
    weights: dict[Class, Fraction] = field(default_factory=dict)
    tables: dict[Class, ColumnTable] = field(default_factory=dict)
    cells: dict[tuple[str, ...], dict[Class, float]] = field(default_factory=dict)

    @property
    def classes(self) -> set[Class]:
        """The classes that it adds to."""
        here = {each for cells in self.cells.values() for each, number in cells.items() if number}
        return here | set(self.weights) | set(self.tables)


@dataclass(frozen=True, slots=True)
class _TermPlace:
    """Where a term comes from: its element, its class, the field that is nothing but this term, and the order."""

    at: Element
    class_: Class
    source: str | None
    order: int


@dataclass(slots=True, eq=False)
class TermSums:
    """The terms of the raw predictions of a model, one sum for each class, as they are read.

    Attributes
    ----------
    count : int
        How many classes have a sum of their own; 1 for a binary model.
    order : mapping of str to int
        The place of each field.
    names : mapping of str to str
        The name of the feature, where the file gives a field one.
    intercepts : list of Fraction
    entries : dict
        By what they have in common.
    """

    count: int
    order: Mapping[str, int]
    names: Mapping[str, str] = field(default_factory=dict)
    intercepts: list[Fraction] = field(default_factory=list)
    entries: dict[Any, FeatureDraft] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.intercepts = [Fraction(0)] * self.count

    def add(self, at: Element, class_: Class, source: str, value: Value, coefficient: float) -> None:
        """Add a value times a coefficient to the sum of a class; ``source`` names what it comes from."""
        total = to_sum(at, value)
        is_plain = len(total.terms) == 1 and total.terms[0][1] == 1 and bool(total.terms[0][0])
        place = _TermPlace(at, class_, source if is_plain else None, self.order.get(source, len(self.order)))
        with in_range(at):
            for factors, weight in total.terms:
                self._term(place, factors, weight * Fraction(coefficient))

    def _term(self, place: _TermPlace, factors: tuple[Factor, ...], weight: Fraction) -> None:
        numbers = tuple(each for each in factors if isinstance(each, ColumnNumber))
        tables = [each for each in factors if isinstance(each, ColumnTable)]
        grids = [each for each in factors if isinstance(each, LevelGrid)]
        if not factors:
            self.intercepts[place.class_] += weight
        elif not tables and not grids:
            entry = self._entry(("numbers", place.source, numbers), place)
            entry.numbers = numbers
            entry.weights[place.class_] = entry.weights.get(place.class_, Fraction(0)) + weight
        elif len(tables) == 1 and not numbers and not grids:
            self._table(place, _times(tables[0], weight))
        else:
            self._grid(place, numbers, _as_grid(place.at, tables, grids), weight)

    def _table(self, place: _TermPlace, made: ColumnTable) -> None:
        key = ("single", made.column) if made.single else ("table", place.source, made.column, made.type is None)
        entry = self._entry(key, place)
        known = entry.tables.get(place.class_)
        entry.tables[place.class_] = made if known is None else known.join(made, _added(place.at))

    def _grid(self, place: _TermPlace, numbers: tuple[ColumnNumber, ...], grid: LevelGrid, weight: Fraction) -> None:
        key = ("grid", place.source, numbers, tuple(column.column for column in grid.columns))
        entry = self._entry(key, place)
        entry.numbers = numbers
        entry.columns = _same(place.at, entry.columns, grid.columns)
        for levels, value in grid.values.items():
            cell = entry.cells.setdefault(levels, {})
            cell[place.class_] = cell.get(place.class_, 0.0) + rounded(Fraction(value) * weight)

    def _entry(self, key: Any, place: _TermPlace) -> FeatureDraft:
        if key not in self.entries:
            self.entries[key] = FeatureDraft(place.at, place.order, self.names.get(place.source or "", ""))
        return self.entries[key]


def _times(made: ColumnTable, weight: Fraction) -> ColumnTable:
    return made.map(
        lambda value: value if isinstance(value, Absent) or value is None else rounded(Fraction(value) * weight)
    )


def _added(at: Element) -> Any:
    def add(left: Any, right: Any) -> Any:
        if left is right or not (isinstance(left, Absent) or isinstance(right, Absent)):
            return left if left is None or isinstance(left, Absent) else left + right
        if INVALID in (left, right):
            return INVALID
        if MISSING in (left, right):
            return MISSING
        raise refused(at, "a level has a number here and none there")

    return add


def _same(at: Element, known: tuple[ColumnTable, ...], new: tuple[ColumnTable, ...]) -> tuple[ColumnTable, ...]:
    if not known:
        return new
    for left, right in zip(known, new, strict=True):
        if (left.missing, left.other) != (right.missing, right.other):
            raise refused(at, f'the column "{escape(left.column)}" is missing or unknown in two ways')
    return tuple(replace(left, levels={**left.levels, **right.levels}) for left, right in zip(known, new, strict=True))


def _as_grid(at: Element, tables: Sequence[ColumnTable], grids: Sequence[LevelGrid]) -> LevelGrid:
    """Return a product of tables as one."""
    columns: list[ColumnTable] = []
    values: dict[tuple[str, ...], float] = {(): 1.0}
    for part in [*grids, *(_one_grid(at, each) for each in tables)]:
        columns += part.columns
        check_count(at, len(values) * len(part.values))
        values = {(*a, *b): x * y for a, x in values.items() for b, y in part.values.items()}
    if len({column.column for column in columns}) < len(columns):
        raise refused(at, "multiplies two tables of one column", "use one table")
    return LevelGrid(tuple(columns), values)


def check_count(at: Element, count: int) -> None:
    """Refuse more combinations of levels than a product may have."""
    if count > _COMBINATIONS_LIMIT:
        raise refused(at, f"has more than {format_count(_COMBINATIONS_LIMIT)} combinations of levels")


def _one_grid(at: Element, table: ColumnTable) -> LevelGrid:
    if table.type is None:
        raise refused(at, f'multiplies intervals of the column "{escape(table.column)}"', "multiply the number itself")
    values = {level: float(value) for level, value in table.levels.items() if not isinstance(value, Absent)}
    levels = {level: level for level in values}
    other = ITSELF if table.other == 0 else _as_level(table.other, values, "(other)")
    missing = _as_level(table.missing, values, "(missing)")
    column = replace(table, levels=levels, other=other, missing=missing)
    return LevelGrid((column,), {(level,): value for level, value in values.items()})


def _as_level(value: Any, values: dict[str, float], name: str) -> Any:
    """Return a level that has a number, a new one if there is none; what is absent as it is."""
    if isinstance(value, Absent):
        return value
    known = next((level for level, number in values.items() if number == value), None)
    level = free_level(values, name) if known is None else known
    values[level] = float(value)
    return level
