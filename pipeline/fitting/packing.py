"""Points and sums as bytes: a line of JSON, filled up to a multiple of 8 bytes, and the floats unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.fitting.layout import Floats
from pipeline.fitting.points import PassSums, Point

_WORD = 8
_POINT_ARRAYS = ("coefficients", "step", "direction")
_POINT_VALUES = ("order", "fold", "scores")
_SUM_ARRAYS = ("gradient", "hessian", "product", "outer")
_SUM_VALUES = ("rows", "weight", "loss", "shorter", "smallest", "largest", "held_rows", "held_weight", "held_loss")


def pack(head: Mapping[str, Any], arrays: Sequence[npt.NDArray[Any]]) -> bytes:
    """Return a JSON object and arrays as bytes."""
    shapes = [[array.dtype.newbyteorder("<").str, list(array.shape)] for array in arrays]
    line = json.dumps({"head": head, "arrays": shapes}, separators=(",", ":")).encode()
    line += b" " * (-(len(line) + 1) % _WORD) + b"\n"
    parts = [np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]
    return b"".join([line, *(part.tobytes() + b"\0" * (-part.nbytes % _WORD) for part in parts)])


def unpack(content: bytes) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """Return what :func:`pack` has packed; the arrays are read-only."""
    begin = content.index(b"\n") + 1
    stated = json.loads(content[:begin])
    arrays = []
    for name, shape in stated["arrays"]:
        dtype = np.dtype(name)
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(content, dtype, count, begin).reshape(shape))
        begin += count * dtype.itemsize + -(count * dtype.itemsize) % _WORD
    return stated["head"], arrays


def pack_points(points: Sequence[Point]) -> bytes:
    """Return the points of a pass as bytes."""
    heads, arrays = [], []
    for point in points:
        given = [name for name in _POINT_ARRAYS if getattr(point, name) is not None]
        heads.append({"arrays": given, **{name: getattr(point, name) for name in _POINT_VALUES}})
        arrays += [getattr(point, name) for name in given]
    return pack({"points": heads}, arrays)


def unpack_points(content: bytes) -> list[Point]:
    """Return the points that bytes hold."""
    head, arrays = unpack(content)
    left = iter(arrays)
    found = []
    for stated in head["points"]:
        given: dict[str, Any] = {name: next(left) for name in stated.pop("arrays")}
        found.append(Point(**given, **stated))
    return found


def pack_sums(sums: Sequence[PassSums]) -> bytes:
    """Return the sums of a pass as bytes."""
    heads, arrays = [], []
    for each in sums:
        given = [name for name in _SUM_ARRAYS if getattr(each, name) is not None]
        groups = None if each.groups is None else list(each.groups)
        heads.append({"arrays": given, "groups": groups, **{name: getattr(each, name) for name in _SUM_VALUES}})
        arrays += [getattr(each, name) for name in given]
        arrays += [] if each.groups is None else list(each.groups.values())
    return pack({"sums": heads}, arrays)


def unpack_sums(content: bytes) -> list[PassSums]:
    """Return the sums that bytes hold; their arrays may be changed."""
    head, arrays = unpack(content)
    left = iter(arrays)
    found = []
    for stated in head["sums"]:
        given: dict[str, Any] = {name: _own(next(left)) for name in stated.pop("arrays")}
        groups, shorter = stated.pop("groups"), tuple(stated.pop("shorter"))
        of_groups = None if groups is None else {group: _own(next(left)) for group in groups}
        found.append(PassSums(**given, **stated, shorter=shorter, groups=of_groups))
    return found


def _own(array: npt.NDArray[Any]) -> Floats:
    return np.array(array, dtype=np.float64)
