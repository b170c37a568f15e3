"""The step that writes: the block function over each batch, the part, and the rows that are not in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import field
from functools import partial
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa

from pipeline import models
from pipeline.choices import Format, Precision
from pipeline.dataclass import dataclass
from pipeline.errors import BadCellsError, BalanceError, ConfigurationError
from pipeline.models.blocks import arithmetic_of, of_file
from pipeline.models.columns import bad_cell, numbers
from pipeline.publish import QUARANTINE_EXTENSION, Attempts, restored_attempts
from pipeline.scan import Batch, ChunkContext, JobFile, JoinedBatch, missing_and_nan, worker
from pipeline.sinks import QuarantineSink, RowGroups, as_batch, extension, open_sink
from pipeline.types.blocks import BlockFunction, HasArithmetic, Values
from pipeline.types.outputs import OpenAttempt, PartFile, Receipt, Sink, Written
from pipeline.types.rows import BadCell, Slice
from pipeline.units import escape

# Opens a new file for a chunk, whose name ends as it says.
OpenFile = Callable[[str], AbstractContextManager[OpenAttempt]]


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """What the step needs in addition to what every scan has.

    Attributes
    ----------
    block : mapping or None
        Description of the block function; ``None`` if the function comes with the work.
    features : int
        How many of the needs are features.
    schema : pyarrow.Schema
        Schema of the output: the kept columns, then the fields of the block function.
    format : {"parquet", "csv"}
    compression : str or None
    row_group_bytes : int
        The most bytes that an output row group may take, decoded.
    arithmetic : str
        Tag of the arithmetic that every worker must have; empty if it does not matter.
    attempts : mapping or None
        Description of the attempts that files are written through; ``None`` if nothing is kept.
    beside : mapping of str to str
        The paths of the files beside a model, by their SHA-256.
    """

    block: Mapping[str, Any] | None
    features: int
    schema: pa.Schema
    format: Format
    compression: str | None
    row_group_bytes: int
    arithmetic: str
    attempts: Mapping[str, Any] | None = None
    beside: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the settings as the job file holds them."""
        return {
            "block": self.block,
            "features": self.features,
            "schema": base64.b64encode(self.schema.serialize()).decode(),
            "format": self.format,
            "compression": self.compression,
            "row_group_bytes": self.row_group_bytes,
            "arithmetic": self.arithmetic,
            "attempts": self.attempts,
            "beside": dict(self.beside),
        }

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> WriteSettings:
        """Return the settings that a job file holds."""
        schema = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(settings["schema"])))
        return cls(**{**settings, "schema": schema})


@dataclass(frozen=True, slots=True)
class WriteStep:
    """Writes the part of a chunk, and its quarantine, as attempts in staging: the step of a job.

    Each call writes new files under names never used before. What it wrote before an error is never used.
    """

    def __call__(self, context: ChunkContext) -> Receipt:
        """Write them, and return the receipt.

        Raises
        ------
        ConfigurationError
            The arithmetic of this worker is not the one that the job was planned for.
        """
        settings = context.once("settings", WriteSettings.of)
        attempts = context.once("attempts", _attempts)
        return _written(context, settings, partial(attempts.open, context.chunk.index))

    def probe(self, job: JobFile, chunk: int) -> None:
        """Write and sync a file in staging, which no receipt ever names.

        Raises
        ------
        LogitstreamError
            It cannot be written.
        """
        with job.once("attempts", _attempts).open(chunk, "probe") as attempt:
            attempt.file.write(worker().encode())
            attempt.finish(0)


def digest_again(context: ChunkContext) -> Receipt:
    """Do everything that :class:`WriteStep` does except keep the bytes; their digests say what it would write."""
    return _written(context, context.once("settings", WriteSettings.of), _digested)


class _Digest:
    """A file whose bytes are digested and counted, but not kept."""

    closed = False

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self.file = cast("BinaryIO", self)

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        self._sha256.update(view)
        self._bytes += len(view)
        return len(view)

    def tell(self) -> int:
        return self._bytes

    def finish(self, rows: int) -> PartFile:
        return PartFile("", self._bytes, self._sha256.hexdigest(), rows)


@contextmanager
def _digested(_: str) -> Iterator[OpenAttempt]:
    yield _Digest()


def _written(context: ChunkContext, settings: WriteSettings, open_file: OpenFile) -> Receipt:
    block = cast("BlockFunction | None", context.argument) or context.once("block", _block)
    _check_arithmetic(settings.arithmetic, block)
    written = None
    with ExitStack() as stack:
        quarantine = _Quarantine(context, open_file, stack)
        attempt = stack.enter_context(open_file(extension(settings.format, settings.compression)))
        layout = RowGroups(context.chunk.row_group_rows, settings.row_group_bytes)
        sink = open_sink(settings.format, attempt.file, settings.schema, layout, settings.compression)
        chunk = _Writing(context, settings, block, sink)
        rows = (chunk.at_once if block.whole_chunk else chunk.in_batches)(quarantine.add)
        if not context.given_up:
            sink.close()
            written = Written(attempt.finish(rows), quarantine.finish())
    return context.outcome(written)


