"""What rows add to the sums at some points: the loss, its gradient, its Hessian.

A chunk is summed tile by tile, in order; the sums of chunks are combined in a fixed tree. So the same tiles give the
same bits, whatever carries them out, and however many models share the pass: each point is summed by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.fitting.passes.blocks import SymmetricBlocks, TileProducts, level_sums, pack
from pipeline.fitting.passes.likelihood import RowLosses, margins, row_losses
from pipeline.fitting.passes.points import SHARES, PassSums, Point
from pipeline.fitting.tiles.layout import Codes, FitLayout, Floats, Tile

_ARRAYS = ("gradient", "product", "diagonal", "hessian", "outer")


class ChunkSums:
    """The sums over the tiles of one chunk, at some points.

    For one thread. Memory: for each point of order 2, and for each with scores, the squares of the coefficients of each
    pair of outputs, twice that while it is packed; and one dense tile.
    """

    def __init__(self, layout: FitLayout, points: Sequence[Point]) -> None:
        self._layout = layout
        scratch = np.empty((layout.columns, layout.tile_rows)) if any(map(_has_squares, points)) else np.empty((0, 0))
        self._points = [_PointSums(layout, point, scratch) for point in points]

    def add(self, tile: Tile) -> None:
        """Add the rows of a tile."""
        self.add_products(TileProducts(self._layout, tile))

    def add_products(self, products: TileProducts) -> None:
        """Add the rows of a tile whose products are made otherwise."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for point in self._points:
                point.add(products)

    def done(self) -> list[PassSums]:
        """Return the sums, one for each point."""
        return [point.done() for point in self._points]


def tile_sums(
    layout: FitLayout, tile: Tile, points: Sequence[Point], into: list[PassSums] | None = None
) -> list[PassSums]:
    """Return the sums of a tile at some points, added to others in place where they are given."""
    chunk = ChunkSums(layout, points)
    chunk.add(tile)
    return chunk.done() if into is None else combine(into, chunk.done())


def combine(left: list[PassSums], right: list[PassSums]) -> list[PassSums]:
    """Return the sums over the rows of both, point by point. Changes and returns the left ones."""
    for mine, other in zip(left, right, strict=True):
        _join(mine, other)
    return left


def _join(mine: PassSums, other: PassSums) -> None:
    mine.rows += other.rows
    mine.weight += other.weight
    mine.loss += other.loss
    for name in _ARRAYS:
        if (array := getattr(mine, name)) is not None:
            array += getattr(other, name)
    mine.shorter = tuple(a + b for a, b in zip(mine.shorter, other.shorter, strict=True))
    mine.smallest = min(mine.smallest, other.smallest)
    mine.largest = max(mine.largest, other.largest)
    mine.held_rows += other.held_rows
    mine.held_weight += other.held_weight
    mine.held_loss += other.held_loss
    if mine.groups is not None and other.groups is not None:
        _add_groups(mine.groups, other.groups)


def _add_groups(mine: dict[int, Floats], other: dict[int, Floats]) -> None:
    for group, gradient in other.items():
        if group in mine:
            mine[group] += gradient
        else:
            mine[group] = gradient


def _has_squares(point: Point) -> bool:
    return point.order == 2 or point.scores


