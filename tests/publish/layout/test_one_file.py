"""An output of one file: merged, with its proof next to it, put in place in one step; other files are not touched."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from pipeline.disk import system
from pipeline.errors import LogitstreamError, OutputError, StorageError
from pipeline.publish import Manifest, Part, Staging
from pipeline.publish.local.listing import clean, runs, versions_of
from pipeline.publish.local.output import check_output
from pipeline.publish.local.published import open_published, read_manifest
from pipeline.publish.local.restoring import rollback
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.file_scenes import CONTENTS, joined, merged, publish_file, quarantines, sha256
from tests.publish.runs import CODEC, NEW, OLD, data_of, home, job_id, names, publish, snapshot
from tests.publish.scenes import NEW as NEW_BAD
from tests.publish.scenes import OLD as OLD_BAD
from tests.publish.steps import watched

NAME = "scores.csv"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The old version is published."""
    publish_file(tmp_path / NAME, "old")
    return tmp_path / NAME


def proofs(output: Path) -> list[str]:
    return names(home(output) / "files")


def versions(output: Path) -> list[str]:
    return names(home(output) / "versions")


def test_the_file_stands_alone_and_is_proven_beside(folder: Path) -> None:
    output = folder / NAME
    digest = publish_file(output, "old")
    assert output.read_bytes() == merged(OLD_BAD)
    assert names(folder) == [f".{NAME}.logitstream", NAME]
    assert names(home(output)) == ["files", "jobs", "lock"]
    assert names(home(output) / "jobs") == []
    assert proofs(output) == [sha256(OLD_BAD)]
    proof = home(output) / "files" / sha256(OLD_BAD)
    assert names(proof) == ["_manifest.json", "_manifest.receipts", "_quarantine"]
    assert data_of(proof) == quarantines(OLD_BAD)
    with open_published(output, CODEC) as published:
        manifest = published.manifest
        assert manifest is not None
        assert (manifest.digest, manifest.job_id) == (digest, job_id("old"))
        size = len(merged(OLD_BAD))
        assert manifest.body["file"] == {"bytes": size, "sha256": sha256(OLD_BAD), "rows": size}
        assert [part.name for part in published.parts] == list(OLD_BAD)
        assert published.defects == ()
        listed = {name: (published.folder / name).read_bytes() for name, _ in published.files()}
    assert set(listed.values()) == {merged(OLD_BAD), *quarantines(OLD_BAD).values()}


def test_the_manifest_of_a_file_is_found_by_its_digest(output: Path) -> None:
    publish_file(output, "new", "replace")
    assert read_manifest(output).job_id == job_id("new")
    assert read_manifest(output).output_bytes == len(merged(NEW_BAD))
    rollback(output, codec=CODEC)
    assert read_manifest(output).job_id == job_id("old")
    _flipped(output)
    with pytest.raises(OutputError, match="no manifest next to it lists a file with this content"):
        read_manifest(output)


def test_parts_come_in_order_each_open_until_the_next(tmp_path: Path) -> None:
    seen: list[BinaryIO] = []

    def merge(parts: Iterable[BinaryIO], file: BinaryIO, rows: int) -> None:
        for part in parts:
            assert all(before.closed for before in seen)
            seen.append(part)
            file.write(part.read())
        assert rows == len(merged(NEW))

    publish(tmp_path / NAME, "new", NEW, merge=merge)
    assert (tmp_path / NAME).read_bytes() == merged(NEW)
    assert len(seen) == len(NEW)
    assert all(part.closed for part in seen)


def test_the_same_job_again_changes_nothing(output: Path) -> None:
    before = snapshot(output.parent), output.stat().st_ino
    assert check_output(output, job_id("old"), if_exists="fail", codec=CODEC, is_file=True) is not None
    for if_exists in ("fail", "replace"):
        assert isinstance(publish_file(output, "old", if_exists), Manifest)
    found = snapshot(output.parent)
    lock = f".{NAME}.logitstream/lock"
    assert {**found, lock: b""} == {**before[0], lock: b""}
    assert output.stat().st_ino == before[1]


def test_another_job_is_refused_unless_it_may_replace(output: Path) -> None:
    with pytest.raises(OutputError, match="holds the result of another job") as refused:
        publish_file(output, "new")
    assert "--if-exists replace" in refused.value.remedy
    publish_file(output, "new", "replace")
    assert output.read_bytes() == merged(NEW_BAD)


