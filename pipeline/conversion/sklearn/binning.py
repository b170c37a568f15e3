"""Bins that scikit-learn makes behind other steps, in units of the column: edges found by bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.algebra import (
    Floats,
    Number,
    Signal,
    UnfoldableError,
    Value,
    bins,
    complete,
    constant,
    map_states,
    replay,
    states,
)
from pipeline.conversion.floats import least_floats
from pipeline.units import escape

Function = Callable[[Floats], Floats]
_GREATEST = np.finfo(np.float64).max


def discretize(signal: Signal, edges: Floats, values: Sequence[Sequence[float]], dtype: Any = None) -> list[Signal]:
    """Return signals with a number for each bin of what a signal is; ``edges`` are in its own units.

    A value is in bin i where i edges are at or below it. ``dtype`` is the type that scikit-learn rounds values to.
    Missing values are refused.
    """
    rounded: tuple[Function, ...] = (lambda found: found.astype(dtype),) if dtype is not None else ()

    def bin_of(found: Floats) -> npt.NDArray[np.intp]:
        return np.searchsorted(edges, replay(rounded, found), side="right")

    if states(signal):
        return [map_states(signal, partial(_in_bin, bin_of, own)) for own in values]
    if not signal.terms:
        place = int(bin_of(np.array([float(signal.constant)]))[0])
        return [constant(own[place]) for own in values]
    return _of_number(signal, edges, values, rounded)


def _in_bin(bin_of: Callable[[Floats], Any], values: Sequence[float], value: float | None) -> Value:
    return "refused" if value is None else values[int(bin_of(np.array([value]))[0])]


def binarize(signal: Signal, threshold: float) -> Signal:
    """Return 1 where a signal is above a threshold, else 0."""
    return discretize(signal, np.array([np.nextafter(threshold, np.inf)]), [[0.0, 1.0]])[0]


def _of_number(
    signal: Signal, edges: Floats, values: Sequence[Sequence[float]], rounded: tuple[Function, ...]
) -> list[Signal]:
    origin = signal.start or signal
    number = origin.number
    if number is None or number.steps or origin.scaled != (0.0, 1.0):
        names = ", ".join(f'"{escape(name)}"' for name in signal.columns[:3])
        raise UnfoldableError(f"it makes bins of what was computed of {names}", "make bins before PCA or products")
    path = (*signal.path, *rounded)
    least = _least_values(path, edges, number)
    # Edges that every value reaches, or none, have no bin below or above them.
    below = int(np.count_nonzero(least <= -_GREATEST))
    inner = np.unique(least[np.isfinite(least) & (least > -_GREATEST)])
    places = [below, *(int(np.count_nonzero(least <= edge)) for edge in inner)]
    missing = float(replay(path, [np.nan if number.fill is None else float(number.fill)])[0])
    place = None if np.isnan(missing) else int(np.searchsorted(edges, missing, side="right"))
    found: list[Value] = ["refused" if place is None else own[place] for own in values]
    made = bins(origin, inner.tolist(), [[own[each] for each in places] for own in values], found)
    guards = {atom for atom in signal.terms if isinstance(atom, Number) and atom.steps}
    return [complete(replace(each, guards=each.guards | signal.guards | guards)) for each in made]


def _least_values(path: Sequence[Function], edges: Floats, number: Number) -> Floats:
    """Return the least float64 whose value at the end of a path is at or above each edge; infinite if all or none are.

    A path does not decrease, but it rounds.
    """

    def reaches(values: Floats) -> npt.NDArray[np.bool_]:
        # A logarithm does not exist below 0: such values count as low.
        return np.asarray(np.nan_to_num(replay(path, values), nan=-np.inf) >= edges)

    ends = np.array([-_GREATEST, -1.0, 0.0, 1.0, _GREATEST])
    sampled = replay(path, ends)
    sampled = sampled[~np.isnan(sampled)]
    if np.any(np.diff(sampled) < 0):
        raise UnfoldableError(
            f'it makes bins of numbers that do not increase with column "{escape(number.column)}"',
            "make bins of the column as it is",
        )
    return least_floats(reaches, len(edges))
