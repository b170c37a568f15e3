"""A run resumes what an earlier one of the same job has done, as far as it is still intact."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from pipeline.errors import StorageError
from pipeline.publish import Part, Staging
from pipeline.publish.local.attempts import open_attempt
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.runs import (
    CODEC,
    USUAL,
    attempt,
    data_of,
    files_of,
    home,
    job_id,
    names,
    parts_of,
    publish,
    receipt,
    work,
)
from tests.publish.steps import watched

CONTENTS = {f"part-{number:07d}-aa.parquet": b"part %d|bad %d" % (number, number) for number in range(4)}


class StoppedError(Exception):
    pass


def stopped(output: Path, job: str = "x", contents: dict[str, bytes] = CONTENTS) -> Path:
    """Run a job that ends before it publishes; return the folder that it leaves."""

    def stop(_: Staging, parts: list[Part]) -> Iterator[Part]:
        raise StoppedError

    with suppress(StoppedError):
        publish(output, job, contents, change=stop)
    return home(output) / "jobs" / job_id(job)


def done(output: Path, job: str = "x", conduct: Conduct = USUAL) -> list[int]:
    with open_staging(output, job_id(job), if_exists="fail", codec=CODEC, conduct=conduct) as staging:
        assert isinstance(staging, Staging)
        return [found["chunk"] for found in staging.receipts()]


def attempts(folder: Path, chunk: int, kind: str = "parquet") -> list[Path]:
    return sorted(folder.glob(f"attempts/0/{chunk}-*.{kind}.attempt"))


def test_nothing_that_was_done_is_made_again(tmp_path: Path) -> None:
    output = tmp_path / "out"
    folder = stopped(output)
    before = {path: path.stat().st_ino for path in folder.rglob("*.attempt")}
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        assert [found["chunk"] for found in staging.receipts()] == [0, 1, 2, 3]
        parts = list(work(staging, CONTENTS))
        assert {path: path.stat().st_ino for path in folder.rglob("*.attempt")} == before
        staging.publish({}, parts, observed={})
    assert data_of(output) == files_of(CONTENTS)
    assert not names(home(output) / "jobs")


def test_a_resumed_run_publishes_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    for name in ("disturbed", "undisturbed"):
        (tmp_path / name).mkdir()
    folder = stopped(tmp_path / "disturbed" / "out")
    attempts(folder, 2)[0].unlink()
    for name in ("disturbed", "undisturbed"):
        publish(tmp_path / name / "out", "x", CONTENTS)
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "out").rglob("*") if path.is_file()}
        for name in ("disturbed", "undisturbed")
    )
    assert one == other


def test_no_resume_starts_clean(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "out")
    assert done(tmp_path / "out", conduct=Conduct(resume=False)) == []
    assert not list(folder.rglob("*.attempt"))
    assert done(tmp_path / "out") == []


def _missing(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def _linked(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("kind", ["parquet", "quarantine"])
@pytest.mark.parametrize("damage", [_missing, _cut, _flipped, _linked, _folder, _pipe])
def test_a_chunk_whose_file_is_not_intact_is_not_done(
    tmp_path: Path, damage: Callable[[Path], None], kind: str
) -> None:
    output = tmp_path / "out"
    folder = stopped(output)
    damage(attempts(folder, 1, kind)[0])
    assert done(output) == [0, 2, 3]
    publish(output, "x", CONTENTS)
    assert data_of(output) == files_of(CONTENTS)


def test_a_folder_of_attempts_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "out")
    (folder / "attempts" / "0").rename(tmp_path / "elsewhere")
    (folder / "attempts" / "0").symlink_to(tmp_path / "elsewhere")
    before = names(tmp_path / "elsewhere")
    assert done(tmp_path / "out") == []
    assert names(tmp_path / "elsewhere") == before


def test_the_first_receipt_whose_files_are_intact_counts(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        files = []
        for content in (b"one", b"two", b"three"):
            with open_attempt(staging.directory, 5, "csv") as attempt:
                attempt.file.write(content)
                files.append(attempt.finish(1))
            staging.append(receipt(5, files[-1]))
        (staging.directory / files[0].path).unlink()
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        assert [found["part"]["path"] for found in staging.receipts()] == [files[1].path]


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../../lock"},
        {"path": "/etc/passwd"},
        {"path": "journal"},
        {"path": 1},
        {"bytes": True},
        {"bytes": "3"},
        {"rows": -1},
        {"sha256": None},
    ],
)
def test_a_receipt_that_names_anything_else_stands_for_nothing(tmp_path: Path, change: dict[str, object]) -> None:
    output = tmp_path / "out"
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        with open_attempt(staging.directory, 0, "csv") as attempt:
            file = attempt.finish(0)
        good = receipt(0, file)
        for bad in (
            {**good, "part": {**good["part"], **change}},
            {**good, "quarantine": {**good["part"], **change}},
            {**good, "part": None},
            {**good, "part": []},
            {**good, "chunk": -1},
            {**good, "chunk": [0]},
            {"chunk": 0},
        ):
            staging.append(bad)
    assert done(output) == []
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        with open_attempt(staging.directory, 0, "csv") as attempt:
            staging.append(receipt(0, attempt.finish(0)))
    assert done(output) == [0]


def test_attempts_that_no_receipt_names_make_room(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "out")
    with open_attempt(folder, 9, "parquet") as attempt:
        attempt.file.write(b"torn")
    assert attempts(folder, 9)
    assert done(tmp_path / "out") == [0, 1, 2, 3]
    assert not attempts(folder, 9)


def test_a_damaged_journal_starts_clean(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "out")
    (folder / "journal").write_bytes(b"damaged")
    assert done(tmp_path / "out") == []
    assert not list(folder.rglob("*.attempt"))
    publish(tmp_path / "out", "x", CONTENTS)
    assert data_of(tmp_path / "out") == files_of(CONTENTS)


def test_many_runs_that_are_stopped_get_there(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for until in range(1, 5):
        some = dict(list(CONTENTS.items())[:until])
        stopped(output, contents=some)
        assert done(output) == list(range(until))
    publish(output, "x", CONTENTS)
    assert data_of(output) == files_of(CONTENTS)


def test_a_tree_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    output = tmp_path / "out"

    def half(_: Staging, parts: list[Part]) -> Iterator[Part]:
        yield from parts[:2]
        raise StoppedError

    with suppress(StoppedError):
        publish(output, "x", CONTENTS, change=half)
    assert len(names(home(output) / "jobs" / job_id("x") / "tree")) > 2
    assert done(output) == [0, 1, 2, 3]
    publish(output, "x", CONTENTS)
    assert data_of(output) == files_of(CONTENTS)


def test_other_jobs_are_known_until_something_is_published(tmp_path: Path) -> None:
    output = tmp_path / "out"
    stopped(output, "first")
    with open_staging(output, job_id("second"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        assert staging.others()
        assert list(staging.receipts()) == []
        staging.publish({}, list(work(staging, CONTENTS)), observed={})
    with open_staging(output, job_id("third"), if_exists="replace", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        assert not staging.others()


def test_a_version_that_a_stopped_run_replaced_is_kept_by_whatever_runs_next(tmp_path: Path) -> None:
    """Killed right after the exchange, then another job runs and fails: yesterday's version is not lost with it."""
    output = tmp_path / "out"
    publish(output, "old", {"part-0000000-o.csv": b"old"})

    def stop(name: str, path: str) -> None:
        if name == "fsync" and path == str(tmp_path) and parts_of(output) != {"part-0000000-o.csv": b"old"}:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), watched(stop):
        publish(output, "new", CONTENTS, "replace")
    assert data_of(output) == files_of(CONTENTS)
    assert not (home(output) / "versions").exists()
    synced: list[str] = []
    with (
        watched(lambda name, path: synced.append(f"{name} {path}"), {"fsync", "rename"}),
        open_staging(output, job_id("third"), if_exists="replace", codec=CODEC),
    ):
        pass
    assert names(home(output) / "versions") == [f"0000001-{job_id('old')}"]
    # The exchange must be durable before a part of the previous version is renamed.
    renamed = next(number for number, step in enumerate(synced) if ".kept" in step)
    assert f"fsync {tmp_path}" in synced[:renamed]


