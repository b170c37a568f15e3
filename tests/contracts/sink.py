"""What every sink must do: one function, called by the tests of each implementation."""

from __future__ import annotations

import gc
import io
import random
from typing import TYPE_CHECKING, BinaryIO

from tests.contracts.source import plain_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from pipeline.types.outputs import Sink


def check_sink(
    make: Callable[[BinaryIO], Sink], read: Callable[[bytes], pa.Table], table: pa.Table, expected: pa.Table
) -> None:
    """Check that a sink writes the rows it was given, and the same bytes however they were batched.

    Parameters
    ----------
    make : callable
        Opens a sink of the schema of ``table`` on a file.
    read : callable
        Reads what was written.
    table, expected : pyarrow.Table
        What is written, and what ``read`` must give: the schema exactly, the rows as Python values.
    """
    reference = written(make, table.to_batches())
    got = read(reference)
    assert got.schema.equals(expected.schema)
    assert plain_rows(got.columns) == plain_rows(expected.columns)
    chosen = random.Random(20130101)
    for largest in (1, 3, 1000):
        assert written(make, cut(table, lambda largest=largest: chosen.randint(1, largest))) == reference
    _check_that_the_file_stays_open(make, table)
    _check_abandoning(make, table)


def written(make: Callable[[BinaryIO], Sink], batches: Sequence[pa.RecordBatch]) -> bytes:
    """Return the bytes of a part made of batches."""
    file = io.BytesIO()
    sink = make(file)
    for batch in batches:
        sink.write(batch)
    sink.close()
    return file.getvalue()


def cut(table: pa.Table, rows: Callable[[], int]) -> list[pa.RecordBatch]:
    """Return a table as batches of ``rows`` rows, with empty ones among them."""
    batches, start = [], 0
    empty = table.schema.empty_table().combine_chunks().to_batches() or []
    while start < table.num_rows:
        size = rows()
        batches += [*table.slice(start, size).combine_chunks().to_batches(), *empty]
        start += size
    return batches


def _check_that_the_file_stays_open(make: Callable[[BinaryIO], Sink], table: pa.Table) -> None:
    file = io.BytesIO()
    sink = make(file)
    for batch in table.to_batches():
        sink.write(batch)
    sink.close()
    size = file.tell()
    del sink
    gc.collect()
    assert not file.closed
    assert file.tell() == size


def _check_abandoning(make: Callable[[BinaryIO], Sink], table: pa.Table) -> None:
    """A sink that is dropped writes nothing more, to an open file or to a closed one."""
    file = io.BytesIO()
    sink = make(file)
    for batch in table.to_batches():
        sink.write(batch)
    size = file.tell()
    del sink
    gc.collect()
    assert file.tell() == size
    sink = make(file)
    file.close()
    del sink
    gc.collect()
