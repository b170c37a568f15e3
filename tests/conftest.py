"""Fixtures that hold for every test: nothing may be left behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pyarrow as pa
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from tests.contracts.cluster import Cluster, start_cluster
from tests.security import unpickling

# How long an example takes says more about the machine than about the code.
settings.register_profile("without_deadlines", deadline=None, max_examples=30)
settings.load_profile("without_deadlines")

unpickling.install()

# Without files of bytecode every process that a test starts, and the next run of the tests, compiles all sources anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What nohup, or a shell that starts something in the background, has set to be ignored would be so in every child too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

_LONG_LIVED_THREADS = ("Dask-", "IO loop", "Profile", "TCP-", "asyncio_", "pytest_timeout", "execnet")


def _open_files() -> set[str]:
    names = set()
    with os.scandir("/proc/self/fd") as descriptors:
        opened = list(descriptors)
    for descriptor in opened:
        try:
            target = os.readlink(descriptor)  # noqa: PTH115 - a Path for each takes most of the time of a small test
        except OSError:
            continue
        # Fonts, matplotlib keeps open for the next picture.
        if (
            target.startswith("/")
            and not target.startswith(("/dev/", "/proc/", "/sys/"))
            and "/mpl-data/" not in target
        ):
            names.add(target)
    return names


def _threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.is_alive() and not t.name.startswith(_LONG_LIVED_THREADS)}


def _children() -> set[int]:
    # From the kernel's own list of children: to ask every process of the machine for its parent takes milliseconds.
    found, waiting = set(), [os.getpid()]
    while waiting:
        new = _children_of(waiting.pop()) - found
        found |= new
        waiting += new
    return {pid for pid in found if not _is_over(pid)}


def _children_of(parent: int) -> set[int]:
    found: set[int] = set()
    with suppress(OSError), os.scandir(f"/proc/{parent}/task") as threads:
        for thread in threads:
            with suppress(OSError), open(f"{thread.path}/children") as listing:  # noqa: PTH123 - as above
                found.update(map(int, listing.read().split()))
    return found


def _is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _environment() -> dict[str, str]:
    # The second is set by polars and the third by threadpoolctl, when they are imported.
    ignored = {"PYTEST_CURRENT_TEST", "_RJEM_MALLOC_CONF", "KMP_DUPLICATE_LIB_OK"}
    return {name: value for name, value in os.environ.items() if name not in ignored}


def _left_over(before: tuple[set[str], set[str], set[int]]) -> tuple[set[str], set[str], set[int]]:
    return _open_files() - before[0], _threads() - before[1], _children() - before[2]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Have the garbage collector never look at what collecting the tests has made: millions of objects, which all stay.

    A search among them takes as long as dozens of tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def nothing_set_aside() -> Iterator[None]:
    """Have the garbage collector look at every object during the test, as in a program that has set none aside."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.fixture
def one_blas_thread() -> Iterator[None]:
    """Give BLAS one thread, as the command does: a second one keeps a core busy while it waits for work."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def two_in_the_pool() -> Iterator[None]:
    """Arrow has two threads for its own work, however many cores the machine has."""
    before = pa.cpu_count()
    pa.set_cpu_count(2)
    yield
    pa.set_cpu_count(before)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers of one thread, started once a session, before the leak check of any test counts processes.

    Whoever uses it leaves it with both of its workers. A module whose tests want another one has its own.
    """
    with start_cluster(tmp_path_factory.mktemp("cluster"), "--no-nanny") as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves an open file, a thread, a process or a variable of the environment behind."""
    before, environment = (_open_files(), _threads(), _children()), _environment()
    yield
    deadline = time.monotonic() + 5
    while any(left := _left_over(before)) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    files, threads, children = left
    assert not files, f"files left open: {sorted(files)}"
    assert not threads, f"threads left running: {sorted(threads)}"
    assert not children, f"processes left running: {sorted(children)}"
    assert _environment() == environment, "variables of the environment were changed"


@pytest.fixture(autouse=True)
def _nothing_unpickled() -> Iterator[None]:
    """Fail a test during which something was unpickled that should not have been, also where the error was hidden."""
    del unpickling.seen[:]
    yield
    assert unpickling.seen == []
