"""Logical types of Parquet columns that the Arrow types of the reader do not show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import compute as pc
from pipeline.types.inputs import INT96
from pipeline.units import MIB

# Types of values that are stored as text or bytes. What else the format has, Arrow types say.
_HIDDEN = frozenset({"UUID", "JSON", "ENUM", "BSON", "GEOMETRY", "GEOGRAPHY"})
_LARGEST_GEO = MIB
_KEPT = ("arrow.uuid", "arrow.json")
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_UUID_LENGTH = 36
# The places of the digits of a UUID in its text, of the high and of the low half of each byte.
_HIGH = np.array([2 * byte + sum(byte >= group for group in (4, 6, 8, 10)) for byte in range(16)])
_LOW = _HIGH + 1


def storage_of(type_: pa.DataType) -> pa.DataType:
    """Return the type in which a UUID or JSON column comes from the reader, and any other type unchanged.

    Arrow gives such a column its extension type where the file holds an Arrow schema, and else the storage alone.
    """
    named = isinstance(type_, pa.BaseExtensionType) and type_.extension_name in _KEPT
    return type_.storage_type if named else type_


def uuid_text(array: pa.Array) -> pa.Array:
    """Return UUIDs, 16 bytes each, as text: ``550e8400-e29b-41d4-a716-446655440000``."""
    rows = len(array)
    data = array.buffers()[1]
    if not rows or data is None:
        return pa.nulls(rows, pa.string())
    values = np.frombuffer(data, np.uint8, 16 * rows, 16 * array.offset).reshape(rows, 16)
    text = np.full((rows, _UUID_LENGTH), ord("-"), dtype=np.uint8)
    text[:, _HIGH], text[:, _LOW] = _HEX[values >> 4], _HEX[values & 15]
    ends = np.arange(rows + 1, dtype=np.int32) * _UUID_LENGTH
    whole = pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(ends), pa.py_buffer(text)])
    return whole if not array.null_count else pc.if_else(array.is_valid(), whole, pa.scalar(None, pa.string()))


def written_schema(metadata: pq.FileMetaData) -> pq.ParquetSchema:
    """Return the schema as Parquet writes it, with logical types.

    ``metadata.schema`` is the same, but refers to the metadata and is kept by it: a cycle, which holds a footer of a
    thousand columns, some 18 MB, until Python's garbage collector looks among old objects.
    """
    return pq.ParquetSchema(metadata)


def logical_types(metadata: pq.FileMetaData, schema: pa.Schema, owners: Sequence[int]) -> dict[int, str]:
    """Return the logical type of each top-level column for which its Arrow type does not say everything.

    ``INT96`` is a physical type and counts all the same. ``UUID in struct`` is a type below a nested column.
    """
    found: dict[int, str] = {}
    written = written_schema(metadata)
    for leaf, owner in enumerate(owners):
        type_ = schema.field(owner).type
        name = _of_leaf(written.column(leaf))
        if name and owner not in found and not _has_extension(type_):
            found[owner] = f"{name} in {_kind(type_)}" if type_.num_fields else name
    for owner, field in enumerate(schema):
        if _is_variant(field.type):
            found[owner] = "VARIANT"
    for name in _geometries(metadata.metadata or {}):
        owner = schema.get_field_index(name)
        if owner >= 0:
            found.setdefault(owner, "GEOMETRY")
    return found


def _of_leaf(leaf: pq.ColumnSchema) -> str:
    if leaf.physical_type == INT96.decode():
        return INT96.decode()
    if leaf.converted_type == "INTERVAL":
        return "INTERVAL"
    name: str = leaf.logical_type.type
    return name if name in _HIDDEN else ""


def _has_extension(type_: pa.DataType) -> bool:
    """Return whether the Arrow type below a nested column shows what the logical type says."""
    below = (type_.field(number).type for number in range(type_.num_fields))
    return any(isinstance(each, pa.BaseExtensionType) or _has_extension(each) for each in below)


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_struct(type_):
        return "struct"
    return "map" if pa.types.is_map(type_) else "list"


def _is_variant(type_: pa.DataType) -> bool:
    """Return whether a group has the fields of a VARIANT: Arrow does not tell its annotation."""
    if not pa.types.is_struct(type_) or type_.num_fields not in (2, 3):
        return False
    names = {field.name: field.type for field in type_}
    is_shredded = set(names) == {"metadata", "value", "typed_value"}
    binary = [names.get(name) == pa.binary() for name in ("metadata", "value")]
    return all(binary) and (is_shredded or len(names) == 2)


def _geometries(metadata: Mapping[bytes, bytes]) -> Iterator[str]:
    """Yield the columns that GeoParquet names in the metadata of the file."""
    stated = metadata.get(b"geo", b"")
    if not 0 < len(stated) <= _LARGEST_GEO:
        return
    try:
        columns = json.loads(stated).get("columns", {})
        yield from (name for name in columns if isinstance(name, str))
    except (ValueError, AttributeError, TypeError, RecursionError):
        # Somebody else's text: what it says in another form concerns no column.
        return
