"""A network: the content of its file, and where its weights are."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.network.file import NetworkFile


@dataclass(frozen=True)
class NetworkModel:
    """A network: a model file, and a safetensors file with its weights. Nothing is ever unpickled.

    Immutable and picklable; a pickle has the path of the weights, not the weights.

    Parameters
    ----------
    file : NetworkFile
        The content of a model file.
    path : str
        Where the weights are.
    """

    file: NetworkFile
    path: str

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "logitstream-model", self.digest()

    @property
    def kind(self) -> str:
        """The kind of model, as its file names it."""
        return self.file.kind

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of what the model says, its weights included."""
        return self.file.digest()
