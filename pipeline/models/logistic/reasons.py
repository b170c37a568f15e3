"""Reasons: the features that lower, or raise, the raw prediction of a row most against a reference.

The effect of a feature is its contribution minus its contribution at the reference. The features with the largest
effects are found without sorting: each effect becomes 32 bits whose order is that of the effects, with the place of
the feature in the last bits, and minima and maxima keep the best. Rows in which that is too coarse are ranked exactly.
"""

from __future__ import annotations

import threading
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
Effects = npt.NDArray[np.float32]
Direction = Literal["lower", "raise"]

_SIGN = np.uint32(0x8000_0000)
_ALL = np.uint32(0xFFFF_FFFF)
# The keys that are sorted together, the exchanges that sort them, and those that sort merged ones.
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
    """How a feature is named as a reason, by code and text; its mean contribution, and its own reference."""

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


class _Memory(threading.local):
    """Keys of a thread, used again by its next tile: new memory would have to be cleared by the system first."""

    def __init__(self) -> None:
        self._keys = np.empty(0, dtype=np.uint32)

    def keys(self, arrays: int, rows: int) -> Keys:
        if self._keys.size < arrays * rows:
            self._keys = np.empty(arrays * rows, dtype=np.uint32)
        return self._keys[: arrays * rows].reshape(arrays, rows)


_memory = _Memory()


class Ranking:
    """Finds the reasons of the rows of a tile, feature by feature. One at a time in a thread.

    Holds at most ``count + 8`` arrays of 4 bytes a row of a tile, however many features there are.

    Parameters
    ----------
    count : int
        How many reasons a row has at most.
    direction : {"lower", "raise"}
    references : ndarray of float64, shape (features,)
        The contribution of each feature at its reference.
    """

    def __init__(self, count: int, direction: Direction, references: Floats) -> None:
        features = references.size
        self._count, self._direction, self._references = count, direction, references.tolist()
        index = (1 << (features - 1).bit_length()) - 1
        self._index = np.uint32(index)
        self._digits = _ALL ^ self._index
        self._places = (index - np.arange(features)).astype(np.uint32)
        self._free: list[Keys] = []
        self._group: list[Keys] = []
        self._best: list[Keys] = []

    def add(self, feature: int, contributions: Floats) -> None:
        """Take the contributions of a feature to the rows of a tile; the features of a tile follow each other."""
        if feature == 0:
            self._free = list(_memory.keys(max(_GROUP, self._count + 1) + _GROUP + 1, contributions.size))
            self._best = []
        key = self._free.pop()
        self._write_effects(contributions, self._references[feature], key.view(np.float32))
        # As unsigned integers negative floats are above all others, ``_SIGN`` and more, and grow with their magnitude.
        np.bitwise_and(key, self._digits, out=key)
        np.bitwise_or(key, self._places[feature], out=key)
        if self._count >= _GROUP:
            self._insert(key)
            return
        self._group.append(key)
        if len(self._group) == _GROUP:
            self._merge()

    def find(self) -> tuple[Codes, Rows]:
        """Return the features of each row as :func:`rank` does, and the rows for which that is not clear."""
        if self._group:
            self._group += self._nothing(_GROUP - len(self._group))
            self._merge()
        self._best += self._nothing(self._count + 1 - len(self._best))
        return self._read(self._best[: self._count + 1])

    def _nothing(self, count: int) -> list[Keys]:
        """Return keys of no features."""
        keys = [self._free.pop() for _ in range(count)]
        for key in keys:
            key.fill(0)
        return keys

    def _write_effects(self, contributions: Floats, reference: float, effects: Effects) -> None:
        if reference == 0 and self._converted(contributions, effects):
            return
        with np.errstate(all="ignore"):
            # Where a contribution is its reference the effect is +0, never -0: it has no sign.
            if self._direction == "lower":
                np.add(contributions, 0.0 - reference, out=effects, casting="same_kind")
            else:
                np.subtract(reference, contributions, out=effects, casting="same_kind")

    def _converted(self, contributions: Floats, effects: Effects) -> bool:
        """Write effects against zero in half the time; return whether none of them became 0 on the way to 32 bits."""
        try:
            with np.errstate(all="ignore", under="raise"):
                np.copyto(effects, contributions, casting="same_kind")
        except FloatingPointError:
            return False
        # Both make +0 of a zero of either sign.
        if self._direction == "lower":
            np.add(effects, np.float32(0), out=effects)
        else:
            np.subtract(np.float32(0), effects, out=effects)
        return True

    def _insert(self, key: Keys) -> None:
        """Add a key to the largest ones of each row, in descending order: one more than there are reasons."""
        for held in self._best[: self._count]:
            smaller = self._free.pop()
            np.minimum(held, key, out=smaller)
            np.maximum(held, key, out=held)
            self._free.append(key)
            key = smaller
        if len(self._best) <= self._count:
            self._best.append(key)
        else:
            np.maximum(self._best[-1], key, out=self._best[-1])
            self._free.append(key)

    def _merge(self) -> None:
        """Add a group to the four largest keys of each row, in descending order: fewer steps than inserting each.

        Groups of four are sorted and merged one by one. (Batcher, *Sorting networks and their applications*, 1968, has
        both: of two sorted lists, the larger of the one from the front and the other from the back are the largest, in
        an order that four more exchanges sort.)
        """
        group, self._group = self._group, []
        for left, right in _SORT_FOUR:
            self._exchange(group, left, right)
        if self._best:
            for held, key in zip(self._best, reversed(group), strict=True):
                np.maximum(held, key, out=held)
            self._free += group
            for left, right in _SORT_MERGED:
                self._exchange(self._best, left, right)
        else:
            self._best = group

    def _exchange(self, keys: list[Keys], left: int, right: int) -> None:
        """Put the larger keys to the left and the smaller ones to the right."""
        smaller = self._free.pop()
        np.minimum(keys[left], keys[right], out=smaller)
        np.maximum(keys[left], keys[right], out=keys[left])
        self._free.append(keys[right])
        keys[right] = smaller

    def _read(self, best: list[Keys]) -> tuple[Codes, Rows]:
        """Return the features of the keys, and the rows in which a key does not tell enough."""
        last = best[self._count - 1]
        codes = np.empty((self._count, last.size), dtype=code_type(len(self._references)))
        for found, out in zip(best, codes, strict=False):
            np.copyto(out, found, casting="unsafe")
        np.bitwise_and(np.invert(codes, out=codes), codes.dtype.type(self._index), out=codes)
        # How far digits are from all 0, and from those of the key that follows.
        apart, differing = self._free.pop(), self._free.pop()
        np.subtract(last, _SIGN, out=apart)
        short = last < _SIGN
        # Rows with fewer reasons: if they are few, they are ranked with the unclear ones.
        is_full = np.count_nonzero(short) <= short.size // _SHORT
        for place, (found, following) in enumerate(pairwise(best)):
            np.bitwise_xor(found, following, out=differing)
            if not is_full:
                is_none = found < _SIGN
                differing[is_none] = _ALL
                np.minimum(apart, found - _SIGN, out=apart)
                codes[place, is_none] = -1
            np.minimum(apart, differing, out=apart)
        close = apart <= self._index
        return codes, np.flatnonzero(close | short if is_full else close)


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
