"""Plans, events and reports for people and programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from pipeline.choices import Absent, Done, Format
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError
from pipeline.schedulers import CHOSEN_BY, ChosenBy, is_cluster
from pipeline.types.features import NO_COUNTS, FeatureCounts, FeatureWarning
from pipeline.types.outputs import Receipt
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import escape, format_bytes, format_count, format_seconds

# The first words of an event that is counted for a column, as a person reads them.
_EVENTS = {
    "missing": "missing values",
    "unseen": "levels that the model does not know",
    "read as level": "read as level",
    "infinite": "infinite values",
    "gaps": "sequences with missing values in a step",
    "absent": "rows of files without the column",
}


@dataclass(frozen=True, slots=True)
class Resources:
    """How a plan is carried out on this machine. Never enters ``job_id``, never changes a byte of a part.

    Attributes
    ----------
    workers : int
    batch_rows : int
        Rows decoded at a time inside a chunk.
    wave : int
        Chunks whose tasks exist at the same time.
    allowed_bytes, reserved_bytes, projected_bytes : int
        The budget; what the process takes before any row is read; the expected peak of the run.
    notes : tuple of str
        What was lowered to fit, in words for a person.
    column_threads : bool
        Whether Arrow decodes the columns of every batch on its own threads: cores and memory are left over.
    processes : (int, int) or None
        The least and the most processes of a cluster on this machine that the run starts, which share the workers.
    """

    workers: int
    batch_rows: int
    wave: int
    allowed_bytes: int
    reserved_bytes: int
    projected_bytes: int
    notes: tuple[str, ...] = ()
    column_threads: bool = False
    processes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over receipts; ``features`` is counted at the end of the run.

    Of the chunks, ``resumed`` were done by an earlier try of the same job, and ``reused`` are parts of the published
    version; ``bytes_read`` are those of this run only.
    """

    chunks: int = 0
    resumed: int = 0
    reused: int = 0
    read: int = 0
    written: int = 0
    scored: int = 0
    null: int = 0
    nan: int = 0
    quarantined: int = 0
    bad: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    peak_bytes: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    features: FeatureCounts = NO_COUNTS

    def plus(self, receipt: Receipt, how: Done = "computed") -> Totals:
        """Return the totals with one more receipt."""
        events = dict(self.events)
        for name, count in receipt.events.items():
            events[name] = events.get(name, 0) + count
        accounts = receipt.accounts
        computed = how == "computed"
        return Totals(
            chunks=self.chunks + 1,
            resumed=self.resumed + (how == "resumed"),
            reused=self.reused + (how == "reused"),
            read=self.read + sum(a.read for a in accounts),
            written=self.written + sum(a.written for a in accounts),
            scored=self.scored + sum(a.scored for a in accounts),
            null=self.null + sum(a.null for a in accounts),
            nan=self.nan + sum(a.nan for a in accounts),
            quarantined=self.quarantined + sum(a.quarantined for a in accounts),
            bad=self.bad + receipt.bad_rows,
            bytes_read=self.bytes_read + (receipt.bytes_read if computed else 0),
            bytes_written=self.bytes_written
            + (sum(f.bytes for f in receipt.payload.files) if computed and receipt.payload is not None else 0),
            peak_bytes=max(self.peak_bytes, receipt.peak_bytes) if computed else self.peak_bytes,
            events=events,
            features=self.features,
        )


