"""States by group: of the first groups in the order of their values, and of all others together.

Which groups are kept depends on the values alone: the first K of all rows are among the first K of every part of the
rows in which they occur, so that their states are complete however parts were added up.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Sequence
from dataclasses import field

import numpy as np
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.errors import DataError, MemoryBudgetError
from pipeline.evaluation.names import NamesRoom
from pipeline.evaluation.states import EvaluationState, StateShape
from pipeline.evaluation.tiles import Codes, UsedRows
from pipeline.models.columns import Levels
from pipeline.units import escape, format_count, number_pattern

# A group: for each column its value as text, None where it is missing.
Group = tuple[str | None, ...]
# What a group is sorted by.
Place = tuple[tuple[int, int | float, str], ...]

MOST_VALUES = 100_000
FEW_GROUPS = 50
# Keys of a table of a group: of few groups, and of many.
KEYS_OF_FEW, KEYS_OF_MANY = 2**14, 2**12

_NUMBER = re.compile(number_pattern())
_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
_KEPT_BYTES = 4 << 20


def place_of(group: Group) -> Place:
    """Return what a group is sorted by: numbers by value, then texts by code points, then what is missing."""
    return tuple(map(_place_of_value, group))


def _place_of_value(value: str | None) -> tuple[int, int | float, str]:
    if value is None:
        return 2, 0, ""
    if _WHOLE.fullmatch(value):
        return 0, int(value), value
    if _NUMBER.fullmatch(value) and np.isfinite(number := float(value)):
        return 0, number, value
    return 1, 0, value


class GroupNames:
    """Gives the values of a column numbers, in the order in which they come. For one thread.

    Parameters
    ----------
    column : str
        For messages.
    room : NamesRoom
        Where the names are counted.
    """

    def __init__(self, column: str = "", room: NamesRoom | None = None) -> None:
        self._column, self._room = column, room or NamesRoom()
        self.names: list[str | None] = []
        self._numbers: dict[str, int] = {}
        self._dictionary: pa.Array | None = None
        self._found: Codes = np.empty(0, dtype=np.intp)

    def codes(self, cells: Levels) -> Codes:
        """Return the number of each row's value, -1 where it is missing; of floats 7.0 is 7, and -0.0 is 0.

        Raises
        ------
        DataError
            There are more values than groups can have, and no room for them.
        MemoryBudgetError
            There is no room for the values.
        """
        dictionary = cells.dictionary
        if self._dictionary is None or not self._dictionary.equals(dictionary):
            floats = pa.types.is_floating(dictionary.type)
            self._found = np.array([*(self._number(name, floats=floats) for name in cells.names), -1], dtype=np.intp)
            self._dictionary = dictionary if dictionary.nbytes <= _KEPT_BYTES else None
        codes: Codes = self._found.take(cells.codes, mode="clip")
        if cells.null is not None:
            codes[cells.null] = -1
        return codes

    def _number(self, name: str | None, *, floats: bool) -> int:
        if name is None:
            return -1
        text = name.removesuffix(".0") if floats else name
        if floats and text == "-0":
            text = "0"
        number = self._numbers.setdefault(text, len(self.names))
        if number == len(self.names):
            self.names.append(text)
            self._take(text)
        return number

    def _take(self, name: str) -> None:
        try:
            self._room.take(self._column, (name,))
        except MemoryBudgetError as error:
            # More memory would not help.
            if len(self.names) > MOST_VALUES:
                raise too_many_values((self._column,)) from error
            raise error.at(column=self._column) from None


def too_many_values(columns: Sequence[str]) -> DataError:
    """Return the error for columns with more values than groups can have."""
    return DataError(
        f"--by {escape(':'.join(columns))}: the column{'s have' if len(columns) > 1 else ' has'} more than "
        f"{format_count(MOST_VALUES)} different values, too many for groups",
        "name a column with fewer values, or make groups of these first",
    ).at(column=columns[0])


def groups_in(codes: Sequence[Codes], names: Sequence[Sequence[str | None]]) -> tuple[list[Group], Codes]:
    """Return the groups that occur in some rows, and which of them each row is in.

    Parameters
    ----------
    codes : sequence of ndarray of intp, shape (rows,)
        For each column the number of the value, -1 where it is missing.
    names : sequence of sequence of str
        For each column the values by number.
    """
    found: list[Group] = [()]
    places: Codes = np.zeros(len(codes[0]), dtype=np.intp)
    for of_column, known in zip(codes, names, strict=True):
        joint = places * (len(known) + 1) + (of_column + 1)
        occurring, places = np.unique(joint, return_inverse=True)
        before, value = np.divmod(occurring, len(known) + 1)
        pairs = zip(before.tolist(), value.tolist(), strict=True)
        found = [(*found[first], None if number == 0 else known[number - 1]) for first, number in pairs]
    return found, places


@dataclass(eq=False)
class GroupStates:
    """The states of the groups of one ``--by``. For one thread.

    Attributes
    ----------
    columns : tuple of str
    shape : StateShape
    most : int
        How many groups have a state of their own.
    states : dict of group to EvaluationState
    others : EvaluationState or None
        Of the rows of all other groups; ``None`` where there are none.
    seen : set of group
        Every group that occurred.
    room : NamesRoom
        Where their names are counted.
    """

    columns: tuple[str, ...]
    shape: StateShape
    most: int
    states: dict[Group, EvaluationState] = field(default_factory=dict)
    others: EvaluationState | None = None
    seen: set[Group] = field(default_factory=set)
    room: NamesRoom = field(default_factory=NamesRoom)

    def add(self, rows: UsedRows, groups: Sequence[Group], places: Codes) -> None:
        """Add the rows of a tile; ``places`` are those of the groups of the rows.

        Raises
        ------
        DataError
            There are more values than groups can have.
        MemoryBudgetError
            There is no room for their names.
        """
        self._see(groups)
        self._keep(groups)
        order = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=len(groups))).tolist()
        starts = [0, *ends[:-1]]
        pooled = []
        for group, start, stop in zip(groups, starts, ends, strict=True):
            if group in self.states:
                self.states[group].add(rows.of_rows(order[start:stop]).tile())
            else:
                pooled.append(order[start:stop])
        if pooled:
            self._pool().add(rows.of_rows(np.sort(np.concatenate(pooled))).tile())

    def merge(self, other: GroupStates) -> None:
        """Add the rows of other states, which must not be used any more.

        Raises
        ------
        DataError
            There are more values than groups can have.
        MemoryBudgetError
            There is no room for their names.
        """
        self._see(other.seen)
        self._keep(other.states)
        for group, state in other.states.items():
            (self.states[group] if group in self.states else self._pool()).merge(state)
        if other.others is not None:
            self._pool().merge(other.others)

    @property
    def kept(self) -> list[tuple[Group, EvaluationState]]:
        """The groups with a state of their own, in order."""
        return sorted(self.states.items(), key=lambda pair: place_of(pair[0]))

    @property
    def pooled(self) -> int:
        """How many groups have no state of their own."""
        return len(self.seen) - len(self.states)

    def _see(self, groups: Iterable[Group]) -> None:
        new = set(groups).difference(self.seen)
        self.seen |= new
        if len(self.seen) > MOST_VALUES:
            raise too_many_values(self.columns)
        by = ":".join(self.columns)
        for group in new:
            self.room.take(by, group)

    def _keep(self, groups: Iterable[Group]) -> None:
        """Make states for the groups that are among the first, and pool those that no longer are."""
        new = [group for group in groups if group not in self.states]
        if not new:
            return
        first = set(heapq.nsmallest(self.most, [*self.states, *new], key=place_of))
        for group in [group for group in self.states if group not in first]:
            self._pool().merge(self.states.pop(group))
        for group in new:
            if group in first:
                self.states[group] = EvaluationState.empty(self.shape)
        for state in self._all():
            state.limit(self._keys)

    def _all(self) -> list[EvaluationState]:
        return [*self.states.values(), *([] if self.others is None else [self.others])]

    @property
    def _keys(self) -> int:
        return KEYS_OF_MANY if len(self.states) > FEW_GROUPS else KEYS_OF_FEW

    def _pool(self) -> EvaluationState:
        if self.others is None:
            self.others = EvaluationState.empty(self.shape)
            self.others.limit(self._keys)
        return self.others
