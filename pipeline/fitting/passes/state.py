"""The state of a fit beside its output: what was learnt and what each pass answered, so that a killed fit goes on.

    logitstream-fit 1
    <8 bytes: length> <32 bytes: SHA-256> <content>     for each record: the job, what was learnt, each pass

Records are appended and synced one by one, and read again up to the first that is not whole. Solvers are deterministic:
run again, they ask for the same sums in the same order, and get those that are there without a pass over the rows. So
the model file has the same bytes, whenever the fit was killed.

A network has a record for each epoch in place of those of passes: all that the next epoch depends on. Where there are
many of them, a new file with the last one alone takes the place of the file.

The state stays where the output has appeared meanwhile. The same fit with another output in that folder takes it over.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import disk
from pipeline.canonical import sha256
from pipeline.dataclass import dataclass
from pipeline.disk import Folder
from pipeline.errors import DataError, LogitstreamError, OutputError, TemporaryError, ThresholdError, UsageError
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.passes.packing import pack_arrays, pack_points, pack_sums, unpack_arrays, unpack_sums
from pipeline.fitting.passes.plain import from_plain, to_plain
from pipeline.fitting.passes.points import Passes, PassSums, Point
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.kernels.blas import blas_tag
from pipeline.plan import job_id
from pipeline.scan import PreparedScan
from pipeline.types.inputs import Integers
from pipeline.units import GIB, MIB, escape, format_bytes

_MAGIC = b"logitstream-fit 1\n"
_LENGTH = struct.Struct("<q")
_DIGEST_BYTES = 32
_FRAME_BYTES = _LENGTH.size + _DIGEST_BYTES
# What a change of would change the sums, or the steps of solvers, while everything else stays.
_VERSION = 3
# A Hessian of 2,000 coefficients has 16 MB. Passes beyond this are carried out again after a kill.
MOST_BYTES = 2 * GIB
# Records after the first pass, where each takes the place of the one before it.
_MOST_RENEWED = 16
_OPEN = os.O_RDWR | os.O_CREAT
_KEPT = (
    "what the fit has done is kept: run it again with another --output in the same folder, or with --if-exists replace"
)
_COPIED_BYTES = MIB
# The same fit would end so again, whatever its output is.
_FINAL = (DataError, ThresholdError, UsageError)
_ENDING = ".logitstream-fit"


def state_name(output: str) -> str:
    """Return the name of the state of a fit, in the folder of its output."""
    return f".{Path(output).name}{_ENDING}"


def has_state(output: str) -> bool:
    """Return whether a fit with this output was killed, perhaps after it wrote the model."""
    return disk.facts(Path(output).absolute().with_name(state_name(output)), follow_links=False) is not None


def fit_digest(prepared: PreparedScan, job: FitJob, others: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the digest of everything that decides the result of a fit; ``others`` as JSON, besides the job."""
    meaning = {
        "version": _VERSION,
        "blas": blas_tag(),
        "data": to_plain(replace(job.data, inputs=())),
        "model": to_plain(job.model),
        "solve": to_plain(job.solve),
        **others,
    }
    return job_id(prepared.inputs, prepared.plan, meaning)


