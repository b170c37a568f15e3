"""What all rows of an evaluation add up to: exact, in any order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.evaluation.groups import FEW_GROUPS, KEYS_OF_FEW, KEYS_OF_MANY, GroupNames, GroupStates, groups_in
from pipeline.evaluation.keys import MOST_KEYS
from pipeline.evaluation.states import EvaluationState, StateShape
from pipeline.evaluation.terms import EvaluationTerms
from pipeline.evaluation.tiles import TileBuffer, UsedRows

# Of a key of a table: the key, counts of both classes, the smallest and the largest score, three sums in two parts.
_KEY_BYTES, _WEIGHTED_KEY_BYTES = 8 * (5 + 2 * 3), 8 * (5 + 2 * 5)
# Of a pair of keys of two models: both keys, counts of both classes.
_PAIR_BYTES = 8 * 4
# What a state takes besides its tables.
_STATE_BYTES = 1 << 14


@dataclass(eq=False)
class EvaluationTotals:
    """The states of all rows and of groups of them, and how many rows were left out, and why. For one thread.

    Attributes
    ----------
    whole : EvaluationState
    groups : tuple of GroupStates
    counts : Counter
        ``without_target``, ``without_score``; ``clipped 0`` and ``clipped 1`` of the models.
    """

    whole: EvaluationState
    groups: tuple[GroupStates, ...]
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def empty(cls, terms: EvaluationTerms) -> EvaluationTotals:
        """Return the totals of no rows."""
        shape = terms.shape
        groups = tuple(GroupStates(by, shape, terms.max_groups) for by in terms.by)
        return cls(EvaluationState.empty(shape), groups)

    def merge(self, other: EvaluationTotals) -> None:
        """Add the rows of other totals, which must not be used any more."""
        self.whole.merge(other.whole)
        for mine, theirs in zip(self.groups, other.groups, strict=True):
            mine.merge(theirs)
        self.counts.update(other.counts)


class ChunkTotals:
    """The totals of a chunk while its rows come. For one thread."""

    def __init__(self, terms: EvaluationTerms) -> None:
        self.totals = EvaluationTotals.empty(terms)
        self.names = {column: GroupNames() for column in terms.group_columns}
        self._columns = [[terms.group_columns.index(name) for name in by] for by in terms.by]
        self._names = [[self.names[name] for name in by] for by in terms.by]
        self._buffer = TileBuffer(self._add)

    def add(self, rows: UsedRows) -> None:
        """Add rows."""
        self._buffer.add(rows)

    def done(self) -> EvaluationTotals:
        """Return the totals, after the last rows."""
        self._buffer.flush()
        return self.totals

    def _add(self, rows: UsedRows) -> None:
        self.totals.whole.add(rows.tile())
        for states, columns, names in zip(self.totals.groups, self._columns, self._names, strict=True):
            found = groups_in([rows.groups[column] for column in columns], [each.names for each in names])
            states.add(rows, *found)


def totals_bytes(terms: EvaluationTerms, rows: int) -> int:
    """Return the bytes that the totals of so many rows take at most."""
    of_groups = sum(_group_bytes(terms, rows) for _ in terms.by)
    return state_bytes(terms.shape, min(rows, MOST_KEYS)) + of_groups


def state_bytes(shape: StateShape, keys: int) -> int:
    """Return the bytes of a state whose tables have so many keys."""
    tables = shape.models * keys * (_WEIGHTED_KEY_BYTES if shape.weighted else _KEY_BYTES)
    pairs = _PAIR_BYTES * keys if shape.models > 1 and shape.classes == 2 else 0
    return _STATE_BYTES + tables + pairs + 8 * shape.classes**2


def _group_bytes(terms: EvaluationTerms, rows: int) -> int:
    """Return the bytes of the states of the groups of one ``--by``: each row is in one of them."""
    few = min(terms.max_groups, FEW_GROUPS) + 1
    most = max(few * KEYS_OF_FEW, (terms.max_groups + 1) * KEYS_OF_MANY)
    return state_bytes(terms.shape, min(rows, most)) + _STATE_BYTES * (terms.max_groups + 1)
