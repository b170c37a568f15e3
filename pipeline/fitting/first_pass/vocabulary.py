"""The levels of a column that are kept, by how often they occur; those that are pooled; and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.terms import CategoryTerm, ProductTerm
from pipeline.fitting.first_pass.counting import LevelCounts
from pipeline.fitting.first_pass.learnt import LearntLevels
from pipeline.models.levels import spelled_type

# The names of what is not a level of the data.
OTHER = "(other)"
MISSING = "(missing)"
# More different values of a column are not counted, unless more levels are asked for.
MOST_COUNTED = 65_536
# One of them with its counts, in a dictionary of Python.
LEVEL_BYTES = 224


def most_counted(max_levels: int, room: float) -> int:
    """Return how many different values of a column the first pass counts, given the bytes that they may take.

    Always twice as many as are kept.
    """
    return max(2 * max_levels, min(MOST_COUNTED, int(room / LEVEL_BYTES)))


def learnt_levels(
    counts: LevelCounts, missing: int, classes: Sequence[int], *, min_count: int, max_levels: int
) -> LearntLevels:
    """Return what was learnt of a column of levels.

    Levels that occur less than ``min_count`` times, and those beyond the ``max_levels`` most frequent, are pooled. One
    rare level alone is pooled too: levels that no row had will count as it.

    Parameters
    ----------
    counts : LevelCounts
    missing : int
        Rows where the level is missing.
    classes : sequence of int
        The numbers of the classes, in their order.
    min_count, max_levels : int
    """
    frequent = sorted(counts.occurring.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = {level: count for level, count in frequent[:max_levels] if count >= min_count}
    if len(kept) < len(frequent):
        # A level of the data with the name of the pool is in it.
        kept.pop(OTHER, None)
    pooled = [level for level, _ in frequent if level not in kept]
    of_class = {level: counts.of_class(level, classes) for level in kept}
    if pooled:
        occurring = counts.occurring
        kept[OTHER] = sum(occurring[level] for level in pooled)
        of_class[OTHER] = tuple(np.sum([counts.of_class(level, classes) for level in pooled], axis=0).tolist())
    return LearntLevels(spelled_type([level for level, _ in frequent]), kept, of_class, tuple(pooled), missing)


def reference_of(counts: Mapping[str, int]) -> str:
    """Return the most frequent level, of equal ones the first by spelling."""
    return min(counts, key=lambda level: (-counts[level], level))


def combined_name(columns: Sequence[str]) -> str:
    """Return the name under which combinations of the levels of some columns are learnt."""
    return term_text(ProductTerm(tuple(map(CategoryTerm, columns))))
