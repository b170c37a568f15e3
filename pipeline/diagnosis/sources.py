"""The inputs of a batch in float64: of rows, or of the steps of sequences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.diagnosis.signals import Floats
from pipeline.diagnosis.step_summing import StepSummer
from pipeline.diagnosis.summing import Codes, GradientSummer, RowSides
from pipeline.kernels.layers import LAYER_ROWS
from pipeline.models.columns import Mask
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.network.compute import filled
from pipeline.models.network.file import NetworkFile
from pipeline.models.network.recurrence import Counts, tiles_of
from pipeline.models.network.steps import PreparedSteps

# The inputs of so many steps of a tile are looked at together: these bytes, or one step.
_LOOKED_AT = 1 << 19


class InputRows:
    """The rows of a batch, one number for each input."""

    def __init__(self, batch: BatchColumns, model: NetworkFile) -> None:
        self._count, self._width = batch.tally.rows, model.inputs
        self._inputs = [feature.prepare(batch) for feature in model.plain]

    def add(self, used: Mask, sides: RowSides, summer: GradientSummer | StepSummer) -> int:
        """Add some rows, and return how many of them are left out: an input is not finite."""
        assert isinstance(summer, GradientSummer)
        left_out = 0
        for here, tile in self._tiles():
            chosen = used[here].copy()
            chosen[chosen] = np.isfinite(tile[chosen]).all(axis=1)
            left_out += int(np.count_nonzero(used[here]) - np.count_nonzero(chosen))
            summer.add(tile[chosen], sides.taken(here).taken(chosen))
        return left_out

    def _tiles(self) -> Iterator[tuple[slice, Floats]]:
        """Yield the inputs, shape (rows, inputs), 1,024 rows at a time; each is overwritten."""
        tiles, scratch = np.empty((1, self._width, LAYER_ROWS)), np.empty(LAYER_ROWS)
        for start in range(0, self._count, LAYER_ROWS):
            here = slice(start, min(start + LAYER_ROWS, self._count))
            (tile,) = filled(tiles, self._inputs, here, scratch)
            yield here, tile.T[: here.stop - here.start]


class StepRows:
    """The rows of a batch, each with its steps. What is odd in a step is known once all of them have been looked at."""

    def __init__(self, batch: BatchColumns, model: NetworkFile) -> None:
        self._width = model.inputs
        self._steps = PreparedSteps.read(model.sequences, model.steps, batch)
        self._finite = np.zeros(batch.tally.rows, dtype=np.bool_)
        for rows in tiles_of(self._steps.rows):
            self._finite[rows] = self._all_finite(rows)
        self._steps.settle(batch.tally)

    def first_longer(self, used: Mask, most: int) -> tuple[int, int] | None:
        """Return the first of some rows with more steps than ``most``, and how many it has; ``None`` if none has."""
        rows = np.flatnonzero(used & self._finite & (self._steps.lengths > most))
        return (int(rows[0]), int(self._steps.lengths[rows[0]])) if len(rows) else None

    def add(self, used: Mask, sides: RowSides, summer: GradientSummer | StepSummer) -> int:
        """Add some rows, and return how many of them are left out: an input is not finite."""
        assert isinstance(summer, StepSummer)
        rows = np.flatnonzero(used & self._finite)
        lengths = self._steps.lengths[rows]
        for first, last in summer.cuts(lengths):
            here, counts = rows[first:last], lengths[first:last]
            summer.add(self._filled(here, counts), counts, sides.taken(here))
        return int(np.count_nonzero(used) - len(rows))

    def _filled(self, rows: Codes, lengths: Counts) -> Floats:
        """Return all steps of some rows, shape (steps, inputs, rows); behind the end of a row they are zero."""
        steps = np.zeros((int(lengths.max()), self._width, len(rows)))
        if len(steps):
            self._steps.fill(steps, rows, 0)
        is_there = np.arange(len(steps))[:, np.newaxis] < lengths
        return np.where(is_there[:, np.newaxis], steps, 0.0)

    def _all_finite(self, rows: Codes) -> Mask:
        """Return which of at most 1,024 rows have finite inputs alone."""
        lengths = self._steps.lengths[rows]
        finite, longest = np.ones(len(rows), dtype=np.bool_), int(lengths.max())
        at_once = max(1, _LOOKED_AT // (self._width * len(rows) * 8))
        block = np.empty((min(at_once, longest), self._width, len(rows)))
        for first in range(0, longest, at_once):
            part = block[: longest - first]
            self._steps.fill(part, rows, first)
            is_there = np.arange(first, first + len(part))[:, np.newaxis] < lengths
            finite &= (np.isfinite(part).all(axis=1) | ~is_there).all(axis=0)
        return finite
