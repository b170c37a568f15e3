"""A Keras file: a zip with the configuration as JSON and the weights as HDF5. Nothing in it is run.

HDF5 may point to other files and to programs that unpack its numbers. Neither is followed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conversion.networks.stack import Floats
from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, ModelError
from pipeline.units import GIB, MIB, escape, format_bytes

WEIGHTS_LIMIT, _CONFIG_LIMIT = 2 * GIB, 64 * MIB
_AGAIN = "write it again with Keras 3: model.save('model.keras')"
# Deflate, shuffle and checksums (H5Z_FILTER_*): the ones that HDF5 itself brings.
_FILTERS = frozenset({1, 2, 3})
# What h5py raises where bytes are not what HDF5 says.
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class KerasArchive:
    """What a Keras file holds.

    Attributes
    ----------
    version : str
        That of Keras.
    config : mapping
        The configuration of the model.
    weights : bytes
        The HDF5 file of the weights.
    """

    version: str
    config: Mapping[str, Any]
    weights: bytes


def read_archive(path: Path, data: bytes) -> KerasArchive:
    """Return the parts of a Keras file.

    Raises
    ------
    ModelError
        It is damaged or too large, or of another version of Keras.
    """
    shown = escape(str(path))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            metadata, config = (_json(file, name) for name in ("metadata.json", "config.json"))
            version = metadata.get("keras_version") if isinstance(metadata, dict) else None
            if not isinstance(version, str) or not version.startswith("3."):
                raise ModelError(f"{shown} is not of Keras 3 but of version {escape(str(version), 20)}", _AGAIN)
            weights = _member(file, "model.weights.h5", WEIGHTS_LIMIT)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError, RecursionError, OSError) as error:
        raise ModelError(f"{shown} is not a Keras file, or damaged", _AGAIN) from error
    if not isinstance(config, dict):
        raise ModelError(f"{shown} is not a Keras file: its configuration is no object", _AGAIN)
    return KerasArchive(version, config, weights)


def _json(file: zipfile.ZipFile, name: str) -> Any:
    return json.loads(_member(file, name, _CONFIG_LIMIT))


def _member(file: zipfile.ZipFile, name: str, limit: int) -> bytes:
    with file.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise ModelError(f"{name} in the file has more than {format_bytes(limit)}", "use a smaller network")
    return content


class KerasWeights:
    """The weights of layers, by what Keras calls the layers in its file of weights."""

    def __init__(self, content: bytes) -> None:
        if find_spec("h5py") is None:
            raise ConfigurationError(
                "h5py is not installed, which reads the weights of Keras", "pip install 'logitstream[keras-file]'"
            )
        import h5py  # noqa: PLC0415 - an extra

        self._h5py = h5py
        try:
            self._file = h5py.File(io.BytesIO(content), "r")
        except _DAMAGE as error:
            raise ModelError("the weights in the file are no HDF5, or damaged", _AGAIN) from error

    def of(self, layer: str, cell: str, name: str) -> list[Floats]:
        """Return the weights of a layer in their order.

        Parameters
        ----------
        layer : str
            What the file of weights calls the layer.
        cell : str
            The part of the layer that has them; empty for the layer itself.
        name : str
            What messages call it.

        Raises
        ------
        ModelError
            They are not there, are not float32 or float64, or are kept elsewhere.
        """
        try:
            group = self._group(["layers", layer, *([cell] if cell else []), "vars"])
            return [self._numbers(group, str(number), name) for number in range(len(group))]
        except _DAMAGE as error:
            raise ModelError(f"the weights of the layer {name} are damaged", _AGAIN) from error

    def close(self) -> None:
        """Close the file of weights, which is in memory."""
        self._file.close()

    def _group(self, path: list[str]) -> Any:
        found = self._file
        for step in path:
            found = self._linked(found, step)
        return found

    def _linked(self, group: Any, step: str) -> Any:
        if not isinstance(group.get(step, getlink=True), self._h5py.HardLink):
            raise ModelError(
                f"the weights {escape(group.name)}/{escape(step)} are a link to another place or file, which is not "
                "followed",
                _AGAIN,
            )
        return group[step]

    def _numbers(self, group: Any, step: str, name: str) -> Floats:
        data = self._linked(group, step)
        settings = data.id.get_create_plist()
        filters = {settings.get_filter(number)[0] for number in range(settings.get_nfilters())}
        if data.is_virtual or data.external or not filters <= _FILTERS:
            raise ModelError(f"the weights of the layer {name} are in another file, or packed by a program", _AGAIN)
        if data.dtype not in {np.dtype("<f4"), np.dtype("<f8")}:
            raise ModelError(
                f"the weights of the layer {name} are {escape(str(data.dtype))}; weights are float32 or float64",
                "save the network in float32",
            )
        if data.nbytes > WEIGHTS_LIMIT:
            raise ModelError(f"the weights of the layer {name} have more than {format_bytes(WEIGHTS_LIMIT)}", _AGAIN)
        values: Floats = np.asarray(data[()], dtype=np.float64)
        if not np.isfinite(values).all():
            raise ModelError(
                f"the weights of the layer {name} have numbers that are NaN or infinite", "train the network again"
            )
        return values
