"""Rows of a batch as a fit reads them: the columns that tiles are made of, without the rows that are not fitted.

Cells are numbers and levels as scoring reads them. Nothing is copied where all rows of a batch are fitted and nothing
is missing: the arrays are then those of the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.fitting.design import FitDesign, LevelSource, NumberSource
from pipeline.fitting.layout import Codes, Floats
from pipeline.fitting.terms import BinsTerm, MissingTerm, NumberTerm, ProductTerm, Term
from pipeline.kernels import tile_steps
from pipeline.models.columns import Levels, Mask, RecentLevels, levels, numbers, unfit
from pipeline.models.levels import LevelTable, LevelType
from pipeline.units import escape

# Numbers in their own width; float64 holds each of them exactly.
Values = npt.NDArray[Any]

_NO_LEVEL = -1


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
    missing : {"error", "drop"}
        What becomes of a row whose class is missing, or none of these.
    """

    column: str
    type: LevelType
    codes: Mapping[str, int]
    missing: Literal["error", "drop"] = "error"


@dataclass(frozen=True, slots=True)
class RowSources:
    """What the rows of tiles have besides the columns of the design.

    Attributes
    ----------
    target : ClassSource
    class_weights : tuple of float
        By class; empty for 1.
    weight, offset : NumberSource or None
    """

    target: ClassSource
    class_weights: tuple[float, ...] = ()
    weight: NumberSource | None = None
    offset: NumberSource | None = None


class Dividing(Protocol):
    """Says of each row of a batch to which fold it belongs."""

    def __call__(self, batch: pa.RecordBatch, first: int, /) -> npt.NDArray[np.int8]:
        """Return the fold of each row, -1 where it is held out; ``first`` is the number of the first row."""
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
    """

    rows: int
    numbers: tuple[Values, ...]
    flags: tuple[Mask, ...]
    levels: tuple[Codes, ...]
    classes: Codes
    weights: Floats | None = None
    offset: Floats | None = None
    folds: npt.NDArray[np.int8] | None = None

    def where(self, keep: Mask) -> DecodedRows:
        """Return some of the rows."""
        return DecodedRows(
            int(np.count_nonzero(keep)),
            tuple(values[keep] for values in self.numbers),
            tuple(flags[keep] for flags in self.flags),
            tuple(codes[keep] for codes in self.levels),
            self.classes[keep],
            None if self.weights is None else self.weights[keep],
            None if self.offset is None else self.offset[keep],
            None if self.folds is None else self.folds[keep],
        )


def numbers_of(design: FitDesign) -> tuple[NumberTerm, ...]:
    """Return the numbers that the columns of a design are made of, each once, and those that it names besides."""
    of_columns = (number for column in design.columns for number in numbers_in(column.term))
    return tuple(dict.fromkeys((*of_columns, *design.extra)))


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
    dividing : Dividing, optional
    """

    def __init__(
        self, design: FitDesign, rows: RowSources, *, decimal: str = ".", dividing: Dividing | None = None
    ) -> None:
        self._rows = rows
        self._dividing = dividing
        self._numbers = tuple((term, tile_steps(term.steps, "fast")) for term in numbers_of(design))
        self._sources = {source.column: source for source in design.numbers}
        self._flags = flags_of(design)
        self._levels = tuple((source, _LevelCodes.of(source, decimal)) for source in design.levels)
        target = rows.target
        self._classes = _LevelCodes(LevelTable(target.codes, target.type, decimal=decimal))

    def decode(self, batch: pa.RecordBatch, first: int = 0) -> DecodedRows:
        """Return the rows of a batch that are fitted; ``first`` is the number of its first row.

        Raises
        ------
        DataError
            A value is missing where that is an error.
        """
        with np.errstate(all="ignore"):
            return self._decode(_BatchCells(batch), first)

    def _decode(self, cells: _BatchCells, first: int) -> DecodedRows:
        classes = self._class_codes(cells)
        raw = {name: cells.filled(source) for name, source in self._sources.items()}
        found = DecodedRows(
            cells.rows,
            tuple(cells.stepped(raw[term.column], steps) for term, steps in self._numbers),
            tuple(cells.missing_in(name) for name in self._flags),
            tuple(lookup.codes(cells, source) for source, lookup in self._levels),
            classes,
            self._weights(cells, classes),
            None if self._rows.offset is None else _as_floats(cells.filled(self._rows.offset)),
            None if self._dividing is None else self._dividing(cells.batch, first),
        )
        return found if cells.keep is None else found.where(cells.keep)

    def _class_codes(self, cells: _BatchCells) -> Codes:
        codes = self._classes.found(levels(cells.array(self._rows.target.column, "categorical")), _NO_LEVEL)
        without = codes < 0
        if without.any():
            cells.leave_out(without, self._rows.target.column, self._rows.target.missing)
        return codes

    def _weights(self, cells: _BatchCells, classes: Codes) -> Floats | None:
        rows = self._rows
        weights = None if rows.weight is None else _as_floats(cells.filled(rows.weight))
        if not rows.class_weights:
            return weights
        of_class: Floats = np.array(rows.class_weights).take(classes, mode="clip")
        return of_class if weights is None else weights * of_class


