"""What all rows of an evaluation add up to: exact, in any order."""

from __future__ import annotations

from collections import Counter
from dataclasses import field

from pipeline.dataclass import dataclass
from pipeline.evaluation.groups import FEW_GROUPS, KEYS_OF_FEW, KEYS_OF_MANY, GroupNames, GroupStates, groups_in
from pipeline.evaluation.keys import KEY_BYTES, MOST_KEYS, WEIGHTED_KEY_BYTES
from pipeline.evaluation.names import NamesBudget, NamesRoom
from pipeline.evaluation.states import EvaluationState, StateShape
from pipeline.evaluation.terms import EvaluationTerms
from pipeline.evaluation.tiles import TileBuffer, UsedRows

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
    def empty(cls, terms: EvaluationTerms, names: NamesBudget | None = None) -> EvaluationTotals:
        """Return the totals of no rows; ``names`` says how much memory the names of groups may take."""
        shape, room = terms.shape, NamesRoom(names)
        groups = tuple(GroupStates(by, shape, terms.max_groups, room=room) for by in terms.by)
        return cls(EvaluationState.empty(shape), groups)

    def merge(self, other: EvaluationTotals) -> None:
        """Add the rows of other totals, which must not be used any more."""
        self.whole.merge(other.whole)
        for mine, theirs in zip(self.groups, other.groups, strict=True):
            mine.merge(theirs)
        self.counts.update(other.counts)


class ChunkTotals:
    """The totals of a chunk while its rows come. For one thread."""

    def __init__(self, terms: EvaluationTerms, names: NamesBudget | None = None) -> None:
        self.totals, room = EvaluationTotals.empty(terms, names), NamesRoom(names)
        self.names = {column: GroupNames(column, room) for column in terms.group_columns}
        self._columns = [[terms.group_columns.index(name) for name in by] for by in terms.by]
        self._names = [[self.names[name] for name in by] for by in terms.by]
        self._buffer = TileBuffer()

    def add(self, rows: UsedRows) -> None:
        """Add rows."""
        for tile in self._buffer.add(rows):
            self._add(tile)

    def done(self) -> EvaluationTotals:
        """Return the totals, after the last rows."""
        for tile in self._buffer.rest():
            self._add(tile)
        return self.totals

    def _add(self, rows: UsedRows) -> None:
        self.totals.whole.add(rows.tile())
        for states, columns, names in zip(self.totals.groups, self._columns, self._names, strict=True):
            found = groups_in([rows.groups[column] for column in columns], [each.names for each in names])
            states.add(rows, *found)


def totals_bytes(terms: EvaluationTerms, rows: int) -> int:
    """Return the bytes that the totals of so many rows take at most."""
    shape, few, all_groups = terms.shape, min(terms.max_groups, FEW_GROUPS) + 1, terms.max_groups + 1
    of_groups = max(_states_bytes(shape, rows, few, KEYS_OF_FEW), _states_bytes(shape, rows, all_groups, KEYS_OF_MANY))
    return whole_bytes(terms, rows) + len(terms.by) * of_groups


def whole_bytes(terms: EvaluationTerms, rows: int) -> int:
    """Return the bytes that the state of so many rows takes at most, without those of their groups."""
    return _states_bytes(terms.shape, rows, 1, MOST_KEYS)


def _states_bytes(shape: StateShape, rows: int, states: int, most: int) -> int:
    """Return the bytes of states that have so many rows together, with at most so many keys in each table."""
    binary = shape.classes == 2
    keys = min(rows, states * min(most, shape.most_keys)) * (1 if binary else shape.classes)
    of_keys = shape.models * keys * (WEIGHTED_KEY_BYTES if shape.weighted else KEY_BYTES)
    of_pairs = min(rows, states * most) * _PAIR_BYTES if shape.is_paired else 0
    cells = shape.classes * (len(shape.thresholds) if binary else shape.classes)
    of_cells = 8 * shape.models * cells * (3 if shape.weighted else 1)
    return of_keys + of_pairs + min(rows, states) * (_STATE_BYTES + of_cells)