def test_a_copy_of_the_file_is_the_file(output: Path) -> None:
    shutil.copyfile(output, output.with_name("copy"))
    output.with_name("copy").rename(output)
    assert isinstance(publish_file(output, "old"), Manifest)
    publish_file(output, "new", "replace")
    assert output.read_bytes() == merged(NEW_BAD)


def _flipped(output: Path) -> None:
    content = bytearray(output.read_bytes())
    content[3] ^= 1
    output.write_bytes(content)


def _linked(output: Path) -> None:
    output.rename(output.with_name("elsewhere"))
    output.symlink_to("elsewhere")


def _folder(output: Path) -> None:
    output.unlink()
    output.mkdir()


def _pipe(output: Path) -> None:
    output.unlink()
    os.mkfifo(output)


STRANGERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (_flipped, "no manifest next to it lists a file with this content"),
    "cut": (lambda output: os.truncate(output, 3), "was not published by logitstream"),
    "longer": (lambda output: output.write_bytes(output.read_bytes() + b"x"), "was not published by logitstream"),
    "empty": (lambda output: os.truncate(output, 0), "was not published by logitstream"),
    "link": (_linked, "is a symbolic link"),
    "folder": (_folder, "is a folder, not a file"),
    "pipe": (_pipe, "is neither a file nor a folder"),
    "no proof": (lambda output: shutil.rmtree(home(output) / "files"), "was not published by logitstream"),
    "no home": (lambda output: shutil.rmtree(home(output)), "was not published by logitstream"),
    "manifest edited": (
        lambda output: (home(output) / "files" / sha256(OLD_BAD) / "_manifest.json").write_text("{}\n"),
        "was not published by logitstream",
    ),
    "manifest of another": (
        lambda output: (home(output) / "files" / sha256(OLD_BAD)).rename(home(output) / "files" / ("0" * 64)),
        "was not published by logitstream",
    ),
}


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("job", ["old", "new"])
def test_anything_else_is_refused_and_not_touched(output: Path, kind: str, job: str) -> None:
    change, reason = STRANGERS[kind]
    change(output)
    before = snapshot(output.parent)
    for door in (
        lambda: check_output(output, job_id(job), if_exists="replace", codec=CODEC, is_file=True),
        lambda: publish_file(output, job, "replace"),
    ):
        with pytest.raises(OutputError, match=reason) as refused:
            door()
        assert f"mv -T {output} {output}.aside" in refused.value.remedy
        assert refused.value.exit_code == 73
    after = snapshot(output.parent)
    assert {name: content for name, content in after.items() if not name.endswith("/lock")} == {
        name: content for name, content in before.items() if not name.endswith("/lock")
    }


def test_a_strangers_file_gets_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("mine")
    with pytest.raises(OutputError):
        publish_file(tmp_path / NAME, "new", "replace")
    assert names(tmp_path) == [NAME]


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path: Path, output: Path) -> None:
    with pytest.raises(OutputError, match="is a file, not a folder"):
        publish(output, "new", NEW, "replace")
    publish(tmp_path / "folder", "old", OLD)
    before = snapshot(tmp_path / "folder")
    with pytest.raises(OutputError, match="is a folder, not a file"):
        publish(tmp_path / "folder", "new", NEW, "replace", merge=joined)
    assert output.read_bytes() == merged(OLD_BAD)
    assert snapshot(tmp_path / "folder") == before


def test_permissions(tmp_path: Path) -> None:
    output, before = tmp_path / NAME, os.umask(0o027)
    try:
        publish_file(output, "old")
        assert output.stat().st_mode & 0o777 == 0o640
        output.chmod(0o444)
        publish_file(output, "new", "replace")
    finally:
        os.umask(before)
    assert output.stat().st_mode & 0o777 == 0o444
    rollback(output, codec=CODEC)
    assert output.stat().st_mode & 0o777 == 0o444


def test_an_attempt_that_was_changed_is_noticed(output: Path) -> None:
    def change(staging: Staging, parts: list[Part]) -> list[Part]:
        path = staging.directory / parts[1].file.path
        path.chmod(0o600)
        path.write_bytes(bytes(reversed(path.read_bytes())))
        return parts

    before = output.read_bytes()
    with pytest.raises(StorageError, match="changed after it was written"):
        publish(output, "new", NEW, "replace", change, merge=joined)
    assert output.read_bytes() == before
    publish_file(output, "new", "replace")
    assert output.read_bytes() == merged(NEW_BAD)


