"""A process that carries out a task over items, one at a time, and its connection to the process that started it.

It is a fresh interpreter on a socket, not a pool of the standard library. When such a pool breaks, it does not say
which chunk broke it, a result that was half written blocks it for ever, and its tracker process is left over. Its
processes also run the caller's script again, look for modules in the current folder, and end if they may not enter it.

The child imports this module before its memory is limited; after that only the task and its module follow.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline import memory
from pipeline.canonical import sha256
from pipeline.errors import ConfigurationError, FunctionError, LogitstreamError, UnavailableError
from pipeline.execute import shared, telling
from pipeline.execute.interrupts import REQUESTS, interrupts_held
from pipeline.units import MIB, escape

# What a limited process may take beyond its share: for allocators that round up, and threads that start late.
SLACK_BYTES = 64 * MIB

END_SECONDS = 5.0
MOMENT_SECONDS = 0.5

# The child takes this package from the folder that this process has it from: PYTHONPATH may list another one first.
_PROGRAM = """
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
sys.path[:] = sys.argv[5:]
spec = PathFinder.find_spec("pipeline", sys.argv[4:5])
sys.modules["pipeline"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
from pipeline.execute.child import serve
serve(*sys.argv[1:4])
"""
_FOLDER = str(Path(__file__).parents[2])
_FLAGS = {"isolated": "-I", "ignore_environment": "-E", "no_user_site": "-s", "no_site": "-S"}

# One thread for each chunk is what the number of workers means.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# Arrow's allocator where memory is limited. Reading a CSV and a Parquet file of 20 MB added 105 MB to what the limit
# counts with the system's, two threads and their stacks among them, and 157 MB with jemalloc, which starts two more
# threads; mimalloc, the default, takes 148 MB before it has read the first row of the second.
_GUARDED = {"ARROW_DEFAULT_MEMORY_POOL": "system"}

_PR_SET_PDEATHSIG = 1


class ChildEndedError(Exception):
    """The process has ended: its exit code, negative for a signal, and whether it had loaded the task."""

    def __init__(self, exit_code: int, loaded: bool) -> None:
        super().__init__(exit_code, loaded)
        self.exit_code = exit_code
        self.loaded = loaded


class Child:
    """A worker process, seen from the one that started it. One thread at a time may call it; any thread may kill it.

    It ends when it is told to, when this process ends in any way, and when the thread that started it ends. It ignores
    an interrupt from the terminal, which goes to all processes of a group, so that this process alone handles it.

    Parameters
    ----------
    task : bytes
        The pickled task.
    contents : sequence of bytes
        Bytes that the task finds under their digest, see :mod:`pipeline.execute.shared`.
    share_bytes : int or None
        Memory that a piece of work may take; one that takes 64 MiB more gets a ``MemoryError``. ``None`` sets no
        limit.
    told : callable or None
        Takes what the task tells while it is under way, on the thread that waits in :meth:`call`.

    Raises
    ------
    UnavailableError
        The system cannot start a process.
    """

    def __init__(
        self, task: bytes, contents: Sequence[bytes], share_bytes: int | None, told: telling.Told | None = None
    ) -> None:
        self._task = task
        self._contents = contents
        self._told = told
        self._loaded = False
        ours, theirs = _socket_pair()
        self._wire = Connection(ours)
        try:
            self._process = _start(theirs, share_bytes)
        except BaseException:
            self._wire.close()
            raise
        finally:
            os.close(theirs)

    def call(self, item: bytes) -> Any:
        """Execute the task for a pickled item and return its result.

        Raises
        ------
        ChildEndedError
            The process ended before it answered.
        BaseException
            What the task raised.
        """
        if not self._loaded:
            interval = "" if self._told is None else f" {telling.INTERVAL}"
            self._ask(f"{len(self._contents)}{interval}".encode(), *self._contents, self._task)
            self._loaded = True
        return self._ask(item)

    def _ask(self, *messages: bytes) -> Any:
        try:
            for message in messages:
                self._wire.send_bytes(message)
            well, answer = self._received()
            while well is None and self._told is not None:
                self._told(answer)
                well, answer = self._received()
        except (EOFError, OSError):
            raise ChildEndedError(self._exit_code(), self._loaded) from None
        if not well:
            raise answer
        return answer

    def _received(self) -> tuple[bool | None, Any]:
        """Return (True, result), (False, error) or (None, news)."""
        received: tuple[bool | None, Any] = pickle.loads(self._wire.recv_bytes())  # noqa: S301 - our own process wrote it
        return received

    def _exit_code(self) -> int:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_SECONDS)
        self._process.kill()
        return self._process.wait()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def dismiss(self) -> None:
        """Tell the process to end when it has nothing to do."""
        self._wire.close()

    def wait(self, seconds: float) -> None:
        """Wait until the process has ended; kill it when it has not after so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(MOMENT_SECONDS)


def _socket_pair() -> tuple[int, int]:
    # Above the numbers of the standard streams, which are free where the streams were closed.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 3), fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)


def _start(descriptor: int, share_bytes: int | None) -> subprocess.Popen[bytes]:
    # Standard output is for the results of the program only.
    output = subprocess.DEVNULL if sys.__stderr__ is None else 2
    with interrupts_held():
        try:
            return subprocess.Popen(  # noqa: S603 - this interpreter, with the program above
                _command(descriptor, share_bytes),
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **_ONE_THREAD, **(_GUARDED if share_bytes is not None else {})},
            )
        except OSError as error:
            raise UnavailableError(
                f"no worker process can be started with {escape(sys.executable)!r}: {error.strerror}",
                "allow this user more processes (ulimit -u), or use --scheduler threads",
            ) from error


