"""A connection to a scheduler, and questions over it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import field
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError

from pipeline.dataclass import dataclass
from pipeline.execute.cluster.keys import KeyMaker
from pipeline.execute.cluster.loop import answer
from pipeline.execute.cluster.pulse import Pulse
from pipeline.execute.terms import ClusterTerms, go_on

T = TypeVar("T")

LOST = (OSError, CommClosedError, FutureCancelledError)
# ValueError is raised for a plugin that was never registered.
BROKEN = (*LOST, AttributeError, ValueError)


@dataclass(slots=True)
class ClusterLink:
    """A connection. Coroutines run in the thread of its loop, everything else in the caller's.

    Attributes
    ----------
    address : str
    client : Client
    loop : AbstractEventLoop
    terms : ClusterTerms
    pulse : Pulse
    lost : Future
        Ends with an error when the scheduler is lost or silent.
    run : str
        A name that no other connection ever has.
    keys : KeyMaker
    news : deque of str
        What a person should be told, by the thread of the loop; :meth:`tell` tells it.
    memory : dict of str to str
        What took too much memory, by the address of a worker that was started again.
    """

    address: str
    client: Client
    loop: asyncio.AbstractEventLoop
    terms: ClusterTerms
    pulse: Pulse
    lost: Future[None]
    run: str = field(default_factory=lambda: uuid4().hex)
    keys: KeyMaker = field(default_factory=KeyMaker)
    news: deque[str] = field(default_factory=deque)
    memory: dict[str, str] = field(default_factory=dict)

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Return the answer to a question; raises what ends the run, or the loss of the scheduler."""
        return answer(self.loop, question, self.attend, self.lost)

    def finish(self, question: Coroutine[Any, Any, T]) -> T:
        """Return the answer to a question that is asked whatever has ended the run."""
        return answer(self.loop, question, go_on, self.lost)

    def attend(self) -> None:
        """Tell the news, and raise what ends the run."""
        self.tell()
        self.terms.check()

    def tell(self) -> None:
        """Tell the news."""
        while self.news:
            self.terms.note(self.news.popleft())
