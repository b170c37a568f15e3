"""The file of a state: what an evaluation has added up, to be added to others later.

A line with the name and the version of the format, the length of a header in eight bytes, the header (JSON), the arrays
one after the other, and the SHA-256 of all that comes before it. Equal states give equal bytes. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import disk
from pipeline.choices import IfExists
from pipeline.errors import DataError, LogitstreamError, OutputError
from pipeline.evaluation.groups import Group, GroupStates
from pipeline.evaluation.passing import EvaluatedRows
from pipeline.evaluation.states import EvaluationState
from pipeline.evaluation.terms import EvaluationTerms
from pipeline.evaluation.totals import EvaluationTotals
from pipeline.models.store import system_errors
from pipeline.units import escape

VERSION = 1

_FIRST = re.compile(rb"logitstream-evaluation ([0-9]{1,9})\n")
_LENGTH, _SHA256 = 8, 32
# Within so many bytes a file says that it is a state.
_BEGIN = 64
_DTYPES = {"<f8", "<i8", "<u8", "|u1"}
_FOREIGN = "is not the state of an evaluation"
_AGAIN = "evaluate the rows again with --state"

Arrays = dict[str, npt.NDArray[Any]]


def to_bytes(found: EvaluatedRows) -> bytes:
    """Return what a pass found as the bytes of a file."""
    arrays = {name: np.ascontiguousarray(each, _stored(each.dtype)) for name, each in _arrays_of(found.totals)}
    header = {
        "terms": found.terms.to_json(),
        "rows": {"read": found.read, "bad": found.bad, "set_aside": found.set_aside},
        "counts": dict(sorted(found.totals.counts.items())),
        "data": list(found.data),
        "groups": [_groups_of(states) for states in found.totals.groups],
        "arrays": [[name, each.dtype.str, list(each.shape)] for name, each in arrays.items()],
    }
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode()
    parts = [b"logitstream-evaluation %d\n" % VERSION, len(text).to_bytes(_LENGTH, "little"), text]
    content = b"".join([*parts, *(each.tobytes() for each in arrays.values())])
    return content + hashlib.sha256(content).digest()


def from_bytes(content: bytes, name: str) -> EvaluatedRows:
    """Return what the bytes of a file say; ``name`` is that of the file.

    Raises
    ------
    DataError
        It is no state of an evaluation, of another version, or damaged.
    """
    shown = escape(name, 1000)
    first = _FIRST.match(content)
    if first is None:
        raise DataError(f"{shown} {_FOREIGN}", "name a file that evaluate --state wrote").at(name)
    if (version := int(first[1])) != VERSION:
        raise DataError(
            f"{shown} is a state of version {version}, but this logitstream reads version {VERSION}",
            f"use the logitstream that wrote it, or {_AGAIN}",
        ).at(name)
    body = content[:-_SHA256]
    if hashlib.sha256(body).digest() != content[-_SHA256:]:
        raise DataError(f"{shown} is damaged: its bytes do not have the digest that it ends with", _AGAIN).at(name)
    try:
        return _read(body, first.end())
    except LogitstreamError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise DataError(f"{shown} {_FOREIGN}: {escape(str(error))}", _AGAIN).at(name) from error


def read_state(path: str | os.PathLike[str]) -> EvaluatedRows:
    """Return what a file says.

    Raises
    ------
    DataError
        As :func:`from_bytes`.
    InputMissingError, PermissionDeniedError, StorageError
        The file cannot be read.
    """
    name = os.fspath(path)
    with system_errors(name):
        content = disk.read_file(name)
    return from_bytes(content, name)


def write_state(path: str | os.PathLike[str], found: EvaluatedRows) -> None:
    """Write a file in one step: ``path`` always holds either the whole new file or what it held before.

    Raises
    ------
    OutputError, PermissionDeniedError, StorageError
        The file cannot be written.
    """
    with disk.door("write", Path(path)):
        disk.write_file(Path(path).resolve(), to_bytes(found))


def check_free(path: str | os.PathLike[str], if_exists: IfExists) -> None:
    """Refuse to write a state where that cannot be done: before rows are read, and again before it is written.

    What may be replaced is another state, or an empty file: never rows, a model or anything else.

    Raises
    ------
    OutputError
        Its folder does not exist, or something is there that may not be replaced.
    PermissionDeniedError, StorageError
        What is there cannot be read, or the system would not let a file be written there.
    """
    shown, file = escape(os.fspath(path), 1000), Path(path).resolve()
    if not file.parent.is_dir():
        raise OutputError(f"{shown}: its folder does not exist", "make the folder first")
    with disk.door("write", Path(path)):
        disk.require_writable(file)
    if (found := disk.facts(path)) is None:
        return
    if stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{shown} is a folder", "name a file for the state")
    if if_exists == "fail":
        raise OutputError(f"{shown} exists", "choose another name, or use --if-exists replace")
    with system_errors(os.fspath(path)):
        is_state = stat.S_ISREG(found.st_mode) and _FIRST.match(disk.read_file(path, _BEGIN)) is not None
    if not is_state and not (stat.S_ISREG(found.st_mode) and found.st_size == 0):
        raise OutputError(f"{shown} exists and {_FOREIGN}", "choose another name, or remove the file first")


def _arrays_of(totals: EvaluationTotals) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for prefix, state in _states_of(totals):
        yield from ((f"{prefix}{name}", each) for name, each in sorted(state.to_arrays().items()))


def _states_of(totals: EvaluationTotals) -> Iterator[tuple[str, EvaluationState]]:
    yield "all ", totals.whole
    for number, states in enumerate(totals.groups):
        for place, (_, state) in enumerate(states.kept):
            yield f"{number}.{place} ", state
        if states.others is not None:
            yield f"{number} others ", states.others


def _groups_of(states: GroupStates) -> dict[str, Any]:
    pooled = sorted(map(list, states.seen - states.states.keys()), key=repr)
    return {"kept": [list(group) for group, _ in states.kept], "pooled": pooled}


def _stored(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which numbers of a type are stored: the same, with the smallest byte first."""
    return dtype.newbyteorder("<")


