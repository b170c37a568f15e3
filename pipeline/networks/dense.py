"""The public dense layer."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.choices import INITIALISATION, Initialisation
from pipeline.kernels.layers import DenseLayer, Seed, default_gain, glorot, he, normal
from pipeline.networks.blocks import RowFunction
from pipeline.networks.weights import copied, weight_type


class Dense:
    """A dense layer with random weights: ``forward(x)`` returns function(weight x + bias) for each row.

        >>> layer = Dense(10, 3, "sigmoid", seed=1)
        >>> layer.forward(np.zeros((4, 10))).shape
        (4, 3)

    Parameters
    ----------
    inputs, units : int
        The columns that it takes and gives.
    function : str or None
        A function of :mod:`pipeline.registry`; ``None`` leaves the sum as it is.
    initialisation : {"glorot", "he", "normal"}
        Uniform with the variance gain^2 * 2 / (inputs + units) (Glorot and Bengio, also called Xavier); normal with
        gain^2 * 2 / inputs (He); normal with the deviation 0.5. Biases are 0.
    gain : float, optional
        For ``glorot`` it is that of the function, 4 for the sigmoid, so that the error signal keeps its size; for
        ``he`` it is 1. ``normal`` has none.
    seed : int or tuple of int
        Equal seeds give equal weights: layers of one network need different ones, such as ``(seed, layer)``.
    dtype : {"float64", "float32"}
        Of the weights, the arithmetic and the results.
    **parameters : float
        The parameters of the function.

    Attributes
    ----------
    layer : DenseLayer
        Its weights, which cannot be changed.

    Raises
    ------
    TypeError, ValueError
        A size, a gain, a seed or a parameter is not allowed.
    LookupError
        There is no such function.
    UsageError
        There is no such initialisation.
    """

    layer: DenseLayer

    def __init__(
        self,
        inputs: int,
        units: int,
        function: str | None = "sigmoid",
        *,
        initialisation: Initialisation = "glorot",
        gain: float | None = None,
        seed: Seed = 0,
        dtype: npt.DTypeLike = "float64",
        **parameters: float,
    ) -> None:
        made = weight_type(dtype)
        if INITIALISATION.check(initialisation) == "normal":
            if gain is not None:
                raise ValueError("normal has no gain: its deviation is 0.5")
            weight = normal(inputs, units, seed=seed)
        else:
            own = default_gain(function, **parameters) if function and initialisation == "glorot" else 1.0
            draw = glorot if initialisation == "glorot" else he
            weight = draw(inputs, units, gain=own if gain is None else gain, seed=seed)
        self.layer = DenseLayer(weight.astype(made), np.zeros(units, dtype=made), function, parameters)

    @classmethod
    def from_weights(
        cls,
        weight: npt.NDArray[Any],
        bias: npt.NDArray[Any],
        function: str | None = "sigmoid",
        **parameters: float,
    ) -> Self:
        """Return a layer with given weights: ``weight`` of shape (units, inputs), ``bias`` of shape (units,).

        Both float32 or both float64, and finite. They are copied.

        Raises
        ------
        TypeError, ValueError
            Weights or parameters are not allowed; the message names them.
        LookupError
            There is no such function.
        """
        made = cls.__new__(cls)
        own_weight, own_bias = copied(weight, bias)
        made.layer = DenseLayer(own_weight, own_bias, function, parameters)
        return made

    def forward(self, x: Any) -> Any:
        """Return the values of the layer, shape (rows, units).

        The bits of a row do not depend on the others, nor on how rows are cut. NaN and infinity are values.

        Parameters
        ----------
        x : array, shape (rows, inputs)
            Numbers; a Dask array gives a Dask array with the same blocks of rows. A NumPy array of shape (inputs,) is
            one row and gives the shape (units,).

        Raises
        ------
        TypeError
            It holds no numbers.
        ValueError
            It has another shape, or the columns of a Dask array are in several blocks.
        """
        layer = self.layer
        function = RowFunction(partial(_values, layer), {"x": layer.inputs}, 1, layer.units, layer.dtype)
        return function.apply(x)[0]

    def __repr__(self) -> str:
        return f"Dense({self.layer.inputs}, {self.layer.units}, {self.layer.function!r}, dtype='{self.layer.dtype}')"


def _values(layer: DenseLayer, tile: npt.NDArray[Any]) -> tuple[npt.NDArray[Any]]:
    return (layer.outputs(tile),)
