"""What the first pass learns: classes, vocabularies, moments, bins, and a sample of rows.

All of it is plain values, so that it can be stored beside the output and travel to workers as JSON; the sample is an
Arrow table of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from pipeline.dataclass import dataclass
from pipeline.models.levels import LevelType


@dataclass(frozen=True, slots=True)
class LearntNumber:
    """What was learnt of a column of numbers after its steps, over the values of the rows that are fitted.

    ``mean`` and ``deviation`` (of the population) are weighted. ``median`` is the middle of its key, within 0.4 %,
    unless it was found exactly. ``share`` is that of the weight of the values among all fitted rows.
    """

    values: int
    missing: int
    mean: float
    deviation: float
    smallest: float
    largest: float
    share: float = 1.0
    median: float | None = None


@dataclass(frozen=True, slots=True)
class LearntLevels:
    """What was learnt of a column of levels.

    Attributes
    ----------
    type : LevelType
        What the spellings mean.
    counts : dict of str to int
        How often each level that is kept occurs, the most frequent first, equal ones by spelling.
    of_class : dict of str to tuple of float
        The weight of each class in the rows of each level.
    pooled : tuple of str
        Levels that are too rare, or beyond the most that are kept: one level together, named ``(other)``.
    missing : int
    aliases : dict of str to str
        Other spellings of a level, kept or pooled: 3.0 of 3.
    """

    type: LevelType
    counts: Mapping[str, int]
    of_class: Mapping[str, tuple[float, ...]]
    pooled: tuple[str, ...] = ()
    missing: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LearntBins:
    """The intervals of a column: the inner edges, their weights of evidence where asked for, and what they say.

    ``counts`` are the rows of each interval by class, and of missing values last; ``information_value`` is the sum of
    (share of positives - share of negatives) * weight of evidence.
    """

    edges: tuple[float, ...]
    counts: tuple[tuple[float, ...], ...]
    woe: tuple[float, ...] = ()
    information_value: float | None = None


@dataclass(frozen=True, slots=True)
class FitAccounts:
    """What became of the rows: ``read`` is the sum of all others."""

    read: int = 0
    used: int = 0
    held_out: int = 0
    dropped: int = 0
    bad: int = 0
    without_target: int = 0


@dataclass(frozen=True, slots=True)
class Learnt:
    """All that the first pass learns.

    Attributes
    ----------
    rows : FitAccounts
    weight : float
        The sum of the weights of the rows that are used.
    classes : tuple of bool, int or str
        The values of the target, the negative one first.
    class_weights : tuple of float
    numbers : dict of str to LearntNumber
        By the text of the number: ``log1p(x)``.
    levels : dict of str to LearntLevels
        By column, and combinations of several by the text of their product; their levels are JSON lists.
    bins : dict of str to LearntBins
        By the text of the term.
    class_totals : tuple of float
        The summed weight of the rows of each class, before ``class_weights``.
    """

    rows: FitAccounts
    weight: float
    classes: tuple[bool | int | str, ...]
    class_weights: tuple[float, ...]
    numbers: Mapping[str, LearntNumber] = field(default_factory=dict)
    levels: Mapping[str, LearntLevels] = field(default_factory=dict)
    bins: Mapping[str, LearntBins] = field(default_factory=dict)
    class_totals: tuple[float, ...] = ()
