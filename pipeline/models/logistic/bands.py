"""Bands: names for intervals of the probability or of the points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from pipeline.models.document import Problem
from pipeline.models.logistic.sections import Name, Section, miscounted, not_increasing
from pipeline.models.wording import show
from pipeline.units import escape

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]

# Each threshold is one comparison of all rows; with more than this a binary search is faster.
_COMPARED = 24


class Bands(Section):
    """The name of the interval in which a value is: ``names[i]`` where ``thresholds[i - 1] <= value < thresholds[i]``.

    The value is the probability before it is rounded to float32, or the points as they are written.
    """

    on: Literal["probability", "points"]
    thresholds: Annotated[tuple[float, ...], Strict(strict=False), Field(min_length=1)]
    names: Annotated[tuple[Name, ...], Strict(strict=False)]


def band_codes(values: Floats, thresholds: Sequence[float]) -> Codes:
    """Return the number of the band of each value, 0 for NaN.

    Parameters
    ----------
    values : ndarray of float64, shape (rows,)
    thresholds : sequence of float
        Increasing.

    Returns
    -------
    ndarray of int8, shape (rows,)
        int16 or int32 where there are more than 127 thresholds.
    """
    dtype = code_type(len(thresholds) + 1)
    if len(thresholds) > _COMPARED:
        found = np.searchsorted(np.array(thresholds), values, side="right").astype(dtype)
        found[np.isnan(values)] = 0
        return found
    codes = np.zeros(values.size, dtype=np.int8)
    reached = np.empty(values.size, dtype=np.bool_)
    for threshold in thresholds:
        np.greater_equal(values, threshold, out=reached)
        np.add(codes, reached.view(np.int8), out=codes)
    return codes


def code_type(names: int) -> np.dtype[Any]:
    """Return the smallest signed integers that number so many names from 0."""
    return np.min_scalar_type(-max(names, 1))


def faults(bands: object, *, has_points: bool) -> Iterator[Problem]:
    """Yield what does not fit together in bands as JSON with any content, with its path in them."""
    if not isinstance(bands, Mapping):
        return
    on, thresholds, names = bands.get("on"), bands.get("thresholds"), bands.get("names")
    if on == "points" and not has_points:
        yield Problem(("on",), 'is "points", but the model has none: add output.points')
    yield from not_increasing(thresholds, ("thresholds",))
    thresholds, names = (value if isinstance(value, list) else None for value in (thresholds, names))
    if on == "probability":
        for position, threshold in enumerate(thresholds or ()):
            if isinstance(threshold, int | float) and not 0 <= threshold <= 1:
                yield Problem(("thresholds", position), f"must be between 0 and 1, not {show(threshold)}")
    if thresholds is not None and names is not None and len(names) != len(thresholds) + 1:
        yield Problem(("names",), miscounted("name", names, thresholds, "bands"))
    first: dict[str, int] = {}
    for position, name in enumerate(names or ()):
        if isinstance(name, str) and first.setdefault(name, position) < position:
            yield Problem(("names", position), f'"{escape(name)}" is already the name of another band')
