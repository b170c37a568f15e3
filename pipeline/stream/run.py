"""A stream of blocks, from the first block to the published output."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Unpack, cast

import pyarrow as pa

from pipeline import memory
from pipeline.canonical import digest
from pipeline.choices import IF_EXISTS, PRECISION, Format, IfExists
from pipeline.dataclass import dataclass
from pipeline.errors import SchemaError, UsageError
from pipeline.flow.manifest import CODEC, Described, body, observed
from pipeline.flow.naming import output_names
from pipeline.flow.preparation import names_a_file
from pipeline.interface import conduct_of, format_of, renaming_of
from pipeline.kernels import arithmetic_tag
from pipeline.logs import logged
from pipeline.options import ConductOptions, StreamOptions, check_names, completed, documented
from pipeline.plan import row_group_rows
from pipeline.publish import LOCAL, Busy, Manifest, Staging
from pipeline.scan import Clock, Stop, width_of
from pipeline.sinks import check_output_schema, codec_of, open_merger
from pipeline.stream.blocks import REMEDY, Block, blocks_of, refuse_single
from pipeline.stream.function import BATCH_ROWS, FunctionLike, Made, StreamFunction, function_of
from pipeline.stream.parts import PartWriter
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import Conduct
from pipeline.types.report import (
    Event,
    Noted,
    Observer,
    Planned,
    PlanSummary,
    Progressed,
    Published,
    Report,
    Resources,
    Totals,
    log_text,
)
from pipeline.units import escape, names_of

_AGAIN = "run it again from its beginning: a stream cannot be resumed"


@documented(StreamOptions, chunk_size="Rows of each file of the output.")
def transform_stream(
    blocks: Iterable[Any], function: FunctionLike, output: str | os.PathLike[str], **options: Unpack[StreamOptions]
) -> Report:
    """Apply a function to the blocks of your generator and publish the result in one step.

    When this returns, every row of the generator is published, verified and durable. If an error is raised, whatever
    was under ``output`` before is still there. Blocks are taken one at a time, in this thread, and are not held longer
    than it takes to write their rows: memory is that of a block, a batch of 65,536 rows and a row group of the output.
    The parts depend only on the rows, not on how they were cut into blocks.

    Nobody knows in advance what a generator will give, so a run cannot be resumed and reuses nothing: after an error,
    start again from the beginning. What the run had prepared is removed at once. The generator is always closed. It may
    fill the same array again for the next block.

    Parameters
    ----------
    blocks : iterable
        NumPy arrays of shape (rows,) or (rows, columns), Arrow record batches or tables, dataframes (anything with
        ``__arrow_c_stream__``), or mappings from names to arrays. All blocks must have the kind, columns and types of
        the first. The columns of arrays are called ``x``, or ``x0``, ``x1`` ..., unless ``names`` is given.
    function : str, sequence of str or callable
        Texts such as ``"p=sigmoid(x, temperature=2)"``; or the name of one function, for every column that is not
        kept (``sigmoid_x0``, ``sigmoid_x1`` ...); or a callable. It gets each block as it came, a table as one record
        batch, and returns an array of shape (rows,) (column ``y``), of shape (rows, n) (``y0``, ``y1`` ...), or a
        mapping from names to arrays of shape (rows,). It may write into the array that it gets: kept columns are taken
        before.
    output : path
        A folder, or a file if the name ends in ``.parquet`` or ``.csv``.
    **options : StreamOptions

    Raises
    ------
    UsageError
        There is no such function, an option has a value that it cannot have, or two output columns have one name.
    TypeError
        There is no option of that name, or an argument is not what it must be.
    SchemaError
        A block is text, ragged, or has another shape, columns or type than the first; or a function does not give one
        value for each row. The message has the number of the block, what was expected and what came.
    DataError
        The stream has no rows.
    BadCellsError
        Float64 cannot hold a cell exactly.
    LogitstreamError
        Nothing was published, as with :func:`pipeline.transform`. Errors of the generator or the callable are raised
        unchanged, with a note that names the block, and its rows if the callable failed.
    """
    refuse_single(blocks)
    stream = iter(blocks)
    with closing(_Closing(stream)):
        job = _StreamJob.of(function, os.fspath(output), options)
        return _run(job, stream, logged("run", options.get("observe") or _unobserved, log_text))


class _Closing:
    """Closes an iterator that can be closed."""

    def __init__(self, stream: Iterator[Any]) -> None:
        self._stream = stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


def _unobserved(_: Event) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class _StreamJob:
    """What a caller asks for."""

    function: StreamFunction
    output: str
    names: tuple[str, ...] | None
    keep: tuple[str, ...]
    rename: tuple[tuple[str, str], ...]
    part_rows: int
    format: Format
    compression: str
    if_exists: IfExists
    conduct: Conduct
    arithmetic: str
    job_id: str

    @classmethod
    def of(cls, function: FunctionLike, output: str, options: StreamOptions) -> _StreamJob:
        """Return the job; check everything that needs no block."""
        check_names(options, StreamOptions)
        asked = completed(options)
        if_exists = IF_EXISTS.check(asked["if_exists"])
        part_rows = asked["chunk_size"]
        if not isinstance(part_rows, int) or isinstance(part_rows, bool) or part_rows < 1:
            raise UsageError(f"chunk_size {part_rows!r}: for a stream it must be a number of rows, at least 1")
        format_ = format_of(output, asked["format"])
        precision = PRECISION.check(asked["precision"])
        names = asked["names"]
        job = cls(
            function=function_of(function, float32=asked["float32"], precision=precision),
            output=output,
            names=None if names is None else names_of(names),
            keep=names_of(asked["keep"]),
            rename=renaming_of(asked["rename"]),
            part_rows=part_rows,
            format=format_,
            compression=codec_of(format_, asked["compression"]),
            if_exists=if_exists,
            conduct=conduct_of(cast("ConductOptions", asked)),
            arithmetic=arithmetic_tag(precision),
            job_id=digest(["stream", uuid.uuid4().hex]),
        )
        if job.names is not None and len(set(job.names)) != len(job.names):
            raise UsageError(f"names: {', '.join(map(repr, job.names))}: two columns have the same name")
        if names_a_file(output):
            open_merger(format_, pa.schema([]), 1, job.compression)
        LOCAL.check_output(Path(output), job.job_id, if_exists=if_exists, codec=CODEC, is_file=names_a_file(output))
        return job


def _run(job: _StreamJob, stream: Iterator[Any], observe: Observer) -> Report:
    clock = Clock(Stop(), job.conduct.deadline_seconds, _AGAIN)
    pieces = _pieces(job, stream, clock)
    # The first rows decide what the output looks like; before that there is nothing to stage.
    first = next(pieces)
    schema = _schema(first, job.rename)
    check_output_schema(job.format, schema)
    group_rows = min(row_group_rows(sum(width_of(field.type) for field in schema)), job.part_rows)
    summary = _summary(job, schema, group_rows)
    observe(Planned(summary))
    merge = open_merger(job.format, schema, group_rows, job.compression) if names_a_file(job.output) else None
    with LOCAL.open_staging(
        Path(job.output),
        job.job_id,
        if_exists=job.if_exists,
        codec=CODEC,
        conduct=job.conduct,
        while_waiting=clock.check,
        merge=merge,
    ) as staging:
        if isinstance(staging, Busy):
            return _skipped(summary, staging, time.monotonic() - clock.started, observe)
        assert not isinstance(staging, Manifest)
        try:
            report = _published(
                job, staging, chain([first], pieces), schema, len(first.made.fields), summary, clock, observe
            )
        except BaseException:
            # It cannot be resumed.
            staging.discard()
            raise
    observe(Published(report))
    return report


@dataclass(frozen=True, slots=True)
class _MadeRows:
    """Rows on their way to the output: kept columns and results; with the last of a block, the rows of the block."""

    made: Made
    number: int
    block_rows: int

    def fields(self) -> list[pa.Field]:
        return [*self.made.kept.schema, *self.made.fields]


def _pieces(job: _StreamJob, stream: Iterator[Any], clock: Clock) -> Iterator[_MadeRows]:
    """Yield the results for the stream; a block without rows gives none."""
    keep: Sequence[str] | None = None
    for block in blocks_of(stream, job.names):
        clock.check()
        keep = _kept(job, block) if keep is None else keep
        for made in job.function.of(block, keep):
            ended = block.rows if made.stop == block.rows else 0
            yield _MadeRows(made, block.number, ended)


def _kept(job: _StreamJob, block: Block) -> list[str]:
    there = block.schema.names
    names = there if job.keep == ("*",) else list(job.keep)
    for name in names:
        if name not in there:
            raise UsageError(
                f"keep: the stream has no column {escape(name)}; there are {escape(', '.join(there), 300)}"
            )
        if names.count(name) > 1:
            raise UsageError(f"keep: {escape(name)} is named twice", "name each column once")
    return names


def _schema(piece: _MadeRows, rename: Sequence[tuple[str, str]]) -> pa.Schema:
    kept, made = piece.made.kept.schema.names, [field.name for field in piece.made.fields]
    if not rename and (repeated := sorted(set(kept).intersection(made))):
        raise UsageError(
            f'two columns of the output are called "{escape(repeated[0])}"',
            "give the result another name, as in p=sigmoid(x), rename the kept column, or keep other columns",
        )
    names = output_names(kept, made, dict(rename))
    return pa.schema([field.with_name(name) for field, name in zip(piece.fields(), names, strict=True)])


def _published(
    job: _StreamJob,
    staging: Staging,
    pieces: Iterator[_MadeRows],
    schema: pa.Schema,
    made: int,
    summary: PlanSummary,
    clock: Clock,
    observe: Observer,
) -> Report:
    rows, first = 0, list[pa.Field]()
    with PartWriter(
        staging,
        schema,
        made,
        job.format,
        job.compression,
        job.part_rows,
        summary.row_group_rows,
        lambda totals: observe(Progressed(totals, 0)),
    ) as writer:
        for piece in pieces:
            first = first or piece.fields()
            _check_same(first, piece)
            batch = pa.RecordBatch.from_arrays([*piece.made.kept.columns, *piece.made.arrays], schema=schema)
            writer.write(batch, piece.made.events)
            rows += piece.block_rows
        writer.close(rows)
        summary = replace(summary, rows=rows, rows_estimated=False, chunks=len(writer.receipts))
        report = Report(
            plan=summary,
            totals=writer.totals,
            seconds=time.monotonic() - clock.started,
            started_unix=clock.started_unix,
            peak_bytes=memory.peak_bytes(),
            published=True,
            manifest_digest="",
        )
        digest = staging.publish(
            _sections(job, schema, report),
            list(writer.parts(job.job_id)),
            observed=observed(report, job.output, (), job.conduct.durability),
        )
    return replace(report, manifest_digest=digest, seconds=time.monotonic() - clock.started)


def _check_same(first: Sequence[pa.Field], piece: _MadeRows) -> None:
    """Raise unless a piece has the columns of the first one."""
    expected, came = (", ".join(f"{field.name}: {field.type}" for field in each) for each in (first, piece.fields()))
    if expected != came:
        raise SchemaError(
            f"block {piece.number} of the stream: the function returned columns that differ from block 0: "
            f"expected {escape(expected, 300)}, got {escape(came, 300)}",
            REMEDY,
        )


def _summary(job: _StreamJob, schema: pa.Schema, group_rows: int) -> PlanSummary:
    base = memory.current_bytes()
    batch = int(2 * BATCH_ROWS * sum(width_of(field.type) for field in schema))
    return PlanSummary(
        job_id=job.job_id,
        output=job.output,
        files=(),
        rows=0,
        rows_estimated=True,
        bytes_to_read=0,
        chunks=0,
        chunk_rows=job.part_rows,
        row_group_rows=group_rows,
        fields=tuple((f.name, str(f.type), f.nullable) for f in schema),
        resources=Resources(1, BATCH_ROWS, 1, memory.available_bytes(), base, base + batch),
        scheduler="stream",
        rename=dict(job.rename),
    )


def _sections(job: _StreamJob, schema: pa.Schema, report: Report) -> dict[str, object]:
    """Return the sections of the manifest. There are no inputs: only the rows of a stream are known."""
    described = Described(
        inputs=[],
        chunks=report.totals.chunks,
        chunk_size=str(job.part_rows),
        chunk_rows=job.part_rows,
        limit=None,
        block={"kind": "stream", "identity": job.function.text},
        keep=job.keep,
        absent="error",
        rename=dict(job.rename),
        csv=CsvOptions(),
        format=job.format,
        compression=job.compression,
        arithmetic=job.arithmetic,
        fingerprint="ends",
        schema=schema,
    )
    return body(described, report.totals)


def _skipped(summary: PlanSummary, busy: Busy, seconds: float, observe: Observer) -> Report:
    note = f"{busy.text}: nothing was done (if_running skip)"
    observe(Noted(note))
    began = time.time() - seconds
    report = Report(summary, Totals(), seconds, memory.peak_bytes(), False, "", (note,), busy.text, began)
    observe(Published(report))
    return report
