"""Rows of a batch as a fit reads them: the columns that tiles are made of, without the rows that are not fitted.

Cells are numbers and levels as scoring reads them. Nothing is copied where all rows of a batch are fitted and nothing
is missing: the arrays are then those of the batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.fitting.asking.terms import BinsTerm, MissingTerm, NumberTerm, ProductTerm, Term
from pipeline.fitting.designs.design import FitDesign, LevelSource, NumberSource
from pipeline.fitting.first_pass.dividing import WRONG, Divider, is_missing
from pipeline.fitting.first_pass.hashing import hashes_of
from pipeline.fitting.passes.holding import HeldBatch
from pipeline.fitting.tiles.layout import Codes, Floats
from pipeline.kernels import tile_steps
from pipeline.kernels.steps import TileStep
from pipeline.models.columns import Levels, Mask, Numbers, RecentLevels, levels, null_mask, numbers, unfit
from pipeline.models.levels import LevelTable, LevelType
from pipeline.models.logistic.numbers import with_nan
from pipeline.models.results import integer_array, text_array
from pipeline.scan import Batch
from pipeline.types.inputs import Integers

# Numbers in their own width; float64 holds each of them exactly.
Values = npt.NDArray[Any]
Kind = TypeVar("Kind", bound=npt.NDArray[Any])

# The code of a cell without a level; of a missing one until its policy is applied; of a level that no fitted row has
# and the model has no score for.
_NO_LEVEL, _IS_MISSING, _IS_UNSEEN = -1, -2, -3
# The canonical spelling of an integer that has 64 bits at most.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class ClassSource:
    """The column that is predicted.

    Attributes
    ----------
    column : str
    type : LevelType
        What its spellings mean.
    codes : dict of str to int
        The class of each value, by its spelling.
    """

    column: str
    type: LevelType
    codes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RowSources:
    """What the rows of tiles have besides the columns of the design.

    Attributes
    ----------
    target : ClassSource
    class_weights : tuple of float
        By class; empty for 1.
    weight, offset : NumberSource or None
    divider : Divider or None
        Which rows are held out, and in which folds the others are.
    groups : str or None
        The column of the groups within which errors may depend on each other.
    """

    target: ClassSource
    class_weights: tuple[float, ...] = ()
    weight: NumberSource | None = None
    offset: NumberSource | None = None
    divider: Divider | None = None
    groups: str | None = None


class RowBatch(Protocol):
    """Rows of a file, as they come from a scan or from where they were held."""

    @property
    def data(self) -> pa.RecordBatch:
        """One column for each need of the file, in order."""
        ...

    @property
    def file(self) -> int:
        """The number of the file."""
        ...

    def places(self) -> Integers:
        """Return the place of each row in its file."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DecodedRows:
    """Columns of rows that are fitted, all of one length.

    Attributes
    ----------
    rows : int
    numbers : tuple of ndarray
        One for each number of the design, see :func:`numbers_of`.
    flags : tuple of ndarray of bool
        One for each column of which the design has a missing indicator or a bin of missing values.
    levels : tuple of ndarray of intp
        One for each level source of the design: codes.
    classes : ndarray of intp
    weights, offset : ndarray of float64 or None
    folds : ndarray of int8 or None
    groups : ndarray of intp or None
    """

    rows: int
    numbers: tuple[Values, ...]
    flags: tuple[Mask, ...]
    levels: tuple[Codes, ...]
    classes: Codes
    weights: Floats | None = None
    offset: Floats | None = None
    folds: npt.NDArray[np.int8] | None = None
    groups: Codes | None = None

    def part(self, rows: slice, numbers: tuple[Values, ...], keep: Mask | None) -> DecodedRows:
        """Return some of the rows with their numbers: those of a slice that are kept."""

        def of(array: Kind) -> Kind:
            part = array[rows]
            return part if keep is None else part[keep]  # type: ignore[return-value]

        return DecodedRows(
            rows.stop - rows.start if keep is None else int(np.count_nonzero(keep)),
            numbers if keep is None else tuple(values[keep] for values in numbers),
            tuple(map(of, self.flags)),
            tuple(map(of, self.levels)),
            of(self.classes),
            None if self.weights is None else of(self.weights),
            None if self.offset is None else of(self.offset),
            None if self.folds is None else of(self.folds),
            None if self.groups is None else of(self.groups),
        )


