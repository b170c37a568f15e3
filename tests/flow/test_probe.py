"""The file that a worker writes in staging before its first chunk."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import LogitstreamError
from pipeline.flow.write import WriteStep
from pipeline.publish.local.attempts import LocalAttempts


class Job:
    """What a step asks of a job file."""

    def __init__(self, staging: Path) -> None:
        self.settings = {"attempts": LocalAttempts(str(staging), 0o600, durable=True).describe()}

    def once(self, name, make):
        return make(self.settings)


def test_a_probe_leaves_a_file_that_no_receipt_names(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    WriteStep().probe(Job(tmp_path), 1_234)
    (left,) = (tmp_path / "attempts").rglob("*.attempt")
    assert left.name.startswith("1234-")
    assert left.name.endswith(".probe.attempt")
    assert left.read_bytes()


def test_a_process_that_does_not_reach_staging_says_so(tmp_path: Path) -> None:
    with pytest.raises(LogitstreamError, match="attempts"):
        WriteStep().probe(Job(tmp_path / "nowhere"), 0)
