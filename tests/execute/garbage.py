"""A program that runs as many chunks as each of its arguments says, and prints what the garbage collector found."""

from __future__ import annotations

import gc
import json
import sys

from pipeline.execute import open_scheduler
from tests.contracts.scheduler import Supply
from tests.contracts.tasks import no_op

BALLAST = 400_000


def collections_of_a_run(chunks: int) -> list[int]:
    """Return how many objects each collection of the oldest generation found, in a process that holds many objects."""
    found = []

    def note(phase: str, of: dict[str, int]) -> None:
        if (phase, of["generation"]) == ("stop", 2):
            found.append(of["collected"])

    ballast: list[list[int]] = [[] for _ in range(BALLAST)]
    gc.collect()
    frozen = gc.get_freeze_count()
    supply = Supply.of(chunks)
    with open_scheduler("sync", workers=1, wave=128) as scheduler:
        gc.callbacks.append(note)
        try:
            scheduler.run(no_op, supply.take, supply.done)
        finally:
            gc.callbacks.remove(note)
    assert len(supply.delivered) == chunks
    assert len(ballast) == BALLAST
    assert gc.get_freeze_count() == frozen == 0
    return found


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(collections_of_a_run(int(argument))))
