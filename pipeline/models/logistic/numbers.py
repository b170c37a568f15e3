"""A column of numbers in a feature: its policy for missing values, and what is done to it before the coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.kernels import Factor
from pipeline.kernels.steps import TileStep
from pipeline.models.columns import Mask, Numbers, Rows, numbers
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.policies import Impute, settle
from pipeline.models.logistic.sections import Section
from pipeline.models.tally import BatchColumn, RowTally

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NumberCells:
    """The cells of a batch in a column of numbers: the policy was applied to nulls, NaN were not looked for yet.

    Attributes
    ----------
    column : BatchColumn
    missing : str or Section
        The policy.
    values : ndarray, shape (rows,)
    null : ndarray of bool or None
    """

    column: BatchColumn
    missing: str | Section
    values: npt.NDArray[Any]
    null: Mask | None

    @classmethod
    def read(cls, name: str, missing: str | Section, batch: BatchColumns, *, boolean: bool = False) -> NumberCells:
        """Read a column, apply the policy to its nulls, and reject its inexact values."""
        column, tally = batch.use(name), batch.tally
        cells = numbers(column.array)
        tally.add_bad(cells.inexact, column, "inexact")
        if boolean and not is_boolean(column.array.type):
            tally.add_bad(_not_boolean(cells), column, "number for a boolean")
        if cells.null is not None:
            settle("missing", missing, cells.null, column, tally)
        return cls(column, missing, cells.values, cells.null)

    @property
    def filler(self) -> float:
        """The number that a missing value counts as; 0 if the row has no score."""
        return self.missing.impute if isinstance(self.missing, Impute) else 0.0

    @property
    def filled(self) -> Mask | None:
        """Where nulls count as a number."""
        return self.null if isinstance(self.missing, Impute) else None

    def factor(self, steps: tuple[TileStep, ...] = ()) -> Factor:
        """Return the cells as a factor of a product."""
        return Factor(self.values, steps, self.filled, self.filler)

    def settled(self, rows: Rows, tally: RowTally) -> Floats:
        """Return the values of only these rows; apply the policy to floating NaN, and count infinities."""
        values = self.values[rows].astype(np.float64)
        is_value = np.ones(len(rows), dtype=np.bool_) if self.null is None else ~self.null[rows]
        tally.count_of("infinite", self.column, int(np.count_nonzero(np.isinf(values) & is_value)))
        missing = np.isnan(values) & is_value
        if missing.any():
            settle("missing", self.missing, _at(rows[missing], tally.rows), self.column, tally)
        if isinstance(self.missing, Impute):
            values[missing | ~is_value] = self.missing.impute
        return values

    def transformed(self, rows: Rows, steps: Sequence[TileStep], tally: RowTally) -> Floats:
        """Return what the steps make of these rows; a finite value of which they make none is a bad cell."""
        values = self.settled(rows, tally)
        if self.null is not None and self.filled is None:
            # What is under a null means nothing.
            values[self.null[rows]] = np.nan
        is_finite = np.isfinite(values)
        with np.errstate(all="ignore"):
            for step in steps:
                step(values)
        tally.add_bad(rows[is_finite & ~np.isfinite(values)], self.column, "outside domain")
        return values


def with_nan(cells: Numbers) -> Mask | None:
    """Return where cells are missing: null or NaN; ``None`` if none is."""
    if cells.values.dtype.kind != "f":
        return cells.null
    nan = np.isnan(cells.values)
    if cells.null is not None:
        nan |= cells.null
    return nan if nan.any() else None


def is_boolean(type_: pa.DataType) -> bool:
    """Return whether a type is boolean, or a dictionary of booleans."""
    return bool(pa.types.is_boolean(type_.value_type if pa.types.is_dictionary(type_) else type_))


def _at(rows: Rows, of: int) -> Mask:
    where = np.zeros(of, dtype=np.bool_)
    where[rows] = True
    return where


def _not_boolean(cells: Numbers) -> Rows:
    """Return the rows with a number other than 1 and 0; NaN is missing, and an inexact number is bad already."""
    wrong = (cells.values != 0) & (cells.values != 1) & ~np.isnan(cells.values)
    if cells.null is not None:
        wrong &= ~cells.null
    wrong[cells.inexact] = False
    return np.flatnonzero(wrong)
