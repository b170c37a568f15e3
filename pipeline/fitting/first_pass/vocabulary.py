"""The levels of a column that are kept, by how often they occur; those that are pooled; and what they mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.terms import CategoryTerm, ProductTerm
from pipeline.fitting.first_pass.counting import LevelCounts
from pipeline.fitting.first_pass.learnt import LearntLevels
from pipeline.models.levels import LevelType, level_value, spelled_type

# The names of what is not a level of the data.
OTHER = "(other)"
MISSING = "(missing)"
_NUMBERS = {"integer", "number"}
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
    occurring = counts.occurring
    spellings = spellings_of(occurring)
    rows = {level: sum(occurring[text] for text in texts) for level, texts in spellings.items()}
    frequent = sorted(rows.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = {level: count for level, count in frequent[:max_levels] if count >= min_count}
    if len(kept) < len(frequent):
        # A level of the data with the name of the pool is in it.
        kept.pop(OTHER, None)
    pooled = [level for level, _ in frequent if level not in kept]

    def weights(levels: Iterable[str]) -> tuple[float, ...]:
        found = [counts.of_class(text, classes) for level in levels for text in spellings[level]]
        return tuple(np.sum(found, axis=0).tolist())

    of_class = {level: weights([level]) for level in kept}
    if pooled:
        kept[OTHER] = sum(rows[level] for level in pooled)
        of_class[OTHER] = weights(pooled)
    aliases = {text: level for level, texts in spellings.items() for text in texts if text != level}
    return LearntLevels(spelled_type([level for level, _ in frequent]), kept, of_class, tuple(pooled), missing, aliases)


def spellings_of(levels: Collection[str]) -> dict[str, list[str]]:
    """Return the spellings of each level, by the one that represents all.

    Where every level is a number, those of one value are one level: pandas writes 3 as 3.0 in a file with nulls. So are
    those of a truth value, which pandas writes as True to a CSV.
    """
    as_type = _common_type(levels)
    if as_type is None:
        return {level: [level] for level in levels}
    found: dict[object, list[str]] = {}
    for level in levels:
        found.setdefault(level_value(level, as_type), []).append(level)
    if as_type == "boolean":
        return {texts[0].lower(): texts for texts in found.values()}
    return {min(texts, key=lambda text: (len(text), text)): texts for texts in found.values()}


def _common_type(levels: Collection[str]) -> LevelType | None:
    """Return what all levels can be read as, where some of them are spelled in several ways."""
    if spelled_type(levels) != "text":
        return None
    words = {level.lower() for level in levels}
    if words <= {"true", "false"}:
        return "boolean" if len(words) < len(levels) else None
    return "number" if all(spelled_type([level]) in _NUMBERS for level in levels) else None


def reference_of(counts: Mapping[str, int]) -> str:
    """Return the most frequent level, of equal ones the first by spelling."""
    return min(counts, key=lambda level: (-counts[level], level))


def combined_name(columns: Sequence[str]) -> str:
    """Return the name under which combinations of the levels of some columns are learnt."""
    return term_text(ProductTerm(tuple(map(CategoryTerm, columns))))
