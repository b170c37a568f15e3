"""What a reader of the output sees, and what is next to it."""

from __future__ import annotations

import ctypes
import errno
import gzip
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.canonical import digest as canonical_digest
from pipeline.disk import renaming, system
from pipeline.errors import OutputError, StorageError
from pipeline.publish import Codec, Manifest, Part, Staging
from pipeline.publish.layout import commit
from pipeline.publish.local.attempts import open_attempt
from pipeline.publish.local.output import check_output
from pipeline.publish.local.published import read_manifest
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, NEW, OLD, home, job_id, names, parts_of, publish, snapshot, work
from tests.publish.steps import watched


def test_publishes_the_parts_with_a_manifest_that_proves_them(folder: Path) -> None:
    output = folder / "out"
    digest = publish(output, "old", OLD)
    assert parts_of(output) == OLD
    assert {path.name for path in output.iterdir()} == {*OLD, "_manifest.json", "_manifest.receipts"}
    manifest = read_manifest(output)
    assert (manifest.job_id, manifest.digest) == (job_id("old"), digest)
    assert (manifest.parts, manifest.bytes, manifest.rows) == (2, 15, 15)
    assert manifest.body["observed"] == {"seconds": 1.5, "digest": canonical_digest({"seconds": 1.5})}
    assert manifest.body["totals"] == {"chunks": 2}
    receipts = (output / "_manifest.receipts").read_bytes()
    assert hashlib.sha256(receipts).hexdigest() == manifest.receipts_sha256
    lines = [json.loads(line) for line in gzip.decompress(receipts).splitlines()]
    assert [(line["name"], line["sha256"]) for line in lines] == [
        (name, hashlib.sha256(content).hexdigest()) for name, content in OLD.items()
    ]
    assert snapshot(home(output)).keys() == {"lock"}


def test_two_runs_of_a_job_have_the_same_digest(tmp_path: Path) -> None:
    assert publish(tmp_path / "a", "job", OLD) == publish(tmp_path / "b", "job", OLD)


def test_no_parts_make_an_output_too(tmp_path: Path) -> None:
    publish(tmp_path / "out", "empty", {})
    assert read_manifest(tmp_path / "out").parts == 0
    assert isinstance(publish(tmp_path / "out", "empty", {}), Manifest)


def test_replaces_in_one_step_and_keeps_the_former_version_out_of_sight(folder: Path) -> None:
    output = folder / "out"
    publish(output, "old", OLD)
    old = snapshot(output)
    publish(output, "new", NEW, "replace")
    assert parts_of(output) == NEW
    kept = home(output) / "versions" / f"0000001-{job_id('old')}"
    assert snapshot(kept) == {f"{n}.kept" if n.startswith("part-") else n: content for n, content in old.items()}
    assert not list((home(output) / "jobs").iterdir())


def test_keeps_one_former_version(folder: Path) -> None:
    output = folder / "out"
    for job in ("one", "two", "three", "two", "three"):
        publish(output, job, {f"part-0000000-{job}.csv": job.encode()}, "replace")
    assert names(home(output) / "versions") == [f"0000004-{job_id('two')}"]


