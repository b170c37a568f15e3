"""The lines of a journal: what is known to be done, whatever happens next.

    {"format":"logitstream-journal","job_id":"...","version":1} 5b0c...      the header
    {"chunk":0,"part":{...},...} 91d7...                                     a receipt
    {"ended":"...","exit_code":75,"unix":1767225600.0} c411...               why a run ended
    {"resumed":1767229200.0} 03aa...                                         when the next run resumed it

Each line is a JSON object, a space, and the first 16 hexadecimal digits of its SHA-256. The first torn or damaged line,
and all lines after it, count as never written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from pipeline.canonical import canonical, sha256
from pipeline.publish.record.manifest import NewerVersion, refuse_newer

_FORMAT, _VERSION = "logitstream-journal", 1
_CHECKSUM_DIGITS = 16


def header(job_id: str) -> dict[str, object]:
    """Return the first line of the journal of a job."""
    return {"format": _FORMAT, "version": _VERSION, "job_id": job_id}


def is_header(line: Mapping[str, object], job_id: str) -> bool:
    """Return whether a line is the first one in the journal of a job."""
    return line == header(job_id)


def newer_version(line: Mapping[str, object]) -> int | None:
    """Return the version in the first line of a journal if it is higher than this program reads, else ``None``."""
    try:
        refuse_newer(line, _FORMAT, _VERSION)
    except NewerVersion as newer:
        return newer.version
    return None


def line_bytes(content: Mapping[str, object]) -> bytes:
    """Return the bytes of a line, with its checksum and its end."""
    line = canonical(content)
    return line + b" " + _checksum(line) + b"\n"


def content_of(line: bytes) -> Mapping[str, object] | None:
    """Return the content of a line, given without its end; ``None`` if it is torn or damaged."""
    content, _, checksum = line.rpartition(b" ")
    if checksum != _checksum(content):
        return None
    try:
        found = json.loads(content.decode("ascii"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(literal: str) -> NoReturn:
    raise ValueError(literal)


def _checksum(content: bytes) -> bytes:
    return sha256(content)[:_CHECKSUM_DIGITS].encode()
