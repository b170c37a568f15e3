"""FLOOR: what reading and writing alone cost, with the same libraries loaded and the same care for the output.

    python floor.py DATA OUT [--decisions] COLUMN...

Reads the columns row group by row group (of a CSV: pieces cut at newlines) in two threads, and writes ``id`` and one
float column, a part for each; what is written is digested, synced and does no arithmetic. With ``--decisions`` it also
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
from pathlib import Path

# Most of these are loaded because the command loads them; their time belongs to the floor.
import click  # noqa: F401
import dask.array  # noqa: F401
import numpy as np
import psutil  # noqa: F401
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pydantic  # noqa: F401

WORKERS = 2
BATCH_ROWS = 65_536
BUFFER_BYTES = 256 * 1024
PIECE_BYTES = 8 * 1024 * 1024
DECISIONS = "--decisions"
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
    """Write ``id`` and columns of the batches as a part of one row group, and so many rows of each decision."""
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
        writer.write_table(held, row_group_size=max(1, held.num_rows))
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


def csv_pieces(data: str, columns: Sequence[str]) -> list[Callable[[], Iterator[pa.RecordBatch]]]:
    """Return a reader for each 8 MiB of a file without quotes."""
    with Path(data).open("rb") as file:
        header = file.readline()
    names = header.decode().strip().split(",")
    types = {name: pa.float64() for name in columns} | {"id": pa.int64()}
    options = pyarrow.csv.ConvertOptions(column_types=types, include_columns=["id", *columns])

    def read(start: int) -> Iterator[pa.RecordBatch]:
        with Path(data).open("rb") as file:
            file.seek(start - 1)
            begin = start - 1 + len(file.readline())
            file.seek(max(begin, start + PIECE_BYTES) - 1)
            end = file.tell() + len(file.readline())
            file.seek(begin)
            piece = pa.py_buffer(file.read(end - begin))
        if piece.size == 0:
            return iter(())
        reading = pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=1 << 20)
        return iter(pyarrow.csv.open_csv(pa.BufferReader(piece), reading, convert_options=options))

    starts = range(len(header), Path(data).stat().st_size, PIECE_BYTES)
    return [lambda start=start: read(start) for start in starts]


def main(data: str, out: str, columns: Sequence[str], *, decides: bool) -> None:
    """Read everything, write the parts, sync the folder."""
    folder = Path(out)
    folder.mkdir()
    floats = [name for name in columns if not name.startswith("i")]
    values, decisions = (floats[:2], drawn_decisions()) if decides else (floats[:1], ())
    pieces = csv_pieces(data, columns) if data.endswith(".csv") else parquet_pieces(data, ["id", *columns])

    def copy(number: int) -> None:
        write(pieces[number](), folder / f"part-{number:07d}.parquet", values, decisions)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(copy, range(len(pieces))))
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    named = [name for name in sys.argv[3:] if name != DECISIONS]
    main(sys.argv[1], sys.argv[2], named, decides=DECISIONS in sys.argv[3:])
