"""Passes of a network over a scan: the rows of chunks in the order of an epoch, and the losses at given parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.network.layers import NetworkShape, raw_predictions, rows_bytes
from pipeline.fitting.network.order import WINDOW_ROWS, BatchCutter, chunk_order
from pipeline.fitting.network.rows import LearningRows, fitted_rows, pieces, row_bytes, rows_of
from pipeline.fitting.network.wishes import LearningWishes
from pipeline.fitting.passes.holding import Holding, store_of
from pipeline.fitting.passes.packing import pack_arrays, unpack_arrays
from pipeline.fitting.passes.plain import to_plain
from pipeline.fitting.passes.scanning import encoder_of, later_scan, paths_of
from pipeline.fitting.tiles.decoding import RowSources
from pipeline.fitting.tiles.layout import FitLayout, Floats
from pipeline.kernels.blas import blas_tag, one_thread
from pipeline.kernels.layers import log_losses
from pipeline.scan import CHUNKS_AHEAD, ChunkContext, PreparedScan, Scan, StepCosts, open_scan, settings_bytes
from pipeline.types.work import Outcome

# Rows whose losses are computed at once.
_MEASURED_ROWS = 1_024
# Vectors as long as the parameters while an epoch is packed to be kept, when there are most: parameters, best ones and
# two moments, all as arrays, as bytes, and as bytes that are joined.
VECTORS = 12
_SMALLER = "lower --chunk-size (a Parquet file is cut between row groups: write smaller ones), or read fewer columns"


@dataclass(frozen=True, slots=True)
class LossSums:
    """The log loss of rows: those that are fitted, and those that are held out, each with its weight."""

    loss: float = 0.0
    weight: float = 0.0
    held_loss: float = 0.0
    held_weight: float = 0.0
    held_rows: int = 0

    def __add__(self, other: LossSums) -> LossSums:
        return LossSums(
            self.loss + other.loss,
            self.weight + other.weight,
            self.held_loss + other.held_loss,
            self.held_weight + other.held_weight,
            self.held_rows + other.held_rows,
        )

    @property
    def mean(self) -> float:
        """The mean loss of the fitted rows; NaN without any."""
        return self.loss / self.weight if self.weight else math.nan

    @property
    def held_mean(self) -> float:
        """The mean loss of the rows that are held out; NaN without any."""
        return self.held_loss / self.held_weight if self.held_weight else math.nan


def read_rows(context: ChunkContext) -> Outcome[LearningRows]:
    """Return the rows of a chunk that are fitted: the step of an epoch."""
    encoder = context.once("encoder", encoder_of)
    store = context.once("holding", store_of)
    with store.walk(context) as walk:
        return walk.outcome(fitted_rows(encoder.tiles(walk.batches(), paths_of(context)), encoder.layout))


def measure_rows(context: ChunkContext) -> Outcome[LossSums]:
    """Return the losses of the rows of a chunk at the parameters of the pass: a step."""
    encoder = context.once("encoder", encoder_of)
    store = context.once("holding", store_of)
    head, (parameters,) = unpack_arrays(context.parameters)
    shape = NetworkShape(tuple(head["widths"]), tuple(head["functions"]))
    sums = LossSums()
    with one_thread(), store.walk(context) as walk, np.errstate(all="ignore"):
        for tile in encoder.tiles(walk.batches(), paths_of(context)):
            held = rows_of(tile, encoder.layout, held=True)
            loss, weight = _summed(shape, parameters, held, encoder.layout)
            sums += LossSums(held_loss=loss, held_weight=weight, held_rows=len(held))
            if head["all"]:
                fitted = rows_of(tile, encoder.layout, held=False)
                loss, weight = _summed(shape, parameters, fitted, encoder.layout)
                sums += LossSums(loss=loss, weight=weight)
        return walk.outcome(sums)


def _summed(shape: NetworkShape, parameters: Floats, rows: LearningRows, layout: FitLayout) -> tuple[float, float]:
    loss = weight = 0.0
    for piece in pieces(rows, _MEASURED_ROWS):
        raw = raw_predictions(shape, parameters, piece.inputs(layout), piece.offset)
        losses = log_losses(shape.head, raw, piece.classes)
        weights = np.ones(len(piece)) if piece.weights is None else piece.weights
        loss += float(np.dot(losses, weights))
        weight += float(weights.sum())
    return loss, weight


def _added(left: LossSums, right: LossSums) -> LossSums:
    return left + right


@dataclass(frozen=True, slots=True)
class NetworkPasses:
    """Passes over the rows of an open scan. For one thread."""

    scan: Scan
    design: FitDesign
    shape: NetworkShape

    def batches(self, learning: LearningWishes, epoch: int, learn: Any) -> None:
        """Call ``learn`` with each mini-batch of an epoch, in order: the same ones whatever workers there are."""
        cutter = BatchCutter(learning.seed, epoch, learning.batch_rows)

        def confirm(outcome: Outcome[LearningRows]) -> None:
            if outcome.payload is not None:
                for batch in cutter.add(outcome.payload):
                    learn(batch)

        order = chunk_order(learning.seed, epoch, len(self.scan.prepared.plan))
        self.scan.follow(read_rows, order, confirm)
        for batch in cutter.end():
            learn(batch)

    def losses(self, parameters: Floats, *, fitted: bool) -> LossSums:
        """Return the losses of the rows that are held out, and of the fitted ones if that is asked for."""
        head = {"widths": list(self.shape.widths), "functions": list(self.shape.functions), "all": fitted}
        sums = self.scan.reduce_blocks(measure_rows, _added, parameters=pack_arrays(head, [parameters]))
        return LossSums() if sums is None else sums


@contextmanager
def open_network_passes(
    prepared: PreparedScan,
    design: FitDesign,
    rows: RowSources,
    learning: LearningWishes,
    holding: Holding,
    warn: Callable[[str], None],
) -> Iterator[NetworkPasses]:
    """Open passes over the rows of a prepared scan, that of the first pass; the end of the block frees what they hold.

    ``warn`` is told what a person should know about a cluster.

    Raises
    ------
    MemoryBudgetError
        The rows of a chunk, and the parameters, do not fit the budget.
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
    shape = NetworkShape.of(learning, design.layout.width - design.layout.intercept, design.layout.classes)
    later = later_scan(prepared, network_costs(prepared, design.layout, learning, settings), holding)
    with one_thread(), open_scan(later, settings, note=warn) as scan:
        yield NetworkPasses(scan, design, shape)


