"""The footer of a Parquet file: its identity, its metadata, and a small memory of both.

A file is opened once, as a descriptor; Arrow opens the same inode again through ``/proc/self/fd``. So a file that is
replaced under its name in the meantime cannot give the identity of one state and the rows of another.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError, LogitstreamError, MemoryBudgetError
from pipeline.sources.files import show, system_error
from pipeline.types import Identity
from pipeline.units import KIB, MIB, escape

# pre_buffer keeps what it has read until the file is closed: memory would grow with the row group. Page checksums are
# the one defence against flipped bits that the format has. The limits are for footers made to exhaust memory.
READER_OPTIONS = {
    "pre_buffer": False,
    "buffer_size": 256 * KIB,
    "memory_map": False,
    "page_checksum_verification": True,
    "coerce_int96_timestamp_unit": "us",
    "thrift_string_size_limit": 100 * MIB,
    "thrift_container_size_limit": 1024 * KIB,
    "schema_depth_limit": 64,
    "arrow_extensions_enabled": False,
}

_TAIL = 8
_SMALLEST = 12
_LARGEST_FOOTER = 512 * MIB
_FOREIGN = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, RuntimeError, ArithmeticError)


@dataclass(frozen=True)
class Footer:
    """What a footer states; shared between threads and never changed.

    Attributes
    ----------
    metadata : pyarrow.parquet.FileMetaData
    schema : pyarrow.Schema
        As the reader options give it, which the metadata alone do not tell.
    """

    metadata: pq.FileMetaData
    schema: pa.Schema

    def leaves(self, column: int) -> range:
        """Return the numbers of the leaf columns of a top-level column.

        The dotted path of a leaf cannot tell: a column ``a.b`` and a member ``b`` of ``a`` are spelled alike.
        """
        start = sum(_leaf_count(field.type) for field in list(self.schema)[:column])
        return range(start, start + _leaf_count(self.schema.field(column).type))

    def owners(self) -> list[int]:
        """Return, for each leaf column, the number of its top-level column."""
        return [number for number, field in enumerate(self.schema) for _ in range(_leaf_count(field.type))]


class FooterCache:
    """The footers read last, by location and identity; safe between threads.

    A file of many chunks has its footer parsed once a process. What is kept is bounded by count and by encoded bytes;
    the footer put last always stays.
    """

    def __init__(self, entries: int = 64, size: int = 64 * MIB) -> None:
        self._entries = entries
        self._size = size
        self._lock = threading.Lock()
        self._footers: OrderedDict[tuple[str, Identity], Footer] = OrderedDict()

    def get(self, location: str, identity: Identity) -> Footer | None:
        """Return the footer of a file in this state, if it is known."""
        with self._lock:
            footer = self._footers.get((location, identity))
            if footer is not None:
                self._footers.move_to_end((location, identity))
            return footer

    def put(self, location: str, identity: Identity, footer: Footer) -> None:
        """Keep a footer, and forget those not asked for the longest."""
        with self._lock:
            self._footers[location, identity] = footer
            self._footers.move_to_end((location, identity))
            while len(self._footers) > 1 and self._exceeded():
                self._footers.popitem(last=False)

    def _exceeded(self) -> bool:
        held = sum(footer.metadata.serialized_size for footer in self._footers.values())
        return len(self._footers) > self._entries or held > self._size


_cache = FooterCache()


def read_identity(descriptor: int, path: str) -> Identity:
    """Return the identity of an open Parquet file: size, mtime, and the SHA-256 of its footer.

    The footer is the thrift text, its length word and the closing magic.

    Raises
    ------
    DataError
        The file is empty, cut short, encrypted or no Parquet file.
    """
    status = os.fstat(descriptor)
    try:
        length = _footer_length(descriptor, status.st_size, path)
        digest = _digest(descriptor, status.st_size - length, status.st_size)
    except OSError as error:
        raise system_error(error, path) from error
    return Identity(status.st_size, status.st_mtime_ns, digest)


def read_footer(location: str, identity: Identity, descriptor: int, path: str) -> Footer:
    """Return the footer of an open file in a known state, from memory where it was read before.

    Raises
    ------
    DataError
        It cannot be parsed, or contradicts itself.
    """
    footer = _cache.get(location, identity)
    if footer is None:
        with translated(path), open_parquet(descriptor) as parquet:
            footer = Footer(parquet.metadata, parquet.schema_arrow)
            _check(footer, path)
        _cache.put(location, identity, footer)
    return footer


@contextmanager
def open_parquet(
    descriptor: int, metadata: pq.FileMetaData | None = None, read_dictionary: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    """Open a reader of its own on an open file; the descriptor stays open when the reader is closed."""
    with pa.OSFile(f"/proc/self/fd/{descriptor}") as stream:
        yield pq.ParquetFile(stream, metadata=metadata, read_dictionary=list(read_dictionary), **READER_OPTIONS)


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn whatever Arrow raises about a file into an error that names it: the one door for Parquet."""
    try:
        yield
    except MemoryError as error:
        message = f"{show(path)} needs more memory than there is: {escape(str(error), 300)}"
        raise MemoryBudgetError(message, "Leave the file out, or write it again with smaller pages.") from error
    except _FOREIGN as error:
        raise _refusal(error, path) from error


