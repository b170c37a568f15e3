"""Fits with a few lines of NumPy on expanded matrices: solutions for tests, made without the code that a fit runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.fitting.tiles.layout import FitLayout, Floats, Tile
from pipeline.fitting.solving.objective import Certificate, Solution
from pipeline.fitting.passes.points import PassSums


def expanded(tile: Tile, layout: FitLayout) -> Floats:
    """Return the rows of a tile with a column for each coefficient of one raw prediction."""
    parts = [tile.dense]
    for column, count in zip(tile.levels, layout.levels, strict=True):
        ones = (column.codes[:, None] == np.arange(count)).astype(float)
        parts.append(ones if column.values is None else ones * column.values[:, None])
    return np.hstack(parts)


def joined(tiles: list[Tile]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes, weights and offsets of all tiles."""
    classes = np.concatenate([tile.classes for tile in tiles])
    weights = np.concatenate([np.ones(tile.rows) if tile.weights is None else tile.weights for tile in tiles])
    offsets = np.concatenate([np.zeros(tile.rows) if tile.offset is None else tile.offset for tile in tiles])
    return classes, weights, offsets


def summed(tiles: list[Tile], layout: FitLayout, coefficients: Floats) -> PassSums:
    """Return the sums at some coefficients, with outer products and groups."""
    matrix = np.vstack([expanded(tile, layout) for tile in tiles])
    classes, weights, offsets = joined(tiles)
    raw = matrix @ coefficients.T + offsets[:, None]
    # The raw prediction of a reference class, or of the negative one, is 0.
    full = raw if layout.outputs == layout.classes else np.hstack([np.zeros((len(raw), 1)), raw])
    logs = full - np.logaddexp.reduce(full, axis=1, keepdims=True)
    shares = np.exp(logs)[:, -layout.outputs :]
    truth = (classes[:, None] == np.arange(layout.classes)).astype(float)[:, -layout.outputs :]
    scores = ((shares - truth)[:, :, None] * matrix[:, None, :]).reshape(len(matrix), -1) * weights[:, None]
    curves = shares[:, :, None] * (np.eye(layout.outputs) - shares[:, None, :]) * weights[:, None, None]
    hessian = np.einsum("nab,ni,nj->aibj", curves, matrix, matrix, optimize=True).reshape(layout.size, layout.size)
    lower = np.tril_indices(layout.size)
    sums = PassSums(
        len(matrix),
        float(weights.sum()),
        float(-weights @ logs[np.arange(len(logs)), classes]),
        scores.sum(axis=0).reshape(coefficients.shape),
        hessian[lower],
        outer=(scores.T @ scores)[lower],
    )
    if tiles[0].groups is not None:
        groups = np.concatenate([tile.groups for tile in tiles])
        sums.groups = {
            int(group): scores[groups == group].sum(axis=0).reshape(coefficients.shape) for group in np.unique(groups)
        }
    return sums


def solved(tiles: list[Tile], layout: FitLayout, *, l2: float = 0.0, dropped: tuple[int, ...] = ()) -> Solution:
    """Return the optimum, by Newton's method; ``l2`` times half the squares is added to the summed loss."""
    coefficients = np.zeros((layout.outputs, layout.width))
    free = np.tile(~np.isin(np.arange(layout.width), dropped), layout.outputs)
    for _ in range(30):
        sums = summed(tiles, layout, coefficients)
        hessian = np.zeros((layout.size, layout.size))
        hessian[np.tril_indices(layout.size)] = sums.hessian
        hessian += np.tril(hessian, -1).T + l2 * np.eye(layout.size)
        gradient = sums.gradient.ravel() + l2 * coefficients.ravel()
        step = np.zeros(layout.size)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        coefficients = coefficients - step.reshape(coefficients.shape)
        if step @ gradient < 1e-24:
            break
    sums = summed(tiles, layout, coefficients)
    certificate = Certificate(True, "the step is small", float(step @ gradient), 0.0, 0.0, 1, sums.rows)
    found = Solution(coefficients, sums, sums.loss / sums.weight, certificate, ())
    return replace(found, dropped=tuple((position, ()) for position in dropped))
