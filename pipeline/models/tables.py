"""A table whose entries are loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class LateTable(Mapping[str, Entry], Generic[Entry]):
    """Entries by their names, in their order; the module of an entry is loaded when the entry is asked for."""

    def __init__(self, load: Mapping[str, Callable[[], Entry]]) -> None:
        self._load = load

    def __getitem__(self, name: str) -> Entry:
        return self._load[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load)

    def __len__(self) -> int:
        return len(self._load)
