"""What happened to the rows of a batch: which are null, which must not be written, and what is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Cause, Lack
from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask, Rows, bad_cell
from pipeline.types.features import NOTHING, FeatureCount
from pipeline.types.rows import BadCell

# A rank orders the claims on a row: bad before by policy, then the position of the column, then the order of coming.
_BY_POLICY = 1 << 62
_POSITION = 1 << 32
_ACCEPTED = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class BatchColumn:
    """A column of a batch: its place among the columns, its name, its cells, and the decimal sign of text in it.

    ``use`` tells several uses of one column apart: of each thing that is counted only one of them is.
    """

    position: int
    name: str
    array: pa.Array
    decimal: str = "."
    use: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """Why cells of a column keep their rows out of the output."""

    column: BatchColumn
    cause: Cause
    by_policy: bool


class RowTally:
    """Counts what happens to the rows of a batch while it is scored. Each call uses its own.

    A row is rejected if a cell is bad, or if the model sends it to the quarantine; it is then neither null nor NaN.
    One number is kept for each row, however many columns reject it; cells are made when they are asked for.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.events: dict[str, int] = {}
        self._null: Mask | None = None
        self._ranks: npt.NDArray[np.int64] | None = None
        self._claims: dict[int, _Claim] = {}
        self._lacks: dict[Lack, dict[str, int]] = {"missing": {}, "unseen": {}}
        self._spellings: dict[str, Callable[[], Mapping[str, int]]] = {}
        self._counting: dict[tuple[str, str], int] = {}

    def count(self, event: str, rows: int) -> None:
        """Add to the count of an event; an event that did not occur is not listed."""
        if rows:
            self.events[event] = self.events.get(event, 0) + rows

    def claim(self, column: BatchColumn, *events: str) -> None:
        """Let this use of a column count events in it, unless an earlier one does: also where it finds none."""
        for event in events:
            self._counts(event, column)

    def count_of(self, event: str, column: BatchColumn, rows: int) -> None:
        """Add to the count of an event in a column, unless another use of the column has counted it."""
        if rows and self._counts(event, column):
            self.count(f"{event} {column.name}", rows)

    def count_lack(self, lack: Lack, column: BatchColumn, rows: int) -> None:
        """Add to the missing or to the unseen values of a column, unless another use of it has counted them."""
        if rows and self._counts(lack, column):
            self.count(f"{lack} {column.name}", rows)
            self._lacks[lack][column.name] = self._lacks[lack].get(column.name, 0) + rows

    def spell(self, column: BatchColumn, spellings: Callable[[], Mapping[str, int]]) -> None:
        """Note what returns the unseen values of a column as :class:`FeatureCount` has them; called if asked for."""
        if self._counts("unseen", column):
            self._spellings[column.name] = spellings

    @property
    def features(self) -> dict[str, FeatureCount]:
        """What was counted of the features; one of which nothing is missing or unseen is not listed."""
        missing, unseen = self._lacks["missing"], self._lacks["unseen"]
        return {
            name: FeatureCount(missing.get(name, 0), unseen.get(name, 0), self._spelled(name))
            for name in (missing | unseen)
        }

    def take_features(self) -> dict[str, FeatureCount]:
        """Return what was counted of the features of one model; what follows is counted of those of another."""
        found = self.features
        self._lacks, self._spellings, self._counting = {"missing": {}, "unseen": {}}, {}, {}
        return found

    def _counts(self, event: str, column: BatchColumn) -> bool:
        """Return whether this use of a column counts an event: the first that claims it or counts something does."""
        return self._counting.setdefault((event, column.name), column.use) == column.use

    def _spelled(self, column: str) -> Mapping[str, int]:
        return self._spellings[column]() if column in self._spellings else NOTHING.spellings

    def set_null(self, rows: Mask) -> None:
        """Make the results of these rows null."""
        if self._null is None:
            self._null = np.zeros(self.rows, dtype=np.bool_)
        self._null |= rows

    def add_bad(self, rows: Rows, column: BatchColumn, cause: Cause) -> None:
        """Reject rows because a cell of a column is bad; ``rows`` has no row twice."""
        self._reject(rows, _Claim(column, cause, by_policy=False))

    def add_quarantined(self, rows: Rows, column: BatchColumn, cause: Cause) -> None:
        """Reject rows because the model sends them to the quarantine for a cell of a column."""
        self._reject(rows, _Claim(column, cause, by_policy=True))

    @property
    def null(self) -> Mask | None:
        """Where results are null, without rejected rows; ``None`` if there are none."""
        if self._null is None or self._ranks is None:
            return self._null
        null: Mask = self._null & (self._ranks == _ACCEPTED)
        return null

    @property
    def null_count(self) -> int:
        """Rows whose results are null."""
        null = self.null
        return 0 if null is None else int(np.count_nonzero(null))

    @property
    def rejected(self) -> Rows:
        """Rows that must not be written, ascending."""
        return np.empty(0, dtype=np.intp) if self._ranks is None else np.flatnonzero(self._ranks != _ACCEPTED)

    @property
    def bad(self) -> Rows:
        """Those of the rejected rows that are bad."""
        return np.empty(0, dtype=np.intp) if self._ranks is None else np.flatnonzero(self._ranks < _BY_POLICY)

    def cells(self, rows: Rows) -> tuple[BadCell, ...]:
        """Return the cell to report for each of some rejected rows.

        It is the first bad cell in the order of the columns, else the first that the model sends to the quarantine.
        """
        if self._ranks is None:
            return ()
        claims = map(self._claims.__getitem__, self._ranks[rows].tolist())
        return tuple(
            bad_cell(claim.column.array, row, claim.column.name, claim.cause, by_policy=claim.by_policy)
            for row, claim in zip(rows.tolist(), claims, strict=True)
        )

    def _reject(self, rows: Rows, claim: _Claim) -> None:
        if not len(rows):
            return
        if self._ranks is None:
            self._ranks = np.full(self.rows, _ACCEPTED)
        place = claim.column.position * _POSITION + len(self._claims)
        rank = (_BY_POLICY if claim.by_policy else 0) + place
        self._claims[rank] = claim
        self._ranks[rows] = np.minimum(self._ranks[rows], rank)
