"""Counts of levels by class, chunk by chunk: what occurs how often, and with which weight in each class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.fitting.tiles.layout import Codes, Floats
from pipeline.models.columns import Levels

_KEPT_BYTES = 4 << 20
# A table with more cells for each row of a tile is not gone through once a tile.
_SPARSE = 8


@dataclass(slots=True, eq=False)
class LevelCounts:
    """How often levels occur, and their weight by class.

    Levels and classes have numbers in the order in which they came; only what is read by spelling has a meaning.

    Attributes
    ----------
    numbers : dict of str to int
        The number of each level.
    rows : ndarray of int64, shape (levels or more,)
    weights : ndarray of float64, shape (levels or more, classes or more)
    """

    numbers: dict[str, int] = field(default_factory=dict)
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    weights: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, levels: Codes, classes: Codes, weights: Floats | None, count: int) -> None:
        """Add rows of a tile.

        Parameters
        ----------
        levels, classes : ndarray of intp, shape (rows,)
            Numbers; -1 for a level that is missing.
        weights : ndarray of float64, shape (rows,), or None
        count : int
            How many classes are known.
        """
        self._grow(count)
        if levels.size and levels.min() < 0:
            here = levels >= 0
            levels, classes = levels[here], classes[here]
            weights = None if weights is None else weights[here]
        wide = self.weights.shape[1]
        cells = levels * wide + classes
        if self.weights.size <= _SPARSE * cells.size:
            self.weights += np.bincount(cells, weights, self.weights.size).reshape(self.weights.shape)
            self.rows += np.bincount(levels, minlength=len(self.rows))
            return
        found, places = np.unique(cells, return_inverse=True)
        self.weights.reshape(-1)[found] += np.bincount(places, weights, found.size)
        np.add(self.rows, np.bincount(levels, minlength=len(self.rows)), out=self.rows)

    def join(self, other: LevelCounts, classes: Codes) -> None:
        """Add counts of rows that come after these; ``classes`` are the numbers here of the classes there."""
        numbers = numbers_in(self.numbers, other.numbers)[: len(other.rows)]
        self._grow(int(classes.max(initial=-1)) + 1)
        known = len(numbers)
        self.rows[numbers] += other.rows[:known]
        if known and classes.size:
            self.weights[np.ix_(numbers, classes)] += other.weights[:known, : classes.size]

    def _grow(self, classes: int) -> None:
        """Make room for all levels that have a number, and for so many classes."""
        levels, wide = self.weights.shape
        if len(self.numbers) <= levels and classes <= wide:
            return
        more = max(len(self.numbers), levels + levels // 2), max(classes, wide)
        weights = np.zeros(more)
        weights[:levels, :wide] = self.weights
        rows = np.zeros(more[0], dtype=np.int64)
        rows[:levels] = self.rows
        self.weights, self.rows = weights, rows

    @property
    def occurring(self) -> dict[str, int]:
        """The levels that some row has, and their rows, by spelling."""
        rows = self.rows.tolist()
        found = ((level, rows[number]) for level, number in self.numbers.items() if number < len(rows))
        return {level: count for level, count in sorted(found) if count}

    def of_class(self, level: str, classes: Iterable[int]) -> tuple[float, ...]:
        """Return the weight of some classes in the rows of a level."""
        number, wide = self.numbers[level], self.weights.shape[1]
        return tuple(float(self.weights[number, each]) if each < wide else 0.0 for each in classes)


def numbers_in(known: dict[str, int], others: Iterable[str]) -> Codes:
    """Return the numbers of some levels, in their order; new ones are added."""
    return np.fromiter((known.setdefault(level, len(known)) for level in others), np.intp)


class SeenLevels:
    """Gives the levels of batches numbers. A dictionary that many batches share is looked up once.

    Attributes
    ----------
    numbers : dict of str to int
    """

    def __init__(self, numbers: dict[str, int]) -> None:
        self.numbers = numbers
        self._dictionary: pa.Array | None = None
        self._found: Codes = np.empty(0, dtype=np.intp)

    def codes(self, cells: Levels) -> Codes:
        """Return the number of each row's level, -1 where it is missing."""
        dictionary = cells.dictionary
        last = self._dictionary
        if last is None or not last.equals(dictionary):
            known = self.numbers
            names = (-1 if name is None else known.setdefault(name, len(known)) for name in cells.names)
            self._found = np.array([*names, -1], dtype=np.intp)
            self._dictionary = dictionary if dictionary.nbytes <= _KEPT_BYTES else None
        codes: Codes = self._found.take(cells.codes, mode="clip")
        if cells.null is not None:
            codes[cells.null] = -1
        return codes
