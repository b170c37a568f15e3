"""The job file: immutable bytes that the driver writes once and each worker reads once.

    {"batch_rows":67584,...}     a line of JSON, filled up with spaces to a multiple of 8 bytes
    ........                     the integers of the plan, array after array, 8 bytes each, little-endian
    ["a.parquet",...]            a line of JSON for each file

The bytes are a file in staging, or travel through the scheduler. Either way they are checked against their digest
before they are parsed, and nothing in them is unpickled. The arrays of a million chunks are used as the bytes that
they are, and each of a hundred thousand files is made when it is asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, field
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np

from pipeline import disk
from pipeline.canonical import sha256
from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError, StorageError
from pipeline.execute import shared
from pipeline.plan import Plan
from pipeline.types.inputs import CsvOptions, FileFacts, Identity, InputFile, Integers, Need

Made = TypeVar("Made")

_INTEGER = np.dtype("<i8")
_ARRAYS = ("slice_file", "slice_start", "slice_stop", "slice_rows", "offsets", "group_rows")
_NUMBERS = ("chunk_rows", "limit", "last_limit")
# Bytes of the line of a file without its names: identity, digests, partitions.
_LINE_BYTES = 256


class Files(Protocol):
    """Input files with their identities, by their numbers."""

    def __iter__(self) -> Iterator[tuple[InputFile, Identity]]: ...
    def __getitem__(self, number: int, /) -> tuple[InputFile, Identity]: ...


@dataclass(frozen=True, slots=True)
class Needs:
    """The columns that are read of each file.

    Attributes
    ----------
    lists : tuple of tuple of Need
        One list for all files, or several; ``of_file`` says which applies.
    of_file : ndarray of int64, shape (files,) or (0,)
        Which of the lists applies to a file; empty where there is one for all.
    """

    lists: tuple[tuple[Need, ...], ...]
    of_file: Integers

    @classmethod
    def of(cls, needs: Sequence[Need]) -> Needs:
        """Return the same needs for every file."""
        return cls((tuple(needs),), np.empty(0, dtype=np.int64))

    def number(self, file: int) -> int:
        """Return the number of the list that applies to a file."""
        return int(self.of_file[file]) if len(self.of_file) else 0

    def __getitem__(self, file: int) -> tuple[Need, ...]:
        """Return the needs of a file."""
        return self.lists[self.number(file)]

    @property
    def names(self) -> frozenset[str]:
        """The names of all columns that are read of any file."""
        return frozenset(need.name for needs in self.lists for need in needs)


@dataclass(frozen=True, slots=True)
class JobFile:
    """What all tasks of a scan have in common.

    Attributes
    ----------
    files : Files
        By the file numbers of the plan.
    plan : Plan
    needs : Needs
    variable : tuple of bool
        For each list of needs, whether the first rows of a Parquet file are read first to see how wide its rows are.
    csv : CsvOptions
    batch_rows : int
        Most rows decoded at a time.
    batch_bytes : int
        Most bytes that a decoded batch may take.
    joined_rows : int
        Most rows of small files that are joined in one batch.
    threaded_from : int
        The first of the chunks for which cores are left over: Arrow decodes their columns on its own threads.
    bad_rows : int or None
        More bad rows than this in one chunk end it, because the run has failed; ``None`` where that is judged at the
        end.
    retries : int
        How often a chunk is retried after an error that may be temporary.
    settings : mapping
        What else the step of the scan needs, as JSON.
    """

    files: Files
    plan: Plan
    needs: Needs
    variable: tuple[bool, ...]
    csv: CsvOptions
    batch_rows: int
    batch_bytes: int
    joined_rows: int
    threaded_from: int
    bad_rows: int | None
    retries: int
    settings: Mapping[str, Any]
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _making: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def once(self, name: str, make: Callable[[Mapping[str, Any]], Made]) -> Made:
        """Return what ``make`` returns for the settings; it is called once in this process for each name."""
        with self._making:
            if name not in self._made:
                self._made[name] = make(self.settings)
            made: Made = self._made[name]
        return made

    def to_bytes(self) -> bytes:
        """Return the bytes that :func:`parse` understands."""
        arrays = [getattr(self.plan, name).astype(_INTEGER, copy=False) for name in _ARRAYS]
        arrays.append(self.needs.of_file.astype(_INTEGER, copy=False))
        head = {
            "arrays": [len(array) for array in arrays],
            "plan": {name: getattr(self.plan, name) for name in _NUMBERS},
            "needs": [[asdict(need) for need in needs] for needs in self.needs.lists],
            "variable": self.variable,
            "csv": asdict(self.csv),
            "batch_rows": self.batch_rows,
            "batch_bytes": self.batch_bytes,
            "joined_rows": self.joined_rows,
            "threaded_from": self.threaded_from,
            "bad_rows": self.bad_rows,
            "retries": self.retries,
            "settings": self.settings,
        }
        line = json.dumps(head, separators=(",", ":")).encode()
        line += b" " * (-(len(line) + 1) % _INTEGER.itemsize) + b"\n"
        return b"".join((line, *(array.data for array in arrays), *map(_file_line, self.files)))


@dataclass(frozen=True, slots=True)
class StagedJob:
    """Where a worker finds the job file: in staging, by its path and SHA-256."""

    path: str
    digest: str

    def read(self) -> JobFile:
        """Return the job file, read and checked once a process; raises as :func:`read_job_file` does."""
        return read_job_file(self.path, self.digest)


@dataclass(frozen=True, slots=True)
class SharedJob:
    """Where a worker finds the bytes of a job file: the scheduler has sent them, under their SHA-256."""

    digest: str

    def read(self) -> JobFile:
        """Return the job file, parsed once a process and kept as long as the bytes."""
        return shared.made_of(self.digest, parse)


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
        raise StorageError(
            f"{path}: the job file cannot be read: {error.strerror}", "check that the disk works, then run again"
        ) from error
    if sha256(content) != digest:
        raise BalanceError(
            f"{path}: the job file was changed while the job ran",
            "make sure that nothing else changes files there, then run again",
        )
    return parse(content)


def job_file_bytes(files: Sequence[FileFacts], plan: Plan) -> int:
    """Return about how many bytes a job file has without its settings: the integers of the plan, and a line a file."""
    integers = len(files) + 4 * len(plan.slice_file) + len(plan.offsets) + len(plan.group_rows)
    lines = sum(len(facts.file.path) + len(facts.file.location) + _LINE_BYTES for facts in files)
    return integers * _INTEGER.itemsize + lines


def forget_job_files() -> None:
    """Forget the staged job files that this process has read, and what was made from them."""
    read_job_file.cache_clear()


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


# What format version 1 had not: a manifest from then lacks them.
_LATER = ("escape", "skip_lines", "comment", "quoted_null", "decimal", "thousands")


def csv_options(csv: Mapping[str, Any]) -> CsvOptions:
    """Return the CSV options that a JSON object holds."""
    return CsvOptions(
        delimiter=csv["delimiter"],
        quote=csv["quote"],
        nulls=tuple(csv["nulls"]),
        encoding=csv["encoding"],
        columns=None if csv["columns"] is None else tuple(csv["columns"]),
        types=_pairs(csv["types"]),
        **{name: csv[name] for name in _LATER if name in csv},
    )


def parse(content: bytes) -> JobFile:
    """Return the job file that bytes hold, after their digest was checked."""
    begin = content.index(b"\n") + 1
    head = json.loads(content[:begin])
    arrays = []
    for length in head["arrays"]:
        arrays.append(np.frombuffer(content, _INTEGER, length, begin))
        begin += length * _INTEGER.itemsize
    *of_plan, of_file = arrays
    return JobFile(
        files=_Lines(memoryview(content)[begin:]),
        plan=Plan(**{**head["plan"], **dict(zip(_ARRAYS, of_plan, strict=True))}),
        needs=Needs(tuple(tuple(Need(**need) for need in needs) for needs in head["needs"]), of_file),
        variable=tuple(head["variable"]),
        csv=csv_options(head["csv"]),
        batch_rows=head["batch_rows"],
        batch_bytes=head["batch_bytes"],
        joined_rows=head["joined_rows"],
        threaded_from=head["threaded_from"],
        bad_rows=head["bad_rows"],
        retries=head["retries"],
        settings=head["settings"],
    )


def _pairs(values: Sequence[Sequence[Any]]) -> tuple[tuple[Any, Any], ...]:
    return tuple((first, second) for first, second in values)
