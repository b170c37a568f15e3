"""What writes numbers, cells and values that are used several times in a dialect of SQL."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from itertools import count

from pipeline.conversion.sql.dialects import SqlDialect, can_occur
from pipeline.errors import ModelError
from pipeline.models.logistic.file import ClassName
from pipeline.units import escape

# Where arithmetic raises errors, what is added counts as infinite from here on: no sum of a model that a file can hold
# overflows, and no probability changes.
LIMIT = 1e300
# No result of arithmetic is larger, or smaller without being 0.
LARGEST, SMALLEST = 1.797e308, 5e-324
# Up to so many characters a value is written again where it is used again.
SHORT = 100


@dataclass
class SqlWriter:
    """Writes values in a dialect. A long value that is used several times gets a name, so that the text stays short.

    Attributes
    ----------
    dialect : SqlDialect
    columns : collection of str
        The columns of the model, whose names no other value gets.
    cells : dict of str to str
        The names of what is computed from the cells of a row.
    """

    dialect: SqlDialect
    columns: InitVar[Iterable[str]] = ()
    cells: dict[str, str] = field(default_factory=dict)
    names: Iterator[str] = field(init=False)

    def __post_init__(self, columns: Iterable[str]) -> None:
        taken = {column.casefold() for column in columns}
        self.names = (name for place in count(1) if (name := f"x{place}") not in taken)

    def number(self, value: float) -> str:
        """Return a number of the model as a literal."""
        if self.dialect.raises and abs(value) > LIMIT:
            value = math.copysign(math.inf, value)
        return self.exactly(value)

    def exactly(self, value: float) -> str:
        """Return a float as a literal, however large it is."""
        return f"CAST('{_digits(value)}' AS {self.dialect.double})"

    def cell(self, text: str) -> str:
        """Return how to refer to what is computed from the cells of a row."""
        if not self.dialect.cells_first:
            return text
        if text not in self.cells:
            self.cells[text] = next(self.names)
        return self.cells[text]

    def with_cells(self, text: str) -> str:
        """Return a whole expression, with the cells that it refers to."""
        if not self.cells:
            return text
        named = [f"{cell} AS {name}" for cell, name in self.cells.items()]
        rows = [f"(SELECT {', '.join(some)} OFFSET 0) AS cells_{place}" for place, some in _in_lists(named)]
        return f"(SELECT {text} FROM {', '.join(rows)})"  # noqa: S608 - names and texts are quoted

    def let(self, value: str, body: Callable[[str], str]) -> str:
        """Return a body that uses a value several times."""
        return self.lets([value], lambda values: body(values[0]))

    def lets(self, values: Sequence[str], body: Callable[[Sequence[str]], str]) -> str:
        """Return a body that uses values several times."""
        if max(map(len, values)) <= SHORT:
            return body(values)
        names, whole = self.dialect.bind(next(self.names), values)
        return whole(body(names))

    def label(self, value: ClassName) -> str:
        """Return a class or a name as a literal.

        Raises
        ------
        ModelError
            No database can hold the text.
        """
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, float):
            return self.exactly(value)
        if isinstance(value, int):
            return str(value)
        if not can_occur(value):
            raise ModelError(f'"{escape(value)}" cannot be text in SQL', "give the class or the band another name")
        return self.dialect.text(value)

    def settled(self, policy: object, column: str, lack: str) -> str:
        """Return what a policy does with a cell, as a number."""
        if policy == "error":
            return self.dialect.failure(f"column {escape(column)}: {lack} value", self.dialect.name(column))
        return self.number(policy) if isinstance(policy, float) else "NULL"


def _in_lists(named: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield some of the columns at a time, with a number: PostgreSQL takes no more than 1,664 in a SELECT."""
    for place, start in enumerate(range(0, len(named), 1000), 1):
        yield place, named[start : start + 1000]


def _digits(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return repr(value) if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


# What writes a column.
Column = Callable[[SqlWriter], str]
