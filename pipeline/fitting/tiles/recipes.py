"""How the columns of a tile are made of decoded rows: a recipe for each dense column and each level column."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.terms import BinsTerm, CategoryTerm, MissingTerm, NumberTerm, ProductTerm
from pipeline.fitting.designs.design import DesignColumn
from pipeline.fitting.tiles.decoding import DecodedRows
from pipeline.fitting.tiles.layout import Codes, Floats, LevelColumn

# Above it combinations of levels are searched for, where a table of all of them would leave the cache.
_MOST_CELLS = 1 << 20

Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Rows of one batch that are next to each other in a tile.

    Attributes
    ----------
    rows : DecodedRows
        All rows of the batch.
    first : int
        The first row of the run in the batch.
    start, stop : int
        The rows of the run in the tile.
    """

    rows: DecodedRows
    first: int
    start: int
    stop: int

    def of(self, array: Array) -> Array:
        """Return the values of the run in a column of the batch."""
        return array[self.first : self.first + self.stop - self.start]  # type: ignore[return-value]


Runs = Sequence[Run]


def joined(runs: Runs, pick: Callable[[DecodedRows], Array]) -> Array:
    """Return a column of the rows of all runs, without a copy where there is one run."""
    if len(runs) == 1:
        return runs[0].of(pick(runs[0].rows))
    return np.concatenate([run.of(pick(run.rows)) for run in runs])  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where decoded rows have the columns that terms name, and how many codes each column of levels has."""

    numbers: Mapping[NumberTerm, int]
    flags: Mapping[str, int]
    levels: Mapping[str, int]
    counts: Mapping[str, int]


# Writes the values of a dense column, before they are scaled.
Fill = Callable[[Runs, Floats], None]


@dataclass(frozen=True, slots=True, eq=False)
class DenseRecipe:
    """Makes one dense column: ``(value - center) / scale``, where the difference is rounded, then the quotient."""

    fill: Fill
    center: float
    scale: float

    def centred(self, runs: Runs, out: Floats) -> None:
        """Write the differences of the rows of some runs."""
        self.fill(runs, out)
        if self.center:
            np.subtract(out, self.center, out=out)

    def write(self, runs: Runs, out: Floats) -> None:
        """Write the column of the rows of some runs."""
        self.centred(runs, out)
        divide(out, np.float64(self.scale))


@dataclass(frozen=True, slots=True, eq=False)
class NumberRecipe:
    """Makes the dense column of one number: as :class:`DenseRecipe`, with one pass over the memory less."""

    place: int
    center: float
    scale: float

    def centred(self, runs: Runs, out: Floats) -> None:
        """Write the differences of the rows of some runs."""
        for run in runs:
            values = run.of(run.rows.numbers[self.place])
            np.subtract(values, self.center, out=out[run.start : run.stop], dtype=np.float64)

    def write(self, runs: Runs, out: Floats) -> None:
        """Write the column of the rows of some runs."""
        self.centred(runs, out)
        divide(out, np.float64(self.scale))


def dense_recipe(column: DesignColumn, sources: Sources) -> DenseRecipe | NumberRecipe:
    """Return the recipe of a dense column."""
    term = column.term
    if isinstance(term, NumberTerm):
        return NumberRecipe(sources.numbers[term], column.center, column.scale)
    if isinstance(term, MissingTerm):
        fill = _of_flags(sources.flags[term.column])
    elif isinstance(term, BinsTerm):
        fill = _of_values(IntervalRecipe.of(term, sources), np.array(column.values))
    elif isinstance(term, ProductTerm):
        fill = _product(_numbers_in(term, sources))
    else:
        raise TypeError(f"{column.name} has no dense column")
    return DenseRecipe(fill, column.center, column.scale)


# Makes the codes of a level column, before they are those of coefficients.
Number = Callable[[DecodedRows], Codes]


@dataclass(frozen=True, slots=True, eq=False)
class LevelRecipe:
    """Makes one level column.

    Attributes
    ----------
    number : callable
        Makes a number of what a row has: its level, its interval, or its combination of levels.
    places : ndarray of intp or None
        The coefficient of each number, -1 for none; ``None`` where they are the same.
    known : ndarray of intp or None
        The numbers that have coefficients, ascending, where ``places`` has only those.
    values : DenseRecipe or None
        What coefficients are multiplied by.
    """

    number: Number
    places: Codes | None
    known: Codes | None = None
    values: DenseRecipe | None = None

    def make(self, runs: Runs) -> LevelColumn:
        """Return the column of the rows of some runs."""
        codes = joined(runs, self.number)
        if self.known is not None and self.places is not None:
            found = np.minimum(np.searchsorted(self.known, codes), self.known.size - 1)
            codes = np.where(self.known[found] == codes, self.places[found], -1)
        elif self.places is not None:
            codes = self.places.take(codes, mode="clip")
        if self.values is None:
            return LevelColumn(codes)
        values = np.empty(len(codes))
        self.values.write(runs, values)
        return LevelColumn(codes, values)


def level_recipe(column: DesignColumn, sources: Sources) -> LevelRecipe:
    """Return the recipe of a level column."""
    term = column.term
    if isinstance(term, BinsTerm):
        intervals = IntervalRecipe.of(term, sources)
        if (intervals.count - 1,) not in column.cells:
            # Missing values have no coefficient of their own: what they count as is in an interval.
            intervals = replace(intervals, flag=None)
        return LevelRecipe(intervals.numbers, _places(column.cells, (intervals.count,), first=0))
    if isinstance(term, CategoryTerm):
        return _of_levels(column, (term,), sources)
    if isinstance(term, ProductTerm):
        numbers = _numbers_in(term, sources)
        values = DenseRecipe(_product(numbers), column.center, column.scale) if numbers else None
        categories = tuple(factor for factor in term.factors if isinstance(factor, CategoryTerm))
        return replace(_of_levels(column, categories, sources), values=values)
    raise TypeError(f"{column.name} has no levels")


def _of_levels(column: DesignColumn, terms: Sequence[CategoryTerm], sources: Sources) -> LevelRecipe:
    places = [sources.levels[term.column] for term in terms]
    counts = [sources.counts[term.column] + 1 for term in terms]
    same = tuple((code,) for code in range(len(column.cells)))
    # With more codes than coefficients, one would be read that belongs to the next column.
    if len(places) == 1 and column.cells in {same, ()} and counts[0] - 1 <= len(column.labels):
        return LevelRecipe(lambda rows: rows.levels[places[0]], None)
    number = _joint(places, counts)
    if math.prod(counts) > _MOST_CELLS:
        numbers = _joint_numbers(column.cells, counts, first=-1)
        order = np.argsort(numbers)
        return LevelRecipe(number, order, numbers[order])
    return LevelRecipe(number, _places(column.cells, counts, first=-1))


def _joint(places: Sequence[int], counts: Sequence[int]) -> Number:
    """Return what numbers the combination of the levels of a row; codes begin with -1."""

    def number(rows: DecodedRows) -> Codes:
        found = rows.levels[places[0]] + 1
        for place, count in zip(places[1:], counts[1:], strict=True):
            found = found * count + (rows.levels[place] + 1)
        return found

    return number


def _joint_numbers(cells: Sequence[Sequence[int]], counts: Sequence[int], *, first: int) -> Codes:
    """Return the number of each combination; the codes of each level begin with ``first``."""
    shifted = np.array(cells, dtype=np.intp).reshape(len(cells), len(counts)) - first
    return np.asarray(np.ravel_multi_index(tuple(shifted.T), tuple(counts)), dtype=np.intp)


def _places(cells: Sequence[Sequence[int]], counts: Sequence[int], *, first: int) -> Codes:
    """Return the coefficient of each combination, -1 where it has none."""
    places: Codes = np.full(math.prod(counts), -1, dtype=np.intp)
    places[_joint_numbers(cells, counts, first=first)] = np.arange(len(cells))
    return places


@dataclass(frozen=True, slots=True, eq=False)
class IntervalRecipe:
    """Numbers the interval of each value, from one edge up to the next as scoring has it; missing values are last."""

    place: int
    flag: int | None
    edges: Floats

    @classmethod
    def of(cls, term: BinsTerm, sources: Sources) -> IntervalRecipe:
        """Return the recipe of a term whose edges are known."""
        return cls(sources.numbers[NumberTerm(term.column)], sources.flags[term.column], np.array(term.edges))

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return self.edges.size + 2

    def numbers(self, rows: DecodedRows) -> Codes:
        """Return the number of each row's interval."""
        found: Codes = np.searchsorted(self.edges, rows.numbers[self.place], side="right")
        if self.flag is not None:
            found[rows.flags[self.flag]] = self.edges.size + 1
        return found


