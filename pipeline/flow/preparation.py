"""Everything that is decided before the first row is read.

Inputs are found, their facts gathered, every file held against what the job needs; then come the plan, the resources
and the identities. Nothing is written, so ``logitstream plan`` and a real run refuse the same jobs with the same
words.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from pipeline import memory
from pipeline.canonical import digest
from pipeline.errors import DataError, StorageError
from pipeline.flow.demand import batch_share, demand_of, row_group_share, width_of
from pipeline.flow.facts import gather_facts
from pipeline.flow.jobfile import JobFile
from pipeline.flow.request import check_apart, check_request
from pipeline.flow.schema import ColumnNumbers, needs_of, output_schema, shape_of
from pipeline.memory import Demand
from pipeline.plan import Plan, identity_of, job_id, make_plan, part_digest, part_name
from pipeline.publish import Codec, check_output, check_sections, free_bytes
from pipeline.sinks import Merger, check_output_schema, codec_of, extension, open_merger
from pipeline.sources import THREADED_ROWS, discover, source_for
from pipeline.types.inputs import FileFacts, Need
from pipeline.types.job import Job
from pipeline.types.report import FileSummary, PlanSummary, Resources, Totals
from pipeline.units import escape, format_bytes, parse_bytes

CODEC = Codec(
    compressed=lambda stream: pa.CompressedOutputStream(stream, "zstd"),
    decompressed=lambda stream: pa.CompressedInputStream(stream, "zstd"),
)

_CLUSTER_WAVE = 1_024


@dataclass(frozen=True)
class Preparation:
    """A job that may start.

    Attributes
    ----------
    job : Job
    files : tuple of FileFacts
        In input order; their positions are the file numbers of the plan.
    needs : tuple of Need
        The features, then the kept columns.
    features : int
        How many of the needs are features.
    schema : pyarrow.Schema
        Of the output.
    plan : Plan
    demand : Demand
        What the plan takes of memory.
    resources : Resources
    meaning : str
        Digest of what the job does to a row.
    job_id : str
    stands : bool
        Whether this very job stands published already and need not be done again.
    notes : tuple of str
        Remarks for a person.
    """

    job: Job
    files: tuple[FileFacts, ...]
    needs: tuple[Need, ...]
    features: int
    schema: pa.Schema
    plan: Plan
    demand: Demand
    resources: Resources
    meaning: str
    job_id: str
    stands: bool
    notes: tuple[str, ...]

    @cached_property
    def inputs(self) -> list[object]:
        """The identities of the files, by file number."""
        return [identity_of(facts.file, facts.identity) for facts in self.files]

    @property
    def bytes_to_read(self) -> int:
        """Encoded bytes of the needed columns of Parquet files, and all bytes of the others."""
        return sum(self.bytes_of(facts) for facts in self.files)

    def bytes_of(self, facts: FileFacts) -> int:
        """Return the bytes of one file that are to be read."""
        if facts.file.format == "csv":
            return facts.identity.size
        return self._needed.encoded(facts)

    @cached_property
    def _needed(self) -> ColumnNumbers:
        return ColumnNumbers({need.name for need in self.needs})

    @property
    def least_output_bytes(self) -> int:
        """About what the output will take: made columns at their width, kept ones as they are encoded in the input."""
        kept = ColumnNumbers({need.name for need in self.needs[self.features :]})
        made = sum(width_of(field.type) for field in list(self.schema)[len(self.needs) - self.features :])
        encoded = sum(kept.encoded(facts) for facts in self.files)
        share = self.expected_rows / max(1, sum(facts.estimated_rows for facts in self.files))
        return int(made * self.expected_rows + encoded * share)

    @property
    def expected_rows(self) -> int:
        """Rows that will be read, as far as footers tell."""
        rows = sum(facts.estimated_rows for facts in self.files)
        return rows if self.job.limit is None else min(rows, self.job.limit)

    @property
    def merger(self) -> Merger | None:
        """What makes one file of the parts, ``None`` where the output is a folder."""
        if not names_a_file(self.job.output):
            return None
        rows = int(self.plan.group_rows.max()) if len(self.plan) else 1
        return open_merger(self.job.format, self.schema, rows, self.job.compression)

    @property
    def worker_share(self) -> int:
        """Bytes that the budget leaves to one worker, besides what a process takes before any row is read."""
        resources = self.resources
        share = (resources.allowed_bytes - resources.reserved_bytes) // max(1, resources.workers)
        return share if self.demand.threads_share_process else max(0, share - self.demand.reserved_bytes)

    def manifest(self, totals: Totals) -> dict[str, object]:
        """Return what the manifest states of this job, all of it decided by the inputs, the model and the options."""
        job = self.job
        return {
            "inputs": self.inputs,
            "plan": {
                "chunks": len(self.plan),
                "chunk_size": job.chunk_size,
                "chunk_rows": self.plan.chunk_rows,
                "limit": self.plan.limit,
            },
            "block": job.block.describe(),
            "options": {
                "keep": list(job.keep),
                "csv": asdict(job.csv),
                "format": job.format,
                "compression": job.compression,
                "arithmetic": job.arithmetic,
                "fingerprint": job.fingerprint,
            },
            "schema": [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in self.schema],
            "totals": {
                "read": totals.read,
                "written": totals.written,
                "scored": totals.scored,
                "null": totals.null,
                "nan": totals.nan,
                "quarantined": totals.quarantined,
                "bad": totals.bad,
                "events": dict(sorted(totals.events.items())),
            },
        }

    def part_digest(self, chunk: int) -> str:
        """Return the digest of what decides the bytes of a chunk's part."""
        return part_digest(self.plan.chunk(chunk), self.inputs, self.meaning)

    def part_name(self, chunk: int) -> str:
        """Return the name under which a chunk's part is published."""
        return part_name(chunk, self.part_digest(chunk), extension(self.job.format, self.job.compression))

    def job_file(self, staging: Path, file_mode: int) -> JobFile:
        """Return what a worker has to know."""
        return JobFile(
            files=tuple((facts.file, facts.identity) for facts in self.files),
            plan=self.plan,
            needs=self.needs,
            features=self.features,
            csv=self.job.csv,
            schema=self.schema,
            format=self.job.format,
            compression=self.job.compression,
            batch_rows=self.resources.batch_rows,
            batch_bytes=batch_share(self.demand, self.resources),
            column_threads=self.resources.column_threads,
            row_group_bytes=row_group_share(self.demand, self.resources),
            staging=str(staging),
            file_mode=file_mode,
            durable=self.job.conduct.durability == "full",
            bad_rows=self.job.max_bad.rows,
            retries=self.job.conduct.retries,
            arithmetic=self.job.arithmetic,
            block=self.job.block.describe(),
        )

    def summary(self) -> PlanSummary:
        """Return the plan in numbers that a person or a program reads."""
        plan = self.plan
        return PlanSummary(
            job_id=self.job_id,
            output=self.job.output,
            files=tuple(_file_summary(facts) for facts in self.files),
            rows=self.expected_rows,
            rows_estimated=any(facts.rows is None for facts in self.files),
            bytes_to_read=self.bytes_to_read,
            chunks=len(plan),
            chunk_rows=plan.chunk_rows,
            row_group_rows=int(plan.group_rows.max()) if len(plan) else 0,
            fields=tuple((f.name, str(f.type), f.nullable) for f in self.schema),
            resources=self.resources,
            scheduler=self.job.scheduler,
            notes=self.notes,
        )


