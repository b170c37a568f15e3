"""How the cells of a CSV spell null and numbers: what Arrow's parser does not take is made plain here."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.sources.column_types import is_text
from pipeline.sources.csv.dialect import Dialect
from pipeline.sources.csv.parse import CsvParser
from pipeline.units import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow.csv as arrow_csv

    from pipeline.sources.csv.parse import Parsed, Piece
    from pipeline.types.inputs import CsvOptions

_POINT = "."
# The unit separator is in no number, time or boolean.
_UNQUOTED = Dialect("\x1f", "")


@dataclass(frozen=True)
class Spelling:
    """The spellings of null, unquoted and quoted, and the separators in numbers; an empty one does not exist."""

    nulls: tuple[str, ...] = ("",)
    quoted_nulls: tuple[str, ...] = ()
    decimal: str = _POINT
    thousands: str = ""

    @property
    def quotes_do_not_matter(self) -> bool:
        """Whether every spelling is null in quotes, too, which the parser can do by itself."""
        return set(self.quoted_nulls) == set(self.nulls)

    def reading(
        self, parser: CsvParser, types: dict[int, pa.DataType], *, only_empty: bool = False
    ) -> arrow_csv.ConvertOptions:
        """Return the options that read columns as types; ``only_empty``: the unquoted empty field alone is null."""
        if only_empty:
            return parser.converting(types, ("",), decimal=self.decimal)
        return parser.converting(types, self.nulls, quoted_null=self.quotes_do_not_matter, decimal=self.decimal)

    def without_nulls(self, cells: pa.Array, *, typed: bool) -> pa.Array:
        """Return cells with null for each that was quoted and is null; the empty one always is if they are ``typed``.

        ``cells`` are binary, text or a dictionary of text.
        """
        if pa.types.is_dictionary(cells.type):
            levels = self.without_nulls(cells.dictionary, typed=typed)
            if not levels.null_count:
                return cells
            return levels.take(cells.indices).dictionary_encode().cast(cells.type)
        spellings = {*self.quoted_nulls, ""} if typed else set(self.quoted_nulls)
        found = pc.is_in(cells, pa.array(sorted(spellings), pa.string()).cast(cells.type))
        return pc.if_else(found, pa.scalar(None, cells.type), cells) if found.true_count else cells

    def plain(self, cells: pa.Array, type_: pa.DataType) -> pa.Array:
        """Return binary cells without the separators of thousands where they are right; other cells stay as they are.

        What the parser makes of the result, given the decimal character, is the number, or nothing where the cell is
        bad: a separator that is not taken out is in no numeral.
        """
        if not self.thousands or not is_number(type_):
            return cells
        grouped = pc.match_substring_regex(cells, self._grouped)
        if not grouped.true_count:
            return cells
        return pc.if_else(grouped, pc.replace_substring(cells, self.thousands, ""), cells)

    @cached_property
    def _grouped(self) -> str:
        thousands, decimal = re.escape(self.thousands), re.escape(self.decimal)
        groups = rf"[0-9]{{1,3}}({thousands}[0-9]{{3}})+"
        return rf"^[ \t]*[+-]?{groups}({decimal}[0-9]*)?([eE][+-]?[0-9]+)?[ \t]*$"


class Rereader:
    """Reads the columns of a pass as text, makes their cells plain, and has the parser convert those.

    So the numbers have the bits that the parser gives their plain spellings. Not to be shared between threads.

    Parameters
    ----------
    parser : CsvParser
    spelling : Spelling
    types : dict of int to pyarrow.DataType
        The columns of the pass, by position.
    """

    def __init__(self, parser: CsvParser, spelling: Spelling, types: dict[int, pa.DataType]) -> None:
        self._parser, self._spelling, self._all = parser, spelling, types
        self._types = {position: type_ for position, type_ in types.items() if not reads_as_text(type_)}
        self._doubled = parser.dialect.quote.encode() * 2
        self.needed = False

    def may_help(self, piece: Piece) -> bool:
        """Return whether a piece may have a cell that the parser takes only when it is made plain."""
        spelling = self._spelling
        if not self._types:
            return False
        if spelling.thousands and spelling.thousands.encode() in bytes(piece.text):
            return True
        if not piece.quoted or spelling.quotes_do_not_matter:
            return False
        return bool(spelling.quoted_nulls) or self._doubled in bytes(piece.text)

    def read(self, piece: Piece) -> Parsed:
        """Return what the parser returns for the pass; afterwards ``needed`` says whether a cell was made plain."""
        read = self._parser.parse(piece, self._as_text)
        self.needed = False
        if not read.arrays or read.ragged or not read.rows:
            return replace(read, arrays=None)
        cells = [read.arrays[position] for position in self._types]
        plain = [self._made_plain(each, type_) for each, type_ in zip(cells, self._types.values(), strict=True)]
        arrays = self._convert(plain)
        if arrays is None:
            return replace(read, arrays=None)
        self.needed = any(made is not given for made, given in zip(plain, cells, strict=True))
        return replace(read, arrays={**read.arrays, **dict(zip(self._types, arrays, strict=True))})

    @cached_property
    def _as_text(self) -> arrow_csv.ConvertOptions:
        return self._spelling.reading(self._parser, {**self._all, **dict.fromkeys(self._types, pa.binary())})

    @cached_property
    def _convert(self) -> Callable[[Sequence[pa.Array]], list[pa.Array] | None]:
        parser = CsvParser(_UNQUOTED, len(self._types))
        in_order = dict(enumerate(self._types.values()))
        return partial(parser.convert_rows, convert=self._spelling.reading(parser, in_order, only_empty=True))

    def _made_plain(self, cells: pa.Array, type_: pa.DataType) -> pa.Array:
        return self._spelling.plain(self._spelling.without_nulls(cells, typed=True), type_)


def is_number(type_: pa.DataType) -> bool:
    """Return whether values of a type may have a decimal character or separators of thousands."""
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def spelling_of(options: CsvOptions) -> Spelling:
    """Return how the options say that cells are spelled.

    Raises
    ------
    UsageError
        The decimal or the thousands character cannot be one, or two of the characters of the file are the same.
    """
    _check("decimal", options.decimal, "give one character, such as ','", only_ascii=True)
    if options.thousands:
        remedy = "give one character, such as ',' or a blank, or '' if there is none"
        _check("thousands", options.thousands, remedy, only_ascii=False)
    names = ("delimiter", "quote", "escape", "comment")
    others = {name: getattr(options, name) for name in names}
    _refuse_used("thousands", options.thousands, {**others, "decimal": options.decimal})
    # a file with points between its fields may have no fractions
    if options.decimal != _POINT:
        _refuse_used("decimal", options.decimal, others)
    return Spelling(options.spellings, options.quoted_spellings, options.decimal, options.thousands)


def _refuse_used(name: str, character: str, used: Mapping[str, str]) -> None:
    for other, taken in used.items():
        if character and character == taken:
            raise UsageError(f"{other} and {name} are both {quoted(character)}", "give different characters")


def _check(what: str, text: str, remedy: str, *, only_ascii: bool) -> None:
    if len(text) != 1 or (only_ascii and not text.isascii()) or text.isalnum() or text in "+-\r\n\0":
        kind = "one ASCII character" if only_ascii else "one character"
        message = f"the {what} character must be {kind} and no letter, digit or sign, not {quoted(text)}"
        raise UsageError(message, remedy)


def reads_as_text(type_: pa.DataType) -> bool:
    """Return whether cells of any bytes that are UTF-8, or any bytes at all, are values of a type."""
    return is_text(type_) or bool(pa.types.is_binary(type_))