def _frame_of(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + hashlib.sha256(content).digest()


class StateRecords:
    """The records of a state file, each checked when the file is opened. For one thread.

    Parameters
    ----------
    descriptor : int
        Of the file, open and locked. It is never closed here, but may mean another file after :meth:`renew`.
    folder : Folder
        Where the file is.
    name : str
    """

    def __init__(self, descriptor: int, folder: Folder, name: str) -> None:
        self._descriptor, self._folder, self._name = descriptor, folder, name
        self._path = path = folder.path / name
        self._places: list[tuple[int, int]] = []
        self._size = 0
        size = disk.status(descriptor, path).st_size
        if self._read(len(_MAGIC), 0) == _MAGIC:
            self._size = len(_MAGIC)
            while (length := self._whole_at(self._size, size)) is not None:
                self._places.append((self._size + _FRAME_BYTES, length))
                self._size += _FRAME_BYTES + length

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> bytes:
        offset, length = self._places[number]
        return self._read(length, offset)

    @property
    def size(self) -> int:
        """Bytes of the records that are whole."""
        return self._size

    def keep(self, count: int) -> None:
        """Drop all records but the first ones."""
        del self._places[count:]
        self._size = sum(self._places[-1]) if self._places else 0

    def append(self, content: bytes) -> None:
        """Append a record, synced, in the place of what is behind the last one.

        Raises
        ------
        LogitstreamError
            It cannot be written; the records before it stay.
        """
        if not self._size:
            disk.truncate(self._descriptor, 0, self._path)
            disk.write_at(self._descriptor, memoryview(_MAGIC), 0, self._path)
            self._size = len(_MAGIC)
        disk.truncate(self._descriptor, self._size, self._path)
        self._write(self._descriptor, content, self._size)
        self._places.append((self._size + _FRAME_BYTES, len(content)))
        self._size += _FRAME_BYTES + len(content)

    def renew(self, count: int, content: bytes) -> None:
        """Keep the first records, and a new one in the place of all that follow, in a new file of the same name.

        Raises
        ------
        LogitstreamError
            It cannot be written; the records that were there stay.
        """
        size = sum(self._places[count - 1])
        draft = disk.draft_name(self._path)
        descriptor = self._folder.open_file(draft, _OPEN | os.O_EXCL)
        try:
            # From the moment it has the name, no other fit may take it.
            disk.try_lock(descriptor, self._path)
            for offset in range(0, size, _COPIED_BYTES):
                piece = self._read(min(_COPIED_BYTES, size - offset), offset)
                disk.write_at(descriptor, memoryview(piece), offset, self._path)
            self._write(descriptor, content, size)
            self._folder.replace(draft, self._name)
        except BaseException:
            disk.release(descriptor)
            with suppress(LogitstreamError):
                self._folder.unlink(draft)
            raise
        disk.take_over(self._descriptor, descriptor, self._path)
        self._places[count:] = [(size + _FRAME_BYTES, len(content))]
        self._size = size + _FRAME_BYTES + len(content)
        self._folder.sync()

    def _write(self, descriptor: int, content: bytes, offset: int) -> None:
        frame = _frame_of(content)
        disk.write_at(descriptor, memoryview(frame), offset, self._path)
        disk.write_at(descriptor, memoryview(content), offset + len(frame), self._path)
        disk.sync(descriptor, self._path)

    def _whole_at(self, offset: int, size: int) -> int | None:
        """Return the length of the record at an offset, ``None`` where there is none, or not a whole one."""
        frame = self._read(_FRAME_BYTES, offset)
        if len(frame) < _FRAME_BYTES:
            return None
        (length,) = _LENGTH.unpack(frame[: _LENGTH.size])
        if not 0 <= length <= size - offset - _FRAME_BYTES:
            return None
        content = self._read(length, offset + _FRAME_BYTES)
        is_whole = hashlib.sha256(content).digest() == frame[_LENGTH.size :]
        return int(length) if is_whole else None

    def _read(self, size: int, offset: int) -> bytes:
        parts = []
        while size > 0 and (part := disk.read_at(self._descriptor, size, offset, self._path)):
            parts.append(part)
            size, offset = size - len(part), offset + len(part)
        return b"".join(parts)


class FitState:
    """What a fit has done so far. Where it cannot be written any more, the fit goes on without it. For one thread.

    Parameters
    ----------
    records : StateRecords or None
        ``None`` keeps nothing.
    note : callable
        Receives what a person should know.

    Attributes
    ----------
    replayed : bool
        Whether the last pass that was asked for was answered by an earlier try.
    """

    def __init__(self, records: StateRecords | None, note: Callable[[str], None]) -> None:
        self._records, self._note = records, note
        self._next = 2
        self.replayed = False

    @property
    def answered(self) -> int:
        """How many passes after the first were answered by an earlier try."""
        return 0 if self._records is None else max(0, len(self._records) - 2)

    @property
    def learning(self) -> int:
        """How many passes an earlier try took to learn, with those for exact medians; 0 where it did not end them."""
        if self._records is None or len(self._records) < 2:
            return 0
        _, (_, _, passes) = unpack_arrays(self._records[1])
        return int(passes[0])

    @property
    def resumed(self) -> bool:
        """Whether an earlier try has carried out the first pass at least."""
        return self._records is not None and len(self._records) > 1

    def learnt(self, begins: Integers) -> tuple[Learnt, pa.Table] | None:
        """Return what the first pass has learnt, and its sample of rows; ``None`` where it must be carried out.

        ``begins`` receives where the chunks of a CSV begin.
        """
        if self._records is None or len(self._records) < 2:
            return None
        head, (sample, found, _) = unpack_arrays(self._records[1])
        begins[:] = found
        with pa.ipc.open_stream(pa.py_buffer(sample)) as reader:
            return from_plain(Learnt, head), reader.read_all()

    def keep_learnt(self, learnt: Learnt, sample: pa.Table, begins: Integers, passes: int = 1) -> None:
        """Keep what the first passes have learnt, and how many they were, unless it was kept before."""
        if self._records is None or len(self._records) > 1:
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, sample.schema) as writer:
            writer.write_table(sample)
        self._append(
            pack_arrays(to_plain(learnt), [np.frombuffer(sink.getvalue(), np.uint8), begins, np.array([passes])])
        )

    def latest(self) -> bytes | None:
        """Return what :meth:`renew` kept last, ``None`` where nothing was kept since the first pass."""
        return None if self._records is None or len(self._records) < 3 else self._records[len(self._records) - 1]

    def renew(self, content: bytes) -> None:
        """Keep content from which the fit can go on, in the place of what was kept before.

        It is written behind the older ones. Where they are too many or too large, it goes into a new file without
        them. The last one is good until the new one is whole.
        """
        if (records := self._records) is None:
            return
        is_large = records.size + _FRAME_BYTES + len(content) > MOST_BYTES
        if len(records) > 2 and (is_large or len(records) >= 2 + _MOST_RENEWED):
            self._kept(partial(records.renew, 2), content)
        else:
            self._append(content)

    def passes(self, passes: Passes) -> ReplayedPasses:
        """Return passes that are answered from here as far as they can be, and kept here."""
        return ReplayedPasses(passes, self)

    def answer(self, asked: str) -> list[PassSums] | None:
        """Return the sums of the next pass, if they are those of the points with a digest; else drop what follows."""
        records, number = self._records, self._next
        self._next += 1
        self.replayed = False
        if records is None or number >= len(records):
            return None
        content = records[number]
        found, sums = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if found.hex() == asked:
            self.replayed = True
            return unpack_sums(sums)
        records.keep(number)
        return None

    def keep(self, asked: str, sums: Sequence[PassSums]) -> None:
        """Keep the sums of a pass."""
        if self._records is None or self._next != len(self._records) + 1:
            return
        content = bytes.fromhex(asked) + pack_sums(sums)
        if self._records.size + _FRAME_BYTES + len(content) > MOST_BYTES:
            self._give_up(f"the state of the fit has {format_bytes(self._records.size)}")
        else:
            self._append(content)

    def _append(self, content: bytes) -> None:
        if self._records is not None:
            self._kept(self._records.append, content)

    def _kept(self, write: Callable[[bytes], None], content: bytes) -> None:
        try:
            write(content)
        except LogitstreamError as error:
            self._give_up(error.message)

    def _give_up(self, why: str) -> None:
        self._note(f"{why}: the passes that follow are not kept, and would be carried out again after a kill")
        self._records = None


