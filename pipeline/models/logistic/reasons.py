"""Reasons: the features that lower, or raise, the raw prediction of a row most against a reference.

The effect of a feature is its contribution minus its contribution at the reference. The features with the largest
effects are found without sorting: each effect becomes 32 bits whose order is that of the effects, with the place of
the feature in the last bits, and minima and maxima keep the best. Rows in which that is too coarse are ranked exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.models.logistic.bands import code_type
from pipeline.models.logistic.sections import Name, Section

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]
Direction = Literal["lower", "raise"]

_SIGN = 0x8000_0000
_ALL = 0xFFFF_FFFF


class Reference(Section):
    """What a feature is compared with: its contribution at a value or at a level, or a contribution."""

    value: float | None = None
    level: str | None = None
    contribution: float | None = None


class Reason(Section):
    """What is said of a feature: its code and its text; its mean contribution, and its own reference."""

    code: Name | None = None
    text: Name | None = None
    mean: float | None = None
    reference: Reference | None = None


class Reasons(Section):
    """Which features are named as reasons, and how.

    A feature is compared with its own ``reference``, else with that of the model: ``zero`` (a contribution of 0),
    ``mean`` (the ``mean`` of each feature) or ``best`` (the largest contribution that it can have where features that
    lower are named, else the smallest).
    """

    count: Annotated[int, Field(gt=0)] = 3
    direction: Direction = "lower"
    reference: Literal["zero", "mean", "best"] = "zero"
    features: dict[str, Reason] = Field(default_factory=dict)

    def codes(self, names: Iterable[str]) -> list[str]:
        """Return the code of each feature: the one given, else its name."""
        return [self._of(name).code or name for name in names]

    def texts(self, names: Iterable[str]) -> list[str | None]:
        """Return the text of each feature."""
        return [self._of(name).text for name in names]

    @property
    def has_texts(self) -> bool:
        """Whether any feature has a text."""
        return any(reason.text is not None for reason in self.features.values())

    def _of(self, name: str) -> Reason:
        return self.features.get(name, _NOTHING)


_NOTHING = Reason()


class Ranking:
    """Finds the reasons of rows, tile by tile. For one thread.

    Holds ``features + count + 2`` arrays of 4 bytes a row of a tile.

    Parameters
    ----------
    count : int
        How many reasons a row has at most.
    direction : {"lower", "raise"}
    references : ndarray of float64, shape (features,)
        The contribution of each feature at its reference.
    rows : int
        The rows of a tile at most.
    """

    def __init__(self, count: int, direction: Direction, references: Floats, rows: int) -> None:
        features = references.size
        self._count, self._direction, self._references = count, direction, references
        index = (1 << (features - 1).bit_length()) - 1
        self._index = np.uint32(index)
        self._digits = np.uint32(_ALL ^ index)
        self._places = (index - np.arange(features)).astype(np.uint32)[:, None]
        self._effects = np.empty((features, rows), dtype=np.float32)
        self._best = np.empty((count + 1, rows), dtype=np.uint32)
        self._other = np.empty(rows, dtype=np.uint32)

    def find(self, contributions: Floats) -> Codes:
        """Return the features of each row as :func:`rank` does.

        Parameters
        ----------
        contributions : ndarray of float64, shape (features, rows of the tile)
        """
        with np.errstate(all="ignore"):
            codes, unclear = self._read(self._keep(self._keys(contributions)))
        if unclear.size:
            codes[:, unclear] = rank(contributions[:, unclear], self._references, self._count, self._direction)
        return codes

    def _keys(self, contributions: Floats) -> npt.NDArray[np.uint32]:
        """Return unsigned integers that are the larger, the more a feature lowers, or raises: ``_SIGN`` and above."""
        effects, references = self._effects[:, : contributions.shape[1]], self._references[:, None]
        # Where a contribution is its reference the effect is +0, never -0: it has no sign.
        if self._direction == "lower":
            np.add(contributions, 0.0 - references, out=effects, casting="same_kind")
        else:
            np.subtract(references, contributions, out=effects, casting="same_kind")
        # As unsigned integers negative floats are above all others, and grow with their magnitude.
        keys = effects.view(np.uint32)
        np.bitwise_and(keys, self._digits, out=keys)
        return np.bitwise_or(keys, self._places, out=keys)

    def _keep(self, keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Return the largest keys of each row in descending order, one more than there are reasons."""
        best = self._best[:, : keys.shape[1]]
        best.fill(0)
        last = best[self._count]
        for feature, added in enumerate(keys):
            key, other = added, self._other[: added.size]
            for held in best[: min(self._count, feature + 1)]:
                np.minimum(held, key, out=other)
                np.maximum(held, key, out=held)
                key, other = other, key
            np.maximum(last, key, out=last)
        return best

    def _read(self, best: npt.NDArray[np.uint32]) -> tuple[Codes, Rows]:
        """Return the features of the keys, and the rows in which a key does not tell enough."""
        found, last = best[:-1], best[-2]
        # Two features with the same digits, or one whose digits are all 0.
        close = (found ^ best[1:]) <= self._index
        close[-1] |= last - _SIGN <= self._index
        codes = np.invert(found)
        np.bitwise_and(codes, self._index, out=codes)
        codes = codes.astype(code_type(self._references.size))
        if last.min() < _SIGN:
            is_none = found < _SIGN
            close &= ~is_none
            # The smallest key that is one may have digits that are all 0, too.
            close |= found - _SIGN <= self._index
            codes[is_none] = -1
        return codes, np.flatnonzero(close.any(axis=0))


def rank(contributions: Floats, references: Floats, count: int, direction: Direction) -> Codes:
    """Return the features whose effects are largest, in their order; those with the same effect in that of the file.

    Parameters
    ----------
    contributions : ndarray of float64, shape (features, rows)
    references : ndarray of float64, shape (features,)
    count : int
        How many reasons a row has at most.
    direction : {"lower", "raise"}

    Returns
    -------
    ndarray of signed integers, shape (count, rows)
        Positions of features, -1 where no more features lower (or raise) the raw prediction. Arbitrary where
        contributions are NaN.
    """
    effects = contributions - references[:, None]
    if direction == "raise":
        np.negative(effects, out=effects)
    order = np.argsort(effects, axis=0, kind="stable")[:count]
    found = np.full((count, contributions.shape[1]), -1, dtype=code_type(len(contributions)))
    found[: len(order)] = np.where(np.take_along_axis(effects, order, axis=0) < 0, order, -1)
    return found
