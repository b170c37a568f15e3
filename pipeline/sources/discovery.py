"""From INPUT arguments to files, in an order that depends on names alone.

An argument is a file, a folder, or a pattern (``*``, ``?``, ``[...]`` within a name, ``**`` for any folders between).
A name that exists is never read as a pattern. Below a folder or pattern, names that begin with ``.`` or ``_`` are
skipped, among them logitstream's manifests and staging folders; a folder ``_key=value`` is data.

The relative path of a file begins at its argument, and so do its partitions, with one exception: ``key=value`` folders
at the end of the argument belong to both. So ``sales``, ``sales/country=NL``, ``'sales/*/*.parquet'`` and
``sales/country=NL/part-0.parquet`` give a file the same path and the same columns, whether the shell or logitstream
expands the pattern.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline import disk
from pipeline.choices import Format
from pipeline.disk import show
from pipeline.errors import DataError, InputMissingError, UsageError
from pipeline.sources.partitions import Partition, parse_segment
from pipeline.types.inputs import InputFile
from pipeline.types.outputs import MANIFEST, RECEIPTS

_PARQUET = re.compile(r"\.(parquet|parq|pq)\Z", re.IGNORECASE)
_CSV = re.compile(r"\.(csv|tsv|txt)(\.(gz|gzip|zst|zstd))?\Z", re.IGNORECASE)
_ENDINGS = "name files that end in .parquet, .pq or .parq, or in .csv, .tsv or .txt (also with .gz or .zst)"
_OURS = frozenset({MANIFEST, RECEIPTS})
_MAGIC = re.compile(r"[*?\[]")
_PARQUET_MAGIC = (b"PAR1", b"PARE")


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found.

    Attributes
    ----------
    files : tuple of InputFile
        By relative path, then position of the argument.
    skipped : tuple of str
        Files of a folder whose names have no known ending, escaped for messages.
    """

    files: tuple[InputFile, ...]
    skipped: tuple[str, ...]


def discover(inputs: Sequence[str]) -> Discovery:
    """Return the files that INPUT arguments name; a file is opened only if its name does not tell its format.

    Symbolic links are followed: a file keeps the name under which it was found, and is opened where the link leads.

    Raises
    ------
    UsageError
        A file was found twice, by two arguments or through a symbolic link: its rows would be counted twice. (Hard
        links and copies are not noticed.) An argument is empty, or names a manifest.
    InputMissingError
        An argument names nothing, or nothing that can be read as data.
    DataError
        An argument or entry is a device, FIFO or socket; folders form a loop; a path states a partition twice.
    PermissionDeniedError, StorageError
        The system refuses to read a folder.
    """
    files: list[InputFile] = []
    skipped: list[str] = []
    for position, argument in enumerate(inputs):
        # one way through a pattern may ask for a file whatever its ending
        ways = {one.path: one for one in sorted(_search(argument), key=lambda one: one.explicit)}
        found = {path: (one, _format(one)) for path, one in ways.items()}
        known = [one.input_file(position, format_) for one, format_ in found.values() if format_ is not None]
        other = sorted(show(one.path) for one, format_ in found.values() if format_ is None)
        if not known:
            raise _nothing(argument, len(other))
        files += known
        skipped += other
    files.sort(key=lambda file: (file.path, file.position))
    _refuse_doubles(files, inputs)
    return Discovery(tuple(files), tuple(skipped))


@dataclass(frozen=True, slots=True)
class _Found:
    """A file by its path below the argument; ``explicit`` if any ending is accepted."""

    path: str
    location: str
    partitions: tuple[Partition, ...]
    explicit: bool

    def input_file(self, position: int, format_: Format) -> InputFile:
        return InputFile(self.path, self.location, position, format_, self.partitions)


@dataclass(frozen=True, slots=True)
class _InputFolder:
    """A folder on the way down: ``path`` ends in ``/`` or is empty; ``trail`` holds the real folders above it."""

    path: str
    location: str
    partitions: tuple[Partition, ...]
    trail: tuple[str, ...] = ()

    def entries(self) -> list[os.DirEntry[str]]:
        return disk.entries(self.location, self.path or self.location)

    def enter(self, entry: os.DirEntry[str]) -> _InputFolder:
        trail = (*self.trail, self.location)
        location = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
        path = f"{self.path}{entry.name}/"
        if location in trail:
            raise DataError(f"the folders below {show(path)} form a loop of symbolic links", "remove the link")
        return _InputFolder(path, location, _with(self.partitions, entry.name, path), trail)

    def file(self, entry: os.DirEntry[str], explicit: bool) -> _Found:
        path = self.path + entry.name
        if not entry.is_file() and (explicit or _ending(path) is not None):
            _require_file(entry.path, path)
        location = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
        return _Found(path, location, self.partitions, explicit)


def _search(argument: str) -> Iterator[_Found]:
    if not argument or "\0" in argument:
        raise UsageError(f"'{show(argument)}' is not the name of an input", "name a file, a folder or a pattern")
    segments = [segment for segment in argument.split("/") if segment not in {"", "."}]
    root = "/" if argument.startswith("/") else ""
    mode = _mode(argument, argument)
    if mode is not None and stat.S_ISDIR(mode):
        yield from _find(_start(root, segments), ("**",), explicit=False)
    elif mode is not None:
        yield _named(root, segments, argument)
    elif _MAGIC.search(argument) is None:
        raise _missing(argument)
    else:
        first = next(number for number, segment in enumerate(segments) if _MAGIC.search(segment))
        explicit = segments[-1].strip("*") != ""
        yield from _find(_start(root, segments[:first]), tuple(segments[first:]), explicit=explicit)


