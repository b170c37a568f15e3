"""The benchmark of plans measures what it says, at a small scale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import plan


def test_a_plan_of_files_that_nobody_made(tmp_path: Path) -> None:
    found = plan.one_case("planning", 2_500, tmp_path)
    # The kernel counts what is resident and the peak of it at different moments.
    assert 0 < found["before_bytes"] <= found["peak_bytes"] + 2**20


def test_a_plan_of_files_with_footers(tmp_path: Path) -> None:
    found = plan.one_case("footers", 120, tmp_path)
    assert found["file_ms"] > 0
    # A line of the file, and ten chunks of six integers.
    assert 600 < found["file_job_bytes"] < 1_500


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_run_without_work_goes_the_whole_way(tmp_path: Path, scheduler: str) -> None:
    found = plan.one_case(scheduler, 150, tmp_path)
    assert len(found["resident_bytes"]) == len(plan.POINTS)
    assert found["seconds"] > 0


@pytest.mark.slow
def test_all_of_it_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.main(["--chunks", "300", "--files", "120", "--real", "40", "--folder", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["overhead"]["chunks"] == 40
    assert found["overhead"]["floor_ms"] > 0
    assert 500 < found["overhead"]["journal_bytes"] < 2_000
    assert 50 < found["overhead"]["receipts_bytes"] < found["overhead"]["journal_bytes"]
    assert plan.table(found).count("\n") == 11
