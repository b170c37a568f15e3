"""Between the first pass and the next: what rows of tiles have, and where solvers start."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.fitting.tiles.decoding import ClassSource, RowSources
from pipeline.fitting.designs.design import FitDesign, NumberSource
from pipeline.fitting.tiles.encoding import Encoder
from pipeline.fitting.tiles.layout import Floats, Tile
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.asking.reading import PreparedFit
from pipeline.fitting.solving import warm_start
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.outcome.totals import class_names
from pipeline.fitting.asking.wishing import objective_of
from pipeline.models.levels import LevelType
from pipeline.types.inputs import Integers

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


def start_of(prepared: PreparedFit, design: FitDesign, rows: RowSources, sample: pa.Table) -> Floats:
    """Return coefficients near the optimum of a sample, all of whose rows are fitted."""
    encoder = Encoder(design, replace(rows, divider=None), decimal=prepared.scan.csv.decimal)
    tiles = [_kept(tile) for tile in encoder.tiles([SampleBatch.of(sample)])]
    return warm_start(MemoryPasses(design.layout, tiles), objective_of(prepared.job, design))


@dataclass(frozen=True, slots=True, eq=False)
class SampleBatch:
    """The rows of a sample as a batch."""

    data: pa.RecordBatch
    file: int = 0

    @classmethod
    def of(cls, sample: pa.Table) -> SampleBatch:
        """Return the rows of a sample without its last column, the fold."""
        columns = [column.combine_chunks() for column in sample.columns[:-1]]
        return cls(pa.RecordBatch.from_arrays(columns, sample.column_names[:-1]))

    def places(self) -> Integers:
        """Return no places: the rows of a sample are those that are fitted."""
        return np.zeros(self.data.num_rows, dtype=np.int64)


def _kept(tile: Tile) -> Tile:
    """Return a tile that stays valid."""
    return replace(tile, dense=tile.dense.copy(order="F"))
