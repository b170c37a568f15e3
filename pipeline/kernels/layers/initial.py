"""Initial weights of layers, drawn from Philox: the same numbers for the same seed.

A weight matrix has the shape (units, inputs), as in PyTorch. Layers of one network need different seeds; ``(seed,
layer)`` is one for each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.activations import gradient
from pipeline.kernels.layers.checks import check_sizes, is_integer, positive
from pipeline.registry import function_named

Seed = int | tuple[int, ...]

# Nearly linear on one side and nearly zero on the other: half of the units pass the error on.
_RECTIFIERS = frozenset({"relu", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh"})
# Where its argument is centred: the logit takes numbers from 0 to 1.
_CENTRES = {"logit": 0.5}


def glorot(inputs: int, units: int, *, gain: float = 1.0, seed: Seed = 0) -> npt.NDArray[np.float64]:
    """Return uniform weights of shape (units, inputs) with the standard deviation gain * sqrt(2 / (inputs + units)).

    With the gain of the layer's function (:func:`default_gain`), activations and error signals keep their size from
    layer to layer. X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks,
    2010, equation 16; also called Xavier initialisation.

    Raises
    ------
    TypeError
        A size is not an integer, the gain not a number, or the seed neither an integer nor a tuple of integers.
    ValueError
        A size is less than 1, the gain is not a finite number above 0, or the seed is negative.
    """
    shape, gain = _shape(inputs, units), positive("gain", gain)
    limit = gain * math.sqrt(6 / (inputs + units))
    return generator(seed).uniform(-limit, limit, shape)


def he(inputs: int, units: int, *, gain: float = 1.0, seed: Seed = 0) -> npt.NDArray[np.float64]:
    """Return normal weights of shape (units, inputs) with the standard deviation gain * sqrt(2 / inputs).

    The 2 makes up for the half that a relu cuts off, so that relu layers need no further gain. K. He, X. Zhang, S. Ren,
    J. Sun, Delving deep into rectifiers, 2015, equation 10. Raises as :func:`glorot`.
    """
    shape, gain = _shape(inputs, units), positive("gain", gain)
    return generator(seed).normal(0, gain * math.sqrt(2 / inputs), shape)


def normal(inputs: int, units: int, *, deviation: float = 0.5, seed: Seed = 0) -> npt.NDArray[np.float64]:
    """Return normal weights of shape (units, inputs) with a standard deviation that ignores the sizes.

    Raises as :func:`glorot`, for ``deviation`` in the place of the gain.
    """
    shape, deviation = _shape(inputs, units), positive("deviation", deviation)
    return generator(seed).normal(0, deviation, shape)


def default_gain(function: str, **parameters: float) -> float:
    """Return the gain of :func:`glorot` that keeps error signals at their size behind a function of the registry.

    One over the derivative at 0, so that a layer with small arguments multiplies the error by 1: 4 for ``sigmoid``, 1
    for ``tanh`` (Glorot and Bengio 2010), 6 for ``hard_sigmoid``. ``relu``, ``leaky_relu`` and the smooth functions of
    their form have sqrt(2 / (1 + alpha^2)), with the slope alpha of the other half (He et al. 2015); ``softmax`` has 1.

    Raises
    ------
    LookupError
        There is no such function.
    TypeError, ValueError
        A parameter is unknown or not allowed, or the function is flat at 0 with these parameters.
    """
    entry = function_named(function)
    arguments: dict[str, Any] = entry.arguments(parameters)
    if entry.several:
        return 1.0
    if function in _RECTIFIERS:
        slope = arguments["alpha"] if function == "leaky_relu" else 0.0
        return math.sqrt(2 / (1 + slope * slope))
    derivative = abs(float(gradient(function, _CENTRES.get(function, 0.0), **arguments)))
    if not derivative or not math.isfinite(gain := 1 / derivative):
        raise ValueError(f"{function} with these parameters is flat at 0, so that no gain keeps error signals")
    return gain


def generator(seed: Seed) -> np.random.Generator:
    """Return the generator of a seed.

    Raises
    ------
    TypeError
        It is neither an integer nor a tuple of integers.
    ValueError
        It is negative.
    """
    numbers = seed if isinstance(seed, tuple) else (seed,)
    if not all(is_integer(number) for number in numbers):
        raise TypeError(f"seed must be an integer or a tuple of integers, got {seed!r}")
    if min(numbers, default=0) < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(tuple(int(number) for number in numbers))))


def _shape(inputs: int, units: int) -> tuple[int, int]:
    check_sizes(inputs=inputs, units=units)
    return int(units), int(inputs)
