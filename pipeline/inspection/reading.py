"""Reading a file whole, in batches: what stands in its columns, value by value."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspection.extent import EMPTY, UNKNOWN, Extent, extent_of
from pipeline.sources import source_for
from pipeline.types.inputs import CsvOptions, FileFacts, Need
from pipeline.types.rows import BadCell, Slice
from pipeline.units import MIB

_BATCH_BYTES = 16 * MIB
_BATCH_ROWS = 65_536
_PROBE_ROWS = 1_024


@dataclass(slots=True)
class Read:
    """What was read of one column."""

    is_text: bool
    nulls: int = 0
    nan: int = 0
    infinite: int = 0
    extent: Extent = EMPTY
    numbers: Extent = EMPTY

    def add(self, array: pa.Array) -> None:
        """Add the values of one batch."""
        self.nulls += _count(array.is_null())
        if pa.types.is_dictionary(array.type):
            # Decoded, a dictionary of a few long texts could take any memory.
            array = array.dictionary.take(pc.unique(array.indices.drop_null()))
        if pa.types.is_floating(array.type):
            floats = array.cast(pa.float64())
            self.nan += _count(pc.is_nan(floats))
            self.infinite += _count(pc.is_inf(floats))
        if self.extent.known:
            self.extent = self.extent.plus(extent_of(array))
        if self.is_text and self.numbers.known:
            self.numbers = self.numbers.plus(_numbers(array))


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read of a file: its rows, its columns, and how many records of a CSV could not be read."""

    rows: int
    columns: dict[str, Read]
    bad: int
    first_bad: BadCell | None


def read_whole(facts: FileFacts, names: Iterable[str], stop: threading.Event) -> Contents:
    """Read columns of a file, in batches of about 16 MiB; give up when another thread says so.

    Raises
    ------
    DataError
        The file is damaged.
    """
    file = facts.file
    is_text = file.format == "csv"
    columns = {name: Read(is_text) for name in names}
    needs = [Need(name, "kept") for name in columns]
    end = facts.identity.size if is_text else len(facts.group_rows)
    piece = Slice(0, facts.data_start, end, facts.rows)
    source = source_for(file.format, CsvOptions())
    rows, first_bad = 0, None
    with source.read(file, facts.identity, piece, needs, _fitting_rows(facts, piece, needs)) as reader:
        for batch in reader:
            for column, array in zip(columns.values(), batch.columns, strict=True):
                column.add(array)
            rows += batch.num_rows
            first_bad = first_bad or next(iter(reader.take_bad()), None)
            if stop.is_set():
                break
        first_bad = first_bad or next(iter(reader.take_bad()), None)
        return Contents(rows, columns, reader.bad_count, first_bad)


def _fitting_rows(facts: FileFacts, piece: Slice, needs: list[Need]) -> int:
    """Return the rows of a batch, by those that the first ones take decoded; a CSV is read in small pieces anyway."""
    if facts.file.format == "csv" or not needs:
        return _BATCH_ROWS
    source = source_for("parquet", CsvOptions())
    with source.read(facts.file, facts.identity, piece, needs, _PROBE_ROWS) as reader:
        first = next(iter(reader), None)
    if first is None:
        return _BATCH_ROWS
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES * first.num_rows // max(1, first.nbytes))))


def _numbers(array: pa.Array) -> Extent:
    try:
        return extent_of(array.cast(pa.float64()))
    except pa.ArrowInvalid:
        return UNKNOWN


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)
