"""A feature of a model at work: from an Arrow column to a term of the raw prediction, under the feature's policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Cause
from pipeline.kernels import Categorical, Numeric
from pipeline.models.columns import Levels, Mask, Rows, levels, numbers
from pipeline.models.file import CategoricalFeature, Feature, Impute, Level, NumericFeature
from pipeline.models.tally import RowTally

_REFUSED: dict[str, Cause] = {"missing": "missing refused", "unseen": "unseen refused"}
_SET_ASIDE: dict[str, Cause] = {"missing": "missing set aside", "unseen": "unseen set aside"}


@dataclass(frozen=True, eq=False)
class NumericColumn:
    """A batch of a numeric feature: what nulls do to rows is settled by policy, floating NaN not yet looked for."""

    feature: NumericFeature
    position: int
    array: pa.Array
    values: npt.NDArray[Any]
    null: Mask | None

    @classmethod
    def prepare(cls, feature: NumericFeature, position: int, array: pa.Array, tally: RowTally) -> NumericColumn:
        """Read a column, and settle its nulls and its inexact values."""
        cells = numbers(array)
        tally.add_bad(cells.inexact, position, feature.column, array, "inexact")
        column = cls(feature, position, array, cells.values, cells.null)
        if cells.null is not None:
            column._settle_missing(cells.null, tally)
        return column

    @property
    def term(self) -> Numeric:
        """The term of the raw prediction."""
        missing = self.feature.missing
        if self.null is None or not isinstance(missing, Impute):
            return Numeric(self.values, self.feature.weight)
        return Numeric(self.values, self.feature.weight, self.null, missing.impute)

    def settle(self, rows: Rows, tally: RowTally) -> Numeric:
        """Return the term of some rows alone, floating NaN settled by policy and infinities counted."""
        values = self.values[rows].astype(np.float64)
        is_value = np.ones(len(rows), dtype=np.bool_) if self.null is None else ~self.null[rows]
        tally.count(f"infinite {self.feature.column}", int(np.count_nonzero(np.isinf(values) & is_value)))
        missing = np.isnan(values) & is_value
        if missing.any():
            where = np.zeros(tally.rows, dtype=np.bool_)
            where[rows[missing]] = True
            self._settle_missing(where, tally)
        if isinstance(self.feature.missing, Impute):
            values[missing | ~is_value] = self.feature.missing.impute
        return Numeric(values, self.feature.weight)

    def _settle_missing(self, where: Mask, tally: RowTally) -> None:
        _settle(self.feature, "missing", where, self.position, self.array, tally)


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """A batch of a categorical feature, everything settled by policy.

    ``contributions`` has an entry for each level of the batch's dictionary, and a last one for missing values. ``null``
    tells where cells are null whatever their code, ``None`` where none is.
    """

    codes: npt.NDArray[Any]
    contributions: npt.NDArray[np.float64]
    null: Mask | None

    @classmethod
    def prepare(cls, feature: CategoricalFeature, position: int, array: pa.Array, tally: RowTally) -> CategoricalColumn:
        """Read a column, look its levels up, and settle missing and unseen ones."""
        cells = levels(array)
        found, is_missing = feature.recent_levels.find(feature.coefficients, cells.dictionary)
        is_unseen = np.isnan(found) & ~is_missing
        contributions = found.copy()
        contributions[is_missing] = _replacement(feature, feature.missing)
        contributions[is_unseen] = _replacement(feature, feature.unseen)
        missing = cells.null
        if is_missing[:-1].any():
            missing = _with_level(is_missing, cells)
            missing |= False if cells.null is None else cells.null
        if missing is not None:
            _settle(feature, "missing", missing, position, array, tally)
        if is_unseen.any():
            unseen = _with_level(is_unseen, cells)
            unseen &= True if cells.null is None else ~cells.null
            _settle(feature, "unseen", unseen, position, array, tally)
        return cls(cells.codes, contributions, cells.null)

    @property
    def term(self) -> Categorical:
        """The term of the raw prediction."""
        return Categorical(self.codes, self.contributions, self.null)

    def settle(self, rows: Rows, _: RowTally) -> Categorical:
        """Return the term of some rows alone."""
        return Categorical(self.codes[rows], self.contributions, None if self.null is None else self.null[rows])


def _with_level(flags: Mask, cells: Levels) -> Mask:
    """Return the rows whose level has a flag; arbitrary where a cell is null."""
    rows: Mask = np.take(flags, cells.codes, mode="clip")
    return rows


def _replacement(feature: CategoricalFeature, policy: str | Level) -> float:
    """Return what a value without a coefficient of its own adds; 0 too where the row has no score."""
    return feature.coefficients[policy.level] if isinstance(policy, Level) else 0.0


def _settle(feature: Feature, event: str, where: Mask, position: int, array: pa.Array, tally: RowTally) -> None:
    """Do with rows what the policy for missing or for unseen values says; replacing a value is left to the caller."""
    policy = feature.unseen if event == "unseen" and isinstance(feature, CategoricalFeature) else feature.missing
    count = int(np.count_nonzero(where))
    tally.count(f"{event} {feature.column}", count)
    if policy == "null" and count:
        tally.set_null(where)
    elif policy == "error":
        tally.add_bad(np.flatnonzero(where), position, feature.column, array, _REFUSED[event])
    elif policy == "quarantine":
        tally.add_quarantined(np.flatnonzero(where), position, feature.column, array, _SET_ASIDE[event])
