"""The values of a target as classes: which of them is positive, and in which type a model file has them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from pipeline.dataclass import dataclass
from pipeline.errors import DataError, UsageError
from pipeline.models.levels import spelled_type, value_of
from pipeline.units import escape, format_count, nearest

_SHOWN = 8

Class = bool | int | str


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a fit.

    Attributes
    ----------
    values : tuple of bool, int or str
        The negative one first where there are two; else in their order.
    spellings : tuple of str
        How the data spells each of them.
    """

    values: tuple[Class, ...]
    spellings: tuple[str, ...]


def classes_of(target: str, rows: Mapping[str, int], held: Collection[str], positive: str | None) -> Classes:
    """Return the classes of a target.

    Parameters
    ----------
    target : str
        The column.
    rows : mapping of str to int
        How many rows that are fitted have each value, by its spelling; at least one.
    held : collection of str
        The values of rows that are held out.
    positive : str or None
        The value that was named as the positive class.

    Raises
    ------
    DataError
        There is one class, a value is a fraction or has several spellings, or is only in rows that are held out.
    UsageError
        The positive class is not a value, or there are more than two.
    """
    name = escape(target)
    typed = _typed(target, sorted({*rows, *held}))
    ordered = sorted(rows, key=lambda spelling: _order(typed[spelling]))
    if len(rows) == 1:
        raise DataError(
            f"column {name}: the target has one class, {_shown(ordered)}, in all {format_count(rows[ordered[0]])} rows",
            "a model needs two: check the column, and which rows --holdout and --missing leave out",
        )
    if unknown := sorted(set(held) - rows.keys()):
        raise DataError(
            f"column {name}: the target has the class {_shown(unknown[:1])} only in rows that are held out",
            "hold out other rows (--holdout), or leave these out",
        )
    if positive is not None:
        return _with_positive(name, ordered, typed, positive)
    return Classes(tuple(typed[spelling] for spelling in ordered), tuple(ordered))


def positive_note(target: str, values: tuple[Class, ...]) -> str:
    """Return which class is positive where that was not named and does not go without saying; empty otherwise."""
    if len(values) != 2 or values in {(False, True), (0, 1)}:
        return ""
    return f"{escape(str(values[1]))} is the positive class of {escape(target)}; --positive chooses the other"


def _with_positive(name: str, ordered: Sequence[str], typed: Mapping[str, Class], positive: str) -> Classes:
    if len(ordered) > 2:
        raise UsageError(
            f"--positive {escape(positive)}: the target {name} has {format_count(len(ordered))} classes, "
            f"{_shown(ordered)}",
            "leave --positive out for a model of all classes, or make the target one of two values",
        )
    found = [spelling for spelling in ordered if _is(typed[spelling], spelling, positive)]
    if not found:
        raise UsageError(
            f"--positive {escape(positive)}: the target {name} has the values {_shown(ordered)}"
            f"{nearest(positive, ordered)}",
            "name one of them",
        )
    pair = (*(spelling for spelling in ordered if spelling != found[0]), found[0])
    return Classes(tuple(typed[spelling] for spelling in pair), pair)


def _is(value: Class, spelling: str, text: str) -> bool:
    """Return whether a text names a class."""
    if spelling == text:
        return True
    if isinstance(value, bool):
        return value_of(text, "boolean") is value
    return isinstance(value, int) and value_of(text, "integer") == str(value)


def _typed(target: str, spellings: Sequence[str]) -> dict[str, Class]:
    """Return the values that spellings mean; several spellings of one value are an error."""
    type_ = spelled_type(spellings)
    if type_ == "boolean":
        return {text: text == "true" for text in spellings}
    if type_ == "integer":
        return {text: int(text) for text in spellings}
    if type_ == "text" and not all(map(_is_float, spellings)):
        words = {text.lower() for text in spellings}
        if words <= {"true", "false"} and len(words) < len(spellings):
            raise _several_ways(target, spellings, f"; --type {escape(target)}=bool reads a CSV so")
        return dict(_texts(spellings))
    for text in spellings:
        if not (math.isfinite(float(text)) and float(text).is_integer()):
            raise DataError(
                f"column {escape(target)}: the target has the value {escape(text)}, which is not a class",
                "a target has whole numbers, booleans or text; make classes of numbers first",
            ).at(column=target)
    values: dict[str, Class] = {text: int(float(text)) for text in spellings}
    if len(set(values.values())) < len(values):
        raise _several_ways(target, spellings)
    return values


def _several_ways(target: str, spellings: Sequence[str], remedy: str = "") -> DataError:
    return DataError(
        f"column {escape(target)}: the target spells one value in several ways, {_shown(spellings)}",
        f"write each value in one way in all files{remedy}",
    ).at(column=target)


def _texts(spellings: Sequence[str]) -> Mapping[str, Class]:
    return {text: text for text in spellings}


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _order(value: Class) -> tuple[int, int, str]:
    """Return what classes are sorted by: numbers by value, texts by spelling."""
    return (0, int(value), "") if isinstance(value, bool | int) else (1, 0, value)


def _shown(spellings: Sequence[str]) -> str:
    more = f" and {format_count(len(spellings) - _SHOWN)} more" if len(spellings) > _SHOWN else ""
    return ", ".join(f"'{escape(each)}'" for each in spellings[:_SHOWN]) + more


def weights_of(
    classes: Classes, given: Mapping[str, float] | str | None, rows: Mapping[str, float]
) -> tuple[float, ...]:
    """Return the weight of each class: 1 unless they are given, or balanced so that all classes weigh the same.

    Raises
    ------
    UsageError
        A weight is given for something that is not a class.
    """
    total, count = sum(rows.values()), len(classes.spellings)
    if given is None:
        return (1.0,) * count
    if isinstance(given, str):
        return tuple(total / (count * rows[spelling]) if rows[spelling] else 1.0 for spelling in classes.spellings)
    weights = []
    named = set()
    for value, spelling in zip(classes.values, classes.spellings, strict=True):
        found = [text for text in given if _is(value, spelling, text)]
        named.update(found)
        weights.append(given[found[0]] if found else 1.0)
    if others := sorted(set(given) - named):
        raise UsageError(
            f"--class-weight {escape(others[0])}: the target has no such class; its classes are "
            f"{_shown(classes.spellings)}",
            "name classes of the target, or write balanced",
        )
    return tuple(weights)
