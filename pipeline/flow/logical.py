"""Logical types of kept columns: those that the output has again, and those that it loses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.scan import shape_of
from pipeline.types.inputs import INT96, ColumnFacts, FileFacts, Need
from pipeline.units import escape

_SHOWN = 3


def with_logical_types(schema: pa.Schema, files: Sequence[FileFacts], kept: Sequence[Need]) -> pa.Schema:
    """Return the schema of a Parquet output in which kept columns are UUID or JSON where every file says so.

    Batches have the storage of such a column; the part is written with its logical type.
    """
    stated = _stated(files, kept)
    fields = list(schema)
    for number, (need, field) in enumerate(zip(kept, schema, strict=False)):
        fields[number] = field.with_type(_extension(field.type, stated.get(need.name, ())))
    return pa.schema(fields, metadata=schema.metadata)


def logical_notes(schema: pa.Schema, files: Sequence[FileFacts], kept: Sequence[Need]) -> Iterator[str]:
    """Yield a sentence for each type that kept columns lose, with the columns and what they become."""
    lost: dict[tuple[str, str], list[str]] = {}
    stated = _stated(files, kept)
    for need, field in zip(kept, schema, strict=False):
        is_kept = isinstance(field.type, pa.BaseExtensionType)
        for each in filter(None, () if is_kept else stated.get(need.name, ())):
            lost.setdefault((each, escape(str(field.type))), []).append(need.name)
    for (logical, type_), names in lost.items():
        shown = ", ".join(f"'{escape(name)}'" for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        columns = f"column{'s' if len(names) > 1 else ''} {shown}{more}"
        if logical.split()[0] == INT96.decode():
            finer = "" if " " in logical else f"; --type '{escape(names[0])}=timestamp[ns]' keeps nanoseconds"
            yield f"{columns}: {logical}, read in microseconds{finer}"
        else:
            yield f"{columns}: the type {logical} is lost, the output has {type_}"


def _stated(files: Sequence[FileFacts], kept: Sequence[Need]) -> dict[str, list[str]]:
    """Return what files state about each kept column with a logical type: each once; empty text for none.

    A file that lacks the column, or has nothing but null in it, has no say.
    """
    asked = {need.name for need in kept if need.type is None}
    found: dict[str, dict[str, None]] = {}
    for facts in {shape_of(facts) or id(facts): facts for facts in files}.values():
        here = dict.fromkeys((name for name, _ in facts.file.partitions), "")
        here |= {each.field.name: each.logical for each in facts.columns if not pa.types.is_null(each.field.type)}
        for name in asked & here.keys():
            found.setdefault(name, {})[here[name]] = None
    return {name: list(stated) for name, stated in found.items()}


def written_type(column: ColumnFacts) -> pa.DataType:
    """Return the type with which the column of a part was written."""
    return _extension(column.field.type, (column.logical,))


def _extension(type_: pa.DataType, stated: Sequence[str]) -> pa.DataType:
    """Return the type of a column of which all files state the same logical type."""
    if tuple(stated) == ("UUID",) and type_ == pa.binary(16):
        return pa.uuid()
    is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
    return pa.json_(type_) if tuple(stated) == ("JSON",) and is_text else type_