def test_a_version_that_is_kept_already_is_kept_again(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    publish(output, "new", NEW, "replace")
    shutil.rmtree(output)
    publish(output, "old", OLD)
    publish(output, "new", NEW, "replace")
    assert names(home(output) / "versions") == [f"0000002-{job_id('old')}"]
    assert not names(home(output) / "jobs")


def test_a_reader_sees_one_version_whole_while_versions_alternate(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    seen: set[frozenset[str]] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            descriptor = os.open(output, os.O_RDONLY)
            listed = frozenset(os.listdir(descriptor))  # noqa: PTH208 - of this very folder, whatever its name becomes
            still_there = os.path.samestat(output.stat(), os.fstat(descriptor))
            os.close(descriptor)
            if still_there:
                seen.add(listed)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(20):
            publish(output, f"job {turn}", NEW if turn % 2 == 0 else OLD, "replace")
    finally:
        ended.set()
        reader.join()
    ours = {"_manifest.json", "_manifest.receipts"}
    assert seen == {frozenset({*OLD, *ours}), frozenset({*NEW, *ours})}


def test_the_same_job_published_already_is_said_and_nothing_is_done(folder: Path) -> None:
    output = folder / "out"
    publish(output, "old", OLD)
    before = snapshot(output)
    assert check_output(output, job_id("old"), if_exists="fail", codec=CODEC) == read_manifest(output)
    for if_exists in ("fail", "replace"):
        found = publish(output, "old", NEW, if_exists)
        assert isinstance(found, Manifest)
        assert found.job_id == job_id("old")
    assert snapshot(output) == before


def test_a_rerun_makes_durable_what_a_stopped_run_had_just_published(tmp_path: Path) -> None:
    publish(tmp_path / "out", "old", OLD)
    synced: list[str] = []
    with watched(lambda _, path: synced.append(path), {"fsync"}):
        publish(tmp_path / "out", "old", OLD)
    assert str(tmp_path) in synced


def test_a_job_file_never_changes_under_its_name(tmp_path: Path) -> None:
    with open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        first, sha256 = staging.write_job(b"{}")
        assert hashlib.sha256(first.read_bytes()).hexdigest() == sha256
        assert first.name == f"job-{sha256[:16]}.json"
        inode = first.stat().st_ino
        second, _ = staging.write_job(b"[]")
        assert (first.read_bytes(), second.read_bytes()) == (b"{}", b"[]")
        assert staging.write_job(b"{}") == (first, sha256)
        assert first.stat().st_ino == inode


def test_a_job_file_that_was_cut_is_made_again(tmp_path: Path) -> None:
    with open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        path, _ = staging.write_job(b"{'batch': 1}")
        path.write_bytes(b"{'bat")
        assert staging.write_job(b"{'batch': 1}")[0].read_bytes() == b"{'batch': 1}"


def test_the_same_job_with_a_part_lost_is_not_done_but_may_be_replaced(folder: Path) -> None:
    output = folder / "out"
    publish(output, "old", OLD)
    lost = next(iter(OLD))
    (output / lost).unlink()
    with pytest.raises(OutputError, match=f"this job, but {lost} is missing or has the wrong size"):
        publish(output, "old", OLD)
    publish(output, "old", OLD, "replace")
    assert parts_of(output) == OLD


def test_several_lost_parts_are_counted(folder: Path) -> None:
    output = folder / "out"
    publish(output, "old", OLD)
    for name in OLD:
        (output / name).unlink()
    with pytest.raises(OutputError, match=f"2 of its files are missing .* first is {min(OLD)}"):
        publish(output, "old", OLD)


def test_the_same_job_with_a_part_cut_short_is_not_done(folder: Path) -> None:
    output = folder / "out"
    publish(output, "old", OLD)
    (output / next(iter(OLD))).write_bytes(b"o")
    with pytest.raises(OutputError, match="missing or has the wrong size"):
        check_output(output, job_id("old"), if_exists="fail", codec=CODEC)


def test_another_job_is_refused_unless_it_may_replace(folder: Path) -> None:
    output = folder / "out"
    publish(output, "old", OLD)
    before = snapshot(folder)
    with pytest.raises(OutputError) as refused:
        publish(output, "new", NEW)
    assert "holds the result of another job" in refused.value.message
    assert "--if-exists replace" in refused.value.remedy
    with pytest.raises(OutputError):
        check_output(output, job_id("new"), if_exists="fail", codec=CODEC)
    assert check_output(output, job_id("new"), if_exists="replace", codec=CODEC) is None
    after = snapshot(folder)
    assert {n: c for n, c in after.items() if not n.endswith("lock")} == {
        n: c for n, c in before.items() if not n.endswith("lock")
    }


def test_receipts_compressed_by_arrow(tmp_path: Path) -> None:
    codec = Codec(
        lambda stream: pa.CompressedOutputStream(pa.PythonFile(stream, "w"), "zstd"),
        lambda stream: pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"),
    )
    contents = {f"part-{index:07d}-aa.parquet": b"%d" % index for index in range(8)}
    with open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=codec) as staging:
        assert isinstance(staging, Staging)
        staging.publish({}, list(work(staging, contents, stride=300)), observed={})
    assert check_output(tmp_path / "out", job_id("x"), if_exists="fail", codec=codec) is not None
    assert (tmp_path / "out" / "_manifest.receipts").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"


def test_order_of_syncs(tmp_path: Path) -> None:
    """Data, its folder, the journal, the manifest, the tree, the exchange, the parent: a power cut loses no version."""
    output = tmp_path / "out"
    publish(output, "old", OLD)
    steps: list[str] = []
    staging = str(home(output) / "jobs" / job_id("new"))

    def note(name: str, path: str) -> None:
        place = path.replace(staging, "STAGING").replace(str(tmp_path), "PARENT")
        steps.append(f"{name} {place.rsplit('-', 1)[0] if place.endswith('.attempt') else place}")

    with watched(note, {"fsync", "link", "rename"}):
        publish(output, "new", {"part-0000000-x.csv": b"x"}, "replace")
    last = steps.index("fsync STAGING/attempts/0/0")
    assert steps[last:][:11] == [
        "fsync STAGING/attempts/0/0",
        "fsync STAGING/attempts/0",
        "fsync STAGING/journal",
        "fsync STAGING",
        f"link {steps[last + 4].removeprefix('link ')}",
        "fsync STAGING/tree/_manifest.receipts",
        "fsync STAGING/tree/_manifest.json",
        "fsync STAGING/tree",
        "fsync STAGING",
        "renameat2 exchange PARENT/out",
        "fsync PARENT",
    ]
    assert "fsync STAGING/attempts" in steps[:last]
    assert any(step.startswith("fsync STAGING/job-") for step in steps[:last])


def test_the_journal_is_synced_in_groups_and_at_the_barrier(tmp_path: Path) -> None:
    lines = 1000
    steps: list[str] = []
    with open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        with watched(lambda name, _: steps.append(name), {"write", "fsync"}):
            started = time.monotonic()
            for chunk in range(lines):
                staging.append({"chunk": chunk})
            groups = (time.monotonic() - started) // 0.1
            staging.sync()
            synced = len(steps)
            staging.sync()
        assert steps.count("write") == lines
        assert lines // 64 < steps.count("fsync") <= lines // 64 + 1 + groups
        assert len(steps) == synced
        for _ in range(3):
            time.sleep(0.11)
            with watched(lambda name, _: steps.append(name), {"fsync"}):
                staging.append({"late": True})
        # The first of them began a group, and the second ended it.
        assert len(steps) == synced + 1


def test_a_file_system_without_second_names(tmp_path: Path) -> None:
    def refuse(name: str, _: str) -> None:
        if name == "link":
            raise OSError(errno.EPERM, "Operation not permitted")

    with watched(refuse):
        publish(tmp_path / "out", "old", OLD)
    assert parts_of(tmp_path / "out") == OLD


def _missing(staging: Staging, parts: list[Part]) -> list[Part]:
    (staging.directory / parts[1].file.path).unlink()
    return parts


def _cut(staging: Staging, parts: list[Part]) -> list[Part]:
    (staging.directory / parts[1].file.path).write_bytes(b"")
    return parts


def _linked(staging: Staging, parts: list[Part]) -> list[Part]:
    attempt = staging.directory / parts[1].file.path
    twin = attempt.rename(staging.directory.parents[2] / "twin")
    attempt.symlink_to(twin)
    return parts


def _raising(staging: Staging, parts: list[Part]) -> Iterator[Part]:
    yield parts[0]
    raise KeyboardInterrupt


def _backwards(_: Staging, parts: list[Part]) -> list[Part]:
    return parts[::-1]


def _twice(_: Staging, parts: list[Part]) -> list[Part]:
    return [parts[0], parts[0]]


def _elsewhere(_: Staging, parts: list[Part]) -> list[Part]:
    return [replace(parts[0], file=replace(parts[0].file, path="../../lock"))]


def _misnamed(_: Staging, parts: list[Part]) -> list[Part]:
    return [replace(parts[0], name="../part-0000000-x")]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_missing, StorageError),
        (_cut, StorageError),
        (_linked, StorageError),
        (_raising, KeyboardInterrupt),
        (_backwards, ValueError),
        (_twice, ValueError),
        (_elsewhere, ValueError),
        (_misnamed, ValueError),
    ],
)
@pytest.mark.parametrize("exists", [False, True])
def test_what_goes_wrong_leaves_the_output_as_it_was(tmp_path: Path, exists: bool, change, error) -> None:
    output = tmp_path / "out"
    if exists:
        publish(output, "old", OLD)
    before = snapshot(output)
    with pytest.raises(error):
        publish(output, "new", NEW, "replace", change)
    assert snapshot(output) == before
    assert output.exists() == exists
    left = snapshot(home(output) / "jobs" / job_id("new"))
    assert "journal" in left
    assert any(name.startswith("job-") for name in left)
    publish(output, "new", NEW, "replace")
    assert parts_of(output) == NEW
    assert not list((home(output) / "jobs").iterdir())


