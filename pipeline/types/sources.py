"""What reads one kind of file: the protocols that each source fulfils."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Self

from pipeline.types.inputs import FileFacts, Identity, InputFile, Need
from pipeline.types.rows import BadCell, Origin, Slice

if TYPE_CHECKING:
    import pyarrow as pa


class SliceReader(Protocol):
    """The rows of one slice, as record batches; used once, as a context manager that closes the file.

    Each batch has one column for each need, in order, and at most the rows asked for; none, where only bad records
    were met since the batch before, so that they can be taken while they are few. After the last batch ``rows`` (those
    of the batches), ``begin`` and ``end`` state what was read (see :class:`SliceAccount`); ``bad_count`` is the number
    of records left out so far because a cell could not be read. ``events`` is what a report counts besides, by name
    (``"odd quoting"``), of the records numbered below ``limit``, good and bad; who reads no further sets that before
    the first batch. What a damaged file raises is a :class:`~pipeline.errors.DataError` that names the file; what the
    system refuses, a ``StorageError``.
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
        """Return the records that were left out and not yet taken, in the order of the file, one cell a record.

        Those before the last row of the batch given last are among them; some behind it may be.
        """
        ...

    def record(self, row: int) -> int:
        """Return the number, within the slice and bad records counted, of a row of the batch given last."""
        ...

    def origins(self, rows: Sequence[int]) -> list[Origin]:
        """Return where rows of the batch given last come from."""
        ...


class Source(Protocol):
    """How rows come in from one kind of file. Holds options only; may be shared between threads."""

    def facts(self, file: InputFile, *, full: bool = False) -> FileFacts:
        """Return the facts of a file without reading its rows; ``full`` has its ``content`` digested.

        Raises
        ------
        DataError
            The file is damaged or not of this kind.
        InputChangedError
            It changed while it was digested.
        """
        ...

    def field(self, facts: FileFacts, need: Need) -> pa.Field:
        """Return the name, type and nullability with which a needed column will come.

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
        but for its ``content``, on the open descriptor before the first row and after the last; a difference is an
        ``InputChangedError``.
        """
        ...
