"""Numbers as integers in the same order: how much of a number is kept is how many leading bits of the integer are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]

_BITS = 64
_SIGN = np.uint64(1 << 63)
_MAGNITUDE = np.uint64((1 << 63) - 1)
# The keys of the infinities.
_LOWEST, _HIGHEST = 0x0010 << 48, 0xFFF0 << 48


def keys_of(values: npt.NDArray[np.float64]) -> Keys:
    """Return 64 bits for each number that is not NaN, in the order of the numbers; minus zero is zero.

    Numbers with few digits have keys that end in zeros, negative ones too: they are where the shorter keys begin.
    """
    bits = values.view(np.uint64)
    # All bits of a negative number, none of another: with it "exclusive or, then subtract" changes a sign.
    sign = (values.view(np.int64) >> np.int64(_BITS - 1)).view(np.uint64)
    keys = bits & _MAGNITUDE
    keys ^= sign
    keys -= sign
    keys += _SIGN
    return keys


def values_of(keys: Keys) -> npt.NDArray[np.float64]:
    """Return the numbers of keys of 64 bits."""
    apart = keys - _SIGN
    sign = (apart.view(np.int64) >> np.int64(_BITS - 1)).view(np.uint64)
    apart ^= sign
    apart -= sign
    sign &= _SIGN
    apart |= sign
    return apart.view(np.float64)


def value_of(key: int) -> float:
    """Return the number of a key of 64 bits; minus or plus infinity for what is beyond all numbers."""
    if key <= _LOWEST:
        return -np.inf
    if key >= _HIGHEST:
        return np.inf
    return float(values_of(np.array([key], dtype=np.uint64))[0])
