"""The features of a network: columns that become its inputs, numbers standardised and levels one-hot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, Discriminator, Field, Strict, Tag

from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask, Rows
from pipeline.models.levels import LevelType
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import Use
from pipeline.models.logistic.indicator import missing_flags
from pipeline.models.logistic.lookup import LevelCells, LevelLookup
from pipeline.models.logistic.numbers import NumberCells
from pipeline.models.logistic.numeric import Scale
from pipeline.models.logistic.policies import (
    MISSING_LEVEL,
    MISSING_NUMBER,
    UNSEEN_LEVEL,
    MissingLevel,
    MissingNumber,
    Policy,
    UnseenLevel,
)
from pipeline.models.logistic.sections import Name, Section, fault
from pipeline.models.network.sequences import SequenceInput
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.models.wording import show, tag

Floats = npt.NDArray[np.float64]
# Inputs of tiles: shape (tiles, inputs, rows of a tile), float32 or float64.
Tiles = npt.NDArray[Any]


class NumericInput(Section):
    """A column of numbers: one input, ``(value - center) / scale``."""

    column: Name
    kind: Literal["numeric"]
    boolean: bool = False
    center: float = 0.0
    scale: Scale = 1.0
    missing: MissingNumber = "null"

    @property
    def width(self) -> int:
        """How many inputs it makes."""
        return 1

    @property
    def use(self) -> Use:
        """What it wants of its column."""
        return Use(self.column, "boolean" if self.boolean else "numeric", (self.missing,))

    def prepare(self, batch: BatchColumns) -> PreparedInput:
        """Return the cells of a batch, with the policies applied."""
        cells = NumberCells.read(self.column, self.missing, batch, boolean=self.boolean)
        odd = _odd_rows(cells)
        return PreparedNumbers(self, cells, odd, cells.settled(odd, batch.tally) if odd.size else np.empty(0))


def _distinct(categories: tuple[str, ...]) -> tuple[str, ...]:
    first: dict[str, int] = {}
    for position, category in enumerate(categories):
        if first.setdefault(category, position) != position:
            raise fault("categories", f"{show(category)} is there twice", [position])
    return categories


class CategoricalInput(Section):
    """A column of levels: one input for each category, 1 for that of the row and 0 for the others."""

    column: Name
    kind: Literal["categorical"]
    categories: Annotated[tuple[str, ...], Strict(strict=False), Field(min_length=1), AfterValidator(_distinct)]
    levels: LevelType | None = None
    missing: MissingLevel = "null"
    unseen: UnseenLevel = "null"

    @property
    def width(self) -> int:
        """How many inputs it makes."""
        return len(self.categories)

    @cached_property
    def lookup(self) -> LevelLookup:
        """What finds the category of a cell."""
        positions = {category: position for position, category in enumerate(self.categories)}
        return LevelLookup(self.column, positions, self.levels, self.missing, self.unseen)

    @property
    def use(self) -> Use:
        """What it wants of its column."""
        policies = (self.missing, self.unseen)
        return Use(self.column, "categorical", policies, self.lookup.positions, self.lookup.type)

    def prepare(self, batch: BatchColumns) -> PreparedInput:
        """Return the cells of a batch, with the policies applied."""
        return PreparedCategories(self.lookup.read(batch), self.width)


class IndicatorInput(Section):
    """One input, ``(x - center) / scale``: x is 1 where a column is null or NaN, whatever it holds, and else 0."""

    column: Name
    kind: Literal["indicator"]
    center: float = 0.0
    scale: Scale = 1.0

    @property
    def width(self) -> int:
        """How many inputs it makes."""
        return 1

    @property
    def use(self) -> Use:
        """What it wants of its column."""
        return Use(self.column, "categorical", any_role=True)

    def prepare(self, batch: BatchColumns) -> PreparedInput:
        """Return where the column of a batch is missing."""
        return PreparedFlags(self, missing_flags(self.column, batch))


class AddedColumn(Section):
    """The offset of a network: a column of numbers that is added to the raw prediction as it is."""

    column: Name
    missing: MissingNumber = "null"

    @property
    def number(self) -> NumericInput:
        """The column as a feature reads it."""
        return NumericInput(column=self.column, kind="numeric", missing=self.missing)

    def values(self, batch: BatchColumns) -> Floats:
        """Return what is added to each row of a batch, with the policy applied; any number where there is no score."""
        rows = batch.tally.rows
        added = np.zeros((1, 1, rows))
        prepared = self.number.prepare(batch)
        if rows:
            prepared.fill(added, slice(0, rows), np.empty(rows))
        made: Floats = added[0, 0]
        return made


def _kind(value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return tag(kind) if isinstance(kind, str) else None


PlainInput = NumericInput | CategoricalInput | IndicatorInput
Input = PlainInput | SequenceInput
INPUTS: Mapping[str, type[Section]] = {
    "numeric": NumericInput,
    "categorical": CategoricalInput,
    "indicator": IndicatorInput,
    "sequence": SequenceInput,
}
AnyInput = Annotated[
    Annotated[NumericInput, Tag(tag("numeric"))]
    | Annotated[CategoricalInput, Tag(tag("categorical"))]
    | Annotated[IndicatorInput, Tag(tag("indicator"))]
    | Annotated[SequenceInput, Tag(tag("sequence"))],
    Discriminator(_kind),
]
# By the kind and the member.
POLICIES: Mapping[tuple[str, str], Policy] = {
    ("numeric", "missing"): MISSING_NUMBER,
    ("categorical", "missing"): MISSING_LEVEL,
    ("categorical", "unseen"): UNSEEN_LEVEL,
    ("sequence", "missing_step"): MISSING_NUMBER,
}
# Of the offset.
OFFSET_POLICIES: Mapping[tuple[str, str], Policy] = {("offset", "missing"): MISSING_NUMBER}


def input_values(feature: PlainInput, column: pa.Array) -> Floats:
    """Return the inputs that a column makes, shape (rows, width), in float64; NaN in a row that has none by policy."""
    tally, rows = RowTally(len(column)), len(column)
    batch = BatchColumns({feature.column: BatchColumn(0, feature.column, column, ".")}, tally, "fast")
    tiles = np.zeros((1, feature.width, rows))
    if rows:
        feature.prepare(batch).fill(tiles, slice(0, rows), np.empty(rows))
    for where in (tally.rejected,) if tally.null is None else (tally.null, tally.rejected):
        tiles[:, :, where] = np.nan
    made: Floats = tiles[0].T
    return made


class PreparedInput(Protocol):
    """The cells of a feature in a batch, with all policies applied."""

    @property
    def width(self) -> int:
        """How many inputs they make."""
        ...

    def fill(self, tiles: Tiles, rows: slice, scratch: Floats) -> None:
        """Write the inputs of some rows into tiles, shape (tiles, width, rows of a tile), full but for the last one.

        The tiles have zeros. ``scratch`` has room for the rows.
        """
        ...


@dataclass(frozen=True, eq=False)
class PreparedNumbers:
    """A batch of a numeric feature.

    Attributes
    ----------
    feature : NumericInput
    cells : NumberCells
    odd : ndarray of intp
        The rows in which a cell is null, NaN or infinite, ascending.
    values : ndarray of float64
        What these cells count as.
    """

    feature: NumericInput
    cells: NumberCells
    odd: Rows
    values: Floats

    @property
    def width(self) -> int:
        """One input."""
        return 1

    def fill(self, tiles: Tiles, rows: slice, scratch: Floats) -> None:
        """Write the standardised values: computed in float64, and rounded once."""
        numbers = scratch[: rows.stop - rows.start]
        numbers[:] = self.cells.values[rows]
        if self.odd.size:
            first, last = np.searchsorted(self.odd, (rows.start, rows.stop))
            numbers[self.odd[first:last] - rows.start] = self.values[first:last]
        if self.feature.center != 0:
            np.subtract(numbers, self.feature.center, out=numbers)
        if self.feature.scale != 1:
            np.divide(numbers, self.feature.scale, out=numbers)
        _write(tiles, numbers)


@dataclass(frozen=True, eq=False)
class PreparedFlags:
    """A batch of an indicator: where its column is missing."""

    feature: IndicatorInput
    missing: Mask

    @property
    def width(self) -> int:
        """One input."""
        return 1

    def fill(self, tiles: Tiles, rows: slice, scratch: Floats) -> None:  # noqa: ARG002 - a protocol
        """Write one of two numbers for each row: computed in float64, and rounded once."""
        is_there, is_missing = ((flag - self.feature.center) / self.feature.scale for flag in (0.0, 1.0))
        _write(tiles, np.where(self.missing[rows], is_missing, is_there))


@dataclass(frozen=True, eq=False)
class PreparedCategories:
    """A batch of a categorical feature with some categories."""

    cells: LevelCells
    width: int

    def fill(self, tiles: Tiles, rows: slice, scratch: Floats) -> None:  # noqa: ARG002 - a protocol
        """Write 1 where a row has a category; a row without one has zeros."""
        positions = self.cells.positions.take(self.cells.codes[rows], mode="clip")
        if self.cells.null is not None:
            positions[self.cells.null[rows]] = self.cells.positions[-1]
        size = tiles.shape[-1]
        (known,) = np.nonzero(positions < self.width)
        tiles[known // size, positions[known], known % size] = 1.0


def _write(tiles: Tiles, numbers: Floats) -> None:
    """Write a number for each row into the first input of tiles."""
    size = tiles.shape[-1]
    full = len(numbers) // size
    tiles[:full, 0] = numbers[: full * size].reshape(full, size)
    if full < len(tiles):
        tiles[full, 0, : len(numbers) - full * size] = numbers[full * size :]


def _odd_rows(cells: NumberCells) -> Rows:
    """Return the rows whose cells are not numbers that are used as they are."""
    odd = cells.null
    if cells.values.dtype.kind == "f" and not np.isfinite(cells.values).all():
        infinite = ~np.isfinite(cells.values)
        odd = infinite if odd is None else odd | infinite
    return np.empty(0, dtype=np.intp) if odd is None else np.flatnonzero(odd)
