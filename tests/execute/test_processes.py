"""Chunk tasks in processes: the effects of a crash, a kill, too little memory and the end of the parent."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.errors import (
    Abandoned,
    ConfigurationError,
    DataError,
    LogitstreamError,
    MemoryBudgetError,
    TemporaryError,
    UnavailableError,
    UsageError,
)
from pipeline.execute import open_scheduler, processes
from pipeline.types.outputs import Receipt
from pipeline.types.work import Scheduler, Work
from pipeline.units import MIB
from tests.contracts.scheduler import Supply, check_news, check_scheduler
from tests.contracts.tasks import Marking, no_op
from tests.execute.leaving import Leave
from tests.execute.misfits import (
    Alone,
    Ending,
    Sleeping,
    divide,
    processes_of,
    raise_exit,
    raise_interrupt,
    raise_unknown,
    segfault,
    take_arrow_memory,
    take_memory,
    tell,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def open_it(workers: int = 2, wave: int = 16, share_bytes: int | None = None) -> AbstractContextManager[Scheduler]:
    return open_scheduler("processes", workers=workers, wave=wave, share_bytes=share_bytes)


def run(task: Callable[[Work], Any], chunks: int = 8, workers: int = 1, share_bytes: int | None = None) -> Supply:
    supply = Supply.of(chunks)
    with open_it(workers, share_bytes=share_bytes) as scheduler:
        scheduler.run(task, supply.take, supply.done)
    return supply


def refusal(task: Callable[[Work], Any], share_bytes: int | None = None) -> LogitstreamError:
    with pytest.raises(LogitstreamError) as caught:
        run(task, share_bytes=share_bytes)
    return caught.value


@pytest.fixture(autouse=True)
def _nothing_of_the_pool_left() -> Iterator[None]:
    """Check at once that no descriptor, socket or zombie is left, and no tracker, which shared names would need."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    children = {child.pid for child in psutil.Process().children()}
    tracker = resource_tracker._resource_tracker._pid
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert {child.pid for child in psutil.Process().children()} <= children
    assert resource_tracker._resource_tracker._pid == tracker


def test_contract(tmp_path: Path) -> None:
    check_scheduler(lambda: open_it(wave=128), tmp_path, wave=128, chunks=3000)


def test_news_of_tasks() -> None:
    check_news(lambda: open_it(workers=2, wave=7))


def test_a_parser_that_crashes_is_named_and_the_rest_is_delivered() -> None:
    supply = Supply.of(8)
    with (
        open_it() as scheduler,
        pytest.raises(DataError, match=r"^chunk 3: .* with SIGSEGV twice, the second time") as caught,
    ):
        scheduler.run(segfault, supply.take, supply.done)
    assert "damaged" in caught.value.remedy
    assert supply.delivered.keys() >= {0, 1, 2}
    assert 3 not in supply.delivered
    assert max(supply.delivered.values()) == 1


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        (signal.SIGKILL, MemoryBudgetError, "was killed twice, the second time with no other worker running"),
        (signal.SIGABRT, DataError, "ended with SIGABRT"),
        (signal.SIGHUP, TemporaryError, "ended twice from outside, by SIGHUP"),
        (-7, DataError, "ended with exit code 7"),
    ],
)
def test_how_a_process_ended_decides_what_is_said(how: int, error: type[LogitstreamError], words: str) -> None:
    found = refusal(Ending(how))
    assert type(found) is error
    assert found.message.startswith("flights.parquet, row group 3: ")
    assert words in found.message
    assert found.remedy


def test_work_that_goes_well_alone_lets_the_run_go_on(tmp_path: Path) -> None:
    supply = run(Ending(signal.SIGKILL, once=str(tmp_path / "done")), chunks=40, workers=2)
    assert supply.delivered == dict.fromkeys(range(40), 1)


def test_it_is_carried_out_alone_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BREAKS", 1)
    supply = Supply.of(100)
    company = {}

    def done(made: Receipt) -> None:
        company[made.chunk] = made.bytes_read
        supply.done(made)

    with (
        open_it(workers=3) as scheduler,
        pytest.raises(MemoryBudgetError, match="ended 2 times, the last with SIGKILL at"),
    ):
        scheduler.run(Alone(str(tmp_path)), supply.take, done)
    killed = {int(path.name) for path in tmp_path.iterdir()}
    assert {chunk for chunk in company if chunk % 10 == 1} == killed
    assert set(company.values()) == {0}


def test_one_pool_for_the_run_and_one_task_a_submission(tmp_path: Path) -> None:
    workers = set()
    supply = Supply.of(60)

    def done(made: Receipt) -> None:
        workers.add(made.worker)
        supply.done(made)
        assert supply.given - sum(supply.delivered.values()) <= 2

    with open_it(wave=8) as scheduler:
        scheduler.run(Marking(str(tmp_path)), supply.take, done)
    assert len(workers) == 2
    assert str(os.getpid()) not in workers


@pytest.fixture
def hang_is_a_failure() -> Iterator[None]:
    """End the whole test process where a test runs for ever: a memory limit that is too low makes programs spin."""
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.usefixtures("hang_is_a_failure")
@pytest.mark.parametrize("task", [take_memory, take_arrow_memory])
def test_more_memory_than_the_share_is_refused_by_name(task: Callable[[Work], Any]) -> None:
    assert run(task, chunks=3, share_bytes=128 * MIB).delivered.keys() == {0, 1, 2}
    found = refusal(task, share_bytes=128 * MIB)
    assert type(found) is MemoryBudgetError
    assert found.message.startswith("chunk 3 needs more memory than one worker process may use")
    assert "--memory" in found.remedy


