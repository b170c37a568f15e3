"""Watches, or disturbs, every call to the operating system that publishing makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.publish import system

# What ``before`` returns to have only half of the bytes written, as a system may that is asked for more.
HALF = "half"

CHANGING = {"mkdir", "link", "rename", "unlink", "rmdir", "fsync", "fchmod", "write", "pwrite", "ftruncate", "open"}
ALL = CHANGING | {"stat", "fstat", "scandir", "read"}


class WatchedOs:
    """The module ``os``, with a call of ``before`` ahead of each step: its name and the path it works on."""

    def __init__(self, before: Callable[[str, str], object], names: set[str]) -> None:
        self._before = before
        self._names = names

    def __getattr__(self, name: str) -> object:
        found = getattr(os, name)
        if name not in self._names:
            return found

        def step(*arguments: object, **options: object) -> object:
            if self._before(name, _path(*arguments)) is HALF:
                descriptor, data, *others = arguments
                arguments = (descriptor, _half(data), *others)
            return found(*arguments, **options)

        return step


def _path(first: object, *_: object) -> str:
    return str(Path(f"/proc/self/fd/{first}").readlink()) if isinstance(first, int) else str(first)


def _half(data: object) -> memoryview:
    assert isinstance(data, bytes | memoryview)
    return memoryview(data)[: max(1, len(data) // 2)]


@contextmanager
def watched(before: Callable[[str, str], object], names: set[str] = ALL) -> Iterator[None]:
    """Let ``before`` see each step ahead of it; whatever it raises is what the step raises."""
    rename = system.renameat2
    kinds = ("", "renameat2 noreplace", "renameat2 exchange")

    def renamed(source: int, name: str, target: int, new_name: str, flags: int) -> None:
        if kinds[flags] in names or "rename" in names:
            before(kinds[flags], str(Path(_path(target)) / new_name))
        rename(source, name, target, new_name, flags)

    system.os, system.renameat2 = WatchedOs(before, names), renamed
    try:
        yield
    finally:
        system.os, system.renameat2 = os, rename
