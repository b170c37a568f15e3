"""Many rows with scores that fixed bins cannot tell apart, in tables of as many keys as an evaluation has."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from pipeline.evaluation.keys import MOST_KEYS
from pipeline.evaluation.results import BinaryMeasures
from pipeline.evaluation.states import TILE_ROWS, EvaluationState, ScoredTile, StateShape
from tests.evaluation.states_of import binary

BOUND = 2e-5


def scores_of(name: str, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, and classes of which more are positive where they are high."""
    random = np.random.default_rng(seed)
    base = random.random(rows)
    probabilities = {
        "uniform": lambda: base,
        "near one": lambda: 1 - 1e-6 * base,
        "nearer one": lambda: 1 - 1e-10 * base,
        "tiny": lambda: 1e-300 * base,
        "narrow": lambda: 0.5 + 1e-4 * base,
        "ties": lambda: np.round(base, 4),
        "subnormal": lambda: 5e-324 * np.round(1e6 * base),
        "of a network": lambda: (1 / (1 + np.exp(-4 * random.normal(size=rows)))).astype(np.float32).astype(np.float64),
        "rare": lambda: base**12,
        "beside a spread": lambda: np.where(random.random(rows) < 0.5, 0.3 + 1e-9 * base, random.random(rows)),
        "constant and spread": lambda: np.where(random.random(rows) < 0.9, 0.3, base),
    }[name]()
    place = base if "beside" in name else (np.argsort(np.argsort(probabilities)) + 0.5) / rows
    return probabilities, random.random(rows) < 0.1 + 0.5 * place


def measured(
    probabilities: np.ndarray, target: np.ndarray, tile: int = TILE_ROWS, most: int = MOST_KEYS
) -> BinaryMeasures:
    state = EvaluationState.empty(StateShape())
    state.limit(most)
    for start in range(0, len(target), tile):
        part, codes = probabilities[start : start + tile], target[start : start + tile]
        state.add(ScoredTile((part,), (part,), (np.zeros(len(part)),), codes.astype(np.intp)))
    return binary(state)


def check(found: BinaryMeasures, probabilities: np.ndarray, target: np.ndarray) -> None:
    assert abs(found.auc - metrics.roc_auc_score(target, probabilities)) <= found.auc_bound + 1e-12
    precision = metrics.average_precision_score(target, probabilities)
    assert abs(found.average_precision - precision) <= found.average_precision_bound + 1e-12


NAMES = ("near one", "tiny", "narrow", "ties")
MORE_NAMES = ("uniform", "nearer one", "subnormal", "of a network", "rare", "constant and spread")


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_NAMES)])
def test_the_bound_is_small_and_holds(name: str) -> None:
    probabilities, target = scores_of(name, 264_000)
    found = measured(probabilities, target, 170_000)
    check(found, probabilities, target)
    assert found.auc_bound <= BOUND
    assert not found.warnings
    if name == "ties":
        assert found.auc_bound == found.average_precision_bound == 0.0


def test_of_a_mixture_the_bound_is_small_or_a_warning_tells_it() -> None:
    probabilities, target = scores_of("beside a spread", 40_000)
    for most in (1 << 14, 1 << 16):
        found = measured(probabilities, target, most=most)
        check(found, probabilities, target)
        assert (found.auc_bound <= BOUND) != bool(found.warnings)


@pytest.mark.campaign
@pytest.mark.parametrize("name", [*NAMES, *MORE_NAMES, "beside a spread"])
def test_the_bound_holds_on_millions_of_rows(name: str) -> None:
    probabilities, target = scores_of(name, 4_000_000)
    found = measured(probabilities, target)
    check(found, probabilities, target)
    assert found.auc_bound <= BOUND or found.warnings
