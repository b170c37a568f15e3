"""The journal of a run: a file of lines, each appended at once and synced together with its group."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from typing import Self

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.disk import Folder
from pipeline.errors import LogitstreamError, OutputError, StorageError
from pipeline.publish.local.places import JournalPlaces
from pipeline.publish.record.journal import content_of, header, is_header, line_bytes, newer_version
from pipeline.publish.record.names import JOURNAL
from pipeline.publish.record.receipts import LINE_LIMIT
from pipeline.units import MIB, escape, format_bytes

GROUP_LINES = 64
GROUP_SECONDS = 0.1

_BLOCK = MIB
# What is read first of a line: the line of a chunk of one slice has about 700 bytes.
_LINE = 4096


class Journal:
    """Appends lines. A line is written at once and synced with its group, unless the folder is not durable.

    A killed process loses no line. A power cut may lose the lines since the last sync; then their chunks are computed
    again. A group ends with its 64th line, or with the first line appended 100 ms after the group began; the caller
    ends the last one with ``sync``. For one thread.
    """

    def __init__(self, folder: Folder, descriptor: int, size: int) -> None:
        self._folder = folder
        self._path = folder.path / JOURNAL
        self._descriptor = descriptor
        self._reader = -1
        self._replayed = self._size = size
        self._torn = False
        self._pending = 0
        self._began = 0.0

    @classmethod
    def create(cls, folder: Folder, job_id: str) -> Self:
        """Create the journal of a job."""
        journal = cls(folder, folder.open_file(JOURNAL, disk.CREATE | os.O_APPEND), 0)
        try:
            journal.append(header(job_id))
            journal.sync()
        except BaseException:
            journal.close()
            raise
        return journal

    @classmethod
    def reopen(cls, folder: Folder, job_id: str) -> Self | None:
        """Open the journal of a job again, after its last good line; ``None`` if the folder has no journal of it."""
        size = 0
        for line, _, end in lines_in(folder):
            if not size and not is_header(line, job_id):
                return None
            size = end
        if not size:
            return None
        journal = cls(folder, folder.open_file(JOURNAL, os.O_WRONLY | os.O_APPEND), size)
        try:
            disk.truncate(journal._descriptor, size, journal._path)
            # From now on lines count that a killed run did not get to sync.
            folder.sync_file(journal._descriptor, JOURNAL)
        except BaseException:
            journal.close()
            raise
        return journal

    def replayed(self) -> Generator[tuple[Mapping[str, object], int], None, None]:
        """Iterate over the receipts that were in the journal when it was opened again, in their order.

        Each comes with its place, which :meth:`line_at` takes.
        """
        for line, begin, end in lines_in(self._folder):
            if end > self._replayed:
                return
            if "chunk" in line:
                yield line, begin

    def line_at(self, place: int) -> Mapping[str, object]:
        """Return the line at a place.

        Raises
        ------
        StorageError
            It is not what was written there.
        """
        if self._reader < 0:
            self._reader = self._folder.open_file(JOURNAL, disk.READ)
        line = disk.read_at(self._reader, _LINE, place, self._path)
        while b"\n" not in line and len(line) <= LINE_LIMIT:
            more = disk.read_at(self._reader, _BLOCK, place + len(line), self._path)
            if not more:
                break
            line += more
        content = content_of(line.partition(b"\n")[0])
        if content is None:
            raise StorageError(
                f"{escape(str(self._path), 1000)} does not hold what was written to it, at byte {place:,}",
                "run again; if it happens again, check the disk and what else changes files there",
            )
        return content

    def append(self, content: Mapping[str, object]) -> int:
        """Write a line, sync if that ends a group, and return its place.

        Raises
        ------
        StorageError
            The disk is full or broken. The line counts as not written, and more may be appended.
        OutputError
            The line is too long to be read again.
        """
        line = line_bytes(content)
        if len(line) > LINE_LIMIT:
            raise OutputError(
                f"a line of {escape(str(self._path), 1000)} would be longer than {format_bytes(LINE_LIMIT)}",
                "lower --chunk-size: a chunk has too many files",
            )
        if self._torn:
            disk.truncate(self._descriptor, self._size, self._path)
        self._torn = True
        disk.write_all(self._descriptor, memoryview(line), self._path)
        self._torn = False
        place = self._size
        self._size += len(line)
        if not self._pending:
            self._began = time.monotonic()
        self._pending += 1
        if self._pending >= GROUP_LINES or time.monotonic() - self._began >= GROUP_SECONDS:
            self.sync()
        return place

    def end(self, reason: str, exit_code: int) -> None:
        """Note why the run ended, durable."""
        self.append({"ended": reason[:1000], "exit_code": exit_code, "unix": time.time()})
        self.sync()

    def resume(self) -> None:
        """Note that a run was resumed, so that the reason noted before is out of date. Never fails.

        A journal that was not opened again stays as it is.
        """
        if self._replayed:
            with suppress(LogitstreamError):
                self.append({"resumed": time.time()})

    def sync(self) -> None:
        """Make every line so far survive a power cut."""
        if self._pending:
            self._folder.sync_file(self._descriptor, JOURNAL)
            self._pending = 0

    def close(self) -> None:
        """Close without syncing; closing again does nothing."""
        for descriptor in (self._descriptor, self._reader):
            if descriptor >= 0:
                disk.release(descriptor)
        self._descriptor = self._reader = -1


def lines_in(folder: Folder) -> Iterator[tuple[Mapping[str, object], int, int]]:
    """Iterate over the good lines of the journal in a folder, up to the first bad one: content, begin and end.

    Whatever the file holds, only errors of the system are raised. Without a file nothing is yielded.
    """
    status = folder.look(JOURNAL)
    if status is None or not stat.S_ISREG(status.st_mode):
        return
    path = folder.path / JOURNAL
    descriptor = folder.open_file(JOURNAL, disk.READ)
    try:
        end, rest = 0, b""
        while len(rest) <= LINE_LIMIT and (block := disk.read(descriptor, _BLOCK, path)):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                content = content_of(line)
                if content is None:
                    return
                begin, end = end, end + len(line) + 1
                yield content, begin, end
    finally:
        disk.release(descriptor)


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """What a journal says, for a listing; what cannot be read is empty.

    ``ended`` is why its last run ended, ``None`` if nothing is noted: the run was killed, or is under way. ``newer``
    says that a newer logitstream made it. Then nothing else is known.
    """

    chunks: int = 0
    ended: str | None = None
    exit_code: int | None = None
    newer: bool = False


def facts_in(folder: Folder, job_id: str) -> JournalFacts:
    """Return what the journal in a folder says of a job."""
    chunks = JournalPlaces()
    last: Mapping[str, object] = {}
    # A listing shows what can be read.
    with suppress(LogitstreamError):
        for line, begin, _ in lines_in(folder):
            if not begin and not is_header(line, job_id):
                return JournalFacts(newer=newer_version(line) is not None)
            chunk, last = line.get("chunk"), line
            if isinstance(chunk, int) and line.get("part") is not None:
                chunks.put(chunk, begin)
    reason, code = last.get("ended"), last.get("exit_code")
    ended, exit_code = reason if isinstance(reason, str) else None, code if isinstance(code, int) else None
    return JournalFacts(len(chunks), ended, exit_code)


def is_newer(folder: Folder) -> bool:
    """Return whether a newer logitstream made the journal in a folder."""
    first = next((line for line, *_ in lines_in(folder)), None)
    return first is not None and newer_version(first) is not None