def test_a_merge_that_fails_leaves_what_stood_there(output: Path) -> None:
    def merge(parts: Iterable[BinaryIO], file: BinaryIO, rows: int) -> None:
        file.write(next(iter(parts)).read())
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(StorageError, match="cannot merge the parts into") as failed:
        publish(output, "new", CONTENTS["new"], "replace", merge=merge)
    assert "Input/output error" in failed.value.message
    assert output.read_bytes() == merged(OLD_BAD)
    assert [run.job_id for run in runs(output)] == [job_id("new")]
    publish_file(output, "new", "replace")
    assert output.read_bytes() == merged(NEW_BAD)
    assert runs(output) == ()


def test_what_somebody_else_put_there_during_the_run_is_not_touched(output: Path) -> None:
    def meddle(_: Staging, parts: list[Part]) -> list[Part]:
        output.write_text("mine")
        return parts

    with pytest.raises(OutputError, match="was changed by somebody else during the run"):
        publish(output, "new", CONTENTS["new"], "replace", meddle, merge=joined)
    assert output.read_text() == "mine"


def test_a_file_that_appeared_during_the_run_is_not_touched(tmp_path: Path) -> None:
    output = tmp_path / NAME

    def meddle(_: Staging, parts: list[Part]) -> list[Part]:
        output.write_text("mine")
        return parts

    with pytest.raises(OutputError, match="File exists"):
        publish(output, "new", NEW, "replace", meddle, merge=joined)
    assert output.read_text() == "mine"


def test_equal_bytes_of_another_job_change_the_proof_alone(output: Path) -> None:
    inode = output.stat().st_ino
    publish_file(output, "alike", "replace")
    assert output.stat().st_ino == inode
    assert read_manifest(output).job_id == job_id("alike")
    assert proofs(output) == [sha256(OLD_BAD)]
    assert data_of(home(output) / "files" / sha256(OLD_BAD)) == quarantines(CONTENTS["alike"])
    assert versions_of(output) == ()
    assert isinstance(publish_file(output, "alike"), Manifest)


def test_a_damaged_quarantine_is_repaired_by_the_same_job(output: Path) -> None:
    quarantine = next((home(output) / "files").rglob("*.quarantine"))
    quarantine.unlink()
    with pytest.raises(OutputError, match=r"this job, but .*\.quarantine is missing"):
        publish_file(output, "old")
    publish_file(output, "old", "replace")
    assert quarantine.exists()
    assert isinstance(publish_file(output, "old"), Manifest)


def test_damaged_receipts_are_repaired_by_the_same_job(output: Path) -> None:
    receipts = next((home(output) / "files").rglob("_manifest.receipts"))
    receipts.write_bytes(b"")
    with pytest.raises(OutputError, match="this job, but its receipts are missing or damaged"):
        publish_file(output, "old")
    publish_file(output, "old", "replace")
    assert isinstance(publish_file(output, "old"), Manifest)


def _refuse_exchange(*_: object) -> None:
    raise OSError(errno.EINVAL, "Invalid argument")


def test_without_exchange_a_first_file_is_published_and_none_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "renameat2", _refuse_exchange)
    output = tmp_path / NAME
    publish_file(output, "old")
    with pytest.raises(OutputError, match="cannot exchange two files"):
        publish_file(output, "new", "replace")
    assert output.read_bytes() == merged(OLD_BAD)
    assert names(home(output) / "jobs") == []


def test_without_exchange_a_run_that_was_stopped_before_the_rename_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "renameat2", _refuse_exchange)
    output = tmp_path / NAME

    def stop(name: str, path: str) -> None:
        if name == "rename" and path == str(output):
            raise KeyboardInterrupt

    with watched(stop, {"rename"}), pytest.raises(KeyboardInterrupt):
        publish_file(output, "old")
    assert proofs(output) == [sha256(OLD_BAD)]
    publish_file(output, "old")
    assert output.read_bytes() == merged(OLD_BAD)
    assert names(home(output) / "jobs") == []


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_the_newest_few_are_kept_and_what_proves_them(tmp_path: Path, keep: int) -> None:
    output = tmp_path / NAME
    for job in ("older", "old", "new"):
        publish_file(output, job, "replace", Conduct(keep_versions=keep))
    kept = ["old", "older"][:keep]
    assert [version.job_id for version in versions_of(output)] == [job_id(job) for job in kept]
    assert [version.rows for version in versions_of(output)] == [len(merged(CONTENTS[job])) for job in kept]
    assert proofs(output) == sorted(sha256(CONTENTS[job]) for job in [*kept, "new"])
    # A reader of everything below the parent takes no previous version for data.
    assert [path for path in output.parent.rglob("*") if path.suffix in {".csv", ".parquet"}] == [output]


