"""What passes of a fit take: memory of sums and tiles, models that share a pass, and where decoded columns are held."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError, MemoryBudgetError
from pipeline.fitting.passes.holding import Where
from pipeline.fitting.passes.scratch import SPARE_BYTES
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.scan import PreparedScan, StepCosts, settings_bytes, with_costs, within
from pipeline.units import format_bytes, format_count

_FLOAT = 8
# Arrays of the rows of a tile for each raw prediction: the prediction, losses, residuals, curvatures, a step.
_ROW_ARRAYS = 12
# Arrays of the size of the coefficients in the sums of one model: gradient, product, diagonal, and one to spare.
_VECTORS = 4
# Padding and schema of a held batch, for each byte of its columns.
_PACKING = 1.02
# A pass over a Parquet file of doubles takes 200 ns a row at 20 columns. To write its decoded columns takes 450, to
# read them 10: it pays where many passes follow. A CSV takes 10 times as long to read, and always pays.
_MANY_PASSES = 6
# Smaller batches cost more than reading again does.
_LEAST_BATCH = 8_192


def sums_bytes(layout: FitLayout, models: int = 1, squares: int = 1) -> int:
    """Return the bytes of the sums of a pass.

    Parameters
    ----------
    layout : FitLayout
    models : int
        How many points share the pass.
    squares : int
        How many symmetric matrices each of them has: the Hessian, the outer products of the scores.
    """
    triangle = layout.size * (layout.size + 1) // 2
    return models * _FLOAT * (squares * triangle + _VECTORS * layout.size)


def pass_costs(layout: FitLayout, models: int = 1, squares: int = 1, settings: Any = None) -> StepCosts:
    """Return what the step of a pass takes besides the batches; ``settings`` are those that travel with it."""
    pairs = layout.outputs * (layout.outputs + 1) // 2
    # Each square is added up in blocks, and put together once more before it is packed.
    adding = models * squares * _FLOAT * 2 * pairs * layout.width**2
    # The tile, its product with the square roots of the curvatures, one that the allocator keeps, and row arrays.
    tile = layout.tile_rows * _FLOAT * (3 * layout.columns + 2 * len(layout.levels) + _ROW_ARRAYS * layout.outputs)
    points = models * 3 * _FLOAT * layout.size
    return StepCosts(
        sums_bytes=sums_bytes(layout, models, squares),
        step_bytes=adding + tile,
        shared_bytes=settings_bytes(settings) if settings is not None else 0,
        table_bytes=2 * points,
        travels=True,
    )


def most_models(prepared: PreparedScan, layout: FitLayout, wanted: int, squares: int = 1) -> int:
    """Return how many of the wanted models can share a pass, with as many workers as one model has; at least 1.

    Raises
    ------
    MemoryBudgetError
        Not even one fits.
    """
    alone = with_costs(prepared, pass_costs(layout, 1, squares))
    low, high = 1, max(1, wanted)
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(prepared, pass_costs(layout, middle, squares), alone.resources.workers):
            low = middle
        else:
            high = middle - 1
    return low


def lowered_note(wanted: int, shared: int, allowed_bytes: int) -> str:
    """Return what a person is told where fewer models share a pass than could; empty where all do."""
    if shared >= wanted:
        return ""
    return (
        f"{format_count(shared)} of {format_count(wanted)} models share a pass, as many as fit"
        f" {format_bytes(allowed_bytes)}: a step of all models takes {format_count(math.ceil(wanted / shared))} passes"
    )


def _fits(prepared: PreparedScan, costs: StepCosts, workers: int) -> bool:
    try:
        return with_costs(prepared, costs).resources.workers >= workers
    except MemoryBudgetError:
        return False


@dataclass(frozen=True, slots=True)
class HoldingChoice:
    """Where decoded columns will be held, before any row is read.

    Attributes
    ----------
    where : {"memory", "scratch", "read again"}
    held_bytes : int
        About how many bytes all decoded columns have; for a CSV an estimate.
    bound : int
        The most bytes that are held.
    parent : str
        The folder in which the scratch folder is made.
    named : bool
        Whether that folder was asked for by its name: a fit cannot do without it.
    """

    where: Where
    held_bytes: int
    bound: int = 0
    parent: str = ""
    named: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FitMemory:
    """How a fit divides its memory, before any row is read.

    Attributes
    ----------
    first, later : PreparedScan
        The scan of the first pass and that of the others: their batches leave room for what is held in memory.
    holding : HoldingChoice
    """

    first: PreparedScan
    later: PreparedScan
    holding: HoldingChoice

    @property
    def projected_bytes(self) -> int:
        """The most that a pass takes, with what is held beside it."""
        return self.widest.resources.projected_bytes + (self.holding.where == "memory") * self.holding.held_bytes

    @property
    def widest(self) -> PreparedScan:
        """The scan of the pass that takes the most."""
        return max(self.first, self.later, key=lambda scan: scan.resources.projected_bytes)


def divide_memory(
    prepared: PreparedScan, costs: StepCosts, scratch: str, *, output: str | None, passes: int, places: bool = False
) -> FitMemory:
    """Return how a fit divides its memory.

    Parameters
    ----------
    prepared : PreparedScan
        Of the first pass.
    costs : StepCosts
        Of the passes that follow.
    scratch, output, passes, places
        As in :func:`choose_holding`.

    Raises
    ------
    MemoryBudgetError
        The passes that follow do not fit.
    """
    first = with_room(prepared, places=places)
    choice = choose_holding(first, scratch, output=output, passes=passes, places=places)
    if choice.where == "memory":
        later, kept = beside_held(first, costs, choice.held_bytes)
        if kept >= choice.held_bytes:
            return FitMemory(first, later, choice)
        choice = _elsewhere(prepared, scratch, choice.held_bytes, output, passes)
    return FitMemory(prepared, with_costs(prepared, costs), choice)


def beside_held(prepared: PreparedScan, costs: StepCosts, held_bytes: int) -> tuple[PreparedScan, int]:
    """Return the scan of the passes that follow, and how many bytes of what is held in memory stay beside it.

    All of them stay if smaller batches make room for them with as many workers.

    Raises
    ------
    MemoryBudgetError
        The passes do not fit even if nothing is held.
    """
    alone = with_costs(prepared, costs)
    allowed = alone.resources.allowed_bytes
    with suppress(MemoryBudgetError):
        beside = with_costs(prepared, costs, allowed - held_bytes)
        if beside.resources.workers == alone.resources.workers:
            return beside, held_bytes
    return alone, max(0, min(held_bytes, allowed - alone.resources.projected_bytes))


def with_room(prepared: PreparedScan, *, places: bool = False) -> PreparedScan:
    """Return a scan with smaller batches, if all decoded columns can then be held in memory; else the scan as it is.

    Parameters
    ----------
    prepared : PreparedScan
    places : bool
        Whether the places of rows are held too.
    """
    resources = prepared.resources
    held = _held_bytes(prepared, places)
    if not prepared.demand.threads_share_process or held <= resources.allowed_bytes - resources.projected_bytes:
        return prepared
    with suppress(MemoryBudgetError):
        leaner = within(prepared, resources.allowed_bytes - held)
        if leaner.resources.workers == resources.workers and leaner.resources.batch_rows >= _LEAST_BATCH:
            return replace(
                leaner,
                resources=replace(leaner.resources, allowed_bytes=resources.allowed_bytes, notes=resources.notes),
            )
    return prepared


def _held_bytes(prepared: PreparedScan, places: bool) -> int:
    """Return about how many bytes all decoded columns have."""
    row_bytes = prepared.demand.decoded_row_bytes + (_FLOAT if places else 0)
    return math.ceil(prepared.expected_rows * row_bytes * _PACKING)


def choose_holding(
    prepared: PreparedScan, scratch: str, *, output: str | None = None, passes: int = 4, places: bool = False
) -> HoldingChoice:
    """Return where decoded columns will be held between passes.

    Parameters
    ----------
    prepared : PreparedScan
        Of the first pass.
    scratch : str
        A folder, ``auto`` or ``none``.
    output : str, optional
        The model file; with ``auto`` scratch files are made in its folder.
    passes : int
        About how many passes follow the first.
    places : bool
        Whether the places of rows are held too.
    """
    held = _held_bytes(prepared, places)
    room = prepared.resources.allowed_bytes - prepared.resources.projected_bytes
    if prepared.demand.threads_share_process and held <= room:
        # With room for what is wrong in an estimate, as far as there is any.
        return HoldingChoice("memory", held, min(room, held + held // 2))
    return _elsewhere(prepared, scratch, held, output, passes)


def _elsewhere(prepared: PreparedScan, scratch: str, held: int, output: str | None, passes: int) -> HoldingChoice:
    """Return where decoded columns are that do not fit the memory."""
    if scratch == "none" or (scratch == "auto" and not _pays(prepared, passes)):
        return HoldingChoice("read again", held)
    folder = Path(scratch) if scratch != "auto" else _folder_of(output)
    try:
        free = disk.free_bytes(folder) - SPARE_BYTES
    except LogitstreamError:
        if scratch == "auto":
            return HoldingChoice("read again", held)
        raise
    # With half of the room for what is wrong in an estimate; what does not fit is read again.
    bound = min(free, held + held // 2)
    if bound <= 0:
        return HoldingChoice("read again", held)
    return HoldingChoice("scratch", held, bound, str(folder), named=scratch != "auto")


def _pays(prepared: PreparedScan, passes: int) -> bool:
    return passes > _MANY_PASSES or any(facts.file.format == "csv" for facts in prepared.files)


def _folder_of(output: str | None) -> Path:
    return Path(output).absolute().parent if output is not None else disk.temporary_folder()
