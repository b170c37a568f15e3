"""Which interval a value is in, for many values: a guide table, where a search would cost several times as much."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels.tiles import Floats

Codes = npt.NDArray[np.intp]

# A table of the first size stays in the cache beside the rows; the second is for edges that lie close together.
_CELLS = (1_024, 4_096)


class _GuideTable(NamedTuple):
    """Cells of equal width with at most one edge each: that edge (NaN without one), and the edges before the cell."""

    per_unit: float
    edges: Floats
    first: Codes


@dataclass(frozen=True, eq=False)
class Guide:
    """Intervals ``[a, b)`` between ascending edges; what is below the first edge is interval 0.

    A value has a *slot*: several slots may belong to one interval. :meth:`by_slot` makes a table by slot of a table by
    interval. Immutable; may be used from several threads at once.

    Attributes
    ----------
    edges : ndarray of float64, shape (edges,)
        Ascending and finite, at least one.

    Notes
    -----
    The range of the edges is divided into cells of equal width. The cell of a value, as it is rounded, never falls as
    the value grows; so every edge in an earlier cell is below the value, and every edge in a later cell above it. Only
    the one in the same cell is compared. (Chen and Asau, *On generating random variates from an empirical
    distribution*, 1974, have the table.) Where no such cells can be had, the slot is the interval, found by a search.
    """

    edges: Floats

    @classmethod
    def of(cls, edges: Sequence[float]) -> Guide:
        """Return the intervals between some edges."""
        return cls(np.array(edges, dtype=np.float64))

    @property
    def intervals(self) -> int:
        """How many there are."""
        return self.edges.size + 1

    def by_slot(self, table: Floats) -> Floats:
        """Return a table by slot.

        Parameters
        ----------
        table : ndarray of float64, shape (..., intervals + n)
            By interval, with n entries more at the end, which stay there.

        Returns
        -------
        ndarray of float64, shape (..., slots + n)
        """
        if self._cells is None:
            return table
        below = table.take(self._cells.first, axis=-1)
        # Above an edge; nothing is above a cell without one.
        above = table.take(np.minimum(self._cells.first + 1, self.edges.size), axis=-1)
        slots = np.stack([below, above], axis=-1).reshape(*table.shape[:-1], -1)
        return np.concatenate([slots, table[..., self.intervals :]], axis=-1)

    def find(self, values: Floats, slots: Codes, scratch: Floats) -> None:
        """Write the slot of each value to ``slots``; ``scratch`` is overwritten.

        The three are contiguous and of one length. Infinities are in the outer intervals; the slot of a NaN is any one.
        The caller holds ``np.errstate(all="ignore")``.
        """
        if self._cells is None:
            self._search(values, slots)
            return
        _cell_numbers(values, self.edges[0], self._cells, scratch)
        # A NaN becomes 0 or the smallest integer, which counts as the first cell, and twice which is 0.
        np.copyto(slots, scratch, casting="unsafe")
        np.take(self._cells.edges, slots, out=scratch, mode="clip")
        np.add(slots, slots, out=slots)
        np.add(slots, np.less_equal(scratch, values), out=slots)

    def _search(self, values: Floats, slots: Codes) -> None:
        if self.edges.size == 1:
            np.copyto(slots, np.greater_equal(values, self.edges[0]))
            return
        slots[...] = np.searchsorted(self.edges, values, side="right")

    @cached_property
    def _cells(self) -> _GuideTable | None:
        found = (self._cells_of(count) for count in _CELLS)
        return next((cells for cells in found if cells is not None), None)

    def _cells_of(self, count: int) -> _GuideTable | None:
        with np.errstate(all="ignore"):
            per_unit = float(np.float64(count - 1) / (self.edges[-1] - self.edges[0]))
        if not np.isfinite(per_unit) or per_unit == 0:
            return None
        cells = _GuideTable(per_unit, np.full(count, np.nan), np.empty(0, dtype=np.intp))
        numbers = np.empty(self.edges.size)
        with np.errstate(all="ignore"):
            _cell_numbers(self.edges, self.edges[0], cells, numbers)
        held = numbers.astype(np.intp)
        counts = np.bincount(held, minlength=count)
        if counts.max() > 1:
            return None
        cells.edges[held] = self.edges
        return cells._replace(first=(np.cumsum(counts) - counts).astype(np.intp))


def _cell_numbers(values: Floats, first: float, cells: _GuideTable, out: Floats) -> None:
    """Write the cell of each value, before it is cut to a whole number; NaN stays."""
    np.subtract(values, first, out=out)
    np.multiply(out, cells.per_unit, out=out)
    np.maximum(out, 0.0, out=out)
    np.minimum(out, float(cells.edges.size - 1), out=out)
