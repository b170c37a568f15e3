"""The benchmarks run, their peers read what they claim to read, and wrong scores are noticed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipeline.registry import FUNCTIONS
from tests.benchmarks import functions, memory, meter, score
from tests.benchmarks.data import Dataset, Mixture, model, save_model

SMALL = Mixture(2, 1, 1)


def _publish(folder: Path, ids: list[int], scores: list[float | None]) -> Path:
    folder.mkdir()
    columns = {"id": pa.array(ids, pa.int64()), "probability": pa.array(scores, pa.float64())}
    pq.write_table(pa.table(columns), folder / "part.parquet")
    return folder


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz"])
def test_equal_parameters_make_equal_rows(tmp_path: Path, kind: str) -> None:
    dataset = Dataset(700, SMALL, kind, row_group_rows=300)
    first, second = dataset.make(tmp_path / "a"), dataset.make(tmp_path / "b")
    assert first.name == second.name
    assert first.stat().st_size == second.stat().st_size
    if kind == "parquet":
        assert pq.read_metadata(first).num_row_groups == 3
        assert pq.read_table(first).equals(pq.read_table(second))


def test_scores_are_compared_by_id(tmp_path: Path) -> None:
    out = _publish(tmp_path / "out", [2, 0, 1], [0.3, 0.1, 0.2])
    assert score.largest_difference(score.read_scores(out, 3), np.array([0.1, 0.2, 0.3])) == 0
    assert score.largest_difference(score.read_scores(out, 3), np.array([0.1, 0.2, 0.4])) == pytest.approx(0.1)


def test_a_null_on_one_side_is_a_difference(tmp_path: Path) -> None:
    out = _publish(tmp_path / "out", [0, 1], [0.3, None])
    assert score.largest_difference(score.read_scores(out, 2), np.array([0.3, 0.5])) == float("inf")


@pytest.mark.parametrize("ids", [[0, 1, 1], [0, 1]])
def test_a_row_twice_or_not_at_all_is_an_error(tmp_path: Path, ids: list[int]) -> None:
    out = _publish(tmp_path / "out", ids, [0.5] * len(ids))
    with pytest.raises(SystemExit, match="do not stand there exactly once"):
        score.read_scores(out, 3)


def test_a_missing_peer_is_an_error_unless_waived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "find_spec", lambda name: None)
    dataset = Dataset(10, SMALL)
    with pytest.raises(SystemExit, match="--without polars"):
        score.contenders(tmp_path, tmp_path, dataset, [])
    names = [each.name for each in score.contenders(tmp_path, tmp_path, dataset, ["polars"])]
    assert names == ["logitstream", "unsynced", "floor"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_floor_reads_and_writes_every_row_once(tmp_path: Path, kind: str) -> None:
    dataset = Dataset(5000, SMALL, kind, row_group_rows=1000)
    data = dataset.make(tmp_path)
    out = tmp_path / "out"
    meter.run([sys.executable, str(score.PEERS / "floor.py"), str(data), str(out), *SMALL.numeric])
    written = ds.dataset(sorted(out.iterdir())).to_table().sort_by("id")
    assert written["id"].to_pylist() == list(range(5000))
    assert written["g00"].to_pylist() == next(dataset.tables(5000))["g00"].to_pylist()


@pytest.mark.parametrize("form", ["nested", "horizontal"])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_polars_scores_by_the_same_model(tmp_path: Path, kind: str, form: str) -> None:
    dataset, content = Dataset(5000, SMALL, kind), model(SMALL)
    data, model_path, out = dataset.make(tmp_path), save_model(content, tmp_path / "m.json"), tmp_path / "out.parquet"
    meter.run([sys.executable, str(score.PEERS / "polars_score.py"), str(data), str(model_path), str(out), form])
    assert score.largest_difference(score.read_scores(out, 5000), dataset.reference(content)) < score.TOLERANCE


def test_the_meter_sums_over_the_process_tree() -> None:
    hold = "import time; held = bytearray(b'1') * 60_000_000; time.sleep(0.4)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}]); "
    alone = meter.run([sys.executable, "-c", hold])
    together = meter.run([sys.executable, "-c", f"held = bytearray(b'1') * 60_000_000; {parent}"])
    assert 60e6 < alone.peak_bytes < 90e6
    assert 120e6 < together.peak_bytes < 180e6


def test_a_failed_command_is_named_with_its_last_words() -> None:
    with pytest.raises(meter.CommandFailedError, match=r"ended with 3:\nfarewell"):
        meter.run([sys.executable, "-c", "import sys; print('farewell', file=sys.stderr); sys.exit(3)"])


def test_the_promise_on_memory_can_break() -> None:
    def holds(measured: int, projected: int, budget: int | None = None) -> bool:
        return memory.Outcome("x", 1, projected * 2**20, measured * 2**20, 2, 1.0, budget).holds

    assert holds(measured=100, projected=100)
    assert holds(measured=100, projected=214)
    assert not holds(measured=101, projected=100)
    assert not holds(measured=100, projected=215)
    assert not holds(measured=100, projected=100, budget=99 * 2**20)


@pytest.mark.slow
def test_scoring_is_measured_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score.main(
        [str(tmp_path), "--rows", "3000", "--row-groups", "1000", "--runs", "1", "--without", "polars", "--json"]
    )
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["results"]] == ["logitstream", "unsynced", "floor"]
    assert found["results"][0]["ratio_seconds"] == 1
    assert score.table(found).count("\n") == 7


@pytest.mark.slow
def test_memory_is_measured_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory.main([str(tmp_path), "--scale", "0.0005", "--job", "strings", "--json"])
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert job["rows"] == 1000
    assert job["measured_bytes"] > 50e6
    assert job["projected_bytes"] > 0


def test_the_costs_of_the_functions_are_written_for_the_readme(tmp_path: Path) -> None:
    functions.main(["--size", "1000", "--rounds", "1", "--output", str(tmp_path / "functions.json")])
    found = json.loads((tmp_path / "functions.json").read_text())
    assert list(found["functions"]) == list(FUNCTIONS)
    assert found["functions"]["tanh"].keys() == {"ns", "one_liner_ns"}
    assert "1,000 elements of float64" in found["machine"]