def _attempts(settings: Mapping[str, Any]) -> Attempts:
    return restored_attempts(settings["attempts"])


def _block(settings: Mapping[str, Any]) -> BlockFunction:
    if settings["block"] is None:
        raise BalanceError("neither the job file nor the work says which function to apply")
    return models.restore(settings["block"], settings["beside"])


def _check_arithmetic(planned: str, block: BlockFunction) -> None:
    precision = cast("Precision", planned.partition("-")[0])
    if planned and (here := arithmetic_of(block, precision)) != planned:
        others = "" if isinstance(block, HasArithmetic) else "; CPU and numpy may differ with --precision reproducible"
        raise ConfigurationError(
            f"worker {worker()} computes with {here}, but the job was planned for {planned}: the bits would differ",
            f"use workers with one kind of CPU, one numpy and one logitstream{others}",
        )


class _Quarantine:
    """The quarantine file of one try at a chunk, created for the first row that goes there."""

    def __init__(self, context: ChunkContext, open_file: OpenFile, stack: ExitStack) -> None:
        self._context, self._open, self._stack = context, open_file, stack
        self._sink: QuarantineSink | None = None

    def add(self, piece: Slice, cell: BadCell) -> None:
        """Add a row of a slice."""
        if self._sink is None:
            self._attempt = self._stack.enter_context(self._open(QUARANTINE_EXTENSION))
            self._sink = QuarantineSink(self._attempt.file)
        self._sink.add(self._context.job.files[piece.file][0].path, piece.start, cell)

    def finish(self) -> PartFile | None:
        """Make the file durable and return its facts, ``None`` if no row went there."""
        if self._sink is None:
            return None
        self._sink.close()
        return self._attempt.finish(self._sink.rows)


@dataclass(frozen=True, slots=True)
class _Writing:
    """The rows of a chunk on their way through the block function to a sink."""

    context: ChunkContext
    settings: WriteSettings
    block: BlockFunction
    sink: Sink

    def in_batches(self, set_aside: Callable[[Slice, BadCell], None]) -> int:
        """Write batch after batch; return how many rows were written."""
        # A batch is freed before the next one is decoded into the same memory.
        return sum(map(self._write, self.context.joined(set_aside=set_aside)))

    def _write(self, batch: Batch | JoinedBatch) -> int:
        data = batch.data
        if not data.num_rows:
            return 0
        features = self.settings.features
        needs, (file, _) = self.context.needs(batch.file), self.context.job.files[batch.file]
        values = of_file(self.block, file, needs[:features]).block(data.columns[:features])
        if isinstance(batch, JoinedBatch) and not batch.tells_apart(values):
            return sum(map(self._write, batch.apart()))
        used = batch.settle(values)
        output = self._output(data.columns, values)
        output = output if used is None else output.filter(used)
        self.sink.write(output)
        return int(output.num_rows)

    def at_once(self, set_aside: Callable[[Slice, BadCell], None]) -> int:
        """Give the block function all rows of the chunk at once; the accounts stay slice by slice."""
        batches = [(batch.position, batch.data) for batch in self.context.batches(set_aside=set_aside)]
        rows: int = sum(data.num_rows for _, data in batches)
        if rows:
            features = self.settings.features
            columns = [
                _in_one(name, arrays, as_floats=number < features)
                for number, (name, *arrays) in enumerate(
                    zip(batches[0][1].schema.names, *(data.columns for _, data in batches), strict=True)
                )
            ]
            values = self.block.block(columns[:features])
            self.context.count(values.events)
            self.sink.write(self._output(columns, values))
            self._account(values.arrays, batches)
        return rows

    def _account(self, arrays: Sequence[pa.Array], batches: Sequence[tuple[int, pa.RecordBatch]]) -> None:
        first = 0
        for position, data in batches:
            self.context.correct(position, *missing_and_nan(arrays, first, data.num_rows))
            first += data.num_rows

    def _output(self, columns: Sequence[pa.Array], values: Values) -> pa.RecordBatch:
        arrays = [*columns[self.settings.features :], *values.arrays]
        return as_batch(arrays, self.settings.schema)


def _in_one(name: str, arrays: Sequence[pa.Array], *, as_floats: bool) -> pa.Array:
    """Return a column of several batches in one; a feature may have another type in each file."""
    if as_floats and len({array.type for array in arrays}) > 1:
        arrays = [_floats(name, array) for array in arrays]
    return pa.concat_arrays(arrays)


def _floats(name: str, array: pa.Array) -> pa.Array:
    cells = numbers(array)
    if cells.inexact.size:
        text = escape(bad_cell(array, int(cells.inexact[0]), name, "inexact").text)
        raise BadCellsError(
            f"column {escape(name)}: float64 cannot hold {text} exactly", "leave the column out, or correct it"
        )
    return pa.array(cells.values.astype(np.float64), mask=cells.null)
