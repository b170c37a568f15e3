"""A sample of the rows that are fitted, which depends on the chunks alone: solvers begin on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import compute as pc
from pipeline.choices import Role
from pipeline.dataclass import dataclass
from pipeline.fitting.first_pass.dividing import is_missing, without_view
from pipeline.fitting.tiles.layout import TILE_ROWS, Floats
from pipeline.models.columns import Mask, levels, numbers
from pipeline.units import MIB

SampledAs = Role | Literal["flag"]

MOST_ROWS = 262_144
MOST_BYTES = 48 * MIB
# So few rows are worth a larger share.
_FEW_ROWS = 16_384
_SHARE = 0.05
# The fold and the rank of a row; and by how much a sample may be larger than is expected: chance decides its rows.
_FOLD_AND_RANK = 9
_BY_CHANCE = 1.05
# The name of the column that has the fold of each row.
FOLD = "(fold)"
_RANK = "(rank)"


@dataclass(frozen=True, slots=True)
class SampleRule:
    """Which rows are in a sample, and which columns of a batch.

    Attributes
    ----------
    share : float
        Of the rows that are fitted.
    columns : tuple of (int, Role or "flag")
        Positions in a batch, and how they are read; of a flag only is asked where it is missing.
    expected_bytes : int
        What a whole sample takes, as far as is known.
    rows, bytes : int
        The most of a whole sample.
    """

    share: float
    columns: tuple[tuple[int, SampledAs], ...]
    expected_bytes: int = 0
    rows: int = MOST_ROWS
    bytes: int = MOST_BYTES

    @classmethod
    def of(cls, rows: int, row_bytes: float, columns: tuple[tuple[int, SampledAs], ...]) -> SampleRule:
        """Return the rule for about so many rows of about so many bytes."""
        most = min(MOST_ROWS, MOST_BYTES / max(1.0, row_bytes))
        share = min(1.0, most / max(1, rows), max(_SHARE, _FEW_ROWS / max(1, rows)))
        return cls(share, columns, int(_BY_CHANCE * share * rows * (row_bytes + _FOLD_AND_RANK)))


@dataclass(slots=True, eq=False)
class SampleRows:
    """Rows of a sample, with a rank between 0 and 1 each: those with the lowest ranks are in it."""

    rule: SampleRule
    table: pa.Table | None = None
    pieces: list[pa.Table] = field(default_factory=list)

    def add(self, data: pa.RecordBatch, used: Mask, ranks: Floats, folds: npt.NDArray[np.int8] | None) -> None:
        """Add the rows of a batch that are fitted and have a low rank; ``ranks`` are those of the rows that are."""
        chosen = np.flatnonzero(ranks < self.rule.share)
        if not len(chosen):
            return
        places = np.flatnonzero(used)[chosen]
        rows = as_arrow(places)
        columns = [_plain(without_view(data.column(place)).take(rows), role) for place, role in self.rule.columns]
        names = [data.schema.field(place).name for place, _ in self.rule.columns]
        fold = np.zeros(len(places), dtype=np.int8) if folds is None else folds[places]
        arrays = [*columns, as_arrow(fold), as_arrow(ranks[chosen])]
        self.pieces.append(pa.Table.from_arrays(arrays, [*names, FOLD, _RANK]))

    def settle(self) -> None:
        """Join the rows that came, and keep as many as a sample may have."""
        if self.pieces:
            self.table = self._thinned(_concatenated([*([] if self.table is None else [self.table]), *self.pieces]))
            self.pieces = []

    def join(self, other: SampleRows) -> None:
        """Add rows that come after these."""
        self.settle()
        other.settle()
        if other.table is not None:
            self.pieces = [other.table]
            self.settle()

    def rows(self) -> pa.Table | None:
        """Return the sample, without the ranks; ``None`` where it has no row."""
        self.settle()
        return None if self.table is None else self.table.drop_columns([_RANK])

    def _thinned(self, table: pa.Table) -> pa.Table:
        size = max(1.0, _bytes_of(table))
        most = min(self.rule.rows, int(self.rule.bytes * table.num_rows / size))
        if table.num_rows <= most:
            return table
        ranks = numbers(table.column(_RANK).chunk(0)).values
        kept = np.sort(np.argsort(ranks, kind="stable")[:most])
        return table.take(as_arrow(kept))


def ranks_of(chunk: int, first: int, rows: int) -> Floats:
    """Return the ranks of some rows of a chunk that are fitted, from row ``first`` of them.

    Each tile has a generator of its own, so that ranks do not depend on how rows come.
    """
    tiles = range(first // TILE_ROWS, -(-(first + rows) // TILE_ROWS))
    found = [np.random.Generator(np.random.Philox(key=[chunk, tile])).random(TILE_ROWS) for tile in tiles]
    begin = first % TILE_ROWS
    ranks: Floats = np.concatenate(found) if found else np.empty(0)
    return ranks[begin : begin + rows]


def as_arrow(values: npt.NDArray[Any]) -> pa.Array:
    """Return values as an Arrow array, without a copy; ``pa.array`` would import pandas where it is installed."""
    contiguous = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(contiguous)])


def _plain(array: pa.Array, role: SampledAs) -> pa.Array:
    """Return a column in the one type that it has in every file: numbers, text, flags, or as it is."""
    if role == "flag":
        missing = is_missing(array)
        return pa.array(~missing, mask=missing)
    if role in {"numeric", "boolean"}:
        cells = numbers(array)
        values = cells.values.astype(np.float64)
        return as_arrow(values) if cells.null is None else pa.array(values, mask=cells.null)
    if role == "categorical":
        return _spelled(array)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _spelled(array: pa.Array) -> pa.Array:
    """Return levels as text, spelled as a model file spells them."""
    type_ = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if not pa.types.is_floating(type_):
        plain = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
        return pc.cast(plain, pa.string())
    found = levels(array)
    names = pa.array([*found.names, None], pa.string())
    codes = found.codes.astype(np.intp)
    if found.null is not None:
        codes[found.null] = len(names) - 1
    return names.take(as_arrow(codes))


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).combine_chunks()


def _bytes_of(table: pa.Table) -> float:
    """Return the bytes of the values alone: what memory they take depends on how they came."""
    return float(sum(_column_bytes(column) for column in table.columns))


def _column_bytes(column: pa.ChunkedArray) -> float:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return 4.0 * len(column) + float(pc.sum(pc.binary_length(column)).as_py() or 0)
    try:
        return float(len(column) * max(1.0, column.type.bit_width / 8))
    except ValueError:  # the values of the type differ in width
        return float(column.nbytes)
