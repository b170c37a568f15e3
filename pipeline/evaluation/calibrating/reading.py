"""The rows of a batch as a calibration takes them: raw predictions, classes, and which of them are held out.

A row counts once, as the first of these: bad, or set aside by the model; without a target; dropped, because it has no
raw prediction or none that is finite; held out; used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import cast

import numpy as np
import numpy.typing as npt

from pipeline.choices import MissingTarget
from pipeline.dataclass import dataclass
from pipeline.evaluation.tiles import Codes, Floats
from pipeline.fitting.first_pass.dividing import HELD_OUT, WRONG, Divider
from pipeline.models import ScoreBlock
from pipeline.models.blocks import of_file
from pipeline.models.columns import Mask, numbers
from pipeline.models.logistic.making import class_spellings
from pipeline.models.network.score import NetworkBlock
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.models.target_classes import TargetClasses
from pipeline.scan import Batch
from pipeline.types.blocks import Values
from pipeline.types.inputs import InputFile, Need

RawBlock = ScoreBlock | NetworkBlock


@dataclass(frozen=True, slots=True, eq=False)
class RawRows:
    """The rows of a batch that have a raw prediction and a class.

    Attributes
    ----------
    raw : ndarray of float64, shape (outputs, rows)
    codes : ndarray of intp, shape (rows,)
        The number of the class of each row; 1 is the positive one of two.
    held : ndarray of bool, shape (rows,)
        Those that are held out.
    dropped, not_finite, without_target : int
        How many other rows there are of each kind; those whose raw prediction is not finite are dropped, too.
    """

    raw: Floats
    codes: Codes
    held: Mask
    dropped: int
    not_finite: int
    without_target: int


@dataclass(frozen=True, eq=False)
class RawReader:
    """Reads the batches of a scan. May be used from several threads at once.

    Attributes
    ----------
    block : ScoreBlock or NetworkBlock
        What makes the raw predictions, and nothing else.
    target : str
        The column behind those of the block.
    missing_target : {"error", "drop"}
    divider : Divider or None
        Which rows are held out.
    """

    block: RawBlock
    target: str
    missing_target: MissingTarget
    divider: Divider | None = None
    _classes: TargetClasses = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_classes", TargetClasses(class_spellings(self.block.model), self.block.decimal))

    def read(self, batch: Batch, file: InputFile, needs: Sequence[Need]) -> RawRows:
        """Return the rows of a batch, after what became of the others was booked."""
        with np.errstate(all="ignore"):
            return self._judged(batch, file, needs)

    def _judged(self, batch: Batch, file: InputFile, needs: Sequence[Need]) -> RawRows:
        tally, count = RowTally(batch.data.num_rows), len(self.block.columns())
        block = cast("RawBlock", of_file(self.block, file, needs[:count]))
        arrays, _ = block.scores(batch.data.columns[:count], tally)
        raw = np.stack([np.asarray(numbers(array).values, dtype=np.float64) for array in arrays])
        column = BatchColumn(count, self.target, batch.data.column(count))
        codes, missing = self._classes.judged(column, tally, self.missing_target, is_csv=file.format == "csv")
        folds = self._folds(batch, file.path, tally)
        null = tally.null
        cells = tally.cells(tally.rejected)
        batch.settle(Values((), tally.null_count, events=tally.events, rejected=cells, features=tally.features))
        known = ~missing
        known[tally.rejected] = False
        scored = known if null is None else known & ~null
        used = scored & np.isfinite(raw).all(axis=0)
        rejected = len(tally.rejected)
        return RawRows(
            raw=np.ascontiguousarray(raw[:, used]),
            codes=codes[used],
            held=folds[used] == HELD_OUT,
            dropped=_count(known) - _count(used),
            not_finite=_count(scored) - _count(used),
            without_target=tally.rows - rejected - _count(known),
        )

    def _folds(self, batch: Batch, path: str, tally: RowTally) -> npt.NDArray[np.int8]:
        divider = self.divider
        if divider is None:
            return np.zeros(tally.rows, dtype=np.int8)
        folds = divider.of_batch(batch, path)
        if divider.comparison is not None and divider.compared is not None:
            column = BatchColumn(divider.compared, divider.comparison.column, batch.data.column(divider.compared))
            tally.add_bad(np.flatnonzero(folds == WRONG), column, "no comparison")
        return folds


def _count(where: Mask) -> int:
    return int(np.count_nonzero(where))
