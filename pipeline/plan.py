"""From the facts of the files and a chunk size to the chunks of a run: a pure function, with no file opened.

A chunk is the unit of work, of accounting and of output. A file larger than a chunk is cut by itself: a Parquet file
between row groups, a CSV at multiples of a number of bytes. Smaller files are gathered. Where a gathered chunk ends is
decided by each file's own path and rows, so that one file more changes one chunk and leaves the others as they were.
Memory, workers and the clock have no say, so that the parts of a run are the same wherever it runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.types import Chunk, FileFacts, Identity, InputFile, Integers, Slice
from pipeline.units import MIB, parse_chunk_size

DEFAULT_CHUNK_ROWS = 1_048_576
FORMAT_VERSION = 1

# A gathered chunk holds at most this many times the rows of a chunk, however the digests of its files fall.
_GATHER_LIMIT = 4

# Readers skip and share work by row group; groups of this many bytes are large enough for that, and small enough to
# be held once a worker.
_ROW_GROUP_BYTES = 8 * MIB
_ROW_GROUP_ROWS = (8_192, 262_144)

_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """The chunks of a run.

    A million chunks are five arrays of integers; a :class:`~pipeline.types.Chunk` is made when it is asked for.

    Attributes
    ----------
    chunk_rows : int
        Rows aimed at.
    limit : int or None
        Most rows to read in all.
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
        """Return the rows of the largest chunk, ``None`` where a CSV leaves that open."""
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
        Parquet files, and taken as they are for the cuts of a CSV.
    limit : int, optional
        Plan no more rows than this, from the start of the input.
    output_row_bytes : sequence of float, optional
        For each file, the bytes that a row of it takes in the output, decoded; sets the rows of an output row group.

    Raises
    ------
    UsageError
        ``chunk_size`` is not a size.
    """
    rows, size = parse_chunk_size(chunk_size)
    chunk_rows = rows if rows is not None else max(1, int((size or 0) / _mean_row_bytes(files)))
    drafts = list(_gather(files, chunk_rows, size))
    last_limit = None
    if limit is not None:
        drafts, last_limit = _limited(drafts, files, limit)
    widths = output_row_bytes or [16.0] * len(files)
    return _pack(drafts, chunk_rows, limit, last_limit, widths)


def digest_of(value: object) -> str:
    """Return the SHA-256, in hexadecimal, of the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def identity_of(file: InputFile, identity: Identity) -> list[object]:
    """Return what enters a digest of one input: its path below the INPUT argument and its state, never its location."""
    state = [identity.size, identity.mtime_ns, identity.digest, identity.content]
    return [file.path, *state, [list(p) for p in file.partitions]]


def job_id(inputs: Iterable[object], plan: Plan, meaning: Mapping[str, object]) -> str:
    """Return the digest of everything that decides the bytes of the output.

    ``meaning`` holds the block function, the options that change a value, the output schema and the tag of the
    arithmetic; neither clock, workers, memory, scheduler nor an absolute path are in it.
    """
    return digest_of(
        {
            "version": FORMAT_VERSION,
            "inputs": list(inputs),
            "chunk_rows": plan.chunk_rows,
            "cuts": hashlib.sha256(plan.slice_stop.tobytes() + plan.offsets.tobytes()).hexdigest(),
            "limit": plan.limit,
            **meaning,
        }
    )


def part_digest(chunk: Chunk, inputs: Sequence[object], meaning: str) -> str:
    """Return the digest that names a part: equal digests mean equal bytes, in whatever run and at whatever index.

    ``inputs`` are the identities of the files of all slices, by file number; ``meaning`` is the digest of what the
    job does to a row.
    """
    slices = [[inputs[s.file], s.start, s.stop] for s in chunk.slices]
    return digest_of([FORMAT_VERSION, meaning, slices, chunk.limit, chunk.row_group_rows])[:16]


def part_name(index: int, digest: str, extension: str) -> str:
    """Return the name under which a part is published."""
    return f"part-{index:07d}-{digest}.{extension}"


def digest_in_name(name: str) -> str:
    """Return the digest that the name of a part holds, empty where it is no such name."""
    return name.split(".", 1)[0].rpartition("-")[2] if name.startswith("part-") else ""


def _mean_row_bytes(files: Sequence[FileFacts]) -> float:
    rows = sum(f.estimated_rows for f in files)
    return sum(f.row_bytes * f.estimated_rows for f in files) / rows if rows else 1.0


