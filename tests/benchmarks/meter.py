"""Wall time, CPU time, peak memory and bytes read of a command and of every process that it starts."""

from __future__ import annotations

import compileall
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pipeline

INTERVAL_SECONDS = 0.02
ROOT = Path(__file__).resolve().parents[2]
# Settings for old builds of OpenBLAS that slow a current one.
_UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class CommandFailedError(Exception):
    """A measured command did not end with 0."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    ``seconds`` from start to end; ``cpu_seconds`` of user and system; ``peak_bytes`` the largest sum of VmHWM over the
    processes alive at one time; ``read_bytes`` what was asked of the file system, from the page cache or not, program
    and libraries among it; ``output`` and ``errors`` what was written to the standard streams; ``code`` how it ended.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    read_bytes: int
    output: str
    errors: str
    code: int


def command(*words: str) -> list[str]:
    """Return a command line of ours: of the command installed beside this interpreter if it is this checkout's."""
    return [str(_installed()), *words] if _installed_is_this_checkout() else command_of(ROOT, *words)


def command_of(checkout: Path, *words: str) -> list[str]:
    """Return a command line that a checkout runs, wherever ``PYTHONPATH`` points, as its installed command would."""
    start = f"import sys; sys.path.insert(0, {str(checkout)!r}); from jobs.logitstream import main; main()"
    return [sys.executable, "-P", "-c", start, *words]


def words_of(arguments: Sequence[str]) -> Sequence[str] | None:
    """Return what follows the start of a command line of ours, or ``None`` for one of another program."""
    start = command()
    return arguments[len(start) :] if list(arguments[: len(start)]) == start else None


def _installed() -> Path:
    return Path(sys.executable).parent / "logitstream"


@cache
def _installed_is_this_checkout() -> bool:
    if not _installed().exists():
        return False
    told = [sys.executable, "-P", "-c", "import pipeline; print(pipeline.__file__)"]
    found = subprocess.run(told, cwd="/", env=environment(), capture_output=True, text=True, check=False).stdout.strip()
    return found == pipeline.__file__


def compile_bytecode(checkout: Path) -> None:
    """Compile the modules of a checkout, so that no run does."""
    for package in ("pipeline", "jobs"):
        compileall.compile_dir(checkout / package, quiet=1)


def environment() -> dict[str, str]:
    """Return this process's environment without what would slow the numerical libraries."""
    return {name: value for name, value in os.environ.items() if name not in _UNSET}


def run(arguments: Sequence[str], codes: Sequence[int] = (0,)) -> Measured:
    """Run a command to its end, with the checkout as its current folder: its paths are absolute.

    VmHWM never falls while a process lives, so sampling misses at most what is added in the last interval.

    Raises
    ------
    CommandFailedError
        It ended with none of the codes; the message holds the end of its standard error.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=output, stderr=errors, cwd=ROOT, env=environment())
        sampler = _Sampler(process.pid)
        sampler.start()
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            seconds = time.perf_counter() - begin
            # The counts of an ended process stand until it is waited for, with those of children that it waited for.
            read_bytes = _read_bytes(process.pid)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            sampler.stop()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        told, complaint = ((stream.seek(0), stream.read())[1] for stream in (output, errors))
    if process.returncode not in codes:
        raise CommandFailedError(f"{' '.join(arguments)}\nended with {process.returncode}:\n{complaint[-4000:]}")
    return Measured(
        seconds, used.ru_utime + used.ru_stime, sampler.peak_bytes, read_bytes, told, complaint, process.returncode
    )


def _read_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar:"))


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