class _PointSums:
    """The sums of one chunk at one point."""

    def __init__(self, layout: FitLayout, point: Point, scratch: Floats) -> None:
        self._layout = layout
        self._point = point
        self._scratch = scratch
        shape = (layout.outputs, layout.width)
        self._sums = PassSums(0, 0.0, 0.0)
        if point.order:
            self._sums.gradient = np.zeros(shape)
        if point.direction is not None:
            self._sums.product = np.zeros(shape)
        if point.diagonal:
            self._sums.diagonal = np.zeros(shape)
        if point.step is not None:
            self._sums.shorter = (0.0,) * len(SHARES)
        self._hessian = _pairs_of(layout) if point.order == 2 else {}
        self._outer = _pairs_of(layout) if point.scores else {}

    def add(self, products: TileProducts) -> None:
        point, sums = self._point, self._sums
        weights, fitted = self._weights(products)
        raw = self._raw(products)
        rows = row_losses(self._layout, raw, products.labels)
        losses = rows.loss()
        self._count(products, losses, weights, fitted)
        if point.step is not None:
            self._add_step(products, raw, weights)
        if sums.gradient is not None or point.scores:
            residual = rows.residual()
            residual *= weights
            if sums.gradient is not None:
                sums.gradient += products.summed(residual)
            if point.scores:
                self._add_scores(products, residual, weights)
        self._add_second(products, rows, weights)

    def done(self) -> PassSums:
        if self._hessian:
            blocks = {pair: block.square() for pair, block in self._hessian.items()}
            for (one, other), square in blocks.items():
                if one != other:
                    np.negative(square, out=square)
            self._sums.hessian = pack(blocks, self._layout)
        if self._outer and self._sums.groups is None:
            self._sums.outer = pack({pair: block.square() for pair, block in self._outer.items()}, self._layout)
        return self._sums

    def _raw(self, products: TileProducts) -> Floats:
        raw = products.raw(self._point.coefficients)
        # What is added to the raw prediction of every class changes nothing.
        if products.tile.offset is not None and self._layout.classes == 2:
            raw += products.tile.offset
        return raw

    def _weights(self, products: TileProducts) -> tuple[Floats, npt.NDArray[np.bool_] | None]:
        """Return the weights of the rows, 0 for those that are not fitted, and which ones are; ``None`` for all."""
        folds = products.tile.folds
        if folds is None:
            return products.weights, None
        fitted = folds >= 0
        if self._point.fold is not None:
            fitted &= folds != self._point.fold
        return products.weights * fitted, fitted

    def _count(
        self, products: TileProducts, losses: Floats, weights: Floats, fitted: npt.NDArray[np.bool_] | None
    ) -> None:
        sums, tile = self._sums, products.tile
        sums.weight += float(weights.sum())
        sums.loss += _total(losses, weights)
        if fitted is None:
            sums.rows += tile.rows
            return
        sums.rows += int(np.count_nonzero(fitted))
        held = tile.folds == (-1 if self._point.fold is None else self._point.fold)
        apart = products.weights[held]
        sums.held_rows += len(apart)
        sums.held_weight += float(apart.sum())
        sums.held_loss += _total(losses[held], apart)

    def _add_step(self, products: TileProducts, raw: Floats, weights: Floats) -> None:
        assert self._point.step is not None
        sums, labels = self._sums, products.labels
        moves = products.raw(self._point.step)
        shorter = [row_losses(self._layout, raw - (1.0 - share) * moves, labels).loss() for share in SHARES]
        sums.shorter = tuple(a + _total(b, weights) for a, b in zip(sums.shorter, shorter, strict=True))
        smallest, largest = margins(self._layout, moves, labels)
        if not weights.all():
            smallest, largest = smallest[weights > 0], largest[weights > 0]
        sums.smallest = min(sums.smallest, float(smallest.min(initial=np.inf)))
        sums.largest = max(sums.largest, float(largest.max(initial=-np.inf)))

    def _add_second(self, products: TileProducts, rows: RowLosses, weights: Floats) -> None:
        point, sums = self._point, self._sums
        if sums.product is not None and point.direction is not None:
            bent = rows.bent(products.raw(point.direction))
            bent *= weights
            sums.product += products.summed(bent)
        if sums.diagonal is not None:
            curvatures = np.stack([rows.curvature(output, output) for output in range(self._layout.outputs)])
            curvatures *= weights
            sums.diagonal += products.summed(curvatures, squared=True)
        for (one, other), blocks in self._hessian.items():
            curvature = rows.curvature(one, other)
            curvature *= weights
            blocks.add(products, curvature, self._scratch)

    def _add_scores(self, products: TileProducts, residual: Floats, weights: Floats) -> None:
        if products.tile.groups is not None:
            self._sums.groups = {} if self._sums.groups is None else self._sums.groups
            _add_groups(self._sums.groups, _by_group(products, products.tile.groups, residual, weights))
            return
        for (one, other), blocks in self._outer.items():
            if one == other:
                blocks.add(products, residual[one] ** 2, self._scratch)
            else:
                blocks.add_signed(products, residual[one] * residual[other])


def _pairs_of(layout: FitLayout) -> dict[tuple[int, int], SymmetricBlocks]:
    """Return blocks for each pair of outputs, the later one first."""
    return {(one, other): SymmetricBlocks(layout) for one in range(layout.outputs) for other in range(one + 1)}


def _total(losses: Floats, weights: Floats) -> float:
    return float(np.dot(losses, weights))


def _by_group(products: TileProducts, groups: Codes, residual: Floats, weights: Floats) -> dict[int, Floats]:
    """Return the summed gradients of the rows of each group that has a row with a weight, of shape (outputs, width)."""
    layout = products.layout
    names, places = np.unique(groups, return_inverse=True)
    result = np.zeros((len(names), layout.outputs, layout.width))
    for output, own in enumerate(residual):
        for column in range(layout.columns):
            weighted = own * products.tile.dense[:, column]
            result[:, output, column] = level_sums(places, weighted, len(names))
        for number, (start, count) in enumerate(zip(layout.starts, layout.levels, strict=True)):
            pairs = places * (count + 1) + products.codes[number]
            table = level_sums(pairs, products.valued(number, own), len(names) * (count + 1))
            result[:, output, start : start + count] = table.reshape(len(names), -1)[:, 1:]
    counted = level_sums(places, weights, len(names)) > 0
    return dict(zip(names[counted].tolist(), result[counted], strict=True))
