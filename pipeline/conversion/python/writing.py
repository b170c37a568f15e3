"""A model as a Python module with one function, which needs nothing but the standard library."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.conversion.formula import Formula, formula
from pipeline.conversion.python import runtime
from pipeline.conversion.python.results import columns_of, literal, normalised
from pipeline.models.logistic.expression import (
    Arithmetic,
    Bins,
    Clipped,
    ColumnValue,
    Constant,
    Expression,
    FiniteOnly,
    FunctionCall,
    IsMissing,
    Key,
    Lookup,
    Numbers,
)
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.policies import Level
from pipeline.units import escape


def write(model: ModelFile) -> bytes:
    """Return the text of a module with the function ``score``, in UTF-8.

    Raises
    ------
    ModelError
        A column cannot be made in Python; the message names it.
    """
    writer = _ModuleWriter()
    columns = dict(columns_of(model))
    whole = formula(model)
    terms = [f"{writer.tree(node)}," for _, node in whole.contributions]
    body = _binary(writer, whole, terms) if model.classes is None else _of_classes(writer, model, whole, terms)
    function = [
        "def score(row=None, /, **columns):",
        f'    """Return {_listed(columns)} by name, each None where the row has no score.',
        "",
        "    The row is a mapping from column names to values, or the columns are keyword arguments. None and NaN are",
        "    missing. Raises KeyError for a column that is not there, ValueError for a value that the model refuses.",
        '    """',
        "    cells = RowCells(columns if row is None else row)",
        *body,
        "    if cells.is_null:",
        f"        return dict.fromkeys({tuple(columns)!r})",
        *([] if model.classes is None else [f"    probabilities = {normalised(model)}"]),
        "    return {",
        *(f"        {name!r}: {text}," for name, text in columns.items()),
        "    }",
    ]
    head = f'"""A logistic model, made by logitstream from the model {model.digest()}."""'
    tables = [f"{name} = {table}" for table, name in writer.tables.items()]
    lines = [head, _runtime(), *tables, "", "", *function, ""]
    return "\n".join(lines).encode()


def _listed(columns: Iterable[str]) -> str:
    return escape(", ".join(columns), 1000).replace("\\", "\\\\").replace('"', "'")


def _binary(writer: _ModuleWriter, whole: Formula, terms: list[str]) -> list[str]:
    base = f"    raw = added({writer.number(whole.base)}, terms)"
    return ["    terms = (", *(f"        {term}" for term in terms), "    )", base]


def _of_classes(writer: _ModuleWriter, model: ModelFile, whole: Formula, terms: list[str]) -> list[str]:
    return [
        "    raw = []",
        f"    for k in range({model.outputs}):",
        "        terms = (",
        *(f"            {term}" for term in terms),
        "        )",
        f"        raw.append(added({writer.number(whole.base)}, terms))",
    ]


def _runtime() -> str:
    """Return the source of the functions that each module has, without its docstring and notes for linters."""
    _, _, source = inspect.getsource(runtime).partition('"""\n')
    return re.sub("  # noqa:.*", "", source)


class _ModuleWriter:
    """Writes trees; tables of numbers get names, so that they are made once."""

    def __init__(self) -> None:
        self.tables: dict[str, str] = {}

    def table(self, text: str) -> str:
        return self.tables.setdefault(text, f"TABLE_{len(self.tables) + 1}")

    def number(self, value: Numbers) -> str:
        if isinstance(value, tuple):
            return f"{self.table(repr(value))}[k]"
        return literal(value)

    def tree(self, node: Expression) -> str:
        return _NODES[type(node)](self, node)


def _column(_: _ModuleWriter, node: ColumnValue) -> str:
    boolean = ", boolean=True" if node.boolean else ""
    return f"cells.number({node.name!r}, {node.missing!r}{boolean})"


def _arithmetic(writer: _ModuleWriter, node: Arithmetic) -> str:
    return f"({writer.tree(node.left)} {node.operator} {writer.tree(node.right)})"


def _function(writer: _ModuleWriter, node: FunctionCall) -> str:
    return f"{node.name}({writer.tree(node.argument)})"


def _clip(writer: _ModuleWriter, node: Clipped) -> str:
    return f"clip({writer.tree(node.argument)}, {node.low!r}, {node.high!r})"


def _checked(writer: _ModuleWriter, node: FiniteOnly) -> str:
    column = node.column
    return f"cells.checked({column.name!r}, {writer.tree(column)}, {writer.tree(node.result)})"


def _bins(writer: _ModuleWriter, node: Bins) -> str:
    edges, values = writer.table(repr(node.edges)), _numbers(writer, node.values)
    missing = repr(node.missing) if isinstance(node.missing, str) else writer.number(node.missing)
    return f"cells.binned({node.column!r}, {edges}, {values}, {missing})"


def _numbers(writer: _ModuleWriter, values: tuple[Numbers, ...]) -> str:
    if not any(isinstance(value, tuple) for value in values):
        return writer.table(repr(values))
    return f"{writer.table(repr(tuple(zip(*map(_several, values), strict=True))))}[k]"


def _several(value: Numbers) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_missing(_: _ModuleWriter, node: IsMissing) -> str:
    return f"cells.missing({node.column!r})"


def _lookup(writer: _ModuleWriter, node: Lookup) -> str:
    keys = ", ".join(_key(writer, key) for key in node.keys)
    table = writer.table(repr(dict(node.values)))
    several = any(isinstance(value, tuple) for value in node.values.values())
    return f"chosen({table}, ({keys},){', k' if several else ''})"


def _key(writer: _ModuleWriter, key: Key) -> str:
    known = writer.table(f"RowLevels({key.type!r}, {key.levels!r}, {key.by_value if key.type != 'text' else {}!r})")
    missing, unseen = (
        ("level", policy.level) if isinstance(policy, Level) else (policy, None) for policy in (key.missing, key.unseen)
    )
    return f"cells.level({key.column!r}, {known}, {missing!r}, {unseen!r})"


_NODES: Mapping[type, Callable[[_ModuleWriter, Any], str]] = {
    ColumnValue: _column,
    Constant: lambda writer, node: writer.number(node.value),
    Arithmetic: _arithmetic,
    FunctionCall: _function,
    Clipped: _clip,
    FiniteOnly: _checked,
    Bins: _bins,
    IsMissing: _is_missing,
    Lookup: _lookup,
}
