"""The rows of a batch, judged: which are fitted, which are held out, which are left out and why.

The first pass counts them, and later passes read the same cells. A row of a CSV that cannot be read is bad before it
comes here. The others are judged in this order: without a target or a weight; bad (a cell that no fit can use); dropped
(a value is missing where that drops the row); held out; used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.choices import Cause
from pipeline.dataclass import dataclass
from pipeline.fitting.asking.terms import NumberTerm
from pipeline.fitting.first_pass.counting import SeenLevels
from pipeline.fitting.first_pass.dividing import WRONG, Divider, is_missing
from pipeline.fitting.tiles.layout import Codes, Floats
from pipeline.kernels import tile_steps
from pipeline.kernels.steps import TileStep
from pipeline.models.columns import Mask, Rows, levels, numbers
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.scan import Batch
from pipeline.types.blocks import Values

# What becomes of a row whose value is missing: it is bad, it is dropped, or the value counts as another.
WithoutValue = Literal["error", "drop", "fill"]
# Causes that end a fit, however many bad rows are allowed.
REFUSED: tuple[Cause, ...] = ("target missing", "weight missing", "weight refused", "group missing")


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column of a batch: its position, its name, and what becomes of a row where it is missing."""

    position: int
    name: str
    missing: WithoutValue = "fill"


@dataclass(frozen=True, slots=True)
class RowRules:
    """Which columns of a batch a fit reads, and which rows it can use. Plain values, which travel to workers.

    Attributes
    ----------
    target : SourceColumn
    numbers : tuple of SourceColumn
        Columns that are read as numbers.
    terms : tuple of NumberTerm
        What is made of them: each must be finite where the value is not missing.
    levels : tuple of SourceColumn
        Columns that are read as levels.
    flags : tuple of SourceColumn
        Columns of which only is asked where they are missing.
    weight, offset : SourceColumn or None
    drop_missing_target : bool
        Whether rows without a target or a weight are left out.
    divider : Divider or None
        Which rows are held out, and in which folds the others are.
    groups : SourceColumn or None
        The groups within which errors may depend on each other; each row that is fitted must have one.
    nulls : tuple of str
        Spellings of null in text of a CSV that is kept as it is.
    """

    target: SourceColumn
    numbers: tuple[SourceColumn, ...] = ()
    terms: tuple[NumberTerm, ...] = ()
    levels: tuple[SourceColumn, ...] = ()
    flags: tuple[SourceColumn, ...] = ()
    weight: SourceColumn | None = None
    offset: SourceColumn | None = None
    drop_missing_target: bool = False
    divider: Divider | None = None
    groups: SourceColumn | None = None
    nulls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRows:
    """The rows of a batch.

    Attributes
    ----------
    used, held : ndarray of bool, shape (rows,)
        Those that are fitted, and those that are held out.
    dropped, without_target : int
    classes : ndarray of intp, shape (rows,)
        The number of the value of the target.
    numbers : dict of str to ndarray of float64
        Columns of numbers, NaN where a value is missing.
    terms : tuple of ndarray of float64
        What is made of them, one for each term of the rules; NaN where a value is missing.
    levels : dict of str to ndarray of intp
        Numbers of levels, -1 where missing.
    flags : tuple of ndarray of float64
        1 where a column is missing, else 0; one for each of those of the rules.
    weights : ndarray of float64 or None
    folds : ndarray of int8 or None
    """

    used: Mask
    held: Mask
    dropped: int
    without_target: int
    classes: Codes
    numbers: Mapping[str, Floats]
    terms: tuple[Floats, ...]
    levels: Mapping[str, Codes]
    flags: tuple[Floats, ...] = ()
    weights: Floats | None = None
    folds: npt.NDArray[np.int8] | None = None


