"""What the order of the rows tells: areas under curves with their bounds, and what is counted from the top."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.evaluation.exact import Counts, Floats
from pipeline.evaluation.harmonic import harmonic_differences
from pipeline.evaluation.keys import WEIGHTED_SUMS, KeyTable
from pipeline.evaluation.results import DecileGains

_DECILES = 10
# A share is reached when all but this part of it is there.
_ROUNDED = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class RankedKeys:
    """The keys of a table in ascending order, with masses: numbers of rows, or their weights.

    Attributes
    ----------
    rows : ndarray of int64, shape (keys,)
    positives, negatives : ndarray of float64, shape (keys,)
        Masses.
    is_wide : ndarray of bool, shape (keys,)
        Where rows differ.
    smallest, least : ndarray of float64, shape (keys,)
        The smallest score and the smallest probability.
    sums : ndarray of float64, shape (3, keys)
        p of positives, p of negatives, p squared; weighted with weights.
    weighted : bool
    """

    rows: Counts
    positives: Floats
    negatives: Floats
    is_wide: npt.NDArray[np.bool_]
    smallest: Floats
    least: Floats
    sums: Floats
    weighted: bool

    @classmethod
    def of(cls, table: KeyTable) -> RankedKeys:
        """Return the keys of a table."""
        counts, sums = table.totals[:2], table.sums
        weighted = len(sums) == WEIGHTED_SUMS
        masses: Any = sums[:2] if weighted else counts.astype(np.float64)
        smallest, _ = table.ends()
        return cls(
            counts.sum(axis=0), masses[0], masses[1], table.is_wide(), smallest, table.least, sums[-3:], weighted
        )

    @property
    def mass(self) -> Floats:
        """The mass of each key."""
        return self.positives + self.negatives

    @property
    def has_both(self) -> bool:
        """Whether both classes have mass."""
        return bool(self.positives.sum() > 0 and self.negatives.sum() > 0)

    def from_the_top(self) -> tuple[Floats, Floats]:
        """Return the mass of positives and of negatives in each key and all above it, from the highest key down."""
        return np.cumsum(self.positives[::-1]), np.cumsum(self.negatives[::-1])


def area(keys: RankedKeys) -> tuple[float, float]:
    """Return the area under the ROC curve, and how far that of the rows is from it at most.

    Pairs in one key count half: exact where they are equal, and within half of them where they are not.
    """
    positives, negatives = keys.positives, keys.negatives
    below = np.cumsum(negatives) - negatives
    pairs = float(positives.sum()) * float(negatives.sum())
    inside = float((positives * negatives)[keys.is_wide].sum()) / 2.0
    return float((positives * (below + negatives / 2.0)).sum()) / pairs, inside / pairs


def standard_error(keys: RankedKeys) -> float | None:
    """Return the standard error of the area (DeLong, DeLong and Clarke-Pearson, 1988); ``None`` with few rows."""
    above, below = placements(keys.positives, keys.negatives)
    variances = [variance(keys.positives, above), variance(keys.negatives, below)]
    return None if any(math.isnan(each) for each in variances) else math.sqrt(sum(variances))


def placements(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Return by key, in ascending order, the share of negatives below and that of positives above; equal ones half."""
    below = (np.cumsum(negatives) - negatives / 2.0) / negatives.sum()
    above = 1.0 - (np.cumsum(positives) - positives / 2.0) / positives.sum()
    return below, above


def variance(counts: Floats, values: Floats) -> float:
    """Return the variance of the mean of values that occur so often."""
    total = float(counts.sum())
    if total < 2:
        return math.nan
    mean = float((counts * values).sum()) / total
    return float((counts * (values - mean) ** 2).sum()) / (total - 1.0) / total


def average_precision(keys: RankedKeys) -> tuple[float, float]:
    """Return the middle of what the average precision can be, and how far that of the rows is from it at most.

    Of a key with P positives and N negatives, above which are TP0 and FP0: where its rows are equal, it adds
    P (TP0 + P) / (TP0 + P + FP0 + N). Else it adds at most P (TP0 + P) / (TP0 + P + FP0), all positives first and
    equal; at least the sum over i = 1 ... P of (TP0 + i) / (TP0 + i + FP0 + N), all negatives first. With weights that
    sum is at least the integral of (TP0 + t) / (TP0 + t + FP0 + N) over t from 0 to P.
    """
    here = np.flatnonzero(keys.positives > 0)[::-1]
    positives, negatives, is_wide = keys.positives[here], keys.negatives[here], keys.is_wide[here]
    reached, passed = (each[len(keys.rows) - 1 - here] for each in keys.from_the_top())
    equal = positives * reached / (reached + passed)
    before = passed - negatives
    high = np.where(is_wide, positives * reached / (reached + before), equal)
    low = equal.copy()
    low[is_wide] = _lowest(positives[is_wide], (reached - positives)[is_wide], passed[is_wide], keys.weighted)
    total = float(keys.positives.sum())
    bottom, top = float(low.sum()) / total, float(high.sum()) / total
    return (bottom + top) / 2.0, (top - bottom) / 2.0


def _lowest(positives: Floats, reached: Floats, passed: Floats, weighted: bool) -> Floats:
    """Return what keys add at least: positives minus ``passed`` times the sum of 1 / (reached + passed + i)."""
    start = reached + passed
    if weighted:
        with np.errstate(divide="ignore", invalid="ignore"):
            lost = passed * np.log1p(positives / start)
        return np.maximum(positives - np.where(start > 0, lost, 0.0), 0.0)
    return positives - passed * harmonic_differences(start, positives)


def largest_distance(keys: RankedKeys) -> float:
    """Return the statistic of Kolmogorov and Smirnov, over the ends of keys."""
    positives, negatives = (np.cumsum(each) for each in (keys.positives, keys.negatives))
    return float(np.abs(positives / positives[-1] - negatives / negatives[-1]).max())


def deciles(keys: RankedKeys) -> tuple[DecileGains, ...]:
    """Return what is among the rows with the highest scores; nothing without positives."""
    positives, negatives = keys.from_the_top()
    total, mass = float(positives[-1]), positives + negatives
    if not total > 0:
        return ()
    rows = np.cumsum(keys.rows[::-1])
    shares = np.arange(1, _DECILES + 1) / _DECILES
    ends = np.minimum(np.searchsorted(mass, shares * mass[-1] * (1.0 - _ROUNDED)), len(mass) - 1)
    return tuple(
        DecileGains(
            share=float(share),
            rows=int(rows[end]),
            positives=amount(positives[end], keys.weighted),
            lift=float(positives[end] / mass[end] / (total / mass[-1])),
            gains=float(positives[end] / total),
        )
        for share, end in zip(shares, ends, strict=True)
    )


def amount(mass: float, weighted: bool) -> float:
    """Return a mass; a number of rows as an integer."""
    return float(mass) if weighted else int(mass)
