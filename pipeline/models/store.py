"""A model file on disk: read whole, written in one step; a pickle is refused without opening it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline import disk
from pipeline.errors import InputMissingError, ModelError, PermissionDeniedError, StorageError
from pipeline.models.document import SIZE_LIMIT
from pipeline.units import escape

_PICKLE_NAME = re.compile(
    r".*\.(pkl|pickle|joblib|sav|skops|dill|cloudpickle|npz|npy|pt|pth)(\.(gz|bz2|xz|zst|lz4|z))?",
    re.IGNORECASE | re.DOTALL,
)
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04|\x93NUMPY")


def refuse_pickle(data: bytes, name: str) -> None:
    """Raise ``ModelError`` if the name or the first bytes are those of a pickle, or of a file that may contain one."""
    if _PICKLE_NAME.fullmatch(name) or _PICKLE_START.match(data):
        raise ModelError(
            f"{escape(name)} is a pickled object, not a model file; it was not opened because a pickle runs code",
            "convert it where it was made: logitstream.from_sklearn(estimator).save('model.json')",
        )


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
    refuse_pickle(b"", name)
    with _system_errors(name):
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
    with _system_errors(os.fspath(path)):
        disk.write_file(Path(path).resolve(), data)


@contextlib.contextmanager
def _system_errors(name: str) -> Iterator[None]:
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
