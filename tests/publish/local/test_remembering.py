"""What a run leaves for the next one: lost rather than trusted, and never in the way."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import disk
from pipeline.publish import LOCAL, Staging
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, home, job_id, parts_of, publish
from tests.publish.steps import watched

CONTENTS = {"part-0000000-aa.parquet": b"zero"}


def kept(output: Path) -> Path:
    return home(output) / "remembered"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    with _opened(tmp_path / "out") as staging:
        assert isinstance(staging, Staging)
        staging.remember(b"for the next one")
    assert LOCAL.remembered(tmp_path / "out") == b"for the next one"
    assert kept(tmp_path / "out").stat().st_mode & 0o777 == 0o600
    return tmp_path / "out"


def _opened(output: Path):
    return open_staging(output, job_id("new"), if_exists="replace", codec=CODEC)


def _elsewhere(path: Path) -> None:
    path.symlink_to(path.rename(path.parent / "twin"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        _elsewhere,
        _fifo,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
        lambda path: path.write_bytes(b"?" + path.read_bytes()[1:]),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_what_is_damaged_is_nothing_and_does_no_harm(output: Path, damage: Callable[[Path], object]) -> None:
    damage(kept(output))
    assert LOCAL.remembered(output) == b""
    publish(output, "new", CONTENTS)
    assert parts_of(output) == CONTENTS


def test_what_somebody_else_may_have_put_there_is_nothing(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "user", lambda: os.geteuid() + 1)
    assert LOCAL.remembered(output) == b""


@pytest.mark.parametrize("mode", [0o720, 0o702])
@pytest.mark.parametrize("path_of", [home, kept])
def test_what_others_may_write_to_is_nothing(output: Path, path_of: Callable[[Path], Path], mode: int) -> None:
    path_of(output).chmod(0o755)
    assert LOCAL.remembered(output) == b"for the next one"
    path_of(output).chmod(mode)
    assert LOCAL.remembered(output) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("path_of", [home, kept])
def test_what_belongs_to_somebody_else_is_nothing(output: Path, path_of: Callable[[Path], Path]) -> None:
    os.chown(path_of(output), 12_345, -1)
    assert LOCAL.remembered(output) == b""


@pytest.mark.parametrize("path", ["nowhere/out", "..", "a\nb", "missing"])
def test_an_output_that_cannot_be_has_left_nothing(tmp_path: Path, path: str) -> None:
    assert LOCAL.remembered(tmp_path / path) == b""


def test_what_the_disk_refuses_is_not_remembered(output: Path) -> None:
    def refuse(_: str, path: str) -> None:
        if path.endswith("remembered"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with _opened(output) as staging:
        with watched(refuse, {"write"}):
            staging.remember(b"for the next one")
        assert LOCAL.remembered(output) == b""
