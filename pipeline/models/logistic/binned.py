"""Binned features: a column that adds the coefficient of the interval of its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Discriminator, Field, Strict, Tag, model_validator

from pipeline.dataclass import dataclass
from pipeline.kernels import Binned, Guide
from pipeline.models.columns import Mask, Rows, numbers
from pipeline.models.document import Path, Problem
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import ColumnFeature, Entry, FeatureKind, Use
from pipeline.models.logistic.numbers import with_nan
from pipeline.models.logistic.policies import Impute, Policy, Word, settle
from pipeline.models.logistic.sections import (
    Number,
    Section,
    fault,
    is_number,
    miscounted,
    not_increasing,
    numbers_of,
    table_of,
)
from pipeline.models.tally import RowTally
from pipeline.units import shortest

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression

Floats = npt.NDArray[np.float64]


class Own(Section):
    """A missing value has this coefficient."""

    coefficient: Number


def interval_names(edges: Sequence[float]) -> list[str]:
    """Return the intervals between edges, and before and behind them, as people write them: ``[0, 10)``."""
    ends = ["-inf", *map(shortest, edges), "inf"]
    return [f"{'(' if low == '-inf' else '['}{low}, {high})" for low, high in pairwise(ends)]


def _form(value: object) -> str:
    if isinstance(value, Own) or (isinstance(value, Mapping) and "impute" not in value):
        return "<own>"
    return "<rule>" if isinstance(value, Mapping | Impute) else "<word>"


MissingBin = Annotated[
    Annotated[Word, Tag("<word>")] | Annotated[Impute, Tag("<rule>")] | Annotated[Own, Tag("<own>")],
    Discriminator(_form),
]
MISSING_BIN = Policy(get_args(Word), Impute, ('{"impute": number}', '{"coefficient": number}'), Own)


class BinnedFeature(ColumnFeature):
    """A column that adds the coefficient of an interval: below the first edge, from one edge up to the next, and so on.

    An edge is in the upper interval. Infinities are values.
    """

    kind: Literal["binned"]
    edges: Annotated[tuple[float, ...], Strict(strict=False), Field(min_length=1)]
    coefficients: Annotated[tuple[Number, ...], Strict(strict=False)]
    missing: MissingBin = "null"

    @model_validator(mode="after")
    def _fits_together(self) -> BinnedFeature:
        for found in _faults(dict(self)):
            raise fault("bins", found.message, found.path)
        return self

    @cached_property
    def guide(self) -> Guide:
        """The intervals."""
        return Guide.of(self.edges)

    @cached_property
    def weights(self) -> Floats:
        """The coefficients by slot of the guide, and last that of a missing value: 0 where its row has no score."""
        nothing = (0.0,) * len(numbers_of(self.coefficients[0]))
        own = self.missing.coefficient if isinstance(self.missing, Own) else nothing
        if isinstance(self.missing, Impute):
            own = self.coefficients[self.interval(self.missing.impute)]
        is_list = isinstance(self.coefficients[0], tuple)
        return self.guide.by_slot(table_of([*self.coefficients, own if is_list else numbers_of(own)[0]]))

    def interval(self, value: float) -> int:
        """Return the number of the interval that a value is in."""
        return int(np.searchsorted(self.edges, value, side="right"))

    def interval_names(self) -> list[str]:
        """Return the intervals as people write them: ``[0, 10)``."""
        return interval_names(self.edges)


@dataclass(frozen=True, eq=False)
class PreparedBins:
    """A batch of a feature of this kind; see :class:`~pipeline.models.logistic.feature.PreparedFeature`."""

    feature: BinnedFeature
    values: npt.NDArray[Any]
    missing: Mask | None

    @property
    def term(self) -> Binned:
        """The term of the raw prediction."""
        return Binned(self.values, self.feature.guide, self.feature.weights, self.missing)

    def settle(self, rows: Rows, _: RowTally) -> Binned:
        """Return the term of only these rows, with all policies applied."""
        missing = None if self.missing is None else self.missing[rows]
        return Binned(self.values[rows], self.feature.guide, self.feature.weights, missing)


def _prepare(feature: BinnedFeature, batch: BatchColumns) -> PreparedBins:
    column, tally = batch.use(feature.column), batch.tally
    cells = numbers(column.array)
    tally.add_bad(cells.inexact, column, "inexact")
    missing = with_nan(cells)
    if missing is not None:
        settle("missing", feature.missing, missing, column, tally)
    return PreparedBins(feature, cells.values, missing)


def _faults(feature: Mapping[str, Any]) -> Iterator[Problem]:
    edges, coefficients = feature.get("edges"), feature.get("coefficients")
    if not isinstance(edges, list | tuple) or not all(map(is_number, edges)):
        return
    yield from not_increasing(edges, ("edges",), what="edge")
    if isinstance(coefficients, list | tuple) and edges and len(coefficients) != len(edges) + 1:
        yield Problem(("coefficients",), miscounted("number", coefficients, edges, "intervals", "edge"))


def _coefficients(feature: Mapping[str, object]) -> Iterator[tuple[Path, object]]:
    coefficients, missing = feature.get("coefficients"), feature.get("missing")
    if isinstance(coefficients, Sequence) and not isinstance(coefficients, str):
        yield from ((("coefficients", position), number) for position, number in enumerate(coefficients))
    if isinstance(missing, Mapping) and "coefficient" in missing:
        yield ("missing", "coefficient"), missing["coefficient"]


def _describe(feature: BinnedFeature) -> tuple[str, Iterator[Entry]]:
    return feature.kind, _entries(feature)


def _entries(feature: BinnedFeature) -> Iterator[Entry]:
    own = feature.missing if isinstance(feature.missing, Own) else None
    policy = "" if own else feature.missing
    for name, number in zip(feature.interval_names(), feature.coefficients, strict=True):
        yield Entry(number, name, missing=policy)
    if own is not None:
        yield Entry(own.coefficient, "missing")


def _expression(feature: BinnedFeature) -> Expression:
    from pipeline.models.logistic.expression import Bins  # noqa: PLC0415 - only exports need it

    missing = feature.missing
    if isinstance(missing, Impute):
        missing = Own(coefficient=feature.coefficients[feature.interval(missing.impute)])
    value = missing.coefficient if isinstance(missing, Own) else missing
    return Bins(feature.column, feature.edges, feature.coefficients, value)


BINNED = FeatureKind(
    schema=BinnedFeature,
    uses=lambda feature: (Use(feature.column, "numeric", (feature.missing,)),),
    policies={"missing": MISSING_BIN},
    is_bounded=True,
    prepare=_prepare,
    describe=_describe,
    expression=_expression,
    coefficients=_coefficients,
    follows=lambda feature: {"intervals": feature.interval_names()},
    faults=_faults,
)
