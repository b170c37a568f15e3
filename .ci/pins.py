"""Checks the locked dependencies: no version with a hole that is known to us, a hash for each, nothing from elsewhere.

    python .ci/pins.py [FOLDER]

Reads ``runtime.txt`` and ``dev.txt`` of the folder, by default this one. Prints one line for each thing that is wrong
and ends with 1, or with 0 where there is none. ``FLOORS`` is kept by hand: pip-audit would ask a server.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

LOCKS = ("runtime.txt", "dev.txt")

# The oldest version that may be locked, and why. The first group is in the runtime lock, whatever else is.
REQUIRED = {
    "pyarrow": (
        "26.0",
        "CVE-2023-47248, CVE-2026-25087, overflows in IPC and Parquet mended up to 26; limits on footers",
    ),
    "distributed": ("2026.7", "CVE-2026-23528 (script in the dashboard); hangs of nannies and TCP mended up to 2026.7"),
    "dask": ("2026.7", "of one release with distributed"),
}
FLOORS = {
    **REQUIRED,
    "jinja2": ("3.1.6", "CVE-2025-27516: leaving the sandbox"),
    "joblib": ("1.2.0", "CVE-2022-21797: code in an argument"),
    "pygments": ("2.15.0", "CVE-2022-40896: lexers that take for ever"),
    "pyyaml": ("5.4", "CVE-2020-14343: code in a document"),
    "scikit-learn": ("1.5.0", "CVE-2024-5206: training data kept in a vectorizer"),
    "tornado": ("6.5", "CVE-2025-47287: a request that fills the log and stops the server"),
}

_REQUIREMENT = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[a-z0-9,._-]+\])?==([^\s;\\]+)((?: --hash=sha256:[0-9a-f]{64})*)"
)
_ELSEWHERE = re.compile(r"://|@|(?:^|\s)-|(?:^|\s)\.{0,2}/|\bfile:")


@dataclass(frozen=True, slots=True)
class Pin:
    """A requirement of a lock: canonical name, version, whether it has a hash."""

    name: str
    version: str
    hashed: bool


def check(folder: Path) -> list[str]:
    """Return what is wrong with the locks of a folder."""
    faults: list[str] = []
    pins = {lock: _read((folder / lock).read_text(), lock, faults) for lock in LOCKS}
    for lock, found in pins.items():
        faults += [f"{lock}: {pin.name} has no hash" for pin in found.values() if not pin.hashed]
        faults += [fault for pin in found.values() if (fault := _too_old(pin, lock))]
        faults += [f"{lock}: {name} is not locked" for name in REQUIRED if name not in found]
    runtime, dev = (pins[lock] for lock in LOCKS)
    for name, pin in runtime.items():
        other = dev.get(name)
        if other is None or other.version != pin.version:
            faults.append(f"{name} is {pin.version} in {LOCKS[0]}, {other.version if other else 'not'} in {LOCKS[1]}")
    return faults


def _read(text: str, lock: str, faults: list[str]) -> dict[str, Pin]:
    """Return the requirements of a lock by name, and add the lines that are none to the faults."""
    pins: dict[str, Pin] = {}
    comments = [line for line in text.splitlines() if line.startswith("#")]
    faults += [f"{lock}: {line!r} names a place" for line in comments if _ELSEWHERE.search(line.lstrip("# "))]
    logical = re.sub(r"\s*\\\n\s*", " ", text)
    for line in logical.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = _REQUIREMENT.fullmatch(line.rstrip())
        if found is None:
            faults.append(f"{lock}: {line[:80]!r} is not a name, a version and sha256 hashes")
            continue
        name = canonicalize_name(found[1])
        if name in pins:
            faults.append(f"{lock}: {name} stands twice")
        pins[name] = Pin(name, found[2], bool(found[3]))
    return pins


def _too_old(pin: Pin, lock: str) -> str:
    floor, reason = FLOORS.get(pin.name, ("0", ""))
    if Version(pin.version) >= Version(floor):
        return ""
    return f"{lock}: {pin.name} {pin.version} is older than {floor} ({reason})"


if __name__ == "__main__":
    found = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
    for line in found:
        print(line)
    sys.exit(1 if found else 0)
