"""Jobs in a program that is not ours: its signals, logs, event loop and threads, and what jobs change in it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from tests.contracts.cluster import Cluster, start_cluster

ROOT = Path(__file__).resolve().parents[2]
ROWS, CHUNK_ROWS = 600, 100
MODEL = pipeline.LogisticModel.from_json(
    '{"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.5,'
    ' "features": [{"column": "a", "kind": "numeric", "coefficient": 1.0}]}'
)

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


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in sorted(signal.valid_signals())]


def state() -> tuple[Any, ...]:
    """What jobs may change in the process."""
    names = ["distributed", "distributed.worker", "distributed.client", "tornado.application", "logitstream"]
    blas = sorted((each["filepath"], each["num_threads"]) for each in threadpool_info() if each["user_api"] == "blas")
    levels = [logging.getLogger(name).level for name in names]
    return handlers(), levels, blas, dask.config.get("distributed.comm.retry.count", None), list(warnings.filters)


@pytest.mark.parametrize("scheduler", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
@pytest.mark.parametrize("job", [score, fit])
def test_a_function_never_takes_a_signal_handler(inputs: Path, tmp_path: Path, job: Job, scheduler: str) -> None:
    before, seen = handlers(), []
    job(inputs, tmp_path / "out", scheduler=scheduler, workers=1, observe=lambda _: seen.append(handlers()))
    assert len(seen) > 1
    assert all(found == before for found in (*seen, handlers()))


def test_jobs_log_under_logitstream(inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="logitstream")
    score(inputs, tmp_path / "out")
    assert {(record.name, record.levelname) for record in caplog.records} == {("logitstream.run", "INFO")}
    assert caplog.messages[0].startswith(f"planned {tmp_path / 'out'}: 6 chunks, ")
    assert caplog.messages[-1].startswith(
        f"published {tmp_path / 'out'}: 600 rows read, 600 scored, 0 null, 0 NaN, in "
    )
    caplog.clear()
    fit(inputs, tmp_path / "out")
    assert {record.name for record in caplog.records} == {"logitstream.fit"}
    assert any(message.startswith("pass 1 (learn): 600 rows in ") for message in caplog.messages)
    caplog.clear()
    pipeline.calibrate(inputs, MODEL, target="y", method="platt")
    assert {record.name for record in caplog.records} == {"logitstream.calibrate"}
    assert any(message.startswith("pass 1 (") for message in caplog.messages)


@pytest.mark.parametrize("job", [score, fit])
def test_two_threads_run_two_jobs_at_once_with_the_answers_of_one_and_leave_the_process_as_it_was(
    inputs: Path, tmp_path: Path, job: Job
) -> None:
    expected = job(inputs, tmp_path / "alone")
    both = Barrier(2, timeout=20)
    together = set()

    def run(name: str) -> bytes:
        def observe(_: object) -> None:
            if name not in together:
                together.add(name)
                both.wait()

        return job(inputs, tmp_path / name, observe=observe, workers=2)

    with threadpool_limits(2, user_api="blas"):
        before = state()
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(run, ("one", "other")))
        assert state() == before
    assert found == [expected, expected]
    assert together == {"one", "other"}


def test_jobs_run_inside_an_event_loop_and_beside_it(inputs: Path, tmp_path: Path) -> None:
    expected = score(inputs, tmp_path / "alone")

    async def main() -> list[bytes]:
        inside = score(inputs, tmp_path / "inside")
        ticks, beside = (
            0,
            asyncio.gather(
                asyncio.to_thread(score, inputs, tmp_path / "one"), asyncio.to_thread(score, inputs, tmp_path / "other")
            ),
        )
        while not beside.done():
            ticks += 1
            await asyncio.sleep(0.001)
        assert ticks > 1
        return [inside, *await beside]

    assert asyncio.run(main()) == [expected] * 3


TWO_CLUSTERS = """
import sys, pipeline
from concurrent.futures import ThreadPoolExecutor
from tests.flow.test_manners import MODEL, CHUNK_ROWS

def run(name):
    local = {"chunk_size": CHUNK_ROWS, "scheduler": "local[processes=1]"}
    return pipeline.score(sys.argv[1], MODEL, f"{sys.argv[2]}/{name}", **local)

if __name__ == "__main__":
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, ("one", "other")))
"""


@pytest.mark.slow
def test_two_runs_that_start_a_cluster_each_print_nothing(inputs: Path, tmp_path: Path) -> None:
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

        async def main() -> bytes:
            return score(inputs, tmp_path / "inside", scheduler=cluster.address)

        assert asyncio.run(main()) == expected
        assert state() == before


@pytest.mark.slow
def test_an_error_in_a_function_on_a_cluster_keeps_its_cause(cluster: Cluster, inputs: Path, tmp_path: Path) -> None:
    dataset = pipeline.open_dataset(inputs, chunk_size=CHUNK_ROWS)
    p = dataset.to_dask_array("a").map_blocks(own_error, dtype=np.float64)
    with pytest.raises(pipeline.LogitstreamError, match=r"chunk \d: .*in\.parquet, rows \d+ to \d+.*mine") as caught:
        dataset.write({"p": p}, str(tmp_path / "out"), scheduler=cluster.address)
    assert type(caught.value.__cause__) is ZeroDivisionError
