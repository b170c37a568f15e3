"""Intervals of a column of numbers: weights of evidence, and neighbours merged until they are monotone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.errors import DataError
from pipeline.fitting.tiles.layout import Floats
from pipeline.fitting.first_pass.learnt import LearntBins
from pipeline.fitting.asking.terms import BinsTerm
from pipeline.units import escape, format_count

# Added to both counts of an interval with one class alone, whose weight of evidence would be infinite.
_ADDED = 0.5


def learnt_bins(term: BinsTerm, edges: Sequence[float], counts: Floats) -> LearntBins:
    """Return what was learnt of a column in intervals.

    Parameters
    ----------
    term : BinsTerm
    edges : sequence of float
        The inner edges of the fine intervals.
    counts : ndarray of float64, shape (intervals + 1, classes)
        Weights, the negative class first where there are two; those of missing values last.

    Raises
    ------
    DataError
        Weights of evidence are wanted of more than two classes.
    """
    if term.woe and counts.shape[1] != 2:
        raise DataError(
            f"B({escape(term.column)}, woe=true): weights of evidence need two classes, but the target has "
            f"{format_count(counts.shape[1])}",
            "leave woe=true out, or make the target one of two values",
        ).at(column=term.column)
    if term.woe and term.monotone is not None:
        edges, counts = merged(edges, counts, falling=term.monotone == "down")
    rows = tuple(map(tuple, counts.tolist()))
    if not term.woe:
        return LearntBins(tuple(edges), rows)
    woe, value = weights_of_evidence(counts)
    return LearntBins(tuple(edges), rows, woe, value)


def weights_of_evidence(counts: Floats) -> tuple[tuple[float, ...], float]:
    """Return the weight of evidence of each interval, and the information value of the column.

    The weight of evidence is ln(share of the positives / share of the negatives), where the shares are those of the
    interval among all rows. An interval with rows of one class alone has half a row more of each; one without rows has
    the weight 0. The information value is the sum of (share of the positives - share of the negatives) * weight.
    (Siddiqi, *Credit Risk Scorecards*, 2006, turned round: here a higher weight means more positives.)

    Parameters
    ----------
    counts : ndarray of float64, shape (intervals, 2)
        Of negatives and positives.
    """
    alone = (counts.min(axis=1) == 0) & (counts.sum(axis=1) > 0)
    filled = counts + _ADDED * alone[:, None]
    shares = filled / filled.sum(axis=0)
    woe = [math.log(positive / negative) if positive > 0 else 0.0 for negative, positive in shares.tolist()]
    value = math.fsum((row[1] - row[0]) * weight for row, weight in zip(shares.tolist(), woe, strict=True))
    return tuple(woe), value


def merged(edges: Sequence[float], counts: Floats, *, falling: bool) -> tuple[tuple[float, ...], Floats]:
    """Return intervals whose share of positives rises or falls: neighbours that do not are one interval.

    These are the blocks of the isotonic regression of the fine intervals (pool adjacent violators: Ayer and others,
    *An empirical distribution function for sampling with incomplete information*, 1955). Missing values, which are
    last, stay as they are.
    """
    *fine, missing = counts
    blocks: list[tuple[int, Floats]] = []
    for number, row in enumerate(fine):
        blocks.append((number, row))
        while len(blocks) > 1 and _violates(blocks[-2][1], blocks[-1][1], falling=falling):
            _, last = blocks.pop()
            first, before = blocks.pop()
            blocks.append((first, before + last))
    kept = tuple(edges[first - 1] for first, _ in blocks[1:])
    return kept, np.vstack([*(row for _, row in blocks), missing])


def _violates(before: Floats, after: Floats, *, falling: bool) -> bool:
    """Return whether the share of positives does not change in the right direction; an empty interval never does."""
    first, second = float(before[1] * after.sum()), float(after[1] * before.sum())
    return second >= first if falling else second <= first
