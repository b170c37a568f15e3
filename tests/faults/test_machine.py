"""Some short histories of the campaign, every day."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.history import History
from tests.faults.machine import live


def test_the_promises_hold_in_short_histories(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    live(tmp_path, lambda what: counts.update([what]), number=3, histories=3, steps=6)
    assert counts["steps"] >= 6
    assert not list(tmp_path.iterdir())


def test_a_history_notices_an_output_that_nobody_made(tmp_path: Path) -> None:
    history = History(tmp_path, lambda _: None)
    history.run(None, {"keep_versions": 1})
    (history.world.out / "part-0000000-0123456789abcdef.parquet").write_bytes(b"")
    with pytest.raises(AssertionError):
        history.what_stands_is_what_the_last_good_run_made()
    history.teardown()
