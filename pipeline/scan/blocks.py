"""Blocks of neighbouring chunks that one worker reads one after the other, so that only one payload travels for all.

A block covers the chunks of one node of the tree, so the worker combines what the driver would have combined, in the
same order: the bits are the same. This needs the begins of all chunks of a CSV, which an earlier pass has found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError
from pipeline.execute import Label
from pipeline.plan import Plan
from pipeline.scan.task import ChunkTask
from pipeline.scan.tree import ReduceTree
from pipeline.types.inputs import Integers
from pipeline.types.work import Outcome, Work

Payload = TypeVar("Payload")
Combine = Callable[[Payload, Payload], Payload]

# Blocks for each worker: with fewer, some workers would wait for the last block of another.
_BLOCKS_PER_WORKER = 8
# A worker keeps a payload for each level while it reads a block.
MOST_LEVEL = 3


@dataclass(frozen=True, slots=True)
class WorkBlock:
    """The chunks of one node of the tree."""

    number: int
    works: tuple[Work, ...]

    def __str__(self) -> str:
        return f"chunks {self.works[0].chunk} to {self.works[-1].chunk}"


@dataclass(frozen=True, slots=True)
class BlockOutcome(Generic[Payload]):
    """The payloads of a block, combined, and the outcomes of its chunks without their payloads."""

    number: int
    payload: Payload | None
    outcomes: tuple[Outcome[Any], ...]


@dataclass(frozen=True, slots=True)
class BlockTask(Generic[Payload]):
    """Carries out a step on the chunks of a block and combines their payloads. Picklable, as :class:`ChunkTask` is."""

    task: ChunkTask[Payload]
    combine: Combine[Payload]

    def __call__(self, block: WorkBlock) -> BlockOutcome[Payload]:
        """Carry out the step on each chunk, in order."""
        tree = ReduceTree(len(block.works), self.combine)
        outcomes = []
        for place, work in enumerate(block.works):
            outcome = self.task(work)
            tree.add(place, outcome.payload)
            outcomes.append(replace(outcome, payload=None))
        return BlockOutcome(block.number, tree.total(), tuple(outcomes))

    def name_of(self, block: WorkBlock, /) -> str:
        """Return the files and ranges that a block reads, for a message."""
        if len(block.works) == 1:
            return self.task.name_of(block.works[0])
        return f"{block}, from {self.task.name_of(block.works[0])}"

    def label_of(self, block: WorkBlock, /) -> Label:
        """Return the label of the first chunk of a block."""
        return self.task.label_of(block.works[0])

    def probe(self, block: WorkBlock, /) -> None:
        """Try what the first chunk of a block needs, as :meth:`ChunkTask.probe` does."""
        self.task.probe(block.works[0])


class BlockAgenda(Generic[Payload]):
    """Hands out blocks in order, and confirms each of them once, even if it is delivered twice. For one thread.

    Parameters
    ----------
    plan : Plan
    begins : ndarray of int64, shape (chunks,)
        Where chunks begin inside a CSV; none of them unknown.
    level : int
        A block has ``2**level`` chunks, the last one perhaps fewer.
    confirmed : callable
        Receives the outcome of each block.
    """

    def __init__(
        self, plan: Plan, begins: Integers, level: int, confirmed: Callable[[BlockOutcome[Payload]], None]
    ) -> None:
        self._plan, self._begins, self._level = plan, begins, level
        self._confirmed = confirmed
        self._next = 0
        self._done = bytearray(-(-len(plan) >> level))

    def take(self, limit: int) -> Sequence[WorkBlock]:
        """Return at most ``limit`` blocks."""
        first, self._next = self._next, min(len(self._done), self._next + limit)
        return [self._block(number) for number in range(first, self._next)]

    def deliver(self, found: BlockOutcome[Payload]) -> None:
        """Confirm a block, or drop it as a duplicate.

        Raises
        ------
        BalanceError
            The records of a CSV do not end where an earlier pass found the next ones.
        """
        if self._done[found.number]:
            return
        for outcome in found.outcomes:
            self._check(outcome)
        self._done[found.number] = 1
        self._confirmed(found)

    def require_complete(self) -> None:
        """Raise a ``BalanceError`` unless every block is done."""
        if missing := self._done.count(0):
            raise BalanceError(f"{missing:,} of {len(self._done):,} blocks of chunks were not read", "run again")

    def _block(self, number: int) -> WorkBlock:
        first, stop = number << self._level, min(len(self._plan), (number + 1) << self._level)
        return WorkBlock(number, tuple(Work(chunk, int(self._begins[chunk]) or None) for chunk in range(first, stop)))

    def _check(self, outcome: Outcome[Any]) -> None:
        end, after = outcome.accounts[-1].end, outcome.chunk + 1
        if end and after < len(self._plan) and self._plan.continues(after) and end != self._begins[after]:
            raise BalanceError(
                f"the records of chunk {outcome.chunk} end at byte {end:,}, but those of the next one begin at byte"
                f" {int(self._begins[after]):,}",
                "make sure that nothing else writes to the inputs, then run again",
            )


def knows_begins(plan: Plan, begins: Integers) -> bool:
    """Return whether the begin of every chunk inside a CSV is known."""
    if (plan.slice_rows >= 0).all():
        return True  # only the rows of a CSV are unknown
    return all(begins[chunk] for chunk in range(1, len(plan)) if plan.continues(chunk))


def block_level(chunks: int, workers: int) -> int:
    """Return the level of the nodes that workers are handed: as large as leaves several to each worker."""
    return min(MOST_LEVEL, max(0, (chunks // (_BLOCKS_PER_WORKER * max(1, workers))).bit_length() - 1))
