"""FLOOR: what reading and writing alone cost, with the same libraries loaded and the same care for the output.

    python floor.py DATA OUT COLUMN...

Reads the columns row group by row group (of a CSV: pieces cut at newlines) in two threads, and writes ``id`` and one
float column, a part for each; what is written is digested, synced and does no arithmetic.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The first five are loaded because the command loads them; their time belongs to the floor.
import click  # noqa: F401
import dask.array  # noqa: F401
import numpy as np  # noqa: F401
import psutil  # noqa: F401
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pydantic  # noqa: F401

WORKERS = 2
BATCH_ROWS = 65_536
BUFFER_BYTES = 256 * 1024
PIECE_BYTES = 8 * 1024 * 1024


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


def write(batches: Iterator[pa.RecordBatch], path: Path, value: str) -> None:
    """Write ``id`` and one column of the batches as a part of one row group."""
    held = pa.Table.from_batches([batch.select(["id", value]) for batch in batches])
    file = DigestingFile(path)
    with pq.ParquetWriter(file, held.schema, use_dictionary=False, compression="snappy") as writer:
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


def main(data: str, out: str, columns: Sequence[str]) -> None:
    """Read everything, write the parts, sync the folder."""
    folder = Path(out)
    folder.mkdir()
    value = next(name for name in columns if not name.startswith("i"))
    pieces = csv_pieces(data, columns) if data.endswith(".csv") else parquet_pieces(data, ["id", *columns])

    def copy(number: int) -> None:
        write(pieces[number](), folder / f"part-{number:07d}.parquet", value)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(copy, range(len(pieces))))
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