def test_a_process_is_as_a_worker_should_be(capfd: pytest.CaptureFixture[str]) -> None:
    told = []
    with open_it(workers=1) as scheduler:
        scheduler.run(tell, Supply.of(1).take, told.append)
    assert told[0].events == {
        "blas threads": 1,
        "omp threads": 1,
        "ignores interrupts": 1,
        "ignores SIGTERM": 1,
        "core": 0,
        "standard streams": 3,
        "unsafe path": 0,
    }
    assert capfd.readouterr() == ("", "a task prints\n")


def test_an_interrupt_from_the_terminal_does_not_end_a_process_not_even_one_that_starts(tmp_path: Path) -> None:
    """A terminal sends it to every process of the group; here it is sent only to the children, all the time."""
    over = threading.Event()

    def interrupt() -> None:
        while not over.wait(0.005):
            for child in processes_of(os.getpid()):
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        assert len(run(Marking(str(tmp_path)), chunks=20, workers=2).delivered) == 20
    finally:
        over.set()
        sender.join()


def test_an_error_that_is_not_ours_comes_with_its_trace() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run(divide)
    assert "in divide" in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match="LocalError: of its own") as caught:
        run(raise_unknown)
    assert "in raise_unknown" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(("task", "error"), [(raise_interrupt, KeyboardInterrupt), (raise_exit, SystemExit)])
def test_errors_that_are_no_exceptions_come_through(task: Callable[[Work], Any], error: type[BaseException]) -> None:
    with pytest.raises(error):
        run(task)


def test_a_task_that_cannot_travel() -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match="the task cannot be sent to another process: cannot pickle"):
        run(lambda work: lock)


def test_a_task_whose_module_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = types.ModuleType("stranger")
    exec("def task(work): return work", stranger.__dict__)
    monkeypatch.setitem(sys.modules, "stranger", stranger)
    with pytest.raises(ConfigurationError, match="cannot load the task: ModuleNotFoundError: No module named 'strang"):
        run(stranger.task)


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UnavailableError, match=r"no worker process can be started .*: No such file"):
        run(no_op)
    (tmp_path / "python").symlink_to("/bin/false")
    with pytest.raises(UnavailableError, match="a worker process ended with exit code 1 while it was starting"):
        run(no_op)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Abandoned])
def test_nobody_waits_for_processes_when_the_run_is_to_end_now(error: type[BaseException], tmp_path: Path) -> None:
    leave = Leave(error, tmp_path, tasks=2)
    with pytest.raises(error), leave:
        run(Sleeping(str(tmp_path), 60), workers=2)
    assert leave.seconds < 30
    assert not any(psutil.pid_exists(int(path.name)) for path in tmp_path.iterdir())


_PARENT = """
import sys
from pipeline.execute import open_scheduler, processes
from tests.contracts.scheduler import Supply
from tests.execute.misfits import Sleeping
with open_scheduler("processes", workers=2, wave=8) as scheduler:
    scheduler.run(Sleeping(sys.argv[1], 60), Supply.of(8).take, print)
"""


def test_processes_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path)], env=environment) as parent:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        children = psutil.Process(parent.pid).children()
        parent.kill()
    assert len(children) == 2
    assert not psutil.wait_procs(children, timeout=30)[1]


_SCRIPT = """
import os, stat, sys
sys.path[:] = [os.environ["ROOT"], *(entry for entry in sys.path if entry)]
from pathlib import Path
from typing import Any
from pipeline.execute import open_scheduler, processes
from pipeline.types.work import Work
from tests.contracts.tasks import receipt

out = Path(sys.argv[1])
with out.open("a") as file:
    file.write("once\\n")
offset = 5

def task(work):
    return receipt(work.chunk, work.chunk + offset)

def is_socket(descriptor):
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False

def take(n):
    assert not any(map(is_socket, range(3)))
    return [works.pop()] if works else []

works = [Work(chunk) for chunk in range(3)]
found = []
with open_scheduler("processes", workers=1, wave=2) as scheduler:
    scheduler.run(task, take, found.append)
assert "multiprocessing.resource_tracker" not in sys.modules
with out.open("a") as file:
    file.write(f"{sorted(made.bytes_read for made in found)}\\n")
"""


def test_a_script_from_cron_in_a_folder_full_of_traps(tmp_path: Path) -> None:
    """Nothing in the environment, no standard streams, and modules in the current folder that must not be imported."""
    script, out, folder = tmp_path / "script.py", tmp_path / "out", tmp_path / "here"
    folder.mkdir()
    for name in ("pickle", "ctypes", "numpy", "pipeline", "multiprocessing", "encodings", "tests"):
        (folder / f"{name}.py").write_text(f"open({str(out)!r}, 'a').write('trap {name}')")
    script.write_text(_SCRIPT)
    command = 'exec "$0" "$1" "$2" <&- >&- 2>&-'
    subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, str(script), str(out)],
        cwd=folder,
        env={"ROOT": str(ROOT)},
        timeout=60,
        check=True,
    )
    assert out.read_text() == "once\n[5, 6, 7]\n"
