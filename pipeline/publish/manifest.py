"""The manifest of a published version: one small file that proves what the others are.

_manifest.json       canonical JSON: the caller's sections, totals over the parts, the digest of the receipts, and
                     its own digest over all of that; ``observed`` (times, workers, peaks) stands outside the digest
_manifest.receipts   compressed: one line of canonical JSON a part, in ascending order of name
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import OutputError
from pipeline.publish import system
from pipeline.publish.files import NewFile, write_new
from pipeline.publish.system import Folder
from pipeline.types import PartFile
from pipeline.units import escape, format_bytes, quoted

MANIFEST = "_manifest.json"
RECEIPTS = "_manifest.receipts"
# With the suffix of a kept version a name has at most 80 bytes.
PART_NAME = re.compile(r"part-[a-z0-9._-]{1,70}")
JOB_ID = re.compile(r"[0-9a-f]{16,64}")

_FORMAT = "logitstream-output"
_VERSION = 1
_OUR_KEYS = frozenset({"format", "version", "job_id", "parts", "receipts", "observed", "digest"})
_MANIFEST_LIMIT = 64 * 2**20
_LINE_LIMIT = 2**20
_BLOCK = 2**20

Wrap = Callable[[BinaryIO], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Codec:
    """How the receipts are compressed: each function wraps a binary stream, for writing or for reading.

    A wrapper may close the stream below when it is closed itself.
    """

    compressed: Wrap
    decompressed: Wrap


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a version: its final name, the file, and what else its line in the receipts says.

    To publish, ``file.path`` is that of the attempt, relative to the staging folder; as read back it is the name.
    ``receipt`` enters the digest of the version: it should hold accounts, not times.
    """

    name: str
    file: PartFile
    receipt: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a published version says of itself. ``body`` is the whole file, ``observed`` and ``digest`` included."""

    job_id: str
    digest: str
    parts: int
    bytes: int
    rows: int
    receipts_sha256: str
    body: Mapping[str, object]


def canonical(value: object) -> bytes:
    """Return the one spelling of a JSON value: sorted keys, no spaces, ASCII, shortest floats, no NaN.

    Reading it back and spelling it again gives the same bytes. Keys must be text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of a value, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def write_receipts(folder: Folder, parts: Iterable[Part], mode: int, codec: Codec) -> Mapping[str, object]:
    """Write the receipts, synced, while iterating once over the parts; return what the manifest says of both."""
    count = size = rows = 0
    with NewFile(folder, RECEIPTS, mode) as new:
        with codec.compressed(new.file) as stream:
            for part in parts:
                stream.write(_line(part))
                count, size, rows = count + 1, size + part.file.bytes, rows + part.file.rows
        new.finish()
    return {
        "parts": {"count": count, "bytes": size, "rows": rows},
        "receipts": {"bytes": new.bytes, "sha256": new.sha256},
    }


def _line(part: Part) -> bytes:
    facts = {"name": part.name, "bytes": part.file.bytes, "sha256": part.file.sha256, "rows": part.file.rows}
    return canonical({**facts, "receipt": part.receipt}) + b"\n"


def write_manifest(
    folder: Folder,
    job_id: str,
    sections: Mapping[str, object],
    observed: Mapping[str, object],
    listed: Mapping[str, object],
    mode: int,
) -> Manifest:
    """Write the manifest, synced, and return it as it will be read.

    Raises
    ------
    ValueError
        A section has a name that the manifest uses itself.
    """
    if taken := _OUR_KEYS & sections.keys():
        raise ValueError(f"sections may not be called {sorted(taken)}")
    proven = {**sections, **listed, "format": _FORMAT, "version": _VERSION, "job_id": job_id}
    content = canonical({**proven, "observed": observed, "digest": digest(proven)}) + b"\n"
    write_new(folder, MANIFEST, content, mode)
    return _parsed(content)


def read_manifest(output: Path) -> Manifest:
    """Return the manifest of a published version, its digest checked.

    Raises
    ------
    OutputError
        The folder holds no manifest, or one that was damaged or edited.
    """
    with Folder.open(output) as folder:
        return manifest_in(folder)


