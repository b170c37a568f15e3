"""How the generated rows are laid out in files."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

# Reading costs what it costs at the usual 6, the size is 6 % more, and making takes a fifth of the time.
GZIP_LEVEL = 2


def part_name(number: int) -> str:
    """Return the name of one of many files; they sort by their numbers."""
    return f"part-{number:06d}.parquet"


def write_parquet(path: Path, tables: Iterable[pa.Table], row_group_rows: int, compression: str) -> None:
    """Write one file with pyarrow's own encodings, a row group a table or more."""
    tables = iter(tables)
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, compression=compression) as writer:
        writer.write_table(first, row_group_size=row_group_rows)
        for table in tables:
            writer.write_table(table, row_group_size=row_group_rows)


def write_csv(path: Path, tables: Iterable[pa.Table], *, gzipped: bool) -> None:
    """Write one file with a header; text stands in quotes."""
    tables = iter(tables)
    first = next(tables)
    options = pyarrow.csv.WriteOptions(quoting_header="none")
    with (
        gzip.open(path, "wb", compresslevel=GZIP_LEVEL) if gzipped else path.open("wb") as stream,
        pyarrow.csv.CSVWriter(stream, first.schema, write_options=options) as writer,
    ):
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def write_copies(folder: Path, tables: Iterator[pa.Table], different: int) -> None:
    """Write a small file for each table; after so many tables they begin again, but for ``id``.

    Written by pyarrow are the different ones alone. In the others the bytes of the ids are exchanged, which stand
    plain, uncompressed, without statistics and checksums: a hundred thousand files then take seconds.
    """
    templates = []
    for number, table in enumerate(islice(tables, different)):
        path = folder / part_name(number)
        compression = {name: "none" if name == "id" else "snappy" for name in table.column_names}
        features = table.column_names[1:]
        pq.write_table(table, path, compression=compression, use_dictionary=features, write_statistics=features)
        content = path.read_bytes()
        templates.append((content, _place(content, table["id"].to_numpy())))
    for number, table in enumerate(tables, start=different):
        content, place = templates[number % different]
        ids = table["id"].to_numpy().tobytes()
        (folder / part_name(number)).write_bytes(content[:place] + ids + content[place + len(ids) :])


def _place(content: bytes, ids: np.ndarray) -> int:
    found = content.find(ids.tobytes())
    if found < 0:
        raise AssertionError("the ids of a small file do not stand in it as they are in memory")
    return found


def remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    return sum(each.stat().st_size for each in path.iterdir()) if path.is_dir() else path.stat().st_size