def numbers_of(design: FitDesign) -> tuple[NumberTerm, ...]:
    """Return the numbers that the columns of a design are made of, each once, and those that it names besides."""
    of_columns = (number for column in design.columns for number in numbers_in(column.term))
    return tuple(dict.fromkeys((*of_columns, *design.extra)))


def codes_of(source: LevelSource) -> int:
    """Return how many codes a column of levels has, besides -1."""
    missing = source.missing if isinstance(source.missing, int) else -1
    return 1 + max((missing, *source.codes.values()))


def numbers_in(term: Term) -> tuple[NumberTerm, ...]:
    """Return the numbers of a term."""
    if isinstance(term, NumberTerm):
        return (term,)
    if isinstance(term, BinsTerm):
        return (NumberTerm(term.column),)
    if isinstance(term, ProductTerm):
        return tuple(factor for factor in term.factors if isinstance(factor, NumberTerm))
    return ()


def flags_of(design: FitDesign) -> tuple[str, ...]:
    """Return the columns of which a design asks where they are missing, each once."""
    terms = (column.term for column in design.columns)
    return tuple(dict.fromkeys(term.column for term in terms if isinstance(term, MissingTerm | BinsTerm)))


class RowDecoder:
    """Reads batches for a design. May be used from several threads at once.

    Parameters
    ----------
    design : FitDesign
    rows : RowSources
    decimal : str
        The decimal sign of levels that are text.
    """

    def __init__(self, design: FitDesign, rows: RowSources, *, decimal: str = ".") -> None:
        self._rows, self._tile_rows = rows, design.layout.tile_rows
        finite, used = dict.fromkeys(design.finite), dict.fromkeys(numbers_of(design))
        self._numbers = tuple((term, tile_steps(term.steps, "fast"), term in finite) for term in used)
        self._checked = tuple((term.column, tile_steps(term.steps, "fast")) for term in finite if term not in used)
        self._sources = {source.column: source for source in design.numbers}
        self._flags = flags_of(design)
        self._levels = tuple((source, _LevelCodes.of(source, decimal)) for source in design.levels)
        target = rows.target
        self._classes = _LevelCodes(LevelTable(target.codes, target.type, decimal=decimal))

    def blocks(
        self, batch: RowBatch, *, paths: Callable[[int], str] | None = None, groups: bool = False
    ) -> Iterator[DecodedRows]:
        """Yield the rows of a batch that are fitted, in blocks that stay in the cache until a tile is made of them.

        The others were counted, or refused, by the first pass. ``paths`` returns the path of a file by its number.
        """
        if not batch.data.num_rows:
            return
        cells = _BatchCells(batch.data)
        with np.errstate(all="ignore"):
            whole = self._whole(cells)
        whole = replace(
            whole,
            folds=self._folds(cells, batch, paths),
            groups=_groups(cells, self._rows.groups) if groups and self._rows.groups is not None else None,
        )
        raw = {name: numbers(cells.array(name, "numeric")) for name in self._sources}
        for each in raw.values():
            cells.leave_out_at(each.inexact)
        known = batch.finite if isinstance(batch, HeldBatch) else frozenset()
        for first in range(0, cells.rows, self._tile_rows):
            rows = slice(first, min(cells.rows, first + self._tile_rows))
            span = _RowSpan(rows, None if cells.keep is None else cells.keep[rows])
            yield self._block(span, whole, raw, known)

    def _whole(self, cells: _BatchCells) -> DecodedRows:
        """Return what a batch has besides numbers, with all rows."""
        classes = self._class_codes(cells)
        return DecodedRows(
            cells.rows,
            (),
            tuple(cells.missing_in(name) for name in self._flags),
            tuple(lookup.codes(cells, source) for source, lookup in self._levels),
            classes,
            self._weights(cells, classes),
            None if self._rows.offset is None else cells.floats(self._rows.offset),
        )

    def _block(
        self, block: _RowSpan, whole: DecodedRows, raw: Mapping[str, Numbers], known: frozenset[str]
    ) -> DecodedRows:
        with np.errstate(all="ignore"):
            filled = {
                name: (raw[name].values[block.rows], True) if name in known else block.filled(raw[name], source)
                for name, source in self._sources.items()
            }
            for name, steps in self._checked:
                block.stepped(filled[name][0], steps, finite=filled[name][1])
            found = tuple(
                block.stepped(filled[term.column][0], steps, finite=filled[term.column][1] or not must)
                for term, steps, must in self._numbers
            )
        return whole.part(block.rows, found, block.keep)

    def _folds(
        self, cells: _BatchCells, batch: RowBatch, paths: Callable[[int], str] | None
    ) -> npt.NDArray[np.int8] | None:
        if self._rows.divider is None:
            return None
        path = "" if paths is None else paths(batch.file)
        folds = self._rows.divider.of_batch(cast("Batch", batch), path)
        cells.leave_out(folds == WRONG)
        return folds

    def _class_codes(self, cells: _BatchCells) -> Codes:
        codes = self._classes.found(levels(cells.array(self._rows.target.column, "categorical")), _NO_LEVEL)
        cells.leave_out(codes < 0)
        return codes

    def _weights(self, cells: _BatchCells, classes: Codes) -> Floats | None:
        rows = self._rows
        weights = None if rows.weight is None else cells.floats(rows.weight)
        if not rows.class_weights:
            return weights
        of_class: Floats = np.array(rows.class_weights).take(classes, mode="clip")
        return of_class if weights is None else weights * of_class


