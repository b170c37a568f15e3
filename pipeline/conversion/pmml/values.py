"""What a field or an expression of PMML can be: a constant, a number or a table of a column, or sums of these.

A *table* (:class:`ColumnTable`) is a function of one column that has finitely many values: one for each bin of a
number, or one for each level, and one where the column is missing. A *number* (:class:`ColumnNumber`) is a column that
went through steps. A *polynomial* (:class:`Polynomial`) adds products of these, with exact coefficients.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import field, replace
from enum import Enum
from fractions import Fraction
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.kernels import Affine, Clip
from pipeline.models.levels import LevelType


class Absent(Enum):
    """What a field may be instead of a value."""

    MISSING = "missing"
    # The row has no result: it is invalid.
    INVALID = "invalid"
    # A level is this level itself: what an unknown level of a column is before anything maps it.
    ITSELF = "itself"


MISSING, INVALID, ITSELF = Absent.MISSING, Absent.INVALID, Absent.ITSELF

# The types of a ``DataField`` that is read, as those of levels; and those of them that are numbers.
LEVEL_TYPES: Mapping[str, LevelType] = {
    "string": "text",
    "boolean": "boolean",
    "integer": "integer",
    "float": "number",
    "double": "number",
}
NUMBER_TYPES = frozenset({"integer", "float", "double"})

Scalar = float | str | bool | Absent
# A function by its name, a shift and a division, or two ends.
Step = str | Affine | Clip


@dataclass(frozen=True, slots=True)
class ColumnNumber:
    """A number of a column, after steps: words, :class:`Affine` or :class:`Clip`.

    ``missing`` is what a missing cell counts as before the steps: MISSING, INVALID or a number. ``boolean``: the column
    holds true and false, which count as 1 and 0.
    """

    column: str
    missing: float | Absent = MISSING
    steps: tuple[Step, ...] = ()
    boolean: bool = False

    def then(self, step: Step) -> ColumnNumber:
        """Return the number after one more step."""
        return replace(self, steps=(*self.steps, step))


@dataclass(frozen=True, slots=True)
class ColumnTable:
    """A function of a column with finitely many values.

    Attributes
    ----------
    column : str
    missing : value
        Where the column is missing.
    edges, bins : tuple
        For a number: bin 0 is below ``edges[0]``, bin i from ``edges[i-1]`` up to but not ``edges[i]``.
    levels : mapping of str to value
        For a column of levels.
    other : value
        For every other level; ITSELF: the level itself.
    type : str or None
        The type of the levels; ``None`` for a number.
    single : bool
        Whether it tells one level from the others, as one-hot encoders write them.
    """

    column: str
    missing: Any
    edges: tuple[float, ...] = ()
    bins: tuple[Any, ...] = ()
    levels: Mapping[str, Any] = field(default_factory=dict)
    other: Any = None
    type: LevelType | None = None
    single: bool = False

    def map(self, function: Callable[[Any], Any], constants: Iterable[str] = ()) -> ColumnTable:
        """Return the table with a function on its values.

        ``constants`` are the levels that the function tells from others; it is called with ITSELF for the rest.
        """
        levels = dict(self.levels)
        if self.other is ITSELF:
            levels |= {level: level for level in constants if level not in levels}
        return replace(
            self,
            missing=function(self.missing),
            bins=tuple(map(function, self.bins)),
            levels={level: function(value) for level, value in levels.items()},
            other=function(self.other),
        )

    def at(self, value: float) -> Any:
        """Return the value for a number of the column."""
        return self.bins[bisect_right(self.edges, value)]

    def join(self, other: ColumnTable, function: Callable[[Any, Any], Any]) -> ColumnTable:
        """Return a function of two tables of one column."""
        edges = tuple(sorted({*self.edges, *other.edges}))
        starts = (float("-inf"), *edges)
        bins = tuple(function(self.at(start), other.at(start)) for start in starts) if self.type is None else ()
        levels = dict.fromkeys((*self.levels, *other.levels))
        return replace(
            self,
            missing=function(self.missing, other.missing),
            edges=edges,
            bins=bins,
            levels={
                level: function(self.levels.get(level, self.other), other.levels.get(level, other.other))
                for level in levels
            },
            other=function(self.other, other.other),
            single=self.single and other.single,
        )

    @property
    def values(self) -> list[Any]:
        """All its values, that for missing last."""
        rest = [] if self.type is None else [*self.levels.values(), self.other]
        return [*self.bins, *rest, self.missing]


@dataclass(frozen=True, slots=True, eq=False)
class LevelGrid:
    """A number that the levels of several columns choose together.

    ``columns`` have levels as values; ``values`` has the number by their levels; elsewhere it is 0.
    """

    columns: tuple[ColumnTable, ...]
    values: Mapping[tuple[str, ...], float]


Factor = ColumnNumber | ColumnTable | LevelGrid


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of products of factors, each with an exact coefficient; the product without factors is the constant."""

    terms: tuple[tuple[tuple[Factor, ...], Fraction], ...]

    def __add__(self, other: Polynomial) -> Polynomial:
        return collect((*self.terms, *other.terms))

    def __mul__(self, other: Polynomial) -> Polynomial:
        return collect(((*left, *right), a * b) for left, a in self.terms for right, b in other.terms)

    @property
    def degree(self) -> int:
        """How many factors its longest product has."""
        return max((len(factors) for factors, _ in self.terms), default=0)

    @property
    def constant(self) -> Fraction | None:
        """The number that it is, if it has no factors."""
        if not self.terms:
            return Fraction(0)
        return self.terms[0][1] if len(self.terms) == 1 and not self.terms[0][0] else None

    @property
    def number(self) -> ColumnNumber | None:
        """The number of a column that it is, if it is nothing else."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            (factor,) = self.terms[0][0]
            return factor if isinstance(factor, ColumnNumber) else None
        return None


def collect(terms: Iterable[tuple[tuple[Factor, ...], Fraction]]) -> Polynomial:
    """Return a sum with the coefficients of like products added exactly."""
    found: list[tuple[tuple[Factor, ...], Fraction]] = []
    places: dict[Any, int] = {}
    for factors, coefficient in terms:
        key = tuple(factor if isinstance(factor, ColumnNumber) else id(factor) for factor in factors)
        if key in places:
            found[places[key]] = (factors, found[places[key]][1] + coefficient)
        else:
            places[key] = len(found)
            found.append((factors, coefficient))
    return Polynomial(tuple(found))


def constant(value: float | Fraction) -> Polynomial:
    """Return a number as a sum."""
    return Polynomial((((), Fraction(value)),))


def factor(value: Factor) -> Polynomial:
    """Return a factor as a sum."""
    return Polynomial((((value,), Fraction(1)),))


def free_level(levels: Container[str], name: str) -> str:
    """Return a name for a level that is not among others: with brackets around it, while it is."""
    while name in levels:
        name = f"({name})"
    return name


def rounded(value: Fraction) -> float:
    """Return an exact number as float64, infinite beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


Value = Scalar | Polynomial | ColumnTable
