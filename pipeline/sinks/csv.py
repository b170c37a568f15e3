"""Write parts as CSV."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import BinaryIO, Protocol

import pyarrow as pa

from pipeline import compute as pc
from pipeline.sinks.encoded import check_types
from pipeline.sinks.outlet import Outlet, translated
from pipeline.units import MIB

_ROWS_AT_ONCE = 16_384
_BLOCK = MIB
_GZIP_LEVEL = 1
_TEXT = pa.large_string()


class CsvSink:
    r"""Writes one CSV file as in RFC 4180, in UTF-8, with a header and ``\n`` after every record.

    Null is an empty field and the empty text is ``""``, so that the two differ; text is quoted where it contains a
    comma, a quote or a line break. Floats are the shortest decimals that read back as the same bits; NaN is ``NaN``,
    infinities ``inf`` and ``-inf``; booleans ``true`` and ``false``; times are ISO 8601 with the offset of their zone.
    A file with a single column has empty lines for nulls.

    The bytes depend only on the rows: the compressor is fed in blocks of 1 MiB, whatever the batches are, and the gzip
    header states no time. For one thread.

    Parameters
    ----------
    file : BinaryIO
        Open for writing; stays open.
    schema : pyarrow.Schema
    compression : {"none", "gzip", "zstd"}

    Raises
    ------
    StorageError
        The file cannot be written.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema, compression: str) -> None:
        self._schema = schema
        self._outlet = Outlet(file)
        self._compressor = _COMPRESSORS[compression](self._outlet)
        self._block = bytearray()
        with translated():
            self._add(csv_header(schema))

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        check_types(batch, self._schema)
        with translated():
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                self._add(_lines(batch.slice(start, _ROWS_AT_ONCE)))

    def close(self) -> None:
        """Write what is buffered."""
        with translated():
            self._compressor.write(bytes(self._block))
            self._block.clear()
            self._compressor.close()
        self._outlet.check()

    def __del__(self) -> None:
        outlet = getattr(self, "_outlet", None)
        if outlet is not None:
            outlet.abandoned = True

    def _add(self, data: bytes | memoryview) -> None:
        self._block += data
        whole = len(self._block) - len(self._block) % _BLOCK
        for start in range(0, whole, _BLOCK):
            self._compressor.write(bytes(self._block[start : start + _BLOCK]))
        del self._block[:whole]


class _Compressor(Protocol):
    def write(self, data: bytes) -> object: ...
    def close(self) -> None: ...


class _Gzip:
    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._deflate = zlib.compressobj(_GZIP_LEVEL, wbits=31)

    def write(self, data: bytes) -> None:
        self._outlet.write(self._deflate.compress(data))

    def close(self) -> None:
        self._outlet.write(self._deflate.flush())


def _zstd(outlet: Outlet) -> _Compressor:
    stream: _Compressor = pa.CompressedOutputStream(pa.PythonFile(outlet, mode="w"), "zstd")
    return stream


_COMPRESSORS: dict[str, Callable[[Outlet], _Compressor]] = {"none": lambda outlet: outlet, "gzip": _Gzip, "zstd": _zstd}


def is_writable(type_: pa.DataType) -> bool:
    """Return whether a CSV can hold values of a type: no bytes, nothing nested, nothing that Arrow cannot spell."""
    if isinstance(type_, pa.BaseExtensionType):
        return False
    if pa.types.is_dictionary(type_):
        return is_writable(type_.value_type)
    if "binary" in str(type_) or pa.types.is_nested(type_):
        return False
    try:
        pa.nulls(0, type_).cast(_TEXT)
    except (pa.ArrowException, ValueError):
        return False
    return True


def csv_header(schema: pa.Schema) -> bytes:
    """Return the first line of a part, with its line end."""
    names = pa.array(schema.names, _TEXT)
    # A byte order mark at the start of a name would be read as that of the file.
    marked = pc.starts_with(names, "\ufeff")
    line = ",".join(pc.if_else(marked, _in_quotes(names), _quoted(names)).to_pylist())
    return f"{line}\n".encode()


def _lines(batch: pa.RecordBatch) -> memoryview:
    """Return the records of a batch as one piece of text."""
    fields = [_spelled(column) for column in batch.columns]
    lines = pc.binary_join_element_wise(*fields, _scalar(","), null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(lines, _scalar(""), _scalar("\n"))
    offsets = memoryview(lines.buffers()[1]).cast("q")
    return memoryview(lines.buffers()[2])[offsets[lines.offset] : offsets[lines.offset + len(lines)]]


def _spelled(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    text = array.cast(_TEXT)
    if pa.types.is_floating(array.type):
        return pc.if_else(pc.is_nan(array), _scalar("NaN"), text)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return _quoted(text)
    return text


def _quoted(text: pa.Array) -> pa.Array:
    needed = pc.or_(pc.match_substring_regex(text, '[",\r\n]'), pc.equal(pc.binary_length(text), 0))
    return pc.if_else(needed, _in_quotes(text), text) if pc.any(needed).as_py() else text


def _in_quotes(text: pa.Array) -> pa.Array:
    quote = _scalar('"')
    return pc.binary_join_element_wise(quote, pc.replace_substring(text, '"', '""'), quote, _scalar(""))


@cache
def _scalar(text: str) -> pa.Scalar:
    """Return a text as Arrow has it; made when it is needed, as the first value that Arrow makes loads pandas."""
    return pa.scalar(text, _TEXT)
