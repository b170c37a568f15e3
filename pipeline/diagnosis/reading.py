"""The rows of a batch as a network takes them: inputs in float64, and the class of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import cast

import numpy as np

from pipeline.choices import MissingTarget
from pipeline.dataclass import dataclass
from pipeline.diagnosis.sources import InputRows, StepRows
from pipeline.diagnosis.step_summing import StepSummer, step_bytes
from pipeline.diagnosis.summing import GradientLayers, GradientSummer, RowSides
from pipeline.errors import MemoryBudgetError
from pipeline.kernels.layers import DenseLayer, RecurrentLayer
from pipeline.models.blocks import of_file
from pipeline.models.columns import Mask
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.making import class_spellings
from pipeline.models.network.compute import Network, network_of
from pipeline.models.network.file import NetworkFile
from pipeline.models.network.score import NetworkBlock
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.models.target_classes import TargetClasses
from pipeline.scan import Batch
from pipeline.types.blocks import Values
from pipeline.types.inputs import InputFile, Need
from pipeline.units import escape, format_bytes, format_count


def gradient_layers(model: NetworkFile, network: Network) -> GradientLayers:
    """Return the layers of a network in float64."""
    layers = (
        DenseLayer(each.weight.astype(np.float64), each.bias.astype(np.float64), each.function, each.parameters)
        for each in network.layers
    )
    recurrent = () if network.recurrence is None else network.recurrence.layers
    return GradientLayers(tuple(layers), model.head, tuple(map(_in_float64, recurrent)), model.pooling)


def _in_float64(layer: RecurrentLayer) -> RecurrentLayer:
    names = ("input_weight", "hidden_weight", "input_bias", "hidden_bias")
    return replace(layer, **{name: getattr(layer, name).astype(np.float64) for name in names})


@dataclass(frozen=True, eq=False)
class GradientReader:
    """Reads the batches of a scan. May be used from several threads at once.

    Attributes
    ----------
    block : NetworkBlock
        What reads the features.
    target : str or None
        The column of the classes, the last one of a batch.
    missing_target : {"error", "drop"}
    row_bytes : int
        What the steps of a row may take on the way forward and back.
    """

    block: NetworkBlock
    target: str | None
    missing_target: MissingTarget
    row_bytes: int
    layers: GradientLayers = field(init=False)
    _classes: TargetClasses = field(init=False)

    def __post_init__(self) -> None:
        model = self.block.model
        object.__setattr__(self, "layers", gradient_layers(model, network_of(model, self.block.path)))
        object.__setattr__(self, "_classes", TargetClasses(class_spellings(model), self.block.decimal))

    def summer(self) -> GradientSummer | StepSummer:
        """Return what adds up the rows of one chunk."""
        if self.layers.recurrent:
            return StepSummer(self.layers)
        return GradientSummer(self.layers)

    def add(self, batch: Batch, file: InputFile, needs: Sequence[Need], summer: GradientSummer | StepSummer) -> None:
        """Add the rows of a batch that have inputs and a class, after the others were booked."""
        columns, tally = batch.data.columns, RowTally(batch.data.num_rows)
        features = columns if self.target is None else columns[:-1]
        block = cast("NetworkBlock", of_file(self.block, file, needs[: len(features)]))
        read = block.batch_of(features, tally)
        source, offset = self._source(read), self.block.model.offset
        added = None if offset is None else offset.values(read)
        codes, without = None, np.zeros(tally.rows, dtype=np.bool_)
        if self.target is not None:
            column = BatchColumn(len(features), self.target, columns[-1])
            is_csv = file.format == "csv"
            codes, missing = self._classes.judged(column, tally, self.missing_target, is_csv=is_csv)
            # Where a missing target is an error, these rows are rejected already.
            without |= missing
        batch.settle(Values((), null=tally.null_count, rejected=tally.cells(tally.rejected)))
        used = np.ones(tally.rows, dtype=np.bool_) if tally.null is None else ~tally.null
        used[tally.rejected] = False
        summer.sums.without_score += tally.null_count
        summer.sums.without_target += int(np.count_nonzero(without & used))
        used &= ~without
        if isinstance(source, StepRows) and isinstance(summer, StepSummer):
            self._refuse_longer(source, used, batch, file.path)
        # What is added up on the way is counted there, too.
        left_out = source.add(used, RowSides(codes, added), summer)
        summer.sums.not_finite += left_out

    def _source(self, batch: BatchColumns) -> InputRows | StepRows:
        """Return the inputs of a batch, with the policies applied."""
        model = self.block.model
        if model.sequences:
            return StepRows(batch, model)
        return InputRows(batch, model)

    def _refuse_longer(self, source: StepRows, used: Mask, batch: Batch, path: str) -> None:
        """Refuse the first row with more steps than the memory can keep for the way back, if there is one."""
        most = self.row_bytes // step_bytes(self.layers)
        if (found := source.first_longer(used, most)) is None:
            return
        row = int(batch.places()[found[0]]) + 1
        raise MemoryBudgetError(
            f"{escape(path)}: row {row:,}: a sequence of {format_count(found[1])} steps, but the gradients of at most "
            f"{format_count(most)} steps of this network fit the {format_bytes(self.row_bytes)} that a row may take",
            "raise --memory, lower --workers, or cut such sequences",
        ).at(path, row=row)
