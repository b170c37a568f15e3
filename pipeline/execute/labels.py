"""What a task may know besides its work."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from pipeline.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """What a piece of work is called where a person watches a cluster.

    Attributes
    ----------
    command : str
        What the whole run does: ``score``.
    chunk : int
        The number of the chunk, or of the first one.
    file : str
        The input that it reads, or the first of several.
    """

    command: str
    chunk: int
    file: str


@runtime_checkable
class Labelled(Protocol):
    """A task that has labels for its items."""

    def label_of(self, item: Any, /) -> Label:
        """Return the label of an item."""
        ...


@runtime_checkable
class Probing(Protocol):
    """A task that can find out whether a process reaches the files of the job."""

    def probe(self, item: Any, /) -> None:
        """Try what the work will need, in the process that was handed an item.

        Raises
        ------
        LogitstreamError
            The process cannot do it.
        """
        ...


def probe(task: object, item: object) -> None:
    """Let a task try what its work will need, if it can; raises as :meth:`Probing.probe` does."""
    if isinstance(task, Probing):
        task.probe(item)


def label_of(task: object, item: object) -> Label:
    """Return the label of an item: from the task where it has one, else by the item alone."""
    if isinstance(task, Labelled):
        return task.label_of(item)
    return Label("logitstream", int(getattr(item, "chunk", 0)), str(item))
