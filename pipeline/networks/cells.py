"""The public cells of recurrent networks: one step at a time."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.kernels.layers import GruLayer, LstmLayer, RecurrentLayer, Seed
from pipeline.networks.blocks import RowFunction
from pipeline.networks.weights import copied, gate_weights, weight_type

Given = npt.NDArray[Any]


class LSTMCell:
    """A cell of long short-term memory with random weights: ``forward(x, h, c)`` returns the next ``h`` and ``c``.

        >>> cell = LSTMCell(8, 32, seed=1)
        >>> h, c = cell.forward(np.zeros((4, 8)))
        >>> h.shape
        (4, 32)

    With i, f, o the sigmoids of the input, forget and output gate, and g the tanh of the candidate: c' = f c + i g, and
    h' = o tanh(c').

    Parameters
    ----------
    inputs, units : int
        The columns of ``x``, and of ``h`` and ``c``.
    seed : int or tuple of int
        Equal seeds give equal weights: each gate as Glorot and Bengio, biases 0, but 1 for the forget gate, so that a
        new cell remembers (R. Jozefowicz, W. Zaremba, I. Sutskever, 2015).
    dtype : {"float64", "float32"}
        Of the weights, the arithmetic and the results.

    Attributes
    ----------
    layer : LstmLayer
        Its weights, which cannot be changed.

    Raises
    ------
    TypeError, ValueError
        A size or a seed is not allowed.
    """

    layer: LstmLayer

    def __init__(self, inputs: int, units: int, *, seed: Seed = 0, dtype: npt.DTypeLike = "float64") -> None:
        made = weight_type(dtype)
        of_inputs, of_states = gate_weights(LstmLayer.gates, inputs, units, seed)
        bias = np.zeros(len(of_inputs), dtype=made)
        start = bias.copy()
        start[units : 2 * units] = 1
        self.layer = LstmLayer(of_inputs.astype(made), of_states.astype(made), start, bias)

    @classmethod
    def from_weights(cls, input_weight: Given, hidden_weight: Given, input_bias: Given, hidden_bias: Given) -> Self:
        """Return a cell with given weights, in the order and the shapes of PyTorch's ``LSTMCell``.

        The gates are one below the other: input, forget, cell, output. The weights are all float32 or all float64, and
        finite. They are copied.

        Parameters
        ----------
        input_weight : ndarray, shape (4 * units, inputs)
        hidden_weight : ndarray, shape (4 * units, units)
        input_bias, hidden_bias : ndarray, shape (4 * units,)

        Raises
        ------
        TypeError, ValueError
            Weights are not allowed; the message names them.
        """
        made = cls.__new__(cls)
        made.layer = LstmLayer(*copied(input_weight, hidden_weight, input_bias, hidden_bias))
        return made

    def forward(self, x: Any, h: Any = None, c: Any = None) -> tuple[Any, Any]:
        """Return the hidden state and the cell state behind one step, each of shape (rows, units).

        The bits of a row do not depend on the others, nor on how rows are cut. NaN and infinity are values.

        Parameters
        ----------
        x : array, shape (rows, inputs)
            Numbers. Where one of the three is a Dask array, so are both results, with its blocks of rows. A NumPy array
            of shape (inputs,) is one row; then all have one axis.
        h, c : array, shape (rows, units), optional
            The states before the step; zeros by default.

        Raises
        ------
        TypeError
            An array holds no numbers.
        ValueError
            Shapes do not fit, or the columns of a Dask array are in several blocks.
        """
        hidden, cell = _function(self.layer, ("h", "c")).apply(x, h, c)
        return hidden, cell

    def __repr__(self) -> str:
        return f"LSTMCell({self.layer.inputs}, {self.layer.units}, dtype='{self.layer.dtype}')"


class GRUCell:
    """A gated recurrent unit with random weights: ``forward(x, h)`` returns the next ``h``.

        >>> cell = GRUCell(8, 32, seed=1)
        >>> cell.forward(np.zeros((4, 8))).shape
        (4, 32)

    With r and z the sigmoids of the reset and the update gate, and n the tanh of the candidate, in which r reduces the
    part of h: h' = (1 - z) n + z h.

    Parameters
    ----------
    inputs, units : int
        The columns of ``x`` and of ``h``.
    reset_after : bool
        Whether r comes after the product with the weights of h: so in PyTorch, and in Keras by default. Before it: in
        the paper (K. Cho et al., 2014), and in ONNX by default.
    seed : int or tuple of int
        Equal seeds give equal weights: each gate as Glorot and Bengio, biases 0.
    dtype : {"float64", "float32"}
        Of the weights, the arithmetic and the results.

    Attributes
    ----------
    layer : GruLayer
        Its weights, which cannot be changed.

    Raises
    ------
    TypeError, ValueError
        A size or a seed is not allowed.
    """

    layer: GruLayer

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        reset_after: bool = True,
        seed: Seed = 0,
        dtype: npt.DTypeLike = "float64",
    ) -> None:
        made = weight_type(dtype)
        of_inputs, of_states = gate_weights(GruLayer.gates, inputs, units, seed)
        bias = np.zeros(len(of_inputs), dtype=made)
        self.layer = GruLayer(of_inputs.astype(made), of_states.astype(made), bias, bias, reset_after=reset_after)

    @classmethod
    def from_weights(
        cls,
        input_weight: Given,
        hidden_weight: Given,
        input_bias: Given,
        hidden_bias: Given,
        *,
        reset_after: bool = True,
    ) -> Self:
        """Return a cell with given weights, in the order and the shapes of PyTorch's ``GRUCell``.

        The gates are one below the other: reset, update, new. The weights are all float32 or all float64, and finite.
        They are copied.

        Parameters
        ----------
        input_weight : ndarray, shape (3 * units, inputs)
        hidden_weight : ndarray, shape (3 * units, units)
        input_bias, hidden_bias : ndarray, shape (3 * units,)
        reset_after : bool

        Raises
        ------
        TypeError, ValueError
            Weights are not allowed; the message names them.
        """
        made = cls.__new__(cls)
        x_weight, h_weight, x_bias, h_bias = copied(input_weight, hidden_weight, input_bias, hidden_bias)
        made.layer = GruLayer(x_weight, h_weight, x_bias, h_bias, reset_after=reset_after)
        return made

    def forward(self, x: Any, h: Any = None) -> Any:
        """Return the hidden state behind one step, shape (rows, units).

        The bits of a row do not depend on the others, nor on how rows are cut. NaN and infinity are values.

        Parameters
        ----------
        x : array, shape (rows, inputs)
            Numbers. Where one of the two is a Dask array, so is the result, with its blocks of rows. A NumPy array of
            shape (inputs,) is one row; then all have one axis.
        h : array, shape (rows, units), optional
            The state before the step; zeros by default.

        Raises
        ------
        TypeError
            An array holds no numbers.
        ValueError
            Shapes do not fit, or the columns of a Dask array are in several blocks.
        """
        return _function(self.layer, ("h",)).apply(x, h)[0]

    def __repr__(self) -> str:
        layer = self.layer
        return f"GRUCell({layer.inputs}, {layer.units}, reset_after={layer.reset_after}, dtype='{layer.dtype}')"


def _function(layer: RecurrentLayer, states: tuple[str, ...]) -> RowFunction:
    widths = {"x": layer.inputs, **dict.fromkeys(states, layer.units)}
    return RowFunction(layer.step, widths, len(states), layer.units, layer.dtype)
