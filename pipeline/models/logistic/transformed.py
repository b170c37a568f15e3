"""Transformed features: a function of a column, centred and scaled, times a coefficient."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from pipeline.dataclass import dataclass
from pipeline.kernels import Factor, Product, tile_steps
from pipeline.kernels.steps import Step, TileStep
from pipeline.models.columns import Rows
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import Entry, FeatureKind, Use, member_paths
from pipeline.models.logistic.numbers import NumberCells
from pipeline.models.logistic.numeric import LinearFeature
from pipeline.models.logistic.policies import MISSING_NUMBER, MissingNumber
from pipeline.models.logistic.sections import for_kernel
from pipeline.models.logistic.transforms import Transform, check_imputed, shown_transform, steps_of
from pipeline.models.tally import RowTally

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression


class TransformedFeature(LinearFeature):
    """A column that adds ``coefficient * (f(value) - center) / scale``.

    A finite value of which f is not finite (the logarithm of 0) is a bad cell. A missing value is imputed before f.
    """

    kind: Literal["transformed"]
    transform: Transform
    missing: MissingNumber = "null"

    @model_validator(mode="after")
    def _imputes_a_value(self) -> TransformedFeature:
        check_imputed(self.missing, self.steps)
        return self

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What f does, step by step."""
        return steps_of(self.transform)


@dataclass(frozen=True, eq=False)
class PreparedTransform:
    """A batch of a feature of this kind; see :class:`~pipeline.models.logistic.feature.PreparedFeature`."""

    feature: TransformedFeature
    cells: NumberCells
    steps: tuple[TileStep, ...]

    @property
    def term(self) -> Product:
        """The term of the raw prediction."""
        return Product((self.cells.factor(self.steps),), for_kernel(self.feature.weight))

    def settle(self, rows: Rows, tally: RowTally) -> Product:
        """Return the term of only these rows, with all policies applied."""
        values = self.cells.transformed(rows, self.steps, tally)
        return Product((Factor(values),), for_kernel(self.feature.weight))


def _prepare(feature: TransformedFeature, batch: BatchColumns) -> PreparedTransform:
    cells = NumberCells.read(feature.column, feature.missing, batch)
    return PreparedTransform(feature, cells, tile_steps(feature.steps, batch.precision))


def _describe(feature: TransformedFeature) -> tuple[str, Iterator[Entry]]:
    entry = Entry(feature.coefficient, "", feature.center, feature.scale, feature.missing)
    return f"{feature.kind}: {shown_transform(feature.transform)}", iter([entry])


def _expression(feature: TransformedFeature) -> Expression:
    from pipeline.models.logistic.expression import number, stepped, weighted  # noqa: PLC0415 - only exports need it

    return weighted(feature.weight, stepped(number(feature.column, feature.missing), feature.steps))


TRANSFORMED = FeatureKind(
    schema=TransformedFeature,
    uses=lambda feature: (Use(feature.column, "numeric", (feature.missing,)),),
    policies={"missing": MISSING_NUMBER},
    is_bounded=False,
    prepare=_prepare,
    describe=_describe,
    expression=_expression,
    coefficients=member_paths("coefficient"),
    follows=lambda feature: {"weight": feature.weight},
)
