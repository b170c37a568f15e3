"""The columns of a model as ``DataDictionary`` and ``MiningSchema``."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from pipeline.conversion.formula import check_policies
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.levels import LevelType, level_value
from pipeline.models.logistic.expression import (
    Arithmetic,
    Bins,
    Cell,
    ColumnValue,
    Constant,
    Expression,
    Key,
    Lookup,
    cells,
)
from pipeline.models.logistic.policies import Level
from pipeline.units import escape

_TYPES: dict[LevelType, str] = {"text": "string", "boolean": "boolean", "integer": "integer", "number": "double"}
_INSTEAD = {
    "null": 'PMML has no result for such a row in one place and 0 in another: use "error", impute or a level',
    "quarantine": 'PMML sets no rows aside: use "error", impute or a level',
}


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """A column of the document: what reads it, and how it is declared."""

    name: str
    uses: tuple[Cell, ...]

    @property
    def keys(self) -> list[Key]:
        """How its levels choose numbers."""
        return [use for use in self.uses if isinstance(use, Key)]

    @property
    def is_number(self) -> bool:
        """Whether it is declared as a number."""
        return any(isinstance(use, Bins) or (isinstance(use, ColumnValue) and not use.boolean) for use in self.uses)

    @property
    def type(self) -> str:
        """Its data type."""
        if self.is_number:
            return "double"
        if any(isinstance(use, ColumnValue) for use in self.uses):
            return "boolean"
        return _TYPES[self.keys[0].type] if self.keys else "string"

    @property
    def levels(self) -> list[str] | None:
        """The levels that are valid, where others are errors; else ``None``."""
        strict = [key for key in self.keys if key.unseen == "error"]
        if not strict or self.is_number:
            return None
        first, *others = strict
        known = [level for level in first.levels if all(level in key.levels for key in others)]
        found = [level for level in known if is_of_type(level, first)]
        if not found:
            raise ModelError(
                f'no level of the column "{escape(self.name)}" is known to every feature that refuses unknown ones, '
                "so no row has a score",
                'use unseen "zero" or a level in one of them',
            )
        return found

    @property
    def refuses_missing(self) -> bool:
        """Whether a missing value is an error."""
        return any(getattr(use, "missing", None) == "error" for use in self.uses)


def is_of_type(level: str, key: Key) -> bool:
    """Return whether a level is one of the column; a policy may name one that is not of its type."""
    return key.type == "text" or level_value(level, key.type) is not None


def fields(trees: Sequence[Expression]) -> list[DeclaredColumn]:
    """Return the columns that trees read, in the order in which they are first read; refuse what PMML cannot say."""
    check_policies(trees, _INSTEAD, "PMML")
    found: dict[str, list[Cell]] = {}
    for use in (use for tree in trees for use in cells(tree)):
        found.setdefault(use.column, []).append(use)
    made = [DeclaredColumn(name, tuple(uses)) for name, uses in found.items()]
    for field in made:
        kinds = {field.is_number, *(not use.boolean for use in field.uses if isinstance(use, ColumnValue))}
        if len(kinds) > 1 and any(isinstance(use, ColumnValue) and use.boolean for use in field.uses):
            raise ModelError(
                f'the column "{escape(field.name)}" is a boolean in one feature and a number in another, '
                "which PMML cannot say",
                "use it as a boolean, or as a number",
            )
    return made


def is_plain(trees: Sequence[tuple[str, Expression]]) -> bool:
    """Return whether every feature is a column of its own, so that no derived field is needed."""
    names = [_plain_column(tree) for _, tree in trees]
    return all(names) and len(set(names)) == len(names) and [name for name, _ in trees] == names


def _plain_column(tree: Expression) -> str:
    if isinstance(tree, Arithmetic) and isinstance(tree.left, ColumnValue) and isinstance(tree.right, Constant):
        return "" if tree.left.boolean or tree.operator != "*" else tree.left.name
    if isinstance(tree, Lookup) and len(tree.keys) == 1:
        (key,) = tree.keys
        return key.column if all(is_of_type(level, key) for level in key.levels) else ""
    return tree.name if isinstance(tree, ColumnValue) and not tree.boolean else ""


def add_data_fields(parent: Element, columns: Sequence[DeclaredColumn], *, plain: bool) -> None:
    """Add a ``DataField`` for each column."""
    for column in columns:
        optype = "continuous" if column.is_number else "categorical"
        made = SubElement(parent, "DataField", name=column.name, optype=optype, dataType=column.type)
        levels = list(column.keys[0].levels) if plain and column.keys else column.levels
        for level in levels or ():
            SubElement(made, "Value", value=level)


def add_mining_fields(parent: Element, columns: Sequence[DeclaredColumn], *, plain: bool) -> None:
    """Add a ``MiningField`` for each column, with what happens to missing and unknown values."""
    for column in columns:
        given = {"name": column.name}
        if column.refuses_missing:
            given["missingValueTreatment"] = "returnInvalid"
        elif plain:
            given |= _replaced(column)
        if plain and column.keys:
            given |= _unknown(column.keys[0])
        SubElement(parent, "MiningField", given)


def _replaced(column: DeclaredColumn) -> dict[str, str]:
    (use,) = column.uses
    missing = getattr(use, "missing", None)
    value = missing.level if isinstance(missing, Level) else repr(float(missing))  # type: ignore[arg-type]
    return {"missingValueReplacement": value, "missingValueTreatment": "asValue"}


def _unknown(key: Key) -> dict[str, str]:
    if isinstance(key.unseen, Level):
        return {"invalidValueTreatment": "asValue", "invalidValueReplacement": key.unseen.level}
    return {"invalidValueTreatment": "asIs"} if key.unseen == "zero" else {}
