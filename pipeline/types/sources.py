"""The protocols for reading: a source reads one kind of file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Self

from pipeline.types.inputs import FileFacts, Identity, InputFile, Integers, Need
from pipeline.types.rows import BadCell, Origin, Slice

if TYPE_CHECKING:
    import pyarrow as pa


class SliceReader(Protocol):
    """The rows of one slice, as record batches; used once, as a context manager that closes the file.

    Each batch has one column for each need, in order, and at most the rows asked for. It has no rows where only bad
    records were found since the previous batch, so that they can be taken while they are few. After the last batch
    ``rows`` (those of the batches), ``begin`` and ``end`` state what was read (see :class:`SliceAccount`), and
    ``bad_count`` is the number of records left out so far because a cell could not be read. ``events`` counts other
    things for a report, by name (``"odd quoting"``), in the good and bad records numbered below ``limit``; a caller
    that reads no further sets ``limit`` before the first batch. A damaged file raises a
    :class:`~pipeline.errors.DataError` that names the file; a file that the system refuses to read, a ``StorageError``.
    """

    rows: int
    begin: int
    end: int
    bytes_read: int
    bad_count: int
    events: Mapping[str, int]
    limit: int | None

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def take_bad(self) -> list[BadCell]:
        """Return the records that were left out and not yet taken, in the order of the file, a cell for each record.

        They include all before the last row of the last batch, and may include some after it.
        """
        ...

    def record(self, row: int) -> int:
        """Return the number within the slice, including bad records, of a row of the last batch."""
        ...

    def places(self) -> Integers:
        """Return the place of each row of the last batch in its file, which no cut of the file changes.

        It is the offset of the record in a CSV that may be cut, else the number of the record in the file, from 0.
        """
        ...

    def origins(self, rows: Sequence[int]) -> list[Origin]:
        """Return the places of rows of the last batch in the file."""
        ...


class Source(Protocol):
    """Reads rows from one kind of file. Holds only options; may be shared between threads."""

    def facts(self, file: InputFile, *, full: bool = False) -> FileFacts:
        """Return the facts of a file without reading its rows; ``full`` adds a digest of its ``content``.

        Raises
        ------
        DataError
            The file is damaged or not of this kind.
        InputChangedError
            It changed while it was digested.
        """
        ...

    def field(self, facts: FileFacts, need: Need) -> pa.Field:
        """Return the name, type and nullability that a needed column will have.

        Raises
        ------
        LookupError
            The file has no such column, or several; the message is a clause for a person.
        """
        ...

    def read(
        self,
        file: InputFile,
        identity: Identity,
        piece: Slice,
        needs: Sequence[Need],
        batch_rows: int,
        begin: int | None = None,
    ) -> SliceReader:
        """Open a slice for reading.

        ``begin`` is the offset of the first record where the caller knows it. The file is compared with ``identity``,
        except its ``content``, on the open descriptor before the first row and after the last; a difference is an
        ``InputChangedError``.
        """
        ...
