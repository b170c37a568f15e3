"""The scores agree with scikit-learn, and have the same bits however a run is carried out."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import pipeline
from pipeline.memory import current_bytes
from pipeline.types.report import Report
from pipeline.units import MIB

SAMPLE = Path(__file__).parents[2] / "sample_data"
MODEL = SAMPLE / "delay_model.json"


def parts(output: Path) -> dict[str, bytes]:
    """Return the published parts by name."""
    return {path.name: path.read_bytes() for path in sorted(output.iterdir()) if path.name.startswith("part-")}


def budget(extra: int) -> int:
    """Return a budget of this many MiB more than the test process takes itself."""
    return max(160 * MIB, current_bytes()) + extra * MIB


def score(output: Path, **options: object) -> Report:
    options = {"keep": ["flight_id", "carrier"], "chunk_size": 2_000, "raw_prediction": True, **options}
    return pipeline.score(SAMPLE / "flights", MODEL, output, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of a plan of several chunks, on the scheduler that the others must agree with."""
    output = tmp_path_factory.mktemp("reference") / "out"
    score(output, scheduler="sync", workers=1)
    return output


def test_flights_are_scored_as_scikit_learn_scores_them(tmp_path: Path) -> None:
    flights = pq.read_table(SAMPLE / "flights").to_pandas(types_mapper=None)
    known = flights.dropna(subset=["dep_delay", "arr_delay", "distance", "hour"])
    numeric, categorical = ["dep_delay", "distance", "hour"], ["carrier", "origin"]
    columns = make_column_transformer((StandardScaler(), numeric), (OneHotEncoder(), categorical))
    fitted = make_pipeline(columns, LogisticRegression(max_iter=500))
    features = known[numeric + categorical].astype(dict.fromkeys(numeric, "float64"))
    fitted.fit(features, known["arr_delay"] > 15)
    table = pa.Table.from_pandas(known[["flight_id", *numeric, *categorical]], preserve_index=False)
    pq.write_table(table, tmp_path / "known.parquet", row_group_size=1_000)
    pipeline.score(tmp_path / "known.parquet", pipeline.from_sklearn(fitted), tmp_path / "out", chunk_size=3_000)
    ours = pq.read_table(tmp_path / "out")["probability"].to_numpy()
    theirs = fitted.predict_proba(features)[:, 1]
    assert len(ours) == len(known) > 19_000
    assert np.max(np.abs(ours - theirs) / theirs) < 1e-14


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(workers=st.integers(1, 4), extra=st.sampled_from([50, 100, 2000]), threads=st.booleans())
def test_parts_are_equal_for_any_workers_memory_and_scheduler(
    reference: Path, workers: int, extra: int, threads: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        score(output, workers=workers, memory=budget(extra), scheduler="threads" if threads else "sync")
        assert parts(output) == parts(reference)
        manifests = [json.loads((p / "_manifest.json").read_text()) for p in (output, reference)]
        assert manifests[0].pop("observed") != {}
        manifests[1].pop("observed")
        assert manifests[0] == manifests[1]


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunk=st.integers(1, 30_000) | st.sampled_from(["10KiB", "1MiB"]), csv=st.booleans(), batch=st.booleans())
def test_score_bits_are_equal_for_any_chunk_size_and_format(
    reference: Path, chunk: int | str, csv: bool, batch: bool
) -> None:
    expected = pq.read_table(reference)
    chunk = max(chunk, 300) if isinstance(chunk, int) else chunk
    with tempfile.TemporaryDirectory() as folder:
        source = SAMPLE / ("flights.csv" if csv else "flights")
        output = Path(folder) / "out"
        report = pipeline.score(
            source,
            MODEL,
            output,
            keep=["flight_id", "carrier"],
            types={"flight_id": "int32"} if csv else {},
            chunk_size=chunk,
            raw_prediction=True,
            memory=budget(60) if batch else "4GiB",
        )
        out = pq.read_table(output)
        assert report.totals.read == len(out) == len(expected)
        assert out["flight_id"].equals(expected["flight_id"])
        for name in ("probability", "raw_prediction", "decision", "carrier"):
            assert out[name].equals(expected[name]), name


def test_plan_and_part_names_do_not_know_the_machine(tmp_path: Path) -> None:
    reports = [
        pipeline.preview(SAMPLE / "flights", MODEL, tmp_path / "out", chunk_size=2_000, memory=memory, workers=workers)
        for memory, workers in ((budget(60), 1), ("8GiB", 2), (None, None))
    ]
    assert len({report.job_id for report in reports}) == 1
    assert len({(report.chunks, report.row_group_rows) for report in reports}) == 1
    assert not list(tmp_path.iterdir())


def test_one_small_file_more_changes_one_part(tmp_path: Path) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    flights = pq.read_table(SAMPLE / "flights")
    for i in range(40):
        pq.write_table(flights.slice(i * 200, 200), inputs / f"{i:03}.parquet")
    options = {"chunk_size": 1_000, "keep": ["flight_id"]}
    pipeline.score(inputs, MODEL, tmp_path / "before", **options)  # type: ignore[arg-type]
    pq.write_table(flights.slice(9_000, 100), inputs / "0205.parquet")
    pipeline.score(inputs, MODEL, tmp_path / "after", **options)  # type: ignore[arg-type]
    before, after = (set(parts(tmp_path / name).values()) for name in ("before", "after"))
    assert len(before) > 5
    assert len(after - before) <= 2
