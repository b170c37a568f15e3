"""Jobs in a program that is not ours: its signals, logs, event loop and threads, and what jobs change in it."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any

import dask.config
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import pipeline
from pipeline.errors import FunctionError
from pipeline.types.report import Noted, Planned
from tests.contracts.cluster import Cluster, start_cluster

ROOT = Path(__file__).resolve().parents[2]
ROWS, CHUNK_ROWS = 600, 100
MODEL = pipeline.LogisticModel.from_json(
    '{"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.5,'
    ' "features": [{"column": "a", "kind": "numeric", "coefficient": 1.0}]}'
)

SYNC = {"scheduler": "sync"}
CHUNKS = "6 chunks,"
SCORED = "600 rows read, 600 scored, 0 null, 0 NaN, in "
USED = "600 read = 600 used + 0 held out + 0 dropped + 0 bad + 0 without target, in "

Job = Callable[..., Any]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manners")
    random = np.random.default_rng(5)
    a, b = random.normal(size=(2, ROWS))
    y = a - b + random.logistic(size=ROWS) > 0
    pq.write_table(pa.table({"a": a, "b": b, "y": y}), folder / "in.parquet", row_group_size=CHUNK_ROWS)
    return folder / "in.parquet"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with start_cluster(tmp_path_factory.mktemp("cluster"), "--no-nanny", workers=1) as running:
        yield running


def score(inputs: Path, output: Path, **options: Any) -> bytes:
    """Score, and return the bytes of all parts."""
    pipeline.score(inputs, MODEL, output, chunk_size=CHUNK_ROWS, **options)
    return b"".join(part.read_bytes() for part in sorted(output.glob("*.parquet")))


def fit(inputs: Path, output: Path, **options: Any) -> bytes:
    """Fit, and return the model file."""
    report = pipeline.fit(inputs, target="y", features=["a", "b"], chunk_size=CHUNK_ROWS, **options)
    return report.model.to_json().encode()


def evaluate(inputs: Path, _: Path, **options: Any) -> bytes:
    """Evaluate the model, and return what was measured."""
    report = pipeline.evaluate(inputs, model=MODEL, target="y", chunk_size=CHUNK_ROWS, **options)
    return repr((report.rows, report.measures)).encode()


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in sorted(signal.valid_signals())]


def state() -> dict[str, Any]:
    """What jobs may change in the process; variables of the environment are compared after every test."""
    names = ["distributed", "distributed.worker", "distributed.client", "tornado.application", "logitstream", "bokeh"]
    loggers = [logging.getLogger(name) for name in (*names, None)]
    blas = [(each["filepath"], each["num_threads"]) for each in threadpool_info() if each["user_api"] == "blas"]
    return {
        "signals": handlers(),
        "loggers": [(each.level, each.disabled, [held.level for held in each.handlers]) for each in loggers],
        "BLAS": sorted(blas),
        "Dask": copy.deepcopy(dask.config.config),
        "warnings": list(warnings.filters),
        "garbage": (gc.isenabled(), gc.get_threshold()),
        "arithmetic": np.geterr(),
        "Arrow": (pa.cpu_count(), pa.io_thread_count()),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "limits": [resource.getrlimit(each) for each in (resource.RLIMIT_DATA, resource.RLIMIT_CORE)],
        "paths": (Path.cwd(), list(sys.path)),
    }


@pytest.mark.parametrize("scheduler", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
@pytest.mark.parametrize("job", [score, fit, evaluate])
def test_a_function_never_takes_a_signal_handler(inputs: Path, tmp_path: Path, job: Job, scheduler: str) -> None:
    before, seen = handlers(), []
    job(inputs, tmp_path / "out", scheduler=scheduler, workers=1, observe=lambda _: seen.append(handlers()))
    assert len(seen) > 1
    assert all(found == before for found in (*seen, handlers()))


def network(inputs: Path, _: Path, **options: Any) -> pipeline.NetworkReport:
    """Fit a small network."""
    pytest.importorskip("safetensors", reason="safetensors is not installed (extra network)")
    options = {"hidden": "2 tanh", "epochs": 2, "chunk_size": CHUNK_ROWS, **options}
    return pipeline.fit_network(inputs, target="y", features=["a", "b"], **options)


def stream(output: Path) -> None:
    """Publish the blocks of a generator."""
    pipeline.transform_stream((np.ones(5) for _ in range(2)), "sigmoid", output)


@pytest.mark.parametrize(
    ("job", "part", "first", "last"),
    [
        (lambda i, o: score(i, o, workers=1), "run", f"OUT: {CHUNKS} 1 worker on threads", f"published OUT: {SCORED}"),
        (lambda i, o: score(i, o, workers=2), "run", f"OUT: {CHUNKS} 2 workers on threads", f"published OUT: {SCORED}"),
        (lambda _, o: stream(o), "run", "OUT: the blocks of a stream", "published OUT: 10 rows read, 10 scored, "),
        (lambda i, o: fit(i, o, workers=2), "fit", f"a fit of y: {CHUNKS} 2 workers on threads", f"fitted y: {USED}"),
        (lambda i, o: fit(i, o, **SYNC), "fit", f"a fit of y: {CHUNKS} 1 worker on sync", f"fitted y: {USED}"),
        (lambda i, o: network(i, o, **SYNC), "fit", f"a fit of y: {CHUNKS} 1 worker on sync", f"fitted y: {USED}"),
        (
            lambda i, o: evaluate(i, o, workers=1), "evaluate", f"an evaluation of y: {CHUNKS} 1 worker on threads",
            "evaluated y: 600 read = 600 used, in ",
        ),
        (
            lambda i, _: pipeline.calibrate(i, MODEL, target="y", method="platt"), "calibrate",
            "a calibration for y: 1 chunk, 1 worker on threads", f"calibrated for y: {USED}",
        ),
        (
            lambda *_: pipeline.diagnose_initialisation(depth=2, width=3, seeds=2, initialisation="normal"), "diagnose",
            "a diagnosis of normal with deviation 0.5: 2 layers of 3 units, 2 times",
            "measured 2 layers of 3 units, 2 times, in ",
        ),
    ],
    ids=["score", "score on two", "stream", "fit", "fit on one", "network", "evaluate", "calibrate", "initialisation"],
)  # fmt: skip
def test_each_job_logs_its_plan_and_its_accounts_once_and_prints_nothing(
    inputs: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    job: Job,
    part: str,
    first: str,
    last: str,
) -> None:
    caplog.set_level(logging.INFO)
    job(inputs, tmp_path / "out")
    ours = [record for record in caplog.records if record.name.startswith("logitstream")]
    assert {(record.name, record.levelname) for record in ours} == {(f"logitstream.{part}", "INFO")}
    told = [record.getMessage().replace(str(tmp_path / "out"), "OUT") for record in ours]
    assert told[0] == f"planned {first}"
    assert told[-1].startswith(last)
    assert len(told) == len(set(told))
    assert capfd.readouterr() == ("", "")


def test_a_diagnosis_of_gradients_logs_its_plan_and_its_rows(
    inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = network(inputs, tmp_path, output=tmp_path / "model.json").model
    caplog.set_level(logging.INFO)
    pipeline.diagnose_gradients(inputs, model, target="y", workers=1)
    assert {record.name for record in caplog.records} == {"logitstream.diagnose"}
    assert caplog.messages[0] == "planned a diagnosis of gradients: 1 chunk, 1 worker on threads"
    assert caplog.messages[-1].startswith("measured gradients: log loss of y, ")
    assert "600 rows, in " in caplog.messages[-1]


def test_passes_and_epochs_are_logged(inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fit(inputs, tmp_path)
    pipeline.calibrate(inputs, MODEL, target="y", method="platt")
    network(inputs, tmp_path)
    for start in ("pass 1 (learn): 600 rows in ", "pass 1 (count): 600 rows in ", "epoch 1: 600 rows in "):
        assert any(message.startswith(start) for message in caplog.messages), start


PAIRS = [(score, score), (fit, fit), (score, fit), (score, evaluate), (evaluate, fit)]


@pytest.mark.parametrize("end", [None, RuntimeError, KeyboardInterrupt], ids=["both end well", "error", "interrupt"])
@pytest.mark.parametrize("jobs", PAIRS, ids=[f"{one.__name__} and {other.__name__}" for one, other in PAIRS])
def test_two_threads_run_two_jobs_at_once_with_the_answers_of_one_and_leave_the_process_as_it_was(
    inputs: Path, tmp_path: Path, jobs: tuple[Job, Job], end: type[BaseException] | None
) -> None:
    alone = [job(inputs, tmp_path / f"alone {number}") for number, job in enumerate(jobs)]
    both = Barrier(2, timeout=20)
    together: set[int] = set()

    def run(number: int) -> bytes:
        def observe(event: object) -> None:
            # A plan is told before the job changes anything.
            if number not in together and not isinstance(event, Planned | Noted):
                together.add(number)
                both.wait()
                if end is not None and number == 0:
                    raise end("in the first job")

        found: bytes = jobs[number](inputs, tmp_path / f"{number}", observe=observe, workers=2)
        return found

    with threadpool_limits(2, user_api="blas"):
        before = state()
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.submit(run, 0), pool.submit(run, 1)
            assert second.result() == alone[1]
            if end is None:
                assert first.result() == alone[0]
            else:
                with pytest.raises(end, match="in the first job"):
                    first.result()
        assert state() == before
    assert together == {0, 1}


def test_jobs_run_inside_an_event_loop_and_beside_it(inputs: Path, tmp_path: Path) -> None:
    expected, fitted = score(inputs, tmp_path / "alone"), fit(inputs, tmp_path)

    async def main() -> list[bytes]:
        inside = score(inputs, tmp_path / "inside")
        ticks, beside = (
            0,
            asyncio.gather(
                asyncio.to_thread(score, inputs, tmp_path / "one"), asyncio.to_thread(fit, inputs, tmp_path)
            ),
        )
        while not beside.done():
            ticks += 1
            await asyncio.sleep(0.001)
        assert ticks > 1
        return [inside, *await beside]

    before = state()
    assert asyncio.run(main()) == [expected, expected, fitted]
    assert state() == before


TWO_CLUSTERS = """
import sys, pipeline
from concurrent.futures import ThreadPoolExecutor
from tests.flow.test_manners import MODEL, CHUNK_ROWS, state

