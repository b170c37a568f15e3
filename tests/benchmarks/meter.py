"""Wall time and peak memory of a command and of every process that it starts."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL_SECONDS = 0.02
# Settings for old builds of OpenBLAS that slow a current one.
_UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class CommandFailedError(Exception):
    """A measured command did not end with 0."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from start to end; the largest sum of VmHWM over the processes alive at one time; what was written."""

    seconds: float
    peak_bytes: int
    output: str
    errors: str
    code: int


def command(job: str) -> list[str]:
    """Return how to run a job: by the command installed beside this interpreter, else as a module of this checkout."""
    installed = Path(sys.executable).parent / "logitstream"
    return [str(installed), job] if installed.exists() else [sys.executable, "-m", f"jobs.{job}"]


def environment() -> dict[str, str]:
    """Return this process's environment without what would slow the numerical libraries."""
    return {name: value for name, value in os.environ.items() if name not in _UNSET}


def run(arguments: Sequence[str], codes: Sequence[int] = (0,)) -> Measured:
    """Run a command to its end.

    VmHWM never falls while a process lives, so sampling misses at most what is added in the last interval.

    Raises
    ------
    CommandFailedError
        It ended with none of the codes; the message holds the end of its standard error.
    """
    begin = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, **pipes, env=environment(), text=True) as process:
        sampler = _Sampler(process.pid)
        sampler.start()
        output, errors = process.communicate()
        seconds = time.perf_counter() - begin
        sampler.stop()
    if process.returncode not in codes:
        raise CommandFailedError(f"{' '.join(arguments)}\nended with {process.returncode}:\n{errors[-4000:]}")
    return Measured(seconds, sampler.peak_bytes, output, errors, process.returncode)


class _Sampler(threading.Thread):
    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.peak_bytes = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            self.peak_bytes = max(self.peak_bytes, sum(map(_peak_bytes, _tree(self.root))))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in listing.read_text().split())
            except OSError:
                continue
    return found


def _peak_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def machine() -> str:
    """Return processor, cores, memory and Python in one line."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].split(":")[1].strip() if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{processor}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {sys.version.split()[0]}"
