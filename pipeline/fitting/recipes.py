"""How the columns of a tile are made of decoded rows: a recipe for each dense column and each level column."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.fitting.decoding import DecodedRows
from pipeline.fitting.design import DesignColumn
from pipeline.fitting.layout import Floats, LevelColumn
from pipeline.fitting.terms import CategoryTerm, MissingTerm, NumberTerm, ProductTerm

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
    """Where decoded rows have the columns that terms name."""

    numbers: Mapping[NumberTerm, int]
    flags: Mapping[str, int]
    levels: Mapping[str, int]


# Writes the values of a dense column, before they are scaled.
Fill = Callable[[Runs, Floats], None]


@dataclass(frozen=True, slots=True, eq=False)
class DenseRecipe:
    """Makes one dense column: ``(value - center) / scale``, where the difference is rounded, then the quotient."""

    fill: Fill
    center: float
    scale: float

    def write(self, runs: Runs, out: Floats) -> None:
        """Write the column of the rows of some runs."""
        self.fill(runs, out)
        if self.center:
            np.subtract(out, self.center, out=out)
        _divide(out, self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class NumberRecipe:
    """Makes the dense column of one number: as :class:`DenseRecipe`, with one pass over the memory less."""

    place: int
    center: float
    scale: float

    def write(self, runs: Runs, out: Floats) -> None:
        """Write the column of the rows of some runs."""
        for run in runs:
            values = run.of(run.rows.numbers[self.place])
            np.subtract(values, self.center, out=out[run.start : run.stop], dtype=np.float64)
        _divide(out, self.scale)


def dense_recipe(column: DesignColumn, sources: Sources) -> DenseRecipe | NumberRecipe:
    """Return the recipe of a dense column."""
    term = column.term
    if isinstance(term, NumberTerm):
        return NumberRecipe(sources.numbers[term], column.center, column.scale)
    if isinstance(term, MissingTerm):
        place = sources.flags[term.column]
        return DenseRecipe(_of_flags(place), column.center, column.scale)
    if isinstance(term, ProductTerm):
        places = [sources.numbers[factor] for factor in term.factors if isinstance(factor, NumberTerm)]
        return DenseRecipe(_product(places), column.center, column.scale)
    raise TypeError(f"{column.name} has no dense column")


def level_recipe(column: DesignColumn, sources: Sources) -> Callable[[Runs], LevelColumn]:
    """Return what makes a level column of some runs."""
    term = column.term
    if isinstance(term, CategoryTerm):
        place = sources.levels[term.column]
        return lambda runs: LevelColumn(joined(runs, lambda rows: rows.levels[place]))
    raise TypeError(f"{column.name} has no levels")


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


def _divide(values: Floats, scale: float) -> None:
    """Divide in place. By a power of two it is a product, which has the same bits in a third of the time."""
    if scale == 1.0:
        return
    if abs(math.frexp(scale)[0]) == 0.5 and 1e-300 < abs(scale) < 1e300:
        np.multiply(values, 1.0 / scale, out=values)
    else:
        np.divide(values, scale, out=values)
