"""What a process of a target and the one that watches it share: the input under way, kept in a file.

The file is mapped into memory, so what was written survives however the process ends.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Self

LONGEST = 1 << 20
_HEAD = struct.Struct("<QQQ")


class Ledger:
    """Counts inputs begun and ended, and holds the one begun last."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _HEAD.size + LONGEST)

    @classmethod
    def new(cls, path: Path) -> Self:
        """Make the file and open it."""
        with path.open("wb") as file:
            file.truncate(_HEAD.size + LONGEST)
        return cls(path)

    def begin(self, data: bytes) -> None:
        """Note an input before it is tried."""
        begun, ended, _ = _HEAD.unpack_from(self._map)
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._map, 0, begun + 1, ended, len(data))

    def end(self) -> None:
        """Note that the input was tried."""
        begun, _, size = _HEAD.unpack_from(self._map)
        _HEAD.pack_into(self._map, 0, begun, begun, size)

    @property
    def begun(self) -> int:
        """Inputs begun."""
        return int(_HEAD.unpack_from(self._map)[0])

    @property
    def current(self) -> bytes | None:
        """The input under way, ``None`` between two."""
        begun, ended, size = _HEAD.unpack_from(self._map)
        return None if begun == ended else bytes(self._map[_HEAD.size : _HEAD.size + size])

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
