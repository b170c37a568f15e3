"""Recurrent layers: LSTM and GRU.

Every gate is a tanh: sigmoid(z) = (1 + tanh(z / 2)) / 2, where halves and doubles are folded into the weights, which is
exact in binary. One tanh then serves all gates of a step, and a gate is right to an absolute error of about 2^-53
(float32: 2^-24), which is what a sum or a product with a state of that size keeps of it.

What a tile needs is in two arrays. One has hidden states and inputs as rows, so that each product reads one block of
them and writes into the other. The row of ones beside the inputs is the place of the biases.

Where products of a float32 layer run in float64, gates and states stay in float32: without AVX-512 numpy's tanh takes
five times as long in float64. So only the sums of a step, and the array that products read, are in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels.layers.base import NetworkLayer, Weights
from pipeline.kernels.layers.checks import checked_weights, matrix_shape
from pipeline.kernels.layers.products import Shape
from pipeline.kernels.layers.tiles import Tile


class TileStates(ABC):
    """The states of a tile, and one step after the other.

    Attributes
    ----------
    parts : tuple of ndarray, each of shape (units, rows)
        The states by kind, which a step changes in place; the hidden ones come first, multiplied by ``scale``.
    inputs : ndarray, shape (inputs, rows)
        Where the inputs of a step are written to before it.
    scale : float
    """

    parts: tuple[Tile, ...]
    inputs: Tile
    scale: float = 1.0

    @abstractmethod
    def step(self) -> None:
        """Replace the states by those behind one more step."""

    def masked_step(self, active: npt.NDArray[np.bool_]) -> None:
        """Do a step for some rows; the others keep the bits of their states."""
        before = [part.copy() for part in self.parts]
        self.step()
        for part, kept in zip(self.parts, before, strict=True):
            np.copyto(part, kept, where=~active)

    def write(self, out: Tile) -> None:
        """Write the hidden states into an array of shape (units, rows)."""
        np.multiply(self.parts[0], 1 / self.scale, out=out, casting="same_kind")


@dataclass(frozen=True, eq=False)
class RecurrentLayer(NetworkLayer):
    """What an LSTM and a GRU have in common.

    Attributes
    ----------
    input_weight : ndarray, shape (gates * units, inputs)
        float32 or float64, the gates one below the other.
    hidden_weight : ndarray, shape (gates * units, units)
    input_bias, hidden_bias : ndarray, shape (gates * units,)
        All of one type.
    gates : int
    kinds : tuple of str
        What states a row has: ``hidden``, and ``cell`` of an LSTM.

    Raises
    ------
    TypeError
        Weights are no arrays of float32 or float64, or they are of both.
    ValueError
        A shape does not fit, or a weight is NaN or infinite.
    """

    input_weight: Weights
    hidden_weight: Weights
    input_bias: Weights
    hidden_bias: Weights

    gates: ClassVar[int]
    kinds: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        rows, inputs = matrix_shape("input_weight", self.input_weight)
        if rows % self.gates:
            raise ValueError(f"input_weight must have {self.gates} rows for each unit, got {rows}")
        shapes = {
            "input_weight": (rows, inputs),
            "hidden_weight": (rows, rows // self.gates),
            "input_bias": (rows,),
            "hidden_bias": (rows,),
        }
        given = {name: getattr(self, name) for name in shapes}
        for name, array in checked_weights(given, shapes).items():
            object.__setattr__(self, name, array)

    @property
    def inputs(self) -> int:
        """The features of a step that it takes."""
        return int(self.input_weight.shape[1])

    @property
    def units(self) -> int:
        """The features of a step that it gives."""
        return int(self.hidden_weight.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the weights and of the states that it gives."""
        return self.input_weight.dtype

    @abstractmethod
    def start(self, rows: int) -> TileStates:
        """Return the states of so many rows before the first step: zeros."""

    def outputs(
        self, tile: Tile, lengths: npt.NDArray[np.integer[Any]] | None = None, *, every_step: bool = False
    ) -> Tile:
        """Return the hidden state of each row behind its last step, shape (rows, units), in the type of the weights.

        The bits of a row do not depend on the others, nor on where it is or how far it is filled up, in tiles of 1,024
        rows and while BLAS has one thread.

        Parameters
        ----------
        tile : ndarray, shape (rows, steps, inputs)
            Numbers of any type; NaN and infinity are values.
        lengths : ndarray of integers, shape (rows,), optional
            How many steps of each row count, from 0 (the state is 0) to all of them; what lies behind is not read.
        every_step : bool
            Return the states behind each step, shape (rows, steps, units); behind the end of a row its last state.
        """
        rows, steps, _ = tile.shape
        states = self.start(rows)
        shape = (steps, self.units, rows) if every_step else (1, self.units, rows)
        result = np.zeros(shape, dtype=self.dtype)
        with np.errstate(all="ignore"):
            for step in _steps(states, tile, lengths):
                if every_step:
                    states.write(result[step])
            if not every_step:
                states.write(result[0])
        return result.transpose(2, 0, 1) if every_step else result[0].T

    def step(self, tile: Tile, *before: Tile) -> tuple[Tile, ...]:
        """Return the states behind one step, each of shape (rows, units), in the type of the weights.

        Parameters
        ----------
        tile : ndarray, shape (rows, inputs)
        *before : ndarray, shape (rows, units)
            One for each of ``kinds``; bits as of :meth:`outputs`.
        """
        states = self.start(len(tile))
        hidden = states.parts[0]
        with np.errstate(all="ignore"):
            states.inputs[...] = tile.T
            for part, given in zip(states.parts, before, strict=True):
                part[...] = given.T
            hidden *= states.scale
            states.step()
            states.write(hidden)
            return tuple(part.T.astype(self.dtype, copy=False) for part in states.parts)


