"""The manifest of a published version: one small file that proves what the others are.

_manifest.json       canonical JSON: the caller's sections, totals over the parts and the quarantines, the digest of the
                     receipts, and its own digest over all of that; ``observed`` (times, workers, peaks) stands outside
                     and has a digest of its own, which nothing but a check of the output looks at
"""

from __future__ import annotations

import json
import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import disk
from pipeline.canonical import canonical, digest
from pipeline.disk import Folder
from pipeline.errors import OutputError
from pipeline.publish.files import write_new
from pipeline.types.outputs import PartFile
from pipeline.units import escape, format_bytes, quoted

MANIFEST = "_manifest.json"
# With the suffix of a kept version a name has at most 80 bytes.
PART_NAME = re.compile(r"part-[a-z0-9._-]{1,70}")
JOB_ID = re.compile(r"[0-9a-f]{16,64}")

_FORMAT = "logitstream-output"
_VERSION = 1
_OUTSIDE = frozenset({"observed", "digest"})
_OUR_KEYS = frozenset({"format", "version", "job_id", "parts", "quarantines", "receipts", "file"}) | _OUTSIDE
_MANIFEST_LIMIT = 64 * 2**20
# For what is only known at the end: totals, digests, what is noted.
_ROOM = 2**20
_BLOCK = 2**20
# The end of the year 9999, behind which no date can be shown.
_LAST_UNIX = 253_402_300_800


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a published version says of itself.

    ``parts``, ``bytes`` and ``rows`` are those of the parts, ``quarantines`` the number of files beside them; ``file``
    is the one file that was made of the parts, without a path, where the output is one; ``body`` is the whole manifest,
    ``observed`` and ``digest`` included.
    """

    job_id: str
    digest: str
    parts: int
    bytes: int
    rows: int
    quarantines: int
    receipts_sha256: str
    file: PartFile | None
    body: Mapping[str, object]

    @property
    def output_bytes(self) -> int:
        """Bytes of what is published, but for the quarantines: of the one file, or of all parts."""
        return self.bytes if self.file is None else self.file.bytes

    @property
    def finished_unix(self) -> float | None:
        """When the run ended that made it, as it was noted; ``None`` where no time stands there."""
        observed = self.body.get("observed")
        found = observed.get("finished_unix") if isinstance(observed, Mapping) else None
        return float(found) if isinstance(found, int | float) and 0 <= found < _LAST_UNIX else None


def check_sections(sections: Mapping[str, object]) -> None:
    """Refuse sections, before any work for them is done, that make a manifest longer than can be read again.

    Raises
    ------
    OutputError
        With both sizes.
    """
    _check_size(len(canonical(sections)) + _ROOM)


def _check_size(size: int) -> None:
    if size > _MANIFEST_LIMIT:
        raise OutputError(
            f"the manifest would take {format_bytes(size)}, and at most {format_bytes(_MANIFEST_LIMIT)} can be read",
            "what takes that much is the list of the inputs: give fewer or larger files, or several outputs",
        )


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
    OutputError
        It is longer than can be read again.
    """
    if taken := _OUR_KEYS & sections.keys():
        raise ValueError(f"sections may not be called {sorted(taken)}")
    proven = {**sections, **listed, "format": _FORMAT, "version": _VERSION, "job_id": job_id}
    noted = {**observed, "digest": digest(observed)}
    content = canonical({**proven, "observed": noted, "digest": digest(proven)}) + b"\n"
    _check_size(len(content))
    write_new(folder, MANIFEST, content, mode)
    return _parsed(content)


def observed_holds(manifest: Manifest) -> bool:
    """Return whether what a manifest only notes is what was noted: nobody's output is refused for that."""
    observed = manifest.body.get("observed")
    if not isinstance(observed, dict):
        return False
    return bool(observed.get("digest") == digest({name: observed[name] for name in observed if name != "digest"}))


def manifest_in(folder: Folder) -> Manifest:
    """Return the manifest in an open folder, its digest checked.

    Raises
    ------
    OutputError
        The folder holds none, or one that was damaged or edited.
    """
    status = folder.look(MANIFEST)
    if status is None:
        raise foreign(folder, f"it has no {MANIFEST}")
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MANIFEST_LIMIT:
        raise foreign(folder, f"its {MANIFEST} is no file of less than {format_bytes(_MANIFEST_LIMIT)}")
    content = b"".join(blocks(folder, MANIFEST, _MANIFEST_LIMIT))
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
    proven = {name: value for name, value in body.items() if name not in _OUTSIDE}
    if body["digest"] != digest(proven):
        raise ValueError("its digest does not hold")
    if (body["format"], body["version"]) != (_FORMAT, _VERSION):
        raise ValueError("it is of another format or version")
    parts = body["parts"]
    return Manifest(
        job_id=matching(JOB_ID, body["job_id"]),
        digest=body["digest"],
        parts=count(parts["count"]),
        bytes=count(parts["bytes"]),
        rows=count(parts["rows"]),
        quarantines=count(body["quarantines"]["count"]),
        receipts_sha256=str(body["receipts"]["sha256"]),
        file=_file(body["file"]) if "file" in body else None,
        body=body,
    )


def _file(facts: Mapping[str, object]) -> PartFile:
    return PartFile("", count(facts["bytes"]), str(facts["sha256"]), count(facts["rows"]))


def blocks(folder: Folder, name: str, limit: int) -> Iterator[bytes]:
    """Iterate over at most so many bytes of a file, a block at a time."""
    path = folder.path / name
    descriptor = folder.open_file(name, disk.READ)
    try:
        while limit > 0 and (block := disk.read(descriptor, min(limit, _BLOCK), path)):
            limit -= len(block)
            yield block
    finally:
        disk.release(descriptor)


def count(value: object) -> int:
    """Return a whole number of at least 0. Raises ``ValueError`` for anything else."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{quoted(str(value))} is no count")
    return value


def matching(pattern: re.Pattern[str], text: str) -> str:
    """Return a text that a pattern matches whole. Raises ``ValueError`` for any other."""
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
