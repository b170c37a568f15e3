"""The step function of an isotonic calibration, from the counts of positives and negatives by key.

The pool-adjacent-violators algorithm: Ayer, Brunk, Ewing, Reid and Silverman, An empirical distribution function for
sampling with incomplete information (1955).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.exact import Counts, Floats


def pooled(positives: Sequence[int], rows: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the blocks of neighbouring keys with a common share of positives: first key, positives, rows.

    The shares increase strictly. They are compared exactly, as fractions of whole numbers.
    """
    blocks: list[tuple[int, int, int]] = []
    for key, (of_key, count) in enumerate(zip(positives, rows, strict=True)):
        first, hits, all_rows = key, of_key, count
        while blocks and blocks[-1][1] * all_rows >= hits * blocks[-1][2]:
            first, more, others = blocks.pop()
            hits, all_rows = hits + more, all_rows + others
        blocks.append((first, hits, all_rows))
    return blocks


def isotonic_steps(smallest: Floats, largest: Floats, positives: Counts, negatives: Counts) -> dict[str, Any] | None:
    """Return the section ``output.calibration`` of an isotonic calibration; ``None`` where it would have one step.

    A step begins half-way between the last raw prediction below it and the first one of its own.

    Parameters
    ----------
    smallest, largest : ndarray of float64, shape (keys,)
        The raw predictions with each key, ascending.
    positives, negatives : ndarray of int64, shape (keys,)
    """
    blocks = pooled(positives.tolist(), (positives + negatives).tolist())
    if len(blocks) == 1:
        return None
    firsts = [first for first, _, _ in blocks[1:]]
    below, above = largest[[first - 1 for first in firsts]], smallest[firsts]
    half = below / 2 + above / 2
    return {
        "method": "isotonic",
        "thresholds": np.where(half > below, half, above).tolist(),
        "probabilities": [hits / rows for _, hits, rows in blocks],
    }
