"""Facts of Parquet files that a run records for the next one, which need not read the footer of an unchanged file.

A record only saves time: whatever it lacks is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
import pyarrow as pa

from pipeline import disk
from pipeline.plan import FORMAT_VERSION
from pipeline.sources.column_types import packed, unpacked
from pipeline.sources.content import STATE_BYTES, state_of
from pipeline.types.inputs import FileColumns, FileFacts, Identity, InputFile, Integers
from pipeline.units import MIB

# Raised when a footer gives other facts than before, or a record has another form. Another Arrow may see other types,
# and accept other footers.
_MADE_BY = f"1 {FORMAT_VERSION} {pa.__version__}".encode()
_LARGEST = 64 * MIB
_FILES_A_BATCH = 4_096

_INTEGERS = pa.list_(pa.int64())
_COLUMNS = {
    "state": pa.binary(STATE_BYTES),
    "digest": pa.binary(32),
    "type": pa.int32(),
    "group_rows": _INTEGERS,
    "sizes": _INTEGERS,
}


def record_of(files: Iterable[FileFacts]) -> bytes:
    """Return what :class:`Record` reads: the facts of those files whose state tells whether they still hold.

    Empty where there are none, or where they take more than 64 MiB.
    """
    found = [(facts, facts.columns) for facts in files if facts.state and isinstance(facts.columns, FileColumns)]
    types: dict[str, int] = {}
    numbers: dict[int, int] = {}
    for _, columns in found:
        if id(columns.fields) not in numbers:
            numbers[id(columns.fields)] = types.setdefault(packed(pa.struct(columns.fields)), len(types))
    if not found:
        return b""
    schema = pa.schema(_COLUMNS.items(), {"made by": _MADE_BY, "types": " ".join(types)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for start in range(0, len(found), _FILES_A_BATCH):
            part = found[start : start + _FILES_A_BATCH]
            sizes = [(columns.encoded, columns.decoded, columns.members) for _, columns in part]
            arrays = [
                pa.array([facts.state for facts, _ in part], _COLUMNS["state"]),
                pa.array([bytes.fromhex(facts.identity.digest) for facts, _ in part], _COLUMNS["digest"]),
                pa.array([numbers[id(columns.fields)] for _, columns in part], _COLUMNS["type"]),
                _lists([facts.group_rows for facts, _ in part]),
                _lists([np.concatenate(each) for each in sizes]),
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    content = sink.getvalue()
    return content.to_pybytes() if content.size <= _LARGEST else b""


def _lists(values: Sequence[Integers]) -> pa.Array:
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    members = np.concatenate(values)
    # Arrow would load a further module of numpy to look at an array.
    inner = pa.Array.from_buffers(pa.int64(), len(members), [None, pa.py_buffer(members)])
    return pa.Array.from_buffers(_INTEGERS, len(values), [None, pa.py_buffer(offsets)], children=[inner])


class Record:
    """The facts that a run recorded, by the state of each file. Without any, all footers are read."""

    def __init__(self, batches: Sequence[pa.RecordBatch] = (), types: Sequence[str] = ()) -> None:
        self._batches = [batch.columns for batch in batches]
        self._fields = [tuple(unpacked(text)) for text in types]
        self._places = {
            state: (number, row)
            for number, (states, *_) in enumerate(self._batches)
            for row, state in enumerate(states.to_pylist())
        }

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the record in some bytes; an empty one unless this release and this Arrow made them."""
        try:
            with pa.ipc.open_stream(content) as reader:
                noted = reader.schema.metadata or {}
                if noted.get(b"made by") == _MADE_BY:
                    return cls([*reader], noted[b"types"].decode().split())
        except (pa.ArrowException, OSError):
            pass
        return cls()

    def facts(self, file: InputFile) -> FileFacts | None:
        """Return the facts of a file, ``None`` unless it was recorded in the state that it is in."""
        status = disk.facts(file.location) if self._places and file.format == "parquet" else None
        state = b"" if status is None else state_of(status)
        place = self._places.get(state)
        if status is None or place is None:
            return None
        number, row = place
        _, digests, types, groups, sizes = self._batches[number]
        return FileFacts.of_row_groups(
            file,
            Identity(status.st_size, status.st_mtime_ns, digests[row].as_py().hex()),
            FileColumns(self._fields[types[row].as_py()], *sizes[row].values.to_numpy().reshape(3, -1)),
            groups[row].values.to_numpy(),
            state,
        )