def prepare(job: Job) -> Preparation:
    """Return the job, ready to start.

    Raises
    ------
    LogitstreamError
        Every reason for which the job cannot start, with its exit code: no input (66), a damaged file or a schema
        that does not fit (65), a contradiction in the request (2), no room in memory (71), an output that cannot be
        made (73).
    """
    check_request(job)
    # The default by its name: who writes it out asks for the same job.
    job = replace(job, compression=codec_of(job.format, job.compression))
    found = discover(job.inputs)
    check_apart(job, found.files)
    full = job.fingerprint == "full"
    files = gather_facts(found.files, lambda file: source_for(file.format, job.csv), full=full)
    features, kept = needs_of(job, files)
    needs = (*features, *kept)
    schema = output_schema(job, files, features, kept)
    check_output_schema(job.format, schema)
    _check_not_empty(job, files)
    plan = make_plan(
        files,
        chunk_size=job.chunk_size,
        limit=job.limit,
        output_row_bytes=_output_row_bytes(files, schema, len(kept)),
    )
    meaning = digest(_meaning(job, needs, schema))
    demand = demand_of(job, files, needs, schema, plan)
    preparation = Preparation(
        job=job,
        files=files,
        needs=needs,
        features=len(features),
        schema=schema,
        plan=plan,
        demand=demand,
        resources=_resources(job, files, demand, len(plan)),
        meaning=meaning,
        job_id="",
        stands=False,
        notes=_notes(job, found.skipped, plan, files),
    )
    check_sections(preparation.manifest(Totals()))
    identity = job_id(preparation.inputs, plan, {"meaning": meaning})
    standing = check_output(
        Path(job.output),
        identity,
        if_exists=job.if_exists,
        codec=CODEC,
        is_file=preparation.merger is not None,
        reuse=job.conduct.reuse,
    )
    return replace(preparation, job_id=identity, stands=standing is not None)


def names_a_file(output: str) -> bool:
    """Return whether the name of an output asks for one file rather than a folder of parts."""
    return output.endswith((".parquet", ".csv"))


