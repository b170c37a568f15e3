"""Numeric features: a column that adds its value, centred and scaled, times a coefficient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from pipeline.kernels import Numeric
from pipeline.models.columns import Mask, Numbers, Rows, numbers
from pipeline.models.logistic.feature import Coefficient, Feature, FeatureKind
from pipeline.models.logistic.policies import MISSING_NUMBER, Impute, MissingNumber, policy_text, settle, shown_policy
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.report import Shown
from pipeline.units import escape

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression


def _not_zero(scale: float) -> float:
    if scale == 0:
        raise PydanticCustomError("zero_scale", "must not be 0: values are divided by it")
    return scale


Scale = Annotated[float, AfterValidator(_not_zero)]


class NumericFeature(Feature):
    """A column that adds ``coefficient * (value - center) / scale`` to the raw prediction.

    A ``boolean`` one is true or false, which count as 1 and 0; another number is a bad cell.
    """

    kind: Literal["numeric"]
    coefficient: float
    center: float = 0.0
    scale: Scale = 1.0
    boolean: bool = False
    missing: MissingNumber = "null"

    @model_serializer(mode="wrap")
    def _without_unstated_type(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A model without booleans keeps the digest that it had before there were any.
        return {key: value for key, value in handler(self).items() if key != "boolean" or value}

    @model_validator(mode="after")
    def _weight_is_finite(self) -> NumericFeature:
        if not math.isfinite(self.weight):
            message = "coefficient / scale is beyond float64"
            raise PydanticCustomError("weight", "{message}", {"message": message, "at": ["coefficient"]})
        return self

    @property
    def weight(self) -> float:
        """``coefficient / scale``, rounded once."""
        return self.coefficient / self.scale

    @property
    def offsets(self) -> tuple[float, ...]:
        """``-coefficient * center / scale``, from left to right: the product is rounded, then the quotient."""
        return (-self.coefficient * self.center / self.scale,)


@dataclass(frozen=True, eq=False)
class NumericColumn:
    """A batch of a numeric feature: the policy was applied to nulls, floating NaN were not looked for yet."""

    feature: NumericFeature
    column: BatchColumn
    values: npt.NDArray[Any]
    null: Mask | None

    @classmethod
    def prepare(cls, feature: NumericFeature, column: BatchColumn, tally: RowTally) -> NumericColumn:
        """Read a column, apply the policy to its nulls, and reject its inexact values."""
        cells = numbers(column.array)
        tally.add_bad(cells.inexact, column, "inexact")
        if feature.boolean and not _is_boolean(column.array.type):
            tally.add_bad(_not_boolean(cells), column, "number for a boolean")
        if cells.null is not None:
            settle("missing", feature.missing, cells.null, column, tally)
        return cls(feature, column, cells.values, cells.null)

    @property
    def term(self) -> Numeric:
        """The term of the raw prediction."""
        missing = self.feature.missing
        if self.null is None or not isinstance(missing, Impute):
            return Numeric(self.values, self.feature.weight)
        return Numeric(self.values, self.feature.weight, self.null, missing.impute)

    def settle(self, rows: Rows, tally: RowTally) -> Numeric:
        """Return the term of only these rows; apply the policy to floating NaN, and count infinities."""
        values = self.values[rows].astype(np.float64)
        is_value = np.ones(len(rows), dtype=np.bool_) if self.null is None else ~self.null[rows]
        tally.count(f"infinite {self.feature.column}", int(np.count_nonzero(np.isinf(values) & is_value)))
        missing = np.isnan(values) & is_value
        if missing.any():
            where = np.zeros(tally.rows, dtype=np.bool_)
            where[rows[missing]] = True
            settle("missing", self.feature.missing, where, self.column, tally)
        if isinstance(self.feature.missing, Impute):
            values[missing | ~is_value] = self.feature.missing.impute
        return Numeric(values, self.feature.weight)


def _is_boolean(type_: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(type_.value_type if pa.types.is_dictionary(type_) else type_))


def _not_boolean(cells: Numbers) -> Rows:
    """Return the rows with a number other than 1 and 0; NaN is missing, and an inexact number is bad already."""
    wrong = (cells.values != 0) & (cells.values != 1) & ~np.isnan(cells.values)
    if cells.null is not None:
        wrong &= ~cells.null
    wrong[cells.inexact] = False
    return np.flatnonzero(wrong)


def _coefficients(feature: NumericFeature) -> Iterator[Coefficient]:
    missing = policy_text(feature.missing)
    yield Coefficient(feature.column, "", feature.coefficient, feature.center, feature.scale, missing, "")


def _show(feature: NumericFeature) -> Iterator[tuple[Shown, ...]]:
    stated = (feature.coefficient, feature.center, feature.scale)
    kind = f"{feature.kind} (boolean)" if feature.boolean else feature.kind
    yield escape(feature.column), kind, "", *stated, shown_policy(feature.missing), ""


def _expression(feature: NumericFeature) -> Expression:
    from pipeline.models.logistic.expression import Column, weighted  # noqa: PLC0415 - only exports need it

    missing = feature.missing.impute if isinstance(feature.missing, Impute) else feature.missing
    return weighted(feature.weight, Column(feature.column, missing, feature.boolean))


NUMERIC = FeatureKind(
    schema=NumericFeature,
    role=lambda feature: "boolean" if feature.boolean else "numeric",
    policies={"missing": MISSING_NUMBER},
    is_bounded=False,
    prepare=NumericColumn.prepare,
    coefficients=_coefficients,
    show=_show,
    expression=_expression,
)
