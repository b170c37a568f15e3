"""Whole fits, killed at any moment and run again: the model file has the bytes of an undisturbed fit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fitting.scans import numbers_table, write

ROWS, COLUMNS = 120_000, 6
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(numbers_table(ROWS, COLUMNS), tmp_path_factory.mktemp("killed") / "csv", "csv")


def command(data: Path, output: Path) -> list[str]:
    call = "import sys; from jobs.logitstream import main; sys.argv[0] = 'logitstream'; main()"
    options = ["--target", "y", "--features", "*", "-o", str(output), "--chunk-size", "500KiB", "--scratch", "auto"]
    return [sys.executable, "-c", call, "fit", str(data), *options]


def run(data: Path, output: Path, kill_after: float | None = None) -> int:
    process = subprocess.Popen(command(data, output), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return process.returncode


@pytest.mark.slow
def test_a_fit_killed_at_any_moment_and_run_again_writes_the_same_bytes(data: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    whole = tmp_path / "whole" / "model.json"
    whole.parent.mkdir()
    assert run(data, whole) == 0
    seconds = time.monotonic() - started
    chance = random.Random(int(os.environ.get("LOGITSTREAM_KILLS_SEED", "17")))
    killed = 0
    for number in range(int(os.environ.get("LOGITSTREAM_KILLS", "5"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        killed += run(data, folder / "model.json", seconds * chance.uniform(0.2, 0.95)) == -signal.SIGKILL
        assert run(data, folder / "model.json") == 0
        assert (folder / "model.json").read_bytes() == whole.read_bytes()
        assert [path.name for path in folder.iterdir()] == ["model.json"]
    assert killed
