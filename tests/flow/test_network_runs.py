"""Networks scored over files: the scores of NumPy, the same bits however a run is carried out, and how runs fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from math import erf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import threadpoolctl  # noqa: F401 - its first import sets a variable of the environment

import pipeline
from pipeline import flow
from pipeline.errors import (
    ConfigurationError,
    InputMissingError,
    MemoryBudgetError,
    ModelError,
    SchemaError,
    TemporaryError,
    UsageError,
)
from pipeline.interface import score_job
from pipeline.memory import current_bytes
from pipeline.types.report import Event, Planned, Progressed, Report
from pipeline.units import MIB
from tests.flow.conftest import Bench
from tests.models.network.networks import categorical, columns, drawn, layers, numeric, written

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_data"
CARRIERS = ["AA", "B6", "DL", "EV", "UA"]
FEATURES = [
    numeric("dep_delay", center=12.0, scale=40.0, missing="null"),
    numeric("distance", center=1040.0, scale=730.0),
    numeric("hour", center=13.0, scale=5.0),
    categorical("carrier", CARRIERS, unseen="zero"),
    categorical("origin", ["EWR", "JFK", "LGA"]),
]
WIDTHS = (11, 24, 12, 1)


def flights(folder: Path, dtype: type = np.float32, seed: int = 4) -> Path:
    """Write a network for the flights."""
    output = {"columns": ["probability", "raw_prediction", "decision"], "threshold": 0.2}
    return written(folder, drawn(WIDTHS, dtype, seed), features=FEATURES, layers=layers(3, "gelu"), output=output)


def score(model: Path, output: Path, source: Path = SAMPLE / "flights", **options: Any) -> Report:
    options = {"keep": ["flight_id"], "chunk_size": 2_000, "max_unseen": "100%", **options}
    return pipeline.score(source, model, output, **options)


def parts(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.iterdir()) if path.name.startswith("part-")}


def reproduced(rows: pa.Table, dtype: type) -> np.ndarray:
    """Return the raw predictions by plain products of matrices; NaN where a value is missing."""
    held = drawn(WIDTHS, dtype, 4)
    inputs = []
    for feature in FEATURES:
        cells = rows[feature["column"]].to_numpy(zero_copy_only=False)
        if feature["kind"] == "numeric":
            inputs.append((cells.astype(float) - feature["center"]) / feature["scale"])
        else:
            inputs += [(cells == category).astype(float) for category in feature["categories"]]
    values = np.column_stack(inputs)
    gelu = np.vectorize(lambda x: x * (1 + erf(x / sqrt(2))) / 2)
    for number in range(3):
        values = values @ held[f"{number}.weight"].T.astype(float) + held[f"{number}.bias"].astype(float)
        values = gelu(values) if number < 2 else values
    return values[:, 0]


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and one run of it on the scheduler that the others must agree with."""
    folder = tmp_path_factory.mktemp("reference")
    model = flights(folder / "models", request.param)
    score(model, folder / "out", scheduler="sync", workers=1)
    return model, folder / "out"


def test_flights_have_the_scores_of_plain_products(reference: tuple[Path, Path]) -> None:
    model, output = reference
    rows = pq.read_table(SAMPLE / "flights")
    found = pq.read_table(output)
    assert found["flight_id"].equals(rows["flight_id"])
    raw = found["raw_prediction"].to_numpy(zero_copy_only=False)
    dtype = np.float32 if "F32" in (model.parent / "model.safetensors").read_bytes()[:400].decode("latin-1") else float
    limit = 1e-6 if dtype is np.float32 else 1e-12
    expected = reproduced(rows, dtype)
    assert np.isnan(expected).sum() == found["raw_prediction"].null_count > 400
    np.testing.assert_allclose(raw, expected, rtol=limit, atol=limit)
    probability = found["probability"].to_numpy(zero_copy_only=False)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-raw)), rtol=1e-14)
    decided = found["decision"].to_pylist()
    assert decided == [None if value != value else value >= 0.2 for value in probability.tolist()]
    assert 0.05 < np.nanmean(probability >= 0.2) < 0.95


