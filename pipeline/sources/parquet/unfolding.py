"""Text that takes far more memory than its file suggests: many rows that point to few long texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipeline import compute as pc
from pipeline.units import MIB

# Upper bounds for indices into a dictionary, and for a dictionary page of usual size.
_ROW_BYTES, _DICTIONARY_BYTES = 4.5, 2 * MIB
_FEWEST_ROWS = 1_024
# The most that text decoded at once may take.
_PIECE_BYTES = 32 * MIB


def is_folded(decompressed_bytes: int, rows: int) -> bool:
    """Return whether a text column of a row group is so small that its rows may be indices to long texts."""
    return decompressed_bytes <= _DICTIONARY_BYTES + _ROW_BYTES * rows


def most_rows(decompressed_bytes: int) -> int:
    """Return how many rows of a text column may be decoded at once where each may repeat what is before it.

    No value is longer than its column is decompressed. 1,024 rows are decoded in any case, as wherever the width of
    text is not known yet.
    """
    return max(_FEWEST_ROWS, _PIECE_BYTES // max(1, decompressed_bytes))


def unfolding(batch: pa.RecordBatch, folded: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch in pieces whose ``folded`` columns, which are dictionaries, stay small once decoded.

    A piece takes at most 32 MiB, or is one row. A batch without rows yields nothing.
    """
    if not folded or not batch.num_rows:
        yield from [batch] if batch.num_rows else []
        return
    ends = np.zeros(batch.num_rows, dtype=np.int64)
    for name in folded:
        array = batch.column(name)
        lengths = np.append(pc.binary_length(array.dictionary).fill_null(0).to_numpy(), 0)
        ends += lengths[array.indices.fill_null(len(lengths) - 1).to_numpy()]
    np.cumsum(ends, out=ends)
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _PIECE_BYTES, side="right")))
        yield batch.slice(start, stop - start)
        start = stop