def test_a_failed_run_is_looked_at_until_something_is_published(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(StorageError):
        publish(output, "failed", OLD, change=_missing)
    journal = (home(output) / "jobs" / job_id("failed") / "journal").read_text().splitlines()
    contents = []
    for line in journal:
        content, checksum = line.rsplit(" ", 1)
        contents.append(json.loads(content))
        assert hashlib.sha256(content.encode()).hexdigest().startswith(checksum)
        assert len(checksum) == 16
    assert contents[0] == {"format": "logitstream-journal", "version": 1, "job_id": job_id("failed")}
    assert [line["chunk"] for line in contents[1:]] == [0, 1]
    with open_staging(output, job_id("another"), if_exists="fail", codec=CODEC):
        assert job_id("failed") in names(home(output) / "jobs")
    publish(output, "other", NEW)
    assert not names(home(output) / "jobs")


def test_only_names_of_ours_are_removed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(StorageError):
        publish(output, "failed", OLD, change=_missing)
    note = home(output) / "jobs" / job_id("failed") / "Notes of a person.txt"
    note.write_text("why did it fail?")
    publish(output, "new", NEW)
    left = snapshot(home(output) / "jobs")
    assert [Path(name).name for name in left] == ["Notes of a person.txt"]


@pytest.mark.parametrize("exists", [False, True])
def test_what_somebody_puts_there_during_the_run_is_not_touched(folder: Path, exists: bool) -> None:
    output = folder / "out"
    if exists:
        publish(output, "old", OLD)

    def meddle(_: Staging, parts: list[Part]) -> list[Part]:
        output.mkdir(exist_ok=True)
        (output / "mine.txt").write_text("mine")
        return parts

    with pytest.raises(OutputError):
        publish(output, "new", NEW, "replace", meddle)
    assert (output / "mine.txt").read_text() == "mine"
    assert parts_of(output) == (OLD if exists else {})


def test_an_output_moved_away_during_the_run_is_not_published_over(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)

    def meddle(_: Staging, parts: list[Part]) -> list[Part]:
        output.rename(tmp_path / "moved")
        return parts

    with pytest.raises(OutputError, match="changed by somebody else"):
        publish(output, "new", NEW, "replace", meddle)
    assert parts_of(tmp_path / "moved") == OLD


def test_without_exchange_a_first_version_is_published_and_none_is_replaced(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(system, "renameat2", refuse)
    output = tmp_path / "out"
    publish(output, "old", OLD)
    assert parts_of(output) == OLD
    before = snapshot(output)
    with pytest.raises(OutputError, match="cannot exchange two folders"):
        publish(output, "new", NEW, "replace")
    assert snapshot(output) == before
    assert not list((home(output) / "jobs").iterdir())

    def meddle(_: Staging, parts: list[Part]) -> list[Part]:
        (tmp_path / "second").mkdir()
        return parts

    with pytest.raises(OutputError, match="File exists"):
        publish(tmp_path / "second", "x", OLD, change=meddle)


def test_the_system_call_by_number_does_what_the_library_does(tmp_path: Path, monkeypatch) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    call = renaming._rename_by_number(library, arguments)
    monkeypatch.setattr(renaming, "_rename", lambda: call)
    output = tmp_path / "out"
    publish(output, "old", OLD)
    publish(output, "new", NEW, "replace")
    assert parts_of(output) == NEW
    assert (home(output) / "versions" / f"0000001-{job_id('old')}").is_dir()


def test_a_task_that_is_late_finds_no_place_to_write(tmp_path: Path) -> None:
    with open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        late = open_attempt(staging.directory, 7, "csv")
        staging.publish({}, list(work(staging, OLD)), observed={})
    with pytest.raises(StorageError):
        open_attempt(staging.directory, 8, "csv")
    with late, suppress(StorageError):
        late.file.write(b"late")
        late.finish(1)
    assert parts_of(tmp_path / "out") == OLD
    assert not list((home(tmp_path / "out") / "jobs").iterdir())


def test_a_listing_begun_before_the_exchange_is_that_of_the_former_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "LISTING_SECONDS", 2.0)
    publish(tmp_path / "out", "old", OLD)
    folder = os.open(tmp_path / "out", os.O_RDONLY)
    before = (tmp_path / "out").stat().st_ino
    try:
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(publish, tmp_path / "out", "new", NEW, "replace")
            while (tmp_path / "out").stat().st_ino == before and not run.done():
                time.sleep(0.01)
            assert set(OLD) < set(os.listdir(folder))  # noqa: PTH208 - of a descriptor
            run.result()
        assert not set(OLD) & set(os.listdir(folder))  # noqa: PTH208 - as above
    finally:
        os.close(folder)