def _groups(cells: _BatchCells, column: str) -> Codes:
    """Return the group of each row: the hash of its value."""
    found: Codes = hashes_of(cells.array(column, "categorical")).view(np.int64).astype(np.intp, copy=False)
    return found


class _LevelCodes:
    """The codes of the levels of a column.

    Text and integers are looked up by Arrow where they are spelled as levels are: the dictionaries of a CSV differ from
    batch to batch, and to look 5,000 levels up one by one would take longer than to sum the rows.
    """

    def __init__(self, table: LevelTable, unseen: int = _NO_LEVEL) -> None:
        self._table, self._unseen = table, unseen
        # There a level that is not known has -1, as the reference level may have here.
        self._shifted = replace(table, positions={text: code + 1 for text, code in table.positions.items()})
        self._recent = RecentLevels()
        self._texts = list(table.positions)
        self._integers = [text for text in self._texts if _INTEGER.fullmatch(text)]
        self._spelled: dict[pa.DataType, tuple[pa.Array, Codes]] = {}

    @classmethod
    def of(cls, source: LevelSource, decimal: str) -> _LevelCodes:
        unseen = _IS_UNSEEN if source.unseen == "drop" else source.unseen
        return cls(LevelTable(source.codes, source.type, decimal=decimal), unseen)

    def found(self, cells: Levels, missing: int) -> Codes:
        """Return the code of each row."""
        positions = self._by_spelling(cells.dictionary, missing)
        if positions is None:
            known = self._recent.find(self._shifted, cells.dictionary)
            spelled = np.where(known.positions < 0, self._unseen, known.positions - 1)
            positions = np.where(known.is_missing, missing, spelled)
        codes: Codes = positions.take(cells.codes, mode="clip")
        if cells.null is not None:
            codes[cells.null] = missing
        return codes

    def _by_spelling(self, dictionary: pa.Array, missing: int) -> Codes | None:
        """Return the code of each level of a dictionary, ``None`` where spelling alone does not tell it."""
        if pa.types.is_integer(dictionary.type) and not pa.types.is_uint64(dictionary.type):
            dictionary = dictionary.cast(pa.int64())
        elif not (pa.types.is_string(dictionary.type) or pa.types.is_large_string(dictionary.type)):
            return None
        names, known = self._of_type(dictionary.type)
        found = pc.index_in(dictionary, value_set=names)
        unknown = found.null_count - dictionary.null_count
        if unknown and self._table.type != "text":
            return None
        places = numbers(found)
        codes: Codes = known.take(places.values if places.null is None else np.where(places.null, -1, places.values))
        if dictionary.null_count:
            codes[null_mask(dictionary)] = missing
        return np.append(codes, missing)

    def _of_type(self, type_: pa.DataType) -> tuple[pa.Array, Codes]:
        """Return the levels as values of a type, and their codes, with that of what is none of them last."""
        if type_ not in self._spelled:
            whole = pa.types.is_integer(type_)
            texts = self._integers if whole else self._texts
            if whole:
                names = integer_array(np.array(list(map(int, texts)), np.int64), None)
            else:
                names = text_array(texts, type_)
            codes = [*(self._table.positions[text] for text in texts), self._unseen]
            self._spelled[type_] = names, np.array(codes, dtype=np.intp)
        return self._spelled[type_]

    def codes(self, cells: _BatchCells, source: LevelSource) -> Codes:
        """Return the code of each row, after the policies for missing and for unseen levels."""
        column = levels(cells.array(source.column, "categorical"))
        codes = self.found(column, source.missing if isinstance(source.missing, int) else _IS_MISSING)
        if source.unseen == "drop" or not isinstance(source.missing, int):
            cells.leave_out(codes < _NO_LEVEL)
        return codes


