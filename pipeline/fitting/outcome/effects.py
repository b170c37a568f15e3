"""Average marginal effects: by how much the probability of a class changes with a column, on average over all rows.

Of a number it is the mean of the derivative, through all its transforms and products; of a column of 0 and 1 the mean
of the change from 0 to 1; of a level the mean of the change from the reference level to it, where nothing else of the
row changes; of an interval likewise. That is what ``margins`` of Stata and ``avg_slopes`` of R compute.
``get_margeff`` of statsmodels with ``dummy=True`` has the same numbers but for levels, where it leaves the other levels
of a row as they are.

Errors by the delta method: G V G', where G is the mean of the gradient of the effect by the coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.terms import BinsTerm, CategoryTerm, NumberTerm
from pipeline.fitting.designs.design import DesignColumn, FitDesign, factors_of
from pipeline.fitting.first_pass.learnt import Learnt, LearntNumber
from pipeline.fitting.first_pass.vocabulary import MISSING, reference_of
from pipeline.fitting.outcome.own_units import slice_of
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.models.logistic.binned import interval_names
from pipeline.units import escape, format_count

# More levels of a column have no effects: each one makes the tiles anew.
MOST_LEVELS = 100

# A column of 0 and 1 has the variance mean * (1 - mean), which no other column between them reaches.
_ZERO_ONE = 1e-9


@dataclass(frozen=True, slots=True)
class Setting:
    """What the cells of a column are set to: a number, a code of a level source, or missing."""

    number: float | None = None
    code: int | None = None
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class EffectColumn:
    """A column whose effects are computed.

    Attributes
    ----------
    column : str
    kind : {"slope", "derivative", "change"}
        ``slope``: a number in one term alone and as it is, so that all rows have the same derivative of the raw
        prediction. ``derivative``: any other number. ``change``: from one setting to others.
    start : Setting
        What is changed from.
    changes : tuple of (str, Setting)
        What is changed to, with the label of each.
    """

    column: str
    kind: Literal["slope", "derivative", "change"]
    start: Setting = Setting()
    changes: tuple[tuple[str, Setting], ...] = ()


@dataclass(frozen=True, slots=True)
class EffectPlan:
    """Whose effects are computed, in the order of the terms; plain values, which travel to workers.

    Attributes
    ----------
    columns : tuple of EffectColumn
    notes : tuple of str
        What has no effects, and why.
    """

    columns: tuple[EffectColumn, ...]
    notes: tuple[str, ...] = ()


def effect_numbers(design: FitDesign) -> tuple[NumberTerm, ...]:
    """Return the numbers that must be decoded besides those of a design: ``extra`` of a design with effects."""
    return tuple(
        dict.fromkeys(
            NumberTerm(factor.column)
            for column in design.columns
            for factor in factors_of(column)
            if isinstance(factor, NumberTerm) and factor.steps
        )
    )


def plan_effects(design: FitDesign, learnt: Learnt, dropped: Sequence[int] = ()) -> EffectPlan:
    """Return whose effects are computed.

    Parameters
    ----------
    design : FitDesign
    learnt : Learnt
    dropped : sequence of int
        The positions of coefficients that were not fitted; a column without any other has no effect.
    """
    found, notes = [], []
    kept = [column for column in design.columns if not _is_dropped(column, design.layout, dropped)]
    names = dict.fromkeys(factor.column for column in kept for factor in factors_of(column))
    for name in names:
        uses = [factor for column in kept for factor in factors_of(column) if factor.column == name]
        made = _of_levels(name, design, learnt) if _has_levels(uses) else _of_number(name, kept, uses, learnt)
        if made is None:
            notes.append(f"{escape(name)} has no marginal effect: it is only asked whether it is missing")
        elif len(made.changes) > MOST_LEVELS:
            many = format_count(len(made.changes))
            notes.append(f"{escape(name)} has no marginal effects: {many} levels are more than {MOST_LEVELS}")
        else:
            found.append(made)
    return EffectPlan(tuple(found), tuple(notes))


def _is_dropped(column: DesignColumn, layout: FitLayout, dropped: Sequence[int]) -> bool:
    place = slice_of(column, layout)
    return set(dropped).issuperset(range(place.start, place.stop))


def _has_levels(uses: Sequence[object]) -> bool:
    return any(isinstance(use, CategoryTerm) for use in uses)


def _of_levels(name: str, design: FitDesign, learnt: Learnt) -> EffectColumn:
    """Return the changes from the reference level, or from the most frequent one where all are coded."""
    source = next(source for source in design.levels if source.column == name)
    own = next((column for column in design.columns if column.term == CategoryTerm(name)), None)
    if own is not None:
        codes = {label: code for label, (code,) in zip(own.labels, own.cells, strict=True)}
    else:
        others = {*learnt.levels[name].pooled, *learnt.levels[name].aliases}
        codes = {level: code for level, code in source.codes.items() if level not in others}
    reference = None if own is None else own.reference
    if reference is None:
        reference = next((level for level, code in codes.items() if code < 0), reference_of(learnt.levels[name].counts))
    start = codes.pop(reference, -1)
    changes = tuple((label, Setting(code=code)) for label, code in codes.items() if code >= 0)
    return EffectColumn(name, "change", Setting(code=start), changes)


def _of_number(name: str, kept: Sequence[DesignColumn], uses: Sequence[object], learnt: Learnt) -> EffectColumn | None:
    terms = [use for use in uses if isinstance(use, NumberTerm)]
    if not terms:
        bins = next((use for use in uses if isinstance(use, BinsTerm)), None)
        return None if bins is None or not bins.edges else _of_intervals(bins, kept)
    plain = learnt.numbers.get(term_text(NumberTerm(name)))
    if plain is not None and is_zero_one(plain):
        return EffectColumn(name, "change", Setting(number=0.0), (("0 to 1", Setting(number=1.0)),))
    alone = [column for column in kept if column.term == NumberTerm(name)]
    is_slope = len(terms) == 1 and len(alone) == 1
    return EffectColumn(name, "slope" if is_slope else "derivative")


def is_zero_one(learnt: LearntNumber) -> bool:
    """Return whether all values of a column are 0 or 1, and some are either."""
    if (learnt.smallest, learnt.largest) != (0.0, 1.0):
        return False
    wanted = learnt.mean * (1.0 - learnt.mean)
    return abs(learnt.deviation**2 - wanted) <= _ZERO_ONE * wanted


def _of_intervals(term: BinsTerm, kept: Sequence[DesignColumn]) -> EffectColumn:
    """Return the changes from the reference interval, or from the first one where there is none."""
    column = next(column for column in kept if column.term == term)
    settings = dict(_settings_of(term.edges, column))
    start = column.reference if column.reference is not None else next(iter(settings))
    return EffectColumn(
        term.column,
        "change",
        settings[start],
        tuple((label, setting) for label, setting in settings.items() if label != start),
    )


def _settings_of(edges: Sequence[float], column: DesignColumn) -> Iterator[tuple[str, Setting]]:
    """Yield each interval with a value that is in it."""
    below = float(np.nextafter(edges[0], -np.inf))
    values = zip(interval_names(edges), (below, *edges), strict=True)
    yield from ((name, Setting(number=value, missing=False)) for name, value in values)
    if (len(edges) + 1,) in column.cells or column.reference == MISSING:
        yield MISSING, Setting(number=below, missing=True)
