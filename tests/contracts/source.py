"""What every source must do: one function, called by the tests of each implementation."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import DataError, InputChangedError
from pipeline.sources import content_digest
from pipeline.types.inputs import FileFacts, InputFile, Need
from pipeline.types.rows import BadCell, Origin, Slice
from pipeline.types.sources import SliceReader, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

BATCH_ROWS = (1, 7, 100_000)


def check_source(
    source: Source,
    make_file: Callable[[pa.Table], InputFile],
    table: pa.Table,
    needs: Sequence[Need] | None = None,
    expected: pa.Table | None = None,
) -> None:
    """Check that a source gives the rows of a file, whatever the batch and the cut, and notices what changes.

    Parameters
    ----------
    source : Source
    make_file : callable
        Writes a table to a new file of the kind that the source reads; called several times.
    table : pyarrow.Table
        What is written; column names differ.
    needs : sequence of Need, optional
        What is read; every column as ``kept`` unless given.
    expected : pyarrow.Table, optional
        The values that must come, one column for each need; those of ``table`` unless given. Compared as Python
        values, so that 3 equals 3.0 and a dictionary equals its decoded text; NaN equals NaN.
    """
    needs = [Need(name, "kept") for name in table.column_names] if needs is None else list(needs)
    expected = table.select([need.name for need in needs]) if expected is None else expected
    rows = plain_rows(expected.columns)
    source = pickle.loads(pickle.dumps(source))
    _check_facts(source, make_file(table), table, needs)
    _check_rows(source, make_file(table), needs, rows)
    _check_no_needs(source, make_file(table), table.num_rows)
    _check_threads(source, make_file(table), needs, rows)
    _check_changes(source, make_file, table, needs)
    _check_closing(source, make_file(table), needs)


def whole(facts: FileFacts) -> Slice:
    """Return the slice that covers a file."""
    if facts.file.format == "parquet":
        return Slice(0, 0, len(facts.group_rows), facts.rows)
    return Slice(0, facts.data_start, facts.identity.size, None)


def plain_rows(columns: Sequence[pa.Array | pa.ChunkedArray]) -> list[tuple[object, ...]]:
    """Return rows of Python values in which NaN equals NaN and a dictionary is its values."""
    return list(zip(*([_plain(value) for value in column.to_pylist()] for column in columns), strict=True))


@dataclass
class Told:
    """What a reader reported about its records while it gave its batches: the good ones and the bad ones."""

    origins: list[Origin] = field(default_factory=list)
    bad: list[BadCell] = field(default_factory=list)
    _seen: list[tuple[int, int]] = field(default_factory=list)

    def listen(self, reader: SliceReader, batch: pa.RecordBatch) -> None:
        """Take what the reader reports about a batch; a batch without rows has bad records."""
        taken = reader.take_bad()
        assert reader.take_bad() == []
        assert batch.num_rows or taken
        self.bad += taken
        assert reader.bad_count >= len(self.bad)
        rows = range(batch.num_rows)
        told = reader.origins(rows)
        assert [origin.record for origin in told] == [reader.record(row) for row in rows]
        assert reader.origins(rows[-1:]) == told[-1:]
        self.origins += told
        if told:
            self._seen.append((told[-1].record, len(self.bad)))

    def check(self, reader: SliceReader) -> None:
        """Check, after the last batch, that every record was reported once, in the order of the file, and in time."""
        good, bad = [origin.record for origin in self.origins], [cell.record for cell in self.bad]
        assert reader.take_bad() == []
        assert reader.bad_count == len(bad)
        assert good == sorted(good)
        assert bad == sorted(bad)
        assert sorted(good + bad) == list(range(len(good) + len(bad)))
        for record, count in self._seen:
            assert all(later > record for later in bad[count:])


def read_rows(
    source: Source, facts: FileFacts, piece: Slice, needs: Sequence[Need], batch_rows: int, begin: int | None = None
) -> tuple[list[tuple[object, ...]], SliceReader]:
    """Read a slice to its end, checking each batch; return its rows and the closed reader."""
    rows, reader, _ = read_told(source, facts, piece, needs, batch_rows, begin)
    return rows, reader


def read_told(
    source: Source, facts: FileFacts, piece: Slice, needs: Sequence[Need], batch_rows: int, begin: int | None = None
) -> tuple[list[tuple[object, ...]], SliceReader, Told]:
    """Read a slice as :func:`read_rows` does; return what was reported about its records too."""
    fields = [source.field(facts, need) for need in needs]
    rows: list[tuple[object, ...]] = []
    told = Told()
    with source.read(facts.file, facts.identity, piece, needs, batch_rows, begin) as reader:
        for batch in reader:
            assert batch.num_rows <= batch_rows
            assert [field.name for field in batch.schema] == [need.name for need in needs]
            assert [field.type for field in batch.schema] == [field.type for field in fields]
            for column_field, column in zip(fields, batch.columns, strict=True):
                assert column_field.nullable or column.null_count == 0
            told.listen(reader, batch)
            rows += plain_rows(batch.columns) if needs else [()] * batch.num_rows
    told.check(reader)
    assert reader.rows == len(rows) == len(told.origins)
    assert open_descriptors(facts.file.location) == 0
    return rows, reader, told


def open_descriptors(location: str) -> int:
    """Return how many descriptors of this process refer to a file."""
    path = Path(location).resolve()
    return sum(os.path.realpath(descriptor) == str(path) for descriptor in Path("/proc/self/fd").iterdir())


def _plain(value: object) -> object:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def _check_facts(source: Source, file: InputFile, table: pa.Table, needs: Sequence[Need]) -> None:
    facts = source.facts(file)
    assert facts.identity == source.facts(file).identity
    assert facts.file == file
    assert facts.identity.size == Path(file.location).stat().st_size
    assert facts.identity.mtime_ns == Path(file.location).stat().st_mtime_ns
    assert len(facts.identity.digest) == 64
    assert [column.field.name for column in facts.columns] == table.column_names
    assert facts.rows in {None, table.num_rows}
    assert facts.row_bytes >= 1
    assert int(facts.group_rows.sum()) in {0, table.num_rows}
    assert open_descriptors(file.location) == 0
    for need in needs:
        assert source.field(facts, need).name == need.name
    with pytest.raises(LookupError):
        source.field(facts, Need("no such column", "kept"))
    digested = source.facts(file, full=True).identity
    assert digested.content == content_digest(file) == hashlib.sha256(Path(file.location).read_bytes()).hexdigest()
    assert replace(digested, content="") == facts.identity
    assert open_descriptors(file.location) == 0
    with source.read(file, replace(digested, content="of another state"), whole(facts), needs, 7) as reader:
        assert sum(batch.num_rows for batch in reader) == table.num_rows


def _check_rows(source: Source, file: InputFile, needs: Sequence[Need], rows: list[tuple[object, ...]]) -> None:
    facts = source.facts(file)
    for batch_rows in BATCH_ROWS:
        got, reader, told = read_told(source, facts, whole(facts), needs, batch_rows)
        assert got == rows
        assert reader.bad_count == 0
        _check_origins(facts, told.origins)
        assert reader.bytes_read > 0 or not rows
    for pieces in _cuts(facts):
        _check_cut(source, facts, pieces, needs, rows)


def _check_origins(facts: FileFacts, origins: Sequence[Origin]) -> None:
    """Check that a row of Parquet only has a number, and that a record of a CSV is where the reader says."""
    if facts.file.format == "parquet":
        assert origins == [Origin(number) for number in range(len(origins))]
        return
    content = Path(facts.file.location).read_bytes() if facts.cuttable else None
    for origin in origins:
        assert origin.offset is not None
        assert origin.line is not None
        line = origin.line.encode()
        assert content is None or content[origin.offset : origin.offset + len(line)] == line


def _check_no_needs(source: Source, file: InputFile, rows: int) -> None:
    facts = source.facts(file)
    for batch_rows in BATCH_ROWS:
        with source.read(file, facts.identity, whole(facts), [], batch_rows) as reader:
            batches = list(reader)
        assert sum(batch.num_rows for batch in batches) == reader.rows == rows
        assert all(batch.num_columns == 0 and 0 < batch.num_rows <= batch_rows for batch in batches)


def _cuts(facts: FileFacts) -> list[list[Slice]]:
    """Return ways to cut the file: every place of a small file at once, and some places of any."""
    total = whole(facts)
    if facts.file.format == "csv" and not facts.cuttable:
        return []
    places = range(total.start + 1, total.stop)
    chosen = random.Random(20130101)
    ways = [sorted(chosen.sample(places, min(count, len(places)))) for count in (1, 2, 3, 10, 64)]
    return [[_piece(facts, *ends) for ends in itertools.pairwise([total.start, *way, total.stop])] for way in ways]


def _piece(facts: FileFacts, start: int, stop: int) -> Slice:
    rows = int(facts.group_rows[start:stop].sum()) if facts.file.format == "parquet" else None
    return Slice(0, start, stop, rows)


def _check_cut(
    source: Source, facts: FileFacts, pieces: list[Slice], needs: Sequence[Need], rows: list[tuple[object, ...]]
) -> None:
    """Read the pieces in order, each told where the one before it ended; then each by itself.

    By itself a piece of a CSV may begin with a wrong guess. Then its begin is not the end of the piece before it, or
    it is refused; where begins and ends meet all along, the rows are right.
    """
    told: list[tuple[object, ...]] = []
    begin = None
    for piece in pieces:
        got, reader = read_rows(source, facts, piece, needs, 7, begin)
        told += got
        begin = reader.end if facts.file.format == "csv" else None
    assert told == rows
    alone: list[tuple[object, ...]] = []
    ends: list[tuple[int, int]] = []
    for piece in pieces:
        try:
            got, reader = read_rows(source, facts, piece, needs, 1000)
        except DataError:
            assert facts.file.format == "csv"
            return
        alone += got
        ends.append((reader.begin, reader.end))
    if all(one[1] == two[0] for one, two in itertools.pairwise(ends)):
        assert alone == rows


def _check_threads(source: Source, file: InputFile, needs: Sequence[Need], rows: list[tuple[object, ...]]) -> None:
    facts = source.facts(file)

    def task(batch_rows: int) -> list[tuple[object, ...]]:
        with source.read(file, facts.identity, whole(facts), needs, batch_rows) as reader:
            return [row for batch in reader for row in plain_rows(batch.columns)]

    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(task, [3, 5, 64, 1000] * 3):
            assert got == rows
    assert open_descriptors(file.location) == 0


def _check_changes(
    source: Source, make_file: Callable[[pa.Table], InputFile], table: pa.Table, needs: Sequence[Need]
) -> None:
    def touch(file: InputFile) -> None:
        stat = Path(file.location).stat()
        os.utime(file.location, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))

    def grow(file: InputFile) -> None:
        with Path(file.location).open("ab") as stream:
            stream.write(b"\n")

    def vanish(file: InputFile) -> None:
        Path(file.location).write_bytes(b"")

    for change in (touch, grow, vanish):
        file = make_file(table)
        facts = source.facts(file)
        change(file)
        with pytest.raises(InputChangedError, match="chang"):
            read_rows(source, facts, whole(facts), needs, 7)
        assert open_descriptors(file.location) == 0
    if table.num_rows < 2:
        return
    file = make_file(table)
    facts = source.facts(file)
    with source.read(file, facts.identity, whole(facts), needs, 1) as reader:
        batches = iter(reader)
        next(batches)
        touch(file)
        with pytest.raises(InputChangedError, match="chang"):
            list(batches)
    assert open_descriptors(file.location) == 0


def _check_closing(source: Source, file: InputFile, needs: Sequence[Need]) -> None:
    facts = source.facts(file)
    with source.read(file, facts.identity, whole(facts), needs, 1) as reader:
        next(iter(reader), None)
    assert open_descriptors(file.location) == 0

    def fail_after_a_batch() -> None:
        with source.read(file, facts.identity, whole(facts), needs, 1) as reader:
            next(iter(reader), None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fail_after_a_batch()
    assert caught.tb is not None
    assert open_descriptors(file.location) == 0
