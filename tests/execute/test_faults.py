"""What errors of clusters and worker processes tell a person to do."""

from __future__ import annotations

import pytest

from pipeline.execute import ClusterTerms
from pipeline.execute.cluster.faults import died_again, killed
from pipeline.execute.deaths import out_of_memory


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


@pytest.mark.parametrize(("shares_memory", "remedy"), [(True, "raise --memory"), (False, "lower --memory")])
def test_workers_that_die_of_several_chunks_need_memory_from_where_they_have_it(
    shares_memory: bool, remedy: str
) -> None:
    error = died_again("chunk 3", 2, 4, ClusterTerms(shares_memory=shares_memory))
    assert error.message.startswith("chunk 3: 2 workers died with it and other chunks")
    assert error.remedy is not None
    assert remedy in error.remedy


@pytest.mark.parametrize(("error", "told"), [(MemoryError("malloc of 9"), ": malloc of 9"), (MemoryError(), "")])
def test_work_that_was_refused_memory_is_named_with_what_was_refused(error: MemoryError, told: str) -> None:
    found = out_of_memory("chunk 3", error)
    assert found.message == f"chunk 3 needs more memory than one worker process may use{told}"
    assert found.remedy == "raise --memory, or lower --workers"