def check_free_space(preparation: Preparation, done: int = 0) -> None:
    """Refuse a run whose output cannot fit, less the share of the chunks that are done.

    Raises
    ------
    StorageError
        With what is needed and what is free.
    """
    chunks = max(1, len(preparation.plan))
    needed = preparation.least_output_bytes * (chunks - done) // chunks
    if preparation.merger is not None:
        needed += preparation.least_output_bytes
    free = free_bytes(Path(preparation.job.output).absolute().parent)
    if needed > free:
        raise StorageError(
            f"{escape(preparation.job.output)}: the output takes about {format_bytes(needed)}, "
            f"{format_bytes(free)} are free there",
            "free some space, or choose another --output",
        )


def _check_not_empty(job: Job, files: Sequence[FileFacts]) -> None:
    if not job.allow_empty and all(_surely_empty(facts) for facts in files):
        raise empty_error()


def empty_error() -> DataError:
    """Return the error for a job whose inputs have no row."""
    return DataError("the inputs hold no rows", "if that is right, say --allow-empty")


def _surely_empty(facts: FileFacts) -> bool:
    """Return whether a file has no row; of a compressed CSV only reading tells."""
    if facts.rows is not None:
        return facts.rows == 0
    return facts.cuttable and facts.identity.size <= facts.data_start


def _meaning(job: Job, needs: Sequence[Need], schema: pa.Schema) -> dict[str, object]:
    """Return what decides the bytes of a row in the output, besides the row itself."""
    return {
        "block": job.block.describe() or uuid.uuid4().hex,
        "needs": [asdict(need) for need in needs],
        "csv": asdict(job.csv),
        "format": job.format,
        "compression": job.compression,
        "schema": schema.serialize().to_pybytes().hex(),
        "arithmetic": job.arithmetic,
    }


def _resources(job: Job, files: Sequence[FileFacts], demand: Demand, chunks: int) -> Resources:
    """Return workers and rows of a batch; on a cluster, what one thread of a worker takes."""
    allowed = parse_bytes(job.memory) if job.memory else memory.default_budget()
    if job.scheduler in {"threads", "processes"}:
        most = job.workers or memory.usable_cores()
        found = memory.choose_resources(demand, allowed, most, chunks)
        # Arrow has one pool for the whole process: it is used as it is, or, with more threads than are asked for, not.
        spare = job.scheduler == "threads" and found.workers < pa.cpu_count() <= most
        return replace(found, column_threads=spare and any(map(_pays_threads, files)))
    one = memory.choose_resources(demand, allowed, 1, chunks)
    return one if job.scheduler == "sync" else replace(one, wave=max(1, min(_CLUSTER_WAVE, chunks)))


def _pays_threads(facts: FileFacts) -> bool:
    return facts.file.format == "parquet" and (facts.rows or 0) >= THREADED_ROWS


def _output_row_bytes(files: Sequence[FileFacts], schema: pa.Schema, kept: int) -> list[float]:
    """Return for each file the decoded bytes of a row in the output, as its own facts tell."""
    widths = [width_of(field.type) for field in schema]
    names = schema.names[:kept]
    places: dict[object, list[int]] = {}
    found = []
    for facts in files:
        shape = shape_of(facts)
        numbers = places.get(shape)
        if numbers is None:
            held = {column.field.name: number for number, column in enumerate(facts.columns)}
            numbers = [held.get(name, -1) for name in names]
            if shape is not None:
                places[shape] = numbers
        found.append(sum((*(_kept_bytes(facts, *pair) for pair in zip(numbers, widths, strict=False)), *widths[kept:])))
    return found


def _kept_bytes(facts: FileFacts, number: int, width: float) -> float:
    """Return the decoded bytes of a value of a kept column, which stands in the path where it has no number."""
    if number < 0:
        return width
    if facts.rows:
        return max(facts.columns[number].decoded_bytes / facts.rows, 1.0)
    return facts.row_bytes / len(facts.columns)


def _file_summary(facts: FileFacts) -> FileSummary:
    return FileSummary(
        path=facts.file.path,
        format=facts.file.format,
        bytes=facts.identity.size,
        rows=facts.estimated_rows,
        estimated=facts.rows is None,
        row_groups=len(facts.group_rows),
    )


def _notes(job: Job, skipped: Sequence[str], plan: Plan, files: Sequence[FileFacts]) -> tuple[str, ...]:
    notes: list[str] = []
    if skipped:
        shown = ", ".join(escape(name) for name in skipped[:3])
        notes.append(f"skipped {len(skipped):,} files that are neither Parquet nor CSV: {shown}")
    if not job.keep:
        notes.append("no input columns are kept (--keep): the rows of the output are in input order")
    if job.limit is not None:
        notes.append(f"only the first {job.limit:,} rows are read (--limit)")
    if len(plan) == 1 and len(files) == 1 and len(files[0].group_rows) == 1 and files[0].estimated_rows > 1_000_000:
        notes.append("the input is one row group, which is never split: one worker scores all of it")
    return tuple(notes)
