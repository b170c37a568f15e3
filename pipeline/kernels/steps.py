"""Functions of single columns that come before a coefficient, as steps that change a tile in place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.kernels import portable
from pipeline.kernels.tiles import Floats

if TYPE_CHECKING:
    from pipeline.choices import Precision

StepFunction = Literal["log", "log1p", "sqrt", "square"]
STEP_FUNCTIONS: tuple[StepFunction, ...] = get_args(StepFunction)

# The portable logarithm takes numbers up to 2^969: larger ones are divided by 2^100 first.
_LARGE, _SHIFT, _LN2 = 2.0**960, 100, math.log(2)

# Changes a contiguous tile of float64 in place.
TileStep = Callable[[Floats], object]


@dataclass(frozen=True, slots=True)
class Clip:
    """Values below ``low`` become ``low``, values above ``high`` become ``high``; NaN stays."""

    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, slots=True)
class Affine:
    """``(value - center) / scale``: the difference is rounded, then the quotient."""

    center: float
    scale: float


Step = StepFunction | Clip | Affine


def tile_steps(steps: Sequence[Step], precision: Precision) -> tuple[TileStep, ...]:
    """Return the functions that carry out some steps.

    ``log`` and ``log1p`` are those of numpy, with ``reproducible`` those that have the same bits on every CPU (within
    2 units in the last place). Square root, square and the others are rounded once for each operation. The logarithm of
    0 is minus infinity and that of a negative number NaN, without a warning if the caller holds
    ``np.errstate(all="ignore")``.
    """
    functions = _PORTABLE if precision == "reproducible" else _NUMPY
    return tuple(action for step in steps for action in _actions(step, functions))


def stepped(steps: Sequence[Step], value: float) -> float:
    """Return what some steps make of one number, as ``fast`` scoring does; it may be infinite or NaN."""
    tile = np.array([value], dtype=np.float64)
    with np.errstate(all="ignore"):
        for change in tile_steps(steps, "fast"):
            change(tile)
    return float(tile[0])


def _actions(step: Step, functions: Mapping[StepFunction, TileStep]) -> Sequence[TileStep]:
    if isinstance(step, Clip):
        return [partial(_clip, step)]
    if isinstance(step, Affine):
        center = [] if step.center == 0 else [partial(_subtract, step.center)]
        return [*center, *([] if step.scale == 1 else [partial(_divide, step.scale)])]
    return [functions[step]]


def _portable_log(tile: Floats) -> None:
    is_large = tile > _LARGE
    tile[is_large] *= 2.0**-_SHIFT
    portable.log(tile, tile)
    tile[is_large] += _SHIFT * _LN2


def _portable_log1p(tile: Floats) -> None:
    is_inside = np.abs(tile) <= 0.5
    inside = np.where(is_inside, tile, 0.0)
    portable.log1p(inside, inside)
    shifted = np.add(tile, 1.0)
    # What rounding 1 + x left out, divided by it, is missing in the logarithm.
    missing = np.subtract(tile, np.subtract(shifted, 1.0))
    np.divide(missing, shifted, out=missing)
    missing[~np.isfinite(missing)] = 0.0
    np.copyto(tile, shifted)
    _portable_log(tile)
    np.add(tile, missing, out=tile)
    np.copyto(tile, inside, where=is_inside)


def _sqrt(tile: Floats) -> None:
    np.sqrt(tile, out=tile)


def _square(tile: Floats) -> None:
    np.multiply(tile, tile, out=tile)


def _clip(step: Clip, tile: Floats) -> None:
    # Minimum and maximum keep NaN.
    if step.low > -np.inf:
        np.maximum(tile, step.low, out=tile)
    if step.high < np.inf:
        np.minimum(tile, step.high, out=tile)


def _subtract(center: float, tile: Floats) -> None:
    np.subtract(tile, center, out=tile)


def _divide(scale: float, tile: Floats) -> None:
    np.divide(tile, scale, out=tile)


_EXACT: Mapping[StepFunction, TileStep] = {"sqrt": _sqrt, "square": _square}
_NUMPY: Mapping[StepFunction, TileStep] = {
    "log": lambda tile: np.log(tile, out=tile),
    "log1p": lambda tile: np.log1p(tile, out=tile),
    **_EXACT,
}
_PORTABLE: Mapping[StepFunction, TileStep] = {"log": _portable_log, "log1p": _portable_log1p, **_EXACT}