@pytest.mark.parametrize(
    "options",
    [
        {"scheduler": "threads", "workers": 2},
        {"scheduler": "threads", "workers": 3, "memory": "tight"},
        {"scheduler": "sync", "memory": "tight"},
        pytest.param({"scheduler": "processes", "workers": 2}, marks=pytest.mark.slow),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_parts_are_equal_on_every_scheduler_with_any_workers_and_batches(
    reference: tuple[Path, Path], options: dict[str, Any], tmp_path: Path
) -> None:
    model, output = reference
    if options.get("memory") == "tight":
        options = {**options, "memory": max(160 * MIB, current_bytes()) + 60 * MIB}
    score(model, tmp_path / "out", **options)
    assert parts(tmp_path / "out") == parts(output)


@pytest.mark.parametrize("chunk", [1_023, 7_000, "1MiB"])
def test_bits_are_equal_for_any_chunk_size_and_for_csv(
    reference: tuple[Path, Path], chunk: int | str, tmp_path: Path
) -> None:
    model, output = reference
    score(model, tmp_path / "out", chunk_size=chunk)
    score(model, tmp_path / "csv", SAMPLE / "flights.csv", chunk_size=chunk, types={"flight_id": "int32"})
    expected = pq.read_table(output)
    for found in (pq.read_table(tmp_path / "out"), pq.read_table(tmp_path / "csv")):
        for name in ("flight_id", "probability", "raw_prediction", "decision"):
            assert found[name].equals(expected[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("core", ["Haswell", "SkylakeX"])
def test_bits_are_equal_for_any_chunk_size_with_other_kernels_of_blas(core: str, tmp_path: Path) -> None:
    if core == "SkylakeX" and "avx512" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no AVX-512")
    model = flights(tmp_path / "models")
    code = (
        "import sys, pipeline\n"
        "for chunk in (1023, 7000):\n"
        "    pipeline.score(sys.argv[1], sys.argv[2], f'{sys.argv[3]}/{chunk}', keep=['flight_id'], chunk_size=chunk,"
        " max_unseen='100%', scheduler='threads')\n"
    )
    arguments = [sys.executable, "-c", code, str(SAMPLE / "flights"), str(model), str(tmp_path)]
    environment = {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(ROOT), "PATH": ""}
    subprocess.run(arguments, check=True, env=environment, cwd=tmp_path)
    one, other = (pq.read_table(tmp_path / chunk) for chunk in ("1023", "7000"))
    assert one.equals(other)
    manifest = json.loads((tmp_path / "1023" / "_manifest.json").read_text())
    kind = "float64" if core == "Haswell" else "float32"
    assert f"-{core}-{kind}" in manifest["options"]["arithmetic"]
    expected = reproduced(pq.read_table(SAMPLE / "flights"), np.float32)
    found = one["raw_prediction"].to_numpy(zero_copy_only=False)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_job_does_not_know_where_its_weights_are(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        model = flights(tmp_path / name)
        ids.append(pipeline.preview(SAMPLE / "flights", model, tmp_path / "out", max_unseen="100%").job_id)
    other = flights(tmp_path / "three", seed=5)
    assert ids[0] == ids[1]
    assert pipeline.preview(SAMPLE / "flights", other, tmp_path / "out", max_unseen="100%").job_id != ids[0]
    score(model, tmp_path / "out", scheduler="sync")
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    noted = manifest.pop("observed")["beside"]
    assert list(noted.values()) == ["two/model.safetensors"]
    assert "model.safetensors" not in json.dumps(manifest)
    again = score(model, tmp_path / "out", scheduler="sync")
    assert not again.published


def test_a_published_score_is_made_again_and_compared(tmp_path: Path) -> None:
    model = flights(tmp_path / "models")
    score(model, tmp_path / "out", scheduler="sync")
    found = pipeline.verify(tmp_path / "out", sample=3)
    assert (found.chunks_scored, found.differences) == (3, ())
    forget()
    assert pipeline.verify(tmp_path / "out", sample=1).chunks_scored == 1
    shutil.copytree(tmp_path / "models", tmp_path / "kept")
    (tmp_path / "models" / "model.safetensors").unlink()
    forget()
    with pytest.raises(InputMissingError, match="the weights of the model are not there"):
        pipeline.verify(tmp_path / "out", sample=1)
    flights(tmp_path / "models", seed=9)
    with pytest.raises(ModelError, match="these are not the weights of the model"):
        pipeline.verify(tmp_path / "out", sample=1)


def forget() -> None:
    """Forget what this process has read."""
    from pipeline.models.network import compute, weights

    compute._network.cache_clear()
    weights._read.cache_clear()


class StopAfter:
    """Asks the run to stop once a number of chunks is done."""

    def __init__(self, chunks: int) -> None:
        self.chunks, self.stop = chunks, flow.Stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed) and event.totals.chunks >= self.chunks:
            self.stop.request(TemporaryError("enough"))


def test_a_stopped_run_is_resumed_to_the_same_parts(reference: tuple[Path, Path], tmp_path: Path) -> None:
    model, output = reference
    options: dict[str, Any] = {"keep": ["flight_id"], "chunk_size": 2_000, "max_unseen": "100%", "scheduler": "sync"}
    job = score_job(SAMPLE / "flights", model, tmp_path / "out", **options)
    watch = StopAfter(3)
    with pytest.raises(TemporaryError):
        flow.run(job, watch, watch.stop)
    report = flow.run(job)
    assert report.totals.resumed >= 3
    assert report.totals.chunks > report.totals.resumed
    assert parts(tmp_path / "out") == parts(output)


def test_a_worker_with_another_arithmetic_gives_its_chunk_back(tmp_path: Path) -> None:
    model = flights(tmp_path / "models")
    job = score_job(SAMPLE / "flights", model, tmp_path / "out", scheduler="sync", max_unseen="100%")
    assert "openblas" in job.arithmetic
    other = job.arithmetic.rpartition("-")[0] + "-00000000"
    with pytest.raises(ConfigurationError, match="the bits would differ") as caught:
        flow.run(replace(job, arithmetic=other))
    assert caught.value.exit_code == 78
    assert "reproducible" not in caught.value.remedy
    score(model, tmp_path / "out", scheduler="sync")
    job_tag = json.loads((tmp_path / "out" / "_manifest.json").read_text())["options"]["arithmetic"]
    assert job_tag == job.arithmetic


def small(bench: Bench, missing: object = "null", **content: Any) -> Path:
    features = [numeric("x", missing=missing), categorical("c", ["a", "b"], unseen="quarantine")]
    return written(bench.folder / "models", drawn((3, 4, 1)), features=features, layers=layers(2, "relu"), **content)


def test_rows_that_the_policies_set_aside_are_in_the_quarantine(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": [0.5, None, 1.0, 2.0], "c": ["a", "b", "z", "a"], "id": [1, 2, 3, 4]}))
    report = bench.score(model=small(bench), keep=["id"])
    totals = report.totals
    assert (totals.read, totals.written, totals.scored, totals.null, totals.quarantined, totals.bad) == (
        4,
        3,
        2,
        1,
        1,
        0,
    )
    assert bench.table()["id"].to_pylist() == [1, 2, 4]
    assert [value is None for value in bench.table()["probability"].to_pylist()] == [False, True, False]


def test_columns_of_other_types_are_refused_before_the_first_row(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": ["one"], "c": ["a"]}))
    model = small(bench)
    assert 'column "x" is string, but a numeric feature is' in bench.refused(SchemaError, model=model)
    bench.put("f.parquet", pa.table({"y": [1.0], "c": ["a"]}))
    assert "has no column 'x'" in bench.refused(SchemaError, model=model)


def test_reproducible_scores_are_refused_for_a_network(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": [1.0], "c": ["a"]}))
    message = bench.refused(UsageError, model=small(bench), precision="reproducible")
    assert message.splitlines() == [
        "--precision reproducible is not for networks: the products of their layers depend on the CPU and BLAS",
        "leave it out: scores have the same bits on one kind of CPU with one numpy",
    ]
    assert UsageError.exit_code == 2


def test_faults_of_the_weights_end_a_run_before_it_begins(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": [1.0], "c": ["a"]}))
    model = small(bench)
    weights = model.parent / "model.safetensors"
    content = weights.read_bytes()
    forget()
    weights.write_bytes(content + b" ")
    assert "these are not the weights of the model" in bench.refused(ModelError, model=model)
    weights.unlink()
    assert "the weights of the model are not there" in bench.refused(InputMissingError, model=model)


def test_weights_count_towards_the_memory(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({f"x{number}": np.zeros(10) for number in range(60)}))
    tensors = drawn((60, 2_000, 1))
    model = written(bench.folder / "models", tensors, features=columns(60), layers=layers(2, "relu"))
    least = current_bytes()
    message = bench.refused(MemoryBudgetError, model=model, memory=least + 20 * MIB)
    assert MemoryBudgetError.exit_code == 71
    assert "--memory" in message
    wide = bench.preview(model=model)
    narrow = bench.preview(model=small_network_of(bench))
    needed = wide.resources.projected_bytes - narrow.resources.projected_bytes
    assert needed > 4 * 60 * 2_000 * 8


def small_network_of(bench: Bench) -> Path:
    return written(bench.folder / "small", drawn((2, 2, 1)), features=columns(2), layers=layers(2, "relu"))


@pytest.mark.slow
def test_each_worker_process_reads_the_weights_by_itself_and_notices_other_ones(tmp_path: Path) -> None:
    model = flights(tmp_path / "models")
    options: dict[str, Any] = {"scheduler": "processes", "workers": 2, "chunk_size": 2_000, "max_unseen": "100%"}

    def change(event: Event) -> None:
        if isinstance(event, Planned):
            (tmp_path / "models" / "model.safetensors").write_bytes(b"other")

    with pytest.raises(ModelError, match="these are not the weights of the model"):
        pipeline.score(SAMPLE / "flights", model, tmp_path / "out", observe=change, **options)
    assert not (tmp_path / "out").exists()
