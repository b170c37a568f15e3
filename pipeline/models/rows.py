"""Rows in memory, as the Arrow columns that a model needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.choices import Role
from pipeline.errors import SchemaError
from pipeline.kernels import is_masked
from pipeline.models.columns import unfit
from pipeline.types.inputs import Need
from pipeline.units import escape, nearest

# What values that are all None are read as, where that are no numbers.
_UNTYPED: Mapping[Role, pa.DataType] = {"categorical": pa.string(), "sequence": pa.list_(pa.float64())}
_ACCEPTED = (
    "give an Arrow table or record batch, a dataframe, a mapping of names to arrays, "
    "or a two-dimensional array with the columns in the order of model.columns"
)


def batches(data: Any, needs: Sequence[Need]) -> Iterator[list[pa.Array]]:
    """Yield one array for each need, batch by batch, in the order of the rows.

    Accepted are Arrow tables and record batches, anything with ``__arrow_c_stream__`` (dataframes), mappings from names
    to arrays, and NumPy arrays of shape (rows, columns) in the order of the needs. Sequences of one length may be an
    array of shape (rows, numbers) or (rows, steps, numbers of a step) in a mapping; where they are the one need, also
    by themselves, of shape (rows, steps, numbers of a step).

    Raises
    ------
    SchemaError
        Columns are missing, ambiguous or of a type that does not fit; the message names them all.
    ValueError
        The shape is wrong.
    TypeError
        The data is of another kind.
    """
    if isinstance(data, pa.RecordBatch | pa.Table):
        return _from_arrow(data.schema, _record_batches(data), needs)
    if isinstance(data, np.ndarray):
        return iter([_checked(_from_matrix(data, needs), needs)])
    if hasattr(data, "__arrow_c_stream__"):
        return _from_stream(data, needs)
    if isinstance(data, Mapping):
        return iter([_checked(_from_mapping(data, needs), needs)])
    raise TypeError(f"rows cannot be read from {type(data).__name__}: {_ACCEPTED}")


def _record_batches(data: pa.RecordBatch | pa.Table) -> Sequence[pa.RecordBatch]:
    return [data] if isinstance(data, pa.RecordBatch) else data.to_batches()


def _from_arrow(
    schema: pa.Schema, record_batches: Sequence[pa.RecordBatch], needs: Sequence[Need]
) -> Iterator[list[pa.Array]]:
    positions = _positions(schema.names, needs)
    # Rows of which there are none have types too.
    _check_types([schema.field(position).type for position in positions], needs)
    for record_batch in record_batches:
        yield [_typed(record_batch.column(position), need) for position, need in zip(positions, needs, strict=True)]


def _from_stream(data: Any, needs: Sequence[Need]) -> Iterator[list[pa.Array]]:
    # Only the columns needed: others may hold objects that Arrow has no type for.
    names = getattr(data, "columns", None)
    if names is not None:
        _positions([str(name) for name in names], needs)
        data = data[[need.name for need in needs]]
    try:
        reader = pa.RecordBatchReader.from_stream(data)
        record_batches = list(reader)
    except pa.ArrowException as error:
        raise SchemaError(f"the {type(data).__name__} cannot be read as a table: {escape(str(error))}") from error
    return _from_arrow(reader.schema, record_batches, needs)


def _from_matrix(data: np.ndarray[Any, Any], needs: Sequence[Need]) -> list[pa.Array]:
    if is_masked(data):
        raise TypeError("masked arrays are not supported because the mask would be lost: fill them with NaN first")
    if data.ndim == 3 and [need.role for need in needs] == ["sequence"]:
        return [_array(data, needs[0])]
    if data.ndim != 2 or data.shape[1] != len(needs):
        names = ", ".join(escape(need.name) for need in needs)
        raise ValueError(f"an array must have shape (rows, {len(needs)}) with the columns {names}; got {data.shape}")
    return [_array(data[:, position], need) for position, need in enumerate(needs)]


def _from_mapping(data: Mapping[Any, Any], needs: Sequence[Need]) -> list[pa.Array]:
    _positions([name for name in data if isinstance(name, str)], needs)
    arrays = [_array(data[need.name], need) for need in needs]
    if len({len(array) for array in arrays}) > 1:
        lengths = ", ".join(f"{escape(need.name)} {len(array)}" for need, array in zip(needs, arrays, strict=True))
        raise ValueError(f"columns differ in length: {lengths}")
    return arrays


def _array(values: Any, need: Need) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return _typed(values, need)
    is_plain = isinstance(values, np.ndarray) and values.dtype.kind in "biuf"
    if is_plain and values.ndim > 1 and need.role == "sequence":
        return _lists(values)
    if is_plain:
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    try:
        array = pa.array(values, from_pandas=not is_plain)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise SchemaError(f'column "{escape(need.name)}" cannot be read: {escape(str(error))}') from error
    return _typed(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array, need)


def _lists(values: np.ndarray[Any, Any]) -> pa.Array:
    """Return sequences of one length, shape (rows, numbers) or (rows, steps, numbers of a step), as lists."""
    if values.ndim > 3 or (values.ndim == 3 and not values.shape[2]):
        raise ValueError(
            f"sequences have shape (rows, numbers) or (rows, steps, numbers of a step), not {values.shape}"
        )
    rows, steps = values.shape[:2]
    inner = pa.array(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("=")).ravel())
    if values.ndim == 3:
        inner = pa.FixedSizeListArray.from_arrays(inner, values.shape[2])
    return pa.LargeListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int64) * steps), inner)


def _typed(array: pa.Array, need: Need) -> pa.Array:
    if not _is_untyped(array.type):
        return array
    return array.cast(_UNTYPED.get(need.role, pa.float64()))


def _positions(names: Sequence[str], needs: Sequence[Need]) -> list[int]:
    problems = []
    for need in needs:
        count = names.count(need.name)
        if count == 0:
            problems.append(f'column "{escape(need.name)}" is missing{nearest(need.name, names)}')
        elif count > 1:
            problems.append(f'column "{escape(need.name)}" is there {count} times')
    if problems:
        raise SchemaError("\n".join(problems))
    return [names.index(need.name) for need in needs]


def _checked(arrays: list[pa.Array], needs: Sequence[Need]) -> list[pa.Array]:
    _check_types([array.type for array in arrays], needs)
    return arrays


def _check_types(types: Sequence[pa.DataType], needs: Sequence[Need]) -> None:
    reasons = [
        (need.name, unfit(need.role, type_)) for need, type_ in zip(needs, types, strict=True) if not _is_untyped(type_)
    ]
    if problems := [f'column "{escape(name)}" {reason}' for name, reason in reasons if reason]:
        raise SchemaError("\n".join(problems))


def _is_untyped(type_: pa.DataType) -> bool:
    """Return whether values that are all None have this type."""
    return bool(pa.types.is_null(type_))
