"""The cost of calls: time, measured in turn so that a busy machine slows all alike, and memory beyond the arrays."""

from __future__ import annotations

import ctypes
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import memory
from pipeline.dataclass import dataclass

Array = npt.NDArray[Any]
Call = Callable[[], Any]

# A small array is computed often enough in a round for the resolution of the clock.
_ELEMENTS_A_ROUND = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one way to compute a function.

    Attributes
    ----------
    ns : float
        Nanoseconds an element, the median of all rounds.
    ratio : float
        The time of logitstream, into an existing array, divided by this one: the median over the rounds.
    traced_bytes : int
        The most that numpy and Python held at once beyond ``x`` and the result.
    resident_bytes : int or None
        The pages that the system counts, no matter which library allocated them; ``None`` if it cannot be measured.
    """

    ns: float
    ratio: float
    traced_bytes: int
    resident_bytes: int | None


@contextmanager
def in_threads(threads: int) -> Iterator[Callable[[Callable[[Array, Array], Any], Array, Array], Call]]:
    """Yield a function that makes calls: on the whole array, or on a share of its rows in each thread."""
    if threads == 1:
        yield lambda way, x, out: lambda: way(x, out)
        return
    with ThreadPoolExecutor(threads, "logitstream-bench") as pool:

        def shared(way: Callable[[Array, Array], Any], x: Array, out: Array) -> Call:
            shares = list(zip(np.array_split(x, threads), np.array_split(out, threads), strict=True))
            return lambda: list(pool.map(lambda share: way(*share), shares))

        yield shared


def costs_of(
    calls: Mapping[str, Call], ours: str, out: Array, elements: int, rounds: int, threads: int
) -> dict[str, Cost]:
    """Return the cost of each call; a first round is not counted.

    With one thread, time is its processor time, which other processes disturb least; with more it is wall time.
    """
    clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
    times: dict[str, list[float]] = {name: [] for name in calls}
    traced, resident = {}, {}
    for name, call in calls.items():
        resident[name] = _resident(call, out)
        traced[name] = _traced(call, out)
    loops = range(max(1, _ELEMENTS_A_ROUND // elements))
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            for _ in loops:
                call()
            # At least one tick, even if the clock is too coarse.
            times[name].append(max(clock() - start, 1) / (len(loops) * elements))
    return {
        name: Cost(
            ns=statistics.median(taken),
            ratio=statistics.median(our / its for our, its in zip(times[ours], taken, strict=True)),
            traced_bytes=traced[name],
            resident_bytes=resident[name],
        )
        for name, taken in times.items()
    }


def _traced(call: Call, out: Array) -> int:
    tracemalloc.start()
    try:
        call()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = call()
        return max(0, tracemalloc.get_traced_memory()[1] - before - _new_bytes(result, out))
    finally:
        tracemalloc.stop()


def _resident(call: Call, out: Array) -> int | None:
    try:
        call()
        # Otherwise memory that was freed before is used again and not counted.
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return None
    if not memory.reset_peak():
        return None
    before = memory.current_bytes()
    result = call()
    return max(0, memory.peak_bytes() - before - _new_bytes(result, out))


def _new_bytes(result: Any, out: Array) -> int:
    """Return the bytes of the arrays that a call has made, without the one that it was given."""
    arrays = result if isinstance(result, list) else [result]
    made = (each for each in arrays if isinstance(each, np.ndarray) and not np.may_share_memory(each, out))
    return sum(each.nbytes for each in made)
