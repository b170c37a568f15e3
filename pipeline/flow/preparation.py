"""Everything that is decided before the first row is read.

Inputs are found, their facts gathered, every file held against what the job needs; then come the plan, the resources
and the identities. Nothing is written, so ``logitstream plan`` and a real run refuse the same jobs with the same
words.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from pipeline import memory
from pipeline.errors import DataError, SchemaError, UsageError
from pipeline.flow.demand import batch_share, demand_of, width_of
from pipeline.flow.jobfile import JobFile
from pipeline.flow.request import check_apart, check_request
from pipeline.memory import Demand
from pipeline.plan import Plan, digest_of, identity_of, job_id, make_plan, part_digest, part_name
from pipeline.publish import Codec, check_output
from pipeline.sinks import check_output_schema, extension
from pipeline.sources import discover, source_for
from pipeline.types import (
    FileFacts,
    FileSummary,
    InputFile,
    Job,
    Need,
    PlanSummary,
    Resources,
    Source,
    Totals,
)
from pipeline.units import escape, parse_bytes

CODEC = Codec(
    compressed=lambda stream: pa.CompressedOutputStream(stream, "zstd"),
    decompressed=lambda stream: pa.CompressedInputStream(stream, "zstd"),
)

_CLUSTER_WAVE = 1_024
_PROBLEMS_SHOWN = 20
_FACT_READERS = 8


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
        names = {need.name for need in self.needs}
        return sum(column.encoded_bytes for column in facts.columns if column.field.name in names)

    @property
    def least_output_bytes(self) -> int:
        """About what the output will take: made columns at their width, kept ones as they are encoded in the input."""
        kept = {need.name for need in self.needs[self.features :]}
        made = sum(width_of(field.type) for field in list(self.schema)[len(self.needs) - self.features :])
        encoded = sum(c.encoded_bytes for facts in self.files for c in facts.columns if c.field.name in kept)
        share = self.expected_rows / max(1, sum(facts.estimated_rows for facts in self.files))
        return int(made * self.expected_rows + encoded * share)

    @property
    def expected_rows(self) -> int:
        """Rows that will be read, as far as footers tell."""
        rows = sum(facts.estimated_rows for facts in self.files)
        return rows if self.job.limit is None else min(rows, self.job.limit)

    def manifest(self, totals: Totals) -> dict[str, object]:
        """Return what the manifest states of this job, all of it decided by the inputs, the model and the options."""
        job = self.job
        return {
            "inputs": self.inputs,
            "plan": {"chunks": len(self.plan), "chunk_rows": self.plan.chunk_rows, "limit": self.plan.limit},
            "block": job.block.describe(),
            "options": {
                "keep": list(job.keep),
                "csv": asdict(job.csv),
                "format": job.format,
                "compression": job.compression,
                "arithmetic": job.arithmetic,
            },
            "schema": [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in self.schema],
            "totals": {
                "read": totals.read,
                "written": totals.written,
                "scored": totals.scored,
                "null": totals.null,
                "nan": totals.nan,
                "quarantined": totals.quarantined,
                "events": dict(sorted(totals.events.items())),
            },
        }

    def part_name(self, chunk: int) -> str:
        """Return the name under which a chunk's part is published."""
        digest = part_digest(self.plan.chunk(chunk), self.inputs, self.meaning)
        return part_name(chunk, digest, extension(self.job.format, self.job.compression))

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
            staging=str(staging),
            file_mode=file_mode,
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
    found = discover(job.inputs)
    check_apart(job, found.files)
    files = gather_facts(found.files, lambda file: source_for(file.format, job.csv))
    features = tuple(replace(need, type=_declared(job, need.name)) for need in job.block.columns())
    kept = tuple(Need(name, "kept", _declared(job, name)) for name in _kept_names(job, files))
    needs = (*features, *kept)
    _check_types(job, needs)
    schema = _output_schema(job, files, features, kept)
    check_output_schema(job.format, schema)
    _check_not_empty(job, files)
    plan = make_plan(
        files,
        chunk_size=job.chunk_size,
        limit=job.limit,
        output_row_bytes=[_output_row_bytes(facts, schema, len(kept)) for facts in files],
    )
    meaning = digest_of(_meaning(job, needs, schema))
    demand = demand_of(job, files, needs, schema, plan)
    preparation = Preparation(
        job=job,
        files=files,
        needs=needs,
        features=len(features),
        schema=schema,
        plan=plan,
        demand=demand,
        resources=_resources(job, demand, len(plan)),
        meaning=meaning,
        job_id="",
        notes=_notes(job, found.skipped, plan, files),
    )
    identified = replace(preparation, job_id=job_id(preparation.inputs, plan, {"meaning": meaning}))
    check_output(Path(job.output), identified.job_id, if_exists=job.if_exists, codec=CODEC)
    return identified


def gather_facts(files: Sequence[InputFile], source: Callable[[InputFile], Source]) -> tuple[FileFacts, ...]:
    """Return the facts of every file, in order; the first damaged file in input order is the one that is named."""
    with ThreadPoolExecutor(min(_FACT_READERS, max(1, len(files))), "logitstream-facts") as pool:
        return tuple(pool.map(lambda file: source(file).facts(file), files))


def _check_types(job: Job, needs: Sequence[Need]) -> None:
    read = {need.name for need in needs}
    for name, type_ in job.csv.types:
        if name not in read:
            raise UsageError(
                f"--type {escape(name)}={escape(type_)}: the job reads no column of that name",
                "correct the name, keep the column (--keep), or leave the type out",
            )


