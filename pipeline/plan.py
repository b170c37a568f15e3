"""From the facts of the files and a chunk size to the chunks of a run: a pure function that opens no file.

A chunk is the unit of work, of accounting and of output. A file larger than a chunk is cut: a Parquet file between row
groups, a CSV at multiples of a number of bytes. Smaller files are gathered. A file with a sixteenth of the rows of a
chunk or more ends its chunk, so where all files are that large, a change to one affects no other. Otherwise the path
and the rows of each file decide whether it ends a chunk, so one additional file changes one chunk and no other.
Memory, workers and time do not matter, so the parts of a run are the same on every machine.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from pipeline.canonical import digest
from pipeline.dataclass import dataclass
from pipeline.types.inputs import FileFacts, Identity, InputFile, Integers
from pipeline.types.rows import Chunk, Slice
from pipeline.units import MIB, parse_chunk_size

DEFAULT_CHUNK_ROWS = 1_048_576
# Raised where the same job may give other answers than before: then nothing older is taken as done or reused.
FORMAT_VERSION = 2

# A file with this share of a chunk, or more, ends the chunk.
_SMALL_SHARE = 16

# A gathered chunk has at most so many times the rows of a chunk, whatever the digests of its files are.
_GATHER_LIMIT = 4

# Readers skip and share work by row group. Groups of so many bytes are large enough for that, and small enough for
# each worker to hold one.
_ROW_GROUP_BYTES = 8 * MIB
_ROW_GROUP_ROWS = (8_192, 262_144)

# Bytes of a row in the output, where the caller does not state them.
_ROW_BYTES = 16.0

_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """The chunks of a run.

    A million chunks are a few arrays of integers; a :class:`~pipeline.types.rows.Chunk` is made when it is asked for.

    Attributes
    ----------
    chunk_rows : int
        Rows that a chunk should have.
    limit : int or None
        Most rows to read in total.
    slice_file, slice_start, slice_stop, slice_rows : ndarray of int64, shape (slices,)
        The slices of all chunks, in input order; -1 for unknown rows.
    offsets : ndarray of int64, shape (chunks + 1,)
        Chunk i holds the slices ``offsets[i]`` to ``offsets[i + 1]``.
    group_rows : ndarray of int64, shape (chunks,)
        Rows of a row group of the part written from each chunk.
    last_limit : int or None
        Most rows to read from the last chunk.
    """

    chunk_rows: int
    limit: int | None
    slice_file: Integers
    slice_start: Integers
    slice_stop: Integers
    slice_rows: Integers
    offsets: Integers
    group_rows: Integers
    last_limit: int | None = None

    def __len__(self) -> int:
        """Return the number of chunks."""
        return len(self.offsets) - 1

    def chunk(self, index: int) -> Chunk:
        """Return chunk ``index``."""
        first, last = int(self.offsets[index]), int(self.offsets[index + 1])
        return Chunk(
            index=index,
            slices=tuple(self._slice(i) for i in range(first, last)),
            row_group_rows=int(self.group_rows[index]),
            limit=self.last_limit if index == len(self) - 1 else None,
        )

    def chunks(self) -> Iterator[Chunk]:
        """Yield every chunk in order."""
        return (self.chunk(index) for index in range(len(self)))

    def continues(self, index: int) -> bool:
        """Return whether chunk ``index`` begins inside a CSV where the chunk before it ends."""
        if index == 0:
            return False
        first = int(self.offsets[index])
        return bool(
            self.slice_file[first] == self.slice_file[first - 1]
            and self.slice_rows[first] == _UNKNOWN
            and self.slice_start[first] == self.slice_stop[first - 1]
        )

    def most_rows(self) -> int | None:
        """Return the rows of the largest chunk, ``None`` where a CSV makes them unknown."""
        if len(self) == 0:
            return 0
        if (self.slice_rows == _UNKNOWN).any():
            return None
        return int(np.add.reduceat(self.slice_rows, self.offsets[:-1]).max())

    def _slice(self, i: int) -> Slice:
        rows = int(self.slice_rows[i])
        return Slice(
            int(self.slice_file[i]),
            int(self.slice_start[i]),
            int(self.slice_stop[i]),
            None if rows == _UNKNOWN else rows,
        )


def make_plan(
    files: Sequence[FileFacts],
    *,
    chunk_size: str = str(DEFAULT_CHUNK_ROWS),
    limit: int | None = None,
    output_row_bytes: Sequence[float] = (),
) -> Plan:
    """Return the plan of a run: every row of every file in exactly one chunk, in input order.

    Parameters
    ----------
    files : sequence of FileFacts
        In input order.
    chunk_size : str
        Rows (``500000``) or bytes of input (``64MiB``); bytes are turned into rows by the mean encoded row of the
        Parquet files, and used directly for the cuts of a CSV.
    limit : int, optional
        Most rows to plan, from the start of the input.
    output_row_bytes : sequence of float, optional
        For each file, the decoded bytes of a row in the output; they decide the rows of an output row group.

    Raises
    ------
    UsageError
        ``chunk_size`` is not a size.
    """
    rows, size = parse_chunk_size(chunk_size)
    chunk_rows = rows if rows is not None else max(1, int((size or 0) / _mean_row_bytes(files)))
    cuts = _gathered(files, chunk_rows, size)
    last_limit = None
    if limit is not None:
        cuts, last_limit = _limited(cuts, files, limit)
    offsets = np.array(cuts.offsets)
    slice_file = np.array(cuts.file)
    return Plan(
        chunk_rows=chunk_rows,
        limit=limit,
        slice_file=slice_file,
        slice_start=np.array(cuts.start),
        slice_stop=np.array(cuts.stop),
        slice_rows=np.array(cuts.rows),
        offsets=offsets,
        group_rows=_group_rows(slice_file, offsets, output_row_bytes),
        last_limit=last_limit,
    )


def identity_of(file: InputFile, identity: Identity) -> list[object]:
    """Return what enters a digest of an input: its path below the INPUT argument and its state, never its location."""
    state = [identity.size, identity.mtime_ns, identity.digest, identity.content]
    return [file.path, *state, [list(p) for p in file.partitions]]


def job_id(inputs: Iterable[object], plan: Plan, meaning: Mapping[str, object]) -> str:
    """Return the digest of everything that decides the bytes of the output.

    ``meaning`` holds the block function, the options that change a value, the output schema and the tag of the
    arithmetic. Time, workers, memory, scheduler and absolute paths are not in it.
    """
    return digest(
        {
            "version": FORMAT_VERSION,
            "inputs": list(inputs),
            "chunk_rows": plan.chunk_rows,
            "cuts": _cuts_digest(plan),
            "limit": plan.limit,
            **meaning,
        }
    )


def _cuts_digest(plan: Plan) -> str:
    cuts = hashlib.sha256(plan.slice_stop.data)
    cuts.update(plan.offsets.data)
    return cuts.hexdigest()


def part_digest(chunk: Chunk, inputs: Sequence[object], meaning: str) -> str:
    """Return the digest that names a part: equal digests mean equal bytes, in any run and at any index.

    ``inputs`` are the identities of the files of all slices, by file number; ``meaning`` is the digest of what the
    job does to a row.
    """
    slices = [[inputs[s.file], s.start, s.stop] for s in chunk.slices]
    return digest([FORMAT_VERSION, meaning, slices, chunk.limit, chunk.row_group_rows])[:16]


def part_name(index: int, of: str, extension: str) -> str:
    """Return the name under which the part with a digest is published."""
    return f"part-{index:07d}-{of}.{extension}"


def digest_in_name(name: str) -> str:
    """Return the digest in the name of a part, empty where it is not the name of a part."""
    return name.split(".", 1)[0].rpartition("-")[2] if name.startswith("part-") else ""


def _mean_row_bytes(files: Sequence[FileFacts]) -> float:
    rows = sum(f.estimated_rows for f in files)
    return sum(f.row_bytes * f.estimated_rows for f in files) / rows if rows else 1.0


class _Cuts:
    """The chunks of a plan while it is made: five columns of integers, with no object for a slice."""

    __slots__ = ("file", "offsets", "rows", "start", "stop")

    def __init__(self) -> None:
        self.file, self.start, self.stop, self.rows = (array("q") for _ in range(4))
        self.offsets = array("q", [0])

    def add(self, file: int, start: int, stop: int, rows: int | None) -> None:
        """Add a slice to the open chunk."""
        self.file.append(file)
        self.start.append(start)
        self.stop.append(stop)
        self.rows.append(_UNKNOWN if rows is None else rows)

    def add_whole(self, number: int, facts: FileFacts) -> None:
        """Add all of a file to the open chunk."""
        if facts.file.format == "parquet":
            self.add(number, 0, len(facts.group_rows), facts.rows)
        else:
            self.add(number, facts.data_start, max(facts.data_start, facts.identity.size), facts.rows)

    def end_chunk(self) -> None:
        """End the open chunk, if it has a slice."""
        if self.offsets[-1] < len(self.file):
            self.offsets.append(len(self.file))

    def cut_to(self, chunks: int) -> None:
        """Keep only the first chunks."""
        del self.offsets[chunks + 1 :]
        for column in (self.file, self.start, self.stop, self.rows):
            del column[self.offsets[-1] :]


def _gathered(files: Sequence[FileFacts], chunk_rows: int, size: int | None) -> _Cuts:
    cuts = _Cuts()
    held = 0
    for number, facts in enumerate(files):
        rows = facts.estimated_rows
        if rows > chunk_rows or (size and facts.cuttable and facts.identity.size > size):
            cuts.end_chunk()
            held = 0
            _cut(cuts, number, facts, chunk_rows, size)
            continue
        if held + rows > _GATHER_LIMIT * chunk_rows:
            cuts.end_chunk()
            held = 0
        cuts.add_whole(number, facts)
        held += rows
        if _ends_chunk(facts, chunk_rows):
            cuts.end_chunk()
            held = 0
    cuts.end_chunk()
    return cuts


def _ends_chunk(facts: FileFacts, chunk_rows: int) -> bool:
    """Return whether a gathered chunk ends after this file.

    Its path decides, like a random number that is always the same; the chance grows with the rows of the file.
    """
    if facts.estimated_rows * _SMALL_SHARE >= chunk_rows:
        return True
    falls = hashlib.sha256(facts.file.path.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(falls[:8], "big") / 2**64 < facts.estimated_rows / chunk_rows


def _cut(cuts: _Cuts, number: int, facts: FileFacts, chunk_rows: int, size: int | None) -> None:
    if facts.file.format == "parquet":
        _cut_row_groups(cuts, number, facts.group_rows, chunk_rows)
    elif facts.cuttable:
        _cut_bytes(cuts, number, facts, size or max(1, int(chunk_rows * facts.row_bytes)))
    else:
        cuts.add_whole(number, facts)
        cuts.end_chunk()


def _cut_row_groups(cuts: _Cuts, number: int, group_rows: Integers, chunk_rows: int) -> None:
    start, held = 0, 0
    for index, rows in enumerate(group_rows.data):
        if held and held + rows > chunk_rows:
            cuts.add(number, start, index, held)
            cuts.end_chunk()
            start, held = index, 0
        held += rows
    cuts.add(number, start, len(group_rows), held)
    cuts.end_chunk()


def _cut_bytes(cuts: _Cuts, number: int, facts: FileFacts, step: int) -> None:
    end = facts.identity.size
    start = facts.data_start
    while start < end:
        stop = min(end, (start // step + 1) * step)
        cuts.add(number, start, stop, None)
        cuts.end_chunk()
        start = stop


def _limited(cuts: _Cuts, files: Sequence[FileFacts], limit: int) -> tuple[_Cuts, int | None]:
    """Return the chunks that hold the first ``limit`` rows, and the limit of the last of them.

    Where the rows of a chunk are unknown, it and all that follow become one chunk, which is read up to the limit.
    """
    left = limit
    for chunk in range(len(cuts.offsets) - 1):
        first, last = cuts.offsets[chunk], cuts.offsets[chunk + 1]
        rows = cuts.rows[first:last]
        if _UNKNOWN in rows:
            rest = dict.fromkeys(cuts.file[first:])
            cuts.cut_to(chunk)
            for number in rest:
                cuts.add_whole(number, files[number])
            cuts.end_chunk()
            return cuts, left
        if sum(rows) >= left:
            cuts.cut_to(chunk + 1)
            return cuts, left
        left -= sum(rows)
    return cuts, None


def _group_rows(slice_file: Integers, offsets: Integers, row_bytes: Sequence[float]) -> Integers:
    """Return the rows of a row group for each chunk, as few as its file with the widest rows needs."""
    if len(offsets) == 1:
        return np.empty(0, dtype=np.int64)
    if not row_bytes:
        return np.full(len(offsets) - 1, row_group_rows(_ROW_BYTES), dtype=np.int64)
    rows = np.array([row_group_rows(width) for width in row_bytes], dtype=np.int64)
    return np.minimum.reduceat(rows[slice_file], offsets[:-1])


def row_group_rows(row_bytes: float) -> int:
    """Return the largest power of two of rows that fits the bytes of a row group, within fixed bounds."""
    least, most = _ROW_GROUP_ROWS
    fitting = int(_ROW_GROUP_BYTES / max(row_bytes, 1.0))
    return min(most, max(least, 1 << max(0, fitting.bit_length() - 1)))
