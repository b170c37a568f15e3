"""Read the rows of Parquet files, row group by row group, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.disk import OpenFile, show
from pipeline.errors import DataError, InputChangedError
from pipeline.sources.column_types import LEVELS, arrow_type, as_integers, can_be_read_as, is_fixed_width, unpacked
from pipeline.sources.content import STILL, open_planned, same_state, settled_state, with_content
from pipeline.sources.parquet.footer import (
    AGAIN,
    Footer,
    Shape,
    footer_of,
    keep_footer,
    known_footer,
    open_parquet,
    read_footer,
    read_identity,
    translated,
    unsupported_column,
)
from pipeline.sources.parquet.instants import OldTimestamps, Refused, is_fine, within
from pipeline.sources.parquet.logical import storage_of, uuid_text
from pipeline.sources.parquet.unfolding import is_folded, most_rows, unfolding
from pipeline.sources.partitions import Partition, constant_of, partition_array, stated_scalar
from pipeline.sources.row_text import row_text
from pipeline.types.inputs import UUID, FileColumns, FileFacts, Identity, InputFile, Integers, Need
from pipeline.types.rows import BadCell, Origin, Slice
from pipeline.units import KIB, escape, nearest

# In a slice of fewer rows, handing the columns to other threads takes longer than decoding them.
THREADED_ROWS = 32_768

# A file of so few bytes takes less memory than one column of a larger file while that is read.
_SMALL = 256 * KIB

_FIX_COLUMN = "correct the name or the type of the column, or the file"


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """Reads Parquet files: whole row groups, only the needed columns, memory that does not grow with a row group.

    ``kept`` and ``numeric`` columns have the type of the file. A ``categorical`` column of text is a dictionary of
    int32 and text, so that a level is looked up once a dictionary. A ``sequence`` of tensors of a fixed shape is
    delivered as lists, one in the other for each dimension. A need with a type is cast to it safely. Partitions
    are constants (see :mod:`pipeline.sources.partitions`). May be shared between threads; every reader opens its own
    descriptor.

    Parameters
    ----------
    column_threads : bool
        Whether the columns of a batch are decoded on the threads of Arrow's pool rather than on the calling thread,
        where a slice has ``THREADED_ROWS`` rows or more; if all values have a fixed width, while the batch before is
        used. The rows are the same.
    """

    column_threads: bool = False

    def facts(self, file: InputFile, *, full: bool = False) -> FileFacts:
        """Return the facts of a file from its footer; with ``full`` all bytes are read for the content digest.

        Raises
        ------
        DataError
            The file is empty, cut short, encrypted, damaged, has no columns, or its footer contradicts itself.
        InputChangedError
            It changed while it was digested.
        InputMissingError, PermissionDeniedError, StorageError
            The system refuses the file.
        """
        with OpenFile.open(file.location, file.path) as opened:
            state = settled_state(opened.status())
            identity = read_identity(opened)
            footer = read_footer(file.location, identity, opened)
            groups = range(len(footer.group_rows))
            columns = FileColumns(footer.shape.fields, *footer.sizes(groups, file.path), footer.members(groups))
            if full:
                identity = with_content(identity, opened, read_identity)
        return FileFacts.of_row_groups(file, identity, columns, footer.group_rows, state)

    def field(self, facts: FileFacts, need: Need) -> pa.Field:
        """Return the name, type and nullability of a needed column, as the reader will give it.

        Raises
        ------
        LookupError
            The file has no such column, several, or one that its path states too; or it cannot be cast to the type
            that the need asks for. The message is a clause for a person.
        UsageError
            The need names a type that a column cannot be given.
        """
        columns = facts.columns
        if isinstance(columns, FileColumns):
            return _field(columns.fields, facts.file, need)
        return _field([column.field for column in columns], facts.file, need)

    def read(
        self,
        file: InputFile,
        identity: Identity,
        piece: Slice,
        needs: Sequence[Need],
        batch_rows: int,
        begin: int | None = None,  # noqa: ARG002 - only records of a CSV have an offset
    ) -> ParquetReader:
        """Return a reader of the row groups ``[piece.start, piece.stop)``; see :class:`ParquetReader`."""
        return ParquetReader(file, identity, piece, tuple(needs), batch_rows, self.column_threads)


class ParquetReader:
    """The rows of some row groups, as record batches; a context manager, used once, by one thread.

    Batches have one column for each need and 1 to ``batch_rows`` rows. A column that several needs name is
    decoded once. Every batch is validated in full, text as UTF-8 too.

    Raises
    ------
    InputChangedError
        On entering or after the last row: the file is not the one that was planned.
    DataError
        A page is damaged or uses a part of Parquet that Arrow does not support, a value is invalid or not of the type
        asked for, or the file does not have as many rows as its footer states.
    """

    def __init__(
        self,
        file: InputFile,
        identity: Identity,
        piece: Slice,
        needs: tuple[Need, ...],
        batch_rows: int,
        column_threads: bool,
    ) -> None:
        self.rows = 0
        self.begin = 0
        self.end = 0
        self.bytes_read = 0
        self.bad_count = 0
        self.events: Mapping[str, int] = {}
        self.limit: int | None = None
        self._file = file
        self._identity = identity
        self._groups = range(piece.start, piece.stop)
        self._needs = needs
        self._batch_rows = batch_rows
        self._column_threads = column_threads
        self._stack = ExitStack()
        self._parquet: pq.ParquetFile | None = None
        self._content: bytes | None = None
        self._checked = False
        self._before = self._read = 0
        self._used: Integers | None = None
        self._bad: list[BadCell] = []

    def __enter__(self) -> Self:
        try:
            self._opened = self._stack.enter_context(open_planned(self._file))
            self._compare("has changed since the run was planned")
            self._footer = self._planned_footer()
            self._first = int(self._footer.group_rows[: self._groups.start].sum())
            self._columns = _columns_of(self._footer.shape, self._file, self._needs)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        with self._stack:
            if exc[:1] == (None,) and not self._checked:
                self._compare("changed while it was read")
            # Rows of many small files may wait for each other: what only reading needs does not wait with them.
            self._parquet = self._content = None
            del self._footer

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        expected = int(self._footer.group_rows[self._groups.start : self._groups.stop].sum())
        threads = self._column_threads and expected >= THREADED_ROWS
        batches = self._decoded(threads) if self._columns.names else self._constants(expected)
        for batch, refused in batches:
            self._before = self._read
            self._read += batch.num_rows
            self._used = None
            used = self._without(batch, refused) if refused.cells else batch
            self.rows += used.num_rows
            yield used
        self._checked = True
        self._compare("changed while it was read")
        if self._read != expected:
            raise DataError(
                f"{show(self._file.path)} is damaged: row groups {self._groups.start} to {self._groups.stop - 1} have "
                f"{expected:,} rows in the footer, but {self._read:,} were read",
                AGAIN,
            )

    def take_bad(self) -> list[BadCell]:
        """Return the rows left out since the last call: those with a timestamp that its type cannot hold.

        Any other value that cannot be read is an error.
        """
        taken, self._bad = self._bad, []
        return taken

    def record(self, row: int) -> int:
        """Return the number within the slice of a row of the last batch."""
        return self._before + (row if self._used is None else int(self._used[row]))

    def places(self) -> Integers:
        """Return the number of each row of the last batch in the file."""
        return self._first + self._before + (np.arange(self._read - self._before) if self._used is None else self._used)

    def origins(self, rows: Sequence[int]) -> list[Origin]:
        """Return the numbers of rows of the last batch; they have neither offset nor line."""
        return [Origin(self.record(row)) for row in rows]

    def _without(self, batch: pa.RecordBatch, refused: Refused) -> pa.RecordBatch:
        """Return the rows of a batch that are of use, and keep the cells of the others."""
        self._used = refused.used(batch.num_rows)
        names = [need.name for need in self._needs]
        for row, cell in sorted(refused.cells.items()):
            line = row_text(batch, row, names, {cell.column: cell.text})
            self._bad.append(replace(cell, record=self._before + row, line=line))
        self.bad_count += len(refused.cells)
        return batch.take(pa.array(self._used))

    def _planned_footer(self) -> Footer:
        """Return the footer, whose bytes were checked when the file was planned.

        If it has to be parsed, the reader that parses it also reads the rows.
        """
        footer = known_footer(self._file.location, self._identity)
        if footer is None:
            with translated(self._file.path):
                self._parquet = open_parquet(self._stream())
                footer = footer_of(self._parquet, self._file.path)
            keep_footer(self._file.location, self._identity, footer)
        return footer

    def _stream(self) -> pa.NativeFile:
        """Return the open file as another stream of Arrow; a small one is read here, at once."""
        size = self._identity.size
        if size > _SMALL:
            return self._stack.enter_context(pa.OSFile(f"/proc/self/fd/{self._opened.descriptor}"))
        if self._content is None:
            self._content = self._opened.read_range(size, 0)
        return pa.BufferReader(self._content)

    def _compare(self, how: str) -> None:
        """Raise an :class:`InputChangedError` unless the open file is still in the state that was planned."""
        try:
            same = same_state(read_identity(self._opened), self._identity)
        except DataError:
            same = False
        if not same:
            raise InputChangedError(f"{show(self._file.path)} {how}", STILL)

    def _decoded(self, column_threads: bool) -> Iterator[tuple[pa.RecordBatch, Refused]]:
        """Yield what the file holds. Arrow runs inside the door; the consumer of a batch does not."""
        columns, path = self._columns, self._file.path
        with translated(path):
            parquet = self._parquet
            as_text = self._not_as_dictionary()
            folded = self._folded(as_text)
            dictionaries = [*(name for name in columns.read_dictionary if name not in as_text), *folded]
            if parquet is None or dictionaries:
                parquet = open_parquet(self._stream(), self._footer.metadata, dictionaries)
            batches = iter(
                parquet.iter_batches(
                    self._rows_at_once(as_text),
                    row_groups=list(self._groups),
                    columns=columns.names,
                    use_threads=column_threads,
                )
            )
            if column_threads and columns.is_fixed_width and not as_text:
                # What is decoded when the reader is left ends before its file is closed.
                pool = self._stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="logitstream-decode"))
                batches = _ahead(pool, batches)
            old = OldTimestamps(columns.old, columns.fine, self._timestamps) if columns.old else None
        while True:
            with translated(path, partial(unsupported_column, parquet, columns.names, list(self._groups))):
                batch = next(batches, None)
                if batch is None:
                    return
                if not self.bytes_read:
                    self.bytes_read = self._footer.stored_bytes(self._groups, columns.leaves)
                batch.validate(full=True)
            for piece in unfolding(batch, [*folded, *columns.unfolded]):
                refused = Refused()
                if old is not None:
                    with translated(path):
                        piece = old.settled(piece, refused)  # noqa: PLW2901 - the same rows
                yield columns.deliver(piece, path, refused), refused

    def _timestamps(self, unit: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Return batches of some INT96 columns in a unit."""
        parquet = open_parquet(self._stream(), self._footer.metadata, int96=unit)
        return iter(
            parquet.iter_batches(
                self._batch_rows, row_groups=list(self._groups), columns=list(names), use_threads=False
            )
        )

    def _numbers(self, names: Sequence[str]) -> list[int]:
        """Return the numbers of columns in the file, by their names."""
        return [self._footer.schema.get_field_index(name) for name in names]

    def _not_as_dictionary(self) -> dict[str, int]:
        """Return the text columns that have to be read as text here, each with its decompressed bytes."""
        names = [*self._columns.read_dictionary, *self._columns.texts]
        if not names:
            return {}
        found = self._footer.not_as_dictionary(self._groups, self._numbers(names))
        if not found:
            return {}
        sizes = [self._footer.sizes([group], self._file.path)[1] for group in self._groups]
        return {self._footer.schema.field(number).name: max(int(of[number]) for of in sizes) for number in found}

    def _rows_at_once(self, as_text: Mapping[str, int]) -> int:
        """Return the rows of a batch: fewer where a column read as text might take far more memory than its pages."""
        return min([self._batch_rows, *map(most_rows, as_text.values())])

    def _folded(self, as_text: Collection[str]) -> list[str]:
        """Return the text columns that might unfold: they are read as dictionaries, and decoded piece by piece."""
        footer = self._footer
        texts = [name for name in self._columns.texts if name not in as_text]
        if not texts:
            return []
        numbers = self._numbers(texts)
        found: set[str] = set()
        for group in self._groups:
            _, decoded = footer.sizes([group], self._file.path)
            sizes = decoded[numbers].tolist()
            rows = int(footer.group_rows[group])
            found.update(name for name, size in zip(texts, sizes, strict=True) if is_folded(size, rows))
        return sorted(found)

    def _constants(self, rows: int) -> Iterator[tuple[pa.RecordBatch, Refused]]:
        """Yield batches for which only the number of rows of the file is needed."""
        for start in range(0, rows, self._batch_rows):
            count = min(self._batch_rows, rows - start)
            refused = Refused()
            yield self._columns.deliver(pa.record_batch([pa.nulls(count)], ["rows"]), self._file.path, refused), refused


