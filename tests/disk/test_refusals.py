"""What an error of the system means: for an output, and for an input."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline import disk
from pipeline.errors import (
    InputMissingError,
    LogitstreamError,
    OutputError,
    PermissionDeniedError,
    StorageError,
    TransientError,
    UsageError,
)


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, InputMissingError),
        (errno.ENOTDIR, InputMissingError),
        (errno.ENAMETOOLONG, InputMissingError),
        (errno.EACCES, PermissionDeniedError),
        (errno.EPERM, PermissionDeniedError),
        (errno.ELOOP, UsageError),
        (errno.EIO, TransientError),
        (errno.ESTALE, TransientError),
        (errno.ETIMEDOUT, TransientError),
        (errno.EMFILE, TransientError),
        (errno.ENOMEM, TransientError),
        (errno.EISDIR, StorageError),
        (errno.ENOTCONN, StorageError),
    ],
)
def test_of_an_input(number: int, kind: type[LogitstreamError]) -> None:
    assert type(disk.input_error(error(number), "x")) is kind


def test_the_message_of_an_input_names_it_and_is_escaped() -> None:
    assert disk.input_error(error(errno.ENOENT), "a\nb").message == "no such input: a\\nb"
    assert disk.input_error(error(errno.EIO), "x").message == "x cannot be read: Input/output error"
    assert disk.input_error(OSError("no number"), "x").message == "x cannot be read: no number"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, PermissionDeniedError),
        (errno.EROFS, PermissionDeniedError),
        (errno.ENOSPC, StorageError),
        (errno.EDQUOT, StorageError),
        (errno.EFBIG, StorageError),
        (errno.EEXIST, OutputError),
        (errno.EBUSY, OutputError),
        (errno.EIO, TransientError),
        (errno.ENFILE, TransientError),
        (errno.ENOENT, StorageError),
        (errno.ENOMEM, StorageError),
    ],
)
def test_of_an_output(number: int, kind: type[LogitstreamError], tmp_path: Path) -> None:
    found = disk.translated(error(number), "write", tmp_path / "x")
    assert type(found) is kind
    assert found.message.startswith(f"cannot write {tmp_path}/x: {os.strerror(number)}")
    assert found.remedy


def test_the_door_translates_what_the_system_refuses_and_nothing_else(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"^cannot open .*/x: No such file") as caught,
        disk.door("open", tmp_path, "x"),
    ):
        (tmp_path / "x").read_bytes()
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(ValueError, match="mine"), disk.door("open", tmp_path):
        raise ValueError("mine")
