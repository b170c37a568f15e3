"""What logitstream left next to an output is listed without touching it, and removed when asked."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import OutputError, TemporaryError
from pipeline.publish import Cleaned, Staging
from pipeline.publish.local.listing import clean, runs, versions_of
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.runs import CODEC, data_of, files_of, home, job_id, names, publish, snapshot, work
from tests.publish.steps import watched

CONTENTS = {"part-0000000-aa.parquet": b"zero", "part-0000001-ab.parquet": b"one|bad"}


def stopped(output: Path, job: str, reason: str | None = "received SIGTERM") -> None:
    with open_staging(output, job_id(job), if_exists="replace", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        list(work(staging, CONTENTS))
        if reason is not None:
            staging.note_end(reason, 143)


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def test_nothing_where_nothing_was_run(tmp_path: Path) -> None:
    assert runs(tmp_path / "out") == versions_of(tmp_path / "out") == ()
    assert clean(tmp_path / "out", jobs=True, versions=True) == Cleaned((), ())
    assert names(tmp_path) == []
    with pytest.raises(OutputError, match="there is no folder"):
        runs(tmp_path / "none" / "out")


def test_a_run_that_was_stopped_and_one_that_was_killed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    stopped(output, "stopped")
    stopped(output, "killed", None)
    journal = home(output) / "jobs" / job_id("stopped") / "journal"
    os.utime(journal, (time.time() - 3600, time.time() - 3600))
    before = tree(tmp_path)
    first, second = runs(output)
    assert tree(tmp_path) == before
    assert (first.job_id, first.chunks, first.ended, first.exit_code) == (
        job_id("stopped"),
        2,
        "received SIGTERM",
        143,
    )
    assert (second.job_id, second.chunks, second.ended, second.exit_code) == (job_id("killed"), 2, None, None)
    assert 3600 <= first.age_seconds < 3700 > 100 > second.age_seconds >= 0
    files = (home(output) / "jobs" / job_id("killed")).rglob("*")
    assert second.bytes == sum(path.stat().st_size for path in files if path.is_file())
    assert {run.running for run in (first, second)} == {False}
    assert {run.resumable for run in (first, second)} == {True}


def test_a_run_that_was_stopped_then_resumed_and_killed_was_killed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    stopped(output, "stopped")
    with open_staging(output, job_id("stopped"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        assert len(list(staging.receipts())) == 2
    (run,) = runs(output)
    assert (run.chunks, run.ended, run.exit_code) == (2, None, None)


def test_the_run_that_is_under_way_is_known(tmp_path: Path) -> None:
    output = tmp_path / "out"
    stopped(output, "stopped")
    stopped(output, "again")
    with open_staging(output, job_id("again"), if_exists="fail", codec=CODEC):
        found = {run.job_id: (run.running, run.ended) for run in runs(output)}
        assert found == {job_id("stopped"): (False, "received SIGTERM"), job_id("again"): (True, None)}
        for dry_run in (False, True):
            with pytest.raises(TemporaryError, match=f"process {os.getpid()} on"):
                clean(output, jobs=True, versions=True, dry_run=dry_run)
    assert not any(run.running for run in runs(output))


def test_what_could_not_be_removed_is_listed_until_it_is(tmp_path: Path) -> None:
    output = tmp_path / "out"

    def fail(_: str, path: str) -> None:
        raise OSError(5, "Input/output error")

    with watched(fail, {"unlink"}):
        publish(output, "x", CONTENTS)
    (left,) = runs(output)
    assert (left.job_id, left.resumable, left.running) == (job_id("x"), False, False)
    assert [run.name for run in clean(output, jobs=True, versions=False).runs] == [left.name]
    assert names(home(output) / "jobs") == []


def test_former_versions(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for job in ("one", "two", "three"):
        publish(output, job, CONTENTS, "replace", conduct=Conduct(keep_versions=2))
    (home(output) / "versions" / f"0000001-{job_id('one')}" / "_manifest.json").write_bytes(b"damaged")
    before = tree(tmp_path)
    second, first = versions_of(output)
    assert tree(tmp_path) == before
    assert (second.number, second.job_id, second.rows) == (2, job_id("two"), 7)
    assert (first.number, first.job_id, first.rows) == (1, job_id("one"), None)
    assert second.bytes == sum(map(len, snapshot(home(output) / "versions" / second.name).values()))
    assert 0 <= second.age_seconds < 100


@pytest.mark.parametrize(("jobs", "versions"), [(True, False), (False, True), (True, True)])
def test_only_what_is_asked_for_is_removed(tmp_path: Path, jobs: bool, versions: bool) -> None:
    output = tmp_path / "out"
    publish(output, "one", CONTENTS)
    publish(output, "two", CONTENTS, "replace")
    stopped(output, "stopped")
    before = tree(tmp_path)
    listed = runs(output), versions_of(output)
    would = clean(output, jobs=jobs, versions=versions, dry_run=True)
    assert {name: facts for name, facts in tree(tmp_path).items() if not name.endswith("/lock")} == {
        name: facts for name, facts in before.items() if not name.endswith("/lock")
    }
    did = clean(output, jobs=jobs, versions=versions)
    for cleaned in (would, did):
        assert [run.name for run in cleaned.runs] == ([run.name for run in listed[0]] if jobs else [])
        assert [one.name for one in cleaned.versions] == ([one.name for one in listed[1]] if versions else [])
    assert (runs(output) == ()) == jobs
    assert (versions_of(output) == ()) == versions
    assert data_of(output) == files_of(CONTENTS)
    assert not [name for name in names(home(output) / "jobs") if "." in name]


def test_what_is_young_stays(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "one", CONTENTS)
    publish(output, "two", CONTENTS, "replace")
    for job in ("old", "young"):
        stopped(output, job)
    past = time.time() - 7200
    os.utime(home(output) / "jobs" / job_id("old") / "journal", (past, past))
    cleaned = clean(output, jobs=True, versions=True, older_than=3600)
    assert ([run.job_id for run in cleaned.runs], cleaned.versions) == ([job_id("old")], ())
    assert [run.job_id for run in runs(output)] == [job_id("young")]


def test_what_is_not_ours_stays_and_is_not_said_to_be_gone(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "one", CONTENTS)
    publish(output, "two", CONTENTS, "replace")
    stopped(output, "stopped")
    for place in (f"jobs/{job_id('stopped')}", f"versions/0000001-{job_id('one')}"):
        (home(output) / place / "My notes.txt").write_text("mine")
    (home(output) / "jobs" / "mine").mkdir()
    assert clean(output, jobs=True, versions=True) == Cleaned((), ())
    left = [Path(name).name for name in snapshot(home(output)) if not name.endswith("lock")]
    assert left == ["My notes.txt", "My notes.txt"]
    assert "mine" in names(home(output) / "jobs")


def test_a_version_that_a_stopped_run_has_just_replaced_does_not_go_with_its_folder(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "one", CONTENTS)

    def stop(name: str, path: str) -> None:
        if name == "fsync" and path == str(tmp_path) and (home(output) / "jobs" / job_id("two") / "tree").exists():
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), watched(stop):
        publish(output, "two", {"part-0000000-b.csv": b"two"}, "replace")
    assert data_of(output) == {"part-0000000-b.csv": b"two"}
    clean(output, jobs=True, versions=False)
    assert [version.job_id for version in versions_of(output)] == [job_id("one")]
    assert runs(output) == ()


def test_damage_is_listed_as_what_it_is(tmp_path: Path) -> None:
    output = tmp_path / "out"
    stopped(output, "stopped")
    folder = home(output) / "jobs" / job_id("stopped")
    (folder / "journal").write_bytes(os.urandom(1000))
    (folder / "attempts" / "0").rename(folder / "attempts" / "elsewhere")
    (folder / "attempts" / "0").symlink_to(tmp_path)
    (run,) = runs(output)
    assert (run.chunks, run.ended) == (0, None)
