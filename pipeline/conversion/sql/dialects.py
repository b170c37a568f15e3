"""How SQL databases differ, as far as a model is concerned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape


def can_occur(text: str) -> bool:
    """Return whether a database can hold a text: it has no NUL."""
    return "\0" not in text


# From a name and values: how each of them is called, and what makes an expression of one that calls them so.
Binding = Callable[[str, Sequence[str]], tuple[list[str], Callable[[str], str]]]


def _by_subquery(name: str, values: Sequence[str]) -> tuple[list[str], Callable[[str], str]]:
    names = [name] if len(values) == 1 else [f"{name}_{place}" for place in range(1, len(values) + 1)]
    named = ", ".join(f"{value} AS {each}" for value, each in zip(values, names, strict=True))
    # Without OFFSET the planner would put the values in place of their names again.
    return names, lambda body: f"(SELECT {body} FROM (SELECT {named} OFFSET 0) AS of_{name})"  # noqa: S608 - quoted


def _by_list(name: str, values: Sequence[str]) -> tuple[list[str], Callable[[str], str]]:
    if len(values) == 1:
        return [name], lambda body: f"list_transform([{values[0]}], lambda {name}: {body})[1]"
    names = [f"{name}[{place}]" for place in range(1, len(values) + 1)]
    return names, lambda body: f"list_transform([[{', '.join(values)}]], lambda {name}: {body})[1]"


def _by_array(name: str, values: Sequence[str]) -> tuple[list[str], Callable[[str], str]]:
    if len(values) == 1:
        return [name], lambda body: f"transform(array({values[0]}), {name} -> {body})[0]"
    names = [f"{name}[{place}]" for place in range(len(values))]
    return names, lambda body: f"transform(array(array({', '.join(values)})), {name} -> {body})[0]"


def _in_lower_ascii(name: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in name)


def _in_63_bytes(name: str) -> str:
    return name.encode()[:63].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """A dialect of SQL.

    Attributes
    ----------
    title : str
        What people call it.
    double, characters : str
        Its types for float64 and for text.
    quote : str
        The character around names.
    floats : tuple of str
        What ``type_of`` returns for columns that may hold NaN.
    type_of : str
        The type of an expression as text, with a place for it.
    nan : str
        NaN as text, a literal.
    group : str
        The text for groups 2 and 3 in a replacement.
    match, end : str
        The test whether a text matches a pattern, with places for both, and the end of a text in a pattern.
    fail : str
        What ends the query in place of a number, with a place for the message.
    round : str
        The nearest whole number, halves to even, with a place for the number.
    known_as : callable
        What the database makes of a name: it cannot tell columns apart for which that is the same.
    bind : callable
        Gives a name to values that are used several times; see ``Binding``.
    raises : bool
        Whether overflow and underflow are errors.
    cells_first : bool
        Whether what is computed from the cells of a row gets its names in one place before everything else, because
        inside a binding the columns of the table are out of reach, or computed again.
    backslashes : bool
        Whether a backslash in a literal is an escape.
    remarks : tuple of str
        Lines for the head of a file.
    """

    title: str
    double: str
    characters: str
    quote: str
    floats: tuple[str, ...]
    type_of: str
    nan: str
    group: str
    match: str
    end: str
    fail: str
    round: str
    known_as: Callable[[str], str]
    bind: Binding
    raises: bool = False
    cells_first: bool = False
    backslashes: bool = False
    remarks: tuple[str, ...] = ()

    def name(self, column: str) -> str:
        """Return the name of a column, quoted.

        Raises
        ------
        ModelError
            No column can have it.
        """
        if not can_occur(column):
            raise ModelError(
                f'column "{escape(column)}": a name in SQL has no NUL',
                "give the column another name in the model and in the data",
            )
        return self.quote + column.replace(self.quote, 2 * self.quote) + self.quote

    def check_apart(self, columns: Iterable[str]) -> None:
        """Raise an error where the database cannot tell two columns apart: it would read one of them twice."""
        found: dict[str, str] = {}
        for column in columns:
            other = found.setdefault(self.known_as(column), column)
            if other != column:
                raise ModelError(
                    f'{self.title} cannot tell the columns "{escape(other)}" and "{escape(column)}" apart',
                    "give one of them another name",
                )

    def text(self, value: str) -> str:
        """Return a text as a literal."""
        if self.backslashes:
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return "'" + value.replace("'", "''") + "'"

    def spelled(self, column: str) -> str:
        """Return a column as text."""
        return f"CAST({self.name(column)} AS {self.characters})"

    def is_float(self, column: str) -> str:
        """Return the test whether a column can hold NaN."""
        types = ", ".join(self.text(each) for each in self.floats)
        return f"{self.type_of.format(self.name(column))} IN ({types})"

    def matches(self, text: str, pattern: str) -> str:
        """Return the test whether a whole text matches a pattern."""
        return self.match.format(text, self.text(f"^({pattern}){self.end}"))

    def replaced(self, text: str, pattern: str) -> str:
        """Return groups 2 and 3 of a pattern that a whole text matches, and another text as it is."""
        return f"regexp_replace({text}, {self.text(f'^{pattern}{self.end}')}, {self.text(self.group)})"

    def rounded(self, number: str) -> str:
        """Return the nearest whole number, a half to the even one."""
        return self.round.format(number)

    def failure(self, message: str, column: str) -> str:
        """Return what ends the query with a message and the text of an expression."""
        cell = f"COALESCE(CAST({column} AS {self.characters}), 'NULL')"
        return self.fail.format(f"CONCAT({self.text(f'{message}: ')}, {cell})")


DIALECTS: Mapping[str, SqlDialect] = {
    "duckdb": SqlDialect(
        title="DuckDB",
        double="DOUBLE PRECISION",
        characters="VARCHAR",
        quote='"',
        floats=("FLOAT", "DOUBLE"),
        type_of="typeof({})",
        nan="'nan'",
        group=r"\2\3",
        match="regexp_matches({}, {})",
        end=r"\z",
        fail="error({})",
        round="round_even({}, 0)",
        known_as=_in_lower_ascii,
        bind=_by_list,
        remarks=("Needs DuckDB 1.3 or newer.",),
    ),
    "postgresql": SqlDialect(
        title="PostgreSQL",
        double="DOUBLE PRECISION",
        characters="TEXT",
        quote='"',
        floats=("real", "double precision", "numeric"),
        type_of="CAST(pg_typeof({}) AS TEXT)",
        nan="'NaN'",
        group=r"\2\3",
        match="{} ~ {}",
        end=r"\Z",
        fail="CAST({} AS DOUBLE PRECISION)",
        round="round({})",
        known_as=_in_63_bytes,
        bind=_by_subquery,
        raises=True,
        cells_first=True,
        remarks=(
            "What is added counts as infinite beyond 1e300: PostgreSQL raises an error where a sum overflows.",
            "Cast a boolean column of a numeric feature to integer first.",
        ),
    ),
    "spark": SqlDialect(
        title="Spark",
        double="DOUBLE",
        characters="STRING",
        quote="`",
        floats=("float", "double"),
        type_of="typeof({})",
        nan="'NaN'",
        group="$2$3",
        match="{} RLIKE {}",
        end=r"\z",
        fail="CAST(raise_error({}) AS DOUBLE)",
        round="rint({})",
        known_as=str.lower,
        bind=_by_array,
        backslashes=True,
    ),
}
