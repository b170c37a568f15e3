"""The receipts of a published version: what its files are, part by part, in ascending order of name.

_manifest.receipts   compressed: one line of canonical JSON a part, that of its quarantine in it where it has one
_quarantine/         the quarantines, each under the name of its part
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline import disk
from pipeline.canonical import canonical
from pipeline.disk import Folder
from pipeline.errors import OutputError
from pipeline.publish.files import NewFile
from pipeline.publish.manifest import PART_NAME, Manifest, blocks, count, foreign, matching
from pipeline.types.outputs import PartFile
from pipeline.units import escape, format_bytes

RECEIPTS = "_manifest.receipts"
QUARANTINE = "_quarantine"
QUARANTINE_NAME = re.compile(r"part-[a-z0-9_-]{1,59}\.quarantine")
_BLOCK = 2**20
# Of a line in the journal and in the receipts: a chunk gathered from some hundred thousand files has one as long.
LINE_LIMIT = 64 * 2**20

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

    To publish, ``file.path`` is that of the attempt, relative to the staging folder; as read back it is that in the
    published folder. So with ``quarantine``, the file of the rows that are not in the part. ``receipt`` enters the
    digest of the version: it should hold accounts, not times.
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
            That is no name for a file of ours.
        """
        return matching(QUARANTINE_NAME, f"{self.name.partition('.')[0]}.quarantine")


class _Sums:
    def __init__(self) -> None:
        self.count = self.bytes = self.rows = 0

    def add(self, file: PartFile) -> None:
        self.count, self.bytes, self.rows = self.count + 1, self.bytes + file.bytes, self.rows + file.rows

    def facts(self) -> dict[str, int]:
        return {"count": self.count, "bytes": self.bytes, "rows": self.rows}


def write_receipts(folder: Folder, parts: Iterable[Part], mode: int, codec: Codec) -> Mapping[str, Mapping[str, Any]]:
    """Write the receipts, synced, while iterating once over the parts; return what the manifest says of all.

    Raises
    ------
    OutputError
        A line is too long to be read again.
    """
    sums, quarantines = _Sums(), _Sums()
    with NewFile(folder, RECEIPTS, mode) as new:
        with codec.compressed(new.file) as stream:
            for part in parts:
                stream.write(_line(part))
                sums.add(part.file)
                if part.quarantine is not None:
                    quarantines.add(part.quarantine)
        new.finish()
    return {
        "parts": sums.facts(),
        "quarantines": quarantines.facts(),
        "receipts": {"bytes": new.bytes, "sha256": new.sha256},
    }


def _line(part: Part) -> bytes:
    facts: dict[str, object] = {**_facts(part.name, part.file), "receipt": part.receipt}
    if part.quarantine is not None:
        facts["quarantine"] = _facts(f"{QUARANTINE}/{part.quarantine_name}", part.quarantine)
    line = canonical(facts) + b"\n"
    if len(line) > LINE_LIMIT:
        raise OutputError(
            f"the receipt of {part.name} would be longer than {format_bytes(LINE_LIMIT)}",
            "its chunk is gathered from too many files; lower --chunk-size",
        )
    return line


def _facts(name: str, file: PartFile) -> dict[str, object]:
    return {"name": name, "bytes": file.bytes, "sha256": file.sha256, "rows": file.rows}


@dataclass(frozen=True, slots=True)
class Listed:
    """The parts that a version lists, read from its receipts whenever they are iterated over; never all in memory."""

    folder: Folder
    manifest: Manifest
    codec: Codec

    def __iter__(self) -> Iterator[Part]:
        """Iterate over them; raises as :func:`parts_in` does."""
        return parts_in(self.folder, self.manifest, self.codec)


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
    for block in blocks(folder, RECEIPTS, facts.st_size):
        found.update(block)
    if found.hexdigest() != manifest.receipts_sha256:
        raise foreign(folder, f"its {RECEIPTS} was damaged or edited")
    try:
        yield from _parts(folder, codec)
    except (OSError, EOFError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise foreign(folder, f"its {RECEIPTS} cannot be read ({escape(str(error))})") from error


def _parts(folder: Folder, codec: Codec) -> Iterator[Part]:
    before = ""
    descriptor = folder.open_file(RECEIPTS, disk.READ)
    with os.fdopen(descriptor, "rb") as file, codec.decompressed(file) as stream:
        for line in _lines(stream):
            part = _part(json.loads(line))
            if part.name <= before:
                raise ValueError("names do not ascend")
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
