"""The design of a fit: its terms, with what the first pass learnt of their columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import DataError
from pipeline.fitting.design import DesignColumn, FitDesign, LevelSource, Missing, NumberSource
from pipeline.fitting.formula import term_text
from pipeline.fitting.job import FitJob
from pipeline.fitting.layout import FitLayout
from pipeline.fitting.learnt import Learnt, LearntNumber
from pipeline.fitting.reading import rule_of, terms_of
from pipeline.fitting.terms import NumberTerm, ProductTerm, Term
from pipeline.kernels import tile_steps
from pipeline.units import escape, shortest

_NAMES_SHOWN = 5


def design_of(job: FitJob, learnt: Learnt) -> tuple[FitDesign, tuple[str, ...]]:
    """Return the design of a fit, and what a person should know of it.

    Constant columns are left out, with a note.

    Parameters
    ----------
    job : FitJob
        As :class:`~pipeline.fitting.reading.PreparedFit` has it.
    learnt : Learnt

    Raises
    ------
    DataError
        A column has no value, or values that cannot be scaled; with ``--strict``, a column is constant; no column is
        left.
    """
    making = _Designing(job, learnt)
    for term in terms_of(job):
        making.add(term)
    return making.design(), tuple(making.notes)


@dataclass(eq=False)
class _Designing:
    """A design while it is made."""

    job: FitJob
    learnt: Learnt
    notes: list[str] = field(default_factory=list)
    columns: list[DesignColumn] = field(default_factory=list)
    sources: dict[str, NumberSource] = field(default_factory=dict)
    levels: dict[str, LevelSource] = field(default_factory=dict)
    level_columns: list[int] = field(default_factory=list)
    dense: int = 0

    def add(self, term: Term) -> None:
        """Add the columns of a term, unless it is constant."""
        if isinstance(term, NumberTerm):
            self._add_number(term)
        else:
            raise DataError(f"{escape(term_text(term))} is not built yet")

    def design(self) -> FitDesign:
        """Return the design of the terms that were added."""
        if not self.columns:
            raise DataError("no feature is left: every column is constant", "name other columns under --features")
        classes = len(self.learnt.classes)
        layout = FitLayout(
            dense=self.dense,
            levels=tuple(self.level_columns),
            intercept=self.job.model.intercept,
            classes=classes,
            outputs=1 if classes == 2 else classes if self._is_penalised else classes - 1,
        )
        return FitDesign(layout, tuple(self.columns), tuple(self.sources.values()), tuple(self.levels.values()))

    @property
    def _is_penalised(self) -> bool:
        solve = self.job.solve
        return solve.l1 > 0 or solve.l2 > 0 or solve.path is not None

    def _add_number(self, term: NumberTerm) -> None:
        found = self.learnt.numbers[term_text(term)]
        source = self._source(term.column)
        mean, deviation = _filled(term, found, source.missing)
        if not math.isfinite(deviation) or not math.isfinite(mean):
            raise DataError(
                f"{escape(term_text(term))}: its values are too large to be scaled, up to {shortest(found.largest)}",
                "write log1p(NAME), or limit it with clip(NAME, LOW, HIGH)",
            ).at(column=term.column)
        if deviation == 0:
            self._leave_out(term, f"is {shortest(mean)} in every row")
            return
        self._add_dense(term, mean, deviation)

    def _add_dense(self, term: Term, center: float, deviation: float) -> None:
        controls = self.job.model.controls
        named = {factor.column for factor in (term.factors if isinstance(term, ProductTerm) else (term,))}
        self.columns.append(
            DesignColumn(
                term,
                term_text(term),
                dense=self.dense,
                center=center if self.job.model.intercept else 0.0,
                scale=deviation,
                deviation=deviation,
                control=bool(named & set(controls)),
            )
        )
        self.dense += 1

    def _leave_out(self, term: Term, why: str) -> None:
        """Note a constant column, or refuse it."""
        text = f"{escape(term_text(term))} {why}"
        if self.job.model.strict:
            raise DataError(f"{text}: a constant column has no coefficient", "leave it out, or fit without --strict")
        self.notes.append(f"{text}: left out")

    def _source(self, column: str) -> NumberSource:
        """Return a column of numbers, with what a missing value counts as."""
        if column not in self.sources:
            self.sources[column] = NumberSource(column, self._filler(column))
        return self.sources[column]

    def _filler(self, column: str) -> Missing:
        rule = rule_of(self.job, column)
        if rule in {"error", "drop"}:
            return "error" if rule == "error" else "drop"
        found = self.learnt.numbers[term_text(NumberTerm(column))]
        if not found.values:
            raise _empty_error(column)
        if rule == "impute-median" and found.median is not None:
            return found.median
        return found.mean


def _empty_error(column: str) -> DataError:
    return DataError(
        f"column {escape(column)}: every value is missing, so that there is nothing to impute",
        "leave the column out of --features",
    ).at(column=column)


def _filled(term: NumberTerm, found: LearntNumber, missing: Missing) -> tuple[float, float]:
    """Return mean and deviation of a number, with missing values counting as another."""
    if isinstance(missing, str) or found.share >= 1:
        return found.mean, found.deviation
    filler = stepped(term, missing)
    if not math.isfinite(filler):
        raise DataError(
            f"{escape(term_text(term))}: a missing value would count as {shortest(missing)}, of which that is no "
            "finite number",
            f"choose another rule: --missing {escape(term.column)}=drop, or impute-median",
        ).at(column=term.column)
    share = found.share
    mean = share * found.mean + (1 - share) * filler
    variance = share * (found.deviation**2 + (found.mean - mean) ** 2) + (1 - share) * (filler - mean) ** 2
    return mean, math.sqrt(variance)


def stepped(term: NumberTerm, value: float) -> float:
    """Return what the steps of a number make of a value."""
    made = np.array([value])
    with np.errstate(all="ignore"):
        for step in tile_steps(term.steps, "fast"):
            step(made)
    return float(made[0])
