"""Everything that is decided before the first row is read.

Inputs are found, their facts are gathered, and every file is checked against what the job needs; then come the plan,
the resources and the identities. Nothing is written, so ``logitstream plan`` and a real run refuse the same jobs with
the same words.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa

from pipeline.canonical import digest
from pipeline.dataclass import dataclass
from pipeline.errors import DataError, LogitstreamError, OutputError, StorageError
from pipeline.flow.logical import logical_notes, with_logical_types
from pipeline.flow.manifest import CODEC, Described, body, format_version
from pipeline.flow.request import check_apart, check_request
from pipeline.flow.schema import Fit, fit_files
from pipeline.flow.write import WriteSettings
from pipeline.plan import FORMAT_VERSION, Plan, job_id, make_plan, part_digest, part_name
from pipeline.publish import LOCAL, Attempts, check_sections
from pipeline.scan import (
    ColumnNumbers,
    HowToScan,
    PreparedScan,
    Record,
    StepCosts,
    discover,
    gather_facts,
    prepare_scan,
    row_group_share,
    settings_bytes,
    shape_of,
    width_of,
)
from pipeline.sinks import Merger, check_output_schema, codec_of, extension, open_merger
from pipeline.types.blocks import HasTiles, ReadsFiles
from pipeline.types.inputs import FileFacts
from pipeline.types.job import Job
from pipeline.types.report import PlanSummary, Totals
from pipeline.units import escape, format_bytes

# A file and a receipt for so few rows cost more than the rows: worth a note where there are many.
_MANY_CHUNKS, _FEW_ROWS = 1_000, 1_000
_ONLY_RESULTS = (
    "the output has only the results, in the order of the input rows; --keep COLUMN adds a column that tells rows apart"
)


@dataclass(frozen=True)
class Preparation:
    """A job that may start.

    Attributes
    ----------
    job : Job
    scan : PreparedScan
        Files, needs (the features, then the kept columns), plan and resources.
    fit : Fit
        What is read of each file, and what comes out.
    meaning : str
        Digest of what the job does to a row.
    job_id : str
    is_published : bool
        Whether this same job is already published and need not be done again.
    notes : tuple of str
        Remarks for a person.
    """

    job: Job
    scan: PreparedScan
    fit: Fit
    meaning: str
    job_id: str
    is_published: bool
    notes: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """The schema of the output."""
        return self.fit.schema

    @property
    def files(self) -> tuple[FileFacts, ...]:
        """The input files, in input order."""
        return self.scan.files

    @property
    def plan(self) -> Plan:
        """The chunks."""
        return self.scan.plan

    @property
    def least_output_bytes(self) -> int:
        """Estimated size of the output: made columns at their width, kept ones as they are encoded in the input."""
        kept = ColumnNumbers([need.name for need in self.fit.kept])
        made = sum(width_of(field.type) for field in list(self.schema)[len(self.fit.kept) :])
        encoded = sum(kept.encoded(facts) for facts in self.files)
        rows = self.scan.expected_rows
        share = rows / max(1, sum(facts.estimated_rows for facts in self.files))
        return int(made * rows + encoded * share)

    @property
    def merger(self) -> Merger | None:
        """What merges the parts into one file, ``None`` if the output is a folder."""
        if not names_a_file(self.job.output):
            return None
        rows = int(self.plan.group_rows.max()) if len(self.plan) else 1
        return open_merger(self.job.format, self.schema, rows, self.job.compression)

    def manifest(self, totals: Totals) -> dict[str, object]:
        """Return what the manifest says about this job; inputs, model and options decide all of it."""
        job = self.job
        return body(
            Described(
                inputs=self.scan.inputs,
                chunks=len(self.plan),
                chunk_size=job.chunk_size,
                chunk_rows=self.plan.chunk_rows,
                limit=self.plan.limit,
                block=job.block.describe(),
                keep=job.keep,
                absent=job.absent,
                rename=dict(job.rename),
                csv=job.csv,
                format=job.format,
                compression=job.compression,
                arithmetic=job.arithmetic,
                fingerprint=job.fingerprint,
                schema=self.schema,
            ),
            totals,
        )

    def part_digest(self, chunk: int) -> str:
        """Return the digest of everything that decides the bytes of a chunk's part."""
        return part_digest(self.plan.chunk(chunk), self.scan.inputs, self.meaning)

    def part_name(self, chunk: int) -> str:
        """Return the name that a chunk's part is published under."""
        return part_name(chunk, self.part_digest(chunk), extension(self.job.format, self.job.compression))

    def settings(self, attempts: Attempts | None = None) -> WriteSettings:
        """Return the settings of the step that writes; without ``attempts`` it can write no files."""
        job, scan = self.job, self.scan
        return WriteSettings(
            block=job.block.describe(),
            features=len(self.fit.features),
            schema=self.schema,
            format=job.format,
            compression=job.compression,
            row_group_bytes=row_group_share(scan.demand, scan.resources),
            arithmetic=job.arithmetic,
            attempts=None if attempts is None else attempts.describe(),
            beside=job.block.beside() if isinstance(job.block, ReadsFiles) else {},
        )

    def summary(self) -> PlanSummary:
        """Return the plan in numbers for a person or a program."""
        plan, scan = self.plan, self.scan
        return PlanSummary(
            job_id=self.job_id,
            output=self.job.output,
            files=scan.file_summaries,
            rows=scan.expected_rows,
            rows_estimated=any(facts.rows is None for facts in self.files),
            bytes_to_read=scan.bytes_to_read,
            chunks=len(plan),
            chunk_rows=plan.chunk_rows,
            row_group_rows=int(plan.group_rows.max()) if len(plan) else 0,
            fields=tuple((f.name, str(f.type), f.nullable) for f in self.schema),
            resources=scan.resources,
            scheduler=self.job.scheduler,
            chosen_by=self.job.cluster.chosen_by,
            notes=self.notes,
            csv=asdict(self.job.csv),
            lacking=self.fit.lacking,
            absent=self.job.absent,
            rename=dict(self.job.rename),
        )


