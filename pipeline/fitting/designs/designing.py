"""The design of a fit: its terms, with what the first pass learnt of their columns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from pipeline.choices import MissingRule
from pipeline.dataclass import dataclass
from pipeline.errors import DataError
from pipeline.fitting.asking.formula import term_columns, term_text
from pipeline.fitting.asking.job import FitJob, rule_of, terms_of
from pipeline.fitting.asking.reading import finite_numbers, numbers_of_product
from pipeline.fitting.asking.terms import BinsTerm, CategoryTerm, MissingTerm, NumberTerm, ProductTerm, Term
from pipeline.fitting.designs.coding import CodedLevels, cells_of, coded, is_reduced
from pipeline.fitting.designs.design import DesignColumn, FitDesign, LevelSource, Missing, NumberSource
from pipeline.fitting.first_pass.classes import positive_note
from pipeline.fitting.first_pass.learnt import Learnt, LearntBins, LearntNumber
from pipeline.fitting.first_pass.vocabulary import OTHER, combined_name
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.kernels import stepped
from pipeline.models.logistic.binned import interval_names
from pipeline.units import escape, format_count, shortest

_NAMES_SHOWN = 5
# Squares of smaller numbers have lost digits: the smallest normal float64 is 2.2e-308.
_LEAST_DEVIATION = 1e-146
# The label of missing values among intervals.
MISSING_BIN = "missing"
_LEVEL_RULES: Mapping[MissingRule, Literal["error", "drop", "frequent", "own"]] = {
    "error": "error",
    "drop": "drop",
    "impute-mean": "frequent",
    "impute-median": "frequent",
    "indicator": "own",
}


def design_of(job: FitJob, learnt: Learnt, *, full: bool = False) -> tuple[FitDesign, tuple[str, ...]]:
    """Return the design of a fit, and what a person should know of it.

    Constant columns are left out, with a note. A missing level counts as the most frequent one where numbers are
    imputed, and is a level of its own under ``indicator``.

    Parameters
    ----------
    job : FitJob
        As :class:`~pipeline.fitting.asking.reading.PreparedFit` has it.
    learnt : Learnt
    full : bool
        Whether every level and every class has columns of its own, as with a penalty.

    Raises
    ------
    DataError
        A column has no value, or values that cannot be scaled; with ``--strict``, a column is constant; no column is
        left.
    """
    making = _Designing(job, learnt, full)
    if job.model.positive is None and (note := positive_note(job.model.target, learnt.classes)):
        making.notes.append(note)
    for term in terms_of(job):
        making.add(term)
    design = making.design()
    making.note_folds()
    return design, tuple(making.notes)


@dataclass(eq=False)
class _Designing:
    """A design while it is made."""

    job: FitJob
    learnt: Learnt
    full: bool = False
    notes: list[str] = field(default_factory=list)
    columns: list[DesignColumn] = field(default_factory=list)
    sources: dict[str, NumberSource] = field(default_factory=dict)
    levels: dict[str, CodedLevels] = field(default_factory=dict)
    widths: list[int] = field(default_factory=list)
    dense: int = 0

    def add(self, term: Term) -> None:
        """Add the columns of a term, unless it is constant."""
        match term:
            case NumberTerm():
                self._add_number(term)
            case CategoryTerm():
                self._add_category(term)
            case BinsTerm(woe=True):
                self._add_evidence(term)
            case BinsTerm():
                self._add_bins(term)
            case MissingTerm():
                self._add_indicator(term)
            case ProductTerm():
                self._add_product(term)

    def design(self) -> FitDesign:
        """Return the design of the terms that were added."""
        if not self.columns:
            raise DataError("no feature is left: every column is constant", "name other columns under --features")
        classes = len(self.learnt.classes)
        layout = FitLayout(
            dense=self.dense,
            levels=tuple(self.widths),
            intercept=self.job.model.intercept,
            classes=classes,
            outputs=1 if classes == 2 else classes if self.is_penalised else classes - 1,
        )
        levels = tuple(map(self._level_source, self.levels))
        return FitDesign(layout, tuple(self.columns), tuple(self.sources.values()), levels, finite_numbers(self.job))

    def _level_source(self, column: str) -> LevelSource:
        """Return a column of levels; one without a coefficient is not read at scoring, so that all levels are known."""
        source = self.levels[column].source
        is_read = any(column in term_columns(each.term) for each in self.columns)
        return source if is_read or source.missing == "drop" else replace(source, unseen=-1)

    @property
    def is_penalised(self) -> bool:
        """Whether coefficients are penalised, or every level has one all the same."""
        solve = self.job.solve
        return self.full or solve.l1 > 0 or solve.l2 > 0 or solve.path is not None

    @cached_property
    def spanning(self) -> Term | None:
        """Without an intercept, the term that takes its place: the first with levels or intervals, which keeps all."""
        if self.job.model.intercept:
            return None
        return next((term for term in terms_of(self.job) if self._spans(term)), None)

    def _spans(self, term: Term) -> bool:
        if isinstance(term, CategoryTerm):
            return len(self.learnt.levels[term.column].counts) > 1
        return isinstance(term, BinsTerm) and not term.woe and bool(self.learnt.bins[term_text(term)].edges)

    def _is_full(self, term: Term) -> bool:
        """Return whether every level or interval of a term has a coefficient."""
        return self.is_penalised or term == self.spanning or not self._has_constant

    @property
    def _has_constant(self) -> bool:
        return self.job.model.intercept or self.spanning is not None

    def _add_number(self, term: NumberTerm) -> None:
        found = self.learnt.numbers[term_text(term)]
        mean, deviation = _filled(term, found, self._source(term.column).missing)
        _check_scaled(term, found, mean, deviation)
        if deviation == 0:
            self._leave_out(term, f"is {shortest(mean)} in every row")
        else:
            self._add_dense(term, mean, deviation)

    def _add_indicator(self, term: MissingTerm) -> None:
        found = self.learnt.numbers[term_text(term)]
        if found.deviation:
            self._add_dense(term, found.mean, found.deviation)
        elif found.mean or rule_of(self.job, term.column) != "indicator":
            # A rule asks for the indicators of all columns: one without missing values needs none.
            self._leave_out(term, f"is {shortest(found.mean)} in every row")

    def _add_evidence(self, term: BinsTerm) -> None:
        """Add a column in intervals as one number: the weight of evidence of the interval."""
        bins = self._bins_of(term)
        source = self._source(term.column)
        own = rule_of(self.job, term.column) == "indicator"
        missing = 0.0
        if own:
            missing = bins.woe[-1]
        elif not isinstance(source.missing, str):
            missing = bins.woe[int(np.searchsorted(bins.edges, source.missing, side="right"))]
        values = np.array([*bins.woe[:-1], missing])
        weights = np.array([sum(row) for row in bins.counts])
        if isinstance(source.missing, str):
            weights[-1] = 0.0
        mean = float(weights @ values / weights.sum())
        deviation = math.sqrt(float(weights @ (values - mean) ** 2 / weights.sum()))
        if deviation == 0 or not bins.edges:
            self._leave_out(term, "has the same weight of evidence in every row")
            return
        self._add_dense(replace(term, edges=bins.edges), mean, deviation, term, tuple(values.tolist()))

    def _add_dense(
        self, term: Term, center: float, deviation: float, asked: Term | None = None, values: tuple[float, ...] = ()
    ) -> None:
        self.columns.append(
            DesignColumn(
                term,
                term_text(asked or term),
                dense=self.dense,
                center=center if self.job.model.intercept else 0.0,
                scale=deviation,
                deviation=deviation,
                control=self._is_control(term),
                values=values,
            )
        )
        self.dense += 1

    def _add_category(self, term: CategoryTerm) -> None:
        levels = self._levels_of(term.column)
        if len(levels.labels) == 1:
            self._leave_out(term, f"has one level, '{escape(next(iter(levels.labels.values())))}', in every row")
            return
        codes = levels.of_coefficients
        self._add_levels(
            term,
            term_text(term),
            tuple((code,) for code in codes),
            tuple(levels.labels[code] for code in codes),
            levels.labels.get(-1),
        )
        self._note_pool(term.column)
        self._note_separation(term.column)

    def _add_bins(self, term: BinsTerm) -> None:
        bins = self._bins_of(term)
        self._source(term.column)
        totals = [sum(row) for row in bins.counts]
        names = [*interval_names(bins.edges), MISSING_BIN]
        own = rule_of(self.job, term.column) == "indicator" and totals[-1] > 0
        numbers = [number for number, total in enumerate(totals[:-1]) if total > 0]
        if len(numbers) + own < 2:
            self._leave_out(term, "has one interval with rows")
            return
        empty = len(totals) - 1 - len(numbers)
        if empty:
            what = "interval has" if empty == 1 else "intervals have"
            self.notes.append(f"{escape(term_text(term))}: {format_count(empty)} {what} no row")
        reference = None
        if not self._is_full(term):
            reference = max(numbers, key=lambda number: (totals[number], -number))
        kept = [number for number in (*numbers, *([len(names) - 1] if own else [])) if number != reference]
        self._add_levels(
            replace(term, edges=bins.edges),
            term_text(term),
            tuple((number,) for number in kept),
            tuple(names[number] for number in kept),
            None if reference is None else names[reference],
        )

    def _add_product(self, term: ProductTerm) -> None:
        numbers = numbers_of_product(term)
        categories = tuple(factor for factor in term.factors if isinstance(factor, CategoryTerm))
        for number in numbers:
            self._source(number.column)
        if not categories:
            found = self.learnt.numbers[term_text(term)]
            _check_scaled(term, found, found.mean, found.deviation)
            if found.deviation == 0:
                self._leave_out(term, f"is {shortest(found.mean)} in every row")
            else:
                self._add_dense(term, found.mean, found.deviation)
            return
        self._add_cells(term, categories, self._slope_scale(numbers) if numbers else None)

    def _slope_scale(self, numbers: Sequence[NumberTerm]) -> float:
        """Return the deviation of a number, or of a product of numbers, that levels are multiplied by."""
        if len(numbers) > 1:
            return self.learnt.numbers[term_text(ProductTerm(tuple(numbers)))].deviation or 1.0
        (number,) = numbers
        missing = self._source(number.column).missing
        return _filled(number, self.learnt.numbers[term_text(number)], missing)[1] or 1.0

    def _add_cells(self, term: ProductTerm, categories: Sequence[CategoryTerm], scale: float | None) -> None:
        """Add a product with levels: a coefficient for each combination of them that occurs.

        ``scale`` is that of the numbers that are multiplied, ``None`` where there are none.
        """
        columns = [self._levels_of(category.column) for category in categories]
        terms = terms_of(self.job)
        for category in categories:
            if category not in terms:
                self._note_pool(category.column)
        reduced = {
            place
            for place, category in enumerate(categories)
            if not self.is_penalised and is_reduced(term, category, terms)
        }
        all_but_one = not (scale is not None or reduced or self.is_penalised) and self._has_constant
        cells, reference = cells_of(columns, self._combined(categories), reduced, all_but_one=all_but_one)
        if not cells:
            self._leave_out(term, "has no combination of levels besides those of the reference levels")
            return

        def label(cell: tuple[int, ...]) -> str:
            return ":".join(column.labels[code] for column, code in zip(columns, cell, strict=True))

        self._add_levels(
            term,
            term_text(term),
            cells,
            tuple(map(label, cells)),
            None if reference is None else label(reference),
            1.0 if scale is None else scale,
        )

    def _combined(self, categories: Sequence[CategoryTerm]) -> Mapping[str, int]:
        """Return how often combinations of levels occur, as JSON lists."""
        names = [category.column for category in categories]
        if len(names) > 1:
            return self.learnt.levels[combined_name(names)].counts
        found = self.learnt.levels[names[0]]
        counts = {json.dumps([name]): count for name, count in found.counts.items()}
        return counts | ({json.dumps([None]): found.missing} if found.missing else {})

    def _add_levels(
        self,
        term: Term,
        name: str,
        cells: tuple[tuple[int, ...], ...],
        labels: tuple[str, ...],
        reference: str | None,
        scale: float = 1.0,
    ) -> None:
        self.columns.append(
            DesignColumn(
                term,
                name,
                levels=len(self.widths),
                labels=labels,
                reference=reference,
                scale=scale,
                deviation=scale,
                control=self._is_control(term),
                cells=cells,
            )
        )
        self.widths.append(len(cells))

    def note_folds(self) -> None:
        """Note that what is learnt of columns is learnt from the rows of all folds, and that no row is held out."""
        imputed = any(not isinstance(source.missing, str) for source in self.sources.values())
        what = [*(["imputed values"] if imputed else []), *(["levels and intervals"] if self.widths else [])]
        if self.job.solve.folds and what:
            self.notes.append(f"{' and '.join(what)} are learnt from the rows of all folds")
        if self.job.solve.holdout is not None and not self.learnt.rows.held_out:
            self.notes.append(f"--holdout {escape(self.job.solve.holdout)} holds out no row")

    def _is_control(self, term: Term) -> bool:
        return not set(self.job.model.controls).isdisjoint(term_columns(term))

    def _leave_out(self, term: Term, why: str) -> None:
        """Note a constant column, or refuse it."""
        text = f"{escape(term_text(term))} {why}"
        if self.job.model.strict:
            raise DataError(f"{text}: a constant column has no coefficient", "leave it out, or fit without --strict")
        self.notes.append(f"{text}: left out")

    def _levels_of(self, column: str) -> CodedLevels:
        """Return a column of levels; its reference level has the code -1 where its own term leaves it out."""
        if column not in self.levels:
            learnt = self.learnt.levels[column]
            rule = _LEVEL_RULES[rule_of(self.job, column)]
            if not learnt.counts and not (rule == "own" and learnt.missing):
                raise _empty_error(column)
            term = CategoryTerm(column)
            full = term not in terms_of(self.job) or self._is_full(term)
            self.levels[column] = coded(column, learnt, rule, full=full)
        return self.levels[column]

    def _note_pool(self, column: str) -> None:
        learnt = self.learnt.levels[column]
        if learnt.aliases:
            alias, level = next(iter(learnt.aliases.items()))
            note = f"{escape(column)}: spellings of one value are one level ({level} and {alias})"
            self.notes += [note] if note not in self.notes else []
        if count := len(learnt.pooled):
            text = f"{format_count(count)} rare level{' counts' if count == 1 else 's count'} as '{OTHER}'"
            note = f"{escape(column)}: {text}, {format_count(learnt.counts[OTHER])} rows"
            # Several products may have the column.
            self.notes += [note] if note not in self.notes else []

    def _note_separation(self, column: str) -> None:
        """Note levels whose rows lack a class: without a penalty their coefficients have no optimum."""
        if self.is_penalised:
            return
        found = self.learnt.levels[column].of_class
        lacking = sorted(name for name, weights in found.items() if min(weights) == 0)
        if lacking:
            shown = ", ".join(f"'{escape(name)}'" for name in lacking[:_NAMES_SHOWN])
            more = f" and {format_count(len(lacking) - _NAMES_SHOWN)} more" if len(lacking) > _NAMES_SHOWN else ""
            one, two = len(lacking) == 1, len(self.learnt.classes) == 2
            what = f"{'has' if one else 'have'} rows of only one class" if two else f"lack{'s' if one else ''} a class"
            so = "its coefficient has" if one else "their coefficients have"
            self.notes.append(
                f"{escape(column)}: level{'' if one else 's'} {shown}{more} {what}, so that {so} no optimum: merge "
                f"{'it' if one else 'them'} with others (--min-count), or add --l2"
            )

    def _bins_of(self, term: BinsTerm) -> LearntBins:
        bins = self.learnt.bins[term_text(term)]
        if not any(map(sum, bins.counts[:-1])) and rule_of(self.job, term.column) not in {"error", "drop"}:
            raise _empty_error(term.column)
        return bins

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


def _check_scaled(term: Term, found: LearntNumber, mean: float, deviation: float) -> None:
    """Raise :class:`DataError` for numbers whose squares are beyond the range of a float64, or below it."""
    wrong = ""
    if not (math.isfinite(deviation) and math.isfinite(mean)):
        wrong, remedy = "large", "write log1p(NAME), or limit it with clip(NAME, LOW, HIGH)"
    elif max(deviation, abs(mean)) < _LEAST_DEVIATION and found.smallest < found.largest:
        wrong, remedy = "small", "use a smaller unit: write scale(NAME, 0, 1e-300), or change the numbers in the files"
    if wrong:
        raise DataError(
            f"{escape(term_text(term))}: its values are too {wrong} to be scaled, up to {shortest(found.largest)}",
            remedy,
        ).at(column=term_columns(term)[0])


def _filled(term: NumberTerm, found: LearntNumber, missing: Missing) -> tuple[float, float]:
    """Return mean and deviation of a number, with missing values counting as another."""
    if isinstance(missing, str) or found.share >= 1:
        return found.mean, found.deviation
    filler = stepped(term.steps, missing)
    if not math.isfinite(filler):
        raise DataError(
            f"{escape(term_text(term))}: a missing value would count as {shortest(missing)}, for which this "
            "is not a finite number",
            f"choose another rule for missing values: --missing {escape(term.column)}=drop",
        ).at(column=term.column)
    share = found.share
    mean = share * found.mean + (1 - share) * filler
    variance = share * (found.deviation**2 + (found.mean - mean) ** 2) + (1 - share) * (filler - mean) ** 2
    return mean, math.sqrt(variance)
