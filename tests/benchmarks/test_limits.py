"""Data that is made to exceed a budget does not, and the benchmark that shows it can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import limits


def test_a_refusal_has_to_name_what_takes_the_memory() -> None:
    def holds(measured: int, refusal: str) -> bool:
        return limits.Outcome("strings", "", measured, 100, refusal, "text").holds

    assert holds(100, "")
    assert not holds(101, "")
    assert holds(100, "error: the widest column is text")
    assert not holds(100, "error: too large")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["row group", "columns", "strings", "dictionary", "process"])
def test_memory_is_kept_to(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert limits.main([str(tmp_path), "--scale", "0.02", "--case", name, "--memory", "400MiB", "--runs", "4"]) == 0
    assert "BROKEN" not in capsys.readouterr().out