def _steps(states: TileStates, tile: Tile, lengths: npt.NDArray[np.integer[Any]] | None) -> Iterator[int]:
    """Do one step after the other; yield the number of each."""
    rows, steps, _ = tile.shape
    shortest, longest = (steps, steps) if lengths is None or not rows else (int(lengths.min()), int(lengths.max()))
    # From a layer below it is so already; from rows, one copy is quicker than a piece for each step.
    columns = np.ascontiguousarray(tile.transpose(1, 2, 0))
    for step in range(steps):
        if step < longest:
            states.inputs[...] = columns[step]
        if step < shortest:
            states.step()
        elif lengths is not None and step < longest:
            states.masked_step(lengths > step)
        yield step


def _beside(array: Tile, dtype: np.dtype[Any]) -> Tile:
    """Return an array of the same shape in a type: itself if it has that type, so that nothing is copied."""
    return array if array.dtype == dtype else np.empty(array.shape, dtype=dtype)


def _tanh(sums: Tile, out: Tile) -> None:
    """Write tanh of sums, computed in the type of the gates."""
    np.tanh(sums, out=out, dtype=out.dtype, casting="same_kind")


@dataclass(frozen=True, eq=False)
class LstmLayer(RecurrentLayer):
    """Long short-term memory, the gates in PyTorch's order: input, forget, cell, output.

    With i, f, o the sigmoids and g the tanh of ``input_weight x + input_bias + hidden_weight h + hidden_bias``:
    c' = f c + i g, h' = o tanh(c'). S. Hochreiter, J. Schmidhuber, 1997; the forget gate: F. Gers, J. Schmidhuber, F.
    Cummins, 2000. Attributes and errors are those of :class:`RecurrentLayer`, with 4 gates.
    """

    gates: ClassVar[int] = 4
    kinds: ClassVar[tuple[str, ...]] = ("hidden", "cell")

    @property
    def products(self) -> tuple[Shape, ...]:
        """The shape of the one matrix: hidden states, inputs and a row of ones to all gates."""
        return ((4 * self.units, self.units + self.inputs + 1),)

    def start(self, rows: int) -> TileStates:
        """Return the states of so many rows before the first step: zeros."""
        return _LstmStates(self._weight, self.units, rows, self.dtype)

    @cached_property
    def _weight(self) -> Weights:
        """One matrix for doubled hidden states, inputs and ones, the gates in the order g, f, i, o."""
        bias = self.input_bias.astype(np.float64) + self.hidden_bias
        hidden = self.hidden_weight / 2
        whole = np.concatenate([hidden, self.input_weight, bias[:, np.newaxis]], axis=1, dtype=np.float64)
        i, f, g, o = np.split(whole, 4)
        return np.concatenate([g, f / 2, i / 2, o / 2]).astype(self.arithmetic)


class _LstmStates(TileStates):
    """An array of doubled hidden states, inputs and ones; and one of cell states and gates."""

    scale = 2.0

    def __init__(self, weight: Weights, units: int, rows: int, dtype: np.dtype[Any]) -> None:
        self.weight = weight
        self.columns = np.zeros((weight.shape[1], rows), dtype=weight.dtype)
        self.columns[-1] = 1
        self.inputs = self.columns[units:-1]
        array = np.zeros((5 * units, rows), dtype=dtype)
        self.gates, self.sigmoids = array[units:], array[2 * units :]
        self.sums = _beside(self.gates, weight.dtype)
        # c beside g, and f beside i: both products of a step are one.
        self.summed, self.factors = array[: 2 * units], array[2 * units : 4 * units]
        self.candidate, self.out = array[units : 2 * units], array[4 * units :]
        self.parts = (self.columns[:units], array[:units])
        self.of_cell = _beside(self.parts[0], dtype)

    def step(self) -> None:
        hidden, cell = self.parts
        np.dot(self.weight, self.columns, out=self.sums)
        _tanh(self.sums, self.gates)
        self.sigmoids += 1
        self.summed *= self.factors
        cell += self.candidate
        cell *= 0.5
        np.tanh(cell, out=self.of_cell)
        np.multiply(self.of_cell, self.out, out=hidden)


