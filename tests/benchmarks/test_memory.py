"""The promise on memory is held against what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import memory


def test_the_promise_on_memory_can_break() -> None:
    def holds(measured: int, projected: int, budget: int | None = None) -> bool:
        return memory.Outcome("x", 1, projected * 2**20, measured * 2**20, 2, 1.0, budget).holds

    assert holds(measured=100, projected=100)
    assert holds(measured=100, projected=214)
    assert not holds(measured=101, projected=100)
    assert not holds(measured=100, projected=215)
    assert not holds(measured=100, projected=100, budget=99 * 2**20)


@pytest.mark.slow
def test_memory_is_measured_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory.main([str(tmp_path), "--scale", "0.0005", "--job", "strings", "--json"])
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert job["rows"] == 1000
    assert job["measured_bytes"] > 50e6
    assert job["projected_bytes"] > 0
