"""The order of rows in an epoch, which the seed and the chunks decide, and nothing else.

Chunks come in an order drawn for each epoch. Whole chunks are gathered, in that order, until they have 65,536 rows that
are fitted, and the rows of such a window are shuffled. Mini-batches are cut from the stream of rows that comes out, so
that it does not depend on their size, and the last one of an epoch may be shorter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.fitting.network.rows import LearningRows, joined
from pipeline.kernels.layers import generator

WINDOW_ROWS = 65_536

_CHUNKS, _ROWS = 1, 2


def chunk_order(seed: int, epoch: int, chunks: int) -> list[int]:
    """Return the order of the chunks in an epoch."""
    order: list[int] = generator((seed, _CHUNKS, epoch)).permutation(chunks).tolist()
    return order


class BatchCutter:
    """Shuffles the rows of chunks in windows, and cuts them into mini-batches. For one thread and one epoch.

    Parameters
    ----------
    seed, epoch : int
    batch_rows : int
    """

    def __init__(self, seed: int, epoch: int, batch_rows: int) -> None:
        self._seed, self._epoch, self._batch_rows = seed, epoch, batch_rows
        self._windows = 0
        self._gathered: list[LearningRows] = []
        self._rows = 0
        self._left: LearningRows | None = None

    def add(self, rows: LearningRows) -> Iterator[LearningRows]:
        """Add the rows of the next chunk, and yield the mini-batches that are whole."""
        if len(rows):
            self._gathered.append(rows)
            self._rows += len(rows)
        if self._rows >= WINDOW_ROWS:
            yield from self._cut()

    def end(self) -> Iterator[LearningRows]:
        """Yield the mini-batches that are left; the last one may be shorter."""
        if self._rows:
            yield from self._cut()
        if self._left is not None:
            yield self._left
            self._left = None

    def _cut(self) -> Iterator[LearningRows]:
        window = joined(self._gathered)
        self._gathered, self._rows = [], 0
        order = generator((self._seed, _ROWS, self._epoch, self._windows)).permutation(len(window))
        self._windows += 1
        first = 0
        while first < len(order):
            lacking = self._batch_rows - (0 if self._left is None else len(self._left))
            part = window.taken(np.asarray(order[first : first + lacking]))
            batch = part if self._left is None else joined([self._left, part])
            first += lacking
            if len(batch) == self._batch_rows:
                self._left = None
                yield batch
            else:
                self._left = batch
