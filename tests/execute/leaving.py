"""Being told, in mid-run, to leave."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Self


class Leave:
    """Raises in the main thread, at a signal, once so many tasks are under way."""

    def __init__(self, error: type[BaseException], folder: Path, tasks: int) -> None:
        self.error, self.folder, self.tasks = error, folder, tasks

    def __enter__(self) -> Self:
        self.before = signal.signal(signal.SIGUSR1, self.leave)
        self.sender = threading.Thread(target=self.send)
        self.sender.start()
        return self

    def send(self) -> None:
        deadline = time.monotonic() + 20
        while len(list(self.folder.iterdir())) < self.tasks and time.monotonic() < deadline:
            time.sleep(0.01)
        self.sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGUSR1)

    def leave(self, *_: object) -> None:
        raise self.error

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.sent
        self.sender.join()
        signal.signal(signal.SIGUSR1, self.before)
