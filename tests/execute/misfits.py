"""Tasks that misbehave, or report on their process, in a module that takes little time to import."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from pipeline.types.outputs import Receipt
from pipeline.types.work import Work
from pipeline.units import MIB
from tests.contracts.tasks import receipt


def segfault(work: Work) -> Receipt:
    if work.chunk == 3:
        ctypes.string_at(0)
    return receipt(work.chunk)


@dataclass(frozen=True)
class Ending:
    """Ends its process at chunk 3: by a signal, or by an exit code."""

    how: int
    once: str = ""

    def __call__(self, work: Work) -> Receipt:
        if work.chunk == 3 and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            if self.how > 0:
                os.kill(os.getpid(), self.how)
                time.sleep(10)
            os._exit(-self.how)
        return receipt(work.chunk)

    def name_of(self, work: Work) -> str:
        return f"flights.parquet, row group {work.chunk}"


def processes_of(parent: int) -> list[psutil.Process]:
    """Return the processes of a scheduler that a process has opened."""
    found = []
    for child in psutil.Process(parent).children():
        with suppress(psutil.NoSuchProcess):
            if "pipeline.execute.child" in " ".join(child.cmdline()):
                found.append(child)
    return found


@dataclass(frozen=True)
class Alone:
    """Kills itself at every tenth chunk unless it is the only process of its parent."""

    folder: str

    def __call__(self, work: Work) -> Receipt:
        company = len(processes_of(os.getppid())) - 1
        if work.chunk % 10 == 1 and not Path(self.folder, f"{work.chunk}").exists():
            Path(self.folder, f"{work.chunk}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt(work.chunk, company if work.chunk % 10 == 1 else 0)


def take_memory(work: Work) -> Receipt:
    if work.chunk == 3:
        bytearray(400 * MIB)
    return receipt(work.chunk)


def take_arrow_memory(work: Work) -> Receipt:
    import pyarrow as pa

    assert pa.default_memory_pool().backend_name == "system"
    pa.allocate_buffer(64 * MIB if work.chunk != 3 else 400 * MIB)
    return receipt(work.chunk)


def raise_unknown(work: Work) -> Receipt:
    """Raise an error that cannot be pickled."""

    class LocalError(Exception):
        pass

    raise LocalError("of its own")


def divide(work: Work) -> Receipt:
    return receipt(1 // work.chunk)


def raise_interrupt(work: Work) -> Receipt:
    raise KeyboardInterrupt


def raise_exit(work: Work) -> Receipt:
    raise SystemExit(3)


def tell(work: Work) -> Receipt:
    """Describe the process, in the events of the receipt."""
    descriptors = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    events = {
        "blas threads": int(os.environ["OPENBLAS_NUM_THREADS"]),
        "omp threads": int(os.environ["OMP_NUM_THREADS"]),
        "ignores interrupts": int(signal.getsignal(signal.SIGINT) is signal.SIG_IGN),
        "ignores SIGTERM": int(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "standard streams": len(descriptors & {0, 1, 2}),
        "unsafe path": int(not sys.flags.safe_path) + sum(entry in {"", "."} for entry in sys.path),
    }
    print("a task prints", flush=True)
    return replace(receipt(work.chunk), events=events)


@dataclass(frozen=True)
class Sleeping:
    """Leaves a file with the name of its process, and sleeps."""

    folder: str
    seconds: float

    def __call__(self, work: Work) -> Receipt:
        Path(self.folder, str(os.getpid())).touch()
        time.sleep(self.seconds)
        return receipt(work.chunk)


@dataclass(frozen=True)
class Poison:
    """Ends its process at chunk 3; the chunks beside it take longer."""

    def __call__(self, work: Work) -> Receipt:
        time.sleep(0.3)
        if work.chunk == 3:
            os._exit(1)
        time.sleep(0.3)
        return receipt(work.chunk)

    def name_of(self, work: Work) -> str:
        return f"flights.parquet, row group {work.chunk}"


_busy = threading.Semaphore(1)


def unsociable(work: Work) -> Receipt:
    """End the process if another chunk is in it."""
    if not _busy.acquire(blocking=False):
        os._exit(1)
    time.sleep(0.3)
    _busy.release()
    return receipt(work.chunk)
