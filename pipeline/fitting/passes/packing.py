"""Points and sums as bytes: a line of JSON, filled up to a multiple of 8 bytes, and the floats unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.fitting.passes.points import PassSums, Point

_WORD = 8


def pack_arrays(head: Mapping[str, Any], arrays: Sequence[npt.NDArray[Any]]) -> bytes:
    """Return a JSON object and arrays as bytes."""
    shapes = [[array.dtype.newbyteorder("<").str, list(array.shape)] for array in arrays]
    line = json.dumps({"head": head, "arrays": shapes}, separators=(",", ":")).encode()
    line += b" " * (-(len(line) + 1) % _WORD) + b"\n"
    parts = [np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]
    return b"".join([line, *(part.tobytes() + b"\0" * (-part.nbytes % _WORD) for part in parts)])


def unpack_arrays(content: bytes) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """Return what :func:`pack_arrays` has packed; the arrays are read-only."""
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
        head, own = _parted(replace(point, record=None))
        heads.append(head)
        arrays += own
    return pack_arrays({"points": heads}, arrays)


def unpack_points(content: bytes) -> list[Point]:
    """Return the points that bytes hold."""
    head, arrays = unpack_arrays(content)
    left = iter(arrays)
    return [Point(**_whole(stated, left)) for stated in head["points"]]


def pack_sums(sums: Sequence[PassSums]) -> bytes:
    """Return the sums of a pass as bytes."""
    heads, arrays = [], []
    for each in sums:
        head, own = _parted(replace(each, groups=None))
        groups = each.groups or {}
        heads.append({**head, "groups": None if each.groups is None else list(groups)})
        arrays += [*own, *groups.values()]
    return pack_arrays({"sums": heads}, arrays)


def unpack_sums(content: bytes) -> list[PassSums]:
    """Return the sums that bytes hold; their arrays may be changed."""
    head, arrays = unpack_arrays(content)
    left = (np.array(array) for array in arrays)
    found = []
    for stated in head["sums"]:
        groups = stated.pop("groups")
        given = _whole(stated, left)
        of_groups = None if groups is None else {group: next(left) for group in groups}
        found.append(PassSums(**{**given, "shorter": tuple(given["shorter"]), "groups": of_groups}))
    return found


def _parted(value: Point | PassSums) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """Return the fields that JSON can hold, with the names of the others, and the arrays of those."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    arrays = {name: each for name, each in found.items() if isinstance(each, np.ndarray)}
    head = {name: each for name, each in found.items() if name not in arrays}
    return {"arrays": list(arrays), **head}, list(arrays.values())


def _whole(stated: dict[str, Any], arrays: Iterator[npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the fields of a value; as many arrays are taken as it has."""
    named = {name: next(arrays) for name in stated.pop("arrays")}
    return {**named, **stated}