def _gather(files: Sequence[FileFacts], chunk_rows: int, size: int | None) -> Iterator[list[Slice]]:
    """Yield the slices of each chunk."""
    gathered: list[Slice] = []
    held = 0
    for number, facts in enumerate(files):
        rows = facts.estimated_rows
        if rows > chunk_rows or (size and facts.cuttable and facts.identity.size > size):
            if gathered:
                yield gathered
            gathered, held = [], 0
            yield from _cut(number, facts, chunk_rows, size)
            continue
        if gathered and held + rows > _GATHER_LIMIT * chunk_rows:
            yield gathered
            gathered, held = [], 0
        gathered.append(_whole(number, facts))
        held += rows
        if _ends_chunk(facts, chunk_rows):
            yield gathered
            gathered, held = [], 0
    if gathered:
        yield gathered


def _ends_chunk(facts: FileFacts, chunk_rows: int) -> bool:
    """Return whether a gathered chunk ends behind this file: by chance that grows with its rows, fixed by its path."""
    digest = hashlib.sha256(facts.file.path.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < facts.estimated_rows / chunk_rows


def _whole(number: int, facts: FileFacts) -> Slice:
    if facts.file.format == "parquet":
        return Slice(number, 0, len(facts.group_rows), facts.rows)
    return Slice(number, facts.data_start, max(facts.data_start, facts.identity.size), facts.rows)


def _cut(number: int, facts: FileFacts, chunk_rows: int, size: int | None) -> Iterator[list[Slice]]:
    if facts.file.format == "parquet":
        yield from _cut_row_groups(number, facts.group_rows, chunk_rows)
    elif facts.cuttable:
        yield from _cut_bytes(number, facts, size or max(1, int(chunk_rows * facts.row_bytes)))
    else:
        yield [_whole(number, facts)]


def _cut_row_groups(number: int, group_rows: Integers, chunk_rows: int) -> Iterator[list[Slice]]:
    start, held = 0, 0
    for index, rows in enumerate(group_rows.tolist()):
        if held and held + rows > chunk_rows:
            yield [Slice(number, start, index, held)]
            start, held = index, 0
        held += rows
    yield [Slice(number, start, len(group_rows), held)]


def _cut_bytes(number: int, facts: FileFacts, step: int) -> Iterator[list[Slice]]:
    end = facts.identity.size
    start = facts.data_start
    while start < end:
        stop = min(end, (start // step + 1) * step)
        yield [Slice(number, start, stop, None)]
        start = stop


def _limited(
    drafts: Sequence[list[Slice]], files: Sequence[FileFacts], limit: int
) -> tuple[list[list[Slice]], int | None]:
    """Return the chunks that hold the first ``limit`` rows, and the limit of the last of them.

    Where the rows of a chunk are unknown, it and all behind it become one chunk that is read up to the limit.
    """
    kept: list[list[Slice]] = []
    left = limit
    for draft in drafts:
        known = [s.rows for s in draft if s.rows is not None]
        if len(known) < len(draft):
            rest = [s for later in drafts[len(kept) :] for s in later]
            return [*kept, _joined(rest, files)], left
        kept.append(draft)
        if sum(known) >= left:
            return kept, left
        left -= sum(known)
    return kept, None


def _joined(slices: Iterable[Slice], files: Sequence[FileFacts]) -> list[Slice]:
    return [_whole(number, files[number]) for number in dict.fromkeys(s.file for s in slices)]


def _pack(
    drafts: Sequence[list[Slice]], chunk_rows: int, limit: int | None, last_limit: int | None, widths: Sequence[float]
) -> Plan:
    slices = [s for draft in drafts for s in draft]
    return Plan(
        chunk_rows=chunk_rows,
        limit=limit,
        slice_file=_integers(s.file for s in slices),
        slice_start=_integers(s.start for s in slices),
        slice_stop=_integers(s.stop for s in slices),
        slice_rows=_integers(_UNKNOWN if s.rows is None else s.rows for s in slices),
        offsets=_integers(np.cumsum([0, *map(len, drafts)])),
        group_rows=_integers(row_group_rows(max(widths[s.file] for s in draft)) for draft in drafts),
        last_limit=last_limit,
    )


def row_group_rows(row_bytes: float) -> int:
    """Return the largest power of two of rows that stays within the bytes of a row group, inside fixed bounds."""
    least, most = _ROW_GROUP_ROWS
    fitting = int(_ROW_GROUP_BYTES / max(row_bytes, 1.0))
    return min(most, max(least, 1 << max(0, fitting.bit_length() - 1)))


def _integers(values: Iterable[int]) -> Integers:
    return np.fromiter(values, dtype=np.int64)