def test_what_a_run_without_syncs_left_is_synced_when_it_is_gone_on_with(tmp_path: Path) -> None:
    output = tmp_path / "out"

    def stop(_: Staging, parts: list[Part]) -> Iterator[Part]:
        raise StoppedError

    with suppress(StoppedError):
        publish(output, "x", CONTENTS, change=stop, conduct=Conduct(durability="none"))
    synced: list[str] = []
    with watched(lambda _, path: synced.append(path), {"fsync"}):
        assert done(output) == [0, 1, 2, 3]
    folder = home(output) / "jobs" / job_id("x")
    assert {str(path) for path in folder.rglob("*.attempt")} <= set(synced)
    assert {str(folder / name) for name in ("journal", "attempts", "attempts/0", ".")} <= {*synced, f"{folder}/."}
    assert str(folder) in synced


def test_a_former_version_that_cannot_be_kept_now_is_not_removed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", {"part-0000000-o.csv": b"old"})
    staging = home(output) / "jobs" / job_id("new")

    def stop(name: str, path: str) -> None:
        if name == "fsync" and path == str(tmp_path) and parts_of(output) != {"part-0000000-o.csv": b"old"}:
            raise KeyboardInterrupt

    def fail(_: str, path: str) -> None:
        if "versions" in path:
            raise OSError(errno.EIO, "Input/output error")

    with suppress(KeyboardInterrupt), watched(stop):
        publish(output, "new", CONTENTS, "replace")
    shutil.rmtree(output)
    with watched(fail, {"mkdir"}), pytest.raises(StorageError):
        publish(output, "new", CONTENTS)
    assert (staging / "tree" / "part-0000000-o.csv.kept").read_bytes() == b"old"
    publish(output, "new", CONTENTS)
    assert data_of(output) == files_of(CONTENTS)
    assert names(home(output) / "versions") == [f"0000001-{job_id('old')}"]


