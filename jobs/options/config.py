"""A job in a TOML file: one table for each command, with the names of the options as keys.

    [score]
    inputs = ["flights"]
    model = "delay_model.json"
    output = "scores"
    keep = ["flight_id"]
    chunk-size = "64MiB"

A path in the file is relative to the folder of the file, so that a job means the same wherever it is started.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from jobs.options.values import Count, Names, Quantity, Real, Share
from pipeline import disk
from pipeline.choices import listed
from pipeline.errors import ConfigurationError, PermissionDeniedError
from pipeline.options import ELSEWHERE
from pipeline.units import escape

TABLES = ("score", "transform", "fit", "fit-network", "calibrate", "evaluate")
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
}
_NOT_IN_FILES = {"config", "help"}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://")


def defaults(path: str, table: str, params: Iterable[click.Parameter]) -> dict[str, Any]:
    """Return the values in a file for a command, by parameter name.

    Raises
    ------
    ConfigurationError
        The file cannot be read, has no such table, an unknown key, or a value of the wrong type.
    PermissionDeniedError
        The user may not read the file.
    """
    document = _read(path)
    for name in document:
        if name not in TABLES:
            raise _unknown(path, f"table [{escape(name)}]" if _is_table(document[name]) else name, name, TABLES)
    if not _is_table(document.get(table)):
        raise ConfigurationError(f"{escape(path)} has no table [{table}]", f"write the options below a line [{table}]")
    known = {key(param): param for param in params if param.name not in _NOT_IN_FILES}
    values = {}
    for name, value in document[table].items():
        if name not in known:
            raise _unknown(path, f"[{table}] {name}", name, known)
        values[str(known[name].name)] = _value(f"{escape(path)}: [{table}] {name}", value, known[name], path)
    return values


def key(param: click.Parameter) -> str:
    """Return the name of a parameter in a file: its long option without the dashes."""
    return max(param.opts, key=len).lstrip("-")


def _read(path: str) -> Mapping[str, Any]:
    import tomllib  # noqa: PLC0415 - for those who give a file

    try:
        return tomllib.loads(disk.read_file(path).decode("utf-8"))
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{escape(path)} cannot be read: {error.strerror}", "check the permissions of the file and its folders"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{escape(path)} cannot be read: {error.strerror}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{escape(path)} is not TOML: {error}") from error


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _unknown(path: str, place: str, name: str, known: Iterable[str]) -> ConfigurationError:
    known = sorted(known)
    meant = ELSEWHERE.get(name.replace("-", "_"), name)
    nearest = difflib.get_close_matches(meant.replace("_", "-"), known, 1)
    remedy = f"did you mean {nearest[0]}?" if nearest else f"choose {listed(known)}"
    return ConfigurationError(f"{escape(path)}: {escape(place)} is not known", remedy)


def _value(place: str, value: object, param: click.Parameter, path: str) -> object:
    expected, fits = _expectation(param)
    if not fits(value):
        raise ConfigurationError(f"{place} is {_kind(value)}, not {expected}")
    items = value if isinstance(value, list) else [value]
    if getattr(param, "is_path", False):
        words = getattr(param, "words", ())
        items = [item if item in words else _below(str(Path(path).parent), str(item)) for item in items]
    if not _is_many(param):
        return items[0]
    return [items] if isinstance(param.type, Names) and isinstance(value, list) else items


def _expectation(param: click.Parameter) -> tuple[str, Any]:
    if getattr(param, "is_flag", False):
        return "true or false", lambda value: isinstance(value, bool)
    if _is_many(param):
        are_numbers = isinstance(param.type, Share | Real)
        return ("a list of numbers", _is_numbers) if are_numbers else ("a list of strings", _is_texts)
    if isinstance(param.type, Count):
        return "a whole number", _is_whole
    if isinstance(param.type, Share | Real):
        return "a number", _is_number
    if isinstance(param.type, Quantity):
        return "a string or a whole number", lambda value: _is_whole(value) or isinstance(value, str)
    return "a string", lambda value: isinstance(value, str)


def _is_many(param: click.Parameter) -> bool:
    return param.multiple or param.nargs == -1


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _is_numbers(value: object) -> bool:
    return all(map(_is_number, value if isinstance(value, list) else [value]))


def _is_texts(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or a time")


def _below(folder: str, path: str) -> str:
    if not path or folder == "." or Path(path).is_absolute() or _ADDRESS.match(path):
        return path
    # A folder named data[1] must not turn a pattern below it into another pattern.
    prefix = glob.escape(folder) if glob.has_magic(path) else folder
    # Not as a Path: a slash at the end says that a folder is meant.
    return os.path.join(prefix, path)  # noqa: PTH118
