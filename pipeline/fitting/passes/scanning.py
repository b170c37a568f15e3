"""Passes over a prepared scan: the step that sums the tiles of a chunk, and the sums of all chunks."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, LogitstreamError
from pipeline.execute import USUAL_TERMS
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.passes.holding import READ_AGAIN, Holding, held_in_memory, in_memory, store_of
from pipeline.fitting.passes.packing import pack_points, unpack_points
from pipeline.fitting.passes.plain import from_plain, to_plain
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.passes.resources import HoldingChoice, beside_held, most_models, pass_costs
from pipeline.fitting.passes.scratch import scratch_below
from pipeline.fitting.passes.summing import ChunkSums, combine
from pipeline.fitting.tiles.decoding import RowSources
from pipeline.fitting.tiles.encoding import Encoder
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.kernels.blas import blas_tag, one_thread
from pipeline.scan import ChunkContext, PreparedScan, Scan, StepCosts, open_scan, worker
from pipeline.types.work import Outcome


def sum_points(context: ChunkContext) -> Outcome[list[PassSums]]:
    """Return the sums of the rows of a chunk at the points of the pass: the step."""
    encoder = context.once("encoder", encoder_of)
    store = context.once("holding", store_of)
    points = unpack_points(context.parameters)
    sums = ChunkSums(encoder.layout, points)
    grouped = any(point.scores for point in points)
    with one_thread(), store.walk(context) as walk:
        for tile in encoder.tiles(walk.batches(), paths_of(context), groups=grouped):
            sums.add(tile)
        return walk.outcome(sums.done())


def paths_of(context: ChunkContext) -> Callable[[int], str]:
    """Return what gives the path of a file by its number."""
    files = context.job.files
    return lambda number: files[number][0].path


def encoder_of(settings: Mapping[str, Any]) -> Encoder:
    """Return what makes tiles in this process, after it was checked that sums have the bits of the driver here."""
    if (here := blas_tag()) != settings["blas"]:
        raise ConfigurationError(
            f"worker {worker()} sums with {here}, but the fit began with {settings['blas']}: the bits would differ",
            "use workers with one kind of CPU and one numpy",
        )
    design, rows = from_plain(FitDesign, settings["design"]), from_plain(RowSources, settings["rows"])
    return Encoder(design, rows, decimal=settings["decimal"])


@dataclass(frozen=True, slots=True)
class ScanPasses:
    """Fulfils :class:`pipeline.fitting.passes.points.Passes` over the rows of a scan. For one thread.

    Attributes
    ----------
    scan : Scan
    design : FitDesign
    models : int
        How many points share a pass; more of them take several.
    confirmed : callable or None
        Receives the outcome of each chunk of each pass.
    """

    scan: Scan
    design: FitDesign
    models: int = 1
    confirmed: Callable[[Outcome[Any]], None] | None = None

    @property
    def layout(self) -> FitLayout:
        """What the coefficients are."""
        return self.design.layout

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        """Return the sums at some points, in one pass, or in several where they would not fit the memory."""
        found: list[PassSums] = []
        for first in range(0, len(points), self.models):
            part = points[first : first + self.models]
            sums = self.scan.reduce_blocks(sum_points, combine, confirmed=self.confirmed, parameters=pack_points(part))
            found += ChunkSums(self.layout, part).done() if sums is None else sums
        return found


@contextmanager
def open_passes(
    prepared: PreparedScan,
    design: FitDesign,
    rows: RowSources,
    *,
    holding: Holding = READ_AGAIN,
    models: int = 1,
    squares: int = 1,
    warn: Callable[[str], None] = USUAL_TERMS.note,
    confirmed: Callable[[Outcome[Any]], None] | None = None,
) -> Iterator[ScanPasses]:
    """Open passes over the rows of a prepared scan; the end of the block frees what they hold.

    Parameters
    ----------
    prepared : PreparedScan
        That of the first pass: what it has learnt about the files is used.
    design : FitDesign
    rows : RowSources
    holding : Holding
        Where decoded columns are held, see :func:`open_holding`.
    models : int
        How many points may share a pass; fewer do where they would not fit the budget.
    squares : int
        How many symmetric matrices a point has at most, see :func:`~pipeline.fitting.passes.resources.sums_bytes`.
    warn : callable
        Told what a person should know about a cluster.
    confirmed : callable, optional
        Receives the outcome of each chunk of each pass.

    Raises
    ------
    MemoryBudgetError
        The sums of one model do not fit the budget.
    UsageError, ConfigurationError, UnavailableError
        As :func:`pipeline.execute.open_scheduler`.
    """
    settings = {
        "design": to_plain(design),
        "rows": to_plain(rows),
        "decimal": prepared.csv.decimal,
        "holding": asdict(holding),
        "blas": blas_tag(),
    }
    shared = most_models(prepared, design.layout, models, squares)
    later = later_scan(prepared, pass_costs(design.layout, shared, squares, settings), holding)
    with one_thread(), open_scan(later, settings, note=warn) as scan:
        yield ScanPasses(scan, design, shared, confirmed)


def beside(prepared: PreparedScan, holding: Holding) -> PreparedScan:
    """Return the scan of the first pass, whose batches may take what memory is left beside what is held."""
    if holding.where != "memory":
        return prepared
    resources = prepared.resources
    return replace(prepared, resources=replace(resources, allowed_bytes=resources.allowed_bytes - holding.bound))


def later_scan(prepared: PreparedScan, costs: StepCosts, holding: Holding) -> PreparedScan:
    """Return the scan of passes that fits beside what is held in memory; where it does not fit, less is held."""
    chunks = in_memory(holding)
    size = 0 if chunks is None else chunks.size
    scan, kept = beside_held(prepared, costs, size)
    if chunks is not None and kept < size:
        chunks.lower(kept)
    return scan


@contextmanager
def open_holding(
    prepared: PreparedScan, choice: HoldingChoice, *, levels: Sequence[str] = (), places: bool = False
) -> Iterator[Holding]:
    """Hold decoded columns for the passes inside the block; its end removes them.

    Parameters
    ----------
    prepared : PreparedScan
        Of the first pass.
    choice : HoldingChoice
        Where they are held.
    levels : sequence of str
        Columns that are read as levels, the target among them.
    places : bool
        Whether the places of rows in their files are needed: they decide folds or the hold-out.

    Raises
    ------
    LogitstreamError
        The folder that was named cannot be used.
    """
    if choice.where == "read again":
        yield READ_AGAIN
        return
    sharing = prepared.demand.threads_share_process
    processes = 1 if sharing else max(1, prepared.resources.workers)
    holding = Holding(choice.where, secrets.token_hex(6), choice.bound // processes, "", tuple(levels), places)
    if choice.where == "memory":
        with held_in_memory(holding):
            yield holding
        return
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_below(Path(choice.parent)))
        except LogitstreamError:
            if choice.named:
                raise
            yield READ_AGAIN
        else:
            yield replace(holding, folder=str(folder))
