"""Which interval a value is in, for many values: a guide table, where a search would cost several times as much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.kernels.tiles import Floats

Codes = npt.NDArray[np.intp]

_CELLS = 2_048
# With more edges in one cell, comparing with each of them takes longer than a search.
_MOST_COMPARED = 4


@dataclass(frozen=True, eq=False)
class Guide:
    """Intervals ``[a, b)`` between ascending edges; what is below the first edge is interval 0.

    Attributes
    ----------
    edges : ndarray of float64, shape (edges,)
        Ascending and finite, at least one.

    Notes
    -----
    The range of the edges is divided into cells of equal width. The cell of a value, as it is rounded, never falls as
    the value grows; so every edge in an earlier cell is below the value, and every edge in a later cell above it. Only
    those in the same cell are compared. (Chen and Asau, *On generating random variates from an empirical distribution*,
    1974, have the table.)
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

    def find(self, values: Floats, codes: Codes, scratch: Floats) -> None:
        """Write the number of edges at or below each value to ``codes``; ``scratch`` is overwritten.

        The three are contiguous and of one length. Infinities are in the outer intervals; the code of a NaN is one of
        the intervals, any one.
        """
        if self._table is None:
            codes[...] = np.searchsorted(self.edges, values, side="right")
            np.minimum(codes, self.edges.size, out=codes)
            return
        first, per_cell = self._table
        self._cells(values, scratch)
        np.copyto(codes, scratch, casting="unsafe")
        codes[...] = first.take(codes, mode="clip")
        for _ in range(per_cell):
            # An edge above the value ends the count: the next one is above it, too.
            np.take(self._padded, codes, out=scratch, mode="clip")
            np.add(codes, scratch <= values, out=codes)

    @cached_property
    def _padded(self) -> Floats:
        return np.append(self.edges, np.nan)

    @cached_property
    def _table(self) -> tuple[Codes, int] | None:
        """The number of edges before each cell, and the most in one cell; ``None`` where a search is better."""
        if self.edges.size == 1 or not np.isfinite(self._per_unit) or self._per_unit == 0:
            return None
        cells = np.empty(self.edges.size)
        self._cells(self.edges, cells)
        counts = np.bincount(cells.astype(np.intp), minlength=_CELLS)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
        most = int(counts.max())
        return (first, most) if most <= _MOST_COMPARED else None

    @cached_property
    def _per_unit(self) -> float:
        with np.errstate(all="ignore"):
            return float(np.float64(_CELLS - 1) / (self.edges[-1] - self.edges[0]))

    def _cells(self, values: Floats, out: Floats) -> None:
        np.subtract(values, self.edges[0], out=out)
        np.multiply(out, self._per_unit, out=out)
        # These return the other operand for NaN, so that a cell is always in the table.
        np.fmax(out, 0.0, out=out)
        np.fmin(out, float(_CELLS - 1), out=out)
