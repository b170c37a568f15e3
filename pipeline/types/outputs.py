"""The files that are written for a chunk, and what writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

from pipeline.dataclass import dataclass
from pipeline.types.work import Outcome

# The files that describe a published version, next to its parts. They are never an input of a job.
MANIFEST, RECEIPTS = "_manifest.json", "_manifest.receipts"

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file that a task wrote: path relative to the staging folder, size, SHA-256 and rows."""

    path: str
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a chunk: its part, and the quarantine of its other rows, ``None`` where there are none."""

    part: PartFile
    quarantine: PartFile | None = None

    @property
    def files(self) -> tuple[PartFile, ...]:
        """The files that were written: the part, and the quarantine if there is one."""
        return (self.part,) if self.quarantine is None else (self.part, self.quarantine)


# The outcome of a step that writes.
Receipt = Outcome[Written]


class Sink(Protocol):
    """Writes one part into an open binary file. Its bytes depend only on the rows, not on how they were batched."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; the batch must have the schema of the sink."""
        ...

    def close(self) -> None:
        """Write buffered rows and the end of the format; the file stays open."""
        ...


class OpenAttempt(Protocol):
    """A new file under a name never used before, open for writing."""

    file: BinaryIO

    def finish(self, rows: int) -> PartFile:
        """Sync and close the file, and return what it contains."""
        ...
