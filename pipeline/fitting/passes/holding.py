"""Decoded columns between passes: in memory where they fit, else in scratch files, else they are read again.

What is held are the batches of a chunk as they were read, texts as dictionaries; which rows are fitted, and the tiles
that are made of them, follow from that in each pass. So sums have the same bits wherever the batches come from, and the
first pass, which does not know the design yet, can hold them for all others.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError
from pipeline.fitting.passes.scratch import ScratchChunk, ScratchDraft, ScratchFiles
from pipeline.models.columns import numbers
from pipeline.scan import Batch, ChunkContext
from pipeline.types.inputs import Integers
from pipeline.types.rows import BadCell, Slice, SliceAccount
from pipeline.types.work import Outcome

SetAside = Callable[[Slice, BadCell], None]
Where = Literal["memory", "scratch", "read again"]


@dataclass(frozen=True, slots=True)
class Holding:
    """Where decoded columns are between passes. Plain values, which travel to workers.

    Attributes
    ----------
    where : {"memory", "scratch", "read again"}
    name : str
        Of the fit in this process.
    bound : int
        The most bytes that a process holds in memory, or writes to scratch files.
    folder : str
        The scratch folder.
    levels : tuple of str
        Columns that are held as dictionaries.
    places : bool
        Whether the places of rows in their files are held too.
    """

    where: Where
    name: str = ""
    bound: int = 0
    folder: str = ""
    levels: tuple[str, ...] = ()
    places: bool = False


READ_AGAIN = Holding("read again")


@dataclass(slots=True)
class HeldChunk:
    """The batches of a chunk, packed, with the accounts of the chunk."""

    accounts: Mapping[str, Any]
    packed: list[pa.Buffer]
    size: int

    def batches(self) -> Iterator[pa.Buffer]:
        """Yield each batch."""
        yield from self.packed

    def close(self) -> None:
        """Keep it: other passes need it."""


class MemoryChunks:
    """Chunks in memory, for the threads of a process. The first ones that fit stay, until all are dropped.

    Attributes
    ----------
    bound : int
        The most bytes that are held.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._held: dict[int, HeldChunk] = {}
        self._size = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are held or promised."""
        return self._size

    def open(self, chunk: int) -> HeldChunk | None:
        """Return a chunk, ``None`` where it is not held."""
        return self._held.get(chunk)

    def create(self, chunk: int) -> MemoryDraft:
        """Return what gathers a chunk."""
        return MemoryDraft(self, chunk)

    def reserve(self, size: int) -> bool:
        """Return whether so many bytes more may be held, and count them."""
        with self._lock:
            if self._size + size > self.bound:
                return False
            self._size += size
            return True

    def keep(self, chunk: int, held: HeldChunk) -> None:
        """Hold a chunk; if it is held already, the new one is dropped."""
        with self._lock:
            if self._held.setdefault(chunk, held) is not held:
                self._size -= held.size

    def lower(self, bound: int) -> None:
        """Hold at most so many bytes from now on: the last chunks are dropped."""
        with self._lock:
            self.bound = min(self.bound, bound)
            for chunk in sorted(self._held, reverse=True):
                if self._size <= self.bound:
                    break
                self._size -= self._held.pop(chunk).size

    def give_back(self, size: int) -> None:
        """Take back bytes that are not needed."""
        with self._lock:
            self._size -= size


class MemoryDraft:
    """A chunk while it is gathered; one that does not fit is given up."""

    def __init__(self, chunks: MemoryChunks, chunk: int) -> None:
        self._chunks, self._chunk = chunks, chunk
        self._held: HeldChunk | None = HeldChunk({}, [], 0)

    def add(self, batch: pa.Buffer) -> None:
        """Gather a batch."""
        if self._held is None:
            return
        if self._chunks.reserve(batch.size):
            self._held.packed.append(batch)
            self._held.size += batch.size
        else:
            self.close()

    def finish(self, accounts: Mapping[str, Any]) -> None:
        """Hold the chunk."""
        if self._held is not None:
            self._chunks.keep(self._chunk, replace(self._held, accounts=accounts))
            self._held = None

    def close(self) -> None:
        """Drop what was gathered, unless it was finished."""
        if self._held is not None:
            self._chunks.give_back(self._held.size)
            self._held = None


Store = MemoryChunks | ScratchFiles

_lock = threading.Lock()
_in_memory: dict[str, MemoryChunks] = {}


@contextmanager
def held_in_memory(holding: Holding) -> Iterator[MemoryChunks]:
    """Hold chunks in the memory of this process inside the block."""
    chunks = MemoryChunks(holding.bound)
    with _lock:
        _in_memory[holding.name] = chunks
    try:
        yield chunks
    finally:
        with _lock:
            del _in_memory[holding.name]


def in_memory(holding: Holding) -> MemoryChunks | None:
    """Return the chunks that this process holds in memory, ``None`` where it holds none."""
    return _in_memory.get(holding.name) if holding.where == "memory" else None


def store_of(settings: Mapping[str, Any]) -> HoldingStore:
    """Return where this process holds chunks, by the settings of a step."""
    stated = settings.get("holding")
    holding = Holding(**{**stated, "levels": tuple(stated["levels"])}) if stated else READ_AGAIN
    files = ScratchFiles(Path(holding.folder), holding.bound) if holding.where == "scratch" else None
    return HoldingStore(holding, files or in_memory(holding))


@dataclass(frozen=True, slots=True)
class HoldingStore:
    """Where a process holds chunks; for several threads."""

    holding: Holding
    store: Store | None

    def walk(self, context: ChunkContext, *, fresh: bool = False) -> ChunkWalk:
        """Return the batches of a chunk, from where they are held; ``fresh`` reads its files in any case."""
        return ChunkWalk(context, self, fresh=fresh)


@dataclass(slots=True, eq=False)
class HeldBatch:
    """Rows of one slice that were held.

    Attributes
    ----------
    data : pyarrow.RecordBatch
    position : int
        Position of the slice in the chunk.
    file : int
        Number of the file.
    finite : frozenset of str
        Columns of floats in which nothing is missing or infinite: that was seen when they were held.
    """

    data: pa.RecordBatch
    position: int
    file: int
    finite: frozenset[str]
    _places: Integers | None

    def places(self) -> Integers:
        """Return the place of each row in its file, where that was asked for."""
        if self._places is None:
            raise ValueError("the places of rows were not held")
        return self._places


class ChunkWalk:
    """The batches of a chunk, once, from where they are held or from its files; what is read is held. For one thread.

    The context manager gives up what was not finished.
    """

    def __init__(self, context: ChunkContext, store: HoldingStore, *, fresh: bool) -> None:
        self._context, self._store = context, store
        self._found: HeldChunk | ScratchChunk | None = None
        self._draft: MemoryDraft | ScratchDraft | None = None
        chunk = context.chunk.index
        if store.store is not None:
            self._found = store.store.open(chunk)
            if self._found is None:
                self._draft = store.store.create(chunk)
            elif fresh or not self._begins_right(self._found):
                self._close_found()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._draft is not None:
            self._draft.close()
        self._close_found()

    def batches(self) -> Iterator[Batch | HeldBatch]:
        """Yield the batches of the chunk."""
        yield from self.read() if self._found is None else self._again(self._found)

    def outcome(self, payload: Any) -> Outcome[Any]:
        """Return the outcome of the chunk after its last batch, with the accounts of when it was read."""
        outcome = self._context.outcome(payload)
        if self._found is not None:
            return replace(outcome, accounts=_accounts(self._found.accounts))
        if self._draft is not None and outcome.payload is not None:
            self._draft.finish({"accounts": [asdict(account) for account in outcome.accounts]})
        return outcome

    def read(self, set_aside: SetAside | None = None) -> Iterator[Batch]:
        """Yield the batches of the chunk from its files; the arguments are those of ``ChunkContext.batches``."""
        for batch in self._context.batches(set_aside=set_aside):
            if self._draft is not None:
                self._draft.add(packed(batch, self._store.holding))
            yield batch

    def _again(self, found: HeldChunk | ScratchChunk) -> Iterator[HeldBatch]:
        for buffer in found.batches():
            yield unpacked(buffer)

    def _begins_right(self, found: HeldChunk | ScratchChunk) -> bool:
        """Return whether a held chunk begins where it is known to: it may have been read from a wrong guess."""
        begin = self._context.begin
        return begin is None or _accounts(found.accounts)[0].begin == begin

    def _close_found(self) -> None:
        if self._found is not None:
            self._found.close()
            self._found = None


def _accounts(stated: Mapping[str, Any]) -> tuple[SliceAccount, ...]:
    return tuple(SliceAccount(**account) for account in stated["accounts"])


# In the metadata of a held batch; and the name of a column of it, which no column of a file has.
_POSITION, _FILE, _FINITE, _PLACES = b"position", b"file", b"finite", "\0places"


def packed(batch: Batch, holding: Holding) -> pa.Buffer:
    """Return a batch in one piece of memory, as an Arrow stream."""
    names, columns = list(batch.data.schema.names), list(batch.data.columns)
    for place, name in enumerate(names):
        if name in holding.levels and _pays(columns[place].type):
            columns[place] = columns[place].dictionary_encode()
    if holding.places:
        names.append(_PLACES)
        columns.append(pa.array(batch.places()))
    fields = [pa.field(name, column.type) for name, column in zip(names, columns, strict=True)]
    finite = [name for name, column in zip(names, columns, strict=True) if _is_finite(column)]
    stated = {_POSITION: str(batch.position), _FILE: str(batch.file), _FINITE: json.dumps(finite)}
    data = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, metadata=stated))
    counter = pa.MockOutputStream()
    _write(data, counter)
    memory = pa.allocate_buffer(counter.size())
    _write(data, pa.FixedSizeBufferWriter(memory))
    return memory


def unpacked(memory: pa.Buffer) -> HeldBatch:
    """Return the batch that :func:`packed` has packed, in the same memory.

    Raises
    ------
    BalanceError
        It is no such batch.
    """
    try:
        with pa.ipc.open_stream(memory) as reader:
            data = reader.read_next_batch()
            place = reader.schema.metadata
    except (pa.ArrowInvalid, StopIteration) as error:
        raise BalanceError("a decoded batch in scratch is not what was written", "run again") from error
    places = None
    if data.schema.names[-1:] == [_PLACES]:
        places = data.column(data.num_columns - 1).to_numpy()
        data = data.select(range(data.num_columns - 1))
    finite = frozenset(json.loads(place[_FINITE]))
    return HeldBatch(data, int(place[_POSITION]), int(place[_FILE]), finite, places)


def _write(data: pa.RecordBatch, sink: Any) -> None:
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write_batch(data)


def _is_finite(column: pa.Array) -> bool:
    if not pa.types.is_floating(column.type) or column.null_count:
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(numbers(column).values)))


def _pays(type_: pa.DataType) -> bool:
    """Return whether a column of levels is held as a dictionary: booleans are read as they are."""
    return not (pa.types.is_dictionary(type_) or pa.types.is_boolean(type_) or pa.types.is_float16(type_))
