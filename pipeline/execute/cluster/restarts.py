"""Workers that their nannies started again because they took too much memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distributed.comm.core import CommClosedError

from pipeline.dataclass import dataclass
from pipeline.execute.cluster.link import ClusterLink
from pipeline.units import format_bytes

TOPIC = "worker-restart-memory"


@dataclass(frozen=True, slots=True)
class Restarts:
    """Notes each worker that was started again, with its memory and what it worked on."""

    link: ClusterLink

    def listen(self) -> None:
        """Begin to hear of restarts; in the thread of the loop."""
        self.link.client.subscribe_topic(TOPIC, self.heard)

    async def heard(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take an event of the scheduler."""
        about = event[1]
        worker, took = about["worker"], format_bytes(about["rss"])
        if worker in self.link.memory:
            return
        self.link.memory[worker] = f", which had taken {took}"
        chunks = await self._chunks_of(worker)
        if chunks is None:
            return
        at = f" while it worked on {', '.join(chunks)}" if chunks else ""
        self.link.news.append(
            f"worker {worker} was ended by its nanny and started again: it took {took}{at};"
            f" {self.link.terms.more_memory}"
        )

    async def _chunks_of(self, worker: str) -> list[str] | None:
        """Return what of this run a worker works on; ``None`` if it has only work of others."""
        scheduler: Any = self.link.client.scheduler
        try:
            processing = await scheduler.processing(workers=[worker])
        except (OSError, CommClosedError, KeyError):
            return []
        keys = [key for key in processing.get(worker, ()) if isinstance(key, tuple) and key[3:4] == (self.link.run,)]
        ours = [f"chunk {key[1]} of {key[2]}" for key in sorted(keys)]
        return None if processing.get(worker) and not ours else ours
