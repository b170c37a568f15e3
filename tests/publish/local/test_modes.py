"""Permissions: what is published follows the umask or the version before; what is prepared is private."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.disk import system
from pipeline.publish import Staging
from pipeline.publish.local.attempts import open_attempt
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, NEW, OLD, home, job_id, publish, work
from tests.publish.steps import watched


@contextmanager
def mask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
def test_a_first_version_follows_the_umask(tmp_path: Path, umask: int) -> None:
    output = tmp_path / "out"
    with mask(umask):
        publish(output, "old", OLD)
    assert mode(output) == 0o777 & ~umask
    assert {mode(path) for path in output.iterdir()} == {0o666 & ~umask}


def test_a_version_takes_the_modes_of_the_one_before(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    output.chmod(0o750)
    for path in output.iterdir():
        path.chmod(0o640)
    with mask(0o000):
        publish(output, "new", NEW, "replace")
    assert mode(output) == 0o750
    assert {mode(path) for path in output.iterdir()} == {0o640}


def test_a_group_that_is_handed_down_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o2755)
    publish(tmp_path / "out", "old", OLD)
    assert mode(tmp_path / "out") & stat.S_ISGID


@pytest.mark.parametrize("umask", [0o000, 0o277])
def test_what_is_prepared_is_private(tmp_path: Path, umask: int) -> None:
    output = tmp_path / "out"
    with mask(umask), open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        with open_attempt(staging.directory, 0, "csv") as attempt:
            attempt.file.write(b"x")
            attempt.finish(1)
        staging.write_job(b"{}")
        below = [home(output), *home(output).rglob("*")]
        assert {mode(path) for path in below if path.is_dir()} == {0o700}
        assert {mode(path) & 0o077 for path in below} == {0}
        assert len(below) == 9


def test_attempts_of_a_worker_with_other_rights_are_set_right(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        parts = list(work(staging, OLD))
        for part in parts:
            (staging.directory / part.file.path).chmod(0o600)
        synced: list[str] = []
        with watched(lambda _, path: synced.append(path), {"fsync"}):
            staging.publish({}, parts, observed={})
    assert {mode(path) for path in output.iterdir()} == {0o644}
    assert sum(path.endswith(".attempt") for path in synced) == len(parts)


def test_the_umask_is_read_and_not_set(tmp_path: Path) -> None:
    with mask(0o031):
        assert system.umask() == 0o031
        (tmp_path / "file").touch()
    assert mode(tmp_path / "file") == 0o666 & ~0o031
