"""What the rows of a chunk add up to where they are sequences: back through the steps of recurrent layers.

What recurrent layers have in each step is kept for the way back, so a tile has as many rows as fit 32 MiB, at most
1,024, and a row that takes more is a tile by itself. Which rows are in a tile depends on the rows of the chunk before
them alone, whatever the batches and the memory are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.diagnosis.signals import SATURATED_SHARE, Floats
from pipeline.diagnosis.summing import DenseAdder, GradientLayers, GradientSums, Integers, RowSides
from pipeline.kernels.layers import (
    LAYER_ROWS,
    RecurrentLayer,
    StepGradients,
    StepRecord,
    dense_error,
    pooled_error,
    pooled_states,
    record_steps,
)
from pipeline.units import MIB

STEP_TILE_BYTES = 32 * MIB
# What a number of a list takes while inputs are made of it, in floats: its place, its types, and what is odd in it.
NUMBER_FLOATS = 6
_FLOAT = 8
# The largest slope of a sigmoid and of a tanh.
_SIGMOID_SLOPE, _TANH_SLOPE = 0.25, 1.0


class StepSummer:
    """Adds up the rows of one chunk. For one thread.

    Parameters
    ----------
    network : GradientLayers
        With recurrent layers.

    Attributes
    ----------
    sums : GradientSums
    """

    def __init__(self, network: GradientLayers) -> None:
        self._adder = DenseAdder(network)
        self.sums = self._adder.sums
        self._network = network
        self._most = STEP_TILE_BYTES // step_bytes(network)
        self._pieces: list[tuple[Floats, Integers, RowSides]] = []
        self._count = self._longest = 0

    def cuts(self, lengths: Integers) -> Iterator[tuple[int, int]]:
        """Yield from where to where rows are in one tile; whoever asks must add them before the next is yielded.

        Parameters
        ----------
        lengths : ndarray of int64, shape (rows,)
            The steps of each row.
        """
        start = 0
        for row, length in enumerate(lengths.tolist()):
            longest = max(self._longest, length)
            if self._count and (self._count == LAYER_ROWS or (self._count + 1) * longest > self._most):
                if start < row:
                    yield start, row
                start, longest = row, length
                self._flush()
            self._count, self._longest = self._count + 1, longest
        if start < len(lengths):
            yield start, len(lengths)

    def add(self, steps: Floats, lengths: Integers, sides: RowSides) -> None:
        """Add rows to the tile: their steps, shape (steps, inputs, rows), all finite, and what they have besides."""
        self._pieces.append((steps, lengths, sides))

    def done(self) -> GradientSums:
        """Return the sums, after the last row."""
        self._flush()
        return self.sums

    def _flush(self) -> None:
        pieces, longest = self._pieces, self._longest
        self._pieces, self._count, self._longest = [], 0, 0
        if not pieces:
            return
        lengths = np.concatenate([each for _, each, _ in pieces])
        inputs = np.zeros((longest, self._network.inputs, len(lengths)))
        first = 0
        for steps, of_piece, _ in pieces:
            inputs[: len(steps), :, first : first + len(of_piece)] = steps
            first += len(of_piece)
        with np.errstate(all="ignore"):
            self._add_tile(inputs, lengths, RowSides.joined([each for _, _, each in pieces]))

    def _add_tile(self, inputs: Floats, lengths: Integers, sides: RowSides) -> None:
        records = self._records(inputs, lengths)
        top, pooling = records[-1], str(self._network.pooling)
        passes = self._adder.forward(pooled_states(top.hidden, top.active, pooling).T, sides)
        finite = np.isfinite(passes[-1].values).all(axis=1)
        if not finite.all():
            self.sums.not_finite += int(np.count_nonzero(~finite))
            if finite.any():
                # No row may have the steps of one that is left out.
                inputs, lengths = inputs[: lengths[finite].max(), :, finite], lengths[finite]
                self._add_tile(inputs, lengths, sides.taken(finite))
            return
        signal = self._adder.add(passes, sides.codes)
        error = pooled_error(top.hidden, top.active, pooling, dense_error(self._network.layers[0], signal).T)
        for number in reversed(range(len(records))):
            found = records[number].backward(error)
            self._add_layer(number, records[number], found, lengths)
            error = found.inputs

    def _records(self, inputs: Floats, lengths: Integers) -> list[StepRecord]:
        """Return the way forward through the recurrent layers."""
        records: list[StepRecord] = []
        for layer in self._network.recurrent:
            records.append(record_steps(layer, inputs, lengths))
            inputs = records[-1].hidden[1:]
        return records

    def _add_layer(self, number: int, record: StepRecord, found: StepGradients, lengths: Integers) -> None:
        sums, active = self.sums, record.active
        squares = np.square(found.signals).sum(axis=1)
        sums.norms[number] += np.sqrt(squares.sum(axis=0)).sum()
        weights = [found.weights[name] for name in ("input_weight", "hidden_weight")]
        sums.weights[number] += np.concatenate(weights, axis=1)
        sums.steps[number].add(*_from_the_end(np.sqrt(squares), lengths))
        # By the largest slope of each gate, so that one limit is that of all.
        slopes = record.slopes / _largest_slopes(record.layer)
        values = record.hidden[1:].transpose(0, 2, 1)[active]
        sums.count(number, values, slopes.transpose(0, 2, 1)[active], SATURATED_SHARE)


def _from_the_end(norms: Floats, lengths: Integers) -> tuple[Floats, Integers]:
    """Return sums over rows, and how many rows there are, step by step from the last one of each row."""
    back = np.arange(len(norms))[:, np.newaxis]
    has = back < lengths
    found = np.take_along_axis(norms, np.maximum(lengths - 1 - back, 0), axis=0)
    return np.where(has, found, 0.0).sum(axis=1), has.sum(axis=1)


def _largest_slopes(layer: RecurrentLayer) -> Floats:
    """Return the largest slope of each gate, shape (gates * units, 1): the third one is a tanh."""
    by_gate = np.full((layer.gates, layer.units), _SIGMOID_SLOPE)
    by_gate[2] = _TANH_SLOPE
    return by_gate.reshape(-1, 1)


def step_bytes(network: GradientLayers) -> int:
    """Return the bytes that a step of a row takes on the way forward and back."""
    # Of the lists: each number while it is made. Of a layer: inputs and their derivatives, hidden and cell states with
    # the errors and what is made of the steps, gates with their slopes, signals and squares.
    layers = network.recurrent
    states = sum(3 * layer.inputs + 6 * layer.units + 5 * layer.gates * layer.units for layer in layers)
    return _FLOAT * (NUMBER_FLOATS * network.inputs + states)
