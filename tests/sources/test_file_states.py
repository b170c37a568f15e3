"""The state of a file: what the system says of it, and whether a later write would show there."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.sources.content import STATE_BYTES, settled_state, state_of

NOW = 1_700_000_000 * 10**9
STATUS = {"st_dev": 2**63, "st_ino": 2**63 + 1, "st_size": 3, "st_mtime_ns": NOW - 4, "st_ctime_ns": NOW - 5}


def status(**changed: int) -> Any:
    return SimpleNamespace(**STATUS | changed)


@pytest.mark.parametrize("name", STATUS)
def test_each_thing_that_the_system_says_makes_another_state(name: str) -> None:
    assert len(state_of(status())) == STATE_BYTES
    assert state_of(status()) == state_of(status())
    assert state_of(status(**{name: STATUS[name] + 1})) != state_of(status())


@pytest.mark.parametrize(
    ("written", "touched", "is_settled"),
    [
        (2.001, 2.001, True),
        (2, 3, False),
        (3, 2, False),
        (0, 3, False),
        (3, 0, False),
        (-9, 3, False),
        (10**9, 9, True),
    ],
)
def test_a_file_that_changed_within_two_seconds_has_no_state(
    written: float, touched: float, is_settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    found = status(st_mtime_ns=NOW - int(written * 1e9), st_ctime_ns=NOW - int(touched * 1e9))
    assert settled_state(found) == (state_of(found) if is_settled else b"")
