"""The file behind a sink, as Arrow may hold it, and the one translation of what writing raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from pipeline.errors import DataError, MemoryBudgetError, StorageError
from pipeline.units import escape


class Outlet:
    """Passes bytes on to a file that belongs to somebody else, and never closes it.

    Arrow's writers write the end of their format when they are collected as garbage, failed or not. ``abandoned``, or
    once the file is closed, such bytes are dropped and counted in ``lost``.
    """

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.abandoned = False
        self.lost = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of the data."""
        size = len(data)
        if self.abandoned or self._file.closed:
            self.lost += size
        else:
            self._file.write(data)
        return size

    def flush(self) -> None:
        """Do nothing: the owner of the file syncs it."""

    def close(self) -> None:
        """Do nothing: the owner of the file closes it."""

    def writable(self) -> bool:
        """Return whether it can be written to, which is always so."""
        return True

    def readable(self) -> bool:
        """Return whether it can be read from, which is never so."""
        return False

    def seekable(self) -> bool:
        """Return whether it has a position to go to, which is never so."""
        return False

    def check(self) -> None:
        """Raise a :class:`StorageError` if bytes were lost."""
        if self.lost:
            raise StorageError(f"{self.lost:,} bytes of a part came after its file was closed")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Arrow and the system raise while a part is written into errors of ours: the one door for sinks."""
    try:
        yield
    except MemoryError as error:
        raise MemoryBudgetError(f"writing a part needs more memory than there is: {escape(str(error), 300)}") from error
    except OSError as error:
        raise StorageError(f"writing a part failed: {error.strerror or escape(str(error), 300)}") from error
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"the rows cannot be written: {escape(str(error), 300)}") from error