class _BatchCells:
    """The columns of one batch, and which of its rows are kept."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rows: int = batch.num_rows
        self.keep: Mask | None = None
        self._places: dict[str, list[int]] = {}
        for place, name in enumerate(batch.schema.names):
            self._places.setdefault(name, []).append(place)

    def array(self, name: str, role: Literal["numeric", "categorical"]) -> pa.Array:
        """Return a column by its name; where two have the name, the one that suits its use, or the first."""
        places = self._places[name]
        if len(places) > 1:
            types = self.batch.schema.types
            suited = [place for place in places if unfit(role, types[place]) is None]
            places = sorted(suited or places, key=lambda place: role == "categorical" and not _is_text(types[place]))
        return self.batch.column(places[0])

    def floats(self, source: NumberSource) -> Floats:
        """Return a column of finite numbers; the other rows are left out."""
        cells = numbers(self.array(source.column, "numeric"))
        self.leave_out_at(cells.inexact)
        block = _RowSpan(slice(0, self.rows), None)
        values, finite = block.filled(cells, source)
        values = block.stepped(values, (), finite=finite)
        if block.keep is not None:
            self.leave_out(~block.keep)
        return values.astype(np.float64, copy=False)

    def missing_in(self, name: str) -> Mask:
        """Return where a column is missing: null or NaN."""
        return is_missing(self.array(name, "numeric"))

    def leave_out(self, rows: Mask) -> None:
        """Leave rows out."""
        if rows.any():
            self.keep = ~rows if self.keep is None else self.keep & ~rows

    def leave_out_at(self, rows: Codes) -> None:
        """Leave rows out, by their numbers."""
        if rows.size:
            where = np.zeros(self.rows, dtype=np.bool_)
            where[rows] = True
            self.leave_out(where)


class _RowSpan:
    """Some rows of a batch, and which of them are kept."""

    def __init__(self, rows: slice, keep: Mask | None) -> None:
        self.rows, self.keep = rows, keep

    def filled(self, cells: Numbers, source: NumberSource) -> tuple[Values, bool]:
        """Return numbers with the missing ones filled, or left out; and whether all are known to be finite."""
        values = cells.values[self.rows]
        null = None if cells.null is None else cells.null[self.rows]
        # A sum is finite only where every value is: it costs a tenth of looking at each.
        finite = values.dtype.kind != "f" or bool(np.isfinite(np.add.reduce(values)))
        missing = null if finite else with_nan(Numbers(values, null, cells.inexact))
        if missing is None or not missing.any():
            return values, finite
        if not isinstance(source.missing, str):
            return np.where(missing, np.float64(source.missing), values), finite
        self._leave_out(missing)
        return np.where(missing, 0.0, values), finite

    def stepped(self, values: Values, steps: Sequence[TileStep], *, finite: bool) -> Values:
        """Return what steps make of numbers; rows of which they make no finite number are left out."""
        if steps:
            values = values.astype(np.float64)
            for step in steps:
                step(values)
        elif finite:
            return values
        if not np.isfinite(np.add.reduce(values)):
            self._leave_out(~np.isfinite(values))
        return values

    def _leave_out(self, rows: Mask) -> None:
        if rows.any():
            self.keep = ~rows if self.keep is None else self.keep & ~rows


def _is_text(type_: pa.DataType) -> bool:
    value_type = type_.value_type if pa.types.is_dictionary(type_) else type_
    return not (pa.types.is_integer(value_type) or pa.types.is_floating(value_type) or pa.types.is_boolean(value_type))
