"""What rows add to the sums at some points: the loss, its gradient, its Hessian.

A chunk is summed tile by tile, in order; the sums of chunks are combined in a fixed tree. So the same tiles give the
same bits, whatever carries them out and however many models share the pass: each point is summed by itself.

Formulas: for a binary model with raw prediction z, the loss is softplus(-z) or softplus(z), its derivative p - y, its
curvature p (1 - p) = t / (1 + t)^2 with t = exp(-|z|) (Hosmer, Lemeshow and Sturdivant, Applied Logistic Regression,
chapter 2). Multinomial: Böhning, Multinomial logistic regression algorithm, 1992.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.fitting.layout import FitLayout, Floats, Tile
from pipeline.fitting.points import SHARES, PassSums, Point


class ChunkSums:
    """The sums over the tiles of one chunk, at some points.

    For one thread. Memory: for each point of order 2 a square of the coefficients, and one tile of scratch.
    """

    def __init__(self, layout: FitLayout, points: Sequence[Point]) -> None:
        self._parts = [_PointSums(layout, point) for point in points]

    def add(self, tile: Tile) -> None:
        """Add the rows of a tile."""
        for part in self._parts:
            part.add(tile)

    def done(self) -> list[PassSums]:
        """Return the sums, one for each point."""
        return [part.done() for part in self._parts]


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
    for name in ("gradient", "product", "hessian", "outer"):
        if (array := getattr(mine, name)) is not None:
            array += getattr(other, name)
    mine.shorter = tuple(a + b for a, b in zip(mine.shorter, other.shorter, strict=True))
    mine.smallest = min(mine.smallest, other.smallest)
    mine.largest = max(mine.largest, other.largest)
    mine.held_rows += other.held_rows
    mine.held_weight += other.held_weight
    mine.held_loss += other.held_loss


class _PointSums:
    """The sums of one chunk at one point."""

    def __init__(self, layout: FitLayout, point: Point) -> None:
        self._layout = layout
        self._point = point
        shape = (layout.outputs, layout.width)
        self._sums = PassSums(0, 0.0, 0.0)
        if point.order:
            self._sums.gradient = np.zeros(shape)
        if point.step is not None:
            self._sums.shorter = (0.0,) * len(SHARES)
        self._square = np.zeros((layout.size, layout.size)) if point.order == 2 else None

    def add(self, tile: Tile) -> None:
        sums, point = self._sums, self._point
        z = tile.dense @ point.coefficients[0]
        if tile.offset is not None:
            z += tile.offset
        weights = np.ones(tile.rows) if tile.weights is None else tile.weights
        sign = 1.0 - 2.0 * (tile.classes == 1)
        sums.rows += tile.rows
        sums.weight += float(weights.sum())
        sums.loss += _loss(z * sign, weights)
        if point.step is not None:
            move = tile.dense @ point.step[0]
            sums.shorter = tuple(
                a + _loss((z - (1 - share) * move) * sign, weights)
                for a, share in zip(sums.shorter, SHARES, strict=True)
            )
            margin = -sign * move
            sums.smallest = min(sums.smallest, float(margin.min()))
            sums.largest = max(sums.largest, float(margin.max()))
        t = np.exp(-np.abs(z))
        if sums.gradient is not None:
            residual = sign * np.exp(np.minimum(sign * z, 0)) / (1 + t)
            sums.gradient[0] += (weights * residual) @ tile.dense
        if self._square is not None:
            root = np.sqrt(weights * t) / (1 + t)
            scaled = tile.dense * root[:, None]
            self._square += scaled.T @ scaled

    def done(self) -> PassSums:
        if self._square is not None:
            self._sums.hessian = self._square[np.tril_indices(len(self._square))]
        return self._sums


def _loss(against: Floats, weights: Floats) -> float:
    """Return the summed loss of raw predictions, with the sign turned so that large ones are wrong."""
    return float(weights @ (np.maximum(against, 0) + np.log1p(np.exp(-np.abs(against)))))
