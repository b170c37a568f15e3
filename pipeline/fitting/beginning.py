"""Between the first pass and the next: what rows of tiles have, and where solvers start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

import numpy as np
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.reading import PreparedFit
from pipeline.fitting.asking.wishing import method_of, objective_of
from pipeline.fitting.designs.design import FitDesign, NumberSource
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.outcome.totals import class_names
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.solving import warm_start
from pipeline.fitting.solving.dependence import Combination, suspects
from pipeline.fitting.tiles.decoding import ClassSource, RowSources
from pipeline.fitting.tiles.encoding import Encoder
from pipeline.fitting.tiles.layout import TILE_ROWS, Floats, Tile
from pipeline.models.levels import LevelType
from pipeline.types.inputs import Integers

# Rows of a sample that are decoded at once.
_BATCH_ROWS = 4 * TILE_ROWS
_TYPES: dict[type, LevelType] = {bool: "boolean", int: "integer", str: "text"}


def sources_of(prepared: PreparedFit, learnt: Learnt) -> RowSources:
    """Return what the rows of tiles have besides the columns of the design."""
    model = prepared.job.model
    spelled = {text: number for number, text in enumerate(class_names(learnt.classes))}
    return RowSources(
        ClassSource(model.target, _TYPES[type(learnt.classes[0])], spelled),
        learnt.class_weights if model.class_weights is not None else (),
        None if model.weight is None else NumberSource(model.weight, "error"),
        None if model.offset is None else NumberSource(model.offset, "error"),
        prepared.rules.divider,
        prepared.job.solve.robust_groups,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What a sample tells, all of whose rows are fitted.

    Attributes
    ----------
    values : ndarray of float64, shape (outputs, width)
        Coefficients near its optimum.
    suspects : dict of int to tuple of (int, float)
        Dense columns that others explain in it, where the method does not find them by itself.
    """

    values: Floats
    suspects: Mapping[int, Combination] = field(default_factory=dict)


def start_of(prepared: PreparedFit, design: FitDesign, rows: RowSources, sample: pa.Table) -> Start:
    """Return where solvers start, and what they should look at."""
    encoder = Encoder(design, replace(rows, divider=None), decimal=prepared.scan.csv.decimal)
    tiles = kept_tiles(lambda: encoder.tiles(sample_batches(sample)), prepared.wanted.sample.expected_bytes)
    objective, method = objective_of(prepared.job, design), method_of(prepared.job, design)
    values = warm_start(MemoryPasses(design.layout, tiles), objective)
    # Newton's method has the products of all columns over all rows, and what is penalised need not be unique.
    if method in {"newton", "gradient"} or objective.penalty is not None or prepared.job.solve.folds:
        return Start(values)
    able = np.ones(design.layout.width, dtype=bool) if objective.signs is None else objective.signs == 0
    return Start(values, suspects(tiles() if callable(tiles) else tiles, design.layout, able))


def kept_tiles(make: Callable[[], Iterable[Tile]], most_bytes: int) -> Sequence[Tile] | Callable[[], Iterable[Tile]]:
    """Return tiles that are made once, if they take at most so many bytes; else what makes them anew for each pass.

    Those of products, levels and intervals may take many times what the columns take that they are made of.
    """
    kept: list[Tile] = []
    size = 0
    for tile in make():
        size += _bytes_of(tile)
        if size > most_bytes:
            return make
        kept.append(replace(tile, dense=tile.dense.copy(order="F")))
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class SampleBatch:
    """Some rows of a sample."""

    data: pa.RecordBatch
    file: int = 0

    def places(self) -> Integers:
        """Return no places: the rows of a sample are those that are fitted."""
        return np.zeros(self.data.num_rows, dtype=np.int64)


def sample_batches(sample: pa.Table) -> Iterator[SampleBatch]:
    """Yield the rows of a sample without its last column, the fold; nothing is copied."""
    columns = sample.select(range(sample.num_columns - 1))
    yield from map(SampleBatch, columns.to_batches(max_chunksize=_BATCH_ROWS))


def _bytes_of(tile: Tile) -> int:
    levels = [array for column in tile.levels for array in (column.codes, column.values)]
    arrays = (tile.dense, tile.classes, tile.weights, tile.offset, *levels)
    return sum(array.nbytes for array in arrays if array is not None)