def prepare(job: Job, *, staged: bool = True) -> Preparation:
    """Return the job, ready to start.

    With ``staged=False`` nothing will be written: the output is not looked at, and the job file travels with the work.

    Raises
    ------
    LogitstreamError
        Every reason for which the job cannot start, with its exit code: no input (66), a damaged file or a schema
        that does not fit (65), a contradiction in the request (2), no room in memory (71), an output that cannot be
        made (73).
    """
    check_request(job)
    # The default is named, so that a request that spells it out is the same job.
    job = replace(job, compression=codec_of(job.format, job.compression))
    found = discover(job.inputs)
    check_apart(job, found.files)
    full, anew = job.fingerprint == "full", not (staged and job.conduct.reuse)
    record = None if full or anew else Record.of(LOCAL.remembered(Path(job.output)))
    files = gather_facts(found.files, job.csv, full=full, record=record)
    fit = fit_files(job, files)
    if job.format == "parquet":
        fit = replace(fit, schema=with_logical_types(fit.schema, files, fit.kept))
    check_output_schema(job.format, fit.schema)
    _check_not_empty(job, files)
    plan = make_plan(
        files,
        chunk_size=job.chunk_size,
        limit=job.limit,
        output_row_bytes=_output_row_bytes(files, fit),
    )
    scan = prepare_scan(files, fit.needs, plan, job.csv, _costs(job, fit, staged=staged), _how(job))
    preparation = Preparation(
        job=job,
        scan=scan,
        fit=fit,
        meaning=digest(_meaning(job, fit)),
        job_id="",
        is_published=False,
        notes=(*found.notes, *logical_notes(fit.schema, files, fit.kept), *_notes(job, plan, files), *fit.notes),
    )
    check_sections(preparation.manifest(Totals()))
    preparation = replace(preparation, job_id=job_id(scan.inputs, plan, {"meaning": preparation.meaning}))
    return replace(preparation, is_published=_is_published(preparation)) if staged else preparation


def _is_published(preparation: Preparation) -> bool:
    """Return whether this same job is already published; raise if the output cannot be made."""
    job = preparation.job
    try:
        published = LOCAL.check_output(
            Path(job.output),
            preparation.job_id,
            if_exists=job.if_exists,
            codec=CODEC,
            is_file=preparation.merger is not None,
            reuse=job.conduct.reuse,
        )
    except OutputError as error:
        if _is_older(Path(job.output)):
            error.message += "; an older logitstream made it, whose answers may differ, so it is not taken as done"
        raise
    return published is not None


def _is_older(output: Path) -> bool:
    """Return whether an older logitstream, whose answers may differ, published an output."""
    try:
        return format_version(LOCAL.read_manifest(output)) < FORMAT_VERSION
    except LogitstreamError:
        return False


def names_a_file(output: str) -> bool:
    """Return whether the name of an output asks for one file rather than a folder of parts."""
    return output.endswith((".parquet", ".csv"))


