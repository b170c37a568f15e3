"""The receipts of a published version: the facts of its files, part by part, in ascending order of name.

_manifest.receipts   compressed: one line of canonical JSON for each part, with the facts of its quarantine if any
_quarantine/         the quarantines, each named after its part
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from pipeline.canonical import canonical
from pipeline.dataclass import dataclass
from pipeline.errors import OutputError
from pipeline.publish.record.names import (
    PART_NAME,
    QUARANTINE,
    QUARANTINE_NAME,
    QUARANTINE_SUFFIX,
    count,
    matching,
)
from pipeline.types.outputs import PartFile
from pipeline.units import MIB, format_bytes

_BLOCK = MIB
# For a line in the journal and in the receipts: a chunk of about a hundred thousand small files has one this long.
LINE_LIMIT = 64 * MIB

Wrap = Callable[[BinaryIO], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Codec:
    """How the receipts are compressed: each function wraps a binary stream, for writing or for reading.

    A wrapper may close the stream that it wraps when it is closed.
    """

    compressed: Wrap
    decompressed: Wrap


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a version: its final name, the file, and the rest of its line in the receipts.

    To publish, ``file.path`` is that of the attempt, relative to the staging folder. Read back, it is the path in the
    published folder. The same holds for ``quarantine``, the file of the rows that are not in the part. ``receipt``
    enters the digest of the version, so it should hold accounts, not times.
    """

    name: str
    file: PartFile
    receipt: Mapping[str, object]
    quarantine: PartFile | None = None

    @property
    def quarantine_name(self) -> str:
        """Name of its quarantine in the folder of quarantines: that of the part up to its first dot.

        Raises
        ------
        ValueError
            A quarantine cannot have that name.
        """
        return matching(QUARANTINE_NAME, f"{self.name.partition('.')[0]}{QUARANTINE_SUFFIX}")


class _Sums:
    def __init__(self) -> None:
        self.count = self.bytes = self.rows = 0

    def add(self, file: PartFile) -> None:
        self.count, self.bytes, self.rows = self.count + 1, self.bytes + file.bytes, self.rows + file.rows

    def facts(self) -> dict[str, int]:
        return {"count": self.count, "bytes": self.bytes, "rows": self.rows}


def write_lines(stream: BinaryIO, parts: Iterable[Part]) -> dict[str, dict[str, int]]:
    """Write a line for each part, iterating over them once; return their totals for the manifest.

    Raises
    ------
    OutputError
        A line is too long to be read again.
    """
    sums, quarantines = _Sums(), _Sums()
    for part in parts:
        stream.write(part_line(part))
        sums.add(part.file)
        if part.quarantine is not None:
            quarantines.add(part.quarantine)
    return {"parts": sums.facts(), "quarantines": quarantines.facts()}


def part_line(part: Part) -> bytes:
    """Return the line of a part.

    Raises
    ------
    OutputError
        It is too long to be read again.
    """
    facts: dict[str, object] = {**_facts(part.name, part.file), "receipt": part.receipt}
    if part.quarantine is not None:
        facts["quarantine"] = _facts(f"{QUARANTINE}/{part.quarantine_name}", part.quarantine)
    line = canonical(facts) + b"\n"
    if len(line) > LINE_LIMIT:
        raise OutputError(
            f"the receipt of {part.name} would be longer than {format_bytes(LINE_LIMIT)}: its chunk has too many files",
            "lower --chunk-size",
        )
    return line


def _facts(name: str, file: PartFile) -> dict[str, object]:
    return {"name": name, "bytes": file.bytes, "sha256": file.sha256, "rows": file.rows}


def parts_from(stream: BinaryIO) -> Iterator[Part]:
    """Iterate over the parts in a stream of lines, one in memory at a time.

    Raises
    ------
    OSError, EOFError, ValueError, LookupError, TypeError, RecursionError
        The stream cannot be read, or its lines are not receipts.
    """
    before = ""
    for line in _lines(stream):
        part = _part(json.loads(line))
        if part.name <= before:
            raise ValueError("names are not in ascending order")
        before = part.name
        yield part


def _part(facts: Mapping[str, Any]) -> Part:
    name = matching(PART_NAME, facts["name"])
    part = Part(name, _file(facts), dict(facts["receipt"]))
    if "quarantine" not in facts:
        return part
    quarantine = _file(facts["quarantine"])
    if quarantine.path != f"{QUARANTINE}/{part.quarantine_name}":
        raise ValueError(f"the quarantine of {name} has another name")
    return Part(name, part.file, part.receipt, quarantine)


def _file(facts: Mapping[str, Any]) -> PartFile:
    return PartFile(str(facts["name"]), count(facts["bytes"]), str(facts["sha256"]), count(facts["rows"]))


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LINE_LIMIT:
            raise ValueError(f"a line is longer than {format_bytes(LINE_LIMIT)}")
        yield from lines
    if rest:
        raise ValueError("the last line is torn")
