"""What the first pass adds up in a chunk, tile by tile, and how two chunks are joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.first_pass.counting import LevelCounts, numbers_in
from pipeline.fitting.first_pass.moments import Moments
from pipeline.fitting.first_pass.quantiles import FEW_TOGETHER, MANY_TOGETHER, KeyCounts
from pipeline.fitting.first_pass.rows import JudgedRows
from pipeline.fitting.first_pass.sampling import SampleRows, SampleRule
from pipeline.fitting.first_pass.vocabulary import combined_name
from pipeline.fitting.tiles.layout import TILE_ROWS, Codes, Floats
from pipeline.models.columns import Mask
from pipeline.types.rows import BadCell

_WAITING_VALUES = 3 << 20
# More values of a target are not classes.
MOST_CLASSES = 1_000


@dataclass(frozen=True, slots=True)
class ToLearn:
    """What the first pass learns besides counts. Plain values, which travel to workers.

    Attributes
    ----------
    terms, flags : int
        Numbers and indicators whose moments are learnt: those of the rules, in their order.
    products : tuple of tuple of int
        Products whose moments are learnt, by the positions of their factors among the terms.
    keyed : tuple of str
        Columns of numbers with a histogram: for a median, or for edges.
    cut : tuple of (str, tuple of float)
        Columns of numbers with given edges.
    levels : tuple of str
        Columns of levels.
    combined : tuple of tuple of str
        Columns of levels whose combinations are counted.
    sample : SampleRule
    most_levels : int
        More levels of one column are too many.
    """

    terms: int
    flags: int
    products: tuple[tuple[int, ...], ...]
    keyed: tuple[str, ...]
    cut: tuple[tuple[str, tuple[float, ...]], ...]
    levels: tuple[str, ...]
    combined: tuple[tuple[str, ...], ...]
    sample: SampleRule
    most_levels: int

    @property
    def moments(self) -> int:
        """How many columns have moments: terms, then indicators, then products."""
        return self.terms + self.flags + len(self.products)


@dataclass(slots=True, eq=False)
class Tallies:
    """What some chunks have.

    Attributes
    ----------
    wanted : ToLearn
    used, held_out, dropped, without_target : int
        Rows.
    classes : LevelCounts
        The values of the target in the rows that are fitted: their weight is the only column of the weights.
    held : LevelCounts
        The same of the rows that are held out.
    moments : Moments
    keys : dict of str to KeyCounts
    intervals : dict of int to ndarray, shape (intervals + 1, classes)
        By the position in ``wanted.cut``: weights, those of missing values last.
    missing : dict of str to ndarray, shape (classes,)
        The weights of the rows where a column of numbers is missing.
    levels : dict of str to LevelCounts
    missing_levels : dict of str to int
    combined : list of LevelCounts
        The levels of a combination are a JSON list, with null for one that is missing.
    sample : SampleRows
    refused : tuple of (int, int, BadCell), or None
        The first row that ends the fit: chunk, position of the slice, cell.
    crowded : str or None
        A column with too many levels; the empty text for the target.
    """

    wanted: ToLearn
    sample: SampleRows
    moments: Moments
    used: int = 0
    held_out: int = 0
    dropped: int = 0
    without_target: int = 0
    classes: LevelCounts = field(default_factory=LevelCounts)
    held: LevelCounts = field(default_factory=LevelCounts)
    keys: dict[str, KeyCounts] = field(default_factory=dict)
    intervals: dict[int, Floats] = field(default_factory=dict)
    missing: dict[str, Floats] = field(default_factory=dict)
    levels: dict[str, LevelCounts] = field(default_factory=dict)
    missing_levels: dict[str, int] = field(default_factory=dict)
    combined: list[LevelCounts] = field(default_factory=list)
    refused: tuple[int, int, BadCell] | None = None
    crowded: str | None = None

    @classmethod
    def empty(cls, wanted: ToLearn) -> Tallies:
        """Return the tallies of no row."""
        return cls(
            wanted,
            SampleRows(wanted.sample),
            Moments.empty(wanted.moments),
            keys={name: KeyCounts(together=together(len(wanted.keyed))) for name in wanted.keyed},
            levels={name: LevelCounts() for name in wanted.levels},
            missing_levels=dict.fromkeys(wanted.levels, 0),
            combined=[LevelCounts() for _ in wanted.combined],
        )

    def join(self, other: Tallies) -> None:
        """Add rows that come after these."""
        self.used += other.used
        self.held_out += other.held_out
        self.dropped += other.dropped
        self.without_target += other.without_target
        classes = numbers_in(self.classes.numbers, other.classes.numbers)
        self.classes.join(other.classes, _ONE_CLASS)
        self.held.join(other.held, _ONE_CLASS)
        self.moments.join(other.moments)
        for name, keys in self.keys.items():
            keys.join(other.keys[name], classes)
        self._join_by_class(other, classes)
        for name, counts in self.levels.items():
            counts.join(other.levels[name], classes)
            self.missing_levels[name] += other.missing_levels[name]
        for counts, others in zip(self.combined, other.combined, strict=True):
            counts.join(others, classes)
        self.sample.join(other.sample)
        self.refused = self.refused or other.refused
        self.crowded = self.crowded if self.crowded is not None else other.crowded
        self.note_crowds()

    def _join_by_class(self, other: Tallies, classes: Codes) -> None:
        for name, weights in other.missing.items():
            row = self.missing.get(name, np.zeros(0))
            self.missing[name] = _added(row[None, :], weights[None, :], classes)[0]
        for place, table in other.intervals.items():
            self.intervals[place] = _added(self.intervals.get(place, np.zeros((len(table), 0))), table, classes)

    def note_crowds(self) -> None:
        """Note a column with more levels than may be."""
        if self.crowded is not None:
            return
        if len(self.classes.numbers) > MOST_CLASSES:
            self.crowded = ""
            return
        combined = zip(map(combined_name, self.wanted.combined), self.combined, strict=True)
        for name, counts in (*self.levels.items(), *combined):
            if len(counts.numbers) > self.wanted.most_levels:
                self.crowded = name
                return


def together(columns: int) -> int:
    """Return how many rows of so many columns wait for their histograms, in about 24 MiB."""
    return max(FEW_TOGETHER, min(MANY_TOGETHER, _WAITING_VALUES // max(1, columns)))


_ONE_CLASS: Codes = np.zeros(1, dtype=np.intp)


def _added(table: Floats, other: Floats, classes: Codes) -> Floats:
    """Return the sum of two tables by class, given the numbers in the first of the classes of the second."""
    known = min(other.shape[1], len(classes))
    wide = max(table.shape[1], int(classes[:known].max(initial=-1)) + 1)
    total = np.zeros((len(table), wide))
    total[:, : table.shape[1]] = table
    total[:, classes[:known]] += other[:, :known]
    return total


class TileTallier:
    """Fills tiles with the rows of a chunk that are fitted, and adds up each tile. For one thread.

    Parameters
    ----------
    wanted : ToLearn
    tallies : Tallies
        What is added to.
    weighted : bool
        Whether rows have weights.
    """

    def __init__(self, wanted: ToLearn, tallies: Tallies, *, weighted: bool) -> None:
        self.wanted, self.tallies = wanted, tallies
        self._raw_names = tuple(dict.fromkeys((*wanted.keyed, *(name for name, _ in wanted.cut))))
        self._numbers = np.empty((wanted.moments, TILE_ROWS))
        self._raw = np.empty((len(self._raw_names), TILE_ROWS))
        self._levels = np.empty((len(wanted.levels), TILE_ROWS), dtype=np.intp)
        self._classes = np.empty(TILE_ROWS, dtype=np.intp)
        self._weights = np.empty(TILE_ROWS) if weighted else None
        self._edges = [np.array(edges) for _, edges in wanted.cut]
        self._filled = 0

    def add(self, rows: JudgedRows) -> None:
        """Take in the rows of a batch that are fitted."""
        count = int(np.count_nonzero(rows.used))
        used = None if count == len(rows.used) else rows.used
        columns = [
            *zip(self._numbers[: self.wanted.terms + self.wanted.flags], (*rows.terms, *rows.flags), strict=True),
            *zip(self._raw, (rows.numbers[name] for name in self._raw_names), strict=True),
            *zip(self._levels, (rows.levels[name] for name in self.wanted.levels), strict=True),
            (self._classes, rows.classes),
        ]
        if self._weights is not None and rows.weights is not None:
            columns.append((self._weights, rows.weights))
        given = [(tile, array if used is None else array[used]) for tile, array in columns]
        first = 0
        while first < count:
            taken = min(TILE_ROWS - self._filled, count - first)
            for tile, array in given:
                tile[self._filled : self._filled + taken] = array[first : first + taken]
            self._filled, first = self._filled + taken, first + taken
            if self._filled == TILE_ROWS:
                self.close()

    def close(self) -> None:
        """Add up the rows that are there."""
        count, self._filled = self._filled, 0
        if not count:
            return
        tallies, classes = self.tallies, self._classes[:count]
        weights = None if self._weights is None else self._weights[:count]
        known = len(tallies.classes.numbers)
        tallies.classes.add(classes, np.zeros(count, dtype=np.intp), weights, 1)
        with np.errstate(all="ignore"):
            numbers = self._numbers[:, :count]
            for place, factors in enumerate(self.wanted.products, self.wanted.terms + self.wanted.flags):
                np.multiply.reduce(numbers[list(factors)], axis=0, out=numbers[place])
            tallies.moments.join(Moments.of(numbers, weights))
        if self._raw_names:
            # Histograms keep them until there are enough to count.
            kept = None if weights is None else weights.copy()
            self._add_raw(self._raw[:, :count].copy(), classes.copy(), kept)
        for name, codes in zip(self.wanted.levels, self._levels[:, :count], strict=True):
            tallies.levels[name].add(codes, classes, weights, known)
            tallies.missing_levels[name] += int(np.count_nonzero(codes < 0))
        for names, counts in zip(self.wanted.combined, tallies.combined, strict=True):
            counts.add(self._combinations(names, counts.numbers, count), classes, weights, known)

    def _add_raw(self, columns: Floats, classes: Codes, weights: Floats | None) -> None:
        tallies = self.tallies
        for name, values in zip(self._raw_names, columns, strict=True):
            if name in tallies.keys:
                tallies.keys[name].add(values, classes, weights)
            missing = np.isnan(values)
            if missing.any():
                _count(tallies.missing, name, (), _zeros(missing), classes[missing], _of(weights, missing))
        for place, (name, edges) in enumerate(self.wanted.cut):
            values = columns[self._raw_names.index(name)]
            slots = np.searchsorted(self._edges[place], values, side="right")
            slots[np.isnan(values)] = len(edges) + 1
            _count(tallies.intervals, place, (len(edges) + 2,), slots, classes, weights)

    def _combinations(self, names: Sequence[str], numbers: dict[str, int], count: int) -> Codes:
        """Return the number of the combination of levels of each row."""
        columns = [self._levels[self.wanted.levels.index(name), :count] for name in names]
        places: Codes = np.zeros(count, dtype=np.intp)
        for column in columns:
            # The combinations so far have small numbers again, so that many columns do not overflow.
            _, first, places = np.unique(
                places * (int(column.max()) + 2) + column + 1, return_index=True, return_inverse=True
            )
        known = [_spelled(self.tallies.levels[name].numbers) for name in names]
        found = np.stack([column[first] for column in columns], axis=1)
        texts = (
            json.dumps([None if code < 0 else of[code] for of, code in zip(known, each, strict=True)])
            for each in found.tolist()
        )
        codes = [numbers.setdefault(text, len(numbers)) for text in texts]
        return np.array(codes, dtype=np.intp)[places]


def _spelled(numbers: Mapping[str, int]) -> list[str]:
    """Return the levels by their numbers, which they have in the order in which they came."""
    return list(numbers)


def _zeros(where: Mask) -> Codes:
    return np.zeros(int(np.count_nonzero(where)), dtype=np.intp)


def _of(weights: Floats | None, where: Mask) -> Floats | None:
    return None if weights is None else weights[where]


def _count(
    tables: dict[Any, Floats], key: object, shape: tuple[int, ...], slots: Codes, classes: Codes, weights: Floats | None
) -> None:
    """Add rows to a table by slot and class, which grows with the classes; without a shape it has one slot."""
    before = tables.get(key, np.zeros((*shape, 0)))
    wide = max(before.shape[-1], int(classes.max(initial=-1)) + 1)
    after = np.zeros((*shape, wide))
    after[..., : before.shape[-1]] = before
    after += np.bincount(slots * wide + classes, weights, after.size).reshape(after.shape)
    tables[key] = after
