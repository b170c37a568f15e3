"""Passes over a prepared scan: the step that sums the tiles of a chunk, and the sums of all chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.fitting.blas import one_thread
from pipeline.fitting.decoding import RowSources
from pipeline.fitting.design import FitDesign
from pipeline.fitting.encoding import Encoder
from pipeline.fitting.holding import store_of
from pipeline.fitting.layout import FitLayout
from pipeline.fitting.packing import pack_points, unpack_points
from pipeline.fitting.plain import from_plain, to_plain
from pipeline.fitting.points import PassSums, Point
from pipeline.fitting.summing import ChunkSums, combine
from pipeline.scan import ChunkContext, PreparedScan, Scan, open_scan
from pipeline.types.work import Outcome


def sum_points(context: ChunkContext) -> Outcome[list[PassSums]]:
    """Return the sums of the rows of a chunk at the points of the pass: the step."""
    encoder = context.once("encoder", encoder_of)
    store = context.once("holding", store_of)
    sums = ChunkSums(encoder.layout, unpack_points(context.parameters))
    with one_thread(), store.walk(context) as walk:
        for tile in encoder.tiles(walk.batches()):
            sums.add(tile)
        return walk.outcome(sums.done())


def encoder_of(settings: Mapping[str, Any]) -> Encoder:
    """Return what makes tiles in a worker, by the settings of a scan."""
    design, rows = from_plain(FitDesign, settings["design"]), from_plain(RowSources, settings["rows"])
    return Encoder(design, rows, decimal=settings["decimal"])


@dataclass(frozen=True, slots=True)
class ScanPasses:
    """Fulfils :class:`pipeline.fitting.points.Passes` over the rows of a scan. For one thread.

    Attributes
    ----------
    scan : Scan
    design : FitDesign
    confirmed : callable or None
        Receives the outcome of each chunk of each pass.
    """

    scan: Scan
    design: FitDesign
    confirmed: Callable[[Outcome[Any]], None] | None = None

    @property
    def layout(self) -> FitLayout:
        """What the coefficients are."""
        return self.design.layout

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        """Return the sums at some points, in one pass."""
        found = self.scan.reduce_blocks(sum_points, combine, confirmed=self.confirmed, parameters=pack_points(points))
        return ChunkSums(self.layout, points).done() if found is None else found


@contextmanager
def open_passes(
    prepared: PreparedScan,
    design: FitDesign,
    rows: RowSources,
    *,
    confirmed: Callable[[Outcome[Any]], None] | None = None,
) -> Iterator[ScanPasses]:
    """Open passes over the rows of a prepared scan; the end of the block frees what they hold.

    Parameters
    ----------
    prepared : PreparedScan
    design : FitDesign
    rows : RowSources
    confirmed : callable, optional
        Receives the outcome of each chunk of each pass.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        As :func:`pipeline.execute.open_scheduler`.
    """
    settings = {"design": to_plain(design), "rows": to_plain(rows), "decimal": prepared.csv.decimal}
    with one_thread(), open_scan(prepared, settings) as scan:
        yield ScanPasses(scan, design, confirmed)
