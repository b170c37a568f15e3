"""Levels in SQL: which one a cell is, by its spelling and by its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.conversion.sql.dialects import can_occur
from pipeline.conversion.sql.writer import SqlWriter
from pipeline.models.levels import level_value
from pipeline.models.logistic.expression import Key
from pipeline.models.logistic.policies import Level

_INTEGER = "([+]|(-))?0*(0|[1-9][0-9]*)([.]0*)?"
_NUMBER = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)"
# A longer number may be beyond float64, for which some dialects raise an error.
_LONGEST_NUMBER = 300


def lacks(writer: SqlWriter, column: str) -> str:
    """Return the test whether a column of any type is null or NaN."""
    dialect = writer.dialect
    is_nan = f"{dialect.is_float(column)} AND {dialect.spelled(column)} = {dialect.nan}"
    return f"({dialect.name(column)} IS NULL OR ({is_nan}))"


def by_level(writer: SqlWriter, key: Key, values: Mapping[str, str], zero: str) -> str:
    """Return the value of the level that a cell has."""

    def settled(policy: str | Level, lack: str) -> str:
        if isinstance(policy, Level):
            return values[policy.level]
        return zero if policy == "zero" else writer.settled(policy, key.column, lack)

    missing, unseen = settled(key.missing, "missing"), settled(key.unseen, "unseen")
    found = _SPELLED[key.type](writer, key, values, unseen)
    return (
        found
        if missing == unseen == "NULL"
        else f"CASE WHEN {lacks(writer, key.column)} THEN {missing} ELSE {found} END"
    )


def _cases(writer: SqlWriter, cell: str, values: Mapping[str, str], otherwise: str) -> str:
    cases = (f"WHEN {writer.dialect.text(level)} THEN {value}" for level, value in values.items() if can_occur(level))
    listed = " ".join(cases)
    # A CASE without WHEN is an error.
    return f"CASE {cell} {listed} ELSE {otherwise} END" if listed else otherwise


def _as_text(writer: SqlWriter, key: Key, values: Mapping[str, str], unseen: str) -> str:
    return _cases(writer, writer.dialect.spelled(key.column), values, unseen)


def _as_boolean(writer: SqlWriter, key: Key, values: Mapping[str, str], unseen: str) -> str:
    spellings = {True: ("true", "1"), False: ("false", "0")}
    cell = writer.dialect.spelled(key.column)
    read = {text: values[level] for value, level in key.by_value.items() for text in spellings[bool(value)]}
    return _cases(writer, cell, values, _cases(writer, f"lower({cell})", read, unseen))


def _as_integer(writer: SqlWriter, key: Key, values: Mapping[str, str], unseen: str) -> str:
    cell = writer.dialect.spelled(key.column)
    read = {str(value): values[level] for value, level in key.by_value.items()}
    if "0" in read:
        read["-0"] = read["0"]
    # What is spelled as its value is found by value.
    spelled = {level: value for level, value in values.items() if level_value(level, "integer") != level}
    canonical = writer.dialect.replaced(cell, _INTEGER)
    return _cases(writer, cell, spelled, _cases(writer, canonical, read, unseen))


def _as_number(writer: SqlWriter, key: Key, values: Mapping[str, str], unseen: str) -> str:
    dialect = writer.dialect
    cell = dialect.spelled(key.column)
    number = (
        f"CASE WHEN length({cell}) <= {_LONGEST_NUMBER} AND {dialect.matches(cell, _NUMBER)} "
        f"THEN CAST({cell} AS {dialect.double}) END"
    )
    read = (f"WHEN {writer.number(float(value))} THEN {values[level]}" for value, level in key.by_value.items())
    return _cases(writer, cell, values, f"CASE {number} {' '.join(read)} ELSE {unseen} END")


_SPELLED: Mapping[str, Callable[[SqlWriter, Key, Mapping[str, str], str], str]] = {
    "text": _as_text,
    "boolean": _as_boolean,
    "integer": _as_integer,
    "number": _as_number,
}
