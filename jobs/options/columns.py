"""The names of the columns of an input, for completion: from a Parquet footer or from the first line of a CSV.

A command checks its inputs with care, and loads numpy and Arrow for that. A shell needs an answer at once. So only the
first file is read here: 64 KiB of a CSV, or the schema in a footer.
"""

from __future__ import annotations

import codecs
import csv
import fnmatch
import glob
import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import dropwhile, islice
from urllib.parse import unquote

from pipeline import disk
from pipeline.compact import BINARY, LIST, Compact
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError
from pipeline.units import KIB, MIB

_ENDING = re.compile(r"\.(parquet|pq|parq|csv|tsv|txt)(\.(gz|gzip|zst|zstd))?\Z", re.IGNORECASE)
_HEADER_BYTES, _FOOTER_BYTES = 64 * KIB, MIB
_MOST_PATHS = 2_000

_PARQUET, _GZIP, _ZSTD = b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW = 31
_TAIL = 8

# Fields of Thrift structures: the schema in FileMetaData, the name and the number of children in SchemaElement.
_SCHEMA, _NAME, _CHILDREN = 2, 4, 5

_UNREADABLE = (LogitstreamError, OSError, ValueError, LookupError, RecursionError, csv.Error, zlib.error)


@dataclass(frozen=True, slots=True)
class Csv:
    """How to read a CSV.

    Attributes
    ----------
    delimiter, quote, escape, encoding : str
    columns : tuple of str or None
        The names of the columns if the files have no header.
    skip_lines : int
        Lines before the header.
    comment : str
        The character that begins a line before the header that is no header.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None
    skip_lines: int = 0
    comment: str = ""


def column_names(inputs: Iterable[str], options: Csv) -> tuple[str, ...]:
    """Return the names of the columns of the first input that can be read; empty if none can. Raises nothing."""
    for argument in inputs:
        with suppress(*_UNREADABLE):
            path = next(_files(argument), "")
            if names := tuple(_names(path, options)):
                folders = (folder.partition("=") for folder in path.split("/")[:-1])
                partitions = (unquote(name) for name, equals, _ in folders if equals)
                return tuple(dict.fromkeys(filter(None, (*names, *partitions))))
    return ()


def _files(argument: str) -> Iterator[str]:
    """Yield the files of an input, in the order of their names; only the first 2,000 names are looked at."""
    if not (glob.has_magic(argument) or os.path.isdir(argument)):  # noqa: PTH112 - text
        yield argument
        return
    above = _above(argument)
    pattern = argument if glob.has_magic(argument) else f"{above}*"
    for path in islice(_paths(above), _MOST_PATHS):
        below = fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path, f"{pattern}/*")
        if below and _ENDING.search(path) and os.path.isfile(path):  # noqa: PTH113 - text
            yield path


def _above(argument: str) -> str:
    """Return the beginning of every path below an input: the folder, or the part of a pattern without wildcards."""
    if not glob.has_magic(argument):
        return f"{argument.rstrip('/')}/"
    parts = argument.split("/")
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return "".join(f"{part}/" for part in parts[:fixed])


def _paths(above: str) -> Iterator[str]:
    for name in disk.names_in(above or "."):
        if name[0] == "." or (name[0] == "_" and "=" not in name):
            continue
        yield f"{above}{name}"
        if os.path.isdir(f"{above}{name}"):  # noqa: PTH112 - text
            yield from _paths(f"{above}{name}/")


def _names(path: str, options: Csv) -> Iterable[str]:
    with disk.OpenFile.open(path, path) as file:
        head = file.read_at(_HEADER_BYTES, 0)
        if head[:4] == _PARQUET:
            return _parquet_names(file)
    if options.columns is not None:
        return options.columns
    if head[:4] == _ZSTD:
        return ()
    return _csv_names(head, options)


def _parquet_names(file: disk.OpenFile) -> Iterable[str]:
    end = file.status().st_size - _TAIL
    length = int.from_bytes(file.read_at(4, end), "little")
    footer = Compact(file.read_range(min(length, _FOOTER_BYTES), end - length))
    for number, kind in footer.fields():
        if (number, kind) == (_SCHEMA, LIST):
            return _top_level([_element(footer) for _ in footer.items()])
        footer.skip(kind)
    return ()


def _element(footer: Compact) -> tuple[str, int]:
    name, children = "", 0
    for number, kind in footer.fields():
        if (number, kind) == (_NAME, BINARY):
            name = footer.binary().decode()
        elif number == _CHILDREN:
            children = footer.integer()
        else:
            footer.skip(kind)
    return name, children


def _top_level(elements: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Yield the names directly below the root; the children of an element follow it."""
    within = 0
    for name, children in islice(elements, 1, None):
        if within == 0:
            yield name
        within = max(0, within - 1) + children


def _csv_names(head: bytes, options: Csv) -> Iterable[str]:
    if head[:2] == _GZIP:
        head = zlib.decompressobj(_GZIP_WINDOW).decompress(head, _HEADER_BYTES)
    # A name that cannot be decoded is left out; the others can still be offered.
    text = codecs.getincrementaldecoder(options.encoding)("replace").decode(head).removeprefix("\ufeff")
    if len(head) == _HEADER_BYTES and not re.search(r"[\r\n]", text):
        return ()
    lines = _behind_skipped(io.StringIO(text, newline=""), options)
    if options.escape:
        lines = _with_doubled(lines, options)
    escape = options.escape or None
    if options.quote:
        rows = csv.reader(lines, delimiter=options.delimiter, quotechar=options.quote, escapechar=escape)
    else:
        rows = csv.reader(lines, delimiter=options.delimiter, quoting=csv.QUOTE_NONE, escapechar=escape)
    return [name for name in next(filter(None, rows), ()) if name and "\ufffd" not in name]


def _behind_skipped(lines: Iterable[str], options: Csv) -> Iterator[str]:
    """Return the lines from the header on."""
    rest = islice(lines, options.skip_lines, None)
    if not options.comment:
        return rest
    return dropwhile(lambda line: not line.strip("\r\n") or line.startswith(options.comment), rest)


def _with_doubled(lines: Iterable[str], options: Csv) -> Iterator[str]:
    """Yield lines in which each escape character that is text is doubled: the module csv makes any character text."""
    one = re.escape(options.escape)
    escaped = re.compile(f"{one}([{one}{re.escape(options.quote)}]?)")
    return (escaped.sub(lambda match: options.escape + (match[1] or options.escape), line) for line in lines)
