"""A batch of rows, as the features of a model read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.choices import Precision
from pipeline.models.tally import BatchColumn, RowTally


class BatchColumns:
    """The columns of a batch, by name, and what happens to its rows. For one thread.

    Parameters
    ----------
    columns : mapping of str to BatchColumn
    tally : RowTally
    precision : {"fast", "accurate", "reproducible"}
    """

    def __init__(self, columns: Mapping[str, BatchColumn], tally: RowTally, precision: Precision = "fast") -> None:
        self.tally, self.precision = tally, precision
        self._columns = columns
        self._uses: dict[str, int] = {}

    def use(self, name: str) -> BatchColumn:
        """Return a column for one use: what is counted in a column is counted in one of its uses."""
        uses = self._uses[name] = self._uses.get(name, -1) + 1
        column = self._columns[name]
        return replace(column, use=uses) if uses else column
