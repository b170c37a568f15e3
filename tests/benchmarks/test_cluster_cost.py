"""The benchmark of clusters measures what it says, at a small scale."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import cluster


@pytest.mark.slow
def test_what_chunks_cost_on_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    cluster.main(["--chunks", "200", "--workers", "1", "--threads", "4", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["chunks"], found["workers"], found["threads"]) == (200, 1, 4)
    for process in ("client", "scheduler"):
        assert found[process]["chunk_cpu_ms"] > 0
        assert len(found[process]["resident_bytes"]) == 10
    assert cluster.table(found).count("\n") == 5
