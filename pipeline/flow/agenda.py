"""What is still to do, and which receipts stand.

A worker that starts in the middle of a CSV guesses where the first record begins. The guess is checked here: the end
of a slice that stands must be the begin of the next one, so by induction from the header every cut is right. A chunk
whose guess was wrong is done again from the right place, and its first receipt is dropped. Receipts that wait for
the chunk before them are held; there are never more of them than tasks that were handed out behind it.

Chunks that an earlier try or the published version has done are known from the start, with the ends of their slices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.plan import Plan
from pipeline.types.outputs import Receipt
from pipeline.types.work import Work


class Agenda:
    """Hands out work and passes on each receipt once it stands.

    Every chunk of the plan is confirmed at most once, whatever is delivered twice and in whatever order; the chunks
    of one CSV are confirmed in order. Not safe for use from several threads.

    Parameters
    ----------
    plan : Plan
    confirmed : callable
        Is given each receipt that stands.
    """

    def __init__(self, plan: Plan, confirmed: Callable[[Receipt], None]) -> None:
        self._plan = plan
        self._confirmed = confirmed
        self._next = 0
        self._stopped = False
        self._again: deque[Work] = deque()
        self._held: dict[int, Receipt] = {}
        # Of the chunks that are done where their last slice ends.
        self._ends = np.zeros(len(plan), dtype=np.int64)
        self._done = bytearray(len(plan))
        self._given_up = False

    def stand(self, receipt: Receipt) -> None:
        """Take a chunk as done before the work begins; its begin was confirmed when it was done."""
        self._done[receipt.chunk] = 1
        if end := receipt.accounts[-1].end:
            self._ends[receipt.chunk] = end

    def take(self, limit: int) -> Sequence[Work]:
        """Return at most ``limit`` pieces of work, those to be done again first."""
        if self._given_up:
            return []
        works = [self._again.popleft() for _ in range(min(limit, len(self._again)))]
        while not self._stopped and len(works) < limit and self._next < len(self._plan):
            if not self._done[self._next]:
                works.append(Work(self._next, self._known_begin(self._next)))
            self._next += 1
        return works

    def deliver(self, receipt: Receipt) -> None:
        """Take a receipt: confirm it, hold it, ask for its chunk again, or drop it as a duplicate."""
        waiting: Receipt | None = receipt
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
        """Hand out no new chunks. Wrong guesses are still mended, so that what precedes an error is known."""
        self._stopped = True

    def give_up(self) -> None:
        """Hand out nothing more."""
        self._given_up = True

    @property
    def complete(self) -> bool:
        """Whether every chunk of the plan has a receipt that stands."""
        return all(self._done)

    def _known_begin(self, chunk: int) -> int | None:
        """Return where a chunk begins inside a CSV, ``None`` where the chunk before it has not ended yet."""
        if not self._plan.continues(chunk) or not self._done[chunk - 1]:
            return None
        return int(self._ends[chunk - 1])

    def _confirm(self, receipt: Receipt) -> None:
        self.stand(receipt)
        self._confirmed(receipt)
