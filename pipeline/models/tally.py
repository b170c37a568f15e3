"""What happened to the rows of a batch: which are null, which cells are bad, and what is counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.models.columns import Mask, Rows, bad_cell
from pipeline.types import BadCell

BAD_LIMIT = 10


class Tally:
    """Gathers, while a batch is scored, what becomes its ``Values`` besides the arrays. Used by one call alone."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.null: Mask | None = None
        self.events: dict[str, int] = {}
        self.bad_count = 0
        self._bad: list[tuple[int, int, BadCell]] = []

    def count(self, event: str, rows: int) -> None:
        """Add to the number of an event; nothing is named that did not occur."""
        if rows:
            self.events[event] = self.events.get(event, 0) + rows

    def set_null(self, rows: Mask | Rows) -> None:
        """Make the results of these rows null."""
        if self.null is None:
            self.null = np.zeros(self.rows, dtype=np.bool_)
        self.null[rows] = True

    def add_bad(self, rows: Rows, position: int, column: str, array: pa.Array, reason: str) -> None:
        """Note the cells of a column, which is the one at ``position``, as bad; ``rows`` ascend."""
        self.bad_count += len(rows)
        for row in rows[:BAD_LIMIT].tolist():
            self._bad.append((row, position, bad_cell(array, row, column, reason)))

    @property
    def null_count(self) -> int:
        """Rows whose results are null."""
        return 0 if self.null is None else int(np.count_nonzero(self.null))

    def bad(self) -> tuple[BadCell, ...]:
        """Return the first bad cells, by row and then by column."""
        return tuple(cell for _, _, cell in sorted(self._bad, key=lambda entry: entry[:2])[:BAD_LIMIT])
