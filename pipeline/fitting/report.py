"""What a fit reports: while it runs, before it starts, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from pipeline.dataclass import dataclass
from pipeline.models import LogisticModel
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import format_bytes, format_count, format_seconds, visible

if TYPE_CHECKING:
    from pipeline.models.network.model import NetworkModel

# What the intercept is called among the features.
INTERCEPT = "(intercept)"


@dataclass(frozen=True, slots=True)
class PassDone:
    """An event: one pass over the rows has ended.

    ``what`` is ``learn``, ``fit``, ``moments``, ``effects`` and so on; what the pass does not have is ``None``.
    """

    number: int
    what: str
    rows: int
    seconds: float
    models: int = 1
    objective: float | None = None
    decrement: float | None = None
    gradient: float | None = None
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An event: one epoch of a network has ended.

    Attributes
    ----------
    number : int
        From 1.
    rows : int
        Rows that it learnt from.
    log_loss : float
        Of the mini-batches, each before its step.
    held_out_log_loss : float or None
        Of the rows that are held out, after the epoch.
    seconds : float
    """

    number: int
    rows: int
    log_loss: float
    held_out_log_loss: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CoefficientRow:
    """One coefficient, in units of its column.

    Attributes
    ----------
    feature : str
        The name of the feature; ``(intercept)`` for the intercept.
    label : str or None
        The level or interval.
    output : str or None
        The class, where there are more than two.
    value : float
    error, z, p, low, high : float or None
        Standard error, z, two-sided p, and the 95 % confidence interval; ``None`` with a penalty.
    variance_inflation : float or None
    note : str
        Such as ``reference``, ``constant, left out``.
    """

    feature: str
    label: str | None
    output: str | None
    value: float
    error: float | None = None
    z: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    variance_inflation: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class EffectRow:
    """The average marginal effect of a column, or of a level against the reference, on the probability of a class."""

    feature: str
    label: str | None
    output: str | None
    value: float
    error: float | None
    z: float | None
    p: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class FitMeasures:
    """How well a model fits; ``None`` where a penalty takes the meaning away."""

    log_loss: float
    deviance: float
    null_deviance: float | None = None
    likelihood_ratio: float | None = None
    likelihood_ratio_p: float | None = None
    degrees_of_freedom: int | None = None
    aic: float | None = None
    bic: float | None = None
    mcfadden: float | None = None
    held_out_log_loss: float | None = None


@dataclass(frozen=True, slots=True)
class PenaltyTried:
    """One penalty of a path: its hold-out log loss with its standard error over the folds, and what it leaves."""

    l1: float
    l2: float
    log_loss: float | None
    error: float | None
    nonzero: int
    chosen: bool


@dataclass(frozen=True, slots=True, repr=False)
class FitReport(Tabular):
    """A finished fit.

    Attributes
    ----------
    model : LogisticModel
    output : str or None
        The model file that was written.
    rows : mapping of str to int
        ``read`` = ``used`` + ``held_out`` + ``dropped`` + ``bad`` + ``without_target``.
    coefficients : tuple of CoefficientRow
    effects : tuple of EffectRow
    measures : FitMeasures
    certificate : mapping of str to object
        As ``training`` in the model file has it.
    path : tuple of PenaltyTried
    bins : mapping of str to float
        The information value of each binned feature that has one.
    passes : int
    pass_seconds : tuple of float or None
        What each pass took, in order; ``None`` for one that an interrupted fit had made.
    seconds : float
    peak_bytes : int
    notes : tuple of str
        In words for a person.
    """

    model: LogisticModel
    output: str | None
    rows: Mapping[str, int]
    coefficients: tuple[CoefficientRow, ...]
    measures: FitMeasures
    certificate: Mapping[str, object]
    effects: tuple[EffectRow, ...] = ()
    path: tuple[PenaltyTried, ...] = ()
    bins: Mapping[str, float] = field(default_factory=dict)
    passes: int = 0
    pass_seconds: tuple[float | None, ...] = ()
    seconds: float = 0.0
    peak_bytes: int = 0
    notes: tuple[str, ...] = ()

    def _summary(self) -> Summary:
        facts = [
            ("output", self.output or "none"),
            ("rows", row_accounts(self.rows)),
            ("converged", "yes" if self.certificate.get("converged") else "no"),
            ("log loss", f"{self.measures.log_loss:.6g}"),
            ("passes", f"{format_count(self.passes)} in {format_seconds(self.seconds)}"),
            ("peak memory", format_bytes(self.peak_bytes)),
            *(("note", note) for note in self.notes),
        ]
        rows = [(_name(each), *_digits(each.value, each.error, each.p)) for each in self.coefficients]
        return Summary(facts, ("coefficient of", "value", "error", "p"), rows)


