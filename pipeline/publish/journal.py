"""The journal: what is known to be done, line by line, whatever happens next.

    {"format":"logitstream-journal","job_id":"...","version":1} 5b0c...      the header
    {"chunk":0,"part":{...},...} 91d7...                                     a receipt
    {"ended":"...","exit_code":75,"unix":1767225600.0} c411...               why a run ended
    {"resumed":1767229200.0} 03aa...                                         when the next one went on

Each line is a JSON object, a space, and the first 16 hexadecimal digits of its SHA-256. What follows the first line
that is torn or damaged counts as never written.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from typing import NoReturn, Self

from pipeline import disk
from pipeline.canonical import canonical, sha256
from pipeline.disk import Folder
from pipeline.errors import LogitstreamError, OutputError, StorageError
from pipeline.publish.places import JournalPlaces
from pipeline.publish.receipts import LINE_LIMIT
from pipeline.units import escape, format_bytes

NAME = "journal"
GROUP_LINES = 64
GROUP_SECONDS = 0.1

_FORMAT, _VERSION = "logitstream-journal", 1
_CHECKSUM_DIGITS = 16
_BLOCK = 2**20
# What is read at first to find a line again: that of a chunk of one slice has some 700 bytes.
_LINE = 4096


class Journal:
    """Appends lines. A line is written at once and synced with its group, unless the folder is not durable.

    A killed process loses no line; a power cut may lose those since the last sync, which costs only the work that they
    stand for. A group ends with 64 lines, or with the first line appended 100 ms after the group began; the caller ends
    the last one with ``sync``. For one thread.
    """

    def __init__(self, folder: Folder, descriptor: int, size: int) -> None:
        self._folder = folder
        self._path = folder.path / NAME
        self._descriptor = descriptor
        self._reader = -1
        self._replayed = self._size = size
        self._torn = False
        self._pending = 0
        self._began = 0.0

    @classmethod
    def create(cls, folder: Folder, job_id: str) -> Self:
        """Begin the journal of a job."""
        journal = cls(folder, folder.open_file(NAME, disk.CREATE | os.O_APPEND), 0)
        try:
            journal.append({"format": _FORMAT, "version": _VERSION, "job_id": job_id})
            journal.sync()
        except BaseException:
            journal.close()
            raise
        return journal

    @classmethod
    def reopen(cls, folder: Folder, job_id: str) -> Self | None:
        """Go on with the journal of a job behind its last good line; ``None`` where the folder has none of this job."""
        size = 0
        for line, _, end in lines_in(folder):
            if not size and not _is_header(line, job_id):
                return None
            size = end
        if not size:
            return None
        journal = cls(folder, folder.open_file(NAME, os.O_WRONLY | os.O_APPEND), size)
        try:
            disk.truncate(journal._descriptor, size, journal._path)
            # Lines that a killed run did not come to sync count from here on.
            folder.sync_file(journal._descriptor, NAME)
        except BaseException:
            journal.close()
            raise
        return journal

    def replayed(self) -> Generator[tuple[Mapping[str, object], int], None, None]:
        """Iterate over the receipts that stood in the journal when it was opened again, in their order.

        With each comes its place: where :meth:`line_at` finds it.
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
            self._reader = self._folder.open_file(NAME, disk.READ)
        line = disk.read_at(self._reader, _LINE, place, self._path)
        while b"\n" not in line and len(line) <= LINE_LIMIT:
            more = disk.read_at(self._reader, _BLOCK, place + len(line), self._path)
            if not more:
                break
            line += more
        content = _content(line.partition(b"\n")[0])
        if content is None:
            raise StorageError(
                f"{escape(str(self._path), 1000)} does not hold what was written to it, at byte {place:,}",
                "something else changes files there, or the disk is failing; run again",
            )
        return content

    def append(self, content: Mapping[str, object]) -> int:
        """Write a line, sync if that ends a group, and return its place.

        Raises
        ------
        StorageError
            The disk is full or broken; the line counts as not written, and more may be appended.
        OutputError
            The line is too long to be read again.
        """
        line = canonical(content)
        line += b" " + _checksum(line) + b"\n"
        if len(line) > LINE_LIMIT:
            raise OutputError(
                f"a line of {escape(str(self._path), 1000)} would be longer than {format_bytes(LINE_LIMIT)}",
                "a chunk is gathered from too many files; lower --chunk-size",
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
        """Note, durable, why the run ended."""
        self.append({"ended": reason[:1000], "exit_code": exit_code, "unix": time.time()})
        self.sync()

    def resume(self) -> None:
        """Note that a run goes on: the reason that stands above is no longer why the last one ended. Never fails.

        A journal that was not opened again stays as it is.
        """
        if self._replayed:
            with suppress(LogitstreamError):
                self.append({"resumed": time.time()})

    def sync(self) -> None:
        """Make every line so far survive a power cut."""
        if self._pending:
            self._folder.sync_file(self._descriptor, NAME)
            self._pending = 0

    def close(self) -> None:
        """Close without syncing; again is harmless."""
        for descriptor in (self._descriptor, self._reader):
            if descriptor >= 0:
                disk.release(descriptor)
        self._descriptor = self._reader = -1


def lines_in(folder: Folder) -> Iterator[tuple[Mapping[str, object], int, int]]:
    """Iterate over the good lines of the journal in a folder, up to the first bad one: content, begin and end.

    Whatever stands there, nothing but a refusal of the system is raised; where there is no file, nothing is yielded.
    """
    status = folder.look(NAME)
    if status is None or not stat.S_ISREG(status.st_mode):
        return
    path = folder.path / NAME
    descriptor = folder.open_file(NAME, disk.READ)
    try:
        end, rest = 0, b""
        while len(rest) <= LINE_LIMIT and (block := disk.read(descriptor, _BLOCK, path)):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                content = _content(line)
                if content is None:
                    return
                begin, end = end, end + len(line) + 1
                yield content, begin, end
    finally:
        disk.release(descriptor)


def facts_in(folder: Folder, job_id: str) -> tuple[int, str | None, int | None]:
    """Return the chunks that a journal says are done, and why its last run ended with which exit code.

    The reason is ``None`` where nothing is noted: the run was killed, or is under way. What cannot be read is empty.
    """
    chunks = JournalPlaces()
    last: Mapping[str, object] = {}
    # Who only lists is told what can be read.
    with suppress(LogitstreamError):
        for line, begin, _ in lines_in(folder):
            if not begin and not _is_header(line, job_id):
                break
            chunk, last = line.get("chunk"), line
            if isinstance(chunk, int) and line.get("part") is not None:
                chunks.put(chunk, begin)
    reason, code = last.get("ended"), last.get("exit_code")
    return len(chunks), reason if isinstance(reason, str) else None, code if isinstance(code, int) else None


def _is_header(line: Mapping[str, object], job_id: str) -> bool:
    return line == {"format": _FORMAT, "version": _VERSION, "job_id": job_id}


def _content(line: bytes) -> Mapping[str, object] | None:
    content, _, checksum = line.rpartition(b" ")
    if checksum != _checksum(content):
        return None
    try:
        found = json.loads(content.decode("ascii"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(literal: str) -> NoReturn:
    raise ValueError(literal)


def _checksum(content: bytes) -> bytes:
    return sha256(content)[:_CHECKSUM_DIGITS].encode()