def _read(body: bytes, start: int) -> EvaluatedRows:
    length = int.from_bytes(body[start : start + _LENGTH], "little")
    begin = start + _LENGTH
    header = json.loads(body[begin : begin + length])
    arrays = _arrays(header["arrays"], body, begin + length)
    terms = EvaluationTerms.of(header["terms"])
    counts: Counter[str] = Counter({str(name): int(count) for name, count in header["counts"].items()})
    groups = tuple(
        _group_states(number, terms, by, arrays, header["groups"][number]) for number, by in enumerate(terms.by)
    )
    totals = EvaluationTotals(EvaluationState.from_arrays(terms.shape, _of(arrays, "all ")), groups, counts)
    read, bad, set_aside = (int(header["rows"][name]) for name in ("read", "bad", "set_aside"))
    found = EvaluatedRows(terms, totals, read, bad, set_aside, tuple(map(str, header["data"])))
    if min(found.rows.values()) < 0 or not found.is_balanced:
        raise ValueError("its accounts do not add up to the rows that were read")
    return found


def _arrays(described: list[Any], body: bytes, start: int) -> Arrays:
    found: Arrays = {}
    for name, dtype, shape in described:
        if dtype not in _DTYPES:
            raise ValueError(f"numbers of the type {dtype}")
        count = int(np.prod(shape, dtype=np.int64))
        found[name] = np.frombuffer(body, dtype, count, start).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))
        start += count * np.dtype(dtype).itemsize
    if start != len(body):
        raise ValueError(f"it has {len(body) - start:,} bytes too many")
    return found


def _of(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Arrays:
    return {name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)}


def _group_states(number: int, terms: EvaluationTerms, by: tuple[str, ...], arrays: Arrays, said: Any) -> GroupStates:
    kept: list[Group] = [tuple(group) for group in said["kept"]]
    shape = terms.shape
    states = {
        group: EvaluationState.from_arrays(shape, _of(arrays, f"{number}.{place} ")) for place, group in enumerate(kept)
    }
    others = _of(arrays, f"{number} others ")
    return GroupStates(
        columns=by,
        shape=shape,
        most=terms.max_groups,
        states=states,
        others=EvaluationState.from_arrays(shape, others) if others else None,
        seen={*kept, *(tuple(group) for group in said["pooled"])},
    )
