"""Facts of Parquet files that a run records for the next one, which need not read the footer of an unchanged file.

A record only saves time: whatever it lacks is read.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import disk
from pipeline.plan import FORMAT_VERSION
from pipeline.sources.column_types import packed, unpacked
from pipeline.sources.content import STATE_BYTES, device_of, devices_keeping_time, state_of
from pipeline.types.inputs import FileColumns, FileFacts, Identity, InputFile, Integers
from pipeline.units import MIB
from pipeline.version import __version__

# Another release may see other facts in a footer, or give a record another form. Another Arrow may see other types, and
# accept other footers.
_MADE_BY = f"{__version__} {FORMAT_VERSION} {pa.__version__}".encode()
_LARGEST = 64 * MIB
# So much is held besides the facts at a time: the memory that the run may use is full of them.
_BATCH = MIB
_BYTES_A_COLUMN = 24
_DIGEST_BYTES = 32
# The state, the digest, the number of the type and two offsets.
_BYTES_A_FILE = STATE_BYTES + _DIGEST_BYTES + 16

_STATE, _DIGEST, _INTEGERS = pa.binary(STATE_BYTES), pa.binary(_DIGEST_BYTES), pa.list_(pa.int64())
_SCHEMA = pa.schema(
    {"state": _STATE, "digest": _DIGEST, "type": pa.int64(), "group_rows": _INTEGERS, "sizes": _INTEGERS}.items()
)

_Pair: TypeAlias = tuple[FileFacts, FileColumns]


def record_of(files: Iterable[FileFacts]) -> bytes:
    """Return what :class:`Record` reads: the facts of those files whose state tells whether they still hold.

    Empty where there are none, or where their numbers take more than 64 MiB: 90,000 files of 25 columns fit.
    Little more memory is taken than for the record itself, whose numbers are compressed.
    """
    devices = devices_keeping_time()
    found = [
        (facts, facts.columns)
        for facts in files
        if facts.state and device_of(facts.state) in devices and isinstance(facts.columns, FileColumns)
    ]
    if not found or sum(_size(*each) for each in found) > _LARGEST:
        return b""
    types: dict[str, int] = {}
    numbers: dict[int, int] = {}
    for _, columns in found:
        if id(columns.fields) not in numbers:
            numbers[id(columns.fields)] = types.setdefault(packed(pa.struct(columns.fields)), len(types))
    schema = _SCHEMA.with_metadata({"made by": _MADE_BY, "types": " ".join(types)})
    # Grows with less memory than a stream of Arrow's, and gives its bytes without a copy.
    sink = io.BytesIO()
    # Threads would take memory of their own, and have hardly anything to do.
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for some in _batches(found):
            digests = "".join(facts.identity.digest for facts, _ in some)
            arrays = [
                _array(_STATE, len(some), b"".join(facts.state for facts, _ in some)),
                _array(_DIGEST, len(some), bytes.fromhex(digests)),
                _array(pa.int64(), len(some), np.array([numbers[id(columns.fields)] for _, columns in some])),
                _lists([facts.group_rows for facts, _ in some]),
                _lists([np.concatenate((columns.encoded, columns.decoded, columns.members)) for _, columns in some]),
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue()


def _size(facts: FileFacts, columns: FileColumns) -> int:
    """Return the bytes that a file takes in a record, before they are compressed."""
    return _BYTES_A_FILE + _BYTES_A_COLUMN * len(columns) + facts.group_rows.nbytes


def _batches(found: Iterable[_Pair]) -> Iterator[list[_Pair]]:
    some: list[_Pair] = []
    size = 0
    for each in found:
        some.append(each)
        size += _size(*each)
        if size >= _BATCH:
            yield some
            some, size = [], 0
    if some:
        yield some


# Of buffers, and below into them: what makes an array of values, or values of an array, loads pandas if there is one.
def _array(
    type_: pa.DataType, count: int, values: bytes | npt.NDArray[np.signedinteger], *members: pa.Array
) -> pa.Array:
    return pa.Array.from_buffers(type_, count, [None, pa.py_buffer(values)], children=list(members))


def _lists(values: Sequence[Integers]) -> pa.Array:
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    members = np.concatenate(values)
    return _array(_INTEGERS, len(values), offsets, _array(pa.int64(), len(members), members))


class _RecordedLists:
    """Some lists of integers."""

    def __init__(self, array: pa.Array) -> None:
        _, offsets, _, members = array.buffers()
        self._offsets = np.frombuffer(offsets, np.int32)
        self._members = np.frombuffer(members or b"", np.int64)

    def __getitem__(self, row: int) -> Integers:
        return self._members[self._offsets[row] : self._offsets[row + 1]]


class _RecordedBatch:
    """The facts of some files, as they were recorded."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        states, digests, types, group_rows, sizes = batch.columns
        self.states = [bytes(state) for state in _pieces(states, STATE_BYTES, len(batch))]
        self.digests = _pieces(digests, _DIGEST_BYTES, len(batch))
        self.types = np.frombuffer(types.buffers()[1], np.int64)
        self.group_rows, self.sizes = _RecordedLists(group_rows), _RecordedLists(sizes)


def _pieces(array: pa.Array, size: int, count: int) -> list[memoryview]:
    content = memoryview(array.buffers()[1])
    return [content[start : start + size] for start in range(0, count * size, size)]


class Record:
    """The facts that a run recorded, by the state of each file. Without any, all footers are read."""

    def __init__(self, batches: Iterable[pa.RecordBatch] = (), types: Sequence[str] = ()) -> None:
        self._batches = [_RecordedBatch(batch) for batch in batches]
        self._fields = [tuple(unpacked(text)) for text in types]
        # What is mounted may be another file system by now.
        devices = devices_keeping_time() if self._batches else frozenset()
        self._places = {
            state: (batch, row)
            for batch in self._batches
            for row, state in enumerate(batch.states)
            if device_of(state) in devices
        }

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the record in some bytes; an empty one unless this release and this Arrow made them."""
        # Arrow refuses the empty bytes of an output that no run has left anything for, too.
        with suppress(pa.ArrowException, OSError), pa.ipc.open_stream(content) as reader:
            noted = reader.schema.metadata or {}
            if noted.get(b"made by") == _MADE_BY:
                return cls(reader, noted[b"types"].decode().split())
        return cls()

    def facts(self, file: InputFile) -> FileFacts | None:
        """Return the facts of a file, ``None`` unless it was recorded in the state that it is in."""
        status = disk.facts(file.location) if self._places and file.format == "parquet" else None
        state = b"" if status is None else state_of(status)
        place = self._places.get(state)
        if status is None or place is None:
            return None
        batch, row = place
        return FileFacts.of_row_groups(
            file,
            Identity(status.st_size, status.st_mtime_ns, batch.digests[row].hex()),
            FileColumns(self._fields[batch.types[row]], *batch.sizes[row].reshape(3, -1)),
            batch.group_rows[row],
            state,
        )
