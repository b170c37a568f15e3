"""The state of a file: what the system says of it, and whether a later write would show there."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.disk import mounts
from pipeline.sources import content
from pipeline.sources.content import STATE_BYTES, device_of, devices_keeping_time, settled_state, state_of

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
        (60.001, 60.001, True),
        (60, 61, False),
        (61, 60, False),
        (0, 61, False),
        (61, 0, False),
        (-9, 61, False),
        (10**9, 61, True),
    ],
)
def test_a_file_that_changed_within_a_minute_has_no_state(
    written: float, touched: float, is_settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    found = status(st_mtime_ns=NOW - int(written * 1e9), st_ctime_ns=NOW - int(touched * 1e9))
    assert settled_state(found) == (state_of(found) if is_settled else b"")


def test_a_state_tells_the_device() -> None:
    assert device_of(state_of(status())) == STATUS["st_dev"]


def test_times_are_trusted_on_ext4_and_xfs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [
        "ext4",
        "xfs",
        "ext3",
        "btrfs",
        "nfs4",
        "vfat",
        "fuse.ext4",
        "fuseblk",
        "overlay",
        "tmpfs",
        "9p",
        "virtiofs",
    ]
    (tmp_path / "proc/self").mkdir(parents=True)
    lines = [f"{number} 1 8:{number} / /mnt/{number} rw - {kind} none rw\n" for number, kind in enumerate(kinds)]
    (tmp_path / "proc/self/mountinfo").write_text("".join(lines))
    monkeypatch.setattr(content, "mounts", partial(mounts, tmp_path))
    assert devices_keeping_time() == {os.makedev(8, 0), os.makedev(8, 1)}


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no file system in memory is mounted there")
def test_times_of_files_in_memory_are_not_trusted() -> None:
    assert Path("/dev/shm").stat().st_dev not in devices_keeping_time()
