"""Passes over tiles that are in memory, or that a function makes again for each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from pipeline.fitting.tiles.layout import FitLayout, Tile
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.passes.summing import ChunkSums, combine
from pipeline.scan import ReduceTree

# Tiles of a block: as many rows as a chunk of a scan has by default.
BLOCK_TILES = 128
# More blocks than there can be: the tree is the same for any number that is not smaller than theirs.
_ANY = 1 << 40


class MemoryPasses:
    """Fulfils :class:`pipeline.fitting.passes.points.Passes` over tiles.

    Parameters
    ----------
    layout : FitLayout
    tiles : sequence of Tile, or callable
        The tiles, or what yields them anew for each pass.
    block : int
        How many tiles are summed one after the other; the sums of blocks are combined in a fixed tree.
    """

    def __init__(
        self, layout: FitLayout, tiles: Sequence[Tile] | Callable[[], Iterable[Tile]], *, block: int = BLOCK_TILES
    ) -> None:
        self._layout = layout
        self._tiles = tiles
        self._block = block

    @property
    def layout(self) -> FitLayout:
        """What the coefficients are."""
        return self._layout

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        """Return the sums at some points, in one pass."""
        tree: ReduceTree[list[PassSums]] = ReduceTree(_ANY, combine)
        for number, sums in enumerate(self._blocks(points)):
            tree.add(number, sums)
        return tree.total() or ChunkSums(self._layout, points).done()

    def _blocks(self, points: Sequence[Point]) -> Iterator[list[PassSums]]:
        tiles = iter(self._tiles() if callable(self._tiles) else self._tiles)
        while block := list(islice(tiles, 1)):
            sums = ChunkSums(self._layout, points)
            sums.add(block[0])
            for tile in islice(tiles, self._block - 1):
                sums.add(tile)
            yield sums.done()