def _ahead(pool: ThreadPoolExecutor, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches; while one is used, the pool decodes the next one."""
    coming = pool.submit(next, batches, None)
    while (batch := coming.result()) is not None:
        coming = pool.submit(next, batches, None)
        yield batch


Maker = Callable[[pa.RecordBatch, str, Refused], pa.Array]


@dataclass(frozen=True)
class _Delivery:
    """How the columns of a decoded batch become those that the needs ask for.

    ``names`` are read, each once, from the leaf columns ``leaves``; those in ``read_dictionary`` as dictionaries, where
    the file allows it; ``texts`` are the other text columns; ``unfolded`` come as dictionaries of text, but are not
    delivered so. ``old`` are INT96 columns, ``fine`` those of them that are asked for in nanoseconds. ``makers`` has
    one function for each need; ``is_read`` says that every need is for a column that is read, ``is_fixed_width`` that
    a row of what is read always takes the same memory: two batches are then never wider than was planned. The
    dictionary of a batch of text may be of any size.
    """

    names: list[str]
    leaves: list[int]
    read_dictionary: list[str]
    texts: list[str]
    unfolded: list[str]
    old: list[str]
    fine: frozenset[str]
    schema: pa.Schema
    makers: tuple[Maker, ...]
    is_read: bool
    is_fixed_width: bool

    def deliver(self, batch: pa.RecordBatch, path: str, refused: Refused) -> pa.RecordBatch:
        if self.is_read:
            chosen = batch.select(self.schema.names)
            # Most columns come as they are stored: then there is nothing to make.
            if chosen.schema.equals(self.schema):
                return chosen
        return pa.RecordBatch.from_arrays([make(batch, path, refused) for make in self.makers], schema=self.schema)


_last_columns: tuple[Shape, tuple[Partition, ...], tuple[Need, ...], _Delivery] | None = None


def _columns_of(shape: Shape, file: InputFile, needs: tuple[Need, ...]) -> _Delivery:
    """Return how columns are delivered: as in the previous file, where that was written alike."""
    global _last_columns  # noqa: PLW0603 - whichever thread sets it last: each reads it once and compares
    last = _last_columns
    if last is not None and last[0] is shape and last[1:3] == (file.partitions, needs):
        return last[3]
    columns = _plan_columns(shape, file, needs)
    _last_columns = shape, file.partitions, needs, columns
    return columns


def _plan_columns(shape: Shape, file: InputFile, needs: Sequence[Need]) -> _Delivery:
    schema = shape.schema
    try:
        fields = [_field(_fields_named(schema, need.name), file, need) for need in needs]
        constants = [constant_of(file, need) for need in needs]
    except LookupError as error:
        raise DataError(f"{show(file.path)}: {error.args[0]}", _FIX_COLUMN) from error
    read = [need.name for need, constant in zip(needs, constants, strict=True) if constant is None]
    names = list(dict.fromkeys(read))
    categories = {need.name for need, field in zip(needs, fields, strict=True) if field.type == LEVELS}
    old = [name for name in names if name in shape.int96]
    fine = frozenset(field.name for field in fields if is_fine(field.type))
    stored = {field.name: field.type for field in shape.fields}
    plain = {
        name: pa.timestamp("ns") if name in fine.intersection(old) else _plain(type_) for name, type_ in stored.items()
    }
    uuids = frozenset(name for name in shape.of_logical(UUID) if plain.get(name) == pa.binary(16))
    makers = tuple(
        partial(_column, field=field, plain=plain[field.name], is_uuid=field.name in uuids)
        if constant is None
        else partial(_constant, value=constant[1], type_=field.type)
        for field, constant in zip(fields, constants, strict=True)
    )
    encoded = [name for name in names if name in categories and _is_text(plain[name])]
    texts = [name for name in names if name not in encoded and _is_plain_text(stored[name])]
    decoded = {field.name for field in fields if not pa.types.is_dictionary(field.type)}
    unfolded = [name for name in names if name in decoded and _is_dictionary_of_text(stored[name])]
    numbers = {schema.get_field_index(name) for name in names}
    leaves = [leaf for leaf, owner in enumerate(shape.owners) if owner in numbers]
    is_read = len(read) == len(needs)
    dictionaries = {name for name in names if pa.types.is_dictionary(stored[name])}.union(encoded)
    is_fixed = dictionaries.isdisjoint(names) and all(is_fixed_width(stored[name]) for name in names)
    return _Delivery(names, leaves, encoded, texts, unfolded, old, fine, pa.schema(fields), makers, is_read, is_fixed)


def _constant(batch: pa.RecordBatch, _path: str, _refused: Refused, value: pa.Scalar, type_: pa.DataType) -> pa.Array:
    return partition_array(value, type_, batch.num_rows)


def _column(
    batch: pa.RecordBatch, path: str, refused: Refused, field: pa.Field, plain: pa.DataType, is_uuid: bool
) -> pa.Array:
    """Return a column in the type of its field; ``plain`` is the type of its values in the file.

    Rows with a timestamp that the type cannot hold are added to ``refused``.

    A text column read as a dictionary for one need is decoded for the others, which is cheaper than reading it twice.
    """
    array = batch.column(field.name)
    return array if array.type == field.type else _converted(array, path, refused, field, plain, is_uuid)


def _converted(
    array: pa.Array, path: str, refused: Refused, field: pa.Field, plain: pa.DataType, is_uuid: bool
) -> pa.Array:
    with translated(path, partial(str, field.name)):
        if array.type != plain and isinstance(array, pa.ExtensionArray):
            array = array.storage
        if array.type == field.type:
            return array
        if isinstance(array, pa.FixedShapeTensorArray) and pa.types.is_fixed_size_list(field.type):
            return _as_lists(array.storage, field.type)
        if pa.types.is_null(array.type):
            return pa.nulls(len(array), field.type)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if is_uuid and _is_text(field.type):
            return uuid_text(array).cast(field.type)
        if field.type == LEVELS and _is_text(plain):
            return array.cast(pa.string()).dictionary_encode()
        array = within(array.cast(plain), field.type, field.name, refused)
    try:
        return _cast(array, field.type)
    except (pa.ArrowException, ValueError) as error:
        column = f"column '{escape(field.name)}' cannot be read as {field.type}: {escape(str(error), 300)}"
        raise DataError(f"{show(path)}: {column}", "name another --type, or leave the column out") from error


def _cast(array: pa.Array, type_: pa.DataType) -> pa.Array:
    """Return an array in another type, exactly, or rounded where a float was asked for."""
    if pa.types.is_floating(type_):
        array = as_integers(array)
    if pa.types.is_floating(type_) and pa.types.is_decimal(array.type):
        # Arrow multiplies by a power of ten, which rounds twice; text is rounded once.
        array = array.cast(pa.string())
    return array.cast(options=pc.CastOptions(type_, allow_float_truncate=pa.types.is_floating(type_)))


def _field(fields: Sequence[pa.Field], file: InputFile, need: Need) -> pa.Field:
    constant = constant_of(file, need)
    named = [field for field in fields if field.name == need.name]
    name = escape(need.name)
    if constant is not None:
        if named and not need.absent:
            raise LookupError(f"column '{name}' is both in the file and in its path")
        return constant[0]
    if not named:
        raise LookupError(f"has no column '{name}'{nearest(need.name, [field.name for field in fields])}")
    if len(named) > 1:
        raise LookupError(f"has {len(named)} columns '{name}'")
    type_ = _delivered_type(storage_of(named[0].type), need)
    if need.stated:
        stated_scalar(file, need.name, type_)
    return pa.field(need.name, type_, named[0].nullable)


def _delivered_type(type_: pa.DataType, need: Need) -> pa.DataType:
    if need.unified is not None:
        return unpacked(need.unified)
    if need.type is None:
        if need.role == "sequence" and isinstance(type_, pa.BaseExtensionType):
            return _lists_of(type_, need) if isinstance(type_, pa.FixedShapeTensorType) else type_.storage_type
        return LEVELS if need.role == "categorical" and _is_text(type_) else type_
    target = arrow_type(need.type)
    if not can_be_read_as(type_, target):
        raise LookupError(f"column '{escape(need.name)}' is {type_}, which cannot be read as {target}")
    return target


def _lists_of(type_: pa.FixedShapeTensorType, need: Need) -> pa.DataType:
    """Return the type of the lists that tensors are, so that their shape is compared with the steps of a model."""
    order = type_.permutation
    if order is not None and list(order) != list(range(len(type_.shape))):
        raise LookupError(
            f"column '{escape(need.name)}' has tensors of the shape {type_.shape} with the permutation {list(order)}, "
            "which are not read as sequences: write lists, the numbers of a step beside each other"
        )
    lists = type_.value_type
    for size in reversed(type_.shape):
        lists = pa.list_(lists, size)
    return lists


def _as_lists(storage: pa.Array, type_: pa.DataType) -> pa.Array:
    """Return the numbers of tensors as the lists of a type; nothing is copied."""
    if storage.type == type_:
        return storage
    inner = pa.FixedSizeListArray.from_arrays(storage.values, type=type_.value_type)
    return pa.Array.from_buffers(type_, len(storage), storage.buffers()[:1], offset=storage.offset, children=[inner])


def _is_plain_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _plain(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _is_dictionary_of_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(type_) and _is_plain_text(type_.value_type))


def _fields_named(schema: pa.Schema, name: str) -> list[pa.Field]:
    return [schema.field(number) for number in schema.get_all_field_indices(name)]
