"""A batch of rows, as the features of a model read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from pipeline.choices import Precision
from pipeline.models.tally import BatchColumn, RowTally


@dataclass(frozen=True, eq=False)
class BatchColumns:
    """The columns of a batch, by name, and what happens to its rows.

    Attributes
    ----------
    columns : mapping of str to BatchColumn
    tally : RowTally
    precision : {"fast", "accurate", "reproducible"}
    """

    columns: Mapping[str, BatchColumn]
    tally: RowTally
    precision: Precision = "fast"
    _uses: count[int] = field(default_factory=count)

    def use(self, name: str) -> BatchColumn:
        """Return a column for one use: what is counted in a column is counted in one of its uses."""
        return replace(self.columns[name], use=next(self._uses))
