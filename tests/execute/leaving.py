"""A request to end, in the middle of a run."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Self


class Leave:
    """Raises in the main thread, at a signal, once a number of tasks have left something in a folder.

    Where the signal strikes in the callback of a weak reference, Python drops what it raises: then it is sent again.
    """

    def __init__(self, error: type[BaseException], folder: Path, tasks: int) -> None:
        self.error, self.folder, self.tasks = error(), folder, tasks
        self.is_lost: SimpleQueue[bool] = SimpleQueue()

    def __enter__(self) -> Self:
        self.before = signal.signal(signal.SIGUSR1, self.leave)
        self.hook, sys.unraisablehook = sys.unraisablehook, self.unraisable
        self.sender = threading.Thread(target=self.send)
        self.sender.start()
        return self

    def send(self) -> None:
        deadline = time.monotonic() + 60
        while len(list(self.folder.iterdir())) < self.tasks and time.monotonic() < deadline:
            time.sleep(0.01)
        self.sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGUSR1)
        while self.is_lost.get():
            time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGUSR1)

    def leave(self, *_: object) -> None:
        raise self.error

    def unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if what.exc_value is self.error:
            self.is_lost.put(True)
        else:
            self.hook(what)

    def __exit__(self, *_: object) -> None:
        self.is_lost.put(False)
        self.seconds = time.monotonic() - self.sent
        self.sender.join()
        sys.unraisablehook = self.hook
        signal.signal(signal.SIGUSR1, self.before)