@dataclass(frozen=True, slots=True)
class Lacking:
    """A column that some files lack: how many, and the names of the first three."""

    column: str
    files: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileSummary:
    """An input file as ``plan`` and the report show it. ``rows`` is exact unless ``estimated``.

    ``absent`` are the columns that it lacks, which are null in its rows.
    """

    path: str
    format: Format
    bytes: int
    rows: int
    estimated: bool
    row_groups: int
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class PlanSummary(Tabular):
    """What a run will do, in numbers for a person or a program.

    ``fields`` are (name, Arrow type, nullable) of the output; ``notes`` are remarks in words; ``csv`` are the
    options that say how a CSV is read, by their names in the manifest; ``lacking`` are the columns that some files
    lack, ``absent`` says what becomes of them, and ``rename`` has new names by old ones; ``warnings`` are about the
    rows that were sampled.
    """

    job_id: str
    output: str
    files: tuple[FileSummary, ...]
    rows: int
    rows_estimated: bool
    bytes_to_read: int
    chunks: int
    chunk_rows: int
    row_group_rows: int
    fields: tuple[tuple[str, str, bool], ...]
    resources: Resources
    scheduler: str
    chosen_by: ChosenBy = "option"
    notes: tuple[str, ...] = ()
    csv: Mapping[str, object] = field(default_factory=dict)
    lacking: tuple[Lacking, ...] = ()
    absent: Absent = "error"
    rename: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[FeatureWarning, ...] = ()

    @property
    def workers(self) -> str:
        """How many tasks are carried out at once, for a person."""
        count = format_count(self.resources.workers)
        if self.resources.processes is None:
            return "those of the cluster" if is_cluster(self.scheduler) else count
        least, most = self.resources.processes
        if least == most:
            return f"{count} in {format_count(most)} process{'' if most == 1 else 'es'}"
        return f"up to {count} in {format_count(least)} to {format_count(most)} processes"

    def _summary(self) -> Summary:
        about, resources = "~" if self.rows_estimated else "", self.resources
        files = f"{format_count(len(self.files))} {'file' if len(self.files) == 1 else 'files'}"
        memory = f"{format_bytes(resources.projected_bytes)} of the {format_bytes(resources.allowed_bytes)} allowed"
        facts = [
            ("inputs", f"{files}, {about}{format_count(self.rows)} rows, {format_bytes(self.bytes_to_read)} to read"),
            ("output", self.output),
            ("chunks", f"{format_count(self.chunks)} of about {format_count(self.chunk_rows)} rows"),
            ("workers", f"{self.workers} on {self.scheduler}, {CHOSEN_BY[self.chosen_by]}"),
            ("memory", memory),
            *(("note", note) for note in (*resources.notes, *self.notes)),
            *(("warning", warning.text) for warning in self.warnings),
        ]
        fields = [(name, kind, "allowed" if nullable else "never") for name, kind, nullable in self.fields]
        return Summary(facts, ("output column", "type", "null"), fields)


# A text, a number, or a number after a text.
Shown = str | float | tuple[str, float]


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A model file as text for a person, safe to show on a terminal.

    Attributes
    ----------
    facts : tuple of (str, str or float)
        Names and values of what the model states besides its features.
    headers : tuple of str
    rows : tuple of tuple of Shown
        A cell for each header.
    numbers : tuple of int
        Which of the cells are numbers.
    features : int
        Number of features.
    """

    facts: tuple[tuple[str, Shown], ...]
    headers: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]
    numbers: tuple[int, ...]
    features: int


@dataclass(frozen=True, slots=True)
class ModelProblem:
    """One thing that is wrong with a model file: where (line and column from 1, else 0), and what."""

    place: str
    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """What was found in a model file.

    Attributes
    ----------
    version, digest, features
        The version of the file, the digest of the model and how many features it has; ``None`` if it is not valid.
    problems : tuple of ModelProblem
        Everything that is wrong, in the order of the text.
    error : LogitstreamError or None
        The error that says so; ``None`` if it is valid.
    """

    version: int | None = None
    digest: str | None = None
    features: int | None = None
    problems: tuple[ModelProblem, ...] = ()
    error: LogitstreamError | None = None


@dataclass(frozen=True, slots=True)
class UpgradedModel:
    """A model file that was rewritten: versions, digests, and whether a file was written."""

    before: int
    after: int
    digest_before: str
    digest_after: str
    written: bool


@dataclass(frozen=True, slots=True)
class Attribute:
    """A row of a scorecard: an interval, a level, a missing value, or a unit of a number.

    Attributes
    ----------
    feature, attribute : str
        As the model has them, not escaped.
    contribution : float or None
        What it adds to the raw prediction; ``None`` if a row with it has no score.
    points : float or None
        With its part of the constant, unless it is a unit of a number.
    """

    feature: str
    attribute: str
    contribution: float | None
    points: float | None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The points of each attribute of a model, in the order of the file.

    Attributes
    ----------
    facts : tuple of (str, str or float)
        Names and values of what holds for all attributes, for people.
    scale : mapping of str to (str or float)
        The scale as ``output.points`` of the model file states it, with its defaults.
    share : float
        The constant part that is in the points of each feature.
    attributes : tuple of Attribute
    """

    facts: tuple[tuple[str, str | float], ...]
    scale: Mapping[str, str | float]
    share: float
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Report(Tabular):
    """The outcome of a run that succeeded.

    ``published`` is False where nothing had to be done, because the same job is already published, and where nothing
    was done, because another run holds the output and the caller chose to skip; ``skipped`` names that run.
    ``started_unix`` is seconds since 1970. ``warnings`` name what probably makes scores meaningless.
    """

    plan: PlanSummary
    totals: Totals
    seconds: float
    peak_bytes: int
    published: bool
    manifest_digest: str
    notes: tuple[str, ...] = ()
    skipped: str = ""
    started_unix: float = 0.0
    warnings: tuple[FeatureWarning, ...] = ()

    @property
    def finished_unix(self) -> float:
        """When the run ended, in seconds since 1970."""
        return self.started_unix + self.seconds

    def _summary(self) -> Summary:
        totals = self.totals
        reason = self.skipped or "the same job is published already"
        rate = f", {format_count(round(totals.read / self.seconds))} rows/s" if self.published and self.seconds else ""
        facts = [
            ("output", self.plan.output),
            ("published", "yes" if self.published else f"no: {reason}"),
            ("rows", f"{format_count(totals.read)} read: {_counts(totals)}"),
            ("chunks", _chunks(totals)),
            ("time", f"{format_seconds(self.seconds)}{rate}"),
            ("peak memory", format_bytes(self.peak_bytes)),
            *event_facts(totals.events),
            *(("note", note) for note in self.notes),
            *(("warning", warning.text) for warning in self.warnings),
        ]
        return Summary(facts)


