"""The names of what is published and of what is prepared, and the patterns that tell ours from all others.

In a version:

    _manifest.json, _manifest.receipts      what prove it
    part-<...>                              its parts
    _quarantine/part-<...>.quarantine       rows that are not in its parts

Beside an output, in ``.<name>.logitstream/``:

    lock
    jobs/<job_id>/                          job-<digest>.json, journal, attempts/<thousand>/<...>.attempt,
                                            and tree/ or proof/ while publishing
    versions/<number>-<job_id>/             former versions; their data is called *.kept
    files/<sha256>/                         what proves the one file with that digest
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
LOCK, JOURNAL = "lock", "journal"
JOBS, VERSIONS, FILES = "jobs", "versions", "files"
ATTEMPTS, TREE, PROOF = "attempts", "tree", "proof"
# One file: in the making, and about to change places with the output or just having done so.
MERGED, FILE = "merged", "file"
# Of data that nobody is to take for data.
KEPT = ".kept"

JOB_ID = re.compile(r"[0-9a-f]{16,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# With the suffix of a kept version a name has at most 80 bytes.
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
    """Return the name of the folder beside an output in which runs are prepared."""
    return f".{output}{HOME_SUFFIX}"


def output_of(home: str) -> str | None:
    """Return the name of the output beside which a folder of preparations is, ``None`` for any other name."""
    return (home[1 : -len(HOME_SUFFIX)] or None) if is_home(home) else None


def is_home(name: str) -> bool:
    """Return whether a folder of preparations has such a name."""
    return name.startswith(".") and name.endswith(HOME_SUFFIX)


def attempt_name(chunk: int, extension: str, token: str) -> tuple[str, str]:
    """Return the folder, below that of all attempts, and the name of an attempt at a chunk.

    ``token`` is 32 hexadecimal digits that were never used before.

    Raises
    ------
    ValueError
        They do not make a name.
    """
    name = f"{chunk}-{token}.{extension}.attempt"
    if not ATTEMPT_NAME.fullmatch(name):
        raise ValueError(f"chunk {chunk} and extension {extension!r} do not make a name")
    return str(chunk // _PER_FOLDER), name


def attempt_path(thousand: str, name: str) -> str:
    """Return the path of an attempt as its receipt says it, from the staging folder."""
    return f"{ATTEMPTS}/{thousand}/{name}"


def job_file_name(sha256: str) -> str:
    """Return the name of the job file with a digest."""
    return f"job-{sha256[:16]}.json"


def kept_file_name(sha256: str) -> str:
    """Return the name of a former version that is one file, by its digest."""
    return f"{sha256}{KEPT}"


def version_name(number: int, job_id: str) -> str:
    """Return the name of the folder of a former version."""
    return f"{number:07d}-{job_id}"


def matching(pattern: re.Pattern[str], text: str) -> str:
    """Return a text that a pattern matches whole. Raises ``ValueError`` for any other."""
    if not pattern.fullmatch(text):
        raise ValueError(f"{quoted(text)} is no name of ours")
    return text


def count(value: object) -> int:
    """Return a whole number of at least 0. Raises ``ValueError`` for anything else."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{quoted(str(value))} is no count")
    return value
