"""What every feature has: its section of the file, and an entry in the table of kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pipeline.choices import Role
from pipeline.kernels import Categorical, Numeric
from pipeline.models.columns import Rows
from pipeline.models.document import Path, Problem
from pipeline.models.logistic.policies import Policy
from pipeline.models.logistic.sections import Name, Section
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.report import Shown

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression

Term = Numeric | Categorical


class Feature(Section):
    """A column that adds a term to the raw prediction. Each kind adds its numbers."""

    column: Name
    kind: str

    @property
    def offsets(self) -> tuple[float, ...]:
        """What it adds to the raw prediction of a row whose columns are 0; empty if that is nothing."""
        return ()


F = TypeVar("F", bound=Feature)


class PreparedColumn(Protocol):
    """A feature and a batch: the policy was applied to nulls, floating NaN were not looked for yet."""

    @property
    def term(self) -> Term:
        """The term of the raw prediction."""
        ...

    def settle(self, rows: Rows, tally: RowTally, /) -> Term:
        """Return the term of only these rows, with all policies applied."""
        ...


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One number of a model as a table shows it; ``level`` is empty for a numeric column.

    ``missing`` and ``unseen`` are the policies in words; ``unseen`` is empty for a numeric column.
    """

    column: str
    level: str
    coefficient: float
    center: float
    scale: float
    missing: str
    unseen: str


# What ``model show`` prints of a feature, a row for each of its coefficients; cells that would repeat are empty.
HEADERS = ("column", "kind", "level", "coefficient", "center", "scale", "missing", "unseen")
NUMBERS = (3, 4, 5)


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name in a feature that does not exist: where it is in the feature, what it should be, and what exists."""

    path: Path
    what: str
    name: str
    known: Mapping[str, object]


def _no_names(_: Mapping[str, object]) -> Iterator[UnknownName]:
    return iter(())


def _no_faults(_: Mapping[str, object]) -> Iterator[Problem]:
    return iter(())


@dataclass(frozen=True, slots=True)
class FeatureKind(Generic[F]):
    """A kind of features.

    Attributes
    ----------
    schema : type of Feature
        What the file says of one.
    role : callable
        Returns what the column of a feature must be usable as: numeric, boolean or categorical.
    policies : mapping of str to Policy
        The members that are policies.
    is_bounded : bool
        Whether its term is a finite number for every cell.
    prepare : callable
        Reads a column of a batch: from a feature, its column and the tally of the batch.
    coefficients : callable
        Yields the numbers of a feature.
    show : callable
        Yields the rows of ``HEADERS`` for a feature, safe to show.
    expression : callable
        Returns what a feature adds to the raw prediction, less its ``offsets``, as a tree for exporters.
    unknown_names : callable
        Yields the names that do not exist, in a feature as JSON with any content.
    faults : callable
        Yields what else does not fit together in a feature as JSON with any content, with its path in the feature.
    """

    schema: type[F]
    role: Callable[[F], Role]
    policies: Mapping[str, Policy]
    is_bounded: bool
    prepare: Callable[[F, BatchColumn, RowTally], PreparedColumn]
    coefficients: Callable[[F], Iterator[Coefficient]]
    show: Callable[[F], Iterator[tuple[Shown, ...]]]
    expression: Callable[[F], Expression]
    unknown_names: Callable[[Mapping[str, object]], Iterator[UnknownName]] = _no_names
    faults: Callable[[Mapping[str, object]], Iterator[Problem]] = _no_faults
