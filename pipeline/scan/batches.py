"""The rows of one known file without a plan: a quarantine, a published part, a block of a Dask array."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.scan.context import PROBE_ROWS
from pipeline.scan.stated import with_stated_checked
from pipeline.sources import source_for
from pipeline.types.inputs import CsvOptions, FileFacts, Identity, InputFile, Need
from pipeline.types.rows import BadCell, Slice
from pipeline.units import MIB

_BATCH_ROWS = 65_536
_BATCH_BYTES = 16 * MIB
_PLAIN_CSV = CsvOptions()


@dataclass(frozen=True, slots=True, eq=False)
class FileBatch:
    """Rows of a file, with the records up to its last row, and perhaps some after it, that could not be read."""

    data: pa.RecordBatch
    bad: tuple[BadCell, ...]


def whole(facts: FileFacts) -> Slice:
    """Return the slice that covers a file."""
    if facts.file.format == "parquet":
        return Slice(0, 0, len(facts.group_rows), facts.rows)
    return Slice(0, facts.data_start, max(facts.data_start, facts.identity.size), facts.rows)


def batches(
    file: InputFile,
    identity: Identity,
    piece: Slice,
    needs: Sequence[Need],
    *,
    csv: CsvOptions = _PLAIN_CSV,
    begin: int | None = None,
    most_rows: int = _BATCH_ROWS,
) -> Generator[FileBatch, None, None]:
    """Iterate over the rows of a slice of a file, in batches of about 16 MiB.

    The width of the first rows decides how many rows that is. The file is compared with its identity before the first
    row and after the last. Bad records come in the order of the file; the last batch, which may have no row, completes
    them.

    Parameters
    ----------
    file, identity
        As they were when the file was discovered.
    piece : Slice
    needs : sequence of Need
    csv : CsvOptions
    begin : int, optional
        The offset of the first record, where the slice begins inside a CSV.
    most_rows : int
        The most rows of a batch, for files where later values may be far wider than the first ones.

    Raises
    ------
    InputChangedError
        The file has changed since it was discovered.
    DataError, StorageError
        It is damaged, or the system refuses to read it.
    """
    source = source_for(file.format, csv)
    rows = min(most_rows, _fitting_rows(file, identity, piece, needs, csv))
    with with_stated_checked(source.read(file, identity, piece, needs, rows, begin), file, needs) as reader:
        for data in reader:
            yield FileBatch(data, tuple(reader.take_bad()))
        last = tuple(reader.take_bad())
    if last:
        yield FileBatch(pa.RecordBatch.from_pylist([], schema=pa.schema([])), last)


def _fitting_rows(file: InputFile, identity: Identity, piece: Slice, needs: Sequence[Need], csv: CsvOptions) -> int:
    """Return the rows of a batch, by the decoded width of the first rows; a CSV is read in small pieces anyway."""
    if file.format == "csv" or not needs:
        return _BATCH_ROWS
    with source_for(file.format, csv).read(file, identity, piece, needs, PROBE_ROWS) as reader:
        first = next((batch for batch in reader if batch.num_rows), None)
    if first is None:
        return _BATCH_ROWS
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES * first.num_rows // max(1, first.nbytes))))
