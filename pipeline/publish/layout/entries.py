"""The entries of a folder checked against a list: what is missing, has the wrong size, or is not listed."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import ExitStack

from pipeline.disk import Folder, is_folder
from pipeline.publish.layout.lists import sync_lists
from pipeline.publish.layout.proof import checked, proven
from pipeline.publish.record.names import QUARANTINE
from pipeline.publish.record.receipts import Part


class Listing:
    """Counts the listed files that are missing from a folder or have the wrong size; all of them without a folder."""

    def __init__(self, folder: Folder | None, suffix: str = "") -> None:
        self._folder = folder
        self._suffix = suffix
        self._present = 0
        self.damaged = 0
        self.first = ""

    def check(self, name: str, size: int) -> None:
        """Look at a file that is listed with a size."""
        status = self._folder.look(f"{name}{self._suffix}") if self._folder is not None else None
        self._present += status is not None
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != size:
            self.damaged += 1
            self.first = self.first or name

    def others(self) -> int:
        """Return how many names in the folder were not checked."""
        return sum(1 for _ in self._folder.names()) - self._present if self._folder is not None else 0


def missing_clause(count: int, first: str, nouns: str) -> str:
    """Return a clause about listed files that are missing or have the wrong size; empty if there are none."""
    if count <= 1:
        return f"{first} is missing or has the wrong size" if count else ""
    return f"{count:,} of its {nouns} are missing or have the wrong size, the first is {first}"


def quarantine_in(folder: Folder, stack: ExitStack) -> Folder | None:
    """Open the folder of quarantines for as long as the stack lasts; ``None`` if there is none."""
    return stack.enter_context(folder.enter(QUARANTINE)) if is_folder(folder, QUARANTINE) else None


def content_defects(folder: Folder, parts: Iterator[Part], suffix: str | None = None) -> str:
    """Return what is wrong with the content of parts and quarantines; only of quarantines if ``suffix`` is ``None``.

    ``suffix`` is added to the names of the parts. Every byte is digested. If nothing is wrong, the files, the manifest
    and the receipts are durable on return.
    """
    with ExitStack() as stack:
        quarantine = quarantine_in(folder, stack)

        def intact(part: Part) -> bool:
            if suffix is not None and proven(folder, f"{part.name}{suffix}", part.file) is None:
                return False
            if part.quarantine is None:
                return True
            return quarantine is not None and proven(quarantine, part.quarantine_name, part.quarantine) is not None

        for part, good in checked(parts, intact):
            if not good:
                return f"the content of {part.name}, or of its quarantine, is not what was published"
        if quarantine is not None:
            quarantine.sync()
    sync_lists(folder)
    return ""
