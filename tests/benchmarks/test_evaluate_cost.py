"""The benchmark of evaluations checks what is promised, and runs from end to end at a small scale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.units import parse_bytes
from tests.benchmarks import evaluate, files, meter
from tests.benchmarks.data import CHUNK_ROWS
from tests.benchmarks.evaluate import CASES, Contest
from tests.benchmarks.meter import Measured


def _missed(ours: float, peak: int = 90, auc: float = 0.7) -> set[str]:
    found = {"auc": auc, "auc_bound": 1e-6, "log_loss": 0.5}
    runs = [[Measured(seconds, seconds, size, 0, "", "", 0)] for seconds, size in ((ours, peak), (10.0, 500))]
    contest = Contest(*runs, found, {"auc": 0.7, "log_loss": 0.5})
    return {each.name for each in evaluate.targets(CASES["PROBABILITY"], contest, 100) if not each.is_met}


def test_a_promise_about_evaluations_can_break() -> None:
    assert _missed(1.2) == set()
    assert _missed(1.3) == {"wall / scikit-learn"}
    assert _missed(1.0, peak=101) == {"peak / --memory"}
    assert _missed(1.0, peak=300_000_001) == {"peak / --memory", "peak / 300 MB"}
    assert _missed(1.0, auc=0.700002) == {"difference of auc"}
    assert _missed(1.0, auc=0.7000009) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_case_of_evaluations_prints_what_is_promised(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    evaluate.main([str(tmp_path), "--case", name, "--scale", "0.001", "--runs", "1", "--json", str(results)])
    found = json.loads(results.read_text())[name]
    assert found["ours_over_it"] > 0
    names = {target["name"] for target in found["targets"]}
    assert {"peak / --memory", f"wall / {CASES[name].peer}"} <= names
    assert all(each["is_met"] for each in found["targets"] if each["name"].startswith("difference"))
    assert f"{name}: {CASES[name].about}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("words", "memory"), [((), "450MiB"), (("--by", "g", "--weight", "p"), "1100MiB")])
def test_an_evaluation_stays_inside_the_memory_that_it_gets(
    tmp_path: Path, words: tuple[str, ...], memory: str
) -> None:
    data = tmp_path / "in.parquet"
    tables = (
        table.append_column("g", pa.array(np.arange(table.num_rows) % 250))
        for table in evaluate.Observed(2_500_000).tables()
    )
    files.write_parquet(data, tables, CHUNK_ROWS, "snappy")
    asked = [str(data), "--target", "y", "--probability", "p", *words, "--memory", memory, "--json"]
    measured = meter.run([*meter.command("evaluate"), *asked])
    assert measured.peak_bytes <= parse_bytes(memory)