@dataclass(eq=False)
class RowReader:
    """Reads the batches of one chunk. For one thread.

    Attributes
    ----------
    rules : RowRules
    target : SeenLevels
        The values of the target.
    levels : dict of str to SeenLevels
        The levels of each column.
    steps : tuple of tuple of TileStep
        What makes the terms of the rules.
    """

    rules: RowRules
    target: SeenLevels
    levels: Mapping[str, SeenLevels]
    steps: tuple[tuple[TileStep, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = tuple(tile_steps(term.steps, "fast") for term in self.rules.terms)

    def read(self, batch: Batch, path: str) -> JudgedRows:
        """Return the rows of a batch, after the bad ones were booked; ``path`` is the file."""
        with np.errstate(all="ignore"):
            judge = _RowJudge(self, batch)
            return judge.judged(path)


class _RowJudge:
    """One batch while it is judged."""

    def __init__(self, reader: RowReader, batch: Batch) -> None:
        self.reader, self.rules, self.batch = reader, reader.rules, batch
        self.rows: int = batch.data.num_rows
        self.tally = RowTally(self.rows)
        self.without: Mask = np.zeros(self.rows, dtype=np.bool_)
        self.dropped: Mask = np.zeros(self.rows, dtype=np.bool_)

    def judged(self, path: str) -> JudgedRows:
        rules = self.rules
        classes = self._classes()
        weights = None if rules.weight is None else self._weights(rules.weight)
        raw = {source.name: self._number(source) for source in rules.numbers}
        terms = tuple(
            self._term(term, raw[term.column], steps)
            for term, steps in zip(rules.terms, self.reader.steps, strict=True)
        )
        found = {source.name: self._level(source) for source in rules.levels}
        if rules.offset is not None:
            self._judge_offset(rules.offset)
        folds = None if rules.divider is None else self._folds(rules.divider, path)
        if rules.groups is not None:
            self._judge_groups(rules.groups, folds)
        rejected = self.tally.rejected
        self.batch.settle(Values((), rejected=self.tally.cells(rejected)))
        usable = ~self.without
        usable[rejected] = False
        dropped = int(np.count_nonzero(self.dropped & usable))
        usable &= ~self.dropped
        held = np.zeros(self.rows, dtype=np.bool_) if folds is None else usable & (folds < 0)
        return JudgedRows(
            used=usable & ~held,
            held=held,
            dropped=dropped,
            without_target=int(np.count_nonzero(self.without)),
            classes=classes,
            numbers=raw,
            terms=terms,
            levels=found,
            flags=tuple(self._flags(source, raw, found) for source in rules.flags),
            weights=weights,
            folds=folds,
        )

    def _folds(self, divider: Divider, path: str) -> npt.NDArray[np.int8]:
        folds = divider.of_batch(self.batch, path)
        if divider.comparison is not None and divider.compared is not None and (wrong := folds == WRONG).any():
            column = SourceColumn(divider.compared, divider.comparison.column)
            self._bad(wrong, self._column(column), "no comparison")
        return folds

    def _column(self, source: SourceColumn) -> BatchColumn:
        return BatchColumn(source.position, source.name, self.batch.data.column(source.position))

    def _bad(self, where: Mask, column: BatchColumn, cause: Cause) -> None:
        """Refuse rows, unless they have no target."""
        self.tally.add_bad(np.flatnonzero(where & ~self.without), column, cause)

    def _leave_out(self, where: Mask, column: BatchColumn, cause: Cause) -> None:
        """Count rows as such without a target, or end the fit with the first of them."""
        if self.rules.drop_missing_target:
            self.without |= where
        else:
            self._refuse(where, column, cause)

    def _refuse(self, where: Mask, column: BatchColumn, cause: Cause) -> None:
        """End the fit with the first of some rows; they do not count as bad ones."""
        self.tally.add_quarantined(np.flatnonzero(where & ~self.without), column, cause)

    def _classes(self) -> Codes:
        column = self._column(self.rules.target)
        codes = self.reader.target.codes(levels(column.array))
        missing = codes < 0
        if missing.any():
            self._leave_out(missing, column, "target missing")
        return codes

    def _weights(self, source: SourceColumn) -> Floats:
        column = self._column(source)
        values, missing = self._floats(column)
        if missing is not None:
            self._leave_out(missing, column, "weight missing")
        self._refuse((values < 0) | np.isinf(values), column, "weight refused")
        return values

    def _judge_offset(self, source: SourceColumn) -> None:
        column = self._column(source)
        values, missing = self._floats(column)
        if missing is not None:
            self._bad(missing, column, "offset missing")
        self._bad(np.isinf(values), column, "offset infinite")

    def _judge_groups(self, source: SourceColumn, folds: npt.NDArray[np.int8] | None) -> None:
        """End the fit with the first row that is fitted and has no group."""
        column = self._column(source)
        without = is_missing(column.array, self.rules.nulls) & ~self.dropped
        self._refuse(without if folds is None else without & (folds >= 0), column, "group missing")

    def _number(self, source: SourceColumn) -> Floats:
        column = self._column(source)
        values, missing = self._floats(column)
        if missing is not None:
            self._missing(missing, source, column)
        return values

    def _floats(self, column: BatchColumn) -> tuple[Floats, Mask | None]:
        """Return the numbers of a column with NaN where they are missing, and where that is."""
        cells = numbers(column.array)
        if cells.inexact.size:
            self._bad(_at(cells.inexact, self.rows), column, "inexact")
        values: Floats = cells.values.astype(np.float64, copy=cells.null is not None)
        if cells.null is not None:
            values[cells.null] = np.nan
        if cells.null is None and (cells.values.dtype.kind != "f" or np.isfinite(values.sum())):
            return values, None
        missing = np.isnan(values)
        return values, missing if missing.any() else None

    def _term(self, term: NumberTerm, raw: Floats, steps: tuple[TileStep, ...]) -> Floats:
        """Return what the steps make of numbers, after those were refused of which they make nothing finite."""
        values = raw
        if steps:
            values = raw.copy()
            for step in steps:
                step(values)
        if not np.isfinite(values.sum()):
            wrong = ~np.isfinite(values) & ~np.isnan(raw)
            if wrong.any():
                source = next(each for each in self.rules.numbers if each.name == term.column)
                infinite = np.isinf(raw)
                self._bad(wrong & infinite, self._column(source), "infinite")
                self._bad(wrong & ~infinite, self._column(source), "outside steps")
        return values

    def _level(self, source: SourceColumn) -> Codes:
        column = self._column(source)
        codes = self.reader.levels[source.name].codes(levels(column.array))
        missing = codes < 0
        if missing.any():
            self._missing(missing, source, column)
        return codes

    def _flags(self, source: SourceColumn, raw: Mapping[str, Floats], found: Mapping[str, Codes]) -> Floats:
        if source.name in raw:
            missing: Mask = np.isnan(raw[source.name])
        elif source.name in found:
            missing = found[source.name] < 0
        else:
            missing = is_missing(self._column(source).array)
        return missing.astype(np.float64)

    def _missing(self, where: Mask, source: SourceColumn, column: BatchColumn) -> None:
        if source.missing == "error":
            self._bad(where, column, "missing in fit")
        elif source.missing == "drop":
            self.dropped |= where


def _at(rows: Rows, of: int) -> Mask:
    where = np.zeros(of, dtype=np.bool_)
    where[rows] = True
    return where
