"""A column of levels in a feature: which of them each cell is, with the policies for missing and unseen ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.models.columns import Levels, Mask, RecentLevels, Rows, levels, spellings
from pipeline.models.levels import LevelTable, LevelType, spelled_type
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.policies import Level, settle
from pipeline.models.logistic.sections import Section


@dataclass(frozen=True, eq=False)
class LevelCells:
    """The cells of a batch in a column of levels, with all policies applied.

    Attributes
    ----------
    codes : ndarray of integers, shape (rows,)
        Positions in the dictionary of the batch; arbitrary where a cell is null.
    positions : ndarray of intp, shape (dictionary + 1,)
        Of the levels of the dictionary among those of the model, and last that of missing values. One more than the
        last level means no level: it adds nothing, or its row has no score.
    null : ndarray of bool or None
        Where cells are null; ``None`` if there are no nulls.
    """

    codes: npt.NDArray[Any]
    positions: Rows
    null: Mask | None

    def of_rows(self) -> Rows:
        """Return the position of each row's level among those of the model."""
        found = self.positions.take(self.codes, mode="clip")
        if self.null is not None:
            found[self.null] = self.positions[-1]
        return found


@dataclass(frozen=True, eq=False)
class LevelLookup:
    """The levels of a feature and its policies. May be used from several threads at once.

    Attributes
    ----------
    column : str
    positions : mapping of str to int
        The levels of the model, from 0 in their order.
    levels : str or None
        The type of the levels, if the file states it.
    missing, unseen : str or Section
        The policies.
    """

    column: str
    positions: Mapping[str, int]
    levels: LevelType | None
    missing: str | Section
    unseen: str | Section

    @cached_property
    def type(self) -> LevelType:
        """The type by which a cell is read that no level is spelled like."""
        return self.levels or spelled_type(self.positions.keys() - set(self._named))

    @cached_property
    def _recent(self) -> RecentLevels:
        return RecentLevels()

    @cached_property
    def _tables(self) -> dict[str, LevelTable]:
        return {}

    @property
    def _named(self) -> list[str]:
        return [policy.level for policy in (self.missing, self.unseen) if isinstance(policy, Level)]

    def table(self, decimal: str = ".") -> LevelTable:
        """Return the levels by spelling and by value, for text with a decimal sign; the same object each time."""
        found = self._tables.get(decimal)
        if found is None:
            made = LevelTable(self.positions, self.type, self._named, decimal)
            found = self._tables.setdefault(decimal, made)
        return found

    def read(self, batch: BatchColumns) -> LevelCells:
        """Read the column, look up its levels, and apply the policies to missing and unseen ones."""
        column, tally = batch.use(self.column), batch.tally
        # Features may know other levels of the column: in every batch the same one says what is unseen.
        tally.claim(column, "unseen", "read as level")
        cells = levels(column.array)
        found = self._recent.find(self.table(column.decimal), cells.dictionary)
        is_missing = found.is_missing
        is_unseen = (found.positions < 0) & ~is_missing
        positions = found.positions.copy()
        positions[is_missing] = self._stand_in(self.missing)
        positions[is_unseen] = self._stand_in(self.unseen)
        missing = cells.null
        if is_missing[:-1].any():
            missing = _with_level(is_missing, cells)
            missing |= False if cells.null is None else cells.null
        if missing is not None:
            settle("missing", self.missing, missing, column, tally)
        if is_unseen.any():
            unseen = _valid(_with_level(is_unseen, cells), cells)
            settle("unseen", self.unseen, unseen, column, tally)
            tally.spell(column, partial(spellings, cells, is_unseen, unseen))
        if found.is_read is not None:
            read = _valid(_with_level(found.is_read, cells), cells)
            tally.count_of("read as level", column, int(np.count_nonzero(read)))
        return LevelCells(cells.codes, positions, cells.null)

    def _stand_in(self, policy: str | Section) -> int:
        """Return the position of the level that a value counts as; one more than the last where it counts as none."""
        return self.positions[policy.level] if isinstance(policy, Level) else len(self.positions)


def _with_level(flags: Mask, cells: Levels) -> Mask:
    """Return which rows have a level with the flag; arbitrary where a cell is null."""
    rows: Mask = np.take(flags, cells.codes, mode="clip")
    return rows


def _valid(rows: Mask, cells: Levels) -> Mask:
    rows &= True if cells.null is None else ~cells.null
    return rows
