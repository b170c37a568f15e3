"""The manifest and the receipts of a version in a folder: written, and read back with their digests checked."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.disk import Folder, NewFile
from pipeline.errors import NewerOutputError, OutputError
from pipeline.publish.record.manifest import (
    MANIFEST_LIMIT,
    Manifest,
    NewerVersion,
    manifest_bytes,
    manifest_from,
    newer_output,
)
from pipeline.publish.record.names import MANIFEST, RECEIPTS
from pipeline.publish.record.receipts import Codec, Part, parts_from, write_lines
from pipeline.units import MIB, escape, format_bytes

_BLOCK = MIB


class Unproven(Exception):  # noqa: N818 - a caller that knows the path turns it into an error
    """A folder has no manifest or receipts that hold; ``reason`` says so as a clause about the folder."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def write_manifest(
    folder: Folder,
    job_id: str,
    sections: Mapping[str, object],
    observed: Mapping[str, object],
    listed: Mapping[str, object],
    mode: int,
) -> Manifest:
    """Write the manifest, synced, and return it as it will be read.

    Raises as :func:`~pipeline.publish.record.manifest.manifest_bytes` does.
    """
    content = manifest_bytes(job_id, sections, observed, listed)
    disk.write_new(folder, MANIFEST, content, mode)
    return manifest_from(content)


def manifest_in(folder: Folder) -> Manifest:
    """Return the manifest in an open folder, its digest checked.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    OutputError
        The folder has no manifest, or one that was damaged or edited.
    """
    try:
        return read_manifest(folder)
    except NewerVersion as newer:
        raise newer_output(escape(str(folder.path), 1000), newer) from newer
    except Unproven as error:
        raise foreign(folder, error.reason) from error


def read_manifest(folder: Folder) -> Manifest:
    """Return the manifest in an open folder as :func:`manifest_in` does, for callers that word the error themselves.

    Raises
    ------
    NewerVersion
        A newer logitstream made it.
    Unproven
        The folder has no manifest, or one that was damaged or edited.
    """
    status = folder.look(MANIFEST)
    if status is None:
        raise Unproven(f"it has no {MANIFEST}")
    if not stat.S_ISREG(status.st_mode) or status.st_size > MANIFEST_LIMIT:
        raise Unproven(f"its {MANIFEST} is not a file of at most {format_bytes(MANIFEST_LIMIT)}")
    content = b"".join(blocks(folder, MANIFEST, MANIFEST_LIMIT))
    try:
        return manifest_from(content)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unproven(f"its {MANIFEST} was damaged or edited ({escape(str(error))})") from error


def manifest_or_none(folder: Folder) -> Manifest | None:
    """Return the manifest in an open folder, ``None`` if there is none or it is damaged.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    """
    try:
        return manifest_in(folder)
    except NewerOutputError:
        raise
    except OutputError:
        return None


def write_receipts(folder: Folder, parts: Iterable[Part], mode: int, codec: Codec) -> Mapping[str, Mapping[str, Any]]:
    """Write the receipts, synced, while iterating once over the parts; return their totals for the manifest.

    Raises
    ------
    OutputError
        A line is too long to be read again.
    """
    with NewFile(folder, RECEIPTS, mode) as new:
        with codec.compressed(new.file) as stream:
            sums = write_lines(stream, parts)
        new.finish()
    return {**sums, "receipts": {"bytes": new.bytes, "sha256": new.sha256}}


@dataclass(frozen=True, slots=True)
class Listed:
    """The parts that a version lists, read from its receipts on each iteration; never all in memory."""

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
    try:
        yield from read_parts(folder, manifest, codec)
    except Unproven as error:
        raise foreign(folder, error.reason) from error


def read_parts(folder: Folder, manifest: Manifest, codec: Codec) -> Iterator[Part]:
    """Iterate over the parts as :func:`parts_in` does, for callers that word the error themselves.

    Raises
    ------
    Unproven
        The receipts are missing, or are not those that the manifest was written with.
    """
    facts = folder.look(RECEIPTS)
    if facts is None or not stat.S_ISREG(facts.st_mode):
        raise Unproven(f"it has no {RECEIPTS}")
    found = hashlib.sha256()
    for block in blocks(folder, RECEIPTS, facts.st_size):
        found.update(block)
    if found.hexdigest() != manifest.receipts_sha256:
        raise Unproven(f"its {RECEIPTS} was damaged or edited")
    try:
        descriptor = folder.open_file(RECEIPTS, disk.READ)
        with os.fdopen(descriptor, "rb") as file, codec.decompressed(file) as stream:
            yield from parts_from(stream)
    except (OSError, EOFError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unproven(f"its {RECEIPTS} cannot be read ({escape(str(error))})") from error


def blocks(folder: Folder, name: str, limit: int) -> Iterator[bytes]:
    """Iterate over at most ``limit`` bytes of a file, a block at a time."""
    path = folder.path / name
    descriptor = folder.open_file(name, disk.READ)
    try:
        while limit > 0 and (block := disk.read(descriptor, min(limit, _BLOCK), path)):
            limit -= len(block)
            yield block
    finally:
        disk.release(descriptor)


def sync_lists(folder: Folder) -> None:
    """Sync the manifest and the receipts of a version: the run that published it may not have done so."""
    for name in (MANIFEST, RECEIPTS):
        folder.sync_named(name)
    folder.sync()


# For commands that only read an output: nothing is in their way.
NAME_ANOTHER = "give the name of an output that logitstream published"


def foreign(folder: Folder, reason: str, remedy: str = "") -> OutputError:
    """Return the error for a folder that is not what a run published; unless told, the remedy is to move it aside."""
    return OutputError(
        f"{escape(str(folder.path), 1000)} was not published by logitstream: {reason}", remedy or aside(folder.path)
    )


def aside(path: Path) -> str:
    """Return the advice for what has the name of an output but is in the way; it holds for every command."""
    names = f"{shlex.quote(str(path))} {shlex.quote(f'{path}.aside')}"
    return f"move it aside (mv -T {escape(names, 2000)}) or use another output name; it was left as it is"