def manifest_in(folder: Folder) -> Manifest:
    """Return the manifest in an open folder; see :func:`read_manifest`."""
    status = folder.look(MANIFEST)
    if status is None:
        raise foreign(folder, f"it has no {MANIFEST}")
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MANIFEST_LIMIT:
        raise foreign(folder, f"its {MANIFEST} is no file of less than {format_bytes(_MANIFEST_LIMIT)}")
    content = b"".join(_blocks(folder, MANIFEST, _MANIFEST_LIMIT))
    try:
        return _parsed(content)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise foreign(folder, f"its {MANIFEST} was damaged or edited ({escape(str(error))})") from error


def _parsed(content: bytes) -> Manifest:
    body = json.loads(content)
    if not isinstance(body, dict):
        raise TypeError("it is no JSON object")
    if canonical(body) + b"\n" != content:
        raise ValueError("it is not spelled canonically")
    proven = {name: value for name, value in body.items() if name not in {"observed", "digest"}}
    if body["digest"] != digest(proven):
        raise ValueError("its digest does not hold")
    if (body["format"], body["version"]) != (_FORMAT, _VERSION):
        raise ValueError("it is of another format or version")
    parts = body["parts"]
    return Manifest(
        job_id=_matching(JOB_ID, body["job_id"]),
        digest=body["digest"],
        parts=_count(parts["count"]),
        bytes=_count(parts["bytes"]),
        rows=_count(parts["rows"]),
        receipts_sha256=str(body["receipts"]["sha256"]),
        body=body,
    )


def parts_in(folder: Folder, manifest: Manifest, codec: Codec) -> Iterator[Part]:
    """Iterate over the parts that a version lists, in ascending order of name, one in memory at a time.

    Raises
    ------
    OutputError
        The receipts are missing, or are not those that the manifest was written with.
    """
    facts = folder.look(RECEIPTS)
    if facts is None or not stat.S_ISREG(facts.st_mode):
        raise foreign(folder, f"it has no {RECEIPTS}")
    found = hashlib.sha256()
    for block in _blocks(folder, RECEIPTS, facts.st_size):
        found.update(block)
    if found.hexdigest() != manifest.receipts_sha256:
        raise foreign(folder, f"its {RECEIPTS} was damaged or edited")
    try:
        yield from _parts(folder, codec)
    except (OSError, EOFError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise foreign(folder, f"its {RECEIPTS} cannot be read ({escape(str(error))})") from error


def _parts(folder: Folder, codec: Codec) -> Iterator[Part]:
    before = ""
    descriptor = folder.open_file(RECEIPTS, system.READ)
    with os.fdopen(descriptor, "rb") as file, codec.decompressed(file) as stream:
        for line in _lines(stream):
            facts = json.loads(line)
            name = _matching(PART_NAME, facts["name"])
            if name <= before:
                raise ValueError("names do not ascend")
            before = name
            size, rows = _count(facts["bytes"]), _count(facts["rows"])
            yield Part(name, PartFile(name, size, str(facts["sha256"]), rows), dict(facts["receipt"]))


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            raise ValueError(f"a line is longer than {format_bytes(_LINE_LIMIT)}")
        yield from lines
    if rest:
        raise ValueError("the last line is torn")


def _blocks(folder: Folder, name: str, limit: int) -> Iterator[bytes]:
    path = folder.path / name
    descriptor = folder.open_file(name, system.READ)
    try:
        while limit > 0 and (block := system.read(descriptor, min(limit, _BLOCK), path)):
            limit -= len(block)
            yield block
    finally:
        system.release(descriptor)


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{quoted(str(value))} is no count")
    return value


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{quoted(text)} is no name of ours")
    return text


def foreign(folder: Folder, reason: str) -> OutputError:
    """Return the error for a folder that is not, or no longer, what a run of ours published."""
    return OutputError(
        f"{escape(str(folder.path), 1000)} was not published by logitstream: {reason}", aside(folder.path)
    )


def aside(path: Path) -> str:
    """Return the advice that sets what stands in the way aside."""
    names = f"{shlex.quote(str(path))} {shlex.quote(f'{path}.aside')}"
    return f"it was left as it is; set it aside (mv -T {escape(names, 2000)}) or choose another --output"
