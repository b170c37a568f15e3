"""S-6, S-8, S-9: what is prepared is private to its owner, and no link that somebody plants there is followed."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import LogitstreamError
from pipeline.publish import Staging
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.runs import CODEC, NEW, OLD, attempt, home, job_id, parts_of, publish, receipt, snapshot

PRECIOUS = {"file": b"precious", "folder/inner": b"precious too"}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("below", ["", "jobs", "versions"])
def test_a_folder_that_was_made_before_is_closed_to_others(tmp_path: Path, below: str) -> None:
    made = home(tmp_path / "out") / below
    made.mkdir(parents=True)
    for folder in (made, home(tmp_path / "out")):
        folder.chmod(0o777)
    publish(tmp_path / "out", "old", OLD)
    assert _mode(home(tmp_path / "out")) == 0o700
    assert parts_of(tmp_path / "out") == OLD


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder that no run may touch; checked when the test is over."""
    folder = tmp_path / "elsewhere"
    for name, content in PRECIOUS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    yield folder
    assert snapshot(folder) == PRECIOUS


def _stopped(output: Path) -> Path:
    """Leave a run that was stopped with one chunk done; return its folder."""
    with open_staging(output, job_id("new"), if_exists="replace", codec=CODEC, conduct=Conduct()) as staging:
        assert isinstance(staging, Staging)
        staging.write_job(b'{"job": 1}')
        staging.append(receipt(0, attempt(staging, 0, b"new zero")))
        staging.sync()
        return staging.directory


@pytest.mark.parametrize("name", ["journal", "attempts", "attempts/0", "job", "tree", "", "..", "../..", "../../lock"])
@pytest.mark.parametrize("target", ["file", "folder"])
def test_a_link_planted_into_a_stopped_run_is_not_followed(
    tmp_path: Path, elsewhere: Path, name: str, target: str
) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    staging = _stopped(output)
    planted = {"": staging, "..": staging.parent, "../..": staging.parent.parent}.get(name, staging / name)
    planted = Path(*(part for part in planted.parts if part != "..")) if "lock" not in name else home(output) / "lock"
    if name == "job":
        (planted,) = staging.glob("job*.json")
    if planted.exists():
        planted.rename(tmp_path / "aside")
    planted.symlink_to(elsewhere / target)
    try:
        publish(output, "new", NEW, "replace")
    except LogitstreamError:
        assert parts_of(output) == OLD
    else:
        assert parts_of(output) == NEW
