"""Arrow arrays made of numpy results. The memory under a null is zero, never old data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import compute as pc
from pipeline.models.columns import Mask

Floats = npt.NDArray[np.float64]


def float_array(values: Floats, null: Mask | None, *, float32: bool = False) -> pa.Array:
    """Return float64 values, zero where null, as float64 without a copy, or rounded once to float32."""
    if float32:
        with np.errstate(over="ignore", under="ignore"):
            return _array(pa.float32(), values.astype(np.float32), null)
    return _array(pa.float64(), values, null)


def integer_array(values: npt.NDArray[np.int64], null: Mask | None) -> pa.Array:
    """Return int64 values, zero where null, without a copy."""
    return _array(pa.int64(), values, null)


def text_array(texts: Sequence[str], arrow_type: pa.DataType) -> pa.Array:
    """Return texts as ``string`` or ``large_string``; made of bytes, as pa.array() loads pandas where there is one."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32 if pa.types.is_string(arrow_type) else np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(arrow_type, len(encoded), buffers, 0)


def encoded_array(codes: npt.NDArray[Any], levels: pa.Array, null: Mask | None) -> pa.Array:
    """Return text as positions in ``levels``, whose type numpy knows; codes under a null may be anything."""
    codes = np.ascontiguousarray(codes)
    if null is not None and null.any():
        codes = np.where(null, codes.dtype.type(0), codes)
    indices = _array(pa.from_numpy_dtype(codes.dtype), codes, null)
    # Whoever made the codes has them in range; checking takes as long as making them.
    return pa.DictionaryArray.from_arrays(indices, levels, safe=False)


def boolean_array(values: Mask, null: Mask | None) -> pa.Array:
    """Return booleans, false under a null."""
    shown = values if null is None else values & ~null
    return pa.Array.from_buffers(pa.bool_(), len(values), [_validity(null), _packed(shown)], _count(null))


def choice_array(choose: Mask, choices: tuple[Any, Any], arrow_type: pa.DataType, null: Mask | None) -> pa.Array:
    """Return the second choice where ``choose`` is true, else the first; both are text or both are numbers."""
    if pa.types.is_string(arrow_type):
        first, second = (pa.scalar(choice, arrow_type) for choice in choices)
        return pc.if_else(boolean_array(choose, null), second, first)
    dtype = arrow_type.to_pandas_dtype()
    values = np.where(choose, dtype(choices[1]), dtype(choices[0]))
    if null is not None:
        values[null] = 0
    return _array(arrow_type, values, null)


def choices_array(
    positions: npt.NDArray[np.intp], choices: Sequence[Any], arrow_type: pa.DataType, null: Mask | None
) -> pa.Array:
    """Return the choice at each position; all are text, all booleans or all numbers."""
    if pa.types.is_boolean(arrow_type):
        return boolean_array(np.array(choices)[positions], null)
    if pa.types.is_string(arrow_type):
        return pa.array(choices, arrow_type).take(pa.array(positions, mask=null))
    values = np.array(choices, dtype=arrow_type.to_pandas_dtype())[positions]
    if null is not None:
        values[null] = 0
    return _array(arrow_type, values, null)


def _array(arrow_type: pa.DataType, values: npt.NDArray[Any], null: Mask | None) -> pa.Array:
    nulls = _count(null)
    validity = _packed(~null) if null is not None and nulls else None
    return pa.Array.from_buffers(arrow_type, len(values), [validity, pa.py_buffer(values)], nulls)


def _count(null: Mask | None) -> int:
    return 0 if null is None else int(np.count_nonzero(null))


def _validity(null: Mask | None) -> pa.Buffer | None:
    return None if null is None or not null.any() else _packed(~null)


def _packed(flags: Mask) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
