"""What tasks are called on the scheduler: ``('score', chunk, file, run, try)``.

The scheduler keeps something for every prefix that it has ever seen, and takes a key that it has seen for the same
task whatever its arguments are. Of a tuple the prefix is the first part, so a command has one prefix, and a key that
names the connection and the try is never used twice. The dashboard shows chunk and file.
"""

from __future__ import annotations

from array import array
from dataclasses import field

from pipeline.dataclass import dataclass
from pipeline.execute.labels import Label

Key = tuple[str, int, str, str, int]

_LONGEST = 100


@dataclass(slots=True)
class KeyMaker:
    """Makes the keys of a connection; remembers four bytes for each chunk."""

    _tries: array[int] = field(default_factory=lambda: array("I"))

    def key(self, label: Label, run: str) -> Key:
        """Return a key that was never used before."""
        chunk, tries = label.chunk, self._tries
        if chunk >= len(tries):
            tries.frombytes(bytes(tries.itemsize * (max(2 * len(tries), chunk + 1) - len(tries))))
        tries[chunk] += 1
        return label.command, chunk, label.file[-_LONGEST:], run, tries[chunk] - 1
