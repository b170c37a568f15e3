"""What the rows of a chunk add up to: norms of error signals, saturated units, and gradients of the weights.

Rows are added in tiles of 1,024, counted from the first row of the chunk that is used, whatever the batches are: so the
sums of a chunk have the same bits however it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline import kernels
from pipeline.dataclass import dataclass
from pipeline.diagnosis.signals import SATURATED_SHARE, Floats, LayerPass, backward, forward, largest_slope, row_norms
from pipeline.kernels.layers import (
    LAYER_ROWS,
    DenseLayer,
    RecurrentLayer,
    dense_weight_gradient,
    log_loss_signal,
    log_losses,
)

Codes = npt.NDArray[np.intp]
Integers = npt.NDArray[np.int64]
Head = Literal["sigmoid", "softmax"]


@dataclass(frozen=True, slots=True, eq=False)
class GradientLayers:
    """A network whose gradients are added up, with weights in float64.

    Attributes
    ----------
    layers : tuple of DenseLayer
        The last one without a function.
    head : {"sigmoid", "softmax"}
        What makes probabilities of its sums.
    recurrent : tuple of RecurrentLayer
        The layers before them, where the rows are sequences.
    pooling : {"last", "mean", "max"} or None
        What makes one row of their steps.
    """

    layers: tuple[DenseLayer, ...]
    head: Head
    recurrent: tuple[RecurrentLayer, ...] = ()
    pooling: str | None = None

    @property
    def all_layers(self) -> tuple[RecurrentLayer | DenseLayer, ...]:
        """The layers in their order."""
        return (*self.recurrent, *self.layers)

    @property
    def inputs(self) -> int:
        """How many numbers it takes of a row, or of a step of it."""
        return self.all_layers[0].inputs

    def shown(self, number: int) -> tuple[str | None, dict[str, float]]:
        """Return the function that makes what a layer passes on, with its parameters; of the last one it is the head's.

        Layers are numbered from 0. A recurrent one has no single function.
        """
        layer = self.all_layers[number]
        if number == len(self.all_layers) - 1:
            return self.head, {}
        return (layer.function, dict(layer.parameters)) if isinstance(layer, DenseLayer) else (None, {})


@dataclass(frozen=True, slots=True, eq=False)
class RowSides:
    """What rows have besides their inputs.

    Attributes
    ----------
    codes : ndarray of intp, shape (rows,), or None
        The class of each row; ``None`` without a target.
    offset : ndarray of float64, shape (rows,), or None
        What is added to the raw prediction of each row.
    """

    codes: Codes | None = None
    offset: Floats | None = None

    def taken(self, rows: Any) -> RowSides:
        """Return those of some of the rows: a slice, their numbers, or where they are."""
        return RowSides(
            None if self.codes is None else self.codes[rows], None if self.offset is None else self.offset[rows]
        )

    @classmethod
    def joined(cls, parts: Sequence[RowSides]) -> RowSides:
        """Return those of the rows of all parts, which all have them, or none."""
        codes = [part.codes for part in parts if part.codes is not None]
        offset = [part.offset for part in parts if part.offset is not None]
        return cls(np.concatenate(codes) if codes else None, np.concatenate(offset) if offset else None)


@dataclass(slots=True, eq=False)
class StepSums:
    """Sums over rows of the norms of dL/dz in the steps of a recurrent layer, the last step of each row first.

    Attributes
    ----------
    norms : ndarray of float64, shape (steps,)
    rows : ndarray of int64, shape (steps,)
        How many rows have the step.
    """

    norms: Floats
    rows: Integers

    def add(self, norms: Floats, rows: Integers) -> None:
        """Add the sums of other rows, which may be shorter or longer."""
        steps = max(len(self.norms), len(norms))
        self.norms, self.rows = _longer(self.norms, steps), _longer(self.rows, steps)
        self.norms[: len(norms)] += norms
        self.rows[: len(rows)] += rows


def _longer(values: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    return np.append(values, np.zeros(size - len(values), dtype=values.dtype))


@dataclass(slots=True, eq=False)
class GradientSums:
    """Sums over rows.

    Attributes
    ----------
    norms, activations : ndarray of float64, shape (layers,)
        Of the norms of dL/dz, and of all values that the units pass on.
    passed, units : ndarray of int64, shape (layers,)
        How many such values there are, and how many units or gates, each in each row and step.
    saturated : ndarray of int64, shape (layers,)
        Of these units or gates.
    weights : list of ndarray
        Of dL/dW, as :func:`weights_of` has the weights of a layer.
    steps : list of StepSums
        Of the recurrent layers.
    rows : int
        That were added.
    without_score, without_target, not_finite : int
        That were left out: a value is missing; there is no target; an input or a raw prediction is NaN or infinite.
    loss : float
        Of the log losses, 0 without a target.
    """

    norms: Floats
    activations: Floats
    passed: Integers
    units: Integers
    saturated: Integers
    weights: list[Floats]
    steps: list[StepSums]
    rows: int = 0
    without_score: int = 0
    without_target: int = 0
    not_finite: int = 0
    loss: float = 0.0

    @classmethod
    def empty(cls, network: GradientLayers) -> GradientSums:
        """Return the sums of no rows."""
        count = len(network.all_layers)
        weights = [np.zeros(weights_of(layer).shape) for layer in network.all_layers]
        steps = [StepSums(np.empty(0), np.empty(0, dtype=np.int64)) for _ in network.recurrent]
        passed, units, saturated = (np.zeros(count, dtype=np.int64) for _ in range(3))
        return cls(np.zeros(count), np.zeros(count), passed, units, saturated, weights, steps)

    def count(self, number: int, values: Floats, slopes: Floats, limit: float) -> None:
        """Count saturated units of a layer and add what it passes on; both have as many elements as are counted.

        ``limit`` is the slope below which a unit is saturated.
        """
        self.activations[number] += values.sum()
        self.passed[number] += values.size
        self.units[number] += slopes.size
        self.saturated[number] += np.count_nonzero(np.abs(slopes) < limit)


def weights_of(layer: RecurrentLayer | DenseLayer) -> Floats:
    """Return the weights of a layer without biases; of a recurrent one those of inputs and of hidden states."""
    if isinstance(layer, DenseLayer):
        return layer.weight
    return np.concatenate([layer.input_weight, layer.hidden_weight], axis=1)


def add_sums(left: GradientSums, right: GradientSums) -> GradientSums:
    """Return the sums of both."""
    # What explodes beyond float64 is infinite, and not a number where two infinities meet.
    with np.errstate(all="ignore"):
        for name in ("norms", "activations", "passed", "units", "saturated"):
            getattr(left, name)[:] += getattr(right, name)
        for number, weight in enumerate(right.weights):
            left.weights[number] += weight
        for mine, other in zip(left.steps, right.steps, strict=True):
            mine.add(other.norms, other.rows)
    for name in ("rows", "without_score", "without_target", "not_finite", "loss"):
        setattr(left, name, getattr(left, name) + getattr(right, name))
    return left


class DenseAdder:
    """Adds up what the dense layers of a network have, and sends the error signal back through them.

    Parameters
    ----------
    network : GradientLayers
    """

    def __init__(self, network: GradientLayers) -> None:
        self.sums = GradientSums.empty(network)
        self.network, self._first = network, len(network.recurrent)
        shown = [network.shown(number) for number in range(self._first, len(network.all_layers))]
        self._limits = SATURATED_SHARE * np.array([largest_slope(*each) for each in shown])

    def forward(self, rows: Floats, sides: RowSides) -> list[LayerPass]:
        """Return what each dense layer has of some rows; the last one has raw predictions, with the offset."""
        *hidden, last = forward(self.network.layers, rows)
        if sides.offset is not None:
            last = replace(last, values=last.values + sides.offset[:, np.newaxis])
        return [*hidden, last]

    def add(self, passes: Sequence[LayerPass], codes: Codes | None) -> Floats:
        """Add rows, and return dL/dz of the first dense layer.

        ``codes`` are the classes of the rows. Without, the loss is the sum of the raw predictions.
        """
        sums, raw = self.sums, passes[-1].values
        sums.rows += len(raw)
        for place, done in enumerate([*passes[:-1], _with_head(passes[-1], self.network.head)]):
            sums.count(self._first + place, done.values, done.slopes, self._limits[place])
        if codes is None:
            signal = np.ones_like(raw)
        else:
            signal = log_loss_signal(self.network.head, raw, codes)
            sums.loss += float(log_losses(self.network.head, raw, codes).sum())
        number = len(passes)
        for found in backward(self.network.layers, passes, signal):
            number -= 1
            sums.norms[self._first + number] += row_norms(found).sum()
            sums.weights[self._first + number] += dense_weight_gradient(passes[number].inputs, found)
        return found


class GradientSummer:
    """Adds up the rows of one chunk. For one thread.

    Parameters
    ----------
    network : GradientLayers
        Without recurrent layers.
    """

    def __init__(self, network: GradientLayers) -> None:
        self._adder = DenseAdder(network)
        self.sums = self._adder.sums
        self._rows = np.empty((LAYER_ROWS, network.inputs))
        self._sides: list[RowSides] = []
        self._filled = 0

    def add(self, rows: Floats, sides: RowSides) -> None:
        """Add rows, shape (rows, inputs), all finite, with what they have besides.

        Where they have a class the loss is the log loss. Without, it is the sum of the raw predictions.
        """
        start = 0
        while start < len(rows):
            count = min(len(rows) - start, LAYER_ROWS - self._filled)
            here, there = slice(self._filled, self._filled + count), slice(start, start + count)
            self._rows[here] = rows[there]
            self._sides.append(sides.taken(there))
            self._filled, start = here.stop, there.stop
            if self._filled == LAYER_ROWS:
                self._flush()

    def done(self) -> GradientSums:
        """Return the sums, after the last row."""
        self._flush()
        return self.sums

    def _flush(self) -> None:
        (count, self._filled), (parts, self._sides) = (self._filled, 0), (self._sides, [])
        if not count:
            return
        rows, sides = self._rows[:count], RowSides.joined(parts)
        with np.errstate(all="ignore"):
            passes = self._adder.forward(rows, sides)
            finite = np.isfinite(passes[-1].values).all(axis=1)
            if not finite.all():
                self.sums.not_finite += int(np.count_nonzero(~finite))
                sides = sides.taken(finite)
                passes = self._adder.forward(rows[finite], sides)
            if finite.any():
                self._adder.add(passes, sides.codes)


def _with_head(done: LayerPass, head: Head) -> LayerPass:
    """Return the last layer with the probabilities that are made of its sums, and their slopes."""
    raw = done.values
    if head == "softmax":
        return LayerPass(done.inputs, kernels.softmax(raw), kernels.softmax_gradient(raw))
    return LayerPass(done.inputs, kernels.evaluate(head, raw), kernels.gradient(head, raw))
