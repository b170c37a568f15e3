"""From INPUT arguments to files, in an order that depends on names alone.

An argument is a file, a folder, or a pattern (``*``, ``?``, ``[...]`` within a name, ``**`` for any folders between).
A name that exists is never read as a pattern. Below a folder or pattern, names that begin with ``.`` or ``_`` are
skipped, among them logitstream's manifests and staging folders; a folder ``_key=value`` is data.

The relative path of a file begins at its argument, and so do its partitions, with one exception: ``key=value`` folders
at the end of the argument belong to both. So ``sales``, ``sales/country=NL``, ``'sales/*/*.parquet'`` and
``sales/country=NL/part-0.parquet`` give a file the same path and the same columns, whether the shell or logitstream
expands the pattern.

In a folder, a file without an ending is read if it is Parquet by its first or last bytes, and as text if its name
begins with ``part-``. A folder of Delta, Iceberg or Hudi is refused wherever it is found.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence

from pipeline import disk, formats
from pipeline.choices import Format
from pipeline.dataclass import dataclass
from pipeline.disk import show
from pipeline.errors import DataError, InputMissingError, UsageError
from pipeline.formats import FileFormat
from pipeline.sources.lakes import Lakes
from pipeline.sources.partitions import Partition, parse_segment
from pipeline.types.inputs import InputFile
from pipeline.types.outputs import MANIFEST, RECEIPTS


def _ending_of(endings: str) -> str:
    return rf"\.({'|'.join(endings.split())})"


_PACKED = f"({'|'.join(_ending_of(codec.endings) for codec in formats.CODECS.values())})"
_PARQUET = re.compile(rf"{_ending_of(formats.PARQUET.endings)}\Z", re.IGNORECASE)
_CSV = re.compile(rf"{_ending_of(formats.CSV.endings)}{_PACKED}?\Z", re.IGNORECASE)
# As Spark and Hadoop name what they write, packed or not.
_PART = re.compile(rf"part-[^./]*{_PACKED}?\Z")
_ENDINGS = "name files that end in .parquet, .pq or .parq, or in .csv, .tsv or .txt (also with .gz or .zst)"
_OURS = frozenset({MANIFEST, RECEIPTS})
_MAGIC = re.compile(r"[*?\[]")
_PARQUET_END = (b"PAR1", b"PARE")
# The footer of a file that ends in this mark is shorter. In text the highest byte of its length is a letter.
_LONGEST_FOOTER = 8 << 24
_NOTED = 3


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found.

    Attributes
    ----------
    files : tuple of InputFile
        By relative path, then position of the argument.
    skipped : tuple of str
        Files of a folder that are neither Parquet nor CSV by their names, escaped for messages; each with its format
        where that is known.
    unnamed : tuple of InputFile
        Those of ``files`` that have no ending and were found in a folder: their first bytes decided.
    """

    files: tuple[InputFile, ...]
    skipped: tuple[str, ...]
    unnamed: tuple[InputFile, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the choice of files, as sentences."""
        notes = []
        if self.skipped:
            count = "1 file that is" if len(self.skipped) == 1 else f"{len(self.skipped):,} files that are"
            notes.append(f"skipped {count} neither Parquet nor CSV: {_some(self.skipped)}")
        for format_, word in (("parquet", "Parquet"), ("csv", "CSV")):
            found = [show(file.path) for file in self.unnamed if file.format == format_]
            if found:
                count = "1 file" if len(found) == 1 else f"{len(found):,} files"
                notes.append(f"{count} without an ending read as {word}: {_some(found)}")
        return tuple(notes)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NOTED]) + (", ..." if len(names) > _NOTED else "")


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
        An argument or entry is a device, FIFO or socket; folders form a loop; a path states a partition twice. A file
        that an argument names is in a format that is not read. A folder belongs to Delta, Iceberg or Hudi, whose log
        decides which of its files are data.
    PermissionDeniedError, StorageError
        The system refuses to read a folder.
    """
    files: list[InputFile] = []
    skipped: list[str] = []
    unnamed: list[InputFile] = []
    lakes = Lakes()
    for position, argument in enumerate(inputs):
        # one way through a pattern may ask for a file whatever its ending
        ways = {one.path: one for one in sorted(_search(argument, lakes), key=lambda one: one.explicit)}
        kinds = {path: _kind(one) for path, one in ways.items()}
        known = [ways[path].input_file(position, kind) for path, kind in kinds.items() if isinstance(kind, str)]
        other = [
            (path, kind) for path, kind in sorted(kinds.items(), key=lambda pair: pair[0]) if not isinstance(kind, str)
        ]
        if not known:
            raise _nothing(argument, other)
        files += known
        skipped += (_skipped(path, kind) for path, kind in other)
        unnamed += (file for file in known if _ending(file.path) is None and not ways[file.path].explicit)
    files.sort(key=lambda file: (file.path, file.position))
    _refuse_doubles(files, inputs)
    return Discovery(tuple(files), tuple(skipped), tuple(sorted(unnamed, key=lambda file: file.path)))


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


def _search(argument: str, lakes: Lakes) -> Iterator[_Found]:
    if not argument or "\0" in argument:
        raise UsageError(f"'{show(argument)}' is not the name of an input", "name a file, a folder or a pattern")
    segments = [segment for segment in argument.split("/") if segment not in {"", "."}]
    root = "/" if argument.startswith("/") else ""
    mode = _mode(argument, argument)
    if mode is not None and stat.S_ISDIR(mode):
        yield from _find(_start(root, segments, lakes), ("**",), lakes, explicit=False)
    elif mode is not None:
        yield _named(root, segments, argument, lakes)
    elif _MAGIC.search(argument) is None:
        raise _missing(argument)
    else:
        first = next(number for number, segment in enumerate(segments) if _MAGIC.search(segment))
        explicit = segments[-1].strip("*") != ""
        start = _start(root, segments[:first], lakes)
        yield from _find(start, tuple(segments[first:]), lakes, explicit=explicit)


def _mode(location: str, path: str) -> int | None:
    """Return the mode of what is at a location, ``None`` where nothing is there."""
    mode = disk.mode_of(location, path)
    if mode is None and os.path.lexists(location):
        message = f"{show(path)} is a symbolic link to a file that does not exist"
        raise InputMissingError(message, "remove the link, or restore the file")
    return mode


def _start(root: str, segments: Sequence[str], lakes: Lakes) -> _InputFolder:
    """Return the folder of an argument, whose own trailing partitions are part of its path."""
    named = root + "/".join(segments) or "."
    mode = _mode(named, named)
    if mode is None or not stat.S_ISDIR(mode):
        raise _missing(named)
    path, partitions = _tail(segments)
    location = os.path.realpath(named)
    lakes.refuse_above(location)
    return _InputFolder(path, location, partitions)


def _named(root: str, segments: Sequence[str], argument: str, lakes: Lakes) -> _Found:
    if segments[-1] in _OURS:
        raise UsageError(f"{show(argument)} is a manifest, not data", "name the folder that contains it")
    named = root + "/".join(segments)
    _require_file(named, argument)
    path, partitions = _tail(segments[:-1])
    location = os.path.realpath(named)
    lakes.refuse_above(os.path.dirname(location))  # noqa: PTH120 - a text
    return _Found(path + segments[-1], location, partitions, explicit=True)


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


def _find(start: _InputFolder, pattern: tuple[str, ...], lakes: Lakes, *, explicit: bool) -> Iterator[_Found]:
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
        entries = folder.entries()
        lakes.refuse(folder.location, entries)
        for entry in entries:
            if matches(entry.name) is None or (_hidden(entry.name) and entry.name[0] != head[0]):
                continue
            if entry.is_symlink():
                lakes.refuse_above(os.path.dirname(os.path.realpath(entry.path)))  # noqa: PTH120 - a text
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


def _kind(found: _Found) -> Format | FileFormat | None:
    """Return the format in which a file is read, or else the foreign format that it is in, where that is known."""
    known = _ending(found.path)
    if known is not None:
        return known
    if found.explicit:
        return _content(found)
    name = found.path.rpartition("/")[2]
    is_part = _PART.match(name) is not None
    if ("." in name and not is_part) or not _is_file(found):
        return formats.by_ending(found.path)
    with disk.OpenFile.open(found.location, found.path) as file:
        if _is_parquet(file):
            return "parquet"
        foreign = formats.foreign_input(file.read_at(formats.HEAD_BYTES, 0), name)
    return "csv" if is_part and foreign is None else foreign


def _is_file(found: _Found) -> bool:
    mode = disk.mode_of(found.location, found.path)
    return mode is not None and stat.S_ISREG(mode)


def _content(found: _Found) -> Format:
    """Return the format that the bytes show; what is in no known format is CSV, compressed or not."""
    with disk.OpenFile.open(found.location, found.path) as file:
        if _is_parquet(file):
            return "parquet"
        foreign = formats.foreign_input(file.read_at(formats.HEAD_BYTES, 0), found.path)
    if foreign is not None:
        shown = show(found.path)
        raise DataError(f"{shown} is {foreign.name}, not Parquet or CSV", formats.advice(foreign, shown))
    return "csv"


def _is_parquet(file: disk.OpenFile) -> bool:
    """Return whether a file begins or ends as Parquet: one that is damaged at one end is still no text."""
    if formats.by_start(file.read_at(formats.HEAD_BYTES, 0)) is formats.PARQUET:
        return True
    size = file.status().st_size
    end = file.read_at(8, max(0, size - 8))
    length = int.from_bytes(end[:4], "little")
    return end[4:] in _PARQUET_END and 0 < length <= min(size - 8, _LONGEST_FOOTER)


def _skipped(path: str, known: FileFormat | None) -> str:
    return show(path) if known is None else f"{show(path)} ({known.name})"


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


def _nothing(argument: str, skipped: Sequence[tuple[str, FileFormat | None]]) -> InputMissingError:
    mode = _mode(argument, argument)
    if mode is not None and stat.S_ISDIR(mode):
        message = f"the folder {show(argument)} contains no Parquet or CSV file"
    else:
        message = f"nothing matches {show(argument)}"
    remedy = _ENDINGS
    if skipped:
        files = (
            "1 file with another ending was" if len(skipped) == 1 else f"{len(skipped):,} files with other endings were"
        )
        message += f"; {files} skipped"
        path, known = next((one for one in skipped if one[1] is not None), skipped[0])
        if known is not None:
            message += f": {show(path)} is {known.name}"
            remedy = formats.advice(known, show(path))
    return InputMissingError(message, remedy).at(argument)
