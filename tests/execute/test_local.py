"""The schedulers of this process."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import pytest

from pipeline.errors import Abandoned, BadCellsError, UsageError
from pipeline.execute import open_scheduler
from pipeline.types.outputs import Receipt
from pipeline.types.work import Work
from tests.contracts.scheduler import Supply, check_news, check_scheduler
from tests.contracts.tasks import Marking, no_op, receipt
from tests.execute.leaving import Leave

NAMES = ["sync", "threads"]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, tmp_path: Path) -> None:
    check_scheduler(lambda: open_scheduler(name, workers=2, wave=128), tmp_path, wave=128)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wave", [1, 128])
def test_news_of_tasks(name: str, wave: int) -> None:
    check_news(lambda: open_scheduler(name, workers=3, wave=wave))


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_contract_in_small_waves(workers: int, tmp_path: Path) -> None:
    check_scheduler(lambda: open_scheduler("threads", workers=workers, wave=3), tmp_path, wave=3, chunks=500)


def test_an_unknown_scheduler_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there is no scheduler") as caught:
        open_scheduler("thread\x1bs", workers=1, wave=1)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_tasks_start_in_the_order_of_take(name: str) -> None:
    order = []

    def task(work: Work) -> Receipt:
        order.append(work.chunk)
        return receipt(work.chunk)

    with open_scheduler(name, workers=1, wave=40) as scheduler:
        supply = Supply.of(100)
        scheduler.run(task, supply.take, supply.done)
    assert order == list(range(100))


def test_sync_runs_on_the_calling_thread_and_threads_on_so_many_others() -> None:
    def seen(name: str) -> set[int]:
        threads = set()

        def task(work: Work) -> Receipt:
            threads.add(threading.get_ident())
            time.sleep(0.005)
            return receipt(work.chunk)

        with open_scheduler(name, workers=3, wave=30) as scheduler:
            supply = Supply.of(90)
            scheduler.run(task, supply.take, supply.done)
        return threads

    assert seen("sync") == {threading.get_ident()}
    pool = seen("threads")
    assert len(pool) == 3
    assert threading.get_ident() not in pool


def test_receipts_come_one_by_one_while_tasks_run() -> None:
    """A wave holds back no receipt: the first arrives while the last task waits for it."""
    first = threading.Event()

    def task(work: Work) -> Receipt:
        if work.chunk == 1:
            assert first.wait(10)
        return receipt(work.chunk)

    def done(made: Receipt) -> None:
        if made.chunk == 0:
            first.set()

    with open_scheduler("threads", workers=2, wave=2) as scheduler:
        scheduler.run(task, Supply.of(2).take, done)
    assert first.is_set()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs_when_the_error_is_raised(name: str, tmp_path: Path) -> None:
    supply = Supply.of(100)
    with open_scheduler(name, workers=3, wave=100) as scheduler, pytest.raises(BadCellsError):
        scheduler.run(Marking(str(tmp_path), failing=4, seconds=0.05), supply.take, supply.done)
    started, ended = (sorted(p.stem for p in tmp_path.glob(f"*.{what}")) for what in ("started", "ended"))
    assert started == ended
    assert len(started) <= 4 + 2 * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("name", NAMES)
def test_errors_that_are_no_exceptions_come_through(name: str, error: type[BaseException]) -> None:
    def task(work: Work) -> Receipt:
        raise error

    with open_scheduler(name, workers=2, wave=8) as scheduler, pytest.raises(error):
        scheduler.run(task, Supply.of(20).take, lambda made: None)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupt_ends_the_run_when_the_tasks_under_way_have_ended(name: str, tmp_path: Path) -> None:
    supply = Supply.of(1000)
    leave = Leave(KeyboardInterrupt, tmp_path, tasks=8)
    with leave, open_scheduler(name, workers=2, wave=128) as scheduler, pytest.raises(KeyboardInterrupt):
        scheduler.run(Marking(str(tmp_path), seconds=0.03), supply.take, supply.done)
    started = len(list(tmp_path.glob("*.started")))
    assert 0 <= started - len(list(tmp_path.glob("*.ended"))) <= (name == "sync")
    assert started < 200


@pytest.mark.parametrize("name", NAMES)
def test_nobody_waits_for_a_run_that_is_abandoned(name: str, tmp_path: Path) -> None:
    over = threading.Event()

    def task(work: Work) -> Receipt:
        # No file: the order to leave may come while it is open.
        Path(tmp_path, str(work.chunk)).mkdir()
        over.wait(20)
        return receipt(work.chunk)

    leave = Leave(Abandoned, tmp_path, tasks=2 if name == "threads" else 1)
    with open_scheduler(name, workers=2, wave=8) as scheduler, pytest.raises(Abandoned), leave:
        scheduler.run(task, Supply.of(20).take, lambda made: None)
    assert leave.seconds < 5
    over.set()
    time.sleep(0.1)
    assert len(list(tmp_path.iterdir())) == leave.tasks


@pytest.fixture(scope="module")
def collections_of_runs() -> list[list[tuple[bool, int]]]:
    """What the collector did in runs of one wave, of 300 and of 5 times 2, in a process that has set nothing aside."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.execute.garbage", "1x128", f"1x{128 * 300}", f"5x{128 * 2}"]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, timeout=60, stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_garbage_of_many_waves_is_collected_while_they_run_however_much_the_process_holds(
    collections_of_runs: list[list[tuple[bool, int]]],
) -> None:
    # A wave leaves few cycles; without setting aside what is old, none of them would be found in so many waves.
    assert sum(collected for _, collected in collections_of_runs[1]) > 500


