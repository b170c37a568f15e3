"""The footer of a Parquet file: its identity, its metadata, and a small memory of both.

A file is opened once, as a descriptor; Arrow opens the same inode again through ``/proc/self/fd``. So a file that is
replaced under its name in the meantime cannot give the identity of one state and the rows of another.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import formats
from pipeline.dataclass import dataclass
from pipeline.disk import OpenFile, input_error, show
from pipeline.errors import DataError, LogitstreamError, MemoryBudgetError
from pipeline.sources.parquet.logical import logical_types, storage_of, written_schema
from pipeline.types.inputs import INT96, LOGICAL, Identity, Integers
from pipeline.units import KIB, MIB, escape

# pre_buffer keeps what it has read until the file is closed: memory would grow with the row group. What of a page comes
# through the buffer is copied once more; a smaller one would need more calls where pages are small. Page checksums are
# the only defence against flipped bits that the format has. The limits are for footers made to exhaust memory.
READER_OPTIONS = {
    "pre_buffer": False,
    "buffer_size": 64 * KIB,
    "memory_map": False,
    "page_checksum_verification": True,
    "coerce_int96_timestamp_unit": "us",
    "thrift_string_size_limit": 100 * MIB,
    "thrift_container_size_limit": 1024 * KIB,
    "schema_depth_limit": 64,
    "arrow_extensions_enabled": False,
}

# Only the footer is read: buffers for each column, in each thread, would take most of the memory of planning.
_EXAMINING_OPTIONS = {**READER_OPTIONS, "buffer_size": KIB}

_TAIL = 8
_SMALLEST = 12
# So much is read of the end of a file at once: most footers are shorter.
_END = 16 * KIB
_LARGEST_FOOTER = 512 * MIB
# Arrow decodes these to text, and has no code that makes a dictionary of them.
_AS_TEXT = frozenset({"DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"})

# What Arrow says, besides the error of its own kind, where it has no code.
_NO_CODE = re.compile("not yet implemented|currently not supported", re.IGNORECASE)
_FEW_ROWS = 1_024

# What to do about a file whose bytes are wrong.
AGAIN = "copy or write the file again"
_FOREIGN = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, RuntimeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Shape:
    """The schema that files written alike share: one object for all of them.

    Attributes
    ----------
    schema : pyarrow.Schema
    fields : tuple of pyarrow.Field
        Of the schema, as the reader gives the columns; the logical type that a column has besides is in its metadata.
    owners : tuple of int
        For each leaf column, the number of its top-level column.
    flat : tuple of bool
        For each leaf column, whether it has one value a row.
    member_bits : tuple of int
        For each leaf column of numbers that are members of lists, the bits of one; else 0.
    written : tuple of pyarrow.parquet.ParquetSchema and bytes
        The schema of the file, with logical types, and what GeoParquet says of it.
    """

    schema: pa.Schema
    fields: tuple[pa.Field, ...]
    owners: tuple[int, ...]
    flat: tuple[bool, ...]
    member_bits: tuple[int, ...]
    written: tuple[pq.ParquetSchema, bytes]

    @property
    def int96(self) -> frozenset[str]:
        """The names of the columns that are INT96, without those that have it below them."""
        return self.of_logical(INT96)

    def of_logical(self, logical: bytes) -> frozenset[str]:
        """Return the names of the columns of a logical type, without those that have it below them."""
        return frozenset(field.name for field in self.fields if (field.metadata or {}).get(LOGICAL) == logical)


@dataclass(frozen=True)
class Footer:
    """A parsed footer; shared between threads and never changed.

    Attributes
    ----------
    metadata : pyarrow.parquet.FileMetaData
    shape : Shape
    group_rows : ndarray of int64, shape (row groups,)
        Rows of each row group.
    """

    metadata: pq.FileMetaData
    shape: Shape
    group_rows: Integers

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that the reader options give, without schema metadata."""
        return self.shape.schema

    def sizes(self, groups: Iterable[int], path: str) -> tuple[Integers, Integers]:
        """Return the bytes of each top-level column in some row groups, as stored and decompressed.

        Only for row groups whose columns Arrow has accepted: otherwise the process may end.

        Raises
        ------
        DataError
            A row group has rows without values.
        """
        encoded = np.zeros(len(self.shape.fields), dtype=np.int64)
        decoded = np.zeros_like(encoded)
        for number in groups:
            rows = int(self.group_rows[number])
            group = self.metadata.row_group(number)
            for leaf, (owner, flat) in enumerate(zip(self.shape.owners, self.shape.flat, strict=True)) if rows else ():
                column = group.column(leaf)
                encoded[owner] += column.total_compressed_size
                decoded[owner] += column.total_uncompressed_size
                if flat and column.num_values != rows:
                    # By the schema: the name in the row group may be damaged, too.
                    raise DataError(
                        f"{show(path)} is damaged: row group {number} has {rows:,} rows, "
                        f"but {column.num_values:,} values of column '{escape(self.shape.fields[owner].name)}'",
                        AGAIN,
                    )
        return encoded, decoded

    def stored_bytes(self, groups: Iterable[int], leaves: Sequence[int]) -> int:
        """Return the bytes that some leaf columns take in some row groups; the same condition holds."""
        found = 0
        for number in groups:
            group = self.metadata.row_group(number)
            found += sum(group.column(leaf).total_compressed_size for leaf in leaves) if group.num_rows else 0
        return found

    def members(self, groups: Iterable[int]) -> Integers:
        """Return the bytes that the members of lists take in memory, of each top-level column in some row groups.

        The footer states how many members there are, where a null or empty list counts as one, whatever a dictionary
        makes of their pages. Only for row groups as in :meth:`sizes`.
        """
        members = np.zeros(len(self.shape.fields), dtype=np.int64)
        leaves = [(leaf, bits) for leaf, bits in enumerate(self.shape.member_bits) if bits]
        for number in groups if leaves else ():
            group = self.metadata.row_group(number)
            for leaf, bits in leaves if self.group_rows[number] else ():
                members[self.shape.owners[leaf]] += group.column(leaf).num_values * bits // 8
        return members

    def not_as_dictionary(self, groups: Iterable[int], columns: Sequence[int]) -> tuple[int, ...]:
        """Return those of some top-level columns of text that Arrow cannot read as a dictionary in some row groups.

        Spark and DuckDB write such columns as version 2 of the format. Only for row groups whose columns Arrow has
        accepted: otherwise the process may end.
        """
        leaves = {column: self.shape.owners.index(column) for column in columns}
        found: set[int] = set()
        for number in groups:
            if len(found) == len(leaves):
                break
            group = self.metadata.row_group(number)
            rest = (column for column in leaves if column not in found)
            found.update(column for column in rest if not _AS_TEXT.isdisjoint(group.column(leaves[column]).encodings))
        return tuple(sorted(found))


