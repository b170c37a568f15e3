"""Passes over rows that a caller has: NumPy, SciPy sparse, pandas, Polars, Arrow, and Dask collections.

A tile at a time is made of a block's rows, centred and scaled, and summed by the same code as the tiles of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.estimator.row_blocks import Blocks, Matrix, RowBlock, is_sparse, matrix_of, rows_of
from pipeline.fitting.first_pass.moments import Moments
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.passes.sparse import SparseProducts
from pipeline.fitting.passes.summing import ChunkSums, combine
from pipeline.fitting.tiles.layout import TILE_ROWS, Codes, FitLayout, Floats, Scaling, Tile
from pipeline.kernels.blas import one_thread


@dataclass(frozen=True, slots=True, eq=False)
class BlockFacts:
    """What is known of rows after the first pass.

    Attributes
    ----------
    classes : ndarray, shape (classes,)
        The values of the target, sorted.
    class_weights : ndarray of float64, shape (classes,)
        The weight of the rows of each class.
    columns : Moments
        Of the features, each row counted once.
    filled : int
        Values that are stored: of a sparse matrix those that are not zero.
    """

    classes: npt.NDArray[Any]
    class_weights: Floats
    columns: Moments
    filled: int

    @property
    def rows(self) -> int:
        """How many rows."""
        return int(self.columns.values[0] + self.columns.missing[0])

    @property
    def features(self) -> int:
        """How many features."""
        return len(self.columns.mean)

    @property
    def problem(self) -> str | None:
        """What the features have that cannot be fitted."""
        if self.columns.missing.any():
            return "NaN"
        is_finite = np.isfinite(self.columns.smallest) & np.isfinite(self.columns.largest)
        return None if is_finite.all() else "infinity"


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
    class_weights = np.bincount(codes, weights, len(classes)).astype(np.float64)
    with np.errstate(all="ignore"):
        return BlockFacts(classes, class_weights, *_moments(block.features))


def _moments(features: Any) -> tuple[Moments, int]:
    """Return the moments of features, the same bits for dense ones of every kind, and how many values are stored."""
    if is_sparse(features):
        return _sparse_moments(features.tocsr())
    rows, width = features.shape
    moments = Moments.empty(width)
    for start in range(0, rows, TILE_ROWS):
        tile = matrix_of(rows_of(features, start, start + TILE_ROWS))
        moments.join(Moments.of(np.ascontiguousarray(tile.T, dtype=np.float64), None))
    return moments, rows * width


def _sparse_moments(features: Any) -> tuple[Moments, int]:
    rows, width = features.shape
    columns, values = features.indices, features.data.astype(np.float64, copy=False)
    found = Moments.empty(width)
    found.missing += np.bincount(columns, np.isnan(values), width).astype(np.int64)
    found.values += rows - found.missing
    found.weight += rows
    found.mean += np.bincount(columns, values, width) / max(1, rows)
    zeros = rows - np.bincount(columns, minlength=width)
    found.squares += np.bincount(columns, (values - found.mean[columns]) ** 2, width) + found.mean**2 * zeros
    np.minimum.at(found.smallest, columns, values)
    np.maximum.at(found.largest, columns, values)
    np.minimum(found.smallest, 0.0, out=found.smallest, where=zeros > 0)
    np.maximum(found.largest, 0.0, out=found.largest, where=zeros > 0)
    return found, int(features.nnz)


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


def join_facts(left: BlockFacts, right: BlockFacts) -> BlockFacts:
    """Return the facts of the rows of both. Changes the left ones."""
    classes, codes = np.unique(np.concatenate([left.classes, right.classes]), return_inverse=True)
    weights = np.bincount(codes, np.concatenate([left.class_weights, right.class_weights]), len(classes))
    with np.errstate(all="ignore"):
        left.columns.join(right.columns)
    return BlockFacts(classes, weights.astype(np.float64), left.columns, left.filled + right.filled)


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
    rows = design.layout.tile_rows
    for start in range(0, block.rows, rows):
        place = slice(start, start + rows)
        features = matrix_of(rows_of(block.features, start, start + rows))
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
    """Fulfils :class:`pipeline.fitting.passes.points.Passes` over blocks of rows."""

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
