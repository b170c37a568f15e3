"""The columns that a job needs of a CSV: their positions, their types, and how a piece becomes arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.sources.column_types import LEVELS, arrow_type, is_rounded
from pipeline.sources.csv.parse import CsvParser, Parsed, Piece, beyond_exact, infinite, large, names_infinity
from pipeline.sources.partitions import partition_array, partition_field, partition_scalar
from pipeline.units import escape, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.types.inputs import CsvOptions, InputFile, Need

_SHOWN_NAMES = 20


@dataclass(frozen=True)
class ReadAs:
    """The type that a column is read as. ``exact``: only the empty field is null, whatever spellings are given."""

    type: pa.DataType
    exact: bool


@dataclass(frozen=True)
class Pick:
    """Where the array of a need comes from: a pass over the text and a position, or a constant."""

    field: pa.Field
    turn: int = 0
    position: int = 0
    constant: pa.Scalar | None = None


def csv_field(file: InputFile, names: Sequence[str], need: Need, options: CsvOptions) -> pa.Field:
    """Return the field of a needed column; a file without any column allows every name.

    Raises
    ------
    LookupError
        No column has the name, or several, or a column and the path.
    UsageError
        The type asked for is unknown.
    """
    need = with_type(need, options)
    constant = partition_field(file, need)
    if constant is not None and need.name in names:
        raise LookupError(f"column {quoted(need.name)} is both in the file and in its path")
    if constant is not None:
        return constant
    if names:
        position_of(names, need.name)
    return pa.field(need.name, _target(need, options).type)


def position_of(names: Sequence[str], name: str) -> int:
    """Return where the one column of a name is.

    Raises
    ------
    LookupError
        No column has the name, or several.
    """
    count = names.count(name) if name else 0
    if count == 1:
        return names.index(name)
    header = ", ".join(escape(found, 40) or "''" for found in names[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    if not name:
        raise LookupError(f"has a column without a name, which cannot be selected; its header is {header}{more}")
    if count:
        raise LookupError(f"has {count} columns {quoted(name)}; its header is {header}{more}")
    # A header of one field has another delimiter, and is no name.
    near = nearest(name, names) if len(names) > 1 else ""
    raise LookupError(f"has no column {quoted(name)}; its header is {header}{more}{near}")


def with_type(need: Need, options: CsvOptions) -> Need:
    """Return the need with its own type, or else the type that the options give its column."""
    return need if need.type is not None else replace(need, type=dict(options.types).get(need.name))


def _target(need: Need, options: CsvOptions) -> ReadAs:
    asked = with_type(need, options).type
    default = {"numeric": pa.float64(), "categorical": LEVELS, "kept": pa.string()}[need.role]
    type_ = default if asked is None else arrow_type(asked)
    exact = need.role == "kept" and pa.types.is_string(type_) and any(options.nulls)
    return ReadAs(type_, exact)


class CsvColumns:
    """The needed columns of one file, and the passes of the parser that make them.

    A column that is needed both as a number and as kept text takes a second pass, because the parser converts a column
    only once. Not to be shared between threads.
    """

    def __init__(
        self, parser: CsvParser, file: InputFile, names: Sequence[str], needs: Sequence[Need], options: CsvOptions
    ) -> None:
        self.parser = parser
        self.nulls = tuple(dict.fromkeys(("", *options.nulls)))
        self._spellings = [null.encode() for null in self.nulls if null]
        self._turns: list[dict[int, ReadAs]] = []
        self._features: set[int] = set()
        self._picks = [self._pick(file, names, need, options) for need in needs]
        self._turns = self._turns or [{0: ReadAs(pa.binary(), exact=True)}]
        self._asked = [parser.converting(types_of(turn), self.nulls) for turn in self._turns]
        self.schema = pa.schema([pick.field for pick in self._picks])

    def targets(self) -> list[tuple[int, ReadAs]]:
        """Return each position with each of its targets, in the order of the file."""
        return sorted((pair for turn in self._turns for pair in turn.items()), key=lambda pair: pair[0])

    def is_feature(self, position: int) -> bool:
        """Return whether a column is a number that a model calculates with, which nobody asked to round."""
        return position in self._features

    def no_rows(self) -> pa.RecordBatch:
        """Return the needed columns with no rows."""
        return self.batch([{p: pa.nulls(0, t) for p, t in types_of(turn).items()} for turn in self._turns], 0)

    def batch(self, turns: Sequence[dict[int, pa.Array]], rows: int) -> pa.RecordBatch:
        """Return the needed columns of a piece, in the order of the needs."""
        if not self._picks:
            return pa.record_batch([pa.nulls(rows)], ["rows"]).select([])
        arrays = [
            turns[pick.turn][pick.position]
            if pick.constant is None
            else partition_array(pick.constant, pick.field.type, rows)
            for pick in self._picks
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _pick(self, file: InputFile, names: Sequence[str], need: Need, options: CsvOptions) -> Pick:
        field = csv_field(file, names, need, options)
        if need.name in dict(file.partitions):
            constant = partition_scalar(dict(file.partitions)[need.name], with_type(need, options))
            return Pick(field, constant=constant)
        position, target = position_of(names, need.name), _target(need, options)
        if need.role == "numeric" and not is_rounded(with_type(need, options).type):
            self._features.add(position)
        for number, turn in enumerate(self._turns):
            if turn.setdefault(position, target) == target:
                return Pick(field, number, position)
        self._turns.append({position: target})
        return Pick(field, len(self._turns) - 1, position)

    def convert(self, piece: Piece) -> tuple[Parsed, pa.RecordBatch | None]:
        """Parse a piece that is UTF-8 without NUL into a batch, ``None`` where a record or a cell is bad.

        :class:`Parsed` is right in both cases, except for ``rows`` where a cell cannot be converted.
        """
        first = self.parser.parse(piece, self._asked[0])
        if first.arrays is None or first.ragged or not first.length:
            return first, None
        piece = piece.until(first.length)
        turns = []
        for number, turn in enumerate(self._turns):
            arrays = first.arrays if number == 0 else self.parser.parse(piece, self._asked[number]).arrays
            if arrays is None or self._misread(piece, turn, arrays):
                return first, None
            turns.append(self._exact(piece, turn, arrays))
        return first, self.batch(turns, first.rows)

    def _misread(self, piece: Piece, turn: dict[int, ReadAs], arrays: dict[int, pa.Array]) -> bool:
        """Return whether the parser changed the number of a cell without an error.

        A finite number became an infinity, or an integer of a feature is larger than float64 holds exactly.
        """
        found = {
            position: large(arrays[position]) if self.is_feature(position) else infinite(arrays[position])
            for position in turn
        }
        masks = {position: mask for position, mask in found.items() if mask is not None}
        if not masks:
            return False
        texts = self._read_again(piece, dict.fromkeys(masks, pa.binary()), self.nulls)
        return any(
            self._overflows(texts[position], arrays[position])
            or (self.is_feature(position) and bool(beyond_exact(texts[position].filter(pa.array(mask)))))
            for position, mask in masks.items()
        )

    def _overflows(self, texts: pa.Array, numbers: pa.Array) -> bool:
        mask = infinite(numbers)
        cells = texts.filter(pa.array(mask)) if mask is not None else ()
        return not all(names_infinity(cell.as_py()) for cell in cells if cell.is_valid)

    def _exact(self, piece: Piece, turn: dict[int, ReadAs], arrays: dict[int, pa.Array]) -> dict[int, pa.Array]:
        """Return the arrays of a pass with kept text as it is written, even where it spells null."""
        doubtful = {position: target for position, target in turn.items() if target.exact}
        doubtful = {position: target for position, target in doubtful.items() if arrays[position].null_count}
        if not doubtful or not self._spells_null(piece):
            return arrays
        return {**arrays, **self._read_again(piece, types_of(doubtful), ("",))}

    def _spells_null(self, piece: Piece) -> bool:
        text = bytes(piece.text)
        return any(spelling in text for spelling in self._spellings)

    def _read_again(self, piece: Piece, types: dict[int, pa.DataType], nulls: Sequence[str]) -> dict[int, pa.Array]:
        arrays = self.parser.parse(piece, self.parser.converting(types, nulls)).arrays
        assert arrays is not None
        return arrays


def types_of(turn: dict[int, ReadAs]) -> dict[int, pa.DataType]:
    """Return the types of a pass by position."""
    return {position: target.type for position, target in turn.items()}
