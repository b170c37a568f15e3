"""Forms of the sigmoid compared with its exact value, range by range.

The exact value is computed in decimal arithmetic of 50 digits with a correctly rounded exponential (``decimal`` of the
standard library): its error is some 1e-33 of a unit in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass

Array = npt.NDArray[Any]

# Below -745.2 the sigmoid is less than half of the smallest number; below -708.4 it is subnormal.
RANGES = ((-745.1, -708.4), (-708.4, -500.0), (-500.0, -37.0), (-37.0, 0.0), (0.0, 37.0), (37.0, 750.0))
POINTS = 1_000
_DIGITS = 50
_SEED = 20


@dataclass(frozen=True, slots=True)
class RangeErrors:
    """The worst error of each form between two x, in units in the last place of the exact value."""

    low: float
    high: float
    errors: Mapping[str, float]


def sigmoid_errors(forms: Mapping[str, Callable[[Array], Array]], points: int = POINTS) -> tuple[RangeErrors, ...]:
    """Return the worst errors of forms of the sigmoid in float64, for each of ``RANGES``.

    Parameters
    ----------
    forms : mapping of str to callable
    points : int
        Points in each range: half of them evenly spaced with both ends, the others random, the same every time.
    """
    return tuple(_between(low, high, forms, points) for low, high in RANGES)


def exact_sigmoid(x: float) -> Decimal:
    """Return the sigmoid to 50 digits."""
    with localcontext() as context:
        context.prec = _DIGITS
        return 1 / (1 + (-Decimal(x)).exp())


def units(value: float, exact: Decimal) -> float:
    """Return how far a value is from an exact one that is more than 0, in units in the last place of the exact one."""
    if not math.isfinite(value):
        return math.inf
    nearest = float(exact)
    # Below a power of two the units are half as large as above it.
    below = nearest if Decimal(nearest) <= exact else math.nextafter(nearest, 0)
    with localcontext() as context:
        context.prec = 800
        return float(abs(Decimal(value) - exact) / Decimal(math.ulp(below)))


def _between(low: float, high: float, forms: Mapping[str, Callable[[Array], Array]], points: int) -> RangeErrors:
    random = np.random.default_rng(_SEED)
    x = np.concatenate([np.linspace(low, high, points - points // 2), random.uniform(low, high, points // 2)])
    exact = [exact_sigmoid(each) for each in x.tolist()]
    return RangeErrors(low, high, {name: _worst(form, x, exact) for name, form in forms.items()})


def _worst(form: Callable[[Array], Array], x: Array, exact: Sequence[Decimal]) -> float:
    with np.errstate(all="ignore"):
        values = form(x)
    return max(units(value, true) for value, true in zip(values.tolist(), exact, strict=True))
