"""Indicators: a coefficient that is added where a column is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels import Numeric
from pipeline.models.columns import Mask, Rows, levels, numbers, unfit
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import ColumnFeature, Entry, FeatureKind, Use, member_paths
from pipeline.models.logistic.numbers import with_nan
from pipeline.models.logistic.sections import Number, for_kernel
from pipeline.models.tally import BatchColumn, RowTally

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression


class IndicatorFeature(ColumnFeature):
    """Adds its coefficient where its column is null or NaN, whatever the column is."""

    kind: Literal["indicator"]
    coefficient: Number

    @property
    def usual_name(self) -> str:
        """The name of the column, with what the indicator says of it."""
        return f"missing_{self.column}"


@dataclass(frozen=True, eq=False)
class PreparedIndicator:
    """A batch of a feature of this kind; see :class:`~pipeline.models.logistic.feature.PreparedFeature`."""

    feature: IndicatorFeature
    flags: npt.NDArray[np.bool_]

    @property
    def term(self) -> Numeric:
        """The term of the raw prediction."""
        return Numeric(self.flags, for_kernel(self.feature.coefficient))

    def settle(self, rows: Rows, _: RowTally) -> Numeric:
        """Return the term of only these rows, with all policies applied."""
        return Numeric(self.flags[rows], for_kernel(self.feature.coefficient))


def _prepare(feature: IndicatorFeature, batch: BatchColumns) -> PreparedIndicator:
    return PreparedIndicator(feature, missing_flags(feature.column, batch))


def missing_flags(name: str, batch: BatchColumns) -> Mask:
    """Return where a column of a batch is null or NaN, whatever it is read as."""
    column = batch.use(name)
    missing = _missing(column)
    if missing is None:
        missing = np.zeros(batch.tally.rows, dtype=np.bool_)
    batch.tally.count_lack("missing", column, int(np.count_nonzero(missing)))
    return missing


def _missing(column: BatchColumn) -> Mask | None:
    if unfit("numeric", column.array.type) is None:
        return with_nan(numbers(column.array))
    if unfit("categorical", column.array.type) is not None:
        is_null: Mask = column.array.is_null().to_numpy(zero_copy_only=False)
        return is_null
    cells = levels(column.array)
    flags = np.array([name is None for name in [*cells.names, None]])
    if not flags[:-1].any():
        return cells.null
    missing = flags.take(cells.codes, mode="clip")
    if cells.null is not None:
        missing |= cells.null
    return missing


def _describe(feature: IndicatorFeature) -> tuple[str, Iterator[Entry]]:
    return feature.kind, iter([Entry(feature.coefficient, "missing")])


def _expression(feature: IndicatorFeature) -> Expression:
    from pipeline.models.logistic.expression import IsMissing, weighted  # noqa: PLC0415 - only exports need it

    return weighted(feature.coefficient, IsMissing(feature.column))


INDICATOR = FeatureKind(
    schema=IndicatorFeature,
    uses=lambda feature: (Use(feature.column, "categorical", any_role=True),),
    policies={},
    is_bounded=True,
    prepare=_prepare,
    describe=_describe,
    expression=_expression,
    coefficients=member_paths("coefficient"),
    scratch_row_bytes=8,
)
