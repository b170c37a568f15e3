"""A run stopped anywhere leaves the old version or the new one, and a rerun completes it."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import LogitstreamError, StorageError
from tests.publish.runs import NEW, OLD, home, parts_of, publish, snapshot
from tests.publish.scenes import SCENES
from tests.publish.steps import watched

ROOT = Path(__file__).parents[3]
LARGE = {"part-0000000-la.parquet": b"x" * 2**20}


def stop_everywhere(scene: str, ways: str, steps: str, every: int = 1) -> None:
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        command = [sys.executable, "-m", "tests.publish.crash", folder, scene, ways, steps, str(every)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["violations"] == {}
    assert found["steps"] * every > 40


@pytest.mark.parametrize("scene", SCENES)
def test_stopped_at_many_steps(scene: str) -> None:
    # The campaign stops at every step, also at those that only look.
    stop_everywhere(scene, "kill,EIO,interrupt,ENOSPC,kill", "changing", every=5 if scene == "replace" else 11)


@pytest.mark.campaign
@pytest.mark.parametrize("way", ["kill", "EIO", "ENOSPC", "interrupt"])
@pytest.mark.parametrize("scene", SCENES)
def test_stopped_at_every_step_in_every_way(scene: str, way: str) -> None:
    stop_everywhere(scene, way, "all")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    output = small_disk / "out"
    publish(output, "old", OLD)
    before = snapshot(output)
    with pytest.raises(StorageError) as full:
        publish(output, "new", LARGE, "replace")
    assert full.value.exit_code == 74
    assert "No space left on device" in full.value.message
    assert "free for this user" in full.value.message
    assert str(home(output)) in full.value.message
    assert snapshot(output) == before
    # The failed run left the disk full; the same job, run again, makes room first.
    publish(output, "new", NEW, "replace")
    assert parts_of(output) == NEW


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    before = snapshot(output)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(StorageError, match="File too large") as limited:
            publish(output, "new", LARGE, "replace")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "ulimit -f" in limited.value.remedy
    assert snapshot(output) == before


def test_what_cannot_be_removed_afterwards_does_not_matter(tmp_path: Path) -> None:
    def fail(_: str, path: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    output = tmp_path / "out"
    publish(output, "old", OLD)
    with watched(fail, {"unlink"}):
        publish(output, "new", NEW, "replace")
    assert parts_of(output) == NEW
    assert list((home(output) / "jobs").iterdir())
    publish(output, "old", OLD, "replace")
    assert not list((home(output) / "jobs").iterdir())


def test_published_but_perhaps_not_durable_is_said(tmp_path: Path) -> None:
    output = tmp_path / "out"

    def fail(name: str, path: str) -> None:
        if name == "fsync" and path == str(tmp_path) and output.exists():
            raise OSError(errno.EIO, "Input/output error")

    with watched(fail), pytest.raises(LogitstreamError, match="is published, but cannot sync"):
        publish(output, "new", NEW)
    assert parts_of(output) == NEW
