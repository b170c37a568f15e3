"""The sequences of a batch: which rows have a score, how long they are, and the inputs of their steps."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.choices import Cause
from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask, Rows
from pipeline.models.lists import Sequences, StepBlock
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.policies import Impute, settle
from pipeline.models.network.recurrence import Counts, Tile, tiles_of
from pipeline.models.network.sequences import SequenceInput
from pipeline.models.tally import BatchColumn, RowTally

# The bytes of a row of a batch: its place and its length; of each sequence where it begins, and what is odd in it.
ROW_BYTES, SEQUENCE_ROW_BYTES = 16, 48

# So many numbers of a row that is not computed are looked at together, or one step: no more than of one that is.
_LOOKED_AT = 64


@dataclass(slots=True, eq=False)
class _Sequence:
    """A sequence feature in a batch, and the rows in which something was found while steps were made."""

    feature: SequenceInput
    column: BatchColumn
    cells: Sequences
    gaps: Mask
    wrong: Mask
    inexact: Mask
    infinite: Mask

    @classmethod
    def read(cls, feature: SequenceInput, batch: BatchColumns) -> _Sequence:
        column = batch.use(feature.column)
        flags = (np.zeros(batch.tally.rows, dtype=np.bool_) for _ in range(4))
        return cls(feature, column, Sequences.read(column.array, feature.width), *flags)

    def note(self, rows: Rows, found: StepBlock) -> None:
        """Note what is odd in some steps of some rows."""
        gaps = None if found.missing is None else found.missing.any(axis=(1, 2))
        for flags, odd in (
            (self.gaps, gaps),
            (self.wrong, found.wrong),
            (self.inexact, found.inexact),
            (self.infinite, found.infinite),
        ):
            if odd is not None:
                flags[rows[odd]] = True

    def look(self, rows: Rows) -> None:
        """Note what is odd in all steps of some rows, whose inputs are not made."""
        counts, at_once = self.cells.counts, max(1, _LOOKED_AT // self.feature.width)
        for tile in tiles_of(rows):
            for first in range(0, int(counts[tile].max()), at_once):
                here = tile[counts[tile] > first]
                self.note(here, self.cells.block(here, first, at_once))

    def inputs(self, found: StepBlock) -> npt.NDArray[Any]:
        """Return the inputs that some steps are: computed in float64, where anything is computed."""
        feature, values = self.feature, found.values
        if found.missing is not None and isinstance(feature.missing_step, Impute):
            values = np.where(found.missing, np.float64(feature.missing_step.impute), values)
        for number, function, neutral in ((feature.center, np.subtract, 0.0), (feature.scale, np.divide, 1.0)):
            if number != neutral:
                values = function(values, np.asarray(number), dtype=np.float64)
        return values

    def settle(self, tally: RowTally) -> None:
        """Apply the policy for missing values in steps, and reject the rows that have no scores."""
        policy, column = self.feature.missing_step, self.column
        tally.count_of("gaps", column, int(np.count_nonzero(self.gaps)))
        tally.count_of("infinite", column, int(np.count_nonzero(self.infinite)))
        tally.add_bad(np.flatnonzero(self.wrong), column, "partial step")
        tally.add_bad(np.flatnonzero(self.inexact), column, "inexact step")
        if policy == "null" and self.gaps.any():
            tally.set_null(self.gaps)
        elif policy == "error":
            tally.add_bad(np.flatnonzero(self.gaps), column, "missing step refused")
        elif policy == "quarantine":
            tally.add_quarantined(np.flatnonzero(self.gaps), column, "missing step set aside")


@dataclass(slots=True, eq=False)
class PreparedSteps:
    """The sequences of a batch; a source of steps.

    Attributes
    ----------
    rows : ndarray of intp
        The rows that are computed, ascending; the others have no score.
    lengths : ndarray of int64, shape (all rows,)
        The steps of each row that is computed.
    """

    rows: Rows
    lengths: Counts
    _sequences: list[_Sequence] = field(default_factory=list)
    _unscored: Rows = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    @classmethod
    def read(cls, features: tuple[SequenceInput, ...], most: int | None, batch: BatchColumns) -> PreparedSteps:
        """Return the sequences of a batch, with the policies for missing ones applied.

        ``most`` is the most steps that a row may have.
        """
        sequences = [_Sequence.read(feature, batch) for feature in features]
        live = np.ones(batch.tally.rows, dtype=np.bool_)
        for each in sequences:
            live &= _judged(each, most, batch.tally)
        lengths = sequences[0].cells.counts
        for each in sequences[1:]:
            differs = live & (each.cells.counts != lengths)
            batch.tally.add_bad(np.flatnonzero(differs), each.column, "steps differ")
            live &= ~differs
        unscored = ~live
        unscored[batch.tally.bad] = False
        return cls(np.flatnonzero(live), lengths, sequences, np.flatnonzero(unscored))

    def fill(self, block: Tile, rows: Rows, first: int) -> None:
        """Write the inputs of some steps of some rows; see :class:`pipeline.models.network.recurrence.StepSource`."""
        place, count = 0, len(rows)
        for each in self._sequences:
            found = each.cells.block(rows, first, len(block))
            each.note(rows, found)
            width = each.feature.width
            block[:, place : place + width, :count] = each.inputs(found).transpose(1, 2, 0)
            place += width
        block[:, :, count:] = 0

    def settle(self, tally: RowTally) -> None:
        """Apply the policies for what is in the steps; after all of them have been made."""
        for each in self._sequences:
            # A row without a score is bad nevertheless where another of its lists is.
            each.look(self._unscored)
            each.settle(tally)


def _judged(sequence: _Sequence, most: int | None, tally: RowTally) -> Mask:
    """Return the rows whose sequence has a score, by its length alone; tell the tally of the others."""
    cells, column, policy = sequence.cells, sequence.column, sequence.feature.missing
    empty = cells.whole & (cells.counts == 0)
    if policy == "empty":
        tally.count_lack("missing", column, int(np.count_nonzero(empty)))
    else:
        settle("missing", policy, empty, column, tally)
    fits = cells.whole if policy == "empty" else cells.whole & ~empty
    _refuse(~cells.whole, "partial step", column, tally)
    if most is not None:
        _refuse(cells.counts > most, "too many steps", column, tally)
        fits = fits & (cells.counts <= most)
    return fits


def _refuse(where: Mask, cause: Cause, column: BatchColumn, tally: RowTally) -> None:
    tally.add_bad(np.flatnonzero(where), column, cause)
