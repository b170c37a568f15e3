"""What can follow on a command line: columns of its inputs, functions, words of a list, paths.

Each function here answers for one kind of parameter. Click calls it with the context of what was typed so far, the
parameter, and the beginning of its value. After a completion of type ``part`` the shell adds no space; for the type
``file`` it completes the path itself.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator

import click
from click.shell_completion import CompletionItem

from pipeline.registry import FUNCTIONS, LAYER_FUNCTIONS

Items = list[CompletionItem]
Completer = Callable[[click.Context, click.Parameter, str], Items]

PLAIN, PART, FILE = "plain", "part", "file"

TYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float32", "float64", "double", "string", "date32"),
    *(f"timestamp[{unit}{zone}]" for zone in ("", ", UTC") for unit in ("s", "ms", "us", "ns")),
    *("time32[s]", "time32[ms]", "time64[us]", "time64[ns]"),
)

# The options that say how to read a CSV.
_CSV = ("delimiter", "quote", "escape", "encoding", "columns", "skip_lines", "comment")

# The names before the last comma that is not within quotes.
_LISTED = re.compile(r'(?:(?:"(?:[^"]|"")*+"|[^",])*+,)*+')
# NAME= before a function, and the arguments before the last one.
_NAMED = re.compile(r'\s*(?:(?:"(?:[^"]|"")*+"\s*|[^="(]*+)=\s*)?')
_ARGUMENTS = re.compile(r'(?:(?:"(?:[^"]|"")*+"|[^",])*+,\s*)*+')
# Features before the last name in a list of them.
_BEFORE_NAME = re.compile(r'(?:(?:"(?:[^"]|"")*+"|[^",:*(])*+[,:*(]\s*)*+')
_UNITS = re.compile(r"(?:[^,]*,)*\s*[0-9]+\s+")
_CALLED = re.compile(r"(\w+)\(\s*\Z")
_OF_COLUMNS = ("B", "C", "M")
_OF_NUMBERS = ("clip", "log", "log1p", "sqrt", "square")
_UNQUOTED = re.compile(r"[^\W\d][\w.]*")


def files(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Let the shell complete a path."""
    return [CompletionItem(incomplete, type=FILE)]


def words(*known: str) -> Completer:
    """Return the completer of a list of words. A word that ends in ``=`` or ``/`` needs more behind it."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
        return _items(known, incomplete)

    return complete


def functions(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the name of a function."""
    return _items(FUNCTIONS, incomplete)


def columns(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Complete the last of several column names separated by commas."""
    head, last = _split(_LISTED, incomplete)
    listed = next(csv.reader([head]), [])
    names = (name for name in _columns(ctx) if name not in listed)
    return _items((head + _in_list(name, last) for name in names), incomplete)


def column(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Complete one column name."""
    return _items(_columns(ctx), incomplete)


def columns_with(*known: str, alone: tuple[str, ...] = ()) -> Completer:
    """Return the completer of a column name, then ``=`` and a word; or of a word ``alone``."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
        name, equals, _start = incomplete.rpartition("=")
        if equals:
            return _items((f"{name}={word}" for word in known), incomplete)
        return _items((*alone, *(f"{column}=" for column in _columns(ctx))), incomplete)

    return complete


def features(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Complete the last name of a list of features: a column, in quotes where it needs them, or a function."""
    head, last = _split(_BEFORE_NAME, incomplete)
    inside = _CALLED.search(head)
    function = inside[1] if inside else ""
    end = ")" * (head.count("(") - head.count(")")) if function != "clip" else ","
    columns = (
        name if _UNQUOTED.fullmatch(name) and not last.startswith('"') else _quoted(name) for name in _columns(ctx)
    )
    calls = () if function in _OF_COLUMNS else _OF_NUMBERS if function else (*_OF_COLUMNS, *_OF_NUMBERS)
    return _items((*(f"{head}{name}{end}" for name in columns), *(f"{head}{call}(" for call in calls)), incomplete)


def layers(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Complete the function of the last layer of a list, behind its units: ``64 sigmoid, 32 ta``."""
    units, _typed = _split(_UNITS, incomplete)
    return _items((f"{units}{name}" for name in LAYER_FUNCTIONS if units), incomplete)


def typed_columns(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Complete a column name, then ``=`` and an Arrow type."""
    name, equals, _start = incomplete.rpartition("=")
    if equals:
        return _items((f"{name}={kind}" for kind in TYPES), incomplete)
    return _items((f"{column}=" for column in _columns(ctx)), incomplete)


def renamed_columns(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Complete the name of a column that gets a new one, with ``=``."""
    names = (*_columns(ctx), "probability", "raw_prediction", "decision") if "model" in _named(ctx) else _columns(ctx)
    return _items((f"{name}=" for name in dict.fromkeys(names)), incomplete)


def column_limits(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Complete a column name, then ``=``; the percentage behind it is free."""
    return _items((f"{column}=" for column in _columns(ctx)), incomplete)


def applications(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Complete ``NAME=FUNCTION(COLUMN, parameter=number)``: the function, its columns, its parameters."""
    name, call = _split(_NAMED, incomplete)
    function, opened, inside = call.partition("(")
    if opened:
        return _items(_calls(ctx, name, function, inside), incomplete)
    found = [known for known in FUNCTIONS if known.startswith(function)]
    whole = list(_calls(ctx, name, found[0], "")) if len(found) == 1 else []
    return _items(whole or [f"{name}{known}(" for known in found], incomplete)


def _calls(ctx: click.Context, name: str, function: str, inside: str) -> Iterator[str]:
    entry = FUNCTIONS[function]
    head, last = _split(_ARGUMENTS, inside)
    # A function of several columns takes two or more.
    ends = (",)" if head else ",") if entry.several else ("" if head else ")")
    for column in _columns(ctx) if ends else ():
        shown = column if _UNQUOTED.fullmatch(column) and not last.startswith('"') else _quoted(column)
        yield from (f"{name}{function}({head}{shown}{end}" for end in ends)
    if head:
        yield from (f"{name}{function}({head}{parameter}=" for parameter in entry.defaults)


def _named(ctx: click.Context) -> set[str | None]:
    return {param.name for param in ctx.command.params}


def _columns(ctx: click.Context) -> tuple[str, ...]:
    """Return the names of the columns of the inputs on the command line."""
    from jobs.options.columns import Csv, column_names  # noqa: PLC0415 - for shells alone

    paths: list[str] = []
    for param in ctx.command.params:
        if isinstance(param, click.Argument) and getattr(param, "is_path", False):
            value = ctx.params.get(str(param.name)) or ()
            paths += [value] if isinstance(value, str) else value
    known = {name: ctx.params[name] for name in _CSV if ctx.params.get(name) is not None}
    expanded = (os.path.expanduser(os.path.expandvars(path)) for path in paths)  # noqa: PTH111 - never fails
    return column_names(expanded, Csv(**known))


def _items(texts: Iterable[str], incomplete: str) -> Items:
    found = (text for text in texts if text.startswith(incomplete) and text.isprintable())
    return [CompletionItem(text, type=PART if text[-1:] in "=/(," else PLAIN) for text in found]


def _split(before: re.Pattern[str], text: str) -> tuple[str, str]:
    match = before.match(text)
    end = match.end() if match else 0
    return text[:end], text[end:]


def _in_list(name: str, typed: str) -> str:
    odd = typed.startswith('"') or name.strip() != name or any(sign in name for sign in ',"')
    return _quoted(name) if odd else name


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
