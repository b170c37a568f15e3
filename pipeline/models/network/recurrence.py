"""Recurrent layers over the rows of a tile: all layers do one step before the first does the next.

So only the states of a tile are kept, and the inputs of some steps: the memory of a tile does not grow with its longest
row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels.layers import LAYER_ROWS, RecurrentLayer
from pipeline.models.columns import Mask
from pipeline.models.network.recurrent import Pooling

Tile = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]

# The inputs of so many steps of a tile are made at once; they stay in the cache until the layers have done them.
_INPUT_BYTES = 1 << 19
_MOST_STEPS = 64
# Of each, while it is made of a number of a row: its place, the number in two types, and what is odd in it.
_NUMBER_BYTES = 40


class StepSource(Protocol):
    """The steps of some rows."""

    def fill(self, block: Tile, rows: npt.NDArray[np.intp], first: int) -> None:
        """Write the inputs of steps ``first``, ``first + 1``, ... into a block, shape (steps, inputs, rows of a tile).

        ``rows`` are at most those of a tile, in any order. What is behind the end of a row, and beside the rows, may be
        any finite numbers.
        """
        ...


@dataclass(frozen=True, eq=False)
class Recurrence:
    """One or more recurrent layers, and what makes one row of their steps.

    Attributes
    ----------
    layers : tuple of RecurrentLayer
    pooling : {"last", "mean", "max"}
        The hidden states behind the last step of a row; or the mean, or the largest, of those behind each of its steps,
        summed step by step in float64. All are zero without a step.
    """

    layers: tuple[RecurrentLayer, ...]
    pooling: Pooling

    @property
    def inputs(self) -> int:
        """How many numbers it takes of a step."""
        return self.layers[0].inputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the weights and of the inputs of a step."""
        return self.layers[0].dtype

    @property
    def steps_at_once(self) -> int:
        """The steps whose inputs are made at once."""
        return max(1, min(_MOST_STEPS, _INPUT_BYTES // (LAYER_ROWS * self.inputs * self.dtype.itemsize)))

    @property
    def tile_bytes(self) -> int:
        """The bytes of a tile while it is computed, however long its rows are."""
        # Of a layer: hidden states, inputs, gates and states, what is kept of them for rows that have ended, results.
        states = sum(10 * layer.units + layer.inputs + 2 for layer in self.layers)
        pooled = 2 * self.layers[-1].units
        block = self.steps_at_once * self.inputs * (self.dtype.itemsize + _NUMBER_BYTES)
        return LAYER_ROWS * (8 * (states + pooled) + block)

    def pooled(self, source: StepSource, rows: npt.NDArray[np.intp], lengths: Counts) -> Tile:
        """Return what is made of the steps of some rows, shape (units, rows of a tile), in the type of the weights.

        Parameters
        ----------
        source : StepSource
        rows : ndarray of intp
            At most those of a tile.
        lengths : ndarray of int64
            The steps of each of them.
        """
        filled = np.full(LAYER_ROWS, lengths.max())
        filled[: len(lengths)] = lengths
        run = _TileRun(self, filled)
        block = np.empty((min(self.steps_at_once, run.longest), self.inputs, LAYER_ROWS), dtype=self.dtype)
        for first in range(0, run.longest, self.steps_at_once):
            used = block[: run.longest - first]
            source.fill(used, rows, first)
            for step, inputs in enumerate(used, start=first):
                run.step(inputs, step)
        return run.pooled()

    def digest_rows(self) -> tuple[_Drawn, Counts]:
        """Return a tile of drawn rows, and their lengths: what they come out as tells one BLAS from another."""
        generator = np.random.Generator(np.random.Philox(0))
        steps = generator.uniform(-2, 2, (4, self.inputs, LAYER_ROWS)).astype(self.dtype)
        return _Drawn(steps), generator.integers(1, 5, LAYER_ROWS)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Steps of a tile as they are."""

    steps: Tile

    def fill(self, block: Tile, rows: npt.NDArray[np.intp], first: int) -> None:
        block[...] = self.steps[first : first + len(block)][:, :, rows]


class _TileRun:
    """The states of a tile, and what is gathered of them step by step."""

    def __init__(self, recurrence: Recurrence, lengths: Counts) -> None:
        layers = recurrence.layers
        self.lengths, self.pooling = lengths, recurrence.pooling
        self.shortest, self.longest = int(lengths.min()), int(lengths.max())
        self.states = [layer.start(LAYER_ROWS) for layer in layers]
        self.hidden = [np.empty((layer.units, LAYER_ROWS), dtype=recurrence.dtype) for layer in layers]
        start = -np.inf if recurrence.pooling == "max" else 0.0
        self.total = np.full((0 if recurrence.pooling == "last" else layers[-1].units, LAYER_ROWS), start)

    def step(self, inputs: Tile, number: int) -> None:
        """Do one step in all layers, for the rows that have it."""
        active = None if number < self.shortest else self.lengths > number
        last = len(self.states) - 1
        for place, (states, hidden) in enumerate(zip(self.states, self.hidden, strict=True)):
            states.inputs[...] = inputs
            if active is None:
                states.step()
            else:
                states.masked_step(active)
            if place < last or self.pooling != "last":
                states.write(hidden)
            inputs = hidden
        self._gather(active)

    def _gather(self, active: Mask | None) -> None:
        """Add the states behind a step, or note the largest."""
        where = True if active is None else active
        if self.pooling == "mean":
            np.add(self.total, self.hidden[-1], out=self.total, where=where)
        elif self.pooling == "max":
            np.maximum(self.total, self.hidden[-1], out=self.total, where=where)

    def pooled(self) -> Tile:
        hidden = self.hidden[-1]
        if self.pooling == "last":
            self.states[-1].write(hidden)
        elif self.pooling == "mean":
            np.divide(self.total, np.maximum(self.lengths, 1), out=hidden, casting="same_kind")
        else:
            hidden[...] = self.total
            hidden[:, self.lengths == 0] = 0
        return hidden


def tiles_of(order: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    """Yield rows in pieces of a tile."""
    return (order[start : start + LAYER_ROWS] for start in range(0, len(order), LAYER_ROWS))
