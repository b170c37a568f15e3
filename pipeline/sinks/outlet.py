"""The file of a sink, in a form that Arrow may hold, and the translation of errors while writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from pipeline.errors import DataError, MemoryBudgetError, StorageError
from pipeline.units import escape


class Outlet:
    """Passes bytes on to a file of the caller, and never closes it.

    Arrow's writers write the end of their format when they are garbage collected, failed or not. If the sink was
    ``abandoned``, or the file is closed, such bytes are dropped and counted in ``lost``.
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
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return False."""
        return False

    def seekable(self) -> bool:
        """Return False."""
        return False

    def check(self) -> None:
        """Raise a :class:`StorageError` if bytes were lost."""
        if self.lost:
            raise StorageError(f"{self.lost:,} bytes were written to an output file after it was closed", "run again")


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of Arrow and the system while a part is written into the project's errors: the one door for sinks."""
    try:
        yield
    except MemoryError as error:
        message = f"an output file cannot be written, memory is used up: {escape(str(error), 300)}"
        raise MemoryBudgetError(message, "lower --workers or --chunk-size, or free memory") from error
    except OSError as error:
        message = f"an output file cannot be written: {error.strerror or escape(str(error), 300)}"
        raise StorageError(message, "free space and check that the disk works, then run again") from error
    except (pa.ArrowException, ValueError) as error:
        message = f"the rows cannot be written: {escape(str(error), 300)}"
        raise DataError(message, "leave the column that it names out of --keep") from error
