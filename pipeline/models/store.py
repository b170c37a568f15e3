"""A model file on disk: read whole, written in one step; another format is refused, a pickle without opening it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline import disk, formats
from pipeline.choices import IfExists
from pipeline.errors import InputMissingError, ModelError, OutputError, PermissionDeniedError, StorageError
from pipeline.models.document import SIZE_LIMIT
from pipeline.units import escape


def refuse_foreign(data: bytes, name: str) -> None:
    """Raise ``ModelError`` if the first bytes, or else the name, are those of another format; say what to do.

    By its name alone (no bytes) a pickle is refused, and nothing else.
    """
    found = formats.foreign_model(data[: formats.HEAD_BYTES], name)
    if found is None or not (data or found.is_pickle):
        return
    unopened = "; it was not opened because a pickle runs code" if found.is_pickle else ""
    shown = escape(name)
    raise ModelError(f"{shown} is {found.name}, not a model file{unopened}", formats.advice(found, shown, model=True))


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a model file, up to one more than a model file may have.

    Raises
    ------
    ModelError
        It is a folder, or its name is that of a pickle.
    InputMissingError, PermissionDeniedError, StorageError
        The file cannot be read.
    """
    name = os.fspath(path)
    refuse_foreign(b"", name)
    with system_errors(name):
        return disk.read_file(path, SIZE_LIMIT + 1)


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a model file in one step: ``path`` always holds either the whole new file or what it held before.

    A file that exists is replaced and keeps its mode; a symbolic link is followed. The file is synced.

    Raises
    ------
    InputMissingError
        The folder does not exist.
    PermissionDeniedError, StorageError
        The file cannot be written.
    """
    with system_errors(os.fspath(path)):
        disk.write_file(Path(path).resolve(), data)


def write_new_file(path: str | os.PathLike[str], data: bytes, if_exists: IfExists, own: str = "") -> bool:
    """Write a model file as :func:`write_file` does, and return whether it did: a file with these bytes stays.

    Parameters
    ----------
    path : path
    data : bytes
    if_exists : {"fail", "replace"}
        What to do if there is another file.
    own : path
        A file that is replaced in any case.

    Raises
    ------
    OutputError
        There is another file.
    InputMissingError, PermissionDeniedError, StorageError
        The file cannot be written.
    """
    held = _held(path)
    if held == data:
        return False
    is_own = bool(own) and Path(own).resolve() == Path(path).resolve()
    if held is not None and if_exists == "fail" and not is_own:
        raise _other(path)
    write_file(path, data)
    return True


def write_new_files(files: Mapping[str, bytes], if_exists: IfExists) -> None:
    """Write several files as :func:`write_new_file` does, in their order; none is written if one of them may not be."""
    if if_exists == "fail":
        for path, data in files.items():
            if _held(path, len(data)) not in {None, data}:
                raise _other(path)
    for path, data in files.items():
        if _held(path, len(data)) != data:
            write_file(path, data)


def _other(path: str | os.PathLike[str]) -> OutputError:
    message = f"{escape(os.fspath(path))} exists and is another file"
    return OutputError(message, "choose another name, or use --if-exists replace to put the new file in its place")


def _held(path: str | os.PathLike[str], limit: int = SIZE_LIMIT) -> bytes | None:
    """Return what a file holds, up to one byte more than a limit; ``None`` if there is none."""
    try:
        with system_errors(os.fspath(path)):
            return disk.read_file(path, limit + 1)
    except InputMissingError:
        return None


@contextlib.contextmanager
def system_errors(name: str) -> Iterator[None]:
    """Raise the project's errors for those of the system about a model file of this name."""
    shown = escape(name)
    try:
        yield
    except FileNotFoundError as error:
        raise InputMissingError(f"{shown}: no such file or folder", "check the path") from error
    except IsADirectoryError as error:
        raise ModelError(f"{shown} is a folder, not a model file", "give the path of a file") from error
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{shown}: {error.strerror}", "check the permissions of the file and its folders"
        ) from error
    except OSError as error:
        raise StorageError(f"{shown}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputMissingError(f"{shown} cannot be a path: {error}") from error