def test_a_run_of_one_wave_searches_for_no_garbage(collections_of_runs: list[list[tuple[bool, int]]]) -> None:
    assert collections_of_runs[0] == []


def test_no_pass_of_a_job_searches_all_objects_of_the_process(
    collections_of_runs: list[list[tuple[bool, int]]],
) -> None:
    _, once, passes = collections_of_runs
    assert passes
    assert not any(old for old, _ in (*once, *passes))


def test_objects_that_the_process_has_set_aside_stay_there() -> None:
    frozen = gc.get_freeze_count()
    assert frozen
    supply = Supply.of(128 * 3)
    with open_scheduler("sync", workers=1, wave=128) as scheduler:
        scheduler.run(no_op, supply.take, supply.done)
    assert gc.get_freeze_count() >= frozen - 1_000


@pytest.mark.parametrize("name", NAMES)
def test_the_users_dask_configuration_changes_nothing(name: str) -> None:
    calls = []

    def task(work: Work) -> Receipt:
        calls.append(work.chunk)
        if work.chunk == 30:
            raise BadCellsError("bad")
        return receipt(work.chunk)

    odd = {
        "scheduler": "processes",
        "num_workers": 1,
        "chunksize": 7,
        "rerun_exceptions_locally": True,
        "optimization.fuse.ave-width": 100,
        "tokenize.ensure-deterministic": True,
    }
    supply = Supply.of(40)
    with dask.config.set(odd), open_scheduler(name, workers=1, wave=20) as scheduler, pytest.raises(BadCellsError):
        scheduler.run(task, supply.take, supply.done)
    assert calls == list(range(31))
    assert set(supply.delivered) == set(range(30))


def test_registered_callbacks_of_the_user_do_not_see_chunks_and_ours_do_not_see_theirs() -> None:
    from dask.callbacks import Callback

    supply = Supply.of(10)
    seen = []
    with Callback(posttask=lambda *state: seen.append(state)), open_scheduler("sync", workers=1, wave=5) as scheduler:
        scheduler.run(no_op, supply.take, supply.done)
    assert not seen
    assert sum(supply.delivered.values()) == 10


def test_two_runs_at_once_keep_apart() -> None:
    supplies = [Supply.of(300) for _ in range(3)]

    def one(supply: Supply) -> None:
        with open_scheduler("threads", workers=2, wave=50) as scheduler:
            scheduler.run(no_op, supply.take, supply.done)

    threads = [threading.Thread(target=one, args=(supply,)) for supply in supplies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(supply.delivered == dict.fromkeys(range(300), 1) for supply in supplies)


_ALONE = """
import sys
from pipeline.execute import open_scheduler
from tests.contracts.scheduler import Supply
from tests.contracts.tasks import no_op
supply = Supply.of(20)
with open_scheduler(sys.argv[1], workers=2, wave=8) as scheduler:
    scheduler.run(no_op, supply.take, supply.done)
assert len(supply.delivered) == 20
assert "distributed" not in sys.modules
"""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("planning", ["True", "False"])
def test_works_without_distributed_and_with_either_kind_of_dask_array(name: str, planning: str) -> None:
    environment = {**os.environ, "DASK_ARRAY__QUERY_PLANNING": planning, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _ALONE, name], env=environment, check=True, timeout=60)
