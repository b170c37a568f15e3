"""Whole runs on a cluster of real processes: the output is that of a local run, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask.config
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy._core import _multiarray_umath as umath

import pipeline
from jobs.cli import run as run_command
from pipeline.errors import BadCellsError
from pipeline.execute.cluster import connecting
from pipeline.types.report import Event, Progressed
from tests.contracts.cluster import ROOT, Cluster, start_scheduler, wait_for_workers
from tests.flow.conftest import tree
from tests.flow.test_sequence_runs import lists
from tests.flow.test_sequence_runs import model as model_of_sequences
from tests.flow.test_version_2_runs import DECIDING, OF_CLASSES, rows_of

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "sample_data"
MODEL = SAMPLE / "delay_model.json"
CHUNK_ROWS = 300
BAD = 10_006  # a record that is not repeated in a note
OPTIONS = {"keep": ["flight_id", "tailnum"], "raw_prediction": True, "chunk_size": CHUNK_ROWS}
WORDS = ("--keep", "flight_id,tailnum", "--raw-prediction", "--chunk-size", CHUNK_ROWS)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One worker of one thread, which outlives every test; a test that needs a worker to kill starts its own."""
    with start_scheduler(tmp_path_factory.mktemp("cluster")) as running, one_more_worker(running):
        yield running


