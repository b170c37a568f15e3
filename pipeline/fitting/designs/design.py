"""The design: every term, with what was learnt of its columns, as columns of tiles and as features of a model file.

A design is plain values. Workers make tiles with it (:mod:`pipeline.fitting.tiles.encoding`), the driver makes the
model file with it (:mod:`pipeline.fitting.outcome.making`), and both read the same description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.terms import Factor, NumberTerm, Term, term_factors
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.models.levels import LevelType

# What a row with a missing value becomes: an error, a row that is not fitted, or a number.
Missing = Literal["error", "drop"] | float


@dataclass(frozen=True, slots=True)
class NumberSource:
    """A column of numbers that tiles are made of; a missing value counts as ``missing``, in units of the column."""

    column: str
    missing: Missing


@dataclass(frozen=True, slots=True)
class LevelSource:
    """A column of levels that tiles are made of.

    Attributes
    ----------
    column : str
    type : LevelType
    codes : dict of str to int
        The code of each level that was learnt; the reference level, and what is pooled with it, has -1.
    missing : {"error", "drop"} or int
        The code of a missing value.
    unseen : {"drop"} or int
        The code of a level that no fitted row has: that of rare levels, as the model file treats it, where there are
        some. Else a row with it, which is held out, has no score.
    """

    column: str
    type: LevelType
    codes: Mapping[str, int]
    missing: Literal["error", "drop"] | int
    unseen: Literal["drop"] | int = "drop"


@dataclass(frozen=True, slots=True)
class DesignColumn:
    """The columns of one term.

    Attributes
    ----------
    term : Term
    name : str
        What people call it.
    dense : int or None
        The position of its dense column after the intercept.
    levels : int or None
        The position of its level column.
    labels : tuple of str
        The level, interval or combination of each coefficient, in order; empty for one that is dense.
    reference : str or None
        The level or interval without a coefficient, ``None`` for full coding.
    center, scale : float
        How the dense column is scaled; of a level column the number that its coefficients are multiplied by, which has
        the center 0.
    cells : tuple of tuple of int
        Of a level column, for each coefficient what its rows have: the code of the level, of each level of a product in
        the order of its factors, or the number of the interval, where that of a missing value is the last. -1 is the
        code of the reference level.
    values : tuple of float
        Of a dense column with weights of evidence: the number of each interval, and last that of a missing value.
    deviation : float
        The standard deviation of the dense column in its own units.
    control : bool
        Whether it is set to a reference at scoring.
    """

    term: Term
    name: str
    dense: int | None = None
    levels: int | None = None
    labels: tuple[str, ...] = ()
    reference: str | None = None
    center: float = 0.0
    scale: float = 1.0
    deviation: float = 1.0
    control: bool = False
    cells: tuple[tuple[int, ...], ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FitDesign:
    """All terms of a fit.

    Attributes
    ----------
    layout : FitLayout
    columns : tuple of DesignColumn
        In the order of the terms.
    numbers : tuple of NumberSource
        Each column of numbers once.
    levels : tuple of LevelSource
        Each column of levels once.
    finite : tuple of NumberTerm
        A row that is fitted has a finite number of each of them: those of the terms, also of terms that were left out,
        and columns whose missing values count as a number. Of a column that is only in intervals infinities are values.
    extra : tuple of NumberTerm
        What is decoded besides the numbers of the columns: marginal effects need columns as they are before their
        steps.
    """

    layout: FitLayout
    columns: tuple[DesignColumn, ...]
    numbers: tuple[NumberSource, ...]
    levels: tuple[LevelSource, ...]
    finite: tuple[NumberTerm, ...] = ()
    extra: tuple[NumberTerm, ...] = ()


def factors_of(column: DesignColumn) -> tuple[Factor, ...]:
    """Return what is multiplied in the term of a column: itself, or the factors of a product."""
    return term_factors(column.term)
