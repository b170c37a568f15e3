"""What a caller asks a fit to do: checked words, before any file is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from pipeline.choices import Absent, Fingerprint, IfExists, MissingRule, MissingTarget, SolverName
from pipeline.dataclass import dataclass
from pipeline.fitting.asking.terms import AllTerm, AnyTerm, Term
from pipeline.schedulers import ClusterWishes
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import BadLimit

_PLAIN_CSV = CsvOptions()
_NO_WISHES = ClusterWishes()
_NO_BAD_ROWS = BadLimit()


@dataclass(frozen=True, slots=True)
class DataWishes:
    """Which rows are read, and from where; the options have the meaning that they have in ``score``."""

    inputs: tuple[str, ...]
    csv: CsvOptions = _PLAIN_CSV
    absent: Absent = "error"
    max_bad: BadLimit = _NO_BAD_ROWS
    limit: int | None = None
    chunk_size: str = "1048576"
    fingerprint: Fingerprint = "ends"


@dataclass(frozen=True, slots=True)
class MeansWishes:
    """Where and with what a fit runs; never changes a bit of its result.

    ``scratch`` is a folder, ``auto`` or ``none``.
    """

    memory: str | None = None
    workers: int | None = None
    scheduler: str = "threads"
    cluster: ClusterWishes = _NO_WISHES
    retries: int = 3
    scratch: str = "auto"


@dataclass(frozen=True, slots=True)
class ModelWishes:
    """What is fitted.

    Attributes
    ----------
    target : str
    positive : str or None
        The value of the target that is the positive class.
    features : tuple of AnyTerm
    missing : str
        What becomes of missing values; ``missing_of`` has what a column has of its own.
    missing_target : {"error", "drop"}
    controls : tuple of str
        Columns that are fitted, and set to a reference at scoring.
    signs : mapping of str to int
        1 or -1, by column.
    weight, offset : str or None
        Columns.
    class_weights : mapping of value to float, "balanced" or None
    prior : float or None
        The true share of positives.
    min_count, max_levels : int
        How often a level must occur not to be pooled, and how many levels of a column are kept.
    exact_median : bool
    strict : bool
        Whether columns that are constant, or combinations of others, are errors.
    """

    target: str
    positive: str | None = None
    features: tuple[AnyTerm, ...] = ()
    missing: MissingRule = "error"
    missing_of: Mapping[str, MissingRule] = field(default_factory=dict)
    missing_target: MissingTarget = "error"
    controls: tuple[str, ...] = ()
    signs: Mapping[str, int] = field(default_factory=dict)
    weight: str | None = None
    offset: str | None = None
    class_weights: Mapping[str, float] | Literal["balanced"] | None = None
    prior: float | None = None
    intercept: bool = True
    min_count: int = 1
    max_levels: int = 1_000
    exact_median: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class SolveWishes:
    """How it is fitted.

    Attributes
    ----------
    l1, l2 : float
        Of the objective in :mod:`pipeline.fitting.solving.objective`.
    path : int or None
        How many penalties are tried, from the smallest that leaves nothing down to the ones given.
    folds : int or None
    holdout : str or None
        A percentage, or a comparison of a column: ``date >= 2013-11-01``.
    key : str or None
        The column whose value decides fold and hold-out; the place of the row unless given.
    one_standard_error : bool
        Whether the largest penalty is chosen whose loss is within one standard error of the best.
    robust : bool
    robust_groups : str or None
        The column of the groups within which errors may depend on each other.
    effects : bool
        Whether average marginal effects are computed.
    """

    solver: SolverName = "auto"
    l1: float = 0.0
    l2: float = 0.0
    path: int | None = None
    folds: int | None = None
    holdout: str | None = None
    key: str | None = None
    one_standard_error: bool = False
    learning_rate: float = 0.1
    iterations: int = 1_000
    robust: bool = False
    robust_groups: str | None = None
    effects: bool = False


@dataclass(frozen=True, slots=True)
class FitJob:
    """A whole fit.

    ``output`` is the model file to write, ``None`` for none.
    """

    data: DataWishes
    model: ModelWishes
    solve: SolveWishes = SolveWishes()
    means: MeansWishes = MeansWishes()
    output: str | None = None
    if_exists: IfExists = "fail"
    allow_unconverged: bool = False


def terms_of(job: FitJob) -> tuple[Term, ...]:
    """Return the features of a job besides ``*``."""
    return tuple(term for term in job.model.features if not isinstance(term, AllTerm))


def rule_of(job: FitJob, column: str) -> MissingRule:
    """Return what becomes of missing values of a column."""
    return job.model.missing_of.get(column, job.model.missing)
