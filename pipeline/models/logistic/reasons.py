"""Reasons: the features that lower, or raise, the raw prediction of a row most against a reference.

The effect of a feature is its contribution minus its contribution at the reference. The features with the largest
effects are found without sorting: each effect becomes 32 bits whose order is that of the effects, with the place of
the feature in the last bits, and minima and maxima keep the best. Rows in which that is too coarse are ranked exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.models.logistic.bands import code_type
from pipeline.models.logistic.sections import Name, Section

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]
Keys = npt.NDArray[np.uint32]
Direction = Literal["lower", "raise"]

_SIGN = 0x8000_0000
_ALL = 0xFFFF_FFFF
# The keys that are sorted together, and the exchanges that sort them, and those that sort merged ones.
_GROUP = 4
# Up to one row in so many is ranked by itself where it has fewer reasons than others.
_SHORT = 64
_SORT_FOUR = ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2))
_SORT_MERGED = ((0, 2), (1, 3), (0, 1), (2, 3))


class Reference(Section):
    """What a feature is compared with: its contribution at a value or at a level, or a contribution."""

    value: float | None = None
    level: str | None = None
    contribution: float | None = None


class FeatureReason(Section):
    """What is said of a feature: its code and its text; its mean contribution, and its own reference."""

    code: Name | None = None
    text: Name | None = None
    mean: float | None = None
    reference: Reference | None = None


class ReasonRules(Section):
    """Which features are named as reasons, and how.

    A feature is compared with its own ``reference``, else with that of the model: ``zero`` (a contribution of 0),
    ``mean`` (the ``mean`` of each feature) or ``best`` (the largest contribution that it can have where features that
    lower are named, else the smallest).
    """

    count: Annotated[int, Field(gt=0)] = 3
    direction: Direction = "lower"
    reference: Literal["zero", "mean", "best"] = "zero"
    features: dict[str, FeatureReason] = Field(default_factory=dict)

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

    def _of(self, name: str) -> FeatureReason:
        return self.features.get(name, _NOTHING)


_NOTHING = FeatureReason()


class Ranking:
    """Finds the reasons of rows, tile by tile. For one thread.

    Holds a quarter more than ``features + count`` arrays of 4 bytes a row of a tile.

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
        self._is_plain = not references.any()
        index = (1 << (features - 1).bit_length()) - 1
        self._index = np.uint32(index)
        self._digits = np.uint32(_ALL ^ index)
        self._places = (index - np.arange(features)).astype(np.uint32)[:, None]
        self._groups = -(-features // _GROUP)
        self._effects = np.empty((_GROUP * self._groups, rows), dtype=np.float32)
        self._spare = np.empty((self._groups, rows), dtype=np.uint32)
        self._best = np.empty((max(_GROUP, count + 1), rows), dtype=np.uint32)

    def find(self, contributions: Floats) -> Codes:
        """Return the features of each row as :func:`rank` does.

        Parameters
        ----------
        contributions : ndarray of float64, shape (features, rows of the tile)
        """
        with np.errstate(all="ignore"):
            keys = self._keys(contributions)
            codes, unclear = self._read(self._insert(keys) if self._count >= _GROUP else self._merge(keys))
        if unclear.size:
            codes[:, unclear] = rank(contributions[:, unclear], self._references, self._count, self._direction)
        return codes

    def _keys(self, contributions: Floats) -> Keys:
        """Return unsigned integers that are the larger, the more a feature lowers, or raises: ``_SIGN`` and above."""
        effects = self._effects[: self._references.size, : contributions.shape[1]]
        if not (self._is_plain and self._converted(contributions, effects)):
            references = self._references[:, None]
            # Where a contribution is its reference the effect is +0, never -0: it has no sign.
            if self._direction == "lower":
                np.add(contributions, 0.0 - references, out=effects, casting="same_kind")
            else:
                np.subtract(references, contributions, out=effects, casting="same_kind")
        # As unsigned integers negative floats are above all others, and grow with their magnitude.
        keys = effects.view(np.uint32)
        np.bitwise_and(keys, self._digits, out=keys)
        return np.bitwise_or(keys, self._places, out=keys)

    def _converted(self, contributions: Floats, effects: npt.NDArray[np.float32]) -> bool:
        """Write effects against zero in half the time; return whether none of them became 0 on the way to 32 bits."""
        try:
            with np.errstate(under="raise"):
                np.copyto(effects, contributions, casting="same_kind")
        except FloatingPointError:
            return False
        if self._direction == "raise":
            np.negative(effects, out=effects)
        # Makes +0 of -0.
        np.add(effects, np.float32(0), out=effects)
        return True

    def _insert(self, keys: Keys) -> list[Keys]:
        """Return the largest keys of each row in descending order, one more than there are reasons."""
        rows = keys.shape[1]
        best = list(self._best[: self._count + 1, :rows])
        for held in best:
            held.fill(0)
        for feature, added in enumerate(keys):
            key, other = added, self._spare[0, :rows]
            for held in best[: min(self._count, feature + 1)]:
                np.minimum(held, key, out=other)
                np.maximum(held, key, out=held)
                key, other = other, key
            np.maximum(best[-1], key, out=best[-1])
        return best

    def _merge(self, keys: Keys) -> list[Keys]:
        """Return the four largest keys of each row in descending order: fewer steps than :meth:`_insert` takes.

        Groups of four are sorted, all at once, and merged one by one. (Batcher, *Sorting networks and their
        applications*, 1968, has both: of two sorted lists, the larger of the one from the front and the other from the
        back are the largest, in an order that four more exchanges sort.)
        """
        rows, groups = keys.shape[1], self._groups
        every = self._effects.view(np.uint32)[:, :rows]
        every[keys.shape[0] :] = 0
        lists, spare = list(every.reshape(_GROUP, groups, rows)), self._spare[:, :rows]
        for left, right in _SORT_FOUR:
            spare = _exchange(lists, left, right, spare)
        best, other = list(self._best[:_GROUP, :rows]), np.empty(rows, dtype=np.uint32)
        for held, first in zip(best, lists, strict=True):
            np.copyto(held, first[0])
        for group in range(1, groups):
            for place, held in enumerate(best):
                np.maximum(held, lists[_GROUP - 1 - place][group], out=held)
            for left, right in _SORT_MERGED:
                other = _exchange(best, left, right, other)
        return best[: self._count + 1]

    def _read(self, best: list[Keys]) -> tuple[Codes, Rows]:
        """Return the features of the keys, and the rows in which a key does not tell enough."""
        last = best[self._count - 1]
        codes = np.empty((self._count, last.size), dtype=code_type(self._references.size))
        for found, out in zip(best, codes, strict=False):
            np.copyto(out, np.bitwise_and(~found, self._index), casting="unsafe")
        # Digits that are all 0, and rows with fewer reasons: if they are few, they are ranked with the unclear ones.
        close = last - _SIGN <= self._index
        short = last < _SIGN
        is_full = np.count_nonzero(short) <= short.size // _SHORT
        if is_full:
            close |= short
        for place, (found, following) in enumerate(pairwise(best)):
            same = (found ^ following) <= self._index
            if not is_full:
                is_none = found < _SIGN
                same &= ~is_none
                same |= found - _SIGN <= self._index
                codes[place, is_none] = -1
            close |= same
        return codes, np.flatnonzero(close)


def _exchange(lists: list[Keys], left: int, right: int, spare: Keys) -> Keys:
    """Put the larger keys into one list and the smaller ones into the other; return the memory that is free then."""
    np.minimum(lists[left], lists[right], out=spare)
    np.maximum(lists[left], lists[right], out=lists[left])
    lists[right], spare = spare, lists[right]
    return spare


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