def event_facts(events: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return what was counted in the cells, as labels and texts: ``("missing values", "age 136, fare 2")``."""
    facts: dict[str, list[str]] = {}
    for event, count in sorted(events.items()):
        words = next((words for words in _EVENTS if event.startswith(f"{words} ")), "")
        what = _EVENTS[words] if words else escape(event)
        name = f"{escape(event.removeprefix(f'{words} '))} " if words else ""
        if count:
            facts.setdefault(what, []).append(f"{name}{format_count(count)}")
    return [(what, ", ".join(counts)) for what, counts in facts.items()]


def _counts(totals: Totals) -> str:
    counts = [("scored", totals.scored), ("null", totals.null), ("NaN", totals.nan)]
    counts += [("quarantined", totals.quarantined)] if totals.quarantined else []
    return ", ".join(f"{format_count(count)} {name}" for name, count in counts)


def _chunks(totals: Totals) -> str:
    carried = [("resumed", totals.resumed), ("reused", totals.reused)]
    return ", ".join([format_count(totals.chunks), *(f"{format_count(n)} {how}" for how, n in carried if n)])


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made; work begins."""

    summary: PlanSummary


@dataclass(frozen=True, slots=True)
class Progressed:
    """A chunk is done, or rows of a chunk under way were read.

    Attributes
    ----------
    totals : Totals
        Of the chunks that are done.
    input_bytes : int
        Bytes of input read so far, of ``PlanSummary.bytes_to_read``; those of chunks under way included.
    rows_under_way : int
        Rows read so far of chunks that are not done. On a cluster always 0.
    """

    totals: Totals
    input_bytes: int
    rows_under_way: int = 0

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return self.totals.read + self.rows_under_way


@dataclass(frozen=True, slots=True)
class Noted:
    """A sentence that a person should read, a warning where ``warning`` is set.

    With ``always`` it is shown even by a command that shows only results and errors.
    """

    text: str
    warning: bool = True
    always: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """The output is published under its name, and durable."""

    report: Report


@dataclass(frozen=True, slots=True)
class PassBegun:
    """A pass over the rows of files begins.

    Attributes
    ----------
    rows : int
        Rows that it will read, an estimate where ``rows_estimated`` is set.
    rows_estimated : bool
    bytes_to_read : int
    """

    rows: int
    rows_estimated: bool
    bytes_to_read: int


@dataclass(frozen=True, slots=True)
class PassReached:
    """How far a pass is: rows and bytes of input read so far, those of chunks under way included."""

    rows: int
    input_bytes: int


Event = Planned | Progressed | PassBegun | PassReached | Noted | Published


def log_text(event: Event) -> str:
    """Return what is logged about an event; empty for progress."""
    if isinstance(event, Planned):
        plan = event.summary
        return plan_text(escape(plan.output), plan.chunks, plan.resources, plan.scheduler)
    if isinstance(event, Published):
        report = event.report
        done = "published" if report.published else "not published anew"
        rows = f"{format_count(report.totals.read)} rows read, {_counts(report.totals)}"
        return f"{done} {escape(report.plan.output)}: {rows}, in {format_seconds(report.seconds)}"
    return event.text if isinstance(event, Noted) else ""


def plan_text(what: str, chunks: int, resources: Resources, scheduler: str) -> str:
    """Return what is logged when a job begins: ``planned out: 6 chunks, 2 workers on threads``."""
    if scheduler == "stream":
        return f"planned {what}: the blocks of a stream"
    workers = f"{format_count(resources.workers)} worker{'' if resources.workers == 1 else 's'} on "
    # How many workers a cluster has, it may not know itself yet.
    where = f"on {escape(scheduler)}" if is_cluster(scheduler) else f"{workers}{scheduler}"
    return f"planned {what}: {format_count(chunks)} chunk{'' if chunks == 1 else 's'}, {where}"


Observer = Callable[[Event], None]