class FooterCache:
    """The footers read last, by location and identity; safe between threads.

    The footer of a file with many chunks is parsed once a process. The cache is bounded by count and by encoded bytes;
    the newest footer always stays.
    """

    def __init__(self, entries: int = 64, size: int = 64 * MIB) -> None:
        self._entries = entries
        self._size = size
        self._held = 0
        self._lock = threading.Lock()
        self._footers: OrderedDict[tuple[str, int, int, str], Footer] = OrderedDict()

    def get(self, location: str, identity: Identity) -> Footer | None:
        """Return the footer of a file in this state, if it is known."""
        key = _key(location, identity)
        with self._lock:
            footer = self._footers.get(key)
            if footer is not None:
                self._footers.move_to_end(key)
            return footer

    def put(self, location: str, identity: Identity, footer: Footer) -> None:
        """Keep a footer, and forget those used least recently."""
        key = _key(location, identity)
        with self._lock:
            self._forget(self._footers.pop(key, None))
            self._footers[key] = footer
            self._held += footer.metadata.serialized_size
            while len(self._footers) > 1 and (len(self._footers) > self._entries or self._held > self._size):
                self._forget(self._footers.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget all footers."""
        with self._lock:
            self._footers.clear()
            self._held = 0

    def _forget(self, footer: Footer | None) -> None:
        if footer is not None:
            self._held -= footer.metadata.serialized_size


def _key(location: str, identity: Identity) -> tuple[str, int, int, str]:
    return location, identity.size, identity.mtime_ns, identity.digest


_cache = FooterCache()


def forget_footers() -> None:
    """Forget the footers that this process remembers; they are parsed again when needed."""
    _cache.clear()


def read_identity(file: OpenFile) -> Identity:
    """Return the identity of an open Parquet file: size, mtime, and the SHA-256 of its footer.

    The footer is the thrift text, its length word and the closing magic.

    Raises
    ------
    DataError
        The file is empty, cut short, encrypted or not a Parquet file.
    """
    status = file.status()
    size = status.st_size
    end = file.read_range(min(size, _END), max(0, size - _END))
    length = _footer_length(file, size, end)
    footer = hashlib.sha256(end[-length:]).hexdigest() if length <= len(end) else file.sha256(size - length, size)
    return Identity(size, status.st_mtime_ns, footer)


def read_footer(location: str, identity: Identity, file: OpenFile) -> Footer:
    """Return the footer of an open file in a known state, checked so that nothing in it can end the process.

    Raises
    ------
    DataError
        It cannot be parsed, or contradicts itself.
    """
    path = file.path
    fence = _Fence(file, identity.size)
    with translated(path), pa.PythonFile(fence, mode="r") as stream:
        parquet = pq.ParquetFile(stream, **_EXAMINING_OPTIONS)
        footer = footer_of(parquet, path)
        rows = footer.group_rows.tolist()
        if sum(rows) != footer.metadata.num_rows or min(rows, default=0) < 0:
            raise DataError(
                f"{show(path)} is damaged: {footer.metadata.num_rows:,} rows, but its row groups have {sum(rows):,}",
                AGAIN,
            )
        fence.closed_off = True
        for number in (number for number, count in enumerate(rows) if count):
            find = partial(unsupported_column, parquet, footer.schema.names, [number])
            with translated(path, find, every_column=True):
                _probe(parquet, number, fence)
    _cache.put(location, identity, footer)
    return footer


def known_footer(location: str, identity: Identity) -> Footer | None:
    """Return the footer of a file in a known state, if the cache has it."""
    return _cache.get(location, identity)


def keep_footer(location: str, identity: Identity, footer: Footer) -> None:
    """Keep a footer for later readers of the file."""
    _cache.put(location, identity, footer)


def open_parquet(
    stream: pa.NativeFile,
    metadata: pq.FileMetaData | None = None,
    read_dictionary: Sequence[str] = (),
    int96: str = "us",
) -> pq.ParquetFile:
    """Open a reader on a stream, which stays open when the reader is closed; ``int96`` is a unit of time."""
    options = {**READER_OPTIONS, "coerce_int96_timestamp_unit": int96}
    return pq.ParquetFile(stream, metadata=metadata, read_dictionary=list(read_dictionary), **options)


class translated:  # noqa: N801 - only ever called, like the function that contextmanager would make of it
    """Turn every error that Arrow raises about a file into one that names it: the one door for Parquet.

    ``column`` finds the column that Arrow has no code for, or returns an empty text. ``every_column`` says that all
    columns of the file have to be readable, so that leaving one out does not help.
    """

    # Every file goes through it several times: a class costs less than a generator and the object around it.
    __slots__ = ("_column", "_every_column", "_path")

    def __init__(self, path: str, column: Callable[[], str] = str, *, every_column: bool = False) -> None:
        self._path, self._column, self._every_column = path, column, every_column

    def __enter__(self) -> None:
        """Leave everything to the exit: only an error needs work."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise the error that names the file, for one that Arrow raised; any other goes on."""
        if isinstance(error, MemoryError):
            message = f"{show(self._path)} needs more memory than there is: {escape(str(error), 300)}"
            raise MemoryBudgetError(message, "leave the file out, or write it again with smaller pages") from error
        if isinstance(error, _FOREIGN):
            if _is_unsupported(error):
                raise _unsupported(error, self._path, self._column(), every_column=self._every_column) from error
            raise _refusal(error, self._path) from error


def _is_unsupported(error: Exception) -> bool:
    """Return whether Arrow has no code for what it met, rather than that it met wrong bytes."""
    # The Parquet library raises this as the error that it raises for damage: its text alone tells them apart.
    return isinstance(error, NotImplementedError) or _NO_CODE.search(str(error)) is not None


def _unsupported(error: Exception, path: str, column: str, *, every_column: bool) -> DataError:
    what = f"column '{escape(column)}'" if column else "it"
    message = f"{show(path)} cannot be read: {what} uses a part of Parquet that Arrow does not support"
    remedy = "write the file again with other options, for instance with pyarrow's defaults"
    if column and not every_column:
        remedy += ", or leave the column out"
    return DataError(f"{message}: {escape(str(error), 300)}", remedy)


def unsupported_column(parquet: pq.ParquetFile, names: Sequence[str], groups: Sequence[int]) -> str:
    """Return the first column that Arrow has no code for, each read alone to its end; empty if there is none."""
    for name in names:
        try:
            for _ in parquet.iter_batches(_FEW_ROWS, row_groups=groups, columns=[name], use_threads=False):
                pass
        except _FOREIGN as error:
            if _is_unsupported(error):
                return name
    return ""


def _refusal(error: Exception, path: str) -> LogitstreamError:
    if isinstance(error, OSError) and error.errno is not None:
        return input_error(error, path)
    text = str(error)
    # Of an encrypted file Arrow raises what it raises of a damaged one: its text alone tells them apart.
    if "crypt" in text.lower():
        return _encrypted(path)
    return DataError(f"{show(path)} is damaged or not readable as Parquet: {escape(text, 300)}", AGAIN)


def _footer_length(file: OpenFile, size: int, end: bytes) -> int:
    """Return the length of the footer with its length word and magic, from the last bytes of a file."""
    path = file.path
    if size == 0:
        raise DataError(f"{show(path)} is empty: 0 bytes are not a Parquet file", "write the file again")
    head, tail = end[:4] if size <= _END else file.read_at(4, 0), end[-_TAIL:]
    if tail[-4:] == b"PARE" or head == b"PARE":
        raise _encrypted(path)
    if head != b"PAR1":
        raise _other(file, head, tail)
    if size < _SMALLEST or tail[-4:] != b"PAR1":
        message = f"{show(path)} is cut short: its {size:,} bytes do not end in a Parquet footer"
        raise DataError(message, "wait until it is written, or copy or write it again")
    length = int.from_bytes(tail[:4], "little") + _TAIL
    if length > min(size - 4, _LARGEST_FOOTER):
        raise DataError(f"{show(path)} is damaged: a footer of {length:,} bytes in a file of {size:,} bytes", AGAIN)
    return length


def _other(file: OpenFile, head: bytes, tail: bytes) -> DataError:
    """Return the error for a file that does not begin as Parquet."""
    shown = show(file.path)
    if tail[-4:] == b"PAR1":
        return DataError(f"{shown} is damaged: it ends as a Parquet file, but begins with {head!r}", AGAIN)
    message = f"{shown} is not a Parquet file: it begins with {head!r}, not with b'PAR1'"
    found = formats.by_start(file.read_at(formats.HEAD_BYTES, 0))
    if found is None:
        return DataError(message, "if it is CSV, give it a name that ends in .csv")
    return DataError(f"{message}; it is {found.name}", formats.advice(found, shown))


def _encrypted(path: str) -> DataError:
    return DataError(f"{show(path)} is encrypted, which is not supported", "decrypt it first")


def footer_of(parquet: pq.ParquetFile, path: str) -> Footer:
    """Return the footer of a file that was opened.

    Raises
    ------
    DataError
        Its schema contradicts itself.
    """
    metadata = parquet.metadata
    shape = _shape_of(parquet.schema_arrow.remove_metadata(), metadata)
    if not shape.fields:
        raise DataError(f"{show(path)} has no columns", "leave the file out")
    if len(shape.owners) != metadata.num_columns:
        message = f"{show(path)} is damaged: {metadata.num_columns:,} leaf columns do not fit its schema"
        raise DataError(message, AGAIN)
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return Footer(metadata, shape, np.array(rows, dtype=np.int64))


_last_shape: Shape | None = None


def _shape_of(schema: pa.Schema, metadata: pq.FileMetaData) -> Shape:
    """Return the shape of files of this schema: that of the previous file, where it is the same."""
    global _last_shape  # noqa: PLW0603 - whichever thread sets it last: each reads it once and compares
    last, written = _last_shape, (written_schema(metadata), (metadata.metadata or {}).get(b"geo", b""))
    if last is not None and last.schema.equals(schema, check_metadata=True) and last.written == written:
        return last
    owners = tuple(number for number, field in enumerate(schema) for _ in range(leaf_count(field.type)))
    flat = tuple(flat for field in schema for flat in _flat_leaves(field.type))
    bits = tuple(_bits(type_) for field in schema for type_ in _leaves(field.type))
    bits = tuple(0 if is_flat else found for found, is_flat in zip(bits, flat, strict=True))
    fits = len(owners) == metadata.num_columns
    logical = logical_types(metadata, schema, owners) if fits else {}
    fields = tuple(
        field.with_metadata({LOGICAL: logical[number]}) if number in logical else field.remove_metadata()
        for number, field in enumerate(pa.field(each.name, storage_of(each.type), each.nullable) for each in schema)
    )
    shape = _last_shape = Shape(schema, fields, owners, flat, bits, written)
    return shape


def _flat_leaves(type_: pa.DataType, flat: bool = True) -> Iterator[bool]:
    """Yield for each leaf column of a type whether it has one value a row: not so below a list or a map."""
    if isinstance(type_, pa.BaseExtensionType):
        yield from _flat_leaves(type_.storage_type, flat)
        return
    below = flat and pa.types.is_struct(type_)
    for number in range(type_.num_fields):
        yield from _flat_leaves(type_.field(number).type, below)
    if not type_.num_fields:
        yield flat


def _leaves(type_: pa.DataType) -> Iterator[pa.DataType]:
    """Yield the types of the leaf columns of a type."""
    if isinstance(type_, pa.BaseExtensionType):
        yield from _leaves(type_.storage_type)
        return
    for number in range(type_.num_fields):
        yield from _leaves(type_.field(number).type)
    if not type_.num_fields:
        yield type_


def _bits(type_: pa.DataType) -> int:
    """Return the bits of a value, 0 where not all have the same."""
    try:
        return 0 if pa.types.is_dictionary(type_) else int(type_.bit_width)
    except ValueError:
        return 0


def leaf_count(type_: pa.DataType) -> int:
    """Return how many leaf columns a type has.

    The dotted path of a leaf does not tell its column: a column ``a.b`` and a member ``b`` of ``a`` are spelled alike.
    """
    if isinstance(type_, pa.BaseExtensionType):
        return leaf_count(type_.storage_type)
    return sum(leaf_count(type_.field(number).type) for number in range(type_.num_fields)) or 1


class _Fence(io.RawIOBase):
    """An open file that can be read until it is closed off; its owner closes it.

    ``asked`` says whether bytes were asked for since.
    """

    def __init__(self, file: OpenFile, size: int) -> None:
        self.closed_off = self.asked = False
        self._file = file
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        if self.closed_off:
            self.asked = True
            return b""
        left = max(0, self._size - self._position)
        found = self._file.read_at(left if size is None or size < 0 else min(size, left), self._position)
        self._position += len(found)
        return found


def _probe(parquet: pq.ParquetFile, group: int, fence: _Fence) -> None:
    """Raise what Arrow finds wrong with the column metadata of a row group with rows, in a file that is closed off.

    ``RowGroupMetaData.column`` ends the whole process on an exception of the C++ library (size statistics that do not
    fit, columns encrypted under a plain footer). The reader meets the same metadata first, and raises. Once it asks for
    a page, which it does not get, it has accepted the metadata of every column.
    """
    fence.asked = False
    try:
        next(parquet.iter_batches(1, row_groups=[group], use_threads=False), None)
    except _FOREIGN:
        if not fence.asked:
            raise
