"""Hashes of many values at once: which rows are held out, and in which folds the others are.

Equal values have equal hashes in every file and on every machine. A number has the hash of its text, so that 7 in a CSV
and 7 in a Parquet file are one key.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import compute as pc

Hashes = npt.NDArray[np.uint64]

# Of splitmix64: Steele, Lea and Flood, Fast splittable pseudorandom number generators (2014).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_WORD = 8
# The hash of a missing value is made of it.
_NULL = np.uint64(0x6E756C6C)
# Bytes need not be text, and are hashed as they are.
_ARE_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


def mixed(values: Hashes) -> Hashes:
    """Return the output of splitmix64 in some states: each bit of a state decides each bit of the result."""
    found: Hashes = values + _GAMMA
    found = (found ^ (found >> np.uint64(30))) * _FIRST
    found = (found ^ (found >> np.uint64(27))) * _SECOND
    return found ^ (found >> np.uint64(31))


def seed_of(text: str) -> np.uint64:
    """Return the first 64 bits of the SHA-256 of a text."""
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_WORD], "little"))


def hashes_of_places(path: str, places: npt.NDArray[np.int64]) -> Hashes:
    """Return the hashes of places in a file."""
    return mixed(mixed(places.astype(np.uint64)) ^ seed_of(path))


def hashes_of(array: pa.Array) -> Hashes:
    """Return the hashes of the values of a column: of bytes, or of any type that can be written as text.

    Raises
    ------
    pyarrow.ArrowNotImplementedError
        The type has no text: it is nested.
    """
    if pa.types.is_dictionary(array.type):
        found = np.append(hashes_of(array.dictionary), mixed(np.array([_NULL])))
        taken: Hashes = found.take(dictionary_places(array))
        return taken
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if not any(is_bytes(array.type) for is_bytes in _ARE_BYTES):
        array = pc.cast(array, pa.large_string())
    return _of_bytes(pc.cast(array, pa.large_binary()))


def dictionary_places(array: pa.Array) -> npt.NDArray[np.int64]:
    """Return the position of each row's value in the dictionary of a column, and the one after the last for null."""
    indices = pc.cast(array.indices, pa.int64())
    places: npt.NDArray[np.int64] = indices.fill_null(len(array.dictionary)).to_numpy(zero_copy_only=False)
    return places


def is_hashable(type_: pa.DataType) -> bool:
    """Return whether values of a type are bytes or can be written as text."""
    try:
        hashes_of(pa.nulls(0, type_))
    except pa.ArrowNotImplementedError:
        return False
    return True


def _of_bytes(array: pa.Array) -> Hashes:
    """Return the hashes of texts, eight bytes at a time over all rows."""
    rows = len(array)
    if rows == 0:
        return np.empty(0, dtype=np.uint64)
    ends = np.frombuffer(array.buffers()[1], dtype=np.int64, count=rows + 1, offset=array.offset * 8)
    starts, lengths = ends[:-1], np.diff(ends)
    if array.null_count:
        lengths = np.where(array.is_null().to_numpy(zero_copy_only=False), 0, lengths)
    data = array.buffers()[2]
    octets = np.zeros(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    padded = np.concatenate([octets[starts[0] : ends[-1]], np.zeros(_WORD, dtype=np.uint8)])
    found = mixed(lengths.astype(np.uint64))
    left = np.arange(rows)
    for begin in range(0, int(lengths.max()), _WORD):
        left = left[lengths[left] > begin]
        words = _words(padded, starts[left] - starts[0] + begin, np.minimum(lengths[left] - begin, _WORD))
        found[left] = mixed(found[left] ^ words)
    if array.null_count:
        found[array.is_null().to_numpy(zero_copy_only=False)] = mixed(np.array([_NULL]))[0]
    return found


def _words(octets: npt.NDArray[np.uint8], starts: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Hashes:
    """Return up to eight bytes from each start as a little-endian number."""
    at = np.lib.stride_tricks.sliding_window_view(octets, _WORD)[starts]
    words = np.ascontiguousarray(at).view("<u8").reshape(-1).astype(np.uint64)
    shifts = ((_WORD - lengths) * 8).astype(np.uint64)
    return (words << shifts) >> shifts
