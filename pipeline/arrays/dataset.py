"""Files as Dask arrays, and expressions of them as published files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property, partial
from typing import Unpack, cast
from uuid import uuid4

import numpy as np
import pyarrow as pa
from dask.array.core import Array

from pipeline.arguments import Paths, paths_of
from pipeline.arrays.counting import Counted, count_rows
from pipeline.arrays.expression import DatasetArray, ExpressionBlock
from pipeline.arrays.matrix import Matrix, to_matrix
from pipeline.arrays.places import RowPlaces
from pipeline.choices import ABSENT, Absent
from pipeline.dataclass import dataclass
from pipeline.errors import BadCellsError, InputChangedError, SchemaError
from pipeline.interface import make_job, run
from pipeline.models.columns import unfit
from pipeline.options import JobOptions, ReadOptions, WriteOptions, check_names, documented
from pipeline.plan import DEFAULT_CHUNK_ROWS, Plan, make_plan
from pipeline.scan import Fitting, batches, discover, field_of, gather_facts
from pipeline.types.inputs import CsvOptions, FileFacts, Identity, InputFile, Need
from pipeline.types.job import Job
from pipeline.types.report import Report
from pipeline.types.rows import BadCell, Chunk
from pipeline.units import escape, format_count, names_of, nearest, quoted

_TEXT = {"string", "large_string", "string_view"}


@documented(ReadOptions)
def open_dataset(
    inputs: Paths,
    *,
    chunk_size: int | str = DEFAULT_CHUNK_ROWS,
    csv: CsvOptions | None = None,
    absent: Absent = "error",
    **options: Unpack[ReadOptions],
) -> Dataset:
    """Return files as one dataset. Only footers and headers are read.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    chunk_size : int or str
        The size of a chunk: rows (``500_000``) or bytes (``"64MiB"``).
    csv : CsvOptions, optional
        How CSV files are written, instead of the options below.
    absent : {"error", "null"}
        What to do if a file lacks a column that others have; ``"null"`` takes it as null, NaN in an array.
    **options : ReadOptions

    Raises
    ------
    TypeError
        There is no such option, or ``csv`` is given as well.
    UsageError
        An option cannot have that value.
    InputMissingError
        There is no such input.
    DataError
        A file is damaged.
    """
    check_names(options, ReadOptions)
    if csv is not None and options:
        raise TypeError(f"csv says how files are written: leave out {', '.join(options)}, or write it there")
    ABSENT.check(absent)
    written = CsvOptions.given(**options) if csv is None else csv
    paths = paths_of(inputs)
    return Dataset(paths, str(chunk_size), written, gather_facts(discover(paths).files, written), absent)


@dataclass(frozen=True, repr=False)
class Dataset:
    """Files that are read chunk by chunk. Immutable; may be shared between threads.

    Attributes
    ----------
    inputs : tuple of str
    chunk_size : str
    csv : CsvOptions
    files : tuple of FileFacts
    absent : {"error", "null"}
        What becomes of a column that a file lacks.
    """

    inputs: tuple[str, ...]
    chunk_size: str
    csv: CsvOptions
    files: tuple[FileFacts, ...]
    absent: Absent = "error"
    _sources: list[DatasetArray] = field(default_factory=list, repr=False, compare=False)

    @cached_property
    def plan(self) -> Plan:
        """The chunks: the same as in a job with these inputs and this chunk size."""
        return make_plan(self.files, chunk_size=self.chunk_size)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the first file that has any, with its partition keys at the end.

        With ``absent="null"`` those of all files, in order of first appearance.
        """
        files = [facts for facts in self.files if facts.columns] or self.files[:1]
        names = _names_of(files if self.absent == "null" else files[:1])
        return tuple(dict.fromkeys(names)) if self.absent == "null" else tuple(names)

    def to_dask_array(self, columns: str | Sequence[str]) -> Array:
        """Return columns as a Dask array of float64, with one block for each chunk.

        One column that is named by a text, as in ``"age"``, has shape (rows,). Several, or a list, as in ``["age"]``,
        have shape (rows, columns), and their blocks are Fortran-ordered.

        Rows keep the order of the inputs and none is dropped; null becomes NaN. Blocks are read when they are computed.
        A CSV is read once during this call, to find where its records begin and how many there are. A dataset of one
        chunk gets an empty second block: with it, an expression that needs rows of other chunks is refused as it would
        be on more data.

        Parameters
        ----------
        columns : str or sequence of str
            Numeric or boolean columns; one text may name several, with commas between them.

        Raises
        ------
        TypeError
            A column is neither numeric nor boolean.
        SchemaError
            A column is missing.
        BadCellsError
            When computed: a cell is not a number, or float64 cannot hold it exactly.
        """
        names = names_of(columns)
        needs = tuple(Need(name, "numeric", dict(self.csv.types).get(name)) for name in names)
        by_file = self._fit(needs)
        name = f"logitstream-{uuid4().hex}"
        reads = [
            _ChunkRead(
                tuple((self.files[s.file].file, self.files[s.file].identity, by_file[s.file]) for s in chunk.slices),
                chunk,
                begin or None,
            )
            for chunk, begin in zip(self.plan.chunks(), self._counted.begins.tolist(), strict=True)
        ]
        alone = isinstance(columns, str) and len(names) == 1
        source = DatasetArray(name, names, 1 if alone else 2)
        shape = () if alone else (len(names),)
        graph = {
            source.key(i): (partial(_read_block, read, names, self.csv, source.ndim),) for i, read in enumerate(reads)
        }
        meta = np.empty((0,) * source.ndim, dtype=np.float64, order="F")
        if len(reads) == 1:
            graph[source.key(1)] = (partial(np.empty, (0, *shape), dtype=np.float64, order="F"),)
        self._sources.append(source)
        return Array(graph, name, chunks=(self._blocks, *((width,) for width in shape)), dtype=np.float64, meta=meta)

    @documented(
        WriteOptions,
        resume="With ``identity``: take over the chunks that an unfinished run of the same job has done.",
        reuse="With ``identity``: take over the parts of the published output that would come out the same.",
    )
    def write(
        self,
        expressions: Mapping[str, Array],
        output: str,
        *,
        identity: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Report:
        """Compute expressions block by block and publish them with kept columns in one step.

        As with :func:`pipeline.score`, either the whole output is published, verified and durable, or nothing is.

        Parameters
        ----------
        expressions : mapping of str to dask.array.Array
            One-dimensional or with one column; made from arrays of this dataset, with the same rows in each block.
        output : path
            What to publish: a folder, or a file if the name ends in ``.parquet`` or ``.csv``.
        identity : str, optional
            A text that you change whenever the expressions change. With it, a run resumes and reuses the work of runs
            with the same text. Without it, every run is a new job.
        **options : WriteOptions

        Raises
        ------
        ValueError
            A block of an expression depends on another chunk, and the message names the operation; or its blocks have
            other rows than the chunks.
        FunctionError
            A function in an expression raised an error, which is the ``__cause__``; the message names chunk, file and
            rows.
        UsageError
            A function cannot be sent to the workers, as one that holds a lock.
        TypeError
            An expression is neither numbers nor booleans, or there is no such option.
        """
        check_names(options, WriteOptions)
        places = RowPlaces(self.plan, self.files, self._counted.rows)
        block = ExpressionBlock.of(expressions, self._sources, self._blocks, places, identity)
        observe = options.pop("observe", None)
        job = make_job(self.inputs, output, block, cast("JobOptions", options))
        job = replace(job, csv=self._csv_of(job), chunk_size=self.chunk_size, absent=self.absent)
        found = gather_facts(discover(job.inputs).files, job.csv)
        if [(f.file, f.identity) for f in found] != [(f.file, f.identity) for f in self.files]:
            raise InputChangedError("the inputs are no longer those that the dataset was opened with", "open it again")
        return run(job, observe)

    def __repr__(self) -> str:
        """Return one line, for any number of files."""
        columns = ", ".join(escape(name) or "(no name)" for name in self.columns)
        return f"<Dataset of {_many(len(self.files), 'file')} in {_many(len(self.plan), 'chunk')}: {columns}>"

    def _csv_of(self, job: Job) -> CsvOptions:
        """Return the CSV options with the types of the columns that a job reads."""
        read = {*job.keep, *(need.name for need in job.block.columns())}
        return replace(self.csv, types=tuple(pair for pair in self.csv.types if "*" in job.keep or pair[0] in read))

    def _fit(self, needs: tuple[Need, ...]) -> list[tuple[Need, ...]]:
        """Return the needs of each file, after every file was compared with them."""
        found = [self._fit_file(facts, needs) for facts in self.files]
        for column in zip(*(own for own in found if own is not needs), strict=True):
            if all(need.absent for need in column):
                raise SchemaError(
                    f"no file has a column {quoted(column[0].name)}{nearest(column[0].name, self.columns)}"
                )
        for need in needs:
            if need.type is not None:
                self._check_unit(need)
        return found

    def _check_unit(self, need: Need) -> None:
        found = (Fitting(facts, keep_all=False).counts_in(need) for facts in self.files)
        units = dict.fromkeys(unit for unit in found if unit is not None)
        if len(units) > 1:
            message = f"column {escape(need.name)} counts {', '.join(units)}: as numbers they cannot be compared"
            raise SchemaError(message, "write all files with the same unit")

    def _fit_file(self, facts: FileFacts, needs: tuple[Need, ...]) -> tuple[Need, ...]:
        if facts.file.format == "csv" and not facts.columns:
            return needs
        fitting = Fitting(facts, keep_all=False)
        own = tuple(map(fitting.fit, needs))
        path = escape(facts.file.path)
        refused = [need for need in own if self.absent == "error" or not need.absent]
        if faults := fitting.faults(refused):
            absent = any(need.absent for need in refused)
            remedy = 'open_dataset(..., absent="null") takes what a file lacks as null' if absent else ""
            raise SchemaError(f"{path}: {faults[0]}", remedy)
        self._check(facts, [need for need in own if not need.absent])
        return own

    def _check(self, facts: FileFacts, needs: Sequence[Need]) -> None:
        for need in needs:
            try:
                found = field_of(facts, need, self.csv)
            except LookupError as error:
                raise SchemaError(f"{escape(facts.file.path)}: {error.args[0]}") from None
            if unfit("numeric", found.type) is not None:
                raise TypeError(
                    f"{escape(facts.file.path)}: column {escape(need.name)} is {_kind(found.type)}; "
                    "only numeric and boolean columns can be an array"
                )

    @cached_property
    def _counted(self) -> Counted:
        return count_rows(self.files, self.plan, self.csv)

    @property
    def _blocks(self) -> tuple[int, ...]:
        """Rows of the blocks of an array: those of the chunks, and 0 in the second block if there is one chunk."""
        return (*self._counted.rows, 0) if len(self.plan) == 1 else self._counted.rows


@dataclass(frozen=True, slots=True)
class _ChunkRead:
    """A chunk with the files of its slices and what is read of each; and its begin if that had to be found out."""

    files: tuple[tuple[InputFile, Identity, tuple[Need, ...]], ...]
    chunk: Chunk
    begin: int | None


def _names_of(files: Sequence[FileFacts]) -> Iterator[str]:
    for facts in files:
        yield from (column.field.name for column in facts.columns)
        yield from (name for name, _ in facts.file.partitions)


def _columns(read: _ChunkRead, csv: CsvOptions) -> Iterator[Sequence[pa.Array]]:
    for position, ((file, identity, needs), piece) in enumerate(zip(read.files, read.chunk.slices, strict=True)):
        begin = read.begin if position == 0 else None
        first = None
        for batch in batches(file, identity, piece, needs, csv=csv, begin=begin):
            first = first or next(iter(batch.bad), None)
            if batch.data.num_rows:
                yield batch.data.columns
        if first is not None:
            raise BadCellsError(
                f"{escape(file.path)}: {_place(first)}column {escape(first.column)}: "
                f"{quoted(first.text)} {first.reason}",
                "correct the data, or read other columns",
            )


def _place(cell: BadCell) -> str:
    return "" if cell.offset is None else f"byte {cell.offset:,}, "


def _kind(type_: pa.DataType) -> str:
    values = type_.value_type if pa.types.is_dictionary(type_) else type_
    return "text" if str(values) in _TEXT else escape(str(type_))


def _many(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}{'' if count == 1 else 's'}"


def _read_block(read: _ChunkRead, names: Sequence[str], csv: CsvOptions, ndim: int) -> Matrix:
    matrix = to_matrix(list(_columns(read, csv)), names)
    return matrix if ndim == 2 else matrix[:, 0]
