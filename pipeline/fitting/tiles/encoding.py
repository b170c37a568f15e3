"""From batches to tiles: rows of a chunk in tiles of one size, whatever batches they come in.

Rows that are not fitted are left out before a tile is filled, so that tiles depend on the chunk alone. A tile that were
cut in two would give other bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.tiles.decoding import (
    DecodedRows,
    RowBatch,
    RowDecoder,
    RowSources,
    codes_of,
    flags_of,
    numbers_of,
)
from pipeline.fitting.tiles.layout import FitLayout, Floats, Tile
from pipeline.fitting.tiles.recipes import Run, Runs, Sources, dense_recipe, divide, joined, level_recipe


class Encoder:
    """Makes tiles of batches, for a design. May be used from several threads at once.

    Parameters
    ----------
    design : FitDesign
    rows : RowSources
    decimal : str
        The decimal sign of levels that are text.
    """

    def __init__(self, design: FitDesign, rows: RowSources, *, decimal: str = ".") -> None:
        self.layout: FitLayout = design.layout
        self._decoder = RowDecoder(design, rows, decimal=decimal)
        self._maker = TileMaker(design)

    def tiles(
        self, batches: Iterable[RowBatch], paths: Callable[[int], str] | None = None, *, groups: bool = False
    ) -> Iterator[Tile]:
        """Yield the tiles of a chunk.

        ``paths`` returns the path of a file by its number, which decides folds; ``groups`` asks for the groups of rows.
        A tile has :attr:`FitLayout.tile_rows` rows, the last one fewer. It is valid until the next one is asked for,
        which takes its memory.
        """
        memory = np.empty(self.layout.tile_rows * self.layout.columns)
        for runs in self.runs(batches, paths, groups=groups):
            yield self._maker.tile(runs, memory)

    def runs(
        self, batches: Iterable[RowBatch], paths: Callable[[int], str] | None = None, *, groups: bool = False
    ) -> Iterator[Runs]:
        """Yield the decoded rows of each tile of a chunk, for what needs more than its columns."""
        decode = partial(self._decoder.blocks, paths=paths, groups=groups)
        return _filled(chain.from_iterable(map(decode, batches)), self.layout.tile_rows)


def _filled(decoded: Iterable[DecodedRows], tile_rows: int) -> Iterator[Runs]:
    """Yield the runs of each tile."""
    runs: list[Run] = []
    filled = 0
    for rows in decoded:
        first = 0
        while first < rows.rows:
            taken = min(tile_rows - filled, rows.rows - first)
            runs.append(Run(rows, first, filled, filled + taken))
            filled, first = filled + taken, first + taken
            if filled == tile_rows:
                yield runs
                runs, filled = [], 0
    if runs:
        yield runs


class TileMaker:
    """Makes a tile of decoded rows: dense columns, one after the other, and levels."""

    def __init__(self, design: FitDesign) -> None:
        self._layout = design.layout
        sources = Sources(
            {number: place for place, number in enumerate(numbers_of(design))},
            {name: place for place, name in enumerate(flags_of(design))},
            {source.column: place for place, source in enumerate(design.levels)},
            {source.column: codes_of(source) for source in design.levels},
        )
        dense = sorted((column.dense, column) for column in design.columns if column.dense is not None)
        self._dense = [dense_recipe(column, sources) for _, column in dense]
        self._scales = np.array([[recipe.scale] for recipe in self._dense]).reshape(-1, 1)
        levels = sorted((column.levels, column) for column in design.columns if column.levels is not None)
        self._levels = [level_recipe(column, sources) for _, column in levels]

    def tile(self, runs: Runs, memory: Floats) -> Tile:
        """Return the tile of some runs; its dense columns are in ``memory``."""
        rows, columns = runs[-1].stop, self._layout.columns
        dense = memory[: rows * columns].reshape(columns, rows).T
        if self._layout.intercept:
            dense[:, 0] = 1.0
        with np.errstate(all="ignore"):
            for place, recipe in enumerate(self._dense, int(self._layout.intercept)):
                recipe.centred(runs, dense[:, place])
            divide(dense.T[int(self._layout.intercept) :], self._scales)
        return Tile(
            dense,
            tuple(recipe.make(runs) for recipe in self._levels),
            joined(runs, lambda part: part.classes),
            _optional(runs, lambda part: part.weights),
            _optional(runs, lambda part: part.offset),
            _optional(runs, lambda part: part.folds),
            _optional(runs, lambda part: part.groups),
        )

    def remade(self, tile: Tile, runs: Runs, dense: Iterable[int], levels: Collection[int]) -> Tile:
        """Return a tile in which some columns, by their positions, are made of other rows. Dense ones change in place.

        ``runs`` are as many rows as those that the tile was made of.
        """
        with np.errstate(all="ignore"):
            for place in dense:
                self._dense[place].write(runs, tile.dense[:, place + self._layout.intercept])
        made = enumerate(zip(self._levels, tile.levels, strict=True))
        columns = tuple(recipe.make(runs) if place in levels else column for place, (recipe, column) in made)
        return replace(tile, levels=columns)


def _optional(runs: Runs, pick: Callable[[DecodedRows], Any]) -> Any:
    return None if pick(runs[0].rows) is None else joined(runs, pick)
