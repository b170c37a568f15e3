"""Arguments of the public functions: checked, and turned into what jobs are made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, TypeVar

from pipeline.choices import ABSENT, FORMAT
from pipeline.errors import UsageError
from pipeline.execute import choose_scheduler
from pipeline.options import ReadOptions
from pipeline.scan import HowToScan
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import BadLimit, ShareLimits
from pipeline.units import escape, is_text, parse_bad_limit, parse_chunk_size, parse_share_limit, quoted

Value = TypeVar("Value")

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def at_least(least: int, name: str, value: Value) -> Value:
    """Return the value of an option; a number below the least is a UsageError."""
    if isinstance(value, int) and value < least:
        raise UsageError(f"{name} is {value}: it must be at least {least}")
    return value


def paths_of(inputs: Paths, instead: str = "write a table to a file first") -> tuple[str, ...]:
    """Return one path or several as a tuple of text.

    Raises
    ------
    TypeError
        The inputs are a table in memory; the message ends with what to do ``instead``.
    """
    if isinstance(inputs, str | os.PathLike):
        return (os.fspath(inputs),)
    kind = type(inputs)
    if _is_table(inputs):
        raise TypeError(f"inputs is a {kind.__name__}, not paths of files; {instead}")
    if not isinstance(inputs, Iterable):
        raise TypeError(f"inputs is a {kind.__name__}; write the path of a file, or a list of paths")
    return tuple(_path_of(path, instead) for path in inputs)


def _path_of(path: object, instead: str) -> str:
    if isinstance(path, str | os.PathLike):
        return os.fspath(path)
    name = type(path).__name__
    if _is_table(path):
        raise TypeError(f"inputs has a {name} in it, not only paths of files; {instead}")
    raise TypeError(f"inputs has a {name} in it; write the path of a file as text")


def _is_table(value: object) -> bool:
    kind = type(value)
    has_columns = hasattr(kind, "columns") and hasattr(kind, "__getitem__")
    return has_columns or getattr(value, "ndim", 1) > 1 or isinstance(value, Mapping)


def check_columns_types(types: object) -> None:
    """Raise a TypeError if the Arrow types of columns are no mapping."""
    if types is not None and not isinstance(types, Mapping):
        shown = 'write types={"COLUMN": "TYPE"}, such as {"active": "bool"}'
        raise TypeError(f"types is {shown_type(types)}, not a mapping; {shown}")


def check_whole(name: str, value: object) -> None:
    """Raise a TypeError if the value of an option is neither a whole number nor ``None``."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise TypeError(f"{name} is {shown_type(value)}; write a whole number, such as {name}=2")


def shown_type(value: object) -> str:
    """Return a value with its type, for a message."""
    return f"the {type(value).__name__} {escape(repr(value))}"


def csv_of(asked: ReadOptions) -> CsvOptions:
    """Return how CSV inputs are written, from options that are complete."""
    return CsvOptions.given(
        delimiter=asked["delimiter"],
        quote=asked["quote"],
        escape=asked["escape"],
        null=asked["null"],
        encoding=asked["encoding"],
        columns=asked["columns"],
        skip_lines=asked["skip_lines"],
        comment=asked["comment"],
        types=asked["types"],
        quoted_null=asked["quoted_null"],
        decimal=asked["decimal"],
        thousands=asked["thousands"],
    )


def memory_of(memory: int | str | None) -> str | None:
    """Return how much memory a run may use as a text; a number counts bytes."""
    return f"{memory}B" if isinstance(memory, int) else memory


def check_reading(asked: Mapping[str, Any]) -> None:
    """Check the options of a job that learns or measures: how its inputs are read, and with what.

    Raises
    ------
    UsageError
        An option cannot have that value.
    TypeError
        An option is of another type.
    """
    check_columns_types(asked["types"])
    for name in ("limit", "workers", "retries", "skip_lines"):
        check_whole(name, asked[name])
    for name in ("limit", "workers", "memory"):
        at_least(1, name, asked[name])
    at_least(0, "retries", asked["retries"])
    ABSENT.check(asked["absent"])


def reading_of(asked: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Return how the inputs of such a job are read, and with what, by the names that all of these jobs have for it.

    ``command`` is what the job does, for whoever watches a cluster.

    Raises
    ------
    UsageError
        A limit of bad rows, or the size of a chunk, cannot be read.
    """
    chunk_size, max_bad = str(asked["chunk_size"]), BadLimit(*parse_bad_limit(str(asked["max_bad"])))
    parse_chunk_size(chunk_size)
    scheduler, cluster = choose_scheduler(asked)
    how = HowToScan(
        memory=memory_of(asked["memory"]),
        workers=asked["workers"],
        scheduler=scheduler,
        cluster=cluster,
        retries=asked["retries"],
        bad_rows=max_bad.rows,
        command=command,
    )
    csv = csv_of(asked)  # type: ignore[arg-type]
    read = {"absent": asked["absent"], "limit": asked["limit"], "chunk_size": chunk_size}
    return {**read, "csv": csv, "max_bad": max_bad, "how": how}


def check_column(name: str, column: object) -> None:
    """Refuse what cannot be the name of a column; ``None`` may be.

    Raises
    ------
    TypeError
        It is no text.
    UsageError
        No file can have a column of that name.
    """
    if column is not None and not isinstance(column, str):
        raise TypeError(f'{name} is {shown_type(column)}, not the name of a column; write {name}="late"')
    check_text(name, column)


def check_text(name: str, value: str | None) -> None:
    """Refuse a text that no name of a column can be."""
    if value is not None and not (value and is_text(value)):
        raise UsageError(f"{name} is {quoted(value)}: it must be valid text", "name a column")


def share_limits(name: str, value: object) -> ShareLimits:
    """Return limits from a percentage, a mapping of columns to percentages, or a sequence of ``20%`` and ``c=20%``.

    Raises
    ------
    TypeError
        The value is something else.
    UsageError
        What should be a share is none, or there are two limits for one column.
    """
    if isinstance(value, Mapping):
        given = [(column, parse_share_limit(str(share))[1]) for column, share in value.items()]
    elif isinstance(value, str | Iterable):
        given = [parse_share_limit(str(text)) for text in ((value,) if isinstance(value, str) else value)]
    else:
        raise TypeError(f'{name} is {shown_type(value)}; write a percentage, such as {name}="20%"')
    columns = [column for column, _ in given]
    for column in columns:
        if columns.count(column) > 1:
            what = "two limits for all features" if column is None else f"two limits for {escape(column)}"
            raise UsageError(f"{name} has {what}", "give one")
    shares = dict(given)
    every = shares.pop(None, None)
    return ShareLimits(every, tuple(shares.items()))


def model_output_of(output: object) -> str | None:
    """Return the path of a model file that is to be written; ``None`` where none is.

    Raises
    ------
    TypeError
        It is no path.
    UsageError
        It has the name of a file of rows.
    """
    if not isinstance(output, str | os.PathLike | None):
        raise TypeError(f'output is {shown_type(output)}; write the path of a model file, such as output="m.json"')
    path = None if output is None else os.fspath(output)
    if path is not None and (not path or path.endswith(tuple(f".{kind}" for kind in FORMAT.words))):
        raise UsageError(f"{quoted(path)} cannot be the output: a model file is JSON", "give it a name such as m.json")
    return path
