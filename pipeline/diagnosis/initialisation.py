"""The error signal in stacks of random layers: how much of it reaches the layer next to the input."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from pipeline import memory
from pipeline.choices import INITIALISATION, Choice, Initialisation
from pipeline.dataclass import dataclass
from pipeline.diagnosis.findings import NORMAL_DEVIATION, InitialisationReport, LayerSignal, StackSignal
from pipeline.diagnosis.signals import (
    SATURATED_SHARE,
    Floats,
    backward,
    forward,
    largest_slope,
    output_signal,
    row_norms,
)
from pipeline.diagnosis.wording import advice, sentence
from pipeline.errors import MemoryBudgetError, UsageError
from pipeline.kernels.layers import DenseLayer
from pipeline.kernels.layers.initial import default_gain, generator, glorot, he, normal
from pipeline.logs import log_notes
from pipeline.options import DiagnoseOptions, check_names, completed, documented
from pipeline.registry import LAYER_FUNCTIONS
from pipeline.units import escape, format_bytes, format_count, format_seconds

ROWS = 100
_FUNCTION = Choice("function", LAYER_FUNCTIONS)
_LEAST = {"width": 1, "depth": 2, "seeds": 1}
# With much larger ones the weights themselves would not fit float64.
_LARGEST_GAIN = 1e100
# Beside the weights, values and slopes that are kept: the weights being drawn, and some arrays of values.
_WORKING = 4
_NUMBER_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How the weights of a stack are drawn; ``draw(width, width, seed=...)`` gives those of a layer."""

    initialisation: Initialisation
    gain: float | None
    label: str
    draw: Callable[..., Floats]


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the seeds gave, each of shape (seeds, layers): norms of dL/dz, saturated shares, mean activations."""

    norms: Floats
    saturated: Floats
    means: Floats


@documented(DiagnoseOptions)
def diagnose_initialisation(**options: Unpack[DiagnoseOptions]) -> InitialisationReport:
    """Return how much of the error signal reaches the first of several random layers, and what helps.

    The layers are fully connected, have no biases, and as many inputs as units. For each seed 100 rows of inputs, the
    weights, and the error dL/da at the output are drawn, inputs and errors from the standard normal distribution. The
    error is propagated back, and the norm of dL/dz is averaged over the rows in each layer. The same options give the
    same numbers, up to the rounding of products.

    Parameters
    ----------
    **options : DiagnoseOptions

    Raises
    ------
    TypeError
        There is no such option, or it is of another type.
    UsageError
        An option cannot have that value, or ``gain`` is given for ``normal``, which has none.
    MemoryBudgetError
        The weights take more memory than is free.
    """
    started = time.monotonic()
    check_names(options, DiagnoseOptions)
    asked: dict[str, Any] = dict(completed(options))
    _check(asked)
    width, depth, seeds, function = asked["width"], asked["depth"], asked["seeds"], asked["function"]
    _check_memory(width, depth)
    largest = largest_slope(function)
    recipes = _recipes(function, asked["initialisation"], asked["gain"])
    size = f"{format_count(depth)} layers of {format_count(width)} units, {format_count(seeds)} times"
    log_notes("diagnose", [f"planned a diagnosis of {', '.join(recipe.label for recipe in recipes)}: {size}"])
    stacks = [_stack(recipe, _measured(recipe, width, depth, seeds, function, largest)) for recipe in recipes]
    log_notes("diagnose", [f"measured {size}, in {format_seconds(time.monotonic() - started)}"])
    return InitialisationReport(
        width=width,
        depth=depth,
        seeds=seeds,
        rows=ROWS,
        function=function,
        largest_slope=largest,
        stacks=tuple(stacks),
        sentences=tuple(map(sentence, stacks)),
        advice=advice(stacks, function, width),
    )


def _check(asked: dict[str, Any]) -> None:
    for name, least in _LEAST.items():
        value = asked[name]
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"{name} is the {type(value).__name__} {escape(repr(value))}; write a whole number")
        if value < least:
            raise UsageError(f"{name} is {value}: it must be at least {least}")
        asked[name] = int(value)
    _FUNCTION.check(asked["function"])
    if asked["initialisation"] is not None:
        INITIALISATION.check(asked["initialisation"])
    if asked["gain"] is not None:
        asked["gain"] = _checked_gain(asked["gain"], asked["initialisation"])


def _checked_gain(gain: Any, initialisation: Initialisation | None) -> float:
    if isinstance(gain, bool) or not isinstance(gain, int | float | np.number):
        raise TypeError(f"gain is the {type(gain).__name__} {escape(repr(gain))}; write a number, such as gain=4")
    if not 0 < gain <= _LARGEST_GAIN:
        raise UsageError(f"gain is {gain}: it must be above 0, and at most {_LARGEST_GAIN:g}")
    if initialisation == "normal":
        raise UsageError(
            f"normal weights have no gain: their deviation is {NORMAL_DEVIATION}",
            "choose glorot or he, or leave the gain out",
        )
    return float(gain)


def _check_memory(width: int, depth: int) -> None:
    needed = _NUMBER_BYTES * (depth + _WORKING) * width * (width + 2 * ROWS)
    free = memory.available_bytes()
    if needed > free:
        raise MemoryBudgetError(
            f"{depth:,} layers of {width:,} units need {format_bytes(needed)}, and {format_bytes(free)} are free",
            "choose a smaller width or depth",
        )


def _recipes(function: str, initialisation: Initialisation | None, gain: float | None) -> list[_Recipe]:
    """Return the initialisation that is asked for, or those to compare, each once."""
    suited = default_gain(function) if gain is None else gain
    if initialisation is None:
        gains = dict.fromkeys((1.0, suited))
        return [_normal(), *(_with_gain("glorot", each) for each in gains)]
    if initialisation == "normal":
        return [_normal()]
    # He's formula has a factor of sqrt(2) that Glorot's leaves to the gain.
    of_he = initialisation == "he" and gain is None
    return [_with_gain(initialisation, suited / math.sqrt(2) if of_he else suited)]


def _normal() -> _Recipe:
    label = f"normal with deviation {NORMAL_DEVIATION}"
    return _Recipe("normal", None, label, partial(normal, deviation=NORMAL_DEVIATION))


def _with_gain(initialisation: Initialisation, gain: float) -> _Recipe:
    drawn = partial(he if initialisation == "he" else glorot, gain=gain)
    return _Recipe(initialisation, gain, f"{initialisation} with gain {gain:.4g}", drawn)


def _measured(recipe: _Recipe, width: int, depth: int, seeds: int, function: str, largest: float) -> _Measured:
    found = _Measured(*(np.empty((seeds, depth)) for _ in range(3)))
    # A signal that explodes beyond float64 is found, not warned of.
    with np.errstate(all="ignore"):
        for seed in range(seeds):
            # Each layer has a seed of its own; inputs and errors have 0.
            drawn = generator((seed, 0))
            x, error = drawn.standard_normal((ROWS, width)), drawn.standard_normal((ROWS, width))
            layers = [
                DenseLayer(recipe.draw(width, width, seed=(seed, layer)), np.zeros(width), function)
                for layer in range(1, depth + 1)
            ]
            passes = list(forward(layers, x))
            for place, done in enumerate(passes):
                found.means[seed, place] = done.values.mean()
                found.saturated[seed, place] = np.mean(np.abs(done.slopes) < SATURATED_SHARE * largest)
            for back, signal in enumerate(backward(layers, passes, output_signal(layers, passes, error)), start=1):
                found.norms[seed, -back] = np.mean(row_norms(signal))
    # What overflowed is infinite, whether or not 0 times infinity made NaN of it.
    found.norms[~np.isfinite(found.norms)] = np.inf
    return found


def _stack(recipe: _Recipe, found: _Measured) -> StackSignal:
    first, last = found.norms[:, 0], found.norms[:, -1]
    # Where every unit of the last layer is dead, nothing goes back; where the first layer overflows, it explodes.
    ratios = np.divide(first, last, out=np.where(np.isfinite(first), 0.0, np.inf), where=(last > 0) & np.isfinite(last))
    columns = (_median(found.norms), found.norms.min(axis=0), found.norms.max(axis=0))
    shares = (np.median(found.saturated, axis=0), _median(found.means))
    return StackSignal(
        initialisation=recipe.initialisation,
        gain=recipe.gain,
        label=recipe.label,
        ratio=float(np.median(ratios)),
        lowest=float(ratios.min()),
        highest=float(ratios.max()),
        saturated=float(np.median(found.saturated.mean(axis=1))),
        layers=tuple(
            LayerSignal(number, *map(float, row))
            for number, row in enumerate(zip(*columns, *shares, strict=True), start=1)
        ),
    )


def _median(values: npt.NDArray[np.float64]) -> Floats:
    """Return the medians of columns; of two infinities it is infinity."""
    with np.errstate(invalid="ignore"):
        return np.median(values, axis=0)
