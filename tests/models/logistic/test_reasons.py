"""The reasons of a row are its largest effects, whichever way they are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.models.logistic.reasons import Ranking, rank

ROWS = 150
SPREADS = {
    "apart": lambda random, shape: random.standard_normal(shape),
    "equal": lambda random, shape: np.round(random.standard_normal(shape)),
    "zero": lambda random, shape: random.choice([0.0, -0.0, -1.0], shape, p=[0.45, 0.45, 0.1]),
    "subnormal": lambda random, shape: random.choice([5e-324, -5e-324, -1e-310, -1e-45, -3e-44, 0.0, -0.0], shape),
    "close": lambda random, shape: np.nextafter(-1.0, random.choice([-2, 0], shape)),
    "huge": lambda random, shape: random.standard_normal(shape) * random.choice([1e39, 1e300, np.inf], shape),
}


def one_by_one(contributions: np.ndarray, references: np.ndarray, count: int, direction: str) -> list[list[int]]:
    """Return the reasons of each row as the rules state them, a row at a time."""
    found = []
    for row in contributions.T:
        effects = [c - r if direction == "lower" else r - c for c, r in zip(row.tolist(), references, strict=True)]
        lowering = [feature for feature, effect in enumerate(effects) if effect < 0]
        chosen = sorted(lowering, key=lambda feature: (effects[feature], feature))[:count]
        found.append(chosen + [-1] * (count - len(chosen)))
    return found


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("direction", ["lower", "raise"])
@pytest.mark.parametrize("features", [1, 2, 3, 20, 129])
@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("is_zero", [True, False])
def test_reasons_are_the_largest_effects_ties_in_the_order_of_the_file(
    spread: str, direction: Any, features: int, count: int, is_zero: bool
) -> None:
    random = np.random.default_rng(features)
    contributions = SPREADS[spread](random, (features, ROWS))
    references = np.zeros(features) if is_zero else random.choice([-1.0, 0.25], features)
    expected = one_by_one(contributions, references, count, direction)
    exact = rank(contributions, references, count, direction)
    assert exact.T.tolist() == expected

    ranking = Ranking(count, direction, references)
    for rows in (ROWS, 1, ROWS):
        for feature, added in enumerate(contributions[:, :rows]):
            ranking.add(feature, added)
        found, unclear = ranking.find()
        found[:, unclear] = exact[:, unclear]
        assert found.T.tolist() == expected[:rows]