@dataclass(frozen=True, slots=True)
class ReplayedPasses:
    """Passes that are answered from the state of a fit as far as it goes, and are kept there from then on."""

    passes: Passes
    state: FitState

    @property
    def layout(self) -> FitLayout:
        """What the coefficients are."""
        return self.passes.layout

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        """Return the sums at some points."""
        asked = sha256(pack_points(points))
        found = self.state.answer(asked)
        if found is None:
            found = self.passes.sums(points)
            self.state.keep(asked, found)
        return found


@contextmanager
def open_state(output: str | None, digest: str, note: Callable[[str], None]) -> Iterator[FitState]:
    """Open the state of a fit, locked. The end of the block removes it, unless the same fit may go on from it later.

    Without a state of this output, that of the same fit with another output in the folder is taken over, with a note.

    Parameters
    ----------
    output : str or None
        The model file; ``None`` keeps no state.
    digest : str
        That of :func:`fit_digest`: the state of another job is replaced, with a note.
    note : callable
        Receives what a person should know.

    Raises
    ------
    TemporaryError
        Another fit with this output is running.
    OutputError
        Another file has the name of the state.
    """
    if output is None:
        yield FitState(None, note)
        return
    with Folder.open(Path(output).absolute().parent) as folder:
        name = state_name(output)
        _take_over(folder, name, digest, note)
        descriptor = _locked(folder, name, output)
        try:
            records = _records(descriptor, folder, output, digest, note)
            try:
                yield FitState(records, note)
            except _FINAL:
                folder.unlink(name)
                raise
            except OutputError:
                if len(records) < 2:
                    folder.unlink(name)
                else:
                    note(_KEPT)
                raise
            # While it is locked: another process that opens it now finds that its name is gone.
            folder.unlink(name)
        finally:
            disk.release(descriptor)


