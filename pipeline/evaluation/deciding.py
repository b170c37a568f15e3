"""What becomes of rows where a threshold decides."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pipeline.evaluation.exact import Floats
from pipeline.evaluation.ranking import RankedKeys, amount
from pipeline.evaluation.results import BestThreshold, BestThresholds, ThresholdRates


def rates(threshold: float, positives: float, negatives: float, totals: tuple[float, float]) -> ThresholdRates:
    """Return the rates of a threshold.

    Parameters
    ----------
    threshold : float
    positives, negatives : float
        The mass of each class at or above it.
    totals : tuple of two float
        The mass of positives and of negatives in all.
    """
    missed, spared = totals[0] - positives, totals[1] - negatives
    recall, specificity = _share(positives, totals[0]), _share(spared, totals[1])
    square = (positives + negatives) * totals[0] * totals[1] * (spared + missed)
    return ThresholdRates(
        threshold=threshold,
        true_positives=positives,
        false_positives=negatives,
        true_negatives=spared,
        false_negatives=missed,
        precision=_share(positives, positives + negatives),
        recall=recall,
        specificity=specificity,
        f1=_share(2.0 * positives, positives + negatives + totals[0]),
        accuracy=(positives + spared) / (totals[0] + totals[1]),
        balanced_accuracy=None if recall is None or specificity is None else (recall + specificity) / 2.0,
        mcc=_share(positives * spared - negatives * missed, math.sqrt(square)),
    )


def best_thresholds(keys: RankedKeys, cost: tuple[float, float] | None) -> BestThresholds:
    """Return the best thresholds; one that lets no row be positive is not among them.

    Parameters
    ----------
    keys : RankedKeys
        With mass of both classes.
    cost : tuple of two float, or None
        Of a false positive and of a false negative.
    """
    positives, negatives = keys.from_the_top()
    total = float(positives[-1])
    f1 = 2.0 * positives / (positives + negatives + total)
    youden = positives / total - negatives / negatives[-1]
    # A probability that the next key has too cannot divide them.
    least = keys.least[::-1]
    can_divide = np.append(least[1:] < least[:-1], True)

    def best(values: Floats, choose: Callable[[Floats], np.intp]) -> BestThreshold:
        found = int(np.flatnonzero(can_divide)[choose(values[can_divide])])
        return _best(keys, found, float(values[found]))

    price = None if cost is None else (cost[0] * negatives + cost[1] * (total - positives)) / float(keys.mass.sum())
    return BestThresholds(
        best(f1, np.argmax), best(youden, np.argmax), None if price is None else best(price, np.argmin)
    )


def _best(keys: RankedKeys, place: int, value: float) -> BestThreshold:
    positives, negatives = keys.from_the_top()
    flagged = amount(positives[place], keys.weighted), amount(negatives[place], keys.weighted)
    totals = (amount(positives[-1], keys.weighted), amount(negatives[-1], keys.weighted))
    key = len(keys.rows) - 1 - place
    return BestThreshold(value, float(keys.smallest[key]), rates(float(keys.least[key]), *flagged, totals))


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
