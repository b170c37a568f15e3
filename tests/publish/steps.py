"""Watches, or disturbs, every call to the operating system that publishing makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.disk import system

# What ``before`` returns to have only half of the bytes written, as a system may that is asked for more.
HALF = "half"

CHANGING = {"mkdir", "link", "rename", "unlink", "rmdir", "fsync", "fchmod", "write", "pwrite", "ftruncate", "open"}
ALL = CHANGING | {"stat", "fstat", "scandir", "read"}


class NewName(str):
    """The path of a step that renames a file; ``source`` is the name that it had."""

    __slots__ = ("source",)

    source: str


class WatchedOs:
    """The module ``os``, with a call of ``before`` ahead of each step, given its name and path."""

    def __init__(self, before: Callable[[str, str], object], names: set[str]) -> None:
        self._before = before
        self._names = names

    def __getattr__(self, attribute: str) -> object:
        found = getattr(os, attribute)
        # A read is a read, wherever the bytes go.
        name = "read" if attribute == "readv" else attribute
        if name not in self._names:
            return found

        def step(*arguments: object, **options: object) -> object:
            path = _path(arguments[0], options.get("src_dir_fd", options.get("dir_fd")))
            if name in {"link", "rename"}:
                path = _renamed(path, _path(arguments[1], options.get("dst_dir_fd")))
            if self._before(name, path) is HALF:
                descriptor, data, *others = arguments
                arguments = (descriptor, _half(data), *others)
            return found(*arguments, **options)

        return step


def _path(file: object, folder: object = None) -> str:
    """Return the path of an open file, or of a name in an open folder."""
    if isinstance(file, int):
        return str(Path(f"/proc/self/fd/{file}").readlink())
    return str(Path(_path(folder)) / str(file)) if isinstance(folder, int) else str(file)


def _renamed(source: str, path: str) -> str:
    renamed = NewName(path)
    renamed.source = source
    return renamed


def _half(data: object) -> memoryview:
    assert isinstance(data, bytes | memoryview)
    return memoryview(data)[: max(1, len(data) // 2)]


@contextmanager
def watched(before: Callable[[str, str], object], names: set[str] = ALL) -> Iterator[None]:
    """Call ``before`` ahead of each step; the step raises what it raises."""
    rename = system.renameat2
    kinds = ("", "renameat2 noreplace", "renameat2 exchange")

    def renamed(source: int, name: str, target: int, new_name: str, flags: int) -> None:
        if kinds[flags] in names or "rename" in names:
            before(kinds[flags], _renamed(_path(name, source), _path(new_name, target)))
        rename(source, name, target, new_name, flags)

    system.os, system.renameat2 = WatchedOs(before, names), renamed
    try:
        yield
    finally:
        system.os, system.renameat2 = os, rename
