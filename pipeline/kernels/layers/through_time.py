"""The way back through recurrent layers, step by step from the last one: back-propagation through time.

What was computed on the way forward is kept for all steps, in float64; the derivatives of each step follow from it and
from those of the step behind it (P. J. Werbos, Backpropagation through time: what it does and how to do it, 1990).
Arrays have the shape (steps, features, rows); the gates are one below the other, as in the weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels.activations import evaluate
from pipeline.kernels.layers.recurrent import GruLayer, LstmLayer, RecurrentLayer

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class StepGradients:
    """The derivatives of a loss, summed over rows, by what a recurrent layer has.

    Attributes
    ----------
    signals : ndarray, shape (steps, gates * units, rows)
        dL/dz: by the arguments of the gates; 0 in a step that a row does not have.
    inputs : ndarray, shape (steps, inputs, rows)
    start : tuple of ndarray, each of shape (units, rows)
        By the states before the first step.
    weights : mapping of str to ndarray
        By the names of the weights and biases, in their shapes.
    """

    signals: Floats
    inputs: Floats
    start: tuple[Floats, ...]
    weights: Mapping[str, Floats]


class StepRecord(ABC):
    """The way of some rows forward through a recurrent layer, kept for the way back. For one thread.

    Attributes
    ----------
    hidden : ndarray, shape (steps + 1, units, rows)
        The hidden states, first those before the first step; behind the end of a row its last ones.
    gates : ndarray, shape (steps, gates * units, rows)
        The values of the gates.
    active : ndarray of bool, shape (steps, rows)
        Which steps each row has.
    """

    def __init__(self, layer: RecurrentLayer, inputs: Floats, lengths: npt.NDArray[np.integer] | None = None) -> None:
        """Do all steps.

        Parameters
        ----------
        layer : RecurrentLayer
        inputs : ndarray of float64, shape (steps, inputs, rows)
            What is behind the end of a row is finite, and counts nowhere.
        lengths : ndarray of integers, shape (rows,), optional
            How many steps each row has; all of them unless given.
        """
        steps, _, rows = inputs.shape
        self.layer, self.inputs = layer, inputs
        self.w, self.u = layer.input_weight.astype(np.float64), layer.hidden_weight.astype(np.float64)
        self.a = layer.input_bias.astype(np.float64)[:, np.newaxis]
        self.b = layer.hidden_bias.astype(np.float64)[:, np.newaxis]
        self.hidden = np.zeros((steps + 1, layer.units, rows))
        self.gates = np.empty((steps, layer.gates * layer.units, rows))
        self.active: Flags = np.ones((steps, rows), dtype=np.bool_)
        if lengths is not None:
            self.active = np.arange(steps)[:, np.newaxis] < lengths
        with np.errstate(all="ignore"):
            for step in range(steps):
                self._forward(step)

    @property
    def slopes(self) -> Floats:
        """The derivatives of the gates by their arguments, shape (steps, gates * units, rows)."""
        found = self.gates * (1 - self.gates)
        new = self._new()
        found[:, new] = 1 - np.square(self.gates[:, new])
        return found

    @abstractmethod
    def _new(self) -> slice:
        """Return which rows of the gates are a tanh; the others are sigmoids."""

    @abstractmethod
    def _forward(self, step: int) -> None:
        """Do a step."""

    @abstractmethod
    def backward(self, error: Floats) -> StepGradients:
        """Return all derivatives.

        Parameters
        ----------
        error : ndarray, shape (steps, units, rows)
            Those by the hidden states behind each step, as far as they do not come from later steps of this layer.
        """

    def _gate(self, values: Floats, number: int) -> Floats:
        """Return the rows of one gate."""
        units = self.layer.units
        return values[number * units : (number + 1) * units]


class LstmRecord(StepRecord):
    """A record of an LSTM; ``cell`` are its cell states as ``hidden`` are the hidden ones."""

    layer: LstmLayer

    def __init__(self, layer: LstmLayer, inputs: Floats, lengths: npt.NDArray[np.integer] | None = None) -> None:
        self.cell = np.zeros((inputs.shape[0] + 1, layer.units, inputs.shape[2]))
        super().__init__(layer, inputs, lengths)

    def _new(self) -> slice:
        return slice(2 * self.layer.units, 3 * self.layer.units)

    def _forward(self, step: int) -> None:
        gates = self.gates[step]
        np.dot(self.w, self.inputs[step], out=gates)
        gates += np.dot(self.u, self.hidden[step])
        gates += self.a + self.b
        new = self._new()
        candidate = np.tanh(gates[new])
        evaluate("sigmoid", gates, out=gates)
        gates[new] = candidate
        i, f, g, o = (self._gate(gates, number) for number in range(4))
        cell = f * self.cell[step] + i * g
        active = self.active[step]
        self.cell[step + 1] = np.where(active, cell, self.cell[step])
        self.hidden[step + 1] = np.where(active, o * np.tanh(cell), self.hidden[step])

    def backward(self, error: Floats) -> StepGradients:
        """Return all derivatives; see :meth:`StepRecord.backward`."""
        signals, inputs = np.zeros_like(self.gates), np.empty_like(self.inputs)
        weight, hidden_weight = np.zeros_like(self.w), np.zeros_like(self.u)
        dh, dc = np.zeros_like(self.hidden[0]), np.zeros_like(self.cell[0])
        with np.errstate(all="ignore"):
            for step in reversed(range(len(error))):
                dh = dh + error[step]
                active, signal = self.active[step], signals[step]
                earlier = self._signal(step, dh, dc, signal)
                signal[:, ~active] = 0.0
                inputs[step] = np.dot(self.w.T, signal)
                weight += np.dot(signal, self.inputs[step].T)
                hidden_weight += np.dot(signal, self.hidden[step].T)
                dh = np.where(active, np.dot(self.u.T, signal), dh)
                dc = np.where(active, earlier, dc)
        bias = signals.sum(axis=(0, 2))
        named = {"input_weight": weight, "hidden_weight": hidden_weight, "input_bias": bias, "hidden_bias": bias}
        return StepGradients(signals, inputs, (dh, dc), named)

    def _signal(self, step: int, dh: Floats, dc: Floats, signal: Floats) -> Floats:
        """Write dL/dz of a step, and return the derivative by the cell state before it."""
        i, f, g, o = (self._gate(self.gates[step], number) for number in range(4))
        squashed = np.tanh(self.cell[step + 1])
        dc = dc + dh * o * (1 - np.square(squashed))
        self._gate(signal, 0)[:] = dc * g * i * (1 - i)
        self._gate(signal, 1)[:] = dc * self.cell[step] * f * (1 - f)
        self._gate(signal, 2)[:] = dc * i * (1 - np.square(g))
        self._gate(signal, 3)[:] = dh * squashed * o * (1 - o)
        found: Floats = dc * f
        return found


class GruRecord(StepRecord):
    """A record of a GRU. ``inner`` is what the reset gate multiplies, or with the reset before the product, its result.

    It has the shape (steps, units, rows).
    """

    layer: GruLayer

    def __init__(self, layer: GruLayer, inputs: Floats, lengths: npt.NDArray[np.integer] | None = None) -> None:
        self.inner = np.empty((inputs.shape[0], layer.units, inputs.shape[2]))
        super().__init__(layer, inputs, lengths)

    def _new(self) -> slice:
        return slice(2 * self.layer.units, None)

    def _forward(self, step: int) -> None:
        gates, hidden, new = self.gates[step], self.hidden[step], self._new()
        both = slice(0, new.start)
        np.dot(self.w, self.inputs[step], out=gates)
        gates += self.a
        gates[both] += np.dot(self.u[both], hidden) + self.b[both]
        evaluate("sigmoid", gates[both], out=gates[both])
        r, z = self._gate(gates, 0), self._gate(gates, 1)
        if self.layer.reset_after:
            self.inner[step] = np.dot(self.u[new], hidden) + self.b[new]
            gates[new] += r * self.inner[step]
        else:
            self.inner[step] = r * hidden
            gates[new] += np.dot(self.u[new], self.inner[step]) + self.b[new]
        np.tanh(gates[new], out=gates[new])
        after = gates[new] + z * (hidden - gates[new])
        self.hidden[step + 1] = np.where(self.active[step], after, hidden)

    def backward(self, error: Floats) -> StepGradients:
        """Return all derivatives; see :meth:`StepRecord.backward`."""
        signals, inputs = np.zeros_like(self.gates), np.empty_like(self.inputs)
        weight, hidden_weight, hidden_bias = np.zeros_like(self.w), np.zeros_like(self.u), np.zeros(len(self.w))
        dh, new = np.zeros_like(self.hidden[0]), self._new()
        with np.errstate(all="ignore"):
            for step in reversed(range(len(error))):
                dh = dh + error[step]
                active, signal = self.active[step], signals[step]
                other, earlier = self._signal(step, dh, signal)
                signal[:, ~active] = 0.0
                other[:, ~active] = 0.0
                inputs[step] = np.dot(self.w.T, signal)
                weight += np.dot(signal, self.inputs[step].T)
                hidden_bias += other.sum(axis=1)
                below = self.hidden[step].T
                hidden_weight[: new.start] += np.dot(other[: new.start], below)
                hidden_weight[new] += np.dot(other[new], below if self.layer.reset_after else self.inner[step].T)
                dh = np.where(active, earlier, dh)
        named = {
            "input_weight": weight,
            "hidden_weight": hidden_weight,
            "input_bias": signals.sum(axis=(0, 2)),
            "hidden_bias": hidden_bias,
        }
        return StepGradients(signals, inputs, (dh,), named)

    def _signal(self, step: int, dh: Floats, signal: Floats) -> tuple[Floats, Floats]:
        """Write dL/dz of a step; return the derivatives by U h + b, and by the hidden state before the step."""
        hidden, inner, units = self.hidden[step], self.inner[step], self.layer.units
        r, z, n = (self._gate(self.gates[step], number) for number in range(3))
        dn = dh * (1 - z) * (1 - np.square(n))
        self._gate(signal, 1)[:] = dh * (hidden - n) * z * (1 - z)
        self._gate(signal, 2)[:] = dn
        other = signal.copy()
        if self.layer.reset_after:
            dr, earlier = dn * inner, dh * z
            other[2 * units :] *= r
            self._gate(signal, 0)[:] = other[:units] = dr * r * (1 - r)
            return other, earlier + np.dot(self.u.T, other)
        through = np.dot(self.u[2 * units :].T, dn)
        self._gate(signal, 0)[:] = other[:units] = through * hidden * r * (1 - r)
        earlier = dh * z + through * r
        return other, earlier + np.dot(self.u[: 2 * units].T, other[: 2 * units])


def record_steps(
    layer: RecurrentLayer, inputs: Floats, lengths: npt.NDArray[np.integer] | None = None
) -> LstmRecord | GruRecord:
    """Return the record of an LSTM or of a GRU; the arguments are those of :class:`StepRecord`."""
    if isinstance(layer, LstmLayer):
        return LstmRecord(layer, inputs, lengths)
    assert isinstance(layer, GruLayer)
    return GruRecord(layer, inputs, lengths)


def pooled_states(hidden: Floats, active: Flags, pooling: str) -> Floats:
    """Return one row of the hidden states behind each step, shape (units, rows): the last, the mean or the largest.

    Parameters
    ----------
    hidden : ndarray, shape (steps + 1, units, rows)
        Of a record.
    active : ndarray of bool, shape (steps, rows)
    pooling : {"last", "mean", "max"}
        Without a step all are zero.
    """
    if pooling == "last":
        states: Floats = hidden[-1]
        return states
    after, has = hidden[1:], active[:, np.newaxis]
    if pooling == "mean":
        found: Floats = np.where(has, after, 0.0).sum(axis=0) / np.maximum(active.sum(axis=0), 1)
        return found
    largest: Floats = np.where(has, after, -np.inf).max(axis=0, initial=-np.inf)
    largest[:, ~active.any(axis=0)] = 0.0
    return largest


def pooled_error(hidden: Floats, active: Flags, pooling: str, error: Floats) -> Floats:
    """Return the derivatives by the hidden states behind each step, shape (steps, units, rows).

    The largest of several equal states is the first one. The other arguments are those of :func:`pooled_states`.

    Parameters
    ----------
    error : ndarray, shape (units, rows)
        By what was made of the steps.
    """
    steps, lengths = np.arange(len(active))[:, np.newaxis], active.sum(axis=0)
    if pooling == "last":
        return np.where((steps == lengths - 1)[:, np.newaxis], error, 0.0)
    has = active[:, np.newaxis]
    if pooling == "mean":
        return np.where(has, error / np.maximum(lengths, 1), 0.0)
    after = np.where(has, hidden[1:], -np.inf)
    chosen = after.argmax(axis=0) if len(after) else np.zeros(error.shape, dtype=np.intp)
    return np.where(has & (steps[:, np.newaxis] == chosen), error, 0.0)
