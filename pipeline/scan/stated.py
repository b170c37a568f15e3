"""Columns that a file and its path both have: a row whose value is not that of the path is a bad record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import compute as pc
from pipeline.sources import row_text
from pipeline.sources.partitions import stated_scalar
from pipeline.types.inputs import InputFile, Integers, Need
from pipeline.types.rows import BadCell, Origin
from pipeline.types.sources import SliceReader

_TEXT_LIMIT = 200


def with_stated_checked(reader: SliceReader, file: InputFile, needs: Sequence[Need]) -> SliceReader:
    """Return a reader whose rows have the values that the path states, where the file has such columns, too."""
    if not any(need.stated for need in needs):
        return reader
    return cast("SliceReader", _StatedChecked(reader, file, needs))


class _StatedChecked:
    """A reader that leaves out the rows that contradict the path; see :class:`~pipeline.types.sources.SliceReader`.

    Whatever is not changed here is that of the reader below.

    Parameters
    ----------
    reader : SliceReader
    file : InputFile
    needs : sequence of Need
        As the columns of the batches.
    """

    def __init__(self, reader: SliceReader, file: InputFile, needs: Sequence[Need]) -> None:
        self._reader, self._file, self._needs = reader, file, needs
        self._dropped = 0
        self._bad: list[BadCell] = []
        # The rows of the last batch of the reader that are in the last batch, where that is not all of them.
        self._kept: npt.NDArray[np.intp] | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    @property
    def rows(self) -> int:
        """Rows of the batches."""
        return self._reader.rows - self._dropped

    @property
    def bad_count(self) -> int:
        """Records left out so far."""
        return self._reader.bad_count + self._dropped

    @property
    def limit(self) -> int | None:
        """The number of records that are read at most."""
        return self._reader.limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._reader.limit = limit

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.__exit__(*exc)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            self._kept = None
            wrong = self._contradictions(batch)
            yield self._without(batch, wrong) if wrong else batch

    def take_bad(self) -> list[BadCell]:
        """Return the records that were left out and not yet taken, in the order of the file."""
        taken, self._bad = [*self._reader.take_bad(), *self._bad], []
        return sorted(taken, key=lambda cell: cell.record)

    def record(self, row: int) -> int:
        """Return the number within the slice of a row of the last batch."""
        return self._reader.record(self._row(row))

    def places(self) -> Integers:
        """Return the place of each row of the last batch in its file."""
        places = self._reader.places()
        return places if self._kept is None else places[self._kept]

    def origins(self, rows: Sequence[int]) -> list[Origin]:
        """Return the places of rows of the last batch in the file."""
        return self._reader.origins([self._row(row) for row in rows])

    def _row(self, row: int) -> int:
        return row if self._kept is None else int(self._kept[row])

    def _contradictions(self, batch: pa.RecordBatch) -> dict[int, BadCell]:
        """Return the first wrong cell of each row that has one, by row."""
        found: dict[int, BadCell] = {}
        for number, need in enumerate(self._needs):
            if not need.stated:
                continue
            column = batch.column(number)
            stated = stated_scalar(self._file, need.name, column.type)
            for row in np.flatnonzero(~_agrees(column, stated)).tolist():
                text = str(column[row].as_py()) if column[row].is_valid else "null"
                shown = dict(self._file.partitions)[need.name]
                value = "null" if shown is None else f"'{shown[:_TEXT_LIMIT]}'"
                found.setdefault(row, BadCell(row, need.name, text[:_TEXT_LIMIT], "not as in path", (value,)))
        return found

    def _without(self, batch: pa.RecordBatch, wrong: Mapping[int, BadCell]) -> pa.RecordBatch:
        rows, names = sorted(wrong), [need.name for need in self._needs]
        for row, origin in zip(rows, self._reader.origins(rows), strict=True):
            line = row_text(batch, row, names) if origin.line is None else origin.line
            self._bad.append(replace(wrong[row], record=origin.record, offset=origin.offset, line=line))
        self._dropped += len(rows)
        self._kept = np.delete(np.arange(batch.num_rows), rows)
        return batch.take(pa.array(self._kept))


def _agrees(column: pa.Array, stated: pa.Scalar) -> npt.NDArray[np.bool_]:
    if pa.types.is_dictionary(column.type):
        agrees = np.append(_agrees(column.dictionary, stated), not stated.is_valid)
        codes = column.indices.fill_null(len(agrees) - 1).to_numpy(zero_copy_only=False)
        return np.asarray(agrees[codes], dtype=np.bool_)
    if pa.types.is_floating(column.type) and stated.is_valid and math.isnan(stated.as_py()):
        mask = pc.is_nan(column).fill_null(False)
    else:
        mask = pc.equal(column, stated).fill_null(False) if stated.is_valid else column.is_null()
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.bool_)
