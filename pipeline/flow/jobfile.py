"""The immutable file from which a worker learns its job: written once by the driver, read once a worker.

    {"batch_rows":65536,...}     a line of JSON, filled up with spaces to a multiple of 8 bytes
    ........                     the integers of the plan, array after array, 8 bytes each, little-endian
    ["a.parquet",...]            a line of JSON for each file

It is checked against its digest before anything in it is believed, and holds no object that would have to be unpickled.
A million chunks stay the bytes that they are, and of a hundred thousand files each is made when it is asked for. A
block function without a description travels with the task instead.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from pipeline import disk
from pipeline.canonical import sha256
from pipeline.choices import Format
from pipeline.errors import BalanceError, StorageError
from pipeline.plan import Plan
from pipeline.types.inputs import CsvOptions, Identity, InputFile, Need

_INTEGER = np.dtype("<i8")
_ARRAYS = ("slice_file", "slice_start", "slice_stop", "slice_rows", "offsets", "group_rows")
_NUMBERS = ("chunk_rows", "limit", "last_limit")


class Files(Protocol):
    """Input files with their identities, by their numbers."""

    def __iter__(self) -> Iterator[tuple[InputFile, Identity]]: ...
    def __getitem__(self, number: int, /) -> tuple[InputFile, Identity]: ...


@dataclass(frozen=True, slots=True)
class JobFile:
    """What every task of a run shares.

    Attributes
    ----------
    files : Files
        By the file numbers of the plan.
    plan : Plan
    needs : tuple of Need
        The features, then the kept columns.
    features : int
        How many of the needs are features.
    csv : CsvOptions
    schema : pyarrow.Schema
        Of the output: the kept columns, then the fields of the block function.
    format : {"parquet", "csv"}
    compression : str or None
    batch_rows : int
        Most rows decoded at a time.
    batch_bytes : int
        Most bytes that a decoded batch may take.
    column_threads : bool
        Whether Arrow decodes the columns of a batch on threads of its own.
    row_group_bytes : int
        Most bytes that an output row group may take, decoded.
    staging : str
        The folder in which attempts are written.
    file_mode : int
        Permissions of a part.
    durable : bool
        Whether what a worker writes is synced.
    bad_rows : int or None
        More bad rows than this in one chunk end it, for the run has failed; ``None`` where only the end can tell.
    retries : int
        How often a chunk is tried again after an error that may pass.
    arithmetic : str
        Tag of the arithmetic that every worker must have.
    block : mapping or None
        Description of the block function.
    """

    files: Files
    plan: Plan
    needs: tuple[Need, ...]
    features: int
    csv: CsvOptions
    schema: pa.Schema
    format: Format
    compression: str | None
    batch_rows: int
    batch_bytes: int
    column_threads: bool
    row_group_bytes: int
    staging: str
    file_mode: int
    durable: bool
    bad_rows: int | None
    retries: int
    arithmetic: str
    block: Mapping[str, object] | None

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        arrays = [getattr(self.plan, name).astype(_INTEGER, copy=False) for name in _ARRAYS]
        head = {
            "arrays": [len(array) for array in arrays],
            "plan": {name: getattr(self.plan, name) for name in _NUMBERS},
            "needs": [asdict(need) for need in self.needs],
            "features": self.features,
            "csv": asdict(self.csv),
            "schema": base64.b64encode(self.schema.serialize()).decode(),
            "format": self.format,
            "compression": self.compression,
            "batch_rows": self.batch_rows,
            "batch_bytes": self.batch_bytes,
            "column_threads": self.column_threads,
            "row_group_bytes": self.row_group_bytes,
            "staging": self.staging,
            "file_mode": self.file_mode,
            "durable": self.durable,
            "bad_rows": self.bad_rows,
            "retries": self.retries,
            "arithmetic": self.arithmetic,
            "block": self.block,
        }
        line = json.dumps(head, separators=(",", ":")).encode()
        line += b" " * (-(len(line) + 1) % _INTEGER.itemsize) + b"\n"
        return b"".join((line, *(array.data for array in arrays), *map(_file_line, self.files)))


class _Lines:
    """The files of a job, each made from its line when it is asked for."""

    def __init__(self, lines: memoryview) -> None:
        self._lines = lines
        self._ends = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n"))

    def __iter__(self) -> Iterator[tuple[InputFile, Identity]]:
        return (self[number] for number in range(len(self._ends)))

    def __getitem__(self, number: int) -> tuple[InputFile, Identity]:
        begin = int(self._ends[number - 1]) + 1 if number else 0
        values = json.loads(bytes(self._lines[begin : int(self._ends[number])]))
        path, location, position, format_, partitions, *state = values
        return InputFile(path, location, position, format_, _pairs(partitions)), Identity(*state)


def _file_line(pair: tuple[InputFile, Identity]) -> bytes:
    file, identity = pair
    stated = [file.path, file.location, file.position, file.format, file.partitions]
    state = [identity.size, identity.mtime_ns, identity.digest, identity.content]
    return json.dumps([*stated, *state], separators=(",", ":")).encode() + b"\n"


@lru_cache(maxsize=4)
def read_job_file(path: str, digest: str) -> JobFile:
    """Return the job file at ``path``, read and checked once a process.

    Raises
    ------
    StorageError
        The file cannot be read.
    BalanceError
        Its content is not what the driver wrote.
    """
    try:
        content = disk.read_file(path)
    except OSError as error:
        raise StorageError(f"{path}: the job file cannot be read: {error.strerror}") from error
    if sha256(content) != digest:
        raise BalanceError(f"{path}: the job file was changed while the job ran")
    return _restore(content)


def csv_options(csv: Mapping[str, Any]) -> CsvOptions:
    """Return the options of CSV files that were written down as JSON."""
    return CsvOptions(
        delimiter=csv["delimiter"],
        quote=csv["quote"],
        nulls=tuple(csv["nulls"]),
        encoding=csv["encoding"],
        columns=None if csv["columns"] is None else tuple(csv["columns"]),
        types=_pairs(csv["types"]),
    )


def _restore(content: bytes) -> JobFile:
    begin = content.index(b"\n") + 1
    head = json.loads(content[:begin])
    plan: dict[str, Any] = head["plan"]
    for name, length in zip(_ARRAYS, head["arrays"], strict=True):
        plan[name] = np.frombuffer(content, _INTEGER, length, begin)
        begin += length * _INTEGER.itemsize
    return JobFile(
        files=_Lines(memoryview(content)[begin:]),
        plan=Plan(**plan),
        needs=tuple(Need(**need) for need in head["needs"]),
        features=head["features"],
        csv=csv_options(head["csv"]),
        schema=pa.ipc.read_schema(pa.BufferReader(base64.b64decode(head["schema"]))),
        format=head["format"],
        compression=head["compression"],
        batch_rows=head["batch_rows"],
        batch_bytes=head["batch_bytes"],
        column_threads=head["column_threads"],
        row_group_bytes=head["row_group_bytes"],
        staging=head["staging"],
        file_mode=head["file_mode"],
        durable=head["durable"],
        bad_rows=head["bad_rows"],
        retries=head["retries"],
        arithmetic=head["arithmetic"],
        block=head["block"],
    )


def _pairs(values: Sequence[Sequence[Any]]) -> tuple[tuple[Any, Any], ...]:
    return tuple((first, second) for first, second in values)