def _take_over(folder: Folder, name: str, digest: str, note: Callable[[str], None]) -> None:
    """Give the state of the same fit with another output this name, where there is one, and none with this name."""
    if folder.look(name) is not None:
        return
    for other in sorted(each for each in folder.names() if each.startswith(".") and each.endswith(_ENDING)):
        with suppress(LogitstreamError):
            if _moved(folder, other, name, digest):
                note(f"the interrupted fit had the output {escape(other[1 : -len(_ENDING)])}")
                return


def _moved(folder: Folder, other: str, name: str, digest: str) -> bool:
    """Rename a state if it is that of the fit with a digest, and no process has it."""
    status, begin = folder.look(other), _MAGIC + _frame_of(digest.encode()) + digest.encode()
    if status is None or not stat.S_ISREG(status.st_mode):
        return False
    path = folder.path / other
    descriptor = folder.open_file(other, os.O_RDWR)
    try:
        if not disk.try_lock(descriptor, path) or disk.read_at(descriptor, len(begin), 0, path) != begin:
            return False
        folder.move(other, folder, name)
    finally:
        disk.release(descriptor)
    return True


def _locked(folder: Folder, name: str, output: str) -> int:
    """Return the open file of a state, after it was locked under its name."""
    while True:
        descriptor = folder.open_file(name, _OPEN)
        try:
            if not disk.try_lock(descriptor, folder.path / name):
                raise TemporaryError(f"another fit writes {escape(output)}", "wait for it, or name another output")
            here = folder.look(name)
            if here is not None and here.st_ino == disk.status(descriptor, folder.path / name).st_ino:
                return descriptor
        except BaseException:
            disk.release(descriptor)
            raise
        disk.release(descriptor)


def _records(descriptor: int, folder: Folder, output: str, digest: str, note: Callable[[str], None]) -> StateRecords:
    path = folder.path / state_name(output)
    records = StateRecords(descriptor, folder, path.name)
    size = disk.status(descriptor, path).st_size
    begin = disk.read_at(descriptor, len(_MAGIC), 0, path)
    if size and not _MAGIC.startswith(begin):
        raise OutputError(
            f"{disk.show(str(path))} is another file, but the fit needs this name for its state",
            "move it away, or name another output",
        )
    if len(records):
        # The fit before this one was killed, perhaps while it wrote the model or a new file for its state.
        with suppress(OSError):
            disk.remove_drafts(Path(output).absolute())
            disk.remove_drafts(path)
    if len(records) and records[0].decode(errors="replace") == digest:
        return records
    if len(records):
        note("inputs, features or options changed since the unfinished fit: starting over")
    records.keep(0)
    records.append(digest.encode())
    folder.sync()
    return records
