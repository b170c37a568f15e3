"""An agenda that hands out chunks in an order of the caller, and passes their outcomes on in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pipeline.errors import BalanceError
from pipeline.types.inputs import Integers
from pipeline.types.work import Outcome, Work

Payload = TypeVar("Payload")


class OrderedAgenda(Generic[Payload]):
    """Hands out chunks in an order, and confirms each of them once and in that order. For one thread.

    Parameters
    ----------
    order : sequence of int
        The chunks, each once.
    begins : ndarray of int64, shape (chunks,)
        Where chunks begin inside a CSV; an earlier pass has found all of them.
    confirmed : callable
        Receives each outcome.
    ahead : callable
        Returns how many chunks may be handed out whose turn has not come: as many payloads wait at most. Asked each
        time, because a cluster may grow in the middle of a pass; one chunk is always handed out.
    """

    def __init__(
        self,
        order: Sequence[int],
        begins: Integers,
        confirmed: Callable[[Outcome[Payload]], None],
        ahead: Callable[[], int],
    ) -> None:
        self._order, self._begins = order, begins
        self._confirmed, self._ahead = confirmed, ahead
        self._taken = self._done = 0
        self._places = {chunk: place for place, chunk in enumerate(order)}
        self._waiting: dict[int, Outcome[Payload]] = {}

    def take(self, limit: int) -> Sequence[Work]:
        """Return at most ``limit`` chunks."""
        stop = min(len(self._order), self._taken + limit, self._done + max(1, self._ahead()))
        chunks, self._taken = self._order[self._taken : stop], max(self._taken, stop)
        return [Work(int(chunk), int(self._begins[chunk]) or None) for chunk in chunks]

    def deliver(self, outcome: Outcome[Payload]) -> None:
        """Confirm outcomes whose turn has come; hold the others, and drop duplicates."""
        if self._places[outcome.chunk] < self._done:
            return
        self._waiting[self._places[outcome.chunk]] = outcome
        while self._done in self._waiting:
            found = self._waiting.pop(self._done)
            self._done += 1
            self._confirmed(found)

    def require_complete(self) -> None:
        """Raise a ``BalanceError`` unless every chunk is done."""
        if missing := len(self._order) - self._done:
            raise BalanceError(f"{missing:,} of {len(self._order):,} chunks were not read", "run again")
