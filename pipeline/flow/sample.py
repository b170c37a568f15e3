"""The first rows of some files, read before a run to warn of what would make its scores meaningless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.flow.features import FeatureBooks, features_of, judge_of
from pipeline.flow.preparation import Preparation
from pipeline.models.blocks import of_file
from pipeline.scan import batches, shown_names, whole
from pipeline.types.features import FeatureCounts, FeatureWarning
from pipeline.types.inputs import Need
from pipeline.types.rows import SliceAccount
from pipeline.units import format_count

_FILES = 20
_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Sample:
    """What was found in the rows that were read, and a note that says which those are."""

    warnings: tuple[FeatureWarning, ...] = ()
    notes: tuple[str, ...] = ()


def sampled(preparation: Preparation) -> Sample:
    """Return what the first rows of at most 20 files show, evenly spread; nothing if the job does not ask for it.

    Raises
    ------
    DataError, StorageError
        A file is damaged, or the system refuses to read it.
    """
    job, features = preparation.job, features_of(preparation.job)
    if job.sample_rows is None or not features:
        return Sample()
    books = FeatureBooks(features, shown_names(preparation.files))
    files = _spread(preparation)
    columns = [feature.column for feature in features if feature.role == "categorical"]
    for file in files:
        found = _counted(preparation, file, job.sample_rows)
        unknown = tuple((0, *each) for each in found.unknown_of(columns))
        account = SliceAccount(file, 0, 0, read=found.rows, written=found.rows, null=0, nan=0)
        books.add((account,), FeatureCounts(found.rows, found.columns, unknown))
    read = f"{format_count(books.counts.rows)} rows of {format_count(len(files))} file{'' if len(files) == 1 else 's'}"
    return Sample(tuple(books.warnings(judge_of(job, preparation.files))), (f"the first rows were sampled: {read}",))


def _spread(preparation: Preparation) -> list[int]:
    """Return the numbers of at most 20 of the files that the run reads."""
    read = np.unique(preparation.plan.slice_file)
    chosen = np.unique(np.linspace(0, len(read) - 1, min(_FILES, len(read))).round().astype(int))
    return [int(file) for file in read[chosen] if preparation.files[file].columns]


def _counted(preparation: Preparation, file: int, rows: int) -> FeatureCounts:
    needs = preparation.scan.needs[file][: len(preparation.fit.features)]
    block = of_file(preparation.job.block, preparation.files[file].file, needs)
    found = FeatureCounts()
    for data in _first_rows(preparation, file, needs, rows):
        counted = block.block(data.columns).features or {}
        found = found.plus(FeatureCounts(data.num_rows, counted))
    return found


def _first_rows(preparation: Preparation, file: int, needs: Sequence[Need], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the features in the first rows of a file; records that cannot be read are left out."""
    facts, left = preparation.files[file], rows
    found = batches(
        facts.file, facts.identity, whole(facts), needs, csv=preparation.job.csv, most_rows=min(rows, _BATCH_ROWS)
    )
    with closing(found) as reading:
        for batch in reading:
            if batch.data.num_rows:
                yield batch.data.slice(0, left)
            left -= batch.data.num_rows
            if left <= 0:
                return
