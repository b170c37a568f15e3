"""A private folder of decoded chunks, one file a chunk: made for one fit, bounded in bytes, removed at its end.

    <8 bytes: length> <a batch>     for each batch
    {"accounts": ...}               a line of JSON
    <8 bytes: length of the line>

A file is written under a name of its own and renamed when it is whole, so a file that is found is complete. The folder
is locked while its fit runs; what a killed fit has left is removed by the next one.
"""

from __future__ import annotations

import json
import re
import secrets
import stat
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.disk import CREATE, Folder, OpenFile
from pipeline.errors import LogitstreamError, OutputError

_PREFIX = ".logitstream-scratch-"
_OURS = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{12}")
_LOCK = "lock"
_FILE = re.compile(r"lock|[0-9]{1,12}\.chunk|\.[0-9a-f]{12}")
_LENGTH = struct.Struct("<q")
# What a file system needs to stay usable for others.
SPARE_BYTES = 256 * 1024 * 1024


@contextmanager
def scratch_below(parent: Path) -> Iterator[Path]:
    """Make a locked scratch folder, after those that killed fits have left were removed; remove it at the end.

    Raises
    ------
    LogitstreamError
        The folder cannot be made.
    """
    with Folder.open(parent, durable=False) as above:
        _sweep(above)
        name = f"{_PREFIX}{secrets.token_hex(6)}"
        with above.make(name) as folder:
            lock = folder.open_file(_LOCK, CREATE)
            try:
                disk.try_lock(lock, folder.path / _LOCK)
                yield folder.path
            finally:
                _remove(above, name, folder)
                disk.release(lock)


def _sweep(above: Folder) -> None:
    """Remove scratch folders whose fit has ended; one that cannot be removed is left."""
    for name in filter(_OURS.fullmatch, list(above.names())):
        with suppress(LogitstreamError):
            facts = above.look(name)
            if facts is not None and stat.S_ISDIR(facts.st_mode) and facts.st_uid == disk.user():
                _sweep_one(above, name)


def _sweep_one(above: Folder, name: str) -> None:
    with above.enter(name) as folder:
        if folder.look(_LOCK) is None:
            return  # it is being made, or removed
        lock = folder.open_file(_LOCK, disk.READ)
        try:
            if disk.try_lock(lock, folder.path / _LOCK):
                _remove(above, name, folder)
        finally:
            disk.release(lock)


def _remove(above: Folder, name: str, folder: Folder) -> None:
    """Remove a scratch folder; whatever is not a file of a fit stays, and the folder with it."""
    with suppress(LogitstreamError):
        # The lock comes last: a folder without it is nobody's.
        for each in sorted(filter(_FILE.fullmatch, list(folder.names())), key=_LOCK.__eq__):
            folder.unlink(each)
        above.remove_folder(name)


@dataclass(slots=True)
class ScratchFiles:
    """The files of a scratch folder, as one process reads and writes them; for several threads.

    Attributes
    ----------
    path : Path
    bound : int
        The most bytes that this process writes.
    """

    path: Path
    bound: int
    _written: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, chunk: int) -> ScratchChunk | None:
        """Return a chunk that is there, open for reading; ``None`` where it is not."""
        name = f"{chunk}.chunk"
        if disk.facts(self.path / name) is None:
            return None
        return ScratchChunk(OpenFile.open(str(self.path / name), str(self.path / name)))

    def create(self, chunk: int) -> ScratchDraft:
        """Return a file to write a chunk to."""
        return ScratchDraft(self, chunk)

    def reserve(self, size: int) -> bool:
        """Return whether so many bytes more may be written, and count them."""
        with self._lock:
            if self._written + size > self.bound or disk.free_bytes(self.path) < size + SPARE_BYTES:
                return False
            self._written += size
            return True

    def give_back(self, size: int) -> None:
        """Take back bytes that were not needed."""
        with self._lock:
            self._written -= size


class ScratchDraft:
    """A chunk while it is written. What goes wrong only means that the chunk is read again: it is given up."""

    def __init__(self, files: ScratchFiles, chunk: int) -> None:
        self._files, self._chunk = files, chunk
        self._name = f".{secrets.token_hex(6)}"
        self._size = 0
        self._folder: Folder | None = None
        self._descriptor = -1
        with suppress(LogitstreamError):
            self._folder = Folder.open(files.path, durable=False)
            self._descriptor = self._folder.open_file(self._name, CREATE)

    def add(self, batch: pa.Buffer) -> None:
        """Write a batch."""
        self._write(_LENGTH.pack(batch.size), memoryview(batch))

    def finish(self, accounts: Mapping[str, Any]) -> None:
        """Write the accounts of the chunk and give the file its name."""
        line = json.dumps(accounts, separators=(",", ":")).encode()
        self._write(line, _LENGTH.pack(len(line)))
        if self._descriptor >= 0 and self._folder is not None:
            # Another worker may have written the same chunk, with the same content.
            with suppress(OutputError):
                self._folder.move(self._name, self._folder, f"{self._chunk}.chunk")
                self._name = ""
        self.close()

    def close(self) -> None:
        """Close the file, and remove it unless it was finished; a second call does nothing."""
        if self._descriptor >= 0:
            disk.release(self._descriptor)
        if self._folder is not None:
            if self._name and self._descriptor >= 0:
                with suppress(LogitstreamError):
                    self._folder.unlink(self._name)
                self._files.give_back(self._size)
            self._folder.close()
        self._folder, self._descriptor = None, -1

    def _write(self, *parts: bytes | memoryview) -> None:
        size = sum(map(len, parts))
        if self._descriptor < 0:
            return
        if not self._files.reserve(size):
            self.close()
            return
        self._size += size
        try:
            for part in parts:
                disk.write_all(self._descriptor, memoryview(part), self._files.path)
        except LogitstreamError:
            self.close()


class ScratchChunk:
    """A chunk in a file, open for reading; for one thread.

    Attributes
    ----------
    accounts : mapping
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        end = file.status().st_size - _LENGTH.size
        (length,) = _LENGTH.unpack(file.read_range(_LENGTH.size, end))
        self._end: int = end - length
        self.accounts: Mapping[str, Any] = json.loads(file.read_range(length, self._end))

    def batches(self) -> Iterator[pa.Buffer]:
        """Yield each batch, mapped: a copy of it would take ten times as long as its pages, which are in memory."""
        place = 0
        while place < self._end:
            (length,) = _LENGTH.unpack(self._file.read_range(_LENGTH.size, place))
            yield pa.py_buffer(self._file.mapped(length, place + _LENGTH.size))
            place += _LENGTH.size + length

    def close(self) -> None:
        """Close the file."""
        self._file.close()