def check_free_space(preparation: Preparation, done: int = 0) -> None:
    """Refuse a run whose output cannot fit on the disk; ``done`` chunks count as written.

    Raises
    ------
    StorageError
        With the bytes that are needed and those that are free.
    """
    chunks = max(1, len(preparation.plan))
    needed = preparation.least_output_bytes * (chunks - done) // chunks
    if preparation.merger is not None:
        needed += preparation.least_output_bytes
    free = LOCAL.free_bytes(Path(preparation.job.output).absolute().parent)
    if free is not None and needed > free:
        raise StorageError(
            f"{escape(preparation.job.output)}: the output takes about {format_bytes(needed)}, "
            f"but only {format_bytes(free)} are free there",
            "free some space, or choose another --output",
        )


def empty_error() -> DataError:
    """Return the error for a job whose inputs have no rows."""
    return DataError("the inputs have no rows", "use --allow-empty if that is expected")


def _check_not_empty(job: Job, files: Sequence[FileFacts]) -> None:
    if not job.allow_empty and all(_surely_empty(facts) for facts in files):
        raise empty_error()


def _surely_empty(facts: FileFacts) -> bool:
    """Return whether a file is known to have no row; a compressed CSV must be read first."""
    if facts.rows is not None:
        return facts.rows == 0
    return facts.cuttable and facts.identity.size <= facts.data_start


def _meaning(job: Job, fit: Fit) -> dict[str, object]:
    """Return everything that decides the bytes of a row in the output, except the row itself.

    How the needs stand in a file follows from the file and from the schema of the output, which has the new names, too.
    So files that have every column keep their parts where others begin to lack one.
    """
    return {
        "block": job.block.describe() or uuid.uuid4().hex,
        "needs": [{"name": need.name, "role": need.role, "type": need.type} for need in (*fit.features, *fit.kept)],
        "csv": asdict(job.csv),
        "format": job.format,
        "compression": job.compression,
        "schema": fit.schema.serialize().to_pybytes().hex(),
        "arithmetic": job.arithmetic,
    }


def _costs(job: Job, fit: Fit, *, staged: bool) -> StepCosts:
    return StepCosts(
        made_bytes=sum(width_of(field.type) for field in list(fit.schema)[len(fit.kept) :]),
        scratch_bytes=job.block.scratch_row_bytes,
        kept=tuple(need.name for need in fit.kept),
        writes=True,
        whole_chunk=job.block.whole_chunk,
        travels=not staged,
        table_bytes=job.block.table_bytes,
        step_bytes=job.block.call_bytes if isinstance(job.block, HasTiles) else 0,
        shared_bytes=0 if staged else settings_bytes(job.block.describe() or {}),
    )


def _how(job: Job) -> HowToScan:
    return HowToScan(
        memory=job.memory,
        workers=job.workers,
        scheduler=job.scheduler,
        cluster=job.cluster,
        retries=job.conduct.retries,
        bad_rows=job.max_bad.rows,
        command=job.command,
    )


def _output_row_bytes(files: Sequence[FileFacts], fit: Fit) -> list[float]:
    """Return for each file the decoded bytes of a row in the output, estimated from the facts of the file."""
    widths, kept = [width_of(field.type) for field in fit.schema], len(fit.kept)
    names = [need.name for need in fit.kept]
    positions: dict[object, list[int]] = {}
    found = []
    for facts in files:
        shape = shape_of(facts)
        numbers = positions.get(shape)
        if numbers is None:
            held = {column.field.name: number for number, column in enumerate(facts.columns)}
            numbers = [held.get(name, -1) for name in names]
            if shape is not None:
                positions[shape] = numbers
        found.append(sum((*(_kept_bytes(facts, *pair) for pair in zip(numbers, widths, strict=False)), *widths[kept:])))
    return found


def _kept_bytes(facts: FileFacts, number: int, width: float) -> float:
    """Return the decoded bytes of a value of a kept column; a negative number means that the file does not name it."""
    if number < 0:
        return width
    if facts.rows:
        return max(facts.columns[number].decoded_bytes / facts.rows, 1.0)
    return facts.row_bytes / len(facts.columns)


def _notes(job: Job, plan: Plan, files: Sequence[FileFacts]) -> tuple[str, ...]:
    notes: list[str] = []
    if not job.keep:
        notes.append(_ONLY_RESULTS)
    if job.limit is not None:
        notes.append(f"only the first {job.limit:,} rows are read (--limit)")
    if len(plan) == 1 and len(files) == 1 and len(files[0].group_rows) == 1 and files[0].estimated_rows > 1_000_000:
        notes.append("the input is one row group, which is never split: one worker scores all of it")
    rows = sum(facts.estimated_rows for facts in files)
    if len(plan) > _MANY_CHUNKS and rows < _FEW_ROWS * len(plan):
        notes.append(f"{len(plan):,} chunks of few rows: a larger --chunk-size makes fewer files, and is faster")
    return tuple(notes)