def _declared(job: Job, name: str) -> str | None:
    return dict(job.csv.types).get(name)


def _all_names(files: Sequence[FileFacts]) -> Iterable[str]:
    """Return every column of every file: one that only a later file has is a difference, not to be dropped."""
    with_columns = [facts for facts in files if facts.columns] or files[:1]
    for facts in with_columns:
        yield from (column.field.name for column in facts.columns)
        yield from (name for name, _ in facts.file.partitions)


def _kept_names(job: Job, files: Sequence[FileFacts]) -> tuple[str, ...]:
    names = job.keep
    if "*" in names:
        names = tuple(dict.fromkeys((*_all_names(files), *(name for name in job.keep if name != "*"))))
    made = {field.name for field in job.block.fields()}
    for position, name in enumerate(names):
        if name in made:
            raise UsageError(
                f"--keep {escape(name)}: the output has a column of that name already, made by this job",
                "rename the input column, or leave it out of --keep",
            )
        if name in names[:position]:
            raise UsageError(f"--keep {escape(name)}: named twice", "name each column once")
    return names


def _output_schema(job: Job, files: Sequence[FileFacts], features: Sequence[Need], kept: Sequence[Need]) -> pa.Schema:
    """Return the schema of the output, after every file was held against what the job needs.

    Raises
    ------
    SchemaError
        With every difference of every file.
    """
    problems: list[str] = []
    standing: dict[str, tuple[pa.Field, str]] = {}
    for facts in files:
        if facts.file.format == "csv" and not facts.columns:
            continue
        name = escape(facts.file.path)
        problems += (f"{name}: {problem}" for problem in _unfit(job, facts, features, kept))
        source = source_for(facts.file.format, job.csv)
        for need in kept:
            try:
                field = source.field(facts, need)
            except LookupError as error:
                problems.append(f"{name}: {error.args[0]}")
                continue
            first, where = standing.setdefault(need.name, (field, name))
            if first.type != field.type:
                problems.append(f"{name}: column '{escape(need.name)}' is {field.type}, in {where} it is {first.type}")
            elif field.nullable and not first.nullable:
                standing[need.name] = (field, where)
    if problems:
        raise SchemaError(_listed(problems), _schema_remedy(files))
    fields = [standing[need.name][0] if need.name in standing else pa.field(need.name, pa.string()) for need in kept]
    fields += [pa.field(f.name, f.type, nullable=f.nullable) for f in job.block.fields()]
    return pa.schema([field.remove_metadata() for field in fields])


def _unfit(job: Job, facts: FileFacts, features: Sequence[Need], kept: Sequence[Need]) -> Iterable[str]:
    names = {column.field.name for column in facts.columns} - {need.name for need in (*features, *kept)}
    for name, _ in facts.file.partitions:
        # of a column that is needed its source says so
        if name in names:
            yield f"column '{escape(name)}' stands in the file and in its path"
    source = source_for(facts.file.format, job.csv)
    fields = []
    for need in features:
        try:
            fields.append(source.field(facts, need))
        except LookupError as error:
            yield str(error.args[0])
            # one that fits, so that the others are judged all the same
            fields.append(pa.field(need.name, pa.float64() if need.role == "numeric" else pa.string()))
    yield from job.block.check(fields)


def _schema_remedy(files: Sequence[FileFacts]) -> str:
    remedy = "mend the files, or name other columns"
    if any(facts.file.format == "csv" for facts in files):
        remedy += (
            "; of a CSV, --delimiter says what separates its fields, --columns names them where there is no header,"
            " and --type NAME=TYPE is the type of a kept one"
        )
    return remedy


def _listed(problems: Sequence[str]) -> str:
    unique = list(dict.fromkeys(problems))
    shown = [f"  {problem}" for problem in unique[:_PROBLEMS_SHOWN]]
    if len(unique) > _PROBLEMS_SHOWN:
        shown.append(f"  and {len(unique) - _PROBLEMS_SHOWN:,} more")
    return "\n".join(["the inputs do not fit the job:", *shown])


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


def _resources(job: Job, demand: Demand, chunks: int) -> Resources:
    """Return workers and rows of a batch; on a cluster, what one thread of a worker takes."""
    allowed = parse_bytes(job.memory) if job.memory else memory.default_budget()
    if job.scheduler == "threads":
        return memory.choose_resources(demand, allowed, job.workers or memory.usable_cores(), chunks)
    one = memory.choose_resources(demand, allowed, 1, chunks)
    return one if job.scheduler == "sync" else replace(one, wave=max(1, min(_CLUSTER_WAVE, chunks)))


def _output_row_bytes(facts: FileFacts, schema: pa.Schema, kept: int) -> float:
    """Return the decoded bytes of a row in the output, as the facts of its own file tell."""
    columns = {column.field.name: column for column in facts.columns}
    total = 0.0
    for position, field in enumerate(schema):
        column = columns.get(field.name) if position < kept else None
        if column is not None and facts.rows:
            total += max(column.decoded_bytes / facts.rows, 1.0)
        elif column is not None:
            total += facts.row_bytes / len(columns)
        else:
            total += width_of(field.type)
    return total


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
        notes.append("the input is one row group, which is never split: one worker does all the work")
    return tuple(notes)
