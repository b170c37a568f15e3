"""Tasks for the tests of schedulers, in a module that costs the processes of workers little to import."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import BadCellsError
from pipeline.execute import shared, telling
from pipeline.execute.labels import Label
from pipeline.types.outputs import Receipt
from pipeline.types.work import Outcome, Work


def receipt(chunk: int, bytes_read: int = 0) -> Receipt:
    return Outcome(chunk, (), None, {}, (), bytes_read, worker=str(os.getpid()))


def no_op(work: Work) -> Receipt:
    return receipt(work.chunk)


class Labelling:
    """Does nothing, with labels as a command has them."""

    def __call__(self, work: Work) -> Receipt:
        return no_op(work)

    def label_of(self, work: Work) -> Label:
        return Label("score", work.chunk, f"flights/{work.chunk % 100:02}.parquet")


def echo_begin(work: Work) -> Receipt:
    return receipt(work.chunk, work.begin or 0)


def tell_twice(work: Work) -> Receipt:
    """Tell two pieces of news, if somebody listens."""
    teller = telling.teller()
    for number in range(2):
        if teller is not None and teller.due():
            teller.tell((work.chunk, number))
    return receipt(work.chunk)


@dataclass(frozen=True)
class Sharing:
    """Reports in its receipt what is found under two digests."""

    one: str
    other: str

    def __call__(self, work: Work) -> Receipt:
        large, small = shared.content(self.one), shared.content(self.other)
        about = f"{len(large)} {len(small)} {hashlib.sha256(large).hexdigest()}"
        return replace(receipt(work.chunk), worker=about)


@dataclass(frozen=True)
class Marking:
    """Leaves a mark when it starts and one when it ends; fails on one chunk.

    The marks are folders: a file might be open when an interrupt comes.
    """

    folder: str
    failing: int | None = None
    seconds: float = 0.02

    def __call__(self, work: Work) -> Receipt:
        Path(self.folder, f"{work.chunk}.started").mkdir(exist_ok=True)
        time.sleep(self.seconds)
        Path(self.folder, f"{work.chunk}.ended").mkdir(exist_ok=True)
        if work.chunk == self.failing:
            raise BadCellsError(f"chunk {work.chunk} is bad", "mend it")
        return receipt(work.chunk)