def _mode(location: str, path: str) -> int | None:
    """Return the mode of what is at a location, ``None`` where nothing is there."""
    mode = disk.mode_of(location, path)
    if mode is None and os.path.lexists(location):
        message = f"{show(path)} is a symbolic link to a file that does not exist"
        raise InputMissingError(message, "remove the link, or restore the file")
    return mode


def _start(root: str, segments: Sequence[str]) -> _InputFolder:
    """Return the folder of an argument, whose own trailing partitions are part of its path."""
    named = root + "/".join(segments) or "."
    mode = _mode(named, named)
    if mode is None or not stat.S_ISDIR(mode):
        raise _missing(named)
    path, partitions = _tail(segments)
    return _InputFolder(path, os.path.realpath(named), partitions)


def _named(root: str, segments: Sequence[str], argument: str) -> _Found:
    if segments[-1] in _OURS:
        raise UsageError(f"{show(argument)} is a manifest, not data", "name the folder that contains it")
    named = root + "/".join(segments)
    _require_file(named, argument)
    path, partitions = _tail(segments[:-1])
    return _Found(path + segments[-1], os.path.realpath(named), partitions, explicit=True)


def _tail(segments: Sequence[str]) -> tuple[str, tuple[Partition, ...]]:
    start = len(segments)
    while start and parse_segment(segments[start - 1]) is not None:
        start -= 1
    path = ""
    partitions: tuple[Partition, ...] = ()
    for segment in segments[start:]:
        path += f"{segment}/"
        partitions = _with(partitions, segment, path)
    return path, partitions


def _with(partitions: tuple[Partition, ...], segment: str, path: str) -> tuple[Partition, ...]:
    partition = parse_segment(segment)
    if partition is None:
        return partitions
    if partition[0] in dict(partitions):
        raise DataError(f"the path {show(path)} states '{show(partition[0])}' twice", "rename one of the folders")
    return (*partitions, partition)


def _find(start: _InputFolder, pattern: tuple[str, ...], *, explicit: bool) -> Iterator[_Found]:
    """Yield the files that a pattern finds below a folder.

    No folder is walked twice for the same rest of the pattern: the ways through several ``**``, and through links to
    links, are too many to wait for.
    """
    walked: dict[tuple[str, tuple[str, ...]], _InputFolder] = {}
    waiting = [(start, pattern, explicit)]
    while waiting:
        folder, pattern, explicit = waiting.pop()
        first = walked.setdefault((folder.location, pattern), folder)
        if first.path != folder.path:
            ways = f"{show(first.path or './')} and {show(folder.path)}"
            raise UsageError(f"a folder is found twice, as {ways}: its rows would be counted twice", "remove the link")
        if first is not folder:
            continue
        head, rest = pattern[0], pattern[1:]
        if head == "**" and rest:
            waiting.append((folder, rest, explicit))
        matches = re.compile(fnmatch.translate("*" if head == "**" else head)).match
        for entry in folder.entries():
            if matches(entry.name) is None or (_hidden(entry.name) and entry.name[0] != head[0]):
                continue
            if _is_folder(entry, folder.path):
                below = pattern if head == "**" else rest or ("**",)
                waiting.append((folder.enter(entry), below, explicit and bool(rest)))
            elif not rest:
                yield folder.file(entry, explicit)


def _hidden(name: str) -> bool:
    return name[0] == "." or (name[0] == "_" and "=" not in name)


def _is_folder(entry: os.DirEntry[str], above: str) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise disk.input_error(error, above + entry.name) from error


def _require_file(location: str, path: str) -> None:
    mode = _mode(location, path)
    if mode is None:
        raise _missing(path)
    disk.require_regular(mode, path)


def _ending(path: str) -> Format | None:
    if _PARQUET.search(path):
        return "parquet"
    return "csv" if _CSV.search(path) else None


def _format(found: _Found) -> Format | None:
    return _ending(found.path) or (_content(found) if found.explicit else None)


def _content(found: _Found) -> Format:
    """Return the format that the first bytes show; what is not Parquet is CSV, compressed or not."""
    with disk.OpenFile.open(found.location, found.path) as file:
        return "parquet" if file.read_at(4, 0) in _PARQUET_MAGIC else "csv"


def _refuse_doubles(files: Sequence[InputFile], inputs: Sequence[str]) -> None:
    seen: dict[str, InputFile] = {}
    for file in files:
        first = seen.setdefault(file.location, file)
        if first is not file:
            ways = " and ".join(f"{show(one.path)} (of {show(inputs[one.position])})" for one in (first, file))
            raise UsageError(f"a file is named twice, as {ways}: its rows would be counted twice", "name it once")


def _missing(argument: str) -> InputMissingError:
    address = re.match(r"[a-z][a-z0-9+.-]+://", argument)
    remedy = "copy the data to a local file or folder first" if address else "check the path"
    return InputMissingError(f"no such input: {show(argument)}", remedy).at(argument)


def _nothing(argument: str, skipped: int) -> InputMissingError:
    mode = _mode(argument, argument)
    if mode is not None and stat.S_ISDIR(mode):
        message = f"the folder {show(argument)} contains no Parquet or CSV file"
    else:
        message = f"nothing matches {show(argument)}"
    if skipped:
        files = "1 file with another ending was" if skipped == 1 else f"{skipped:,} files with other endings were"
        message += f"; {files} skipped"
    return InputMissingError(message, _ENDINGS).at(argument)
