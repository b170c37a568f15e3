"""What a report draws: curves of the order of rows, thinned to few points, and rows of each class by probability."""

from __future__ import annotations

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.evaluation.exact import Floats
from pipeline.evaluation.ranking import RankedKeys
from pipeline.evaluation.states import EvaluationState

_POINTS = 400
_BARS = 50


@dataclass(frozen=True, slots=True)
class RankingCurves:
    """Curves of a model, of two classes.

    Attributes
    ----------
    false_positive_rate, recall : tuple of float
        Points of the ROC curve, from (0, 0) to (1, 1).
    reached, precision : tuple of float
        Points of the precision-recall curve: recall, and the precision there.
    share, lift : tuple of float
        Points of the lift curve: the share of rows with the highest scores, and their lift.
    edges : tuple of float
        Ends of intervals of the probability; one more than there are intervals.
    positives, negatives : tuple of float
        The mass of each class in each interval; a key is where its mean probability is.
    """

    false_positive_rate: tuple[float, ...]
    recall: tuple[float, ...]
    reached: tuple[float, ...]
    precision: tuple[float, ...]
    share: tuple[float, ...]
    lift: tuple[float, ...]
    edges: tuple[float, ...]
    positives: tuple[float, ...]
    negatives: tuple[float, ...]


def curves(state: EvaluationState, model: int = 0) -> RankingCurves | None:
    """Return the curves of one model; ``None`` of one class alone, and of more than two."""
    if state.shape.classes != 2:
        return None
    keys = RankedKeys.of(state.models[model].counters[0].table())
    if not keys.has_both:
        return None
    positives, negatives = keys.from_the_top()
    recall, passed = positives / positives[-1], negatives / negatives[-1]
    mass = positives + negatives
    precision = positives / np.where(mass > 0, mass, 1.0)
    share = mass / mass[-1]
    roc = _few(recall + passed)
    # A thinned curve keeps the first key with positives, above which there is no precision to draw.
    drawn = _few(recall)
    drawn = drawn[recall[drawn] > 0]
    lifted = _few(share)
    lifted = lifted[share[lifted] > 0]
    bars = _bars(keys)
    return RankingCurves(
        (0.0, *passed[roc].tolist()),
        (0.0, *recall[roc].tolist()),
        tuple(recall[drawn].tolist()),
        tuple(precision[drawn].tolist()),
        tuple(share[lifted].tolist()),
        tuple((precision[lifted] / precision[-1]).tolist()),
        *(tuple(each.tolist()) for each in bars),
    )


def _few(rising: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return places at about equal distances along a sequence that does not fall, its last one among them."""
    wanted = np.linspace(rising[0], rising[-1], _POINTS)
    return np.unique(np.minimum(np.searchsorted(rising, wanted), len(rising) - 1))


def _bars(keys: RankedKeys) -> tuple[Floats, Floats, Floats]:
    here = keys.mass > 0
    mean = keys.sums[:2].sum(axis=0)[here] / keys.mass[here]
    places = np.minimum((mean * _BARS).astype(np.intp), _BARS - 1)
    positives: Floats = np.bincount(places, keys.positives[here], _BARS).astype(np.float64)
    negatives: Floats = np.bincount(places, keys.negatives[here], _BARS).astype(np.float64)
    return np.linspace(0.0, 1.0, _BARS + 1), positives, negatives