def _of_values(intervals: IntervalRecipe, values: Floats) -> Fill:
    def fill(runs: Runs, out: Floats) -> None:
        np.take(values, joined(runs, intervals.numbers), out=out, mode="clip")

    return fill


def _numbers_in(term: ProductTerm, sources: Sources) -> list[int]:
    return [sources.numbers[factor] for factor in term.factors if isinstance(factor, NumberTerm)]


def _of_flags(place: int) -> Fill:
    def fill(runs: Runs, out: Floats) -> None:
        for run in runs:
            np.copyto(out[run.start : run.stop], run.of(run.rows.flags[place]))

    return fill


def _product(places: Sequence[int]) -> Fill:
    first, *others = places

    def fill(runs: Runs, out: Floats) -> None:
        for run in runs:
            part = out[run.start : run.stop]
            np.copyto(part, run.of(run.rows.numbers[first]))
            for place in others:
                np.multiply(part, run.of(run.rows.numbers[place]), out=part)

    return fill


def divide(values: Floats, scales: Floats | np.float64) -> None:
    """Divide in place. By powers of two it is a product, which has the same bits in a third of the time."""
    if (scales == 1.0).all():
        return
    sizes = np.abs(scales)
    if ((np.frexp(sizes)[0] == 0.5) & (sizes > 1e-300) & (sizes < 1e300)).all():
        np.multiply(values, 1.0 / scales, out=values)
    else:
        np.divide(values, scales, out=values)
