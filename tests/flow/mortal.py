"""Preloaded by a worker: kills it as it begins its fourth chunk, whatever else the machine does."""

from __future__ import annotations

import os
import signal
from typing import Any

from distributed import Worker, WorkerPlugin


class Mortal(WorkerPlugin):
    """Counts the chunks that a worker begins."""

    def __init__(self) -> None:
        self.begun = 0

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        if finish == "executing":
            self.begun += 1
            if self.begun == 4:
                os.kill(os.getpid(), signal.SIGKILL)


async def dask_setup(worker: Worker) -> None:
    await worker.plugin_add(Mortal(), name="mortal")
