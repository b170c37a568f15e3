"""FLOOR: what reading and writing alone cost, with the same libraries loaded and the same care for the output.

    python floor.py DATA OUT [--decisions] [--quoted] COLUMN...

Reads the columns row group by row group in two threads, and writes ``id`` and one float column, a part for each; what
is written is digested, synced and does no arithmetic. A CSV is read in pieces cut at newlines, with ``--quoted`` at
those outside quotes; one in gzip is a single stream, which Arrow reads ahead of. With ``--decisions`` it also
writes a second float column and four of levels, which are drawn once: as many columns as points, a band and three
reasons.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

# Most of these are loaded because the command loads them; their time belongs to the floor.
import click  # noqa: F401
import dask  # noqa: F401
import numpy as np
import psutil  # noqa: F401
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pydantic  # noqa: F401

WORKERS = 2
# A little above a power of two, as the reader of Parquet likes it.
BATCH_ROWS = 67_584
BUFFER_BYTES = 256 * 1024
PIECE_BYTES = 8 * 1024 * 1024
DECISIONS, QUOTED = "--decisions", "--quoted"
# The levels of a band, and of each reason.
LEVELS = (4, 20, 20, 20)
MOST_ROWS = 1 << 20


class DigestingFile:
    """A binary file that digests what is written and syncs when it is closed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._digest = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write and digest."""
        self._digest.update(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def readable(self) -> bool:
        """Return that it cannot be read."""
        return False

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def seekable(self) -> bool:
        """Return that it has no other position than the end."""
        return False

    def close(self) -> None:
        """Sync and close."""
        os.fsync(self._file.fileno())
        self._file.close()
        self.closed = True


def drawn_decisions() -> Sequence[pa.Array]:
    """Return a column for a band and for each reason, with so many rows as a row group may have."""
    generator = np.random.default_rng(0)
    return [
        pa.DictionaryArray.from_arrays(
            pa.array(generator.integers(0, levels, MOST_ROWS, dtype=np.int8)),
            pa.array([f"R-{level}" for level in range(levels)]),
        )
        for levels in LEVELS
    ]


def write(batches: Iterator[pa.RecordBatch], path: Path, values: Sequence[str], decisions: Sequence[pa.Array]) -> None:
    """Write ``id`` and columns of the batches as a part, and so many rows of each decision."""
    held = pa.Table.from_batches([batch.select(["id", *values]) for batch in batches])
    for number, levels in enumerate(decisions):
        held = held.append_column(f"decision_{number}", levels.slice(0, held.num_rows))
    file = DigestingFile(path)
    of_levels = [f"decision_{number}" for number in range(len(decisions))]
    # The statistics of levels take a third of the time that writing them does, and tell nothing of so few.
    plain = ["id", *values] if decisions else True
    with pq.ParquetWriter(
        file, held.schema, use_dictionary=of_levels, compression="snappy", write_statistics=plain
    ) as writer:
        writer.write_table(held, row_group_size=MOST_ROWS)
    file.close()


def parquet_pieces(data: str, columns: Sequence[str]) -> list[Callable[[], Iterator[pa.RecordBatch]]]:
    """Return a reader for each row group; each thread opens the file once."""
    own = threading.local()

    def read(group: int) -> Iterator[pa.RecordBatch]:
        if not hasattr(own, "file"):
            own.file = pq.ParquetFile(data, pre_buffer=False, buffer_size=BUFFER_BYTES)
        return own.file.iter_batches(BATCH_ROWS, [group], columns=columns, use_threads=False)

    groups = pq.read_metadata(data).num_row_groups
    return [lambda group=group: read(group) for group in range(groups)]


def conversion(columns: Sequence[str]) -> pyarrow.csv.ConvertOptions:
    """Return what to make of the cells of a CSV."""
    types = {name: pa.float64() for name in columns} | {"id": pa.int64()}
    return pyarrow.csv.ConvertOptions(column_types=types, include_columns=["id", *columns])


def csv_pieces(data: str, columns: Sequence[str], *, quoted: bool) -> list[Callable[[], Iterator[pa.RecordBatch]]]:
    """Return a reader for each 8 MiB of a file."""
    with Path(data).open("rb") as file:
        names = file.readline().decode().strip().split(",")
        cuts = list(record_begins(file, quoted=quoted))

    def read(begin: int, end: int) -> Iterator[pa.RecordBatch]:
        with Path(data).open("rb") as file:
            file.seek(begin)
            piece = pa.py_buffer(file.read(end - begin))
        reading = pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=1 << 20)
        parsing = pyarrow.csv.ParseOptions(newlines_in_values=quoted)
        return iter(pyarrow.csv.open_csv(pa.BufferReader(piece), reading, parsing, conversion(columns)))

    return [lambda begin=begin, end=end: read(begin, end) for begin, end in pairwise(cuts)]


def record_begins(file: BinaryIO, *, quoted: bool) -> Iterator[int]:
    """Yield where the first of the records left begins, then one a piece, and where the file ends."""
    size = os.fstat(file.fileno()).st_size
    while (begin := file.tell()) < size:
        yield begin
        if not quoted:
            file.seek(begin + PIECE_BYTES)
            file.readline()
            continue
        quotes = file.read(PIECE_BYTES).count(b'"') + file.readline().count(b'"')
        while quotes % 2 and (line := file.readline()):
            quotes += line.count(b'"')
    yield size


def gzip_stream(data: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Return the one reader of a compressed CSV."""
    reading = pyarrow.csv.ReadOptions(block_size=1 << 20)
    return iter(pyarrow.csv.open_csv(pa.input_stream(data), reading, convert_options=conversion(columns)))


def pieces_of(data: str, columns: Sequence[str], *, quoted: bool) -> Sequence[Callable[[], Iterator[pa.RecordBatch]]]:
    """Return the readers of a file."""
    if data.endswith(".gz"):
        return [lambda: gzip_stream(data, columns)]
    if data.endswith(".csv"):
        return csv_pieces(data, columns, quoted=quoted)
    return parquet_pieces(data, ["id", *columns])


def main(data: str, out: str, columns: Sequence[str], *, decides: bool, quoted: bool) -> None:
    """Read everything, write the parts, sync the folder."""
    folder = Path(out)
    folder.mkdir()
    floats = [name for name in columns if not name.startswith("i")]
    values, decisions = (floats[:2], drawn_decisions()) if decides else (floats[:1], ())
    pieces = pieces_of(data, columns, quoted=quoted)

    def copy(number: int) -> None:
        write(pieces[number](), folder / f"part-{number:07d}.parquet", values, decisions)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(copy, range(len(pieces))))
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    words = sys.argv[3:]
    named = [name for name in words if name not in (DECISIONS, QUOTED)]
    main(sys.argv[1], sys.argv[2], named, decides=DECISIONS in words, quoted=QUOTED in words)