@contextmanager
def one_more_worker(cluster: Cluster, *options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    # A worker that loads modules with its first task would get little work beside one that has loaded them.
    preloaded = ("--preload", "pipeline.flow.write")
    with cluster.worker("--no-nanny", *preloaded, *options, environment=environment) as process:
        yield process


def wait_for_all_workers(cluster: Cluster) -> None:
    wait_for_workers(cluster, len(list(cluster.folder.glob("worker-*.log"))))


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample in row groups that make about 70 chunks."""
    folder = tmp_path_factory.mktemp("flights")
    for path in sorted((SAMPLE / "flights").glob("*.parquet")):
        pq.write_table(pq.read_table(path), folder / path.name, row_group_size=CHUNK_ROWS)
    return folder


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as CSV with one more column, whose quoted lines look like records: a cut among them misleads."""
    path = tmp_path_factory.mktemp("notes") / "flights.csv"
    write_with_notes(path, (SAMPLE / "flights.csv").read_text().splitlines())
    return path


def write_with_notes(path: Path, lines: list[str]) -> None:
    """Every eighth record has a note of many lines, which repeats it and the two records after it.

    The quote that closes a note follows text: to a reader that begins inside the note it closes nothing, and all fits.
    """
    header, *records = lines
    with path.open("w", newline="") as file:
        file.write(f"{header},note\n")
        for i, record in enumerate(records):
            note = "\n".join(['see ""below"":', *(f"{other},as said" for other in records[i : i + 3])])
            file.write(f'{record},"{note}"\n' if i % 8 == 0 else f"{record},\n")


@pytest.fixture(scope="module")
def local_flights(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what a run on the calling thread makes of them."""
    output = tmp_path_factory.mktemp("local") / "out"
    assert pipeline.score(flights, MODEL, output, scheduler="sync", **OPTIONS).totals.chunks > 60
    return output


@dataclass(frozen=True)
class Command:
    process: subprocess.Popen[str]
    output: Path

    def ended(self) -> tuple[int, str]:
        """Return the exit code and the messages."""
        _, said = self.process.communicate(timeout=120)
        return self.process.returncode, said


@contextmanager
def command(source: Path, output: Path, address: str, *words: object) -> Iterator[Command]:
    """Run ``logitstream score`` in a separate process."""
    line = ["score", source, "--model", MODEL, "--output", output, "--scheduler", address, *WORDS, *words]
    process = subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import main; main()", *map(str, line)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=output.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Command(process, output)
        finally:
            process.kill()


def home_of(output: Path) -> Path:
    return output.parent / f".{output.name}.logitstream"


def receipts_so_far(output: Path) -> list[dict[str, object]]:
    """Return the receipts in the journal of the run that is under way."""
    lines = [line for path in home_of(output).glob("jobs/*/journal") for line in path.read_bytes().split(b"\n")[:-1]]
    return [entry for line in lines if "worker" in (entry := json.loads(line.rpartition(b" ")[0]))]


def chunks_done_by(process: subprocess.Popen[bytes], output: Path) -> int:
    return sum(str(receipt["worker"]).endswith(f":{process.pid}") for receipt in receipts_so_far(output))


def attempts_so_far(output: Path) -> int:
    """Return how many files the tasks have begun: one for each time that a chunk was executed."""
    return sum(path.is_file() for path in home_of(output).glob("jobs/*/attempts/**/*"))


def wait_for(what: Callable[[], object], run: Command) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert run.process.poll() is None, run.ended()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def listed(output: Path) -> list[int]:
    """Return the chunks that the receipts of a published output list."""
    with pa.OSFile(str(output / "_manifest.receipts")) as file, pa.CompressedInputStream(file, "zstd") as stream:
        names = [json.loads(line)["name"] for line in stream.read().splitlines()]
    return [int(name.split("-")[1]) for name in names]


def check_same(output: Path, local: Path, scheduler: str = "sync") -> None:
    """Only what was observed differs from a local run, and nothing is left of its staging."""
    names = {path.name for path in local.iterdir()}
    assert {path.name for path in output.iterdir()} == names
    for name in names - {"_manifest.json"}:
        assert (output / name).read_bytes() == (local / name).read_bytes(), name
    ours, theirs = (json.loads((folder / "_manifest.json").read_text()) for folder in (output, local))
    assert ours.pop("observed")["scheduler"].startswith("tcp://")
    assert theirs.pop("observed")["scheduler"] == scheduler
    assert ours == theirs
    assert listed(output) == list(range(len(names) - 2))
    assert not list((home_of(output) / "jobs").iterdir())


def check_nothing_published(output: Path) -> None:
    assert not output.exists()
    assert not list(output.parent.rglob("part-*"))


def check_plain(said: str) -> None:
    """The message is logitstream's: no traceback, no line that Dask or asyncio logged."""
    assert not re.search(r"Traceback|Error|distributed|asyncio|tornado", said), said


def test_a_worker_killed_in_mid_run_changes_nothing(
    cluster: Cluster, flights: Path, local_flights: Path, tmp_path: Path
) -> None:
    with one_more_worker(cluster, "--preload", "tests.flow.mortal") as victim:
        wait_for_all_workers(cluster)
        with command(flights, tmp_path / "out", cluster.address) as run:
            code, said = run.ended()
        assert victim.wait(timeout=60) == -signal.SIGKILL
    assert code == 0, said
    check_plain(said)
    check_same(tmp_path / "out", local_flights)


def test_wrong_guesses_in_a_csv_are_mended_on_a_cluster_that_loses_a_worker(
    cluster: Cluster, notes: Path, tmp_path: Path
) -> None:
    options = {**OPTIONS, "keep": ["flight_id", "note"], "chunk_size": 450}
    executed: dict[str, int] = {}
    killed_at: list[int] = []

    def count(event: Event) -> None:
        if isinstance(event, Progressed):
            executed["local"] = attempts_so_far(tmp_path / "local")

    def kill(event: Event) -> None:
        if isinstance(event, Progressed):
            executed["cluster"] = attempts_so_far(tmp_path / "out")
            if not killed_at and chunks_done_by(victim, tmp_path / "out") >= 3:
                victim.kill()
                killed_at.append(event.totals.chunks)

    with one_more_worker(cluster) as victim:
        local = pipeline.score(notes, MODEL, tmp_path / "local", scheduler="sync", observe=count, **options)
        wait_for_all_workers(cluster)
        pipeline.score(notes, MODEL, tmp_path / "out", scheduler=cluster.address, observe=kill, **options)
    chunks = local.totals.chunks
    assert chunks > 60
    assert local.totals.read == local.totals.written == pq.read_table(SAMPLE / "flights", columns=[]).num_rows
    assert killed_at[0] < chunks
    # Read one after the other, each chunk knows where it begins; read at once, many guess, and some guess wrong.
    assert executed["local"] == chunks
    assert executed["cluster"] > chunks + 5
    check_same(tmp_path / "out", tmp_path / "local")


def test_a_dask_expression_with_a_lambda_travels(cluster: Cluster, notes: Path, tmp_path: Path) -> None:
    dataset = pipeline.open_dataset(notes, chunk_size=1_000)
    x = dataset.to_dask_array(["dep_delay", "distance"])
    shift = 3.5
    roots = x[:, 1].map_blocks(lambda block: np.sqrt(block) + shift)
    expressions = {"p": pipeline.sigmoid(0.01 * x[:, 0] - 0.1 * roots), "single": roots.astype(np.float32)}
    for name, scheduler in (("local", "sync"), ("out", cluster.address)):
        dataset.write(
            expressions, str(tmp_path / name), identity="roots 1", scheduler=scheduler, keep=["flight_id", "note"]
        )
    check_same(tmp_path / "out", tmp_path / "local")


def test_of_a_task_with_much_data_dask_says_nothing(cluster: Cluster, flights: Path, tmp_path: Path) -> None:
    # To Dask every task is large, so that the test is quick.
    large = dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 B"})
    with large, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pipeline.score(flights, MODEL, tmp_path / "out", scheduler=cluster.address, chunk_size=1_000_000)
    assert not said


def test_unseen_values_are_counted_on_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "flights.csv"
    source.write_text((SAMPLE / "flights.csv").read_text().replace(",UA,", ",ua,"))
    options = {"chunk_size": "256KiB", "null": "NA", "keep": ["flight_id"]}
    here, there = (
        pipeline.score(source, MODEL, tmp_path / name, scheduler=scheduler, **options)
        for name, scheduler in (("local", "sync"), ("out", cluster.address))
    )
    assert there.warnings == here.warnings
    assert [(each.column, each.frequent[0][0], each.cause) for each in there.warnings] == [
        ("carrier", "ua", "case or blanks")
    ]


@pytest.mark.parametrize("model", [DECIDING, OF_CLASSES], ids=["decisions", "classes"])
def test_every_column_of_a_model_of_version_2_is_made_on_a_cluster_as_locally(
    cluster: Cluster, tmp_path: Path, model: dict[str, object]
) -> None:
    pq.write_table(rows_of(), tmp_path / "rows.parquet", row_group_size=700)
    (tmp_path / "model.json").write_text(json.dumps(model))
    options = {"chunk_size": 900, "keep": ["id"], "max_bad": "100%"}
    totals, found = [], []
    for name, scheduler in (("local", "sync"), ("out", cluster.address)):
        out = tmp_path / name
        report = pipeline.score(tmp_path / "rows.parquet", tmp_path / "model.json", out, scheduler=scheduler, **options)
        totals.append((report.totals.written, report.totals.quarantined, report.totals.events))
        found.append({name: content for name, content in tree(out).items() if name != "_manifest.json"})
    assert totals[0] == totals[1]
    assert found[0] == found[1]


def test_a_network_is_scored_on_a_cluster_as_locally(cluster: Cluster, tmp_path: Path) -> None:
    path = model_of_sequences(tmp_path / "models", offset={"column": "id", "missing": "error"})
    rows = pa.table({"id": np.arange(3_000) % 5, "clicks": lists(3_000)})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=400)
    found = []
    for name, scheduler in (("local", "sync"), ("out", cluster.address)):
        report = pipeline.score(
            tmp_path / "rows.parquet", path, tmp_path / name, scheduler=scheduler, keep=["id"], chunk_size=500
        )
        assert report.totals.written == 3_000
        found.append({name: content for name, content in tree(tmp_path / name).items() if name != "_manifest.json"})
    assert found[0] == found[1]
    assert pipeline.verify(tmp_path / "out", sample=2).as_published


def test_a_bad_cell_is_told_as_a_local_run_tells_it(cluster: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "flights.csv"
    lines = (SAMPLE / "flights.csv").read_text().splitlines()
    cells = lines[BAD].split(",")
    lines[BAD] = ",".join([*cells[:6], "\x1b[31mlate", *cells[7:]])
    write_with_notes(source, lines)
    with command(source, tmp_path / "out", cluster.address) as run:
        with pytest.raises(BadCellsError) as caught:
            pipeline.score(source, MODEL, tmp_path / "local", scheduler="sync", **OPTIONS)
        code, said = run.ended()
    assert code == 65
    assert caught.value.message.startswith(f"flights.csv: record {BAD:,} (byte ")
    assert caught.value.message.endswith(r"), column dep_delay: '\x1b[31mlate' is not a number")
    for line in str(caught.value).splitlines():
        assert line in said
    check_plain(said)
    check_nothing_published(tmp_path / "out")


def lowest_features() -> dict[str, str]:
    """Return the environment that makes this CPU act as the oldest one it can."""
    dispatched = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
    return {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched), "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2"}


def tag_with(environment: dict[str, str]) -> str:
    code = "from pipeline.kernels import arithmetic_tag; print(arithmetic_tag('fast'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_worker_with_another_arithmetic_is_refused(cluster: Cluster, flights: Path, tmp_path: Path) -> None:
    with one_more_worker(cluster, **lowest_features()) as odd:
        here, there = pipeline.kernels.arithmetic_tag("fast"), tag_with(lowest_features())
        if here == there:
            pytest.skip("this CPU has one way only to compute exp")
        wait_for_all_workers(cluster)
        with command(flights, tmp_path / "out", cluster.address) as run:
            code, said = run.ended()
    assert code == 78, said
    assert re.search(rf"worker \S+:{odd.pid} computes with {there}, but the job was planned for {here}", said)
    check_plain(said)
    check_nothing_published(tmp_path / "out")


def test_workers_that_differ_may_compute_together_what_is_reproducible(
    cluster: Cluster, flights: Path, tmp_path: Path
) -> None:
    options = {"precision": "reproducible", **OPTIONS}
    pipeline.score(flights, MODEL, tmp_path / "local", scheduler="sync", **options)
    done_by_odd = set()

    def count(event: Event) -> None:
        if isinstance(event, Progressed):
            done_by_odd.add(chunks_done_by(odd, tmp_path / "out"))

    with one_more_worker(cluster, **lowest_features()) as odd:
        wait_for_all_workers(cluster)
        pipeline.score(flights, MODEL, tmp_path / "out", scheduler=cluster.address, observe=count, **options)
    assert max(done_by_odd) > 0
    check_same(tmp_path / "out", tmp_path / "local")


def test_a_scheduler_beyond_this_machine_needs_insecure(
    cluster: Cluster, flights: Path, local_flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The address for any host reaches this machine, and is not a loopback address."""
    address = cluster.address.replace("127.0.0.1", "0.0.0.0")
    line = ["score", flights, "--model", MODEL, "--output", tmp_path / "out", "--scheduler", address, *WORDS]
    assert run_command([str(word) for word in line]) == 78
    said = capfd.readouterr().err
    assert "anyone who reaches the port can run code" in said
    assert "--insecure" in said
    assert not list(tmp_path.iterdir())
    assert run_command([str(word) for word in [*line, "--insecure"]]) == 0
    check_same(tmp_path / "out", local_flights)


def test_an_unreachable_scheduler(
    flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0.5)
    line = [
        "score",
        flights,
        "--model",
        MODEL,
        "--output",
        tmp_path / "out",
        "--scheduler",
        "tcp://127.0.0.1:1",
        *WORDS,
    ]
    assert run_command([str(word) for word in line]) == 69
    said = capfd.readouterr().err
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in said
    check_plain(said)
    check_nothing_published(tmp_path / "out")


def test_a_scheduler_killed_in_mid_run_ends_it(cluster: Cluster, flights: Path, tmp_path: Path) -> None:
    """This is the last test: it ends the cluster of the others."""
    with command(flights, tmp_path / "out", cluster.address) as run:
        wait_for(lambda: len(receipts_so_far(run.output)) >= 5, run)
        cluster.scheduler.kill()
        code, said = run.ended()
    assert code == 69, said
    assert f"the connection to the scheduler at {cluster.address} was lost" in said
    check_plain(said)
    check_nothing_published(tmp_path / "out")