def test_a_rollback_and_forward_again(output: Path) -> None:
    publish_file(output, "new", "replace")
    rolled = rollback(output, codec=CODEC)
    assert (rolled.from_job_id, rolled.to_job_id) == (job_id("new"), job_id("old"))
    assert (rolled.parts, rolled.rows, rolled.bytes) == (2, len(merged(OLD_BAD)), len(merged(OLD_BAD)))
    assert output.read_bytes() == merged(OLD_BAD)
    assert versions(output) == [f"0000001-{job_id('new')}"]
    assert isinstance(publish_file(output, "old"), Manifest)
    rollback(output, codec=CODEC)
    assert output.read_bytes() == merged(NEW_BAD)
    assert read_manifest(output).job_id == job_id("new")


def test_a_file_that_was_removed_comes_back(output: Path) -> None:
    publish_file(output, "new", "replace")
    output.unlink()
    assert rollback(output, codec=CODEC).from_job_id is None
    assert output.read_bytes() == merged(OLD_BAD)
    assert versions(output) == []


@pytest.mark.parametrize("damage", ["file", "quarantine", "proof"])
def test_a_damaged_former_version_is_refused(output: Path, damage: str) -> None:
    publish_file(output, "new", "replace")
    proof = home(output) / "files" / sha256(OLD_BAD)
    if damage == "file":
        _flipped(next((home(output) / "versions").rglob("*.kept")))
    elif damage == "quarantine":
        next(proof.rglob("*.quarantine")).write_bytes(b"BAD ONE")
    else:
        shutil.rmtree(proof)
    with pytest.raises(OutputError, match="the previous version"):
        rollback(output, codec=CODEC)
    assert output.read_bytes() == merged(NEW_BAD)
    publish_file(output, "old", "replace")
    assert output.read_bytes() == merged(OLD_BAD)


def test_a_file_does_not_go_back_to_a_folder(tmp_path: Path) -> None:
    output = tmp_path / NAME
    publish(output, "old", OLD)
    publish(output, "new", NEW, "replace")
    shutil.rmtree(output)
    publish_file(output, "new")
    with pytest.raises(OutputError, match="is a file, but its previous version is a folder"):
        rollback(output, codec=CODEC)
    assert output.read_bytes() == merged(NEW_BAD)
    output.unlink()
    rollback(output, codec=CODEC)
    assert data_of(output) == {name: content.partition(b"|")[0] for name, content in OLD.items()}


def test_cleaning_former_versions_keeps_what_proves_the_file(output: Path) -> None:
    publish_file(output, "new", "replace")
    gone = clean(output, jobs=True, versions=True)
    assert [version.job_id for version in gone.versions] == [job_id("old")]
    assert proofs(output) == [sha256(NEW_BAD)]
    assert isinstance(publish_file(output, "new"), Manifest)


def test_cleaning_a_former_version_of_equal_bytes_keeps_the_proof_of_both(output: Path) -> None:
    publish_file(output, "new", "replace", Conduct(keep_versions=2))
    publish_file(output, "alike", "replace", Conduct(keep_versions=2))
    clean(output, jobs=True, versions=True)
    assert versions(output) == []
    assert read_manifest(output).job_id == job_id("alike")


def test_a_file_that_nothing_knows_is_a_defect_where_others_are_known(output: Path) -> None:
    publish_file(output, "new", "replace")
    publish_file(output, "older", "replace", Conduct(keep_versions=2))
    output.write_text("mine")
    with open_published(output, CODEC) as published:
        # The one that does not belong to a previous version is what should be here.
        assert published.manifest is not None
        assert published.manifest.job_id == job_id("older")
        assert dict(published.files())[NAME].sha256 == sha256(CONTENTS["older"])
    shutil.rmtree(home(output) / "versions")
    with open_published(output, CODEC) as published:
        assert published.manifest is None
        ((name, what, expected, found),) = published.defects
        assert (name, what) == (NAME, "sha256")
        assert sorted(expected.split(" or ")) == sorted(digest[:16] for digest in proofs(output))
        assert found not in expected


