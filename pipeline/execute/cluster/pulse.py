"""What is known of a scheduler and its workers, asked once a second."""

from __future__ import annotations

import asyncio
import time
from dataclasses import field
from typing import Any

from distributed import Client

from pipeline.dataclass import dataclass
from pipeline.execute.cluster import faults

WATCH_SECONDS = 1.0


@dataclass(slots=True)
class Pulse:
    """The last answer of a scheduler. Its coroutine runs in the event loop; any thread may read it.

    Attributes
    ----------
    address : str
    scheduler_timeout : float
        After so many seconds without an answer the scheduler counts as lost.
    workers, threads : int
        How many there were at the last answer.
    seen : float
        When there was a worker for the last time, or when this began; monotonic.
    """

    address: str
    scheduler_timeout: float
    workers: int = 0
    threads: int = 0
    seen: float = field(default_factory=time.monotonic)

    async def beat(self, client: Client) -> None:
        """Ask the scheduler again and again.

        Raises
        ------
        UnavailableError
            It is lost, or has been silent for too long.
        """
        while True:
            await self.ask(client)
            await asyncio.sleep(min(WATCH_SECONDS, self.scheduler_timeout / 4))

    async def ask(self, client: Client) -> None:
        """Ask the scheduler once; raises as :meth:`beat` does."""
        try:
            scheduler: Any = client.scheduler
            async with asyncio.timeout(self.scheduler_timeout):
                about: dict[str, Any] = await scheduler.identity(n_workers=0)
        except TimeoutError as error:
            raise faults.silent(self.address, self.scheduler_timeout) from error
        except (OSError, AttributeError) as error:
            raise faults.lost(self.address) from error
        self.workers, self.threads = about["n_workers"], about["total_threads"]
        if self.workers:
            self.seen = time.monotonic()
