"""The inputs of a graph: the type of each column, from what the features do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from pipeline.conversion.onnx.graph import BOOL, DOUBLE, INT64, STRING
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.logistic.expression import Cell, ColumnValue, Expression, IsMissing, Key, cells
from pipeline.units import escape

# Types that cannot be missing, by the only use that a column has.
_FILLED = {"integer": INT64, "boolean": BOOL}


@dataclass(slots=True)
class _ColumnUse:
    """What a column is read as: ``number`` or a type of levels; and whether a missing value has an effect."""

    ways: set[str] = field(default_factory=set)
    missing: bool = False


def input_types(trees: Sequence[Expression]) -> dict[str, int]:
    """Return the type of each column, in the order in which the trees use them.

    Raises
    ------
    ModelError
        A column is text in one feature and something else in another.
    """
    uses: dict[str, _ColumnUse] = {}
    for tree in trees:
        for cell in cells(tree):
            use = uses.setdefault(cell.column, _ColumnUse())
            use.ways |= _ways(cell)
            # A word leaves the row without a score, whatever is there.
            use.missing |= isinstance(cell, IsMissing) or not isinstance(cell.missing, str)
    return {column: _type(column, use) for column, use in uses.items()}


def _ways(cell: Cell) -> set[str]:
    """Return how a cell is read; nothing where only whether it is missing counts."""
    if isinstance(cell, IsMissing):
        return set()
    if isinstance(cell, Key):
        return {cell.type}
    return {"boolean" if isinstance(cell, ColumnValue) and cell.boolean else "number"}


def _type(column: str, use: _ColumnUse) -> int:
    if "text" in use.ways:
        if len(use.ways) > 1:
            raise ModelError(
                f'column "{escape(column)}" has text levels in one feature and is read as a number in another',
                "a graph has one type for each input: use two columns",
            )
        return STRING
    (way, *others) = sorted(use.ways) or ["number"]
    return DOUBLE if others or use.missing else _FILLED.get(way, DOUBLE)