def test_a_file_with_nothing_beside_it_is_not_ours_to_check(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("mine")
    with pytest.raises(OutputError, match="was not published by logitstream"), open_published(tmp_path / NAME, CODEC):
        pass


def test_order_of_syncs(output: Path) -> None:
    """Data, journal, manifest, proof; only then the name that says it may have been exchanged, exchange, parent."""
    steps: list[str] = []
    with watched(lambda name, path: steps.append(f"{name} {path}"), {"fsync", "rename"}):
        publish_file(output, "new", "replace")
    staging = home(output) / "jobs" / job_id("new")
    files = home(output) / "files"
    order = [
        f"fsync {staging / 'tree' / 'merged'}",
        f"fsync {staging / 'tree'}",
        f"fsync {staging / 'proof' / '_manifest.json'}",
        f"fsync {staging / 'proof'}",
        f"renameat2 noreplace {files / sha256(NEW_BAD)}",
        f"fsync {files}",
        f"renameat2 noreplace {staging / 'tree' / 'file'}",
        f"fsync {staging / 'tree'}",
        f"renameat2 exchange {output}",
        f"fsync {output.parent}",
        f"fsync {staging / 'tree'}",
        f"renameat2 noreplace {staging / 'tree' / sha256(OLD_BAD)}.kept",
    ]
    position = -1
    for step in order:
        position = steps.index(step, position + 1)


def test_order_of_syncs_of_a_rollback(output: Path) -> None:
    """The name of a file that may be exchanged, the exchange, the parent, the other place; only then new names."""
    publish_file(output, "new", "replace")
    (version,) = (home(output) / "versions").iterdir()
    steps: list[str] = []
    with watched(lambda name, path: steps.append(f"{name} {path}"), {"fsync", "rename"}):
        rollback(output, codec=CODEC)
    exchanged = steps.index(f"renameat2 exchange {output}")
    named = next(number for number, step in enumerate(steps) if step.endswith(f"{version}/file"))
    kept = next(number for number, step in enumerate(steps) if step.endswith(f"{sha256(NEW_BAD)}.kept"))
    assert f"fsync {version}" in steps[named:exchanged]
    between = steps[exchanged:kept]
    assert [f"fsync {folder}" for folder in (output.parent, version.parent, version)] == [
        step for step in between if step.startswith("fsync")
    ]


def test_without_durability_nothing_is_synced(tmp_path: Path) -> None:
    output, synced = tmp_path / NAME, []
    none = Conduct(durability="none")
    with watched(lambda _, path: synced.append(path), {"fsync"}):
        for job in ("old", "new", "alike"):
            publish_file(output, job, "replace", none)
        rollback(output, codec=CODEC, durability="none")
    assert synced == []
    assert output.read_bytes() == merged(NEW_BAD)


def test_published_but_perhaps_not_durable_is_said(tmp_path: Path) -> None:
    output = tmp_path / NAME

    def fail(name: str, path: str) -> None:
        if name == "fsync" and path == str(tmp_path) and output.exists():
            raise OSError(errno.EIO, "Input/output error")

    with watched(fail), pytest.raises(LogitstreamError, match="is published, but cannot sync"):
        publish_file(output, "new")
    assert output.read_bytes() == merged(NEW_BAD)


def test_a_former_version_that_cannot_be_read_now_is_not_lost(output: Path) -> None:
    """Stopped right after the exchange, and the disk fails when the next run tries to find out what was exchanged."""

    def stop(name: str, path: str) -> None:
        if name == "fsync" and path == str(output.parent) and output.read_bytes() == merged(NEW_BAD):
            raise KeyboardInterrupt

    with watched(stop), pytest.raises(KeyboardInterrupt):
        publish_file(output, "new", "replace")

    def fail(_: str, path: str) -> None:
        if path.endswith("/tree/file"):
            raise OSError(errno.EIO, "Input/output error")

    with watched(fail, {"read"}):
        assert isinstance(publish_file(output, "new", "replace"), Manifest)
    assert proofs(output) == sorted([sha256(OLD_BAD), sha256(NEW_BAD)])
    assert isinstance(publish_file(output, "new", "replace"), Manifest)
    rollback(output, codec=CODEC)
    assert output.read_bytes() == merged(OLD_BAD)


def test_two_outputs_in_one_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    with open_staging(first, job_id("x"), if_exists="fail", codec=CODEC, merge=joined):
        publish_file(second, "new")
    publish_file(first, "old")
    assert (first.read_bytes(), second.read_bytes()) == (merged(OLD_BAD), merged(NEW_BAD))
