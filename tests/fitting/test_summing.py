"""The sums of a pass are what the formulas say of one matrix, however the rows are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fitting.passes.blocks import unpack
from pipeline.fitting.tiles.layout import Floats
from pipeline.fitting.passes.points import SHARES, PassSums, Point
from pipeline.fitting.passes.summing import ChunkSums, combine, tile_sums
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from tests.fitting.rows import Rows

KINDS = {"binary": (2, 1), "a class is the reference": (4, 3), "all classes": (3, 3)}


def some_rows(seed: int, kind: str, *, folds: bool = False) -> Rows:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 90))
    classes, outputs = KINDS[kind]
    return Rows(
        rng.normal(size=(count, 3)),
        rng.integers(0, classes, count),
        [(rng.integers(-1, 4, count), None), (rng.integers(-1, 5, count), rng.normal(size=count))],
        (4, 5),
        weights=rng.integers(0, 4, count).astype(float) if seed % 2 else None,
        offset=rng.normal(size=count) if classes == 2 and seed % 3 else None,
        folds=rng.integers(-1, 3, count).astype(np.int8) if folds else None,
        classes=classes,
        outputs=outputs,
    )


def some_point(seed: int, rows: Rows, *, fold: int | None = None, scores: bool = False) -> Point:
    rng = np.random.default_rng(seed + 1)
    shape = (rows.outputs, rows.layout.width)
    b, step, direction = rng.normal(size=(3, *shape))
    return Point(b, 2, fold, step, direction, diagonal=True, scores=scores)


def sums_of(rows: Rows, point: Point, tile_rows: int = 8_192, block: int = 2) -> PassSums:
    return MemoryPasses(rows.layout, rows.tiles(tile_rows), block=block).sums([point])[0]


def gradients_of_rows(rows: Rows, point: Point) -> Floats:
    at = Point(point.coefficients, 1)
    return np.array([tile_sums(rows.layout, tile, [at])[0].gradient for tile in rows.tiles(1)])


def log_likelihoods(rows: Rows, b: Floats) -> Floats:
    """Of each row, naively."""
    z = rows.matrix() @ b.T
    if rows.offset is not None:
        z = z + rows.offset[:, None]
    if rows.outputs < rows.classes:
        z = np.hstack([np.zeros((len(z), 1)), z])
    return z[np.arange(len(z)), rows.y] - np.log(np.exp(z).sum(axis=1))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(KINDS)))
def test_the_loss_and_its_derivatives_are_those_of_one_matrix(seed: int, kind: str) -> None:
    rows = some_rows(seed, kind)
    point = some_point(seed, rows)
    sums = sums_of(rows, point)
    weights = np.ones(len(rows.y)) if rows.weights is None else rows.weights

    def loss(b: Floats) -> float:
        return -float(weights @ log_likelihoods(rows, b.reshape(point.coefficients.shape)))

    b = point.coefficients.ravel()
    assert sums.rows == len(rows.y)
    assert sums.weight == pytest.approx(weights.sum())
    assert sums.loss == pytest.approx(loss(b), rel=1e-12)
    assert point.step is not None
    steps = [loss(b - (1 - share) * point.step.ravel()) for share in SHARES]
    np.testing.assert_allclose(sums.shorter, steps, rtol=1e-12)
    # Central differences: of the loss for the gradient, of the gradient for the Hessian.
    small = 1e-5 * np.eye(len(b))
    gradient = [(loss(b + d) - loss(b - d)) / 2e-5 for d in small]
    scale = 1e-6 * (1.0 + weights.sum())
    np.testing.assert_allclose(sums.gradient.ravel(), gradient, atol=scale)

    def slope(b: Floats) -> Floats:
        return sums_of(rows, Point(b.reshape(point.coefficients.shape), 1)).gradient.ravel()

    hessian = unpack(sums.hessian, len(b))
    np.testing.assert_allclose(hessian, [(slope(b + d) - slope(b - d)) / 2e-5 for d in small], atol=scale)
    np.testing.assert_allclose(sums.product.ravel(), hessian @ point.direction.ravel(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.diagonal.ravel(), np.diag(hessian), rtol=1e-12, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(KINDS)), st.integers(1, 40), st.integers(1, 5))
def test_another_cut_gives_the_same_sums_within_rounding(seed: int, kind: str, tile_rows: int, block: int) -> None:
    rows = some_rows(seed, kind, folds=True)
    point = some_point(seed, rows, fold=1, scores=True)
    one, other = sums_of(rows, point), sums_of(rows, point, tile_rows, block)
    assert (one.rows, one.held_rows) == (other.rows, other.held_rows)
    assert (one.weight, one.held_weight) == (other.weight, other.held_weight)
    scale = 1.0 + one.loss + one.held_loss
    for name in ("loss", "gradient", "hessian", "product", "diagonal", "outer", "shorter", "held_loss"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-12 * scale)
    if one.rows:
        assert (one.smallest, one.largest) == pytest.approx((other.smallest, other.largest), rel=1e-12)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_same_tiles_give_the_same_bits_alone_and_beside_other_models(kind: str) -> None:
    rows = some_rows(5, kind)
    points = [some_point(seed, rows, scores=True) for seed in range(3)]
    passes = MemoryPasses(rows.layout, lambda: iter(rows.tiles(7)), block=2)
    together = passes.sums(points)
    for point, sums in zip(points, together, strict=True):
        alone = passes.sums([point])[0]
        for name in ("loss", "gradient", "hessian", "product", "diagonal", "outer", "shorter"):
            assert np.asarray(getattr(alone, name)).tobytes() == np.asarray(getattr(sums, name)).tobytes()


@pytest.mark.parametrize("fold", [None, 0, 2])
def test_rows_of_a_fold_and_rows_held_out_are_summed_apart(fold: int | None) -> None:
    rows = some_rows(8, "binary", folds=True)
    point = some_point(8, rows, fold=fold)
    sums = sums_of(rows, point)
    assert rows.folds is not None
    apart = rows.folds == (-1 if fold is None else fold)
    fitted = (rows.folds >= 0) & ~apart
    losses = -log_likelihoods(rows, point.coefficients)
    weights = np.ones(len(rows.y)) if rows.weights is None else rows.weights
    assert (sums.rows, sums.held_rows) == (fitted.sum(), apart.sum())
    assert sums.loss == pytest.approx((losses * weights)[fitted].sum())
    assert sums.held_loss == pytest.approx((losses * weights)[apart].sum())
    assert sums.held_weight == pytest.approx(weights[apart].sum())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_outer_products_are_those_of_the_gradients_of_rows(kind: str) -> None:
    rows = some_rows(11, kind)
    point = some_point(11, rows, scores=True)
    gradients = gradients_of_rows(rows, point).reshape(len(rows.y), -1)
    expected = np.einsum("ri,rj->ij", gradients, gradients)
    outer = unpack(sums_of(rows, point, 16).outer, len(expected))
    np.testing.assert_allclose(outer, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_gradients_are_summed_within_groups_across_tiles(kind: str) -> None:
    rows = some_rows(11, kind)
    rows.groups = np.random.default_rng(0).integers(0, 6, len(rows.y))
    point = some_point(11, rows, scores=True)
    gradients = gradients_of_rows(rows, point)
    sums = sums_of(rows, point, 9)
    assert sums.outer is None
    assert sums.groups is not None
    for group, found in sums.groups.items():
        np.testing.assert_allclose(found, gradients[rows.groups == group].sum(axis=0), rtol=1e-10, atol=1e-10)
    weighted = rows.groups if rows.weights is None else rows.groups[rows.weights > 0]
    assert sorted(sums.groups) == sorted(set(weighted.tolist()))


def test_a_group_without_a_row_that_is_fitted_is_none() -> None:
    rows = some_rows(11, "binary")
    rows.groups = np.arange(len(rows.y)) % 4
    rows.folds = np.where(rows.groups == 2, -1, 0).astype(np.int8)
    sums = sums_of(rows, some_point(11, rows, scores=True), 9)
    assert sums.groups is not None
    assert sorted(sums.groups) == [0, 1, 3]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_margins_are_those_of_the_rows_class_over_each_other(kind: str) -> None:
    rows = some_rows(13, kind)
    point = some_point(13, rows)
    assert point.step is not None
    moves = rows.matrix() @ point.step.T
    if rows.classes > rows.outputs:
        moves = np.hstack([np.zeros((len(moves), 1)), moves])
    own = moves[np.arange(len(moves)), rows.y]
    weighted = np.ones(len(moves), bool) if rows.weights is None else rows.weights > 0
    margins = [own[r] - moves[r, k] for r in np.flatnonzero(weighted) for k in range(rows.classes) if k != rows.y[r]]
    sums = sums_of(rows, point, 10)
    assert (sums.smallest, sums.largest) == pytest.approx((min(margins), max(margins)))


def test_sums_of_a_tile_are_added_to_others_in_place() -> None:
    rows = some_rows(4, "binary")
    point = some_point(4, rows)
    tiles = rows.tiles(20)
    into = tile_sums(rows.layout, tiles[0], [point])
    for tile in tiles[1:]:
        assert tile_sums(rows.layout, tile, [point], into) is into
    assert into[0].loss == pytest.approx(sums_of(rows, point).loss)
    np.testing.assert_allclose(into[0].hessian, sums_of(rows, point).hessian, rtol=1e-12)


def test_no_rows_give_zeros() -> None:
    rows = some_rows(4, "binary")
    sums = MemoryPasses(rows.layout, []).sums([some_point(4, rows)])[0]
    assert (sums.rows, sums.weight, sums.loss) == (0, 0.0, 0.0)
    assert not sums.hessian.any()


@pytest.mark.parametrize("far", [-800.0, 800.0, -1e308])
def test_raw_predictions_far_out_have_finite_losses_and_exact_small_ones(far: float) -> None:
    rows = Rows(np.array([[far]]), np.array([1]), intercept=False)
    sums = sums_of(rows, Point(np.ones((1, 1)), 2))
    assert sums.loss == max(-far, 0.0)
    assert sums.gradient[0, 0] == (-far if far < 0 else 0.0)


def test_a_small_loss_and_residual_keep_their_digits() -> None:
    binary = Rows(np.array([[60.0]]), np.array([1]), intercept=False)
    several = Rows(np.array([[60.0]]), np.array([1]), intercept=False, classes=3, outputs=2)
    assert sums_of(binary, Point(np.ones((1, 1)), 1)).loss == pytest.approx(np.exp(-60.0), rel=1e-13)
    sums = sums_of(several, Point(np.array([[1.0], [0.0]]), 1))
    assert sums.loss == pytest.approx(2 * np.exp(-60.0), rel=1e-13)
    assert sums.gradient[0, 0] == pytest.approx(-120 * np.exp(-60.0), rel=1e-13)


def test_chunks_combined_are_what_one_sum_would_be() -> None:
    rows = some_rows(21, "all classes")
    point = some_point(21, rows, scores=True)
    tiles = rows.tiles(5)
    parts = []
    for tile in tiles:
        chunk = ChunkSums(rows.layout, [point])
        chunk.add(tile)
        parts.append(chunk.done())
    whole = parts[0]
    for part in parts[1:]:
        whole = combine(whole, part)
    np.testing.assert_allclose(whole[0].hessian, sums_of(rows, point).hessian, rtol=1e-11, atol=1e-11)
    assert whole[0].rows == len(rows.y)
