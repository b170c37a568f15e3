"""Bytes for all tasks of a cluster: a plugin that Dask sends to each worker once, also to workers that join later."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

from distributed import Worker, WorkerPlugin

from pipeline.canonical import sha256
from pipeline.execute import shared
from pipeline.execute.cluster.carrying import unpickle
from pipeline.execute.pickling import pickled


def shared_content(content: bytes) -> tuple[WorkerPlugin, str, str]:
    """Return a plugin that keeps bytes in the process of a worker as long as it is registered, its name, their SHA-256.

    A worker that cannot load this package keeps nothing and goes on. It is named when it gets a task.
    """
    digest = sha256(content)

    # A class in a function is pickled with its code, which may name nothing of this package: Dask ends a worker that
    # joins and cannot unpickle a plugin.
    class SharedContent(WorkerPlugin):
        def __init__(self, name: str, hold: bytes, let_go: bytes) -> None:
            self.name, self.hold, self.let_go = name, hold, let_go
            self.is_held = False

        def setup(self, worker: Worker) -> None:
            del worker
            try:
                unpickle(self.hold)()
            except ImportError:
                return
            self.is_held = True

        def teardown(self, worker: Worker) -> None:
            del worker
            if self.is_held:
                unpickle(self.let_go)()

    # Unique, because another run may share the same bytes and end earlier.
    name = f"logitstream-{digest[:12]}-{uuid4().hex}"
    hold, let_go = pickled(partial(shared.hold, content, digest)), pickled(partial(shared.let_go, digest))
    return SharedContent(name, hold, let_go), name, digest