@dataclass(frozen=True, eq=False)
class GruLayer(RecurrentLayer):
    """Gated recurrent unit, the gates in PyTorch's order: reset, update, new.

    With W, U the rows of a gate in ``input_weight`` and ``hidden_weight``, a and b those of the biases:
    r, z = sigmoid(W x + a + U h + b), n = tanh(W x + a + r (U h + b)) or, without ``reset_after``,
    tanh(W x + a + U (r h) + b); h' = (1 - z) n + z h. K. Cho et al., 2014. Attributes and errors are those of
    :class:`RecurrentLayer`, with 3 gates.

    Attributes
    ----------
    reset_after : bool
        Whether the reset gate comes after the product: so in PyTorch, in Keras by default, and in ONNX with
        ``linear_before_reset=1``. Before it: in the paper, and in ONNX by default.
    """

    reset_after: bool = True
    gates: ClassVar[int] = 3
    kinds: ClassVar[tuple[str, ...]] = ("hidden",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.reset_after, bool):
            raise TypeError(f"reset_after must be True or False, got {self.reset_after!r}")

    @property
    def products(self) -> tuple[Shape, ...]:
        """The shapes of the matrices: to reset and update, then what makes up the new state."""
        units, inputs = self.units, self.inputs
        both = (2 * units, units + inputs + 1)
        new = ((units, inputs + 1), (units, units + 1)) if self.reset_after else ((units, inputs + 1 + units),)
        return (both, *new)

    def start(self, rows: int) -> TileStates:
        """Return the states of so many rows before the first step: zeros."""
        return (_GruAfter if self.reset_after else _GruBefore)(self._weights, rows, self.dtype)

    @cached_property
    def _weights(self) -> tuple[Weights, ...]:
        """The matrix of reset and update for hidden states, inputs and ones; then those of the new state.

        Of the new state, what is multiplied by twice the reset gate is halved.
        """
        r_and_z, new = slice(0, 2 * self.units), slice(2 * self.units, None)
        x, h = self.input_weight.astype(np.float64), self.hidden_weight.astype(np.float64)
        a, b = self.input_bias.astype(np.float64)[:, np.newaxis], self.hidden_bias.astype(np.float64)[:, np.newaxis]
        both = np.concatenate([h[r_and_z], x[r_and_z], (a + b)[r_and_z]], axis=1) / 2
        half = h[new] / 2
        if self.reset_after:
            parts = [np.concatenate([x[new], a[new]], axis=1), np.concatenate([b[new] / 2, half], axis=1)]
        else:
            parts = [np.concatenate([x[new], (a + b)[new], half], axis=1)]
        return tuple(np.ascontiguousarray(weight, dtype=self.arithmetic) for weight in (both, *parts))


class _GruStates(TileStates):
    """An array of ones, hidden states, inputs, ones again and hidden states after the reset; and one of the gates."""

    def __init__(self, weights: Sequence[Weights], rows: int, dtype: np.dtype[Any]) -> None:
        both = weights[0]
        units = len(both) // 2
        self.weights = weights
        array = np.zeros((1 + both.shape[1] + units, rows), dtype=both.dtype)
        array[0] = array[both.shape[1]] = 1
        self.hidden = array[1 : 1 + units]
        self.parts = (self.hidden,)
        self.inputs, self.reset = array[1 + units : -1 - units], array[-units:]
        self.columns, self.before, self.after = array[1:-units], array[: 1 + units], array[1 + units :]
        self.gates = np.empty((4 * units, rows), dtype=dtype)
        self.r, self.z, self.new, self.other = np.split(self.gates, 4)
        self.sums = _beside(self.gates, both.dtype)
        _, _, self.new_sum, self.other_sum = np.split(self.sums, 4)

    @abstractmethod
    def renew(self) -> None:
        """Write the sums of the new state; reset and update are there, both twice as large."""

    def step(self) -> None:
        hidden, new, other = self.hidden, self.new, self.other
        both = slice(0, 2 * len(hidden))
        gates, sums = self.gates[both], self.sums[both]
        np.dot(self.weights[0], self.columns, out=sums)
        _tanh(sums, gates)
        gates += 1
        self.renew()
        _tanh(self.new_sum, new)
        np.subtract(hidden, new, out=other, dtype=other.dtype, casting="same_kind")
        other *= self.z
        other *= 0.5
        np.add(new, other, out=hidden)


class _GruAfter(_GruStates):
    """The reset gate after the product."""

    def renew(self) -> None:
        _, inputs, hidden = self.weights
        np.dot(inputs, self.after[: -len(hidden)], out=self.new_sum)
        np.dot(hidden, self.before, out=self.other_sum)
        self.other_sum *= self.r
        self.new_sum += self.other_sum


class _GruBefore(_GruStates):
    """The reset gate before the product."""

    def renew(self) -> None:
        _, weight = self.weights
        np.multiply(self.r, self.hidden, out=self.reset)
        np.dot(weight, self.after, out=self.new_sum)