@dataclass(frozen=True, slots=True, repr=False)
class NetworkReport(Tabular):
    """A finished fit of a network.

    Attributes
    ----------
    model : NetworkModel
    output : str or None
        The model file that was written; its weights are beside it.
    rows : mapping of str to int
        As in :class:`FitReport`.
    epochs : tuple of EpochDone
    best_epoch : int
        The epoch whose weights the model has.
    log_loss : float
        Of the fitted rows, with these weights.
    held_out_log_loss : float or None
    early : bool
        Whether the epochs ended because the loss of the rows held out got no better.
    seconds : float
    peak_bytes : int
    notes : tuple of str
        In words for a person.
    """

    model: NetworkModel
    output: str | None
    rows: Mapping[str, int]
    epochs: tuple[EpochDone, ...]
    best_epoch: int
    log_loss: float
    held_out_log_loss: float | None
    early: bool
    seconds: float = 0.0
    peak_bytes: int = 0
    notes: tuple[str, ...] = ()

    def _summary(self) -> Summary:
        held = self.held_out_log_loss
        facts = [
            ("output", self.output or "none"),
            ("rows", row_accounts(self.rows)),
            ("epochs", f"{format_count(len(self.epochs))}, the weights are those of epoch {self.best_epoch}"),
            ("log loss", f"{self.log_loss:.6g}"),
            *([] if held is None else [("held-out log loss", f"{held:.6g}")]),
            ("time", format_seconds(self.seconds)),
            ("peak memory", format_bytes(self.peak_bytes)),
            *(("note", note) for note in self.notes),
        ]
        rows = [(str(each.number), *_digits(each.log_loss, each.held_out_log_loss)) for each in self.epochs]
        return Summary(facts, ("epoch", "log loss", "held-out log loss"), rows)


@dataclass(frozen=True, slots=True, repr=False)
class FitPlan(Tabular):
    """What a fit will do: ``--dry-run``.

    Attributes
    ----------
    files, rows : int
    rows_estimated : bool
    columns : tuple of (str, str, int or None)
        Name of the feature, its kind, and its coefficients; ``None`` where only the first pass tells.
    width : int
        The most coefficients of the model.
    bytes_first, bytes_pass : int
        Bytes that the first pass, and each later one, reads.
    held : {"memory", "scratch", "read again"}
        Where decoded features are between passes.
    held_bytes : int
    projected_bytes, allowed_bytes : int
    workers : int
    passes : int
        About how many are expected.
    solver : str
    notes : tuple of str
    """

    files: int
    rows: int
    rows_estimated: bool
    columns: tuple[tuple[str, str, int | None], ...]
    width: int
    bytes_first: int
    bytes_pass: int
    held: str
    held_bytes: int
    projected_bytes: int
    allowed_bytes: int
    workers: int
    passes: int
    solver: str
    notes: tuple[str, ...] = ()

    def _summary(self) -> Summary:
        about = "~" if self.rows_estimated else ""
        facts = [
            ("inputs", f"{format_count(self.files)} files, {about}{format_count(self.rows)} rows"),
            ("coefficients", f"at most {format_count(self.width)}"),
            ("passes", f"about {format_count(self.passes)}, by {self.solver}"),
            ("between passes", f"{self.held}, {format_bytes(self.held_bytes)}"),
            ("memory", f"{format_bytes(self.projected_bytes)} of the {format_bytes(self.allowed_bytes)} allowed"),
            *(("note", note) for note in self.notes),
        ]
        rows = [(name, kind, "" if count is None else format_count(count)) for name, kind, count in self.columns]
        return Summary(facts, ("feature", "kind", "coefficients"), rows)


@dataclass(frozen=True, slots=True, repr=False)
class NetworkPlan(Tabular):
    """What a fit of a network will do: ``--dry-run``.

    Attributes
    ----------
    files, rows : int
    rows_estimated : bool
    inputs, weights : int
        The most that the network may have; biases are counted as weights. Only the first pass tells levels and classes.
    epochs : int
        The most that there are.
    bytes_first, bytes_epoch : int
        Bytes that the first pass, and each epoch, reads.
    held : {"memory", "scratch", "read again"}
        Where decoded rows are between epochs.
    held_bytes : int
    projected_bytes, allowed_bytes : int
    workers : int
    notes : tuple of str
    """

    files: int
    rows: int
    rows_estimated: bool
    inputs: int
    weights: int
    epochs: int
    bytes_first: int
    bytes_epoch: int
    held: str
    held_bytes: int
    projected_bytes: int
    allowed_bytes: int
    workers: int
    notes: tuple[str, ...] = ()

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what it says, in words."""
        about = "~" if self.rows_estimated else ""
        read = f"{format_bytes(self.bytes_first)} in the first pass, {format_bytes(self.bytes_epoch)} in each epoch"
        return (
            ("inputs", f"{format_count(self.files)} files, {about}{format_count(self.rows)} rows"),
            ("to read", read),
            ("network", f"at most {format_count(self.inputs)} inputs and {format_count(self.weights)} weights"),
            ("epochs", f"at most {format_count(self.epochs)}"),
            ("between epochs", f"{self.held}, {format_bytes(self.held_bytes)}"),
            ("workers", format_count(self.workers)),
            ("memory", f"{format_bytes(self.projected_bytes)} of the {format_bytes(self.allowed_bytes)} allowed"),
            *(("note", note) for note in self.notes),
        )

    def _summary(self) -> Summary:
        return Summary(list(self.facts()), (), [])


def row_accounts(rows: Mapping[str, int]) -> str:
    """Return what became of the rows: ``100 read = 80 used + 20 held out + ...``."""
    parts = (f"{format_count(rows.get(key, 0))} {key.replace('_', ' ')}" for key in _ACCOUNTS)
    return f"{format_count(rows.get('read', 0))} read = {' + '.join(parts)}"


def _name(row: CoefficientRow) -> str:
    label = None if row.label is None else visible(row.label)
    return " ".join(filter(None, (row.feature, label, row.output)))


def _digits(*numbers: float | None) -> tuple[str, ...]:
    return tuple("" if number is None else f"{number:.6g}" for number in numbers)


_ACCOUNTS = ("used", "held_out", "dropped", "bad", "without_target")
