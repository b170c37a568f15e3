"""One pass over the rows of files: the step that adds up the gradients of a chunk, and what all chunks add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import pyarrow as pa

from pipeline.choices import Absent, MissingTarget
from pipeline.dataclass import dataclass
from pipeline.diagnosis.reading import GradientReader
from pipeline.diagnosis.step_summing import NUMBER_FLOATS, STEP_TILE_BYTES
from pipeline.diagnosis.summing import GradientLayers, GradientSums, add_sums, weights_of
from pipeline.errors import ConfigurationError, DataError
from pipeline.kernels.blas import blas_tag, one_thread
from pipeline.kernels.layers import LAYER_ROWS
from pipeline.logs import log_notes
from pipeline.models import restore
from pipeline.models.columns import unfit_columns
from pipeline.models.network.score import NetworkBlock, scratch_row_bytes
from pipeline.plan import make_plan
from pipeline.scan import (
    ChunkContext,
    HowToScan,
    PassAccounts,
    PreparedScan,
    ReduceTree,
    StepCosts,
    Survey,
    discover,
    gather_facts,
    open_scan,
    prepare_scan,
    read_rows,
    settings_bytes,
    worker,
)
from pipeline.types.inputs import CsvOptions, Need
from pipeline.types.job import BadLimit
from pipeline.types.work import Outcome
from pipeline.units import format_count

_FLOAT = 8
# Of each layer on the way forward: sums, values, slopes, and the error signal on the way back with its products.
_TILE_ARRAYS = 6
# The steps of a tile, and what is made of them for a moment.
_STEP_COPIES = 2
_END = "nothing was measured"


@dataclass(frozen=True, slots=True)
class GradientWishes:
    """What a diagnosis of gradients reads, and how.

    Attributes
    ----------
    inputs : tuple of str
    block : NetworkBlock
        What reads the features.
    target : str or None
        The column of the classes.
    missing_target : {"error", "drop"}
    csv : CsvOptions
    absent : {"error", "null"}
    max_bad : BadLimit
    limit : int or None
    chunk_size : str
    how : HowToScan
    """

    inputs: tuple[str, ...]
    block: NetworkBlock
    target: str | None
    missing_target: MissingTarget
    csv: CsvOptions
    absent: Absent
    max_bad: BadLimit
    limit: int | None
    chunk_size: str
    how: HowToScan

    def settings(self) -> dict[str, Any]:
        """Return what the step needs, as JSON."""
        return {
            "block": self.block.describe(),
            "beside": self.block.beside(),
            "target": self.target,
            "missing_target": self.missing_target,
            "blas": blas_tag(),
        }


@dataclass(frozen=True, slots=True)
class MeasuredGradients:
    """What a pass found.

    Attributes
    ----------
    sums : GradientSums
    read, bad, set_aside : int
        How many rows were read, how many of them are bad, and how many the model sets aside.
    notes : tuple of str
        How the files differ, in words for a person.
    """

    sums: GradientSums
    read: int
    bad: int
    set_aside: int
    notes: tuple[str, ...]


def add_up(context: ChunkContext) -> Outcome[GradientSums]:
    """Return what the rows of a chunk add up to: the step."""
    reader = context.once("reader", reader_of)
    summer = reader.summer()
    with one_thread():
        for batch in context.batches():
            if batch.data.num_rows:
                reader.add(batch, context.job.files[batch.file][0], context.needs(batch.file), summer)
        return context.outcome(summer.done())


def reader_of(settings: Mapping[str, Any]) -> GradientReader:
    """Return what reads batches in this process, after it was checked that sums have the bits of the driver here."""
    if (here := blas_tag()) != settings["blas"]:
        raise ConfigurationError(
            f"worker {worker()} sums with {here}, but the driver with {settings['blas']}: the bits would differ",
            "use workers with one kind of CPU and one numpy",
        )
    block = cast("NetworkBlock", restore(settings["block"], settings["beside"]))
    return GradientReader(block, settings["target"], settings["missing_target"], settings["row_bytes"])


def prepare_gradients(wishes: GradientWishes, layers: GradientLayers) -> tuple[PreparedScan, tuple[str, ...]]:
    """Return a scan that can start, and notes for a person; no row is read.

    Raises
    ------
    LogitstreamError
        Every reason for which it cannot start, with its exit code.
    """
    found = discover(wishes.inputs)
    files = gather_facts(found.files, wishes.csv)
    needs = list(wishes.block.columns())
    if wishes.target is not None:
        needs.append(Need(wishes.target, "categorical"))
    survey = Survey.of(files, needs, (), wishes.csv)
    surveyed = survey.compared(partial(_unfit, wishes), wishes.absent)
    plan = make_plan(files, chunk_size=wishes.chunk_size, limit=wishes.limit)
    scan = prepare_scan(files, surveyed.needs, plan, wishes.csv, _costs(wishes, layers), wishes.how)
    return scan, (*found.notes, *surveyed.notes, *scan.how.notes)


def _unfit(wishes: GradientWishes, fields: Sequence[pa.Field]) -> list[str]:
    """Return one sentence for each field whose type does not fit, those of the features first."""
    if wishes.target is None:
        return wishes.block.check(fields)
    of_target = unfit_columns([(wishes.target, "categorical")], fields[-1:], {wishes.target: "a target"})
    return [*wishes.block.check(fields[:-1]), *of_target]


def measure_gradients(wishes: GradientWishes, layers: GradientLayers) -> MeasuredGradients:
    """Return what all rows add up to, with the same bits on every scheduler and with any number of workers.

    Raises
    ------
    BadCellsError
        There are more bad rows than may be.
    DataError
        No row is left.
    LogitstreamError
        As :func:`prepare_gradients`.
    """
    prepared, notes = prepare_gradients(wishes, layers)
    log_notes("diagnose", [prepared.log_text("a diagnosis of gradients"), *notes])
    accounts = PassAccounts(prepared, wishes.max_bad)
    tree: ReduceTree[GradientSums] = ReduceTree(len(prepared.plan), add_sums)
    settings = {**wishes.settings(), "row_bytes": _row_bytes(prepared)}
    with one_thread():
        with open_scan(prepared, settings, note=lambda text: log_notes("diagnose", (), [text])) as scan:
            read_rows(scan, add_up, accounts, lambda outcome: tree.add(outcome.chunk, outcome.payload), end=_END)
        sums = tree.total() or GradientSums.empty(layers)
    if not sums.rows:
        raise DataError(f"no row is left to measure: {_left_out(sums, accounts)}", "check the inputs and the columns")
    return MeasuredGradients(sums, accounts.read, accounts.bad, accounts.set_aside, notes)


def _row_bytes(prepared: PreparedScan) -> int:
    """Return what the steps of a row may take: as much as a tile, and what the budget leaves to each worker."""
    resources = prepared.resources
    spare = max(0, resources.allowed_bytes - resources.projected_bytes) // resources.workers
    return STEP_TILE_BYTES + spare // _STEP_COPIES


def _left_out(sums: GradientSums, done: PassAccounts) -> str:
    """Return what became of the rows that were read, as a clause."""
    counts = {
        "are bad": done.bad,
        "are set aside by the model": done.set_aside,
        "lack a value": sums.without_score,
        "have no target": sums.without_target,
        "are not finite": sums.not_finite,
    }
    told = [f"{format_count(count)} {what}" for what, count in counts.items() if count]
    return ", ".join([f"{format_count(done.read)} were read", *told])


def _costs(wishes: GradientWishes, layers: GradientLayers) -> StepCosts:
    weights = _FLOAT * sum(weights_of(layer).size for layer in layers.all_layers)
    units = layers.inputs + sum(layer.units for layer in layers.all_layers)
    steps = (
        _STEP_COPIES * STEP_TILE_BYTES + _FLOAT * LAYER_ROWS * NUMBER_FLOATS * layers.inputs if layers.recurrent else 0
    )
    settings = wishes.settings()
    return StepCosts(
        # Besides what is prepared of the features: the class of each row, and which rows are used.
        scratch_bytes=scratch_row_bytes(wishes.block.model) + _FLOAT + 4,
        payload_bytes=weights,
        fewer_payloads="use a smaller network",
        travels=True,
        shared_bytes=settings_bytes(settings),
        table_bytes=wishes.block.table_bytes + 2 * weights,
        # The sums, and the gradient of a tile before it is added to them.
        step_bytes=2 * weights + _FLOAT * LAYER_ROWS * (_TILE_ARRAYS * units + 2 * layers.inputs) + steps,
    )
