"""The files checked against the job: which columns it reads of each of them, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.flow.naming import output_names
from pipeline.scan import Needs, Survey
from pipeline.types.blocks import HasMetadata
from pipeline.types.inputs import FileFacts, Need
from pipeline.types.job import Job
from pipeline.types.report import Lacking


@dataclass(frozen=True)
class Fit:
    """What a job reads of its files, and what comes out.

    Attributes
    ----------
    features, kept : tuple of Need
        The columns of all files: those of the block function, and those that are copied.
    needs : Needs
        The same for each file, features first; a column that a file lacks is absent there.
    schema : pyarrow.Schema
        Of the output.
    lacking : tuple of Lacking
        The columns that some files lack.
    notes : tuple of str
        How the files differ, in words for a person.
    """

    features: tuple[Need, ...]
    kept: tuple[Need, ...]
    needs: Needs
    schema: pa.Schema
    lacking: tuple[Lacking, ...]
    notes: tuple[str, ...]


def fit_files(job: Job, files: Sequence[FileFacts]) -> Fit:
    """Return what a job reads of each file and the schema of its output, after all files were compared with the job.

    A kept column has the narrowest type that holds the values of every file unchanged.

    Raises
    ------
    UsageError
        A kept column is named twice, or has the name of one that is made; a column that is renamed is not in the
        output; a type is declared for no column.
    SchemaError
        With every difference that the job does not allow, files with the same one together.
    """
    survey = Survey.of(files, job.block.columns(), job.keep, job.csv)
    made = [pa.field(each.name, each.type, nullable=each.nullable) for each in job.block.fields()]
    names = output_names([need.name for need in survey.kept], [each.name for each in made], dict(job.rename))
    found = survey.compared(job.block.check, job.absent)
    said = job.block.metadata() if isinstance(job.block, HasMetadata) else {}
    schema = pa.schema(
        [each.remove_metadata().with_name(name) for each, name in zip((*found.fields, *made), names, strict=True)],
        metadata=dict(said) or None,
    )
    return Fit(found.features, found.kept, found.needs, schema, found.lacking, found.notes)
