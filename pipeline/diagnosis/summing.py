"""What the rows of a chunk add up to: norms of error signals, saturated units, and gradients of the weights.

Rows are added in tiles of 1,024, counted from the first row of the chunk that is used, whatever the batches are: so the
sums of a chunk have the same bits however it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline import kernels
from pipeline.diagnosis.signals import SATURATED_SHARE, Floats, LayerPass, backward, forward, largest_slope, row_norms
from pipeline.kernels.layers import LAYER_ROWS, DenseLayer, dense_weight_gradient

Codes = npt.NDArray[np.intp]
Head = Literal["sigmoid", "softmax"]


@dataclass(frozen=True, slots=True, eq=False)
class GradientLayers:
    """A network whose gradients are added up.

    Attributes
    ----------
    layers : tuple of DenseLayer
        In float64; the last one without a function.
    head : {"sigmoid", "softmax"}
        What makes probabilities of its sums.
    """

    layers: tuple[DenseLayer, ...]
    head: Head

    @property
    def inputs(self) -> int:
        """How many numbers it takes of a row."""
        return self.layers[0].inputs

    def shown(self, number: int) -> tuple[str | None, dict[str, float]]:
        """Return the function that makes what a layer passes on, with its parameters; of the last one it is the head's.

        Layers are numbered from 0.
        """
        if number == len(self.layers) - 1:
            return self.head, {}
        return self.layers[number].function, dict(self.layers[number].parameters)

    def limits(self) -> Floats:
        """Return the slope of each layer below which a unit is saturated."""
        return SATURATED_SHARE * np.array([largest_slope(*self.shown(number)) for number in range(len(self.layers))])


@dataclass(slots=True, eq=False)
class GradientSums:
    """Sums over rows.

    Attributes
    ----------
    rows : int
        That were added.
    without_score, without_target, not_finite : int
        That were left out: a value is missing; there is no target; an input or a raw prediction is NaN or infinite.
    loss : float
        Of the log losses, 0 without a target.
    norms, activations : ndarray of float64, shape (layers,)
        Of the norms of dL/dz, and of all values that the units pass on.
    saturated : ndarray of int64, shape (layers,)
        Of units and rows.
    weights : list of ndarray, each of shape (units, inputs)
        Of dL/dW.
    """

    norms: Floats
    activations: Floats
    saturated: npt.NDArray[np.int64]
    weights: list[Floats]
    rows: int = 0
    without_score: int = 0
    without_target: int = 0
    not_finite: int = 0
    loss: float = 0.0

    @classmethod
    def empty(cls, network: GradientLayers) -> GradientSums:
        """Return the sums of no rows."""
        count = len(network.layers)
        weights = [np.zeros(layer.weight.shape) for layer in network.layers]
        return cls(np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.int64), weights)


def add_sums(left: GradientSums, right: GradientSums) -> GradientSums:
    """Return the sums of both."""
    # What explodes beyond float64 is infinite, and not a number where two infinities meet.
    with np.errstate(all="ignore"):
        left.norms += right.norms
        left.activations += right.activations
        left.saturated += right.saturated
        for number, weight in enumerate(right.weights):
            left.weights[number] += weight
    left.loss += right.loss
    for name in ("rows", "without_score", "without_target", "not_finite"):
        setattr(left, name, getattr(left, name) + getattr(right, name))
    return left


class GradientSummer:
    """Adds up the rows of one chunk. For one thread.

    Parameters
    ----------
    network : GradientLayers
    with_target : bool
        Whether rows have a class: the loss is the log loss. Without, it is the sum of the raw predictions.
    """

    def __init__(self, network: GradientLayers, *, with_target: bool) -> None:
        self.sums = GradientSums.empty(network)
        self._network, self._limits = network, network.limits()
        self._rows = np.empty((LAYER_ROWS, network.inputs))
        self._codes = np.zeros(LAYER_ROWS, dtype=np.intp) if with_target else None
        self._filled = 0

    def add(self, rows: Floats, codes: Codes | None) -> None:
        """Add rows, shape (rows, inputs), all finite, each with the number of its class where there is a target."""
        start = 0
        while start < len(rows):
            count = min(len(rows) - start, LAYER_ROWS - self._filled)
            here, there = slice(self._filled, self._filled + count), slice(start, start + count)
            self._rows[here] = rows[there]
            if self._codes is not None and codes is not None:
                self._codes[here] = codes[there]
            self._filled, start = here.stop, there.stop
            if self._filled == LAYER_ROWS:
                self._flush()

    def done(self) -> GradientSums:
        """Return the sums, after the last row."""
        self._flush()
        return self.sums

    def _flush(self) -> None:
        count, self._filled = self._filled, 0
        if not count:
            return
        rows, codes = self._rows[:count], None if self._codes is None else self._codes[:count]
        with np.errstate(all="ignore"):
            passes = list(forward(self._network.layers, rows))
            finite = np.isfinite(passes[-1].values).all(axis=1)
            if not finite.all():
                self.sums.not_finite += int(np.count_nonzero(~finite))
                rows, codes = rows[finite], None if codes is None else codes[finite]
                passes = list(forward(self._network.layers, rows))
            if len(rows):
                self._add_tile(passes, codes)

    def _add_tile(self, passes: Sequence[LayerPass], codes: Codes | None) -> None:
        sums, raw = self.sums, passes[-1].values
        sums.rows += len(raw)
        self._count_units([*passes[:-1], _with_head(passes[-1], self._network.head)])
        if codes is None:
            signal = np.ones_like(raw)
        else:
            signal, losses = log_loss_signal(self._network.head, raw, codes)
            sums.loss += float(losses.sum())
        number = len(passes)
        for found in backward(self._network.layers, passes, signal):
            number -= 1
            sums.norms[number] += row_norms(found).sum()
            sums.weights[number] += dense_weight_gradient(passes[number].inputs, found)

    def _count_units(self, passes: Sequence[LayerPass]) -> None:
        for number, done in enumerate(passes):
            self.sums.activations[number] += done.values.sum()
            self.sums.saturated[number] += np.count_nonzero(np.abs(done.slopes) < self._limits[number])


def _with_head(done: LayerPass, head: Head) -> LayerPass:
    """Return the last layer with the probabilities that are made of its sums, and their slopes."""
    raw = done.values
    if head == "softmax":
        return LayerPass(done.inputs, kernels.softmax(raw), kernels.softmax_gradient(raw))
    return LayerPass(done.inputs, kernels.evaluate(head, raw), kernels.gradient(head, raw))


def log_loss_signal(head: Head, raw: Floats, codes: Codes) -> tuple[Floats, Floats]:
    """Return dL/dz of the log loss, shape (rows, outputs), and the loss of each row.

    With the probabilities p it is p - 1 for the class of the row, and p for the others. Where p is near 1, p - 1 is
    computed from the others, so that nothing cancels.

    Parameters
    ----------
    head : {"sigmoid", "softmax"}
    raw : ndarray, shape (rows, outputs)
    codes : ndarray of intp, shape (rows,)
        The number of the class of each row: 0 or 1 with the sigmoid.
    """
    if head == "sigmoid":
        sign = 1.0 - 2.0 * codes[:, np.newaxis]
        against = sign * raw
        return sign * kernels.evaluate("sigmoid", against), -kernels.log_sigmoid(-against)[:, 0]
    rows = np.arange(len(raw))
    signal = kernels.softmax(raw)
    signal[rows, codes] = 0.0
    signal[rows, codes] = -signal.sum(axis=1)
    above = raw - raw.max(axis=1, keepdims=True)
    return signal, np.log(np.exp(above).sum(axis=1)) - above[rows, codes]
