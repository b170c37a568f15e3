"""Rows that are generated block by block, as often as they are asked for, and what sorting all of them gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from pipeline.evaluation.results import BinaryMeasures
from pipeline.evaluation.states import EvaluationState, ScoredTile, StateShape
from tests.evaluation.states_of import binary, losses_of

BLOCK_ROWS = 125_000
_FOUND = 1 << 21

Draw = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]


def _beside(share: float, band: Callable[[np.ndarray], np.ndarray], wide: Callable[[np.ndarray], np.ndarray]) -> Draw:
    return lambda random, base, block: np.where(random.random(len(base)) < share, band(base), wide(base))


def _log_uniform(base: np.ndarray) -> np.ndarray:
    return 10.0 ** (-300 * base)


def _of_a_network(random: np.random.Generator, base: np.ndarray, block: int) -> np.ndarray:
    return (1 / (1 + np.exp(-4 * ndtri(base)))).astype(np.float32).astype(np.float64)


_DRAWN: dict[str, Draw] = {
    "uniform": lambda random, base, block: base,
    "rare": lambda random, base, block: base**12,
    "of a network": _of_a_network,
    "near one": lambda random, base, block: 1 - 1e-10 * base,
    "tiny": lambda random, base, block: 1e-300 * base,
    "subnormal": lambda random, base, block: 5e-324 * np.round(1e6 * base),
    "ties": lambda random, base, block: np.round(base, 4),
    "ties and others": _beside(0.9, lambda base: np.round(base, 1), lambda base: base),
    "a band beside a spread": _beside(0.5, lambda base: 0.3 + 1e-9 * base, lambda base: base),
    "bands beside orders of magnitude": _beside(
        0.9, lambda base: np.where(base < 0.5, 0.3 + 1e-12 * base, 1 - 1e-9 * base), _log_uniform
    ),
    # Keys that hold all bits of what came first hold fewer once the others come.
    "a band, then a spread": lambda random, base, block: base if block % 4 == 3 else 0.3 + 1e-9 * base,
}
_KINDS = ("uniform", "near one", "tiny", "ties", "of a network", "rare")
NAMES = (*_DRAWN, "block by block another kind", "raw predictions")


@dataclass(frozen=True, slots=True)
class GeneratedRows:
    """So many rows of a kind.

    Attributes
    ----------
    name : str
        One of ``NAMES``.
    rows : int
    """

    name: str
    rows: int

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield scores, probabilities and classes; the same ones each time."""
        for block, start in enumerate(range(0, self.rows, BLOCK_ROWS)):
            random = np.random.default_rng([NAMES.index(self.name), block])
            base = random.random(min(BLOCK_ROWS, self.rows - start))
            target = random.random(len(base)) < 0.1 + 0.5 * base
            if self.name == "raw predictions":
                scores = np.where(random.random(len(base)) < 0.3, 1e-6 * base, 80 * base - 40)
                yield scores, 1 / (1 + np.exp(-scores)), target
                continue
            kind = _KINDS[block % len(_KINDS)] if self.name.startswith("block") else self.name
            probabilities = _DRAWN[kind](random, base, block)
            yield probabilities, probabilities, target

    def measured(self) -> BinaryMeasures:
        """Return the measures of one pass, which has one block at a time."""
        state = EvaluationState.empty(StateShape())
        for scores, probabilities, target in self.blocks():
            losses = losses_of(probabilities, target)
            state.add(ScoredTile((scores,), (probabilities,), (losses,), target.astype(np.intp)))
        return binary(state)


@dataclass(frozen=True, slots=True)
class SortedRows:
    """The scores of the rows of each class in ascending order."""

    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, rows: GeneratedRows) -> SortedRows:
        """Return all rows, sorted."""
        parts = [(scores[target], scores[~target]) for scores, _, target in rows.blocks()]
        positives, negatives = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        positives.sort()
        negatives.sort()
        return cls(positives, negatives)

    def area(self) -> float:
        """Return the area under the ROC curve: pairs are counted as integers."""
        twice = sum(
            int(np.searchsorted(self.negatives, block, side).sum())
            for block in self._blocks()
            for side in ("left", "right")
        )
        return twice / (2 * len(self.positives) * len(self.negatives))

    def average_precision(self) -> float:
        """Return the mean over the positives of the precision of all rows from their score up."""
        sums = []
        for block in self._blocks():
            reached, passed = (len(each) - np.searchsorted(each, block) for each in (self.positives, self.negatives))
            sums.append(float((reached / (reached + passed)).sum()))
        return math.fsum(sums) / len(self.positives)

    def _blocks(self) -> list[np.ndarray[Any, Any]]:
        return np.array_split(self.positives, max(1, len(self.positives) // _FOUND))
