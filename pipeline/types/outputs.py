"""What is written: files of a chunk, and what writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pipeline.types.work import Outcome

# What a published version says of itself, beside its parts: no input of any job.
MANIFEST, RECEIPTS = "_manifest.json", "_manifest.receipts"

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file that a task wrote: its path relative to the staging folder, size, SHA-256 and rows."""

    path: str
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a chunk: its part, and the rows that are not in it, ``None`` where there are none."""

    part: PartFile
    quarantine: PartFile | None = None

    @property
    def files(self) -> tuple[PartFile, ...]:
        """The files that were written: the part, and the quarantine where there is one."""
        return (self.part,) if self.quarantine is None else (self.part, self.quarantine)


# The outcome of a step that writes.
Receipt = Outcome[Written]


class Sink(Protocol):
    """Writes one part into an open binary file. The bytes depend on the rows alone, not on how they were batched."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; the batch has the schema that the sink was made with."""
        ...

    def close(self) -> None:
        """Write what is buffered and the end of the format; the file itself stays open."""
        ...


class OpenAttempt(Protocol):
    """A new file under a name never used before, open for writing."""

    file: BinaryIO

    def finish(self, rows: int) -> PartFile:
        """Sync and close the file, and return what is in it."""
        ...
