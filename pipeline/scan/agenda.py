"""The agenda of a pass: which chunks are still to do, and which outcomes are confirmed.

A worker that starts in the middle of a CSV guesses where the first record begins. The guess is checked here: the end
of a confirmed slice must be the begin of the next one, so every cut is right, by induction from the header. A chunk
with a wrong guess is done again from the right place, and its first outcome is dropped. Outcomes that wait for the
chunk before them are held; there are never more of them than tasks that were handed out after that chunk.

Confirmed begins are kept for the next pass over the same chunks, which then guesses nothing and waits for nothing.
Chunks that an earlier try or the published version has done are known from the start, with the ends of their slices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from pipeline.errors import BalanceError
from pipeline.plan import Plan
from pipeline.types.inputs import Integers
from pipeline.types.work import Outcome, Work

Payload = TypeVar("Payload")


def unknown_begins(plan: Plan) -> Integers:
    """Return the begins of the chunks of a plan before any pass: 0, which means unknown."""
    return np.zeros(len(plan), dtype=np.int64)


class Agenda(Generic[Payload]):
    """Hands out work and passes on each outcome once it is confirmed.

    Every chunk of the plan is confirmed at most once, even if outcomes are delivered twice and in any order. The
    chunks of one CSV are confirmed in order, unless their begins are known. Not safe for use from several threads.

    Parameters
    ----------
    plan : Plan
    confirmed : callable
        Receives each confirmed outcome.
    begins : ndarray of int64, shape (chunks,)
        Where chunks begin inside a CSV, 0 where that is unknown. Begins that are found are entered.
    ahead : callable, optional
        Returns how far a chunk that begins inside a CSV may be ahead of the oldest unconfirmed one; asked each time,
        because a cluster may grow in the middle of a pass. A limit keeps outcomes with large payloads from piling up.
    """

    def __init__(
        self,
        plan: Plan,
        confirmed: Callable[[Outcome[Payload]], None],
        begins: Integers,
        ahead: Callable[[], int] | None = None,
    ) -> None:
        self._plan = plan
        self._confirmed = confirmed
        self._begins = begins
        self._ahead = ahead
        self._next = 0
        self._oldest = 0
        self._stopped = False
        self._again: deque[Work] = deque()
        self._held: dict[int, Outcome[Payload]] = {}
        # For each chunk that is done, where its last slice ends.
        self._ends = np.zeros(len(plan), dtype=np.int64)
        self._done = bytearray(len(plan))
        self._given_up = False

    def mark_done(self, outcome: Outcome[Any]) -> None:
        """Mark a chunk as done before the work begins; its begin was confirmed when it was done."""
        self._done[outcome.chunk] = 1
        if end := outcome.accounts[-1].end:
            self._ends[outcome.chunk] = end
            self._begins[outcome.chunk] = outcome.accounts[0].begin

    def leave_out(self, chunks: Integers) -> None:
        """Mark chunks as done that must not be read; nothing is confirmed for them."""
        np.frombuffer(self._done, dtype=np.uint8)[chunks] = 1

    def take(self, limit: int) -> Sequence[Work]:
        """Return at most ``limit`` pieces of work, starting with those to do again."""
        if self._given_up:
            return []
        works = [self._again.popleft() for _ in range(min(limit, len(self._again)))]
        while not self._stopped and len(works) < limit and self._next < len(self._plan):
            if not self._done[self._next]:
                if self._is_too_far(self._next):
                    break
                works.append(Work(self._next, self._known_begin(self._next)))
            self._next += 1
        return works

    def deliver(self, outcome: Outcome[Payload]) -> None:
        """Confirm an outcome, hold it, ask for its chunk again, or drop it as a duplicate."""
        waiting: Outcome[Payload] | None = outcome
        while waiting is not None and not self._done[waiting.chunk]:
            chunk = waiting.chunk
            if self._plan.continues(chunk):
                begin = self._known_begin(chunk)
                if begin is None:
                    self._held[chunk] = waiting
                    return
                if waiting.accounts[0].begin != begin:
                    self._again.append(Work(chunk, begin))
                    return
            self._confirm(waiting)
            waiting = self._held.pop(chunk + 1, None)

    def stop(self) -> None:
        """Hand out no new chunks. Wrong guesses are still corrected, so that all rows before an error are known."""
        self._stopped = True

    def give_up(self) -> None:
        """Hand out nothing more."""
        self._given_up = True

    def require_complete(self) -> None:
        """Raise a ``BalanceError`` unless every chunk of the plan is done."""
        if not self.complete:
            raise BalanceError(f"{self._done.count(0):,} of {len(self._plan):,} chunks were not read", "run again")

    @property
    def complete(self) -> bool:
        """Whether every chunk of the plan is done."""
        return all(self._done)

    def _is_too_far(self, chunk: int) -> bool:
        if self._ahead is None or not self._plan.continues(chunk) or self._known_begin(chunk) is not None:
            return False
        while self._oldest < chunk and self._done[self._oldest]:
            self._oldest += 1
        return chunk - self._oldest > self._ahead()

    def _known_begin(self, chunk: int) -> int | None:
        """Return where a chunk begins inside a CSV, ``None`` where that is not known yet."""
        if not self._plan.continues(chunk):
            return None
        if self._done[chunk - 1] and self._ends[chunk - 1]:
            return int(self._ends[chunk - 1])
        return int(self._begins[chunk]) or None

    def _confirm(self, outcome: Outcome[Payload]) -> None:
        self.mark_done(outcome)
        self._confirmed(outcome)
