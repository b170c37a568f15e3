"""A network: the content of its file, and where its weights are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt

from pipeline.canonical import sha256
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError, UsageError
from pipeline.models.in_memory import RowModel
from pipeline.models.logistic.output import Column
from pipeline.models.network.file import NetworkFile, WeightsFile
from pipeline.models.network.inputs import Input
from pipeline.models.network.score import NetworkBlock
from pipeline.models.network.weights import parse_weights, weights_content
from pipeline.models.store import write_file
from pipeline.types.tabular import Summary
from pipeline.units import escape

_SUFFIX = ".safetensors"


def weights_beside(path: str | os.PathLike[str]) -> Path:
    """Return where the weights go that belong to a model file.

    Raises
    ------
    UsageError
        The path itself has the name of a file of weights.
    """
    beside = Path(path).with_suffix(_SUFFIX)
    if beside == Path(path):
        shown = escape(os.fspath(path))
        raise UsageError(f"{shown} is the name of a file of weights, not of a model file", "end it in .json")
    return beside


@dataclass(frozen=True, repr=False, eq=False)
class NetworkModel(RowModel):
    """A network: a model file, and a safetensors file with its weights. Nothing is ever unpickled.

    Immutable, picklable, and equal to a network with the same content. A pickle has the path of the weights, not the
    weights, unless they are in no file yet. Rows in memory are given as to a :class:`pipeline.LogisticModel`; sequences
    as lists, or in a mapping as an array of shape (rows, steps, numbers of a step), which for a network of one sequence
    may also stand alone.

    Parameters
    ----------
    file : NetworkFile
        The content of a model file. Use :meth:`load`, :func:`pipeline.import_network` or :func:`pipeline.from_sklearn`.
    path : str
        Where the weights are.
    held : bytes, optional
        The weights, of a network that has not been saved.
    """

    file: NetworkFile
    path: str
    held: bytes | None = None

    def __eq__(self, other: object) -> bool:
        return self.digest() == other.digest() if isinstance(other, NetworkModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest())

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "logitstream-model", self.digest()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NetworkModel:
        """Return the network in a model file, with the weights that the file names.

        Raises
        ------
        ModelError
            The file is not a valid network, or the weights do not fit it; the message lists everything that is wrong.
        InputMissingError, PermissionDeniedError, StorageError
            A file cannot be read.
        ConfigurationError
            safetensors is not installed.
        """
        from pipeline.models.kinds import load_model  # noqa: PLC0415 - it knows this kind

        found = load_model(path)
        if isinstance(found, cls):
            return found
        shown = escape(os.fspath(path))
        raise ModelError(f"{shown} is a {found.kind} model, not a network", "load it with logitstream.LogisticModel")

    def save(self, path: str | os.PathLike[str]) -> NetworkModel:
        """Write the model file, and its weights beside it: ``model.json`` and ``model.safetensors``.

        Files that exist are replaced, each in one step, the weights first. A model file whose weights are already the
        new ones is refused by their SHA-256 when it is loaded; it never scores with the wrong ones.

        Returns
        -------
        NetworkModel
            The network with its weights in that file, for :func:`pipeline.score`.

        Raises
        ------
        UsageError
            ``path`` has the name of a weights file.
        InputMissingError
            The folder, or the file with the weights, does not exist.
        ModelError
            The file with the weights has changed.
        PermissionDeniedError, StorageError
            A file cannot be written.
        """
        saved, files = self.files(path)
        for name, content in files.items():
            write_file(name, content)
        return saved

    def files(self, path: str | os.PathLike[str]) -> tuple[NetworkModel, dict[str, bytes]]:
        """Return the network with its weights beside a path, and the content of its files: the weights come first.

        Parameters and errors are those of :meth:`save`, which writes them.
        """
        beside = weights_beside(path)
        weights = WeightsFile(file=beside.name, sha256=self.file.weights.sha256)
        stored = NetworkModel(self.file.model_copy(update={"weights": weights}), str(beside.absolute()))
        return stored, {str(beside): self.weights(), os.fspath(path): stored.file.to_json().encode()}

    def export(self, kind: str, path: str | os.PathLike[str]) -> None:
        """Write the network for another tool.

        Parameters
        ----------
        kind : {"onnx", "safetensors"}
            An ONNX graph that computes in the type of the weights; or the weights, under the names of a PyTorch state,
            with a file beside them that ends in ``.layers.json``. :func:`pipeline.import_model` reads the graph and
            :func:`pipeline.import_network` the weights; scores then have the same bits.
        path : path
            Files that exist are replaced, each in one step.

        Raises
        ------
        ModelError
            The target cannot express a part of the network; the message names it, and nothing is written.
        UsageError
            There is no such target, ``path`` does not end as its files do, or a file of the network itself would be
            replaced.
        ConfigurationError
            A package that the target needs is not installed.
        InputMissingError, PermissionDeniedError, StorageError
            A file cannot be written.
        """
        from pipeline.conversion.exporting import export_network  # noqa: PLC0415 - no run needs it

        export_network(self, kind, path)

    def with_training(self, training: Mapping[str, Any]) -> Self:
        """Return the network with another record of how it was made; its digest is another one."""
        content = {**self.file.model_dump(mode="json"), "training": training}
        return replace(self, file=NetworkFile.model_validate(content))

    def weights(self) -> bytes:
        """Return the content of the safetensors file; raises what :meth:`load` raises where it cannot be read."""
        if self.held is not None:
            return self.held
        data = weights_content(self.path)
        if sha256(data) != self.file.weights.sha256:
            raise ModelError(f"{escape(self.path)} has changed since the network was loaded", "load it again")
        return data

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the weights by their names, read-only; raises what :meth:`load` raises where they cannot be read."""
        found = parse_weights(self.weights(), escape(self.path)).tensors
        return {name: tensor.values for name, tensor in found.items() if tensor.values is not None}

    @property
    def stored_path(self) -> str:
        """The path of the weights; a ``UsageError`` if they are in no file yet."""
        if self.held is None:
            return self.path
        raise UsageError(
            "the network is in memory alone: files are scored with weights that every process can read",
            "save it, and score with what that returns: model.save('model.json')",
        )

    @property
    def features(self) -> tuple[Input, ...]:
        """The features, in the order of the file, which is that of the inputs of the first layer."""
        return self.file.features

    def _summary(self) -> Summary:
        from pipeline.models.network.show import show  # noqa: PLC0415 - scoring needs none of it

        facts = [(name, f"{value:.6g}" if isinstance(value, float) else str(value)) for name, value in show(self).facts]
        return Summary(facts, ("feature", "kind"), [(feature.column, feature.kind) for feature in self.features])

    @property
    def _content(self) -> NetworkFile:
        return self.file

    def block(self, column: Column) -> NetworkBlock:
        """Return what makes the columns of one word of ``output.columns`` from Arrow columns."""
        return NetworkBlock(self.file, self.path, (column,), self._threshold, held=self.held)