def run(name):
    local = {"chunk_size": CHUNK_ROWS, "scheduler": "local[processes=1]"}
    return pipeline.score(sys.argv[1], MODEL, f"{sys.argv[2]}/{name}", **local)

if __name__ == "__main__":
    # What they set when they are loaded stays.
    import distributed
    pipeline.score
    before = state()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, ("one", "other")))
    assert state() == before
"""


@pytest.mark.slow
def test_two_runs_that_start_a_cluster_each_print_nothing_and_leave_the_process_as_it_was(
    inputs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed (extra cluster)")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", TWO_CLUSTERS, str(inputs), str(tmp_path)]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, timeout=120, cwd=ROOT)
    assert (done.stdout, done.stderr) == (b"", b"")


def own_error(block: np.ndarray) -> np.ndarray:
    if block.size:
        raise ZeroDivisionError("mine")
    return block


@pytest.mark.slow
def test_two_jobs_at_once_on_a_cluster_and_one_inside_an_event_loop(
    cluster: Cluster, inputs: Path, tmp_path: Path
) -> None:
    # Dask's own defaults first: what is set before they are there takes them along when it is put back.
    import distributed  # noqa: F401

    expected = score(inputs, tmp_path / "alone")
    with dask.config.set({"distributed.comm.retry.count": 7}):
        score(inputs, tmp_path / "first", scheduler=cluster.address)
        before = state()
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(score, inputs, tmp_path / name, scheduler=cluster.address, if_exists="fail")
                for name in ("one", "other")
            ]
            assert [run.result() for run in runs] == [expected, expected]
        assert state() == before

        def failing(_: object) -> None:
            raise RuntimeError("on the cluster")

        with ThreadPoolExecutor(2) as pool:
            options = {"scheduler": cluster.address, "observe": failing}
            lost, here = pool.submit(score, inputs, tmp_path / "lost", **options), pool.submit(fit, inputs, tmp_path)
            assert here.result() == fit(inputs, tmp_path)
            with pytest.raises(RuntimeError, match="on the cluster"):
                lost.result()
        assert state() == before

        async def main() -> bytes:
            return score(inputs, tmp_path / "inside", scheduler=cluster.address)

        assert asyncio.run(main()) == expected
        assert state() == before


@contextmanager
def restarts(address: str) -> Iterator[None]:
    """Have the scheduler say, until the block ends, that workers were started again because of their memory."""
    from distributed import Client

    begun, over = threading.Event(), threading.Event()

    def tell() -> None:
        with Client(address, set_as_default=False) as client:
            for number in count():
                client.log_event("worker-restart-memory", {"worker": f"tcp://127.0.0.1:{number}", "rss": 2**29})
                begun.set()
                if over.wait(0.02):
                    return

    with ThreadPoolExecutor(1) as pool:
        telling = pool.submit(tell)
        try:
            begun.wait(30)
            yield
        finally:
            over.set()
        telling.result()


@pytest.mark.slow
@pytest.mark.parametrize(
    "job",
    [
        fit, evaluate, network, lambda i, _, **o: pipeline.calibrate(i, MODEL, target="y", method="platt", **o),
        lambda i, o, **options: pipeline.diagnose_gradients(
            i, network(i, o, output=o.with_suffix(".json")).model, target="y", **options
        ),
    ],
    ids=["fit", "evaluate", "network", "calibrate", "gradients"],
)  # fmt: skip
def test_what_a_cluster_makes_known_while_a_job_runs_is_logged_as_a_warning(
    cluster: Cluster, inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, job: Job
) -> None:
    with restarts(cluster.address):
        job(inputs, tmp_path / "out", scheduler=cluster.address)
    warned = {record.getMessage() for record in caplog.records if record.levelname == "WARNING"}
    assert warned
    assert all("was ended by its nanny and started again: it took 512 MiB" in text for text in warned)


@pytest.mark.slow
def test_an_error_in_a_function_on_a_cluster_keeps_its_cause(cluster: Cluster, inputs: Path, tmp_path: Path) -> None:
    dataset = pipeline.open_dataset(inputs, chunk_size=CHUNK_ROWS)
    p = dataset.to_dask_array("a").map_blocks(own_error, dtype=np.float64)
    with pytest.raises(pipeline.LogitstreamError, match=r"chunk \d: .*in\.parquet, rows \d+ to \d+.*mine") as caught:
        dataset.write({"p": p}, str(tmp_path / "out"), scheduler=cluster.address)
    assert type(caught.value.__cause__) is ZeroDivisionError


class LockedError(Exception):
    """An error that cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def locked_error(block: np.ndarray) -> np.ndarray:
    if block.size:
        raise LockedError("mine")
    return block


@pytest.mark.slow
def test_a_cause_that_cannot_leave_its_worker_is_told(cluster: Cluster, inputs: Path, tmp_path: Path) -> None:
    dataset = pipeline.open_dataset(inputs, chunk_size=CHUNK_ROWS)
    p = dataset.to_dask_array("a").map_blocks(locked_error, dtype=np.float64)
    with pytest.raises(FunctionError, match=r"chunk \d: .*, rows \d+ to \d+: .* LockedError: mine") as caught:
        dataset.write({"p": p}, str(tmp_path / "out"), scheduler=cluster.address)
    assert caught.value.__cause__ is None
    assert "in locked_error" in "".join(caught.value.__notes__)
