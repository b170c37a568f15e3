"""Passes over rows that a caller has: NumPy, SciPy sparse, pandas, Polars, Arrow, and Dask collections.

A tile at a time is made of a block's rows, centred and scaled, and summed by the same code as the tiles of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.fitting.blas import one_thread
from pipeline.fitting.layout import TILE_ROWS, Codes, FitLayout, Floats, Scaling, Tile
from pipeline.fitting.points import PassSums, Point
from pipeline.fitting.row_blocks import Blocks, Matrix, RowBlock, is_sparse, matrix_of, rows_of
from pipeline.fitting.sparse import SparseProducts
from pipeline.fitting.summing import ChunkSums, combine


@dataclass(frozen=True, slots=True, eq=False)
class BlockFacts:
    """What is known of rows after the first pass.

    Attributes
    ----------
    rows : int
    classes : ndarray, shape (classes,)
        The values of the target, sorted.
    counts : ndarray of intp, shape (classes,)
    class_weights : ndarray of float64, shape (classes,)
        The weight of the rows of each class.
    means, squares : ndarray of float64, shape (features,)
        Of each feature the mean, and the sum of the squared differences from it.
    has_nan, has_infinity : bool
        Whether a feature has such a value.
    filled : int
        Values that are stored: of a sparse matrix those that are not zero.
    """

    rows: int
    classes: npt.NDArray[Any]
    counts: npt.NDArray[np.intp]
    class_weights: Floats
    means: Floats
    squares: Floats
    has_nan: bool
    has_infinity: bool
    filled: int

    @property
    def deviations(self) -> Floats:
        """The standard deviation of each feature."""
        return np.sqrt(self.squares / max(1, self.rows))


def learn(blocks: Blocks) -> BlockFacts | None:
    """Return the facts of all rows, ``None`` without a block: the first pass."""
    return blocks.fold(block_facts, join_facts)


def block_facts(block: RowBlock) -> BlockFacts:
    """Return the facts of a block.

    Raises
    ------
    ValueError
        The features, the targets and the weights of the block have different numbers of rows, a target is missing, or
        a weight is negative or not finite.
    """
    target, weights = _checked(block)
    if _has_missing(target):
        raise ValueError("Input y contains NaN, None or infinity; every row needs a class")
    if weights is not None and not np.isfinite(weights).all():
        raise ValueError("Input sample_weight contains NaN or infinity")
    if weights is not None and (weights < 0).any():
        raise ValueError("Negative values in sample_weight: weights are zero or positive")
    classes, codes = np.unique(target, return_inverse=True)
    return BlockFacts(
        block.rows,
        classes,
        np.bincount(codes, minlength=len(classes)),
        np.bincount(codes, weights, len(classes)).astype(np.float64),
        *_moments(block),
    )


def _checked(block: RowBlock) -> tuple[npt.NDArray[Any], Floats | None]:
    """Return targets and weights as arrays, as many as there are rows."""
    target = np.asarray(block.target)
    weights = None if block.weights is None else np.asarray(block.weights, dtype=np.float64)
    for name, values in (("y", target), ("sample_weight", weights)):
        if values is not None and values.shape != (block.rows,):
            raise ValueError(f"a block of X has {block.rows} rows, but that of {name} has shape {values.shape}")
    return target, weights


def _has_missing(target: npt.NDArray[Any]) -> bool:
    if target.dtype.kind == "f":
        return not bool(np.isfinite(target).all())
    return target.dtype.kind == "O" and any(value is None or value != value for value in target)  # noqa: PLR0124


def _moments(block: RowBlock) -> tuple[Floats, Floats, bool, bool, int]:
    """Return means, sums of squared differences, whether there are NaN and infinities, and the values stored."""
    if is_sparse(block.features):
        return _sparse_moments(block.features)
    means: Floats | None = None
    squares: Floats | None = None
    rows, has_nan, has_infinity = 0, False, False
    with np.errstate(all="ignore"):
        for start in range(0, block.rows, TILE_ROWS):
            # Column by column, so that means have the same bits for rows that lie otherwise.
            tile = np.asfortranarray(matrix_of(rows_of(block.features, start, start + TILE_ROWS)), dtype=np.float64)
            if not np.isfinite(tile).all():
                has_nan |= bool(np.isnan(tile).any())
                has_infinity |= bool(np.isinf(tile).any())
            mean = tile.mean(axis=0)
            square = ((tile - mean) ** 2).sum(axis=0)
            if means is None or squares is None:
                rows, means, squares = len(tile), mean, square
            else:
                means, squares = _joined_moments((rows, means, squares), (len(tile), mean, square))
                rows += len(tile)
    width = block.features.shape[1]
    return (
        np.zeros(width) if means is None else means,
        np.zeros(width) if squares is None else squares,
        has_nan,
        has_infinity,
        block.rows * width,
    )


def _sparse_moments(features: Any) -> tuple[Floats, Floats, bool, bool, int]:
    rows, width = features.shape
    columns = features.tocsr()
    values = columns.data.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        means = np.bincount(columns.indices, values, width) / max(1, rows)
        squares = np.bincount(columns.indices, (values - means[columns.indices]) ** 2, width)
        squares += means**2 * (rows - np.bincount(columns.indices, minlength=width))
    has_nan, has_infinity = bool(np.isnan(values).any()), bool(np.isinf(values).any())
    return means, squares.astype(np.float64), has_nan, has_infinity, int(columns.nnz)


def _joined_moments(left: tuple[int, Floats, Floats], right: tuple[int, Floats, Floats]) -> tuple[Floats, Floats]:
    """Return means and sums of squares of rows of both.

    Source: Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983.
    """
    rows = max(1, left[0] + right[0])
    apart = right[1] - left[1]
    means = left[1] + apart * (right[0] / rows)
    return means, left[2] + right[2] + apart**2 * (left[0] * (right[0] / rows))


def join_facts(left: BlockFacts, right: BlockFacts) -> BlockFacts:
    """Return the facts of the rows of both."""
    classes, codes = np.unique(np.concatenate([left.classes, right.classes]), return_inverse=True)
    with np.errstate(all="ignore"):
        means, squares = _joined_moments(
            (left.rows, left.means, left.squares), (right.rows, right.means, right.squares)
        )
    counts, weights = np.zeros(len(classes), dtype=np.intp), np.zeros(len(classes))
    for side, mine in ((left, codes[: len(left.classes)]), (right, codes[len(left.classes) :])):
        counts[mine] += side.counts
        weights[mine] += side.class_weights
    return BlockFacts(
        left.rows + right.rows,
        classes,
        counts,
        weights,
        means,
        squares,
        left.has_nan or right.has_nan,
        left.has_infinity or right.has_infinity,
        left.filled + right.filled,
    )


@dataclass(frozen=True, slots=True, eq=False)
class ArrayDesign:
    """How tiles are made of blocks.

    Attributes
    ----------
    layout : FitLayout
        All features are dense columns.
    scaling : Scaling
    classes : ndarray, shape (classes,)
        Sorted.
    factors : ndarray of float64, shape (classes,), or None
        What the weights of the rows of each class are multiplied by.
    is_sparse : bool
        Whether sparse rows are summed as they are, instead of tile by tile as dense ones.
    """

    layout: FitLayout
    scaling: Scaling
    classes: npt.NDArray[Any]
    factors: Floats | None = None
    is_sparse: bool = False


def tiles(block: RowBlock, design: ArrayDesign) -> Iterator[Tile]:
    """Yield the tiles of a block, in order."""
    codes, weights = _coded(block, design)
    for start in range(0, block.rows, TILE_ROWS):
        place = slice(start, start + TILE_ROWS)
        features = matrix_of(rows_of(block.features, start, start + TILE_ROWS))
        yield Tile(_dense(features, design), (), codes[place], None if weights is None else weights[place])


def _coded(block: RowBlock, design: ArrayDesign) -> tuple[Codes, Floats | None]:
    """Return the classes of the rows, and their weights with those of the classes."""
    target, weights = _checked(block)
    codes = np.searchsorted(design.classes, target)
    if design.factors is not None:
        weights = design.factors[codes] if weights is None else weights * design.factors[codes]
    return codes, weights


def _dense(features: Matrix, design: ArrayDesign) -> Floats:
    layout, scaling = design.layout, design.scaling
    dense = np.empty((len(features), layout.columns), order="F")
    if layout.intercept:
        dense[:, 0] = 1.0
    columns = dense[:, layout.intercept :]
    # Copied first: to subtract across the two orders of memory takes twice as long.
    columns[...] = features
    columns -= scaling.centers
    columns /= scaling.scales
    return dense


def block_sums(design: ArrayDesign, points: Sequence[Point], block: RowBlock) -> list[PassSums]:
    """Return the sums of a block at some points."""
    sums = ChunkSums(design.layout, points)
    with one_thread():
        if design.is_sparse:
            tile = Tile(np.empty((block.rows, 0)), (), *_coded(block, design))
            sums.add_products(SparseProducts(design.layout, tile, block.features.tocsr(), design.scaling))
        else:
            for tile in tiles(block, design):
                sums.add(tile)
        return sums.done()


class ArrayPasses:
    """Fulfils :class:`pipeline.fitting.points.Passes` over blocks of rows."""

    def __init__(self, blocks: Blocks, design: ArrayDesign) -> None:
        self._blocks = blocks
        self._design = design

    @property
    def layout(self) -> FitLayout:
        """What the coefficients are."""
        return self._design.layout

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        """Return the sums at some points, in one pass."""
        found = self._blocks.fold(partial(block_sums, self._design, tuple(points)), combine)
        return ChunkSums(self.layout, points).done() if found is None else found
