"""The weights of a network: a safetensors file beside the model, known by its SHA-256, read once a process.

The library of the format reads it: it checks offsets and lengths in Rust, and runs no code of the file.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipeline import disk
from pipeline.canonical import sha256
from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, InputMissingError, ModelError, PermissionDeniedError, StorageError
from pipeline.units import GIB, escape, format_bytes

SIZE_LIMIT = 2 * GIB
_TOO_LARGE, _SMALLER = f"the weights are larger than {format_bytes(SIZE_LIMIT)}", "use a smaller network"

_EXTRA = "pip install 'logitstream[network]'"
_WRITE = "write it with save_file of safetensors.torch or safetensors.numpy"
_DTYPES: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}

_reading = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of a file: the name of its type there, its shape, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def values(self) -> npt.NDArray[Any] | None:
        """The numbers, read-only; ``None`` if they are neither float32 nor float64."""
        dtype = _DTYPES.get(self.dtype)
        if dtype is None:
            return None
        values: npt.NDArray[Any] = np.frombuffer(self.data, dtype=dtype) if self.data else np.empty(0, dtype=dtype)
        values.flags.writeable = False
        return values.reshape(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a weights file holds: its size, and its tensors by their names."""

    bytes: int
    tensors: Mapping[str, Tensor]


def read_weights(path: str, digest: str, held: bytes | None = None) -> Weights:
    """Return the weights in a file; the last four are kept in this process.

    Parameters
    ----------
    path : str
    digest : str
        The SHA-256 that the file must have.
    held : bytes, optional
        The content of the file, where it is in memory and not yet written.

    Raises
    ------
    InputMissingError, PermissionDeniedError, StorageError
        The file cannot be read.
    ModelError
        It is another file, too large, or no safetensors file.
    ConfigurationError
        safetensors is not installed.
    """
    with _reading:
        return _read(path, digest, held)


@lru_cache(maxsize=4)
def _read(path: str, digest: str, held: bytes | None) -> Weights:
    shown, data = escape(path, 1000), weights_content(path) if held is None else held
    if (found := sha256(data)) != digest:
        raise ModelError(
            f"{shown}: these are not the weights of the model: SHA-256 {found}, not {digest}",
            "put the right file there, or write the new SHA-256 into weights.sha256",
        )
    return parse_weights(data, shown)


def parse_weights(data: bytes, shown: str) -> Weights:
    """Return what the bytes of a weights file hold; ``shown`` is what messages call it.

    Raises
    ------
    ModelError
        They are no safetensors file.
    ConfigurationError
        safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError, deserialize  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError(f"{shown}: safetensors is not installed, which reads weights", _EXTRA) from None
    try:
        found_tensors = cast("Any", deserialize)(data)
    except SafetensorError as error:
        raise ModelError(f"{shown} is not a safetensors file: {escape(str(error))}", _WRITE) from error
    tensors = {name: Tensor(each["dtype"], tuple(each["shape"]), each["data"]) for name, each in found_tensors}
    return Weights(len(data), tensors)


def weights_file(tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the bytes of a weights file with tensors by their names.

    Raises
    ------
    ModelError
        They are larger than a file of weights may be.
    ConfigurationError
        safetensors is not installed.
    """
    try:
        from safetensors.numpy import save  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("safetensors is not installed, which writes weights", _EXTRA) from None
    if sum(values.nbytes for values in tensors.values()) > SIZE_LIMIT:
        raise ModelError(_TOO_LARGE, _SMALLER)
    content: bytes = save({name: np.ascontiguousarray(values) for name, values in tensors.items()})
    return content


def weights_content(path: str) -> bytes:
    """Return the bytes of a weights file; raises as :func:`read_weights` does."""
    shown = escape(path, 1000)
    try:
        data = disk.read_file(path, SIZE_LIMIT + 1)
    except FileNotFoundError as error:
        raise InputMissingError(
            f"{shown}: the weights of the model are not there", "put the safetensors file beside the model file"
        ) from error
    except IsADirectoryError as error:
        raise ModelError(f"{shown} is a folder, not a safetensors file", "write a file into weights.file") from error
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{shown}: {error.strerror}", "check the permissions of the file and its folders"
        ) from error
    except OSError as error:
        raise StorageError(f"{shown}: {error.strerror or error}") from error
    if len(data) > SIZE_LIMIT:
        raise ModelError(f"{shown}: {_TOO_LARGE}", _SMALLER)
    return data
