"""A program that runs passes of chunks, as each of its arguments says, and prints what the garbage collector did."""

from __future__ import annotations

import gc
import json
import sys

from pipeline.execute import open_scheduler
from tests.contracts.scheduler import Supply
from tests.contracts.tasks import no_op

BALLAST = 400_000


def collections_of_a_run(passes: int, chunks: int) -> list[tuple[bool, int]]:
    """Return of each collection of the oldest generation whether it searched old objects too, and how many it found.

    The process holds many old objects.
    """
    found = []

    def note(phase: str, of: dict[str, int]) -> None:
        if (phase, of["generation"]) == ("stop", 2):
            found.append((gc.get_freeze_count() < BALLAST, of["collected"]))

    ballast: list[list[int]] = [[] for _ in range(BALLAST)]
    gc.collect()
    frozen = gc.get_freeze_count()
    with open_scheduler("sync", workers=1, wave=128) as scheduler:
        gc.callbacks.append(note)
        try:
            for _ in range(passes):
                supply = Supply.of(chunks)
                scheduler.run(no_op, supply.take, supply.done)
                assert len(supply.delivered) == chunks
        finally:
            gc.callbacks.remove(note)
    assert len(ballast) == BALLAST
    assert gc.get_freeze_count() == frozen == 0
    return found


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(collections_of_a_run(*map(int, argument.split("x")))))
