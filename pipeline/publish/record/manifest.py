"""The manifest of a published version: one small file that proves what the others are.

_manifest.json       canonical JSON: the caller's sections, totals over the parts and the quarantines, the digest of the
                     receipts, and a digest over all of that; ``observed`` (times, workers, peaks) is outside it and has
                     a separate digest, which only ``verify`` checks
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.canonical import canonical, digest
from pipeline.dataclass import dataclass
from pipeline.errors import NewerOutputError, OutputError
from pipeline.publish.record.names import JOB_ID, MANIFEST, count, matching
from pipeline.types.outputs import PartFile
from pipeline.units import MIB, escape, format_bytes

MANIFEST_LIMIT = 64 * MIB

_FORMAT = "logitstream-output"
_VERSION = 1
_OUTSIDE = frozenset({"observed", "digest"})
_OUR_KEYS = frozenset({"format", "version", "job_id", "parts", "quarantines", "receipts", "file"}) | _OUTSIDE
# For what is only known at the end: totals, digests, what is noted.
_ROOM = MIB
# The end of the year 9999: no later date can be shown.
_LAST_UNIX = 253_402_300_800


class NewerVersion(Exception):  # noqa: N818 - a caller that knows the path turns it into an error
    """A newer logitstream made a manifest or a journal: its ``version`` is higher than this program reads."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


def newer_output(shown: str, error: NewerVersion) -> NewerOutputError:
    """Return the error for an output, or a version of one, that a newer logitstream made."""
    return NewerOutputError(
        f"{shown} was made by a newer logitstream: its {MANIFEST} has version {escape(str(error.version), 40)}, "
        f"and this one reads version {_VERSION}",
        "update logitstream, or use another output name; it was left as it is",
    )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the manifest of a published version says.

    ``parts``, ``bytes`` and ``rows`` describe the parts; ``quarantines`` is the number of quarantine files. ``file`` is
    the one file that the parts were merged into, without a path, or ``None`` for a folder of parts. ``body`` is the
    whole manifest with ``observed`` and ``digest``.
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
        """Bytes of the one file, or of all parts; quarantines do not count."""
        return self.bytes if self.file is None else self.file.bytes

    @property
    def proof(self) -> str | None:
        """Digest of the one file, which its manifest is found by; ``None`` if the manifest is next to the parts."""
        return None if self.file is None else self.file.sha256

    @property
    def finished_unix(self) -> float | None:
        """When the run that made it ended; ``None`` if no time was noted."""
        observed = self.body.get("observed")
        found = observed.get("finished_unix") if isinstance(observed, Mapping) else None
        return float(found) if isinstance(found, int | float) and 0 <= found < _LAST_UNIX else None


def check_sections(sections: Mapping[str, object]) -> None:
    """Refuse, before any work, sections that would make the manifest too long to be read again.

    Raises
    ------
    OutputError
        With both sizes.
    """
    _check_size(len(canonical(sections)) + _ROOM)


def _check_size(size: int) -> None:
    if size > MANIFEST_LIMIT:
        raise OutputError(
            f"the manifest would take {format_bytes(size)}, but at most {format_bytes(MANIFEST_LIMIT)} are possible: "
            "it lists every input file",
            "use fewer and larger input files, or several outputs",
        )


def manifest_bytes(
    job_id: str, sections: Mapping[str, object], observed: Mapping[str, object], listed: Mapping[str, object]
) -> bytes:
    """Return the bytes of a manifest; ``listed`` is what writing the receipts returned about all parts.

    Raises
    ------
    ValueError
        A section has a name that the manifest uses itself.
    OutputError
        The manifest is too long to be read again.
    """
    if taken := _OUR_KEYS & sections.keys():
        raise ValueError(f"sections may not be called {sorted(taken)}")
    proven = {**sections, **listed, "format": _FORMAT, "version": _VERSION, "job_id": job_id}
    noted = {**observed, "digest": digest(observed)}
    content = canonical({**proven, "observed": noted, "digest": digest(proven)}) + b"\n"
    _check_size(len(content))
    return content


def observed_holds(manifest: Manifest) -> bool:
    """Return whether the notes of a manifest are as written. No output is refused for edited notes."""
    observed = manifest.body.get("observed")
    if not isinstance(observed, dict):
        return False
    return bool(observed.get("digest") == digest({name: observed[name] for name in observed if name != "digest"}))


def manifest_from(content: bytes) -> Manifest:
    """Return the manifest in some bytes, its digest checked.

    Raises
    ------
    NewerVersion
        It has a higher version. Nothing else is checked then.
    ValueError, LookupError, TypeError, RecursionError
        The bytes are not a manifest, or one that was damaged or edited.
    """
    body = json.loads(content)
    if not isinstance(body, dict):
        raise TypeError("it is not a JSON object")
    refuse_newer(body, _FORMAT, _VERSION)
    if canonical(body) + b"\n" != content:
        raise ValueError("it is not canonical JSON")
    proven = {name: value for name, value in body.items() if name not in _OUTSIDE}
    if body["digest"] != digest(proven):
        raise ValueError("its content does not match its digest")
    if (body["format"], body["version"]) != (_FORMAT, _VERSION):
        raise ValueError("it has another format or version")
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


def refuse_newer(body: Mapping[str, object], format_: str, version: int) -> None:
    """Raise :class:`NewerVersion` if a JSON object has this format and a higher version."""
    found = body.get("version")
    if body.get("format") == format_ and type(found) is int and found > version:
        raise NewerVersion(found)
