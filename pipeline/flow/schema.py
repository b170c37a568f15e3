"""The files checked against the job: which columns it reads, whether every file has them, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from pipeline.errors import SchemaError, UsageError
from pipeline.scan import field_of, shape_of, shown_names
from pipeline.types.inputs import FileFacts, Need
from pipeline.types.job import Job
from pipeline.units import escape

_PROBLEMS_SHOWN = 1_000

_UNNAMED = "pandas writes its index there: write the file with to_csv(index=False), or name the index"


def needs_of(job: Job, files: Sequence[FileFacts]) -> tuple[tuple[Need, ...], tuple[Need, ...]]:
    """Return the features that a job reads and the columns that it keeps, each with the type declared for it.

    Raises
    ------
    UsageError
        A kept column is named twice, or has the name of one that is made; a type is declared for no column.
    """
    types = dict(job.csv.types)
    features = tuple(replace(need, type=types.get(need.name)) for need in job.block.columns())
    kept = tuple(Need(name, "kept", types.get(name)) for name in _kept_names(job, files))
    _check_types(job, (*features, *kept))
    return features, kept


def output_schema(job: Job, files: Sequence[FileFacts], features: Sequence[Need], kept: Sequence[Need]) -> pa.Schema:
    """Return the schema of the output, after every file was checked against what the job needs.

    Raises
    ------
    SchemaError
        With every difference in every file.
    """
    problems: list[str] = []
    found: dict[str, tuple[pa.Field, str]] = {}
    judged: dict[object, tuple[list[str], list[tuple[Need, pa.Field]]]] = {}
    for facts, name in zip(files, shown_names(files), strict=True):
        if facts.file.format == "csv" and not facts.columns:
            continue
        shape = shape_of(facts)
        unfit, fields = judged.get(shape) or _judged(job, facts, features, kept)
        if shape is not None:
            judged[shape] = unfit, fields
        problems += (f"{name}: {problem}" for problem in unfit)
        for need, field in fields:
            first, where = found.setdefault(need.name, (field, name))
            if first.type != field.type:
                problems.append(f"{name}: column '{escape(need.name)}' is {field.type}, in {where} it is {first.type}")
            elif field.nullable and not first.nullable:
                found[need.name] = (field, where)
    if problems:
        raise SchemaError(_listed(problems), _schema_remedy(files, (*features, *kept)))
    made = [found[need.name][0] if need.name in found else pa.field(need.name, pa.string()) for need in kept]
    made += [pa.field(f.name, f.type, nullable=f.nullable) for f in job.block.fields()]
    return pa.schema([field.remove_metadata() for field in made])


def _judged(
    job: Job, facts: FileFacts, features: Sequence[Need], kept: Sequence[Need]
) -> tuple[list[str], list[tuple[Need, pa.Field]]]:
    """Return what is wrong with a file, and the fields of the kept columns that it has."""
    problems = list(_unfit(job, facts, features, kept))
    fields = []
    for need in kept:
        try:
            fields.append((need, field_of(facts, need, job.csv)))
        except LookupError as error:
            problems.append(str(error.args[0]))
    return problems, fields


def _check_types(job: Job, needs: Sequence[Need]) -> None:
    read = {need.name for need in needs}
    for name, type_ in job.csv.types:
        if name not in read:
            raise UsageError(
                f"--type {escape(name)}={escape(type_)}: the job reads no column of that name",
                "correct the name, keep the column (--keep), or leave the type out",
            )


def _all_names(files: Sequence[FileFacts]) -> Iterable[str]:
    """Return every column of every file: one that only a later file has is a difference and must be reported."""
    with_columns = [facts for facts in files if facts.columns] or files[:1]
    alike = {shape_of(facts) or id(facts): facts for facts in reversed(with_columns)}
    for facts in reversed(alike.values()):
        yield from (column.field.name for column in facts.columns)
        yield from (name for name, _ in facts.file.partitions)


def _kept_names(job: Job, files: Sequence[FileFacts]) -> tuple[str, ...]:
    names = job.keep
    if "*" in names:
        names = tuple(dict.fromkeys((*_all_names(files), *(name for name in job.keep if name != "*"))))
    made = {field.name for field in job.block.fields()}
    for position, name in enumerate(names):
        if name in made:
            raise UsageError(
                f"--keep {escape(name)}: the output has a column of that name already, made by this job",
                "rename the input column, or leave it out of --keep",
            )
        if name in names[:position]:
            raise UsageError(f"--keep {escape(name)}: named twice", "name each column once")
    return names


def _unfit(job: Job, facts: FileFacts, features: Sequence[Need], kept: Sequence[Need]) -> Iterable[str]:
    names = {column.field.name for column in facts.columns} - {need.name for need in (*features, *kept)}
    for name, _ in facts.file.partitions:
        # of a column that is needed its source says so
        if name in names:
            yield f"column '{escape(name)}' is both in the file and in its path"
    fields = []
    for need in features:
        try:
            fields.append(field_of(facts, need, job.csv))
        except LookupError as error:
            yield str(error.args[0])
            # one that fits, so that the others are judged all the same
            fields.append(pa.field(need.name, pa.string() if need.role == "categorical" else pa.float64()))
    yield from job.block.check(fields)


def _schema_remedy(files: Sequence[FileFacts], needs: Sequence[Need]) -> str:
    remedies = ["fix the files, or use other columns"]
    delimiter = next(filter(None, (facts.likely_delimiter for facts in files)), "")
    if delimiter:
        return f"add --delimiter {delimiter}: the header is one field with that character in it"
    if any(facts.file.format == "csv" for facts in files):
        if not all(need.name for need in needs):
            return _UNNAMED
        remedies.append(
            "for a CSV, see --delimiter (what separates its fields), --columns (their names, if it has no header) and"
            " --type NAME=TYPE (the type of a kept column)"
        )
    return "; ".join(remedies)


def _listed(problems: Sequence[str]) -> str:
    unique = list(dict.fromkeys(problems))
    shown = [f"  {problem}" for problem in unique[:_PROBLEMS_SHOWN]]
    if len(unique) > _PROBLEMS_SHOWN:
        shown.append(f"  and {len(unique) - _PROBLEMS_SHOWN:,} more")
    return "\n".join(["the inputs do not fit the job:", *shown])