def network_costs(
    prepared: PreparedScan, layout: FitLayout, learning: LearningWishes, settings: Mapping[str, Any] | None = None
) -> StepCosts:
    """Return what the passes of a network take besides the batches; ``settings`` are those that travel with them.

    Each worker has the rows of a chunk, twice while their tiles are joined, and as many wait for their turn as
    :meth:`Scan.follow` allows. The driver has the rows of a window, one copy of them while they are joined, and what a
    mini-batch takes.
    """
    shape = NetworkShape.of(learning, layout.width - layout.intercept, layout.classes)
    chunk = prepared.demand.chunk_rows
    batch = min(learning.batch_rows, max(prepared.expected_rows, chunk))
    tile = layout.tile_rows * 8 * (2 * layout.columns + 2 * len(layout.levels) + 8)
    measured = rows_bytes(shape.widths, _MEASURED_ROWS)
    return StepCosts(
        payload_bytes=chunk * row_bytes(layout),
        waiting=1 + CHUNKS_AHEAD,
        fewer_payloads=_SMALLER,
        step_bytes=tile + measured,
        gathered_bytes=(WINDOW_ROWS + chunk + batch) * row_bytes(layout),
        shared_bytes=settings_bytes(settings) if settings is not None else 0,
        table_bytes=VECTORS * 8 * shape.size + rows_bytes(shape.widths, batch),
        travels=True,
    )
