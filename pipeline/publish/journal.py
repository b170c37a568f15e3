"""The journal: what is known to be done, line by line, whatever happens next."""

from __future__ import annotations

import hashlib
import os
import time

from pipeline.publish import system
from pipeline.publish.system import Folder

NAME = "journal"
GROUP_LINES = 64
GROUP_SECONDS = 0.1


class Journal:
    """Appends lines to a new file. A line is written at once and synced with its group.

    A killed process loses no line; a power cut may lose those since the last sync, which costs only the work that they
    stand for. A group ends with 64 lines, or with the first line appended 100 ms after the group began; the caller ends
    the last one with ``sync``. Each line is followed by a space and the first 16 hexadecimal digits of its SHA-256, so
    that a torn line is known as such. For one thread.
    """

    def __init__(self, folder: Folder) -> None:
        self._path = folder.path / NAME
        self._descriptor = folder.open_file(NAME, system.CREATE | os.O_APPEND)
        self._pending = 0
        self._began = 0.0

    def append(self, line: str) -> None:
        """Write a line, which holds no line break, and sync if that ends a group."""
        content = line.encode()
        checksum = hashlib.sha256(content).hexdigest()[:16].encode()
        system.write_all(self._descriptor, memoryview(content + b" " + checksum + b"\n"), self._path)
        if not self._pending:
            self._began = time.monotonic()
        self._pending += 1
        if self._pending >= GROUP_LINES or time.monotonic() - self._began >= GROUP_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Make every line so far survive a power cut."""
        if self._pending:
            system.sync(self._descriptor, self._path)
            self._pending = 0

    def close(self) -> None:
        """Close without syncing; again is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            system.release(descriptor)