def _refusal(error: Exception, path: str) -> LogitstreamError:
    if isinstance(error, OSError) and error.errno is not None:
        return system_error(error, path)
    text = str(error)
    if "encrypt" in text.lower():
        return _encrypted(path)
    return DataError(f"{show(path)} is damaged or not readable as Parquet: {escape(text, 300)}")


def _footer_length(descriptor: int, size: int, path: str) -> int:
    """Return the length of the footer with its length word and magic."""
    if size == 0:
        raise DataError(f"{show(path)} is empty: 0 bytes are no Parquet file", "Write the file again.")
    head, tail = os.pread(descriptor, 4, 0), os.pread(descriptor, _TAIL, max(0, size - _TAIL))
    if tail[-4:] == b"PARE" or head == b"PARE":
        raise _encrypted(path)
    if head != b"PAR1":
        raise DataError(f"{show(path)} is no Parquet file: it begins with {head!r}, not with b'PAR1'")
    if size < _SMALLEST or tail[-4:] != b"PAR1":
        message = f"{show(path)} is cut short: its {size:,} bytes do not end in a Parquet footer"
        raise DataError(message, "Was it being written? Copy or write it again.")
    length = int.from_bytes(tail[:4], "little") + _TAIL
    if length > min(size - 4, _LARGEST_FOOTER):
        raise DataError(f"{show(path)} is damaged: a footer of {length:,} bytes cannot be true of {size:,} bytes")
    return length


def _digest(descriptor: int, start: int, stop: int) -> str:
    digest = hashlib.sha256()
    while start < stop:
        block = os.pread(descriptor, min(MIB, stop - start), start)
        if not block:
            break
        digest.update(block)
        start += len(block)
    return digest.hexdigest()


def _encrypted(path: str) -> DataError:
    return DataError(f"{show(path)} is encrypted, which is not supported", "Decrypt it first.")


def _leaf_count(type_: pa.DataType) -> int:
    if isinstance(type_, pa.BaseExtensionType):
        return _leaf_count(type_.storage_type)
    return sum(_leaf_count(type_.field(number).type) for number in range(type_.num_fields)) or 1


def _check(footer: Footer, path: str) -> None:
    """Raise a :class:`DataError` where a footer contradicts itself."""
    metadata, shown = footer.metadata, show(path)
    if not len(footer.schema):
        raise DataError(f"{shown} has no columns")
    if len(footer.owners()) != metadata.num_columns:
        raise DataError(
            f"{shown} is damaged: its schema has {metadata.num_columns:,} leaves in columns that hold others"
        )
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if sum(rows) != metadata.num_rows or min(rows, default=0) < 0:
        raise DataError(
            f"{shown} is damaged: {metadata.num_rows:,} rows are not the sum of its row groups' {sum(rows):,}"
        )
    flat = [n for n in range(metadata.num_columns) if metadata.schema.column(n).max_repetition_level == 0]
    for number, expected in enumerate(rows):
        _check_values(metadata.row_group(number), number, flat, expected, shown)


def _check_values(group: pq.RowGroupMetaData, number: int, flat: Sequence[int], rows: int, shown: str) -> None:
    for leaf in flat:
        column = group.column(leaf)
        if column.num_values != rows:
            raise DataError(
                f"{shown} is damaged: row group {number} has {rows:,} rows, "
                f"but {column.num_values:,} values of {escape(column.path_in_schema)!r}"
            )
