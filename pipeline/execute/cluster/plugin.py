"""Bytes for all tasks of a cluster: a plugin that Dask sends to each worker once, also to workers that join later."""

from __future__ import annotations

from typing import Self
from uuid import uuid4

from distributed import Worker, WorkerPlugin

from pipeline.canonical import sha256
from pipeline.execute import shared


class SharedContent(WorkerPlugin):
    """Keeps bytes in the process of a worker as long as the plugin is registered.

    Parameters
    ----------
    content : bytes
    digest : str
        Its SHA-256, in hexadecimal: the key that tasks use.
    """

    def __init__(self, content: bytes, digest: str) -> None:
        self.content = content
        self.digest = digest
        self._is_held = False
        # Unique, because another run may share the same bytes and end earlier.
        self.name = f"logitstream-{digest[:12]}-{uuid4().hex}"

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the plugin for bytes."""
        return cls(content, sha256(content))

    def setup(self, worker: Worker) -> None:
        """Keep the bytes."""
        del worker
        shared.hold(self.content, self.digest)
        self._is_held = True

    def teardown(self, worker: Worker) -> None:
        """Release the bytes; nothing happens where they could not be kept."""
        del worker
        if self._is_held:
            shared.let_go(self.digest)
