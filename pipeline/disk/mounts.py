"""What is mounted, as the kernel states it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Mount(NamedTuple):
    """A file system, or a part of it, at a place in the tree of folders.

    Attributes
    ----------
    device : int
        As in ``st_dev`` of its files.
    top : str
        The folder of the file system that is seen at the place.
    place : str
        A space, tab, line feed or backslash in it is written as a backslash and three octal digits.
    kind : str
        The type of the file system, such as ``ext4``.
    options : str
        Those of the file system, separated by commas.
    """

    device: int
    top: str
    place: str
    kind: str
    options: str


def mounts(root: Path = Path("/")) -> list[Mount]:
    """Return all mounts that this process sees, from ``proc`` under a root; none where the kernel does not tell."""
    try:
        text = (root / "proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return []
    # Other ends of a line may stand in a name.
    return [_mount(line) for line in text.split("\n") if line]


def _mount(line: str) -> Mount:
    # Between the two come fields whose number is not fixed.
    before, _, after = line.partition(" - ")
    _, _, device, top, place, *_ = before.split(" ")
    kind, _, options = after.split(" ", 2)
    return Mount(os.makedev(*map(int, device.split(":"))), top, place, kind, options)