def test_receipts_that_are_not_read_to_the_end_leave_nothing_open(tmp_path: Path) -> None:
    output = tmp_path / "out"
    stopped(output)
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        before = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
        receipts = staging.receipts()
        next(receipts)
        receipts.close()
        assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before  # noqa: PTH208


def test_why_a_run_ends_is_noted_and_never_fails(tmp_path: Path) -> None:
    with open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        staging.note_end("a signal", 143)
        shutil.rmtree(staging.directory)
        staging.note_end("a signal", 143)
    staging.note_end("closed", 1)


def test_why_a_run_ended_is_durable(tmp_path: Path) -> None:
    synced: list[str] = []
    with open_staging(tmp_path / "out", job_id("new"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        with watched(lambda _, path: synced.append(path), {"fsync"}):
            staging.note_end("the deadline is over", 75)
    assert synced == [str(staging.directory / "journal")]


def test_the_lines_of_a_resumed_run_follow_those_before(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "out", contents=dict(list(CONTENTS.items())[:2]))
    before = (folder / "journal").read_bytes()
    stopped(tmp_path / "out")
    after = (folder / "journal").read_bytes()
    assert after.startswith(before)
    # The note that it was resumed, and two receipts.
    assert after.count(b"\n") == before.count(b"\n") + 3


def test_more_chunks_than_are_digested_at_once(tmp_path: Path) -> None:
    contents = {f"part-{number:07d}-aa.csv": b"%d" % number for number in range(150)}
    folder = stopped(tmp_path / "out", contents=contents)
    attempts(folder, 77)[0].unlink()
    assert done(tmp_path / "out") == [number for number in range(150) if number != 77]


def test_the_receipt_of_a_chunk_is_the_one_that_was_found_intact_or_written_since(tmp_path: Path) -> None:
    with _opened(tmp_path / "out") as staging:
        for content in (b"first", b"second"):
            staging.append(receipt(0, attempt(staging, 0, content)))
        lost = attempt(staging, 1, b"lost")
        staging.append(receipt(1, lost))
        (staging.directory / lost.path).write_bytes(b"tsol")
    with _opened(tmp_path / "out") as staging:
        assert [found["chunk"] for found in staging.receipts()] == [0]
        with pytest.raises(LookupError):
            staging.receipt(1)
        staging.append(receipt(1, attempt(staging, 1, b"again")))
        rows = [cast("dict[str, int]", staging.receipt(chunk)["part"])["rows"] for chunk in (0, 1)]
        assert rows == [len(b"first"), len(b"again")]


@contextmanager
def _opened(output: Path) -> Iterator[Staging]:
    with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        yield staging
