"""What every feature has: its section of the file, and an entry in the table of kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from pipeline.choices import Role
from pipeline.dataclass import dataclass
from pipeline.kernels import Term
from pipeline.models.columns import Rows
from pipeline.models.document import Path, Problem
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.policies import Policy
from pipeline.models.logistic.sections import GrownSection, Name, Section
from pipeline.models.tally import RowTally
from pipeline.types.report import Shown

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression


class Feature(GrownSection):
    """A part of the model that adds a term to the raw prediction. Each kind adds its numbers."""

    later: ClassVar[frozenset[str]] = frozenset({"name"})

    if TYPE_CHECKING:
        # Each kind has them at their place in the file.
        kind: str
        name: str | None

    @property
    def label(self) -> str:
        """The name by which its contribution and its points go: unique in a model."""
        return self.name or self.usual_name

    @property
    def usual_name(self) -> str:
        """The name that it has unless the file gives one."""
        raise NotImplementedError

    def constants(self, output: int) -> tuple[float, ...]:  # noqa: ARG002 - most kinds add nothing
        """Return what it adds to the raw prediction of a row whose columns are 0; empty if that is nothing."""
        return ()


class ColumnFeature(Feature):
    """A feature of one column."""

    column: Name
    kind: str
    name: Name | None = None

    @property
    def usual_name(self) -> str:
        """The name of the column."""
        return self.column


F = TypeVar("F", bound=Feature)


@dataclass(frozen=True, slots=True)
class Use:
    """What a feature wants of a column.

    Attributes
    ----------
    column : str
    role : {"numeric", "boolean", "categorical", "sequence"}
        What the column must be usable as.
    policies : tuple
        What happens to its missing and unseen values, as the file has it.
    levels : collection of str
        The levels that are known.
    level_type : str
        How levels are read that are not spelled like a known one.
    any_role : bool
        Whether it takes the column as other features have it.
    """

    column: str
    role: Role
    policies: tuple[str | Section, ...] = ()
    levels: Collection[str] = ()
    level_type: str = "text"
    any_role: bool = False


class PreparedFeature(Protocol):
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
    """One number of a model as a table shows it.

    Attributes
    ----------
    column : str
        The column of the feature; of a product all of them, joined by colons.
    level : str
        The level, the interval (``[0, 10)``) or ``missing``; empty for a number.
    coefficient, center, scale : float
    missing, unseen : str
        The policies in words; ``unseen`` is empty where there are no levels.
    name : str
        The name of the feature.
    output : str
        The class that it is for; empty in a model without classes.
    """

    column: str
    level: str
    coefficient: float
    center: float
    scale: float
    missing: str
    unseen: str
    name: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table of a feature: one coefficient, or with classes one for each of them.

    ``level``, ``missing`` and ``unseen`` are as in :class:`Coefficient`, the policies as the file has them.
    """

    coefficient: float | Sequence[float]
    level: str = ""
    center: float = 0.0
    scale: float = 1.0
    missing: Any = ""
    unseen: Any = ""


@dataclass(frozen=True, slots=True)
class TermEntry:
    """A row of the table of a feature without a coefficient: what is multiplied, its center and scale, its policies."""

    term: str
    center: Shown
    scale: Shown
    missing: Any
    unseen: Any = ""


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name in a feature that does not exist: where it is in the feature, what it should be, and what exists."""

    path: Path
    what: str
    name: str
    known: Mapping[str, object]


def _no_names(_: Mapping[str, object]) -> Iterator[UnknownName]:
    return iter(())


def _no_terms(_: Feature) -> Iterator[TermEntry]:
    return iter(())


def _nothing_follows(_: Feature) -> Mapping[str, object]:
    return {}


def _no_faults(_: Mapping[str, object]) -> Iterator[Problem]:
    return iter(())


def member_paths(*keys: str) -> Callable[[Mapping[str, object]], Iterator[tuple[Path, object]]]:
    """Return what yields these members of a feature as JSON, with their paths."""

    def members(feature: Mapping[str, object]) -> Iterator[tuple[Path, object]]:
        return (((key,), feature[key]) for key in keys if key in feature)

    return members


@dataclass(frozen=True, slots=True)
class FeatureKind(Generic[F]):
    """A kind of features.

    Attributes
    ----------
    schema : type of Feature
        What the file says of one.
    uses : callable
        Returns what a feature wants of its columns.
    policies : mapping of str to Policy
        The members that are policies.
    is_bounded : bool
        Whether its term is a finite number for every cell.
    prepare : callable
        Reads the columns of a batch.
    describe : callable
        Returns the kind of a feature in words, and yields its coefficients.
    expression : callable
        Returns what a feature adds to the raw prediction, less its constants, as a tree for exporters.
    coefficients : callable
        Yields the coefficients in a feature as JSON with any content, with their paths: each is one number, or one for
        each class.
    unknown_names : callable
        Yields the names that do not exist, in a feature as JSON with any content.
    faults : callable
        Yields what else does not fit together in a feature as JSON with any content, with its path in the feature.
    terms : callable
        Yields what is multiplied with the coefficients, if that are several numbers or levels.
    follows : callable
        Returns what follows from a feature, for ``model show --json``.
    table_bytes : callable
        Returns the bytes of what scoring keeps of a feature besides the feature itself, where that may be much more.
    scratch_row_bytes : int
        The bytes of a row of what is prepared of its columns besides their cells.
    version : int
        The first version of the model file that has this kind.
    """

    schema: type[F]
    uses: Callable[[F], tuple[Use, ...]]
    policies: Mapping[str, Policy]
    is_bounded: bool
    prepare: Callable[[F, BatchColumns], PreparedFeature]
    describe: Callable[[F], tuple[str, Iterator[Entry]]]
    expression: Callable[[F], Expression]
    coefficients: Callable[[Mapping[str, object]], Iterator[tuple[Path, object]]]
    unknown_names: Callable[[Mapping[str, object]], Iterator[UnknownName]] = _no_names
    faults: Callable[[Mapping[str, object]], Iterator[Problem]] = _no_faults
    terms: Callable[[F], Iterator[TermEntry]] = _no_terms
    follows: Callable[[F], Mapping[str, object]] = _nothing_follows
    table_bytes: Callable[[F], int] = lambda _: 0
    scratch_row_bytes: int = 0
    version: int = 2
