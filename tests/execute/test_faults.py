"""What errors of clusters tell a person to do."""

from __future__ import annotations

import pytest

from pipeline.execute import ClusterTerms
from pipeline.execute.cluster.faults import killed


@pytest.mark.parametrize(
    ("shares_memory", "memory", "exit_code", "remedy"),
    [
        (True, ", which had taken 2 GiB", 71, "raise --memory"),
        (True, "", 75, "raise --memory"),
        (False, ", which had taken 2 GiB", 75, "lower --memory"),
        (False, "", 75, "lower --memory"),
    ],
)
def test_more_memory_is_asked_for_where_the_workers_share_it(
    shares_memory: bool, memory: str, exit_code: int, remedy: str
) -> None:
    error = killed("chunk 3", 2, "tcp://127.0.0.1:1", memory, ClusterTerms(shares_memory=shares_memory))
    told = f"chunk 3 was given up: 2 workers died while working on it, the last one at tcp://127.0.0.1:1{memory}"
    assert (error.message, error.exit_code) == (told, exit_code)
    assert error.remedy is not None
    assert remedy in error.remedy
