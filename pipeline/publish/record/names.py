"""The names of what is published and prepared, and the patterns that tell logitstream's files from all others.

In a version:

    _manifest.json, _manifest.receipts      prove it
    part-<...>                              its parts
    _quarantine/part-<...>.quarantine       rows that are not in its parts

Next to an output, in ``.<name>.logitstream/``:

    lock
    jobs/<job_id>/                          job-<digest>.json, journal, attempts/<thousand>/<...>.attempt,
                                            and tree/ or proof/ while publishing
    versions/<number>-<job_id>/             previous versions; their data is named *.kept
    remembered                              what the last run left for the next one, which may be lost
    files/<sha256>/                         proves the one file with that digest
"""

from __future__ import annotations

import re

from pipeline.types import outputs
from pipeline.units import quoted

MANIFEST, RECEIPTS = outputs.MANIFEST, outputs.RECEIPTS
QUARANTINE = "_quarantine"
# The extension of a quarantine, and of an attempt at one.
QUARANTINE_EXTENSION = "quarantine"
QUARANTINE_SUFFIX = f".{QUARANTINE_EXTENSION}"

HOME_SUFFIX = ".logitstream"
LOCK, JOURNAL, REMEMBERED = "lock", "journal", "remembered"
JOBS, VERSIONS, FILES = "jobs", "versions", "files"
ATTEMPTS, TREE, PROOF = "attempts", "tree", "proof"
# One file: while it is made, and when it is about to change places with the output or just has.
MERGED, FILE = "merged", "file"
# The suffix of data of previous versions, so that no reader takes it for data.
KEPT = ".kept"

JOB_ID = re.compile(r"[0-9a-f]{16,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# With the suffix of a previous version a name has at most 80 bytes.
PART_NAME = re.compile(r"part-[a-z0-9._-]{1,70}")
QUARANTINE_NAME = re.compile(rf"part-[a-z0-9_-]{{1,59}}\{QUARANTINE_SUFFIX}")
ATTEMPT_NAME = re.compile(r"[0-9]{1,19}-[0-9a-f]{32}\.[a-z0-9.]{1,16}\.attempt")
ATTEMPT_PATH = re.compile(rf"{ATTEMPTS}/([0-9]{{1,19}})/({ATTEMPT_NAME.pattern})")
KEPT_FILE = re.compile(rf"({SHA256.pattern}){re.escape(KEPT)}")
VERSION_NAME = re.compile(rf"([0-9]{{7,18}})-({JOB_ID.pattern})")
JOB_FILE = re.compile(r"job-[0-9a-f]{16}\.json(?:\.[0-9a-f]{32})?")
# A staging folder, or one that is being removed.
STAGING_NAME = re.compile(rf"({JOB_ID.pattern})(?:\.[0-9a-f]{{32}})?")

_PLAIN = "|".join(re.escape(name) for name in (JOURNAL, MANIFEST, RECEIPTS))
# Every file that a run makes.
OURS = re.compile(
    rf"{_PLAIN}|{JOB_FILE.pattern}|{ATTEMPT_NAME.pattern}|{PART_NAME.pattern}(?:{re.escape(KEPT)})?"
    rf"|{QUARANTINE_NAME.pattern}|{MERGED}|{KEPT_FILE.pattern}"
)

_PER_FOLDER = 1000


def home_name(output: str) -> str:
    """Return the name of the folder next to an output where runs are prepared."""
    return f".{output}{HOME_SUFFIX}"


def output_of(home: str) -> str | None:
    """Return the name of the output that a folder of preparations belongs to, ``None`` for any other name."""
    return (home[1 : -len(HOME_SUFFIX)] or None) if is_home(home) else None


def is_home(name: str) -> bool:
    """Return whether a name is that of a folder of preparations."""
    return name.startswith(".") and name.endswith(HOME_SUFFIX)


def attempt_name(chunk: int, extension: str, token: str) -> tuple[str, str]:
    """Return the subfolder of ``attempts``, and the name in it, of an attempt at a chunk.

    ``token`` is 32 hexadecimal digits that were never used before.

    Raises
    ------
    ValueError
        They do not make a name.
    """
    name = f"{chunk}-{token}.{extension}.attempt"
    if not ATTEMPT_NAME.fullmatch(name):
        raise ValueError(f"chunk {chunk} and extension {extension!r} do not make a name")
    return thousand_of(chunk), name


def thousand_of(chunk: int) -> str:
    """Return the subfolder of ``attempts`` that the attempts at a chunk are in."""
    return str(chunk // _PER_FOLDER)


def attempt_path(thousand: str, name: str) -> str:
    """Return the path of an attempt as in its receipt, relative to the staging folder."""
    return f"{ATTEMPTS}/{thousand}/{name}"


def job_file_name(sha256: str) -> str:
    """Return the name of the job file that has a digest."""
    return f"job-{sha256[:16]}.json"


def kept_file_name(sha256: str) -> str:
    """Return the name of a previous version that is one file, made of its digest."""
    return f"{sha256}{KEPT}"


def version_name(number: int, job_id: str) -> str:
    """Return the name of the folder of a previous version."""
    return f"{number:07d}-{job_id}"


def matching(pattern: re.Pattern[str], text: str) -> str:
    """Return a text if a pattern matches all of it. Raises ``ValueError`` for any other."""
    if not pattern.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a name that logitstream uses")
    return text


def count(value: object) -> int:
    """Return a whole number of at least 0. Raises ``ValueError`` for anything else."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{quoted(str(value))} is not a whole number of at least 0")
    return value