def _command(descriptor: int, share_bytes: int | None) -> list[str]:
    flags = [flag for name, flag in _FLAGS.items() if getattr(sys.flags, name)]
    path = [entry for entry in sys.path if isinstance(entry, str)]
    share = "" if share_bytes is None else str(share_bytes)
    return [sys.executable, "-P", *flags, "-c", _PROGRAM, str(descriptor), str(os.getpid()), share, _FOLDER, *path]


def serve(descriptor: str, parent: str, share_bytes: str) -> None:
    """Load a task from the connection and answer each item with its result or error, until the connection closes."""
    _die_with(int(parent))
    for request in REQUESTS:
        signal.signal(request, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # The memory of a process that crashes holds rows of the data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with Connection(int(descriptor)) as wire, suppress(EOFError, ConnectionError):
        task, interval = _load(wire)
        if share_bytes:
            _guard(int(share_bytes))
        wire.send_bytes(pickle.dumps((True, None)))
        while True:
            message = wire.recv_bytes()
            with nullcontext() if interval is None else telling.telling(partial(_send_news, wire), interval):
                answer = _answer(task, message)
            wire.send_bytes(answer)


def _send_news(wire: Connection, news: Any) -> None:
    wire.send_bytes(pickle.dumps((None, news)))


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # the parent ended before the line above took effect


def _load(wire: Connection) -> tuple[Callable[[Any], Any], float | None]:
    """Return the task, and the seconds between two pieces of its news where somebody listens."""
    count, *interval = wire.recv_bytes().split()
    for _ in range(int(count)):
        content = wire.recv_bytes()
        shared.hold(content, sha256(content))
    try:
        task: Callable[[Any], Any] = _unpickled(wire.recv_bytes())
    except ConfigurationError as error:
        wire.send_bytes(pickle.dumps((False, error)))
        raise EOFError from error
    return task, float(interval[0]) if interval else None


def _unpickled(message: bytes) -> Any:
    try:
        return pickle.loads(message)  # noqa: S301 - what our own process wrote
    except MemoryError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"a worker process cannot load the task: {escape(f'{type(error).__name__}: {error}', 300)}",
            "put the functions that it uses into a module that `import` finds",
        ) from error


def _guard(share_bytes: int) -> None:
    limits = memory.data_bytes() + share_bytes + SLACK_BYTES, *resource.getrlimit(resource.RLIMIT_DATA)
    soft = min(limit for limit in limits if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, limits[2]))


def _answer(task: Callable[[Any], Any], message: bytes) -> bytes:
    try:
        return pickle.dumps((True, task(_unpickled(message))))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised in the process that asked
        return _refusal(error)


def _refusal(error: BaseException) -> bytes:
    trace = f"in a worker process:\n{''.join(traceback.format_exception(error))}"
    foreign = error.__cause__ if isinstance(error, FunctionError) else error
    if foreign is not None and not isinstance(foreign, LogitstreamError):
        foreign.add_note(trace)
    answer = _pickled_error(error) or _pickled_error(without_cause(error))
    if answer is not None:
        return answer
    stand_in = RuntimeError(f"{type(error).__name__}: {error}")
    stand_in.add_note(trace)
    return pickle.dumps((False, stand_in))


def _pickled_error(error: BaseException) -> bytes | None:
    """Return an error as an answer, ``None`` if it cannot be pickled, or not be read again."""
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)  # noqa: S301 - written in the line above
    except Exception:  # noqa: BLE001 - whatever such an exception does when it is pickled
        return None
    return answer


def without_cause(error: BaseException) -> BaseException:
    """Return an error whose cause is only told, because the cause itself cannot travel."""
    if isinstance(error, FunctionError) and error.__cause__ is not None:
        for note in getattr(error.__cause__, "__notes__", ()):
            error.add_note(note)
        # Where distributed is loaded, a pickle has the context of an error too.
        error.__cause__ = error.__context__ = None
    return error