class _LevelCodes:
    """The codes of the levels of a column."""

    def __init__(self, table: LevelTable) -> None:
        self._table = table
        self._recent = RecentLevels()

    @classmethod
    def of(cls, source: LevelSource, decimal: str) -> _LevelCodes:
        return cls(LevelTable(source.codes, source.type, decimal=decimal))

    def found(self, cells: Levels, missing: int) -> Codes:
        """Return the code of each row."""
        known = self._recent.find(self._table, cells.dictionary)
        positions = np.where(known.is_missing, missing, known.positions)
        codes: Codes = positions.take(cells.codes, mode="clip")
        if cells.null is not None:
            codes[cells.null] = missing
        return codes

    def codes(self, cells: _BatchCells, source: LevelSource) -> Codes:
        """Return the code of each row, after the policy for missing levels."""
        column = levels(cells.array(source.column, "categorical"))
        if isinstance(source.missing, int):
            return self.found(column, source.missing)
        codes = self.found(column, -2)
        missing = codes == -2
        if missing.any():
            cells.leave_out(missing, source.column, source.missing)
        return codes


class _BatchCells:
    """The columns of one batch, and which of its rows are kept."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rows: int = batch.num_rows
        self.keep: Mask | None = None

    def array(self, name: str, role: Literal["numeric", "categorical"]) -> pa.Array:
        """Return a column by its name; where two have the name, the one that suits its use."""
        places = [place for place, field in enumerate(self.batch.schema) if field.name == name]
        if not places:
            raise KeyError(name)
        if role == "categorical":
            places.sort(key=lambda place: not _is_text(self.batch.schema.field(place).type))
        suited = (place for place in places if unfit(role, self.batch.schema.field(place).type) is None)
        return self.batch.column(next(suited, places[0]))

    def filled(self, source: NumberSource) -> Values:
        """Return a column of numbers with its missing values filled; rows that cannot be fitted are left out."""
        cells = numbers(self.array(source.column, "numeric"))
        if cells.inexact.size:
            self.leave_out(_at(cells.inexact, self.rows), source.column, "drop")
        missing, infinite = _nowhere_finite(cells.values, cells.null)
        if infinite is not None:
            self.leave_out(infinite, source.column, "drop")
        if missing is None:
            return cells.values
        if isinstance(source.missing, str):
            self.leave_out(missing, source.column, source.missing)
            return cells.values
        return np.where(missing, source.missing, cells.values.astype(np.float64))

    def stepped(self, values: Values, steps: Sequence[Any]) -> Values:
        """Return what steps make of numbers; rows of which they make no finite number are left out."""
        if not steps:
            return values
        changed = values.astype(np.float64)
        for step in steps:
            step(changed)
        if not np.isfinite(changed.sum()):
            self._leave(~np.isfinite(changed))
        return changed

    def missing_in(self, name: str) -> Mask:
        """Return where a column is missing: null or NaN."""
        array = self.array(name, "numeric")
        if unfit("numeric", array.type) is None:
            cells = numbers(array)
            missing, _ = _nowhere_finite(cells.values, cells.null)
            return np.zeros(self.rows, dtype=np.bool_) if missing is None else missing
        column = levels(array)
        found = _LevelCodes(LevelTable({})).found(column, -2)
        is_missing: Mask = found == -2
        return is_missing

    def leave_out(self, rows: Mask, column: str, rule: Literal["error", "drop"]) -> None:
        """Leave rows out, or refuse the first of them."""
        if rule == "error":
            row = int(np.flatnonzero(rows)[0])
            raise DataError(
                f'column "{escape(column)}" has a value that cannot be fitted: '
                f"{escape(str(self.array(column, 'numeric')[row].as_py()))}",
                "run the fit again: the file has changed since its first pass",
            )
        self._leave(rows)

    def _leave(self, rows: Mask) -> None:
        kept = ~rows
        self.keep = kept if self.keep is None else self.keep & kept


def _nowhere_finite(values: Values, null: Mask | None) -> tuple[Mask | None, Mask | None]:
    """Return where numbers are missing, and where they are infinite; ``None`` for nowhere."""
    # A sum is finite only where every value is: it costs a tenth of looking at each.
    if values.dtype.kind != "f" or np.isfinite(np.add.reduce(values)):
        return null, None
    missing: Mask = np.isnan(values)
    if null is not None:
        missing |= null
    infinite = np.isinf(values) & ~missing
    return (missing if missing.any() else None), (infinite if infinite.any() else None)


def _is_text(type_: pa.DataType) -> bool:
    value_type = type_.value_type if pa.types.is_dictionary(type_) else type_
    return not (pa.types.is_integer(value_type) or pa.types.is_floating(value_type) or pa.types.is_boolean(value_type))


def _as_floats(values: Values) -> Floats:
    return values.astype(np.float64, copy=False)


def _at(rows: Codes, of: int) -> Mask:
    where = np.zeros(of, dtype=np.bool_)
    where[rows] = True
    return where


def columns_read(design: FitDesign, rows: RowSources) -> Iterable[str]:
    """Return the names of the columns that a decoder reads, each once."""
    names = [number.column for number in design.numbers]
    names += [level.column for level in design.levels]
    names += [rows.target.column, *flags_of(design)]
    names += [source.column for source in (rows.weight, rows.offset) if source is not None]
    return dict.fromkeys(names)
