"""Numeric features: a column that adds its value, centred and scaled, times a coefficient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from pipeline.dataclass import dataclass
from pipeline.kernels import Numeric
from pipeline.models.columns import Rows
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import ColumnFeature, Entry, FeatureKind, Use, member_paths
from pipeline.models.logistic.numbers import NumberCells
from pipeline.models.logistic.policies import MISSING_NUMBER, MissingNumber
from pipeline.models.logistic.sections import Number, fault, for_kernel, number_of, numbers_of
from pipeline.models.tally import RowTally

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression


def _not_zero(scale: float) -> float:
    if scale == 0:
        raise PydanticCustomError("zero_scale", "must not be 0: values are divided by it")
    return scale


Scale = Annotated[float, AfterValidator(_not_zero)]


class LinearFeature(ColumnFeature):
    """A feature that adds ``coefficient * (x - center) / scale``, where x is made of its column."""

    coefficient: Number
    center: float = 0.0
    scale: Scale = 1.0

    @model_validator(mode="after")
    def _weight_is_finite(self) -> LinearFeature:
        if not all(map(math.isfinite, numbers_of(self.weight))):
            raise fault("weight", "coefficient / scale is beyond float64", ["coefficient"])
        return self

    @property
    def weight(self) -> float | tuple[float, ...]:
        """``coefficient / scale``, rounded once."""
        if isinstance(self.coefficient, tuple):
            return tuple(number / self.scale for number in self.coefficient)
        return self.coefficient / self.scale

    def constants(self, output: int) -> tuple[float, ...]:
        """Return ``-coefficient * center / scale``, from left to right: the product is rounded, then the quotient."""
        return (-number_of(self.coefficient, output) * self.center / self.scale,)


class NumericFeature(LinearFeature):
    """A column that adds ``coefficient * (value - center) / scale`` to the raw prediction.

    A ``boolean`` one is true or false, which count as 1 and 0; another number is a bad cell.
    """

    later: ClassVar[frozenset[str]] = frozenset({"name", "boolean"})

    kind: Literal["numeric"]
    boolean: bool = False
    missing: MissingNumber = "null"


@dataclass(frozen=True, eq=False)
class PreparedNumber:
    """A batch of a feature of this kind; see :class:`~pipeline.models.logistic.feature.PreparedFeature`."""

    feature: NumericFeature
    cells: NumberCells

    @property
    def term(self) -> Numeric:
        """The term of the raw prediction."""
        return Numeric(self.cells.values, for_kernel(self.feature.weight), self.cells.filled, self.cells.filler)

    def settle(self, rows: Rows, tally: RowTally) -> Numeric:
        """Return the term of only these rows, with all policies applied."""
        return Numeric(self.cells.settled(rows, tally), for_kernel(self.feature.weight))


def _prepare(feature: NumericFeature, batch: BatchColumns) -> PreparedNumber:
    return PreparedNumber(feature, NumberCells.read(feature.column, feature.missing, batch, boolean=feature.boolean))


def _describe(feature: NumericFeature) -> tuple[str, Iterator[Entry]]:
    entry = Entry(feature.coefficient, "", feature.center, feature.scale, feature.missing)
    return f"{feature.kind} (boolean)" if feature.boolean else feature.kind, iter([entry])


def _expression(feature: NumericFeature) -> Expression:
    from pipeline.models.logistic.expression import number, weighted  # noqa: PLC0415 - only exports need it

    return weighted(feature.weight, number(feature.column, feature.missing, boolean=feature.boolean))


NUMERIC = FeatureKind(
    schema=NumericFeature,
    uses=lambda feature: (Use(feature.column, "boolean" if feature.boolean else "numeric", (feature.missing,)),),
    policies={"missing": MISSING_NUMBER},
    is_bounded=False,
    prepare=_prepare,
    describe=_describe,
    expression=_expression,
    coefficients=member_paths("coefficient"),
    follows=lambda feature: {"weight": feature.weight},
    version=1,
)
