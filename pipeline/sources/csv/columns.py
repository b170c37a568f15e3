"""The columns that a job needs of a CSV: their positions, their types, and how a piece becomes arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.sources.column_types import DEFAULT_TYPES, arrow_type, is_rounded, unpacked
from pipeline.sources.csv.parse import CsvParser, Parsed, Piece, beyond_exact, has_nan, infinite, large, names_infinity
from pipeline.sources.csv.spelling import Rereader, reads_as_text, spelling_of
from pipeline.sources.partitions import constant_of, partition_array, stated_scalar
from pipeline.units import escape, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.sources.csv.parse import Flags
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
        No column has the name, or several, or a column and the path; or the need is a sequence.
    UsageError
        The type asked for is unknown.
    """
    need = with_type(need, options)
    constant = constant_of(file, need)
    if constant is not None and need.name in names and not need.absent:
        raise LookupError(f"column {quoted(need.name)} is both in the file and in its path")
    if constant is not None:
        return constant[0]
    if names:
        _position(names, need)
    if need.role == "sequence":
        raise LookupError(f"column {quoted(need.name)} is a sequence, and a CSV has no lists")
    type_ = _target(need, options).type if need.unified is None else unpacked(need.unified)
    if need.stated:
        stated_scalar(file, need.name, type_)
    return pa.field(need.name, type_)


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
    header = shown_header(names)
    if not name:
        raise LookupError(f"has a column without a name, which cannot be selected; {header}")
    if count:
        raise LookupError(f"has {count} columns {quoted(name)}; {header}")
    # A header of one field has another delimiter, and is no name.
    near = nearest(name, names) if len(names) > 1 else ""
    raise LookupError(f"has no column {quoted(name)}; {header}{near}")


def shown_header(names: Sequence[str]) -> str:
    """Return the beginning of a header as a clause: ``its header is x, y and 7 more``."""
    header = ", ".join(escape(found, 40) or "''" for found in names[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return f"its header is {header}{more}"


def _position(names: Sequence[str], need: Need) -> int:
    return position_of(names, need.name) if need.position is None else need.position


def with_type(need: Need, options: CsvOptions) -> Need:
    """Return the need with its own type, or else the type that the options give its column."""
    return need if need.type is not None else replace(need, type=dict(options.types).get(need.name))


def _target(need: Need, options: CsvOptions) -> ReadAs:
    asked = with_type(need, options).type
    type_ = DEFAULT_TYPES[need.role] if asked is None else arrow_type(asked)
    exact = need.role == "kept" and pa.types.is_string(type_) and (any(options.nulls) or options.quoted_null)
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
        self.spelling = spelling_of(options)
        self._spellings = [null.encode() for null in self.spelling.nulls if null]
        self._turns: list[dict[int, ReadAs]] = []
        self._features: set[int] = set()
        self._picks = [self._pick(file, names, need, options) for need in needs]
        self._turns = self._turns or [{0: ReadAs(pa.binary(), exact=True)}]
        self._asked = [self.spelling.reading(parser, types_of(turn)) for turn in self._turns]
        self._rereaders = [Rereader(parser, self.spelling, types_of(turn)) for turn in self._turns]
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
        arrays = [_delivered(pick, turns, rows) for pick in self._picks]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _pick(self, file: InputFile, names: Sequence[str], need: Need, options: CsvOptions) -> Pick:
        field = csv_field(file, names, need, options)
        constant = constant_of(file, with_type(need, options))
        if constant is not None:
            return Pick(field, constant=constant[1])
        position, target = _position(names, need), _target(need, options)
        if need.role in {"numeric", "boolean"} and not is_rounded(with_type(need, options).type):
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
        first = self._parse(piece, 0)
        if first.arrays is None or first.ragged or not first.length:
            return first, None
        piece = piece.until(first.length)
        turns = []
        for number, turn in enumerate(self._turns):
            arrays = first.arrays if number == 0 else self._parse(piece, number).arrays
            if arrays is None or self._misread(piece, turn, arrays):
                return first, None
            turns.append(self._exact(piece, turn, self._without_nulls(piece, turn, arrays)))
        return first, self.batch(turns, first.rows)

    def cells(self, piece: Piece, position: int, target: ReadAs) -> pa.Array:
        """Return the cells of a column as bytes, with null where its target has null."""
        reading = self.spelling.reading(self.parser, {position: pa.binary()}, only_empty=target.exact)
        arrays = self.parser.parse(piece, reading).arrays
        assert arrays is not None
        typed = not reads_as_text(target.type)
        return self.spelling.without_nulls(arrays[position], typed=True) if typed else arrays[position]

    def _parse(self, piece: Piece, number: int) -> Parsed:
        """Parse a piece for a pass, and again where cells are not spelled as the parser takes them.

        A piece whose predecessor had such cells is read so at once: both ways give the same values.
        """
        again = self._rereaders[number]
        if again.needed and again.may_help(piece):
            return again.read(piece)
        again.needed = False
        parsed = self.parser.parse(piece, self._asked[number])
        if parsed.arrays is None and again.may_help(piece):
            return again.read(piece)
        return parsed

    def _without_nulls(self, piece: Piece, turn: dict[int, ReadAs], arrays: dict[int, pa.Array]) -> dict[int, pa.Array]:
        """Return the arrays of a pass with null for quoted cells that spell null: of text, and the NaN of numbers."""
        spelling = self.spelling
        if not piece.quoted or not spelling.quoted_nulls or spelling.quotes_do_not_matter:
            return arrays
        texts = [position for position, target in turn.items() if reads_as_text(target.type) and not target.exact]
        made = {position: spelling.without_nulls(arrays[position], typed=False) for position in texts}
        # In quotes the parser reads "nan" as a number, although it is a spelling of null.
        numbers = [position for position in turn if has_nan(arrays[position])]
        if numbers:
            cells = self._read_again(piece, dict.fromkeys(numbers, pa.binary()), spelling.nulls)
            for position in numbers:
                null = pc.is_null(spelling.without_nulls(cells[position], typed=True))
                made[position] = pc.if_else(null, pa.scalar(None, arrays[position].type), arrays[position])
        return arrays | made

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
        texts = self._read_again(piece, dict.fromkeys(masks, pa.binary()), self.spelling.nulls)
        return any(
            self._overflows(texts[position], arrays[position])
            or (self.is_feature(position) and bool(beyond_exact(self._plain(texts[position], mask, turn[position]))))
            for position, mask in masks.items()
        )

    def _plain(self, texts: pa.Array, mask: Flags, target: ReadAs) -> pa.Array:
        return self.spelling.plain(texts.filter(pa.array(mask)), target.type)

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
        if piece.escapes is not None or (piece.quoted and self.spelling.quotes_do_not_matter):
            return True
        text = bytes(piece.text)
        return any(spelling in text for spelling in self._spellings)

    def _read_again(self, piece: Piece, types: dict[int, pa.DataType], nulls: Sequence[str]) -> dict[int, pa.Array]:
        arrays = self.parser.parse(piece, self.parser.converting(types, nulls)).arrays
        assert arrays is not None
        return arrays


def _delivered(pick: Pick, turns: Sequence[dict[int, pa.Array]], rows: int) -> pa.Array:
    if pick.constant is not None:
        return partition_array(pick.constant, pick.field.type, rows)
    array = turns[pick.turn][pick.position]
    return array if array.type == pick.field.type else array.cast(pick.field.type)


def types_of(turn: dict[int, ReadAs]) -> dict[int, pa.DataType]:
    """Return the types of a pass by position."""
    return {position: target.type for position, target in turn.items()}
