"""Text that comes encoded: as the numbers of the levels of a dictionary, which is faster to make and to write."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def as_batch(arrays: Sequence[pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """Return columns of a schema as a record batch; those of text may be dictionaries of text, and stay so."""
    return pa.RecordBatch.from_arrays(list(arrays), schema=with_types(schema, [array.type for array in arrays]))


def with_types(schema: pa.Schema, types: Sequence[pa.DataType]) -> pa.Schema:
    """Return a schema with the types of columns that come encoded."""
    if schema.types == types:
        return schema
    fields = (
        field.with_type(type_) if _encodes(type_, field.type) else field
        for field, type_ in zip(schema, types, strict=True)
    )
    return pa.schema(list(fields), metadata=schema.metadata)


def check_types(batch: pa.RecordBatch, schema: pa.Schema) -> None:
    """Raise a ``TypeError`` unless the columns of a batch are those of a schema, text encoded or not."""
    if batch.schema.types == schema.types:
        return
    found = [
        stated if _encodes(type_, stated) else type_
        for type_, stated in zip(batch.schema.types, schema.types, strict=False)
    ]
    if found != schema.types or batch.num_columns != len(schema):
        raise TypeError(f"a batch of {batch.schema.types}, in a file of {schema.types}")


def _encodes(type_: pa.DataType, stated: pa.DataType) -> bool:
    return bool(pa.types.is_string(stated) and pa.types.is_dictionary(type_) and type_.value_type == stated)
