"""What the names of groups take in memory: it is not known before rows are read, and must fit the budget all the same.

A little room for them is in the projection. Whoever needs more looks at what its process takes, and stops before that
is the whole budget.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pipeline import memory
from pipeline.dataclass import dataclass
from pipeline.errors import MemoryBudgetError
from pipeline.units import escape, format_bytes

# What each holder of names may take in any case, for each --by.
LEAST_ROOM = 1 << 20
# Of this a worker has: the names of a chunk, its groups, the names of a batch, the groups of a tile.
ROOMS_OF_A_WORKER = 4
# The totals, and what is made of them when they are written to a file.
ROOMS_OF_TOTALS = 3
# Of a name, besides itself: its places in a set or a dictionary, and in a list, and a tuple.
_PLACES_BYTES = 160
# How much more a holder takes before it looks again at its process.
_STEP_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class NamesBudget:
    """How much memory names of groups may take: plain values, which travel to workers.

    Attributes
    ----------
    least_bytes : int
        What each holder may take.
    process_bytes : int
        More than that is taken as long as the process takes less than this.
    """

    least_bytes: int
    process_bytes: int


@dataclass(slots=True, eq=False)
class NamesRoom:
    """Counts what the names of groups take in one holder of them. For one thread.

    Attributes
    ----------
    budget : NamesBudget or None
        ``None`` where they may take any memory.
    taken : int
    """

    budget: NamesBudget | None = None
    taken: int = 0
    _look_at: int = 0

    def take(self, by: str, names: Iterable[str | None]) -> None:
        """Count the values of a group, or one value; ``by`` is what ``--by`` says, for a message.

        Raises
        ------
        MemoryBudgetError
            The process takes too much for more of them.
        """
        self.taken += _PLACES_BYTES + sum(sys.getsizeof(name) for name in names if name is not None)
        budget = self.budget
        if budget is None or self.taken <= max(budget.least_bytes, self._look_at):
            return
        self._look_at = self.taken + _STEP_BYTES
        if (now := memory.current_bytes()) >= budget.process_bytes:
            raise MemoryBudgetError(
                f"--by {escape(by)}: the names of its groups do not fit the memory: the process takes "
                f"{format_bytes(now)}, and may take {format_bytes(budget.process_bytes)} while they become more",
                "raise --memory, lower --workers, or name columns with fewer or shorter values",
            )
