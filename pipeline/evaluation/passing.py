"""One pass over the rows of files: the step that adds up a chunk, and what all chunks add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.canonical import digest
from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError, ConfigurationError, UsageError
from pipeline.evaluation.counting import MERGED_TABLES, tile_bytes
from pipeline.evaluation.features import judge_of_scan, judged_features
from pipeline.evaluation.job import EvaluationJob, arithmetic_here
from pipeline.evaluation.names import LEAST_ROOM, ROOMS_OF_A_WORKER, ROOMS_OF_TOTALS, NamesBudget
from pipeline.evaluation.reading import EvaluatedColumns, EvaluationReader
from pipeline.evaluation.scoring import both_columns
from pipeline.evaluation.states import TILE_ROWS
from pipeline.evaluation.terms import EvaluationTerms
from pipeline.evaluation.tiles import tile_rows
from pipeline.evaluation.totals import ChunkTotals, EvaluationTotals, totals_bytes, whole_bytes
from pipeline.fitting.first_pass.dividing import ColumnComparison, parse_holdout, unfit_comparison
from pipeline.fitting.first_pass.hashing import is_hashable
from pipeline.logs import log_notes
from pipeline.models import restore
from pipeline.plan import make_plan
from pipeline.scan import (
    ChunkContext,
    PassAccounts,
    PreparedScan,
    ReduceTree,
    StepCosts,
    Survey,
    arrow_type,
    discover,
    gather_facts,
    open_scan,
    prepare_scan,
    read_rows,
    settings_bytes,
    shape_of,
    worker,
)
from pipeline.types.blocks import HasTiles
from pipeline.types.features import FeatureCounts
from pipeline.types.inputs import CsvOptions, FileFacts
from pipeline.types.report import Noted, Observer
from pipeline.types.work import Outcome
from pipeline.units import escape

_FLOAT = 8
# Payloads that wait for each worker: those of a CSV until the chunk before them is confirmed.
_WAITING = 4
_MISLED = 4
_END = "nothing was measured"
_SHARE_WITH_NAMES = 7 / 8
# What was read is the sum of these.
_ACCOUNTS = ("used", "not_held_out", "dropped", "bad", "without_target")


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedRows:
    """What a pass found, or several passes together.

    Attributes
    ----------
    terms : EvaluationTerms
    totals : EvaluationTotals
    read, bad, set_aside : int
        How many rows were read, how many of them are bad, and how many a model sets aside.
    data : tuple of str
        A digest of each file.
    notes : tuple of str
        How the files differ, in words for a person.
    warnings : tuple of str
        What makes scores doubtful: a feature of which a model does not know many values.
    """

    terms: EvaluationTerms
    totals: EvaluationTotals
    read: int
    bad: int
    set_aside: int
    data: tuple[str, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> dict[str, int]:
        """The accounts, of which some add up to what was read; the last ones are parts of what was dropped."""
        counts = self.totals.counts
        return {
            "read": self.read,
            "used": self.totals.whole.rows,
            "not_held_out": counts["not_held_out"],
            "dropped": self.set_aside + counts["without_score"],
            "bad": self.bad,
            "without_target": counts["without_target"],
            "set_aside": self.set_aside,
            "without_score": counts["without_score"],
        }

    @property
    def is_balanced(self) -> bool:
        """Whether every row that was read is in one account."""
        return self.read == self._booked

    @property
    def _booked(self) -> int:
        rows = self.rows
        return sum(rows[name] for name in _ACCOUNTS)

    def require_balance(self) -> None:
        """Raise a ``BalanceError`` unless every row that was read is in one account."""
        if not self.is_balanced:
            raise BalanceError(f"{self.read:,} rows were read, but {self._booked:,} are in the accounts")


def evaluate_chunk(context: ChunkContext) -> Outcome[EvaluationTotals]:
    """Return what the rows of a chunk add up to: the step."""
    reader = context.once("reader", reader_of)
    chunk = ChunkTotals(reader.terms, reader.names)
    for batch in context.batches():
        if batch.data.num_rows:
            reader.add(batch, context.job.files[batch.file][0], context.needs(batch.file), chunk)
    return context.outcome(chunk.done())


def reader_of(settings: Mapping[str, Any]) -> EvaluationReader:
    """Return what reads batches in this process, after it was checked that scores have the bits of the driver here."""
    blocks = tuple(both_columns(restore(each, settings["beside"])) for each in settings["blocks"])
    if (here := arithmetic_here(blocks, settings["precision"])) != settings["arithmetic"]:
        raise ConfigurationError(
            f"worker {worker()} computes with {', '.join(here)}, but the driver with "
            f"{', '.join(settings['arithmetic'])}: the bits would differ",
            "use workers with one kind of CPU, one numpy and one logitstream",
        )
    terms = EvaluationTerms.of(settings["terms"])
    missing, decimal, precision = (settings[name] for name in ("missing_target", "decimal", "precision"))
    nulls, times = (tuple(settings[name]) for name in ("nulls", "times"))
    names = None if settings["names"] is None else NamesBudget(**settings["names"])
    return EvaluationReader(blocks, terms, missing, decimal, precision, nulls, times, names)


def prepare_evaluation(job: EvaluationJob) -> tuple[EvaluationJob, PreparedScan, tuple[str, ...]]:
    """Return the job with what its inputs add, a scan that can start, and notes for a person; no row is read.

    Raises
    ------
    LogitstreamError
        Every reason for which it cannot start, with its exit code.
    """
    found = discover(job.inputs)
    files = gather_facts(found.files, job.csv, full=job.full_fingerprint)
    job = replace(job, times=tuple(name for name in job.terms.group_columns if _is_time(name, files, job.csv)))
    columns = EvaluatedColumns.of(job.blocks, job.terms, job.times)
    survey = Survey.of(files, columns.needs, columns.kept, job.csv)
    surveyed = survey.compared(lambda fields: columns.unfit(job.blocks, fields), job.absent)
    _check_held_out(job, files, {field.name: field.type for field in surveyed.fields})
    plan = make_plan(files, chunk_size=job.chunk_size, limit=job.limit)
    # The lines at the ends of a CSV may be longer than the others, so that it has more rows than they let expect.
    most, rows = plan.most_rows(), _MISLED * sum(facts.estimated_rows for facts in files) + TILE_ROWS
    costs = _costs(job, rows if most is None else most, rows, waiting=_WAITING if most is None else 1)
    scan = prepare_scan(files, surveyed.needs, plan, job.csv, costs, job.how)
    job = replace(job, names=NamesBudget(_least_room(job.terms), _process_bytes(scan)))
    return job, scan, (*found.notes, *surveyed.notes, *scan.how.notes)


def _process_bytes(scan: PreparedScan) -> int:
    """Return what a process may take while names of groups become more; the rest of its share is left to batches."""
    resources, processes = scan.resources, 1
    if not scan.demand.threads_share_process:
        processes += resources.workers
    return int(_SHARE_WITH_NAMES * resources.allowed_bytes / processes)


def _is_time(name: str, files: Sequence[FileFacts], csv: CsvOptions) -> bool:
    """Return whether a column is a time in any file, or is declared to be one."""
    declared = [arrow_type(type_) for column, type_ in csv.types if column == name]
    distinct = {shape_of(facts) or id(facts): facts for facts in files}.values()
    stored = (each.field.type for facts in distinct for each in facts.columns if each.field.name == name)
    return any(pa.types.is_temporal(type_) for type_ in (*declared, *stored))


def evaluate_rows(job: EvaluationJob, observe: Observer | None = None) -> EvaluatedRows:
    """Return what all rows add up to, with the same bits on every scheduler and with any number of workers.

    ``observe`` is told how far the pass is.

    Raises
    ------
    BadCellsError
        There are more bad rows than may be.
    DataError
        A column of groups has too many values; more values of a feature are unseen, or missing, than may be.
    MemoryBudgetError
        The names of groups take more than the budget leaves.
    LogitstreamError
        As :func:`prepare_evaluation`.
    """
    job, prepared, notes = prepare_evaluation(job)
    log_notes("evaluate", [prepared.log_text(f"an evaluation of {escape(job.terms.target)}")])
    accounts, totals = PassAccounts(prepared, job.max_bad), EvaluationTotals.empty(job.terms, job.names)
    # Which spellings are kept depends on the order in which counts are added; what rows add up to does not.
    features: ReduceTree[FeatureCounts] = ReduceTree(len(prepared.plan), FeatureCounts.plus)

    def confirm(outcome: Outcome[EvaluationTotals]) -> None:
        features.add(outcome.chunk, outcome.features)
        if outcome.payload is not None:
            totals.merge(outcome.payload)

    tell = observe or _nobody
    with np.errstate(all="ignore"):
        with open_scan(prepared, job.settings(), note=partial(_warn, tell), show=tell) as scan:
            read_rows(scan, evaluate_chunk, accounts, confirm, end=_END, observe=observe)
        data, counts = tuple(map(file_digest, prepared.files)), (accounts.read, accounts.bad, accounts.set_aside)
        counted, judge = features.total() or FeatureCounts(), judge_of_scan(prepared, *job.judged_by)
        warnings = judged_features(job.blocks, counted, judge, tell, _END)
    found = EvaluatedRows(job.terms, totals, *counts, data, notes, warnings)
    found.require_balance()
    return found


def _nobody(_: object) -> None:
    """Tell nobody."""


def _warn(observe: Observer, text: str) -> None:
    log_notes("evaluate", (), [text])
    observe(Noted(text))


def file_digest(facts: FileFacts) -> str:
    """Return the SHA-256 of the identity of a file; when it was changed does not count."""
    return digest(_identity(facts))


def _check_held_out(job: EvaluationJob, files: Sequence[FileFacts], types: Mapping[str, pa.DataType]) -> None:
    """Refuse rows of which it cannot be known whether a fit held them out."""
    if job.fitted is not None and job.fitted != data_digest(files):
        raise UsageError(
            "the rows that were held out are known by their places in the files that the model was fitted to, and "
            "these are other files",
            "evaluate those files, or fit with --key, or with a comparison as --holdout",
        )
    for name, type_ in types.items():
        if name == job.terms.key and not is_hashable(type_):
            raise UsageError(
                f"column {escape(name)} is {escape(str(type_))}, whose values cannot be compared", "leave --rows out"
            )
        comparison = None if job.terms.holdout is None else parse_holdout(job.terms.holdout)
        compared = comparison if isinstance(comparison, ColumnComparison) and comparison.column == name else None
        if compared is not None and (reason := unfit_comparison(compared, type_)):
            raise UsageError(f"column {escape(name)} {reason}", "evaluate files like those of the fit")


def data_digest(files: Sequence[FileFacts]) -> str:
    """Return the digest of files that a model file has of those that it was fitted to."""
    return digest([_identity(facts) for facts in files])


def _identity(facts: FileFacts) -> list[object]:
    return [facts.file.path, facts.identity.size, facts.identity.digest, facts.identity.content]


def _costs(job: EvaluationJob, chunk_rows: int, all_rows: int, waiting: int) -> StepCosts:
    terms = job.terms
    outputs = 1 if len(terms.classes) == 2 else len(terms.classes)
    models = max(1, len(job.blocks))
    # Scores, probabilities and losses; the class, the weight, and groups.
    row = models * (2 * outputs + 1) + 1 + (terms.weight is not None) + len(terms.group_columns)
    of_tile = min(tile_rows(_FLOAT * row), chunk_rows)
    payload, fewer = totals_bytes(terms, chunk_rows), _fewer(terms)
    costs = StepCosts(
        scratch_bytes=_FLOAT * 2 * row + sum(block.scratch_row_bytes for block in job.blocks),
        payload_bytes=payload,
        fewer_payloads=fewer,
        fewer_sums=fewer,
        waiting=waiting,
        travels=True,
        shared_bytes=settings_bytes(job.settings()),
        table_bytes=sum(block.table_bytes for block in job.blocks),
        # Those of all chunks, and what they become while a payload is added, one group after the other.
        totals_bytes=2 * totals_bytes(terms, all_rows) + whole_bytes(terms, all_rows),
        # A chunk of one tile has one table; with more tiles, one is added to another.
        step_bytes=(payload if chunk_rows <= of_tile and not terms.by else MERGED_TABLES * payload)
        + _FLOAT * of_tile * row * (2 if terms.by else 1)
        + tile_bytes(of_tile)
        + sum(block.call_bytes for block in job.blocks if isinstance(block, HasTiles)),
    )
    room = _least_room(terms)
    return replace(
        costs,
        payload_bytes=costs.payload_bytes + room,
        totals_bytes=costs.totals_bytes + ROOMS_OF_TOTALS * room,
        step_bytes=costs.step_bytes + ROOMS_OF_A_WORKER * room,
    )


def _least_room(terms: EvaluationTerms) -> int:
    return LEAST_ROOM * len(terms.by)


def _fewer(terms: EvaluationTerms) -> str:
    """Return what makes totals smaller."""
    options = ["make fewer groups (--by, --max-groups)"] if terms.by else []
    options += ["evaluate one model"] if len(terms.models) > 1 else []
    return ", or ".join(options) or "lower --chunk-size"
