"""A model written for another tool: the tables of targets, of logistic models and of networks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from pipeline.choices import DIALECT, TO
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError, ModelError, UsageError
from pipeline.models.document import read
from pipeline.models.logistic.file import ModelFile
from pipeline.models.network.model import NetworkModel
from pipeline.models.store import read_file, write_file
from pipeline.units import escape

Write = Callable[[ModelFile], bytes]

_STATE = ".safetensors"


@dataclass(frozen=True, slots=True)
class Exporter:
    """A target of ``logitstream model export``.

    Attributes
    ----------
    kind : str
        Its name.
    write : callable
        Returns the content of the file. Raises ``ModelError`` that names what the target cannot express.
    is_text : bool
        Whether the file is text in UTF-8.
    dialects : mapping of str to callable
        ``write`` for each dialect; the first one is the default. Empty where there are none.
    """

    kind: str
    write: Write
    is_text: bool = True
    dialects: Mapping[str, Write] = field(default_factory=dict)


def _in_dialect(name: str) -> Write:
    def write(model: ModelFile) -> bytes:
        from pipeline.conversion.sql.dialects import DIALECTS  # noqa: PLC0415 - only this target needs it
        from pipeline.conversion.sql.writing import write as write_sql  # noqa: PLC0415 - as above

        return write_sql(model, DIALECTS[name])

    return write


def _python(model: ModelFile) -> bytes:
    from pipeline.conversion.python.writing import write  # noqa: PLC0415 - only this target needs it

    return write(model)


def _onnx(model: ModelFile) -> bytes:
    from pipeline.conversion.onnx.writing import write  # noqa: PLC0415 - only this target needs it

    return write(model)


def _pmml(model: ModelFile) -> bytes:
    from pipeline.conversion.pmml.writing import write  # noqa: PLC0415 - only this target needs it

    return write(model)


def _safetensors(_: ModelFile) -> bytes:
    raise ModelError("a logistic model has no weights for a safetensors file", "export it as sql, onnx, pmml or python")


_SQL: Mapping[str, Write] = {name: _in_dialect(name) for name in DIALECT.words}

EXPORTERS: Mapping[str, Exporter] = {
    exporter.kind: exporter
    for exporter in (
        Exporter("sql", _SQL[DIALECT.words[0]], dialects=_SQL),
        Exporter("onnx", _onnx, is_text=False),
        Exporter("pmml", _pmml),
        Exporter("python", _python),
        Exporter("safetensors", _safetensors, is_text=False),
    )
}


def export(
    model: ModelFile, kind: str, path: str | os.PathLike[str] | None = None, dialect: str | None = None
) -> str | bytes:
    """Return a model as another tool takes it, and write it to a file if one is named.

    Parameters, result and errors are those of :meth:`pipeline.models.LogisticModel.export`.
    """
    exporter = EXPORTERS[TO.check(kind)]
    write = exporter.write
    if dialect is not None:
        if not exporter.dialects:
            raise UsageError(f"{kind} has no dialects", "leave the dialect out")
        write = exporter.dialects[DIALECT.check(dialect)]
    data = write(model)
    if path is not None:
        write_file(path, data)
    return data.decode() if exporter.is_text else data


def _network_onnx(model: NetworkModel, path: str) -> dict[str, bytes]:
    from pipeline.conversion.onnx.network_graph import write_network  # noqa: PLC0415 - only this target needs it

    return {path: write_network(model)}


def _network_safetensors(model: NetworkModel, path: str) -> dict[str, bytes]:
    if not path.endswith(_STATE):
        raise UsageError(f"{escape(path)} is not the name of a safetensors file", f"end it in {_STATE}")
    said = model.file.model_dump(exclude_defaults=True, exclude={"weights", "training"})
    layers = json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return {path: model.weights(), f"{path.removesuffix(_STATE)}.layers.json": layers.encode()}


_OF_NETWORKS: Mapping[str, Callable[[NetworkModel, str], dict[str, bytes]]] = {
    "onnx": _network_onnx,
    "safetensors": _network_safetensors,
}


def network_files(model: NetworkModel, kind: str, path: str | os.PathLike[str] | None) -> dict[str, bytes]:
    """Return the files that are a network for another tool, by their paths: that which is named, and what goes with it.

    Raises
    ------
    ModelError
        The target cannot express the network, or a part of it; the message names it.
    UsageError
        There is no such target, no path, one that does not fit it, or a file of the network itself would be replaced.
    ConfigurationError
        A package that the target needs is not installed.
    """
    write = _OF_NETWORKS.get(TO.check(kind))
    if write is None:
        raise ModelError(f"a network cannot be written as {kind}", f"export it as {' or '.join(_OF_NETWORKS)}")
    if path is None:
        raise UsageError("a network is not written as text", "name a file with --output")
    files = write(model, os.fspath(path))
    for name, data in files.items():
        _check_apart(model, name, data)
    return files


def _check_apart(model: NetworkModel, path: str, data: bytes) -> None:
    """Refuse to replace a file that the network is made of: its weights by other bytes, or a model file with them."""
    place = Path(path).resolve()
    is_weights = model.held is None and place == Path(model.path).resolve() and data != model.weights()
    if is_weights or _names_weights(path, model.file.weights.sha256):
        what = "its weights" if is_weights else "its model file"
        raise UsageError(f"the export of the network would replace {what}, {escape(path)}", "give it another name")


def _names_weights(path: str, sha256: str) -> bool:
    """Return whether a file is the model file of a network whose weights have this SHA-256."""
    if not Path(path).is_file():
        return False
    with suppress(LogitstreamError):
        said = read(read_file(path)).value
        weights = said.get("weights") if isinstance(said, dict) else None
        return isinstance(weights, dict) and weights.get("sha256") == sha256
    return False


def export_network(model: NetworkModel, kind: str, path: str | os.PathLike[str]) -> None:
    """Write a network for another tool; see :meth:`pipeline.NetworkModel.export`."""
    for name, data in network_files(model, kind, path).items():
        write_file(name, data)
