"""The benchmark of the functions."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import disk, memory
from pipeline.arrays.functions import apply
from pipeline.bench.accuracy import RangeErrors, sigmoid_errors
from pipeline.bench.contenders import COPY, OURS, sigmoid_forms, use_one_thread, versions, ways_of
from pipeline.bench.cost import Call, Cost, costs_of, in_threads
from pipeline.dataclass import dataclass
from pipeline.errors import MemoryBudgetError, UsageError
from pipeline.registry import FUNCTIONS

Array = npt.NDArray[Any]

DTYPES = ("float64", "float32", "float16")
_COLUMNS = 4
_SPREAD = 3.0
_THREADS_A_CORE = 4
# x, the result, and at most three arrays that a one-liner holds; the numbers are drawn in float64.
_ARRAYS = 5
_SAMPLE_BYTES = 8


@dataclass(frozen=True, slots=True)
class FunctionCosts:
    """The costs of one function, for each way to compute it; ``bytes`` is what is read and written for an element."""

    name: str
    bytes: int
    costs: Mapping[str, Cost]

    def gigabytes_per_second(self, who: str) -> float:
        """Return the throughput: bytes of x and of the result divided by the time."""
        return self.bytes / self.costs[who].ns

    @property
    def share_of_copy(self) -> float:
        """The time of copying x, divided by the time of logitstream: 1 is as fast as memory."""
        return 1 / self.costs[COPY].ratio


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured, and on what.

    ``forms`` are the costs of the forms of the sigmoid in float64, ``errors`` their worst errors; both are empty if the
    sigmoid was not measured.
    """

    machine: str
    cores: int
    versions: Mapping[str, str]
    size: int
    dtype: str
    threads: int
    rounds: int
    functions: tuple[FunctionCosts, ...]
    forms: Mapping[str, Cost]
    errors: tuple[RangeErrors, ...]

    @property
    def clock(self) -> str:
        """How time was measured: ``processor`` in one thread, ``wall`` in several."""
        return "processor" if self.threads == 1 else "wall"


def bench_functions(
    names: Sequence[str] = (),
    *,
    size: int = 10_000_000,
    dtype: str = "float64",
    threads: int = 1,
    rounds: int = 5,
    told: Callable[[str], None] = lambda _: None,
) -> Bench:
    """Measure the cost of functions, all of them unless some are named.

    Parameters
    ----------
    names : sequence of str
    size : int
        Elements in an array.
    dtype : {"float64", "float32", "float16"}
    threads : int
        Each computes a share of the array, for all ways.
    rounds : int
        How often each way is timed, in turn.
    told : callable
        Is called with the name of each function before it is measured.

    Raises
    ------
    UsageError
        There are more threads than four for each core, or than elements.
    MemoryBudgetError
        The arrays take more memory than is free.
    """
    _check(size, np.dtype(dtype), threads)
    use_one_thread()
    measured = []
    chosen = tuple(names) or tuple(FUNCTIONS)
    with np.errstate(all="ignore"):
        for name in chosen:
            told(name)
            measured.append(_measured(name, size, np.dtype(dtype), threads, rounds))
        forms: dict[str, Cost] = {}
        errors: tuple[RangeErrors, ...] = ()
        if "sigmoid" in chosen:
            told("forms of the sigmoid")
            forms = _forms(size, rounds)
            errors = sigmoid_errors(sigmoid_forms())
    return Bench(
        machine=_processor(),
        cores=memory.usable_cores(),
        versions={"python": platform.python_version(), **versions()},
        size=size,
        dtype=dtype,
        threads=threads,
        rounds=rounds,
        functions=tuple(measured),
        forms=forms,
        errors=errors,
    )


def _check(size: int, dtype: np.dtype[Any], threads: int) -> None:
    most = min(_THREADS_A_CORE * memory.usable_cores(), size)
    if threads > most:
        raise UsageError(f"{threads:,} threads are too many for {_counted(size)}", f"choose {most} or fewer")
    room = memory.available_bytes() // (_SAMPLE_BYTES + _ARRAYS * dtype.itemsize)
    if size > room:
        raise MemoryBudgetError(
            f"{size:,} elements of {dtype} and the arrays for computing with them do not fit in the free memory",
            f"choose a --size of at most {room:,}",
        )


def _counted(size: int) -> str:
    cores = memory.usable_cores()
    return f"{cores} core{'' if cores == 1 else 's'} and {size:,} element{'' if size == 1 else 's'}"


def _measured(name: str, size: int, dtype: np.dtype[Any], threads: int, rounds: int) -> FunctionCosts:
    x = _sample(name, size, dtype)
    out = np.zeros_like(x)
    with in_threads(threads) as called:
        calls: dict[str, Call] = {}
        for who, way in ways_of(name).items():
            if _works(way, x, out):
                calls[who] = called(way, x, out)
        return FunctionCosts(name, 2 * dtype.itemsize, costs_of(calls, OURS, out, x.size, rounds, threads))


def _forms(size: int, rounds: int) -> dict[str, Cost]:
    x = _sample("sigmoid", size, np.dtype(np.float64))
    calls: dict[str, Call] = {name: _bound(form, x) for name, form in sigmoid_forms().items()}
    return costs_of(calls, OURS, np.empty(0), x.size, rounds, 1)


def _bound(form: Callable[[Array], Array], x: Array) -> Call:
    return lambda: form(x)


def _sample(name: str, size: int, dtype: np.dtype[Any]) -> Array:
    """Return numbers about 0, or from the domain of a function if that is smaller."""
    random = np.random.default_rng(1)
    x = random.normal(0, _SPREAD, size)
    if FUNCTIONS[name].several:
        x = x[: max(1, size // _COLUMNS) * _COLUMNS] if size >= _COLUMNS else np.resize(x, _COLUMNS)
        return np.ascontiguousarray(x.reshape(-1, _COLUMNS), dtype=dtype)
    if np.isnan(apply(name, np.array([-1.0]))).any():
        x = random.uniform(0, 1, size)
    return x.astype(dtype)


def _works(way: Callable[[Array, Array], Any], x: Array, out: Array) -> bool:
    """Return whether a library computes this type; some do not have float16."""
    try:
        way(x[:1], out[:1])
    except (RuntimeError, TypeError, NotImplementedError):
        return False
    return True


def _processor() -> str:
    try:
        lines = disk.read_file("/proc/cpuinfo").decode(errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
