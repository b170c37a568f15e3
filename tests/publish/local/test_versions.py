"""Previous versions: as many as asked for, out of sight, and back under the output's name in one step."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import LogitstreamError, OutputError, StorageError, TemporaryError
from pipeline.publish import Rolled
from pipeline.publish.local.restoring import rollback
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.runs import CODEC, data_of, files_of, home, job_id, names, publish, snapshot
from tests.publish.steps import watched

ONE = {"part-0000000-1a.parquet": b"one|bad", "part-0000001-1b.parquet": b"more of one"}
TWO = {"part-0000000-2a.parquet": b"two"}
CONTENTS = {"one": ONE, "two": TWO, "three": {"part-0000000-3a.csv": b"three|bad"}}


def back(output: Path) -> Rolled:
    return rollback(output, codec=CODEC)


def versions(output: Path) -> list[str]:
    return names(home(output) / "versions")


@pytest.fixture
def output(folder: Path) -> Path:
    """Version two is published, and one is the previous version."""
    publish(folder / "out", "one", ONE)
    publish(folder / "out", "two", TWO, "replace")
    return folder / "out"


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_the_newest_few_are_kept(tmp_path: Path, keep: int) -> None:
    output = tmp_path / "out"
    jobs = ["one", "two", "three", "one", "two"]
    for job in jobs:
        publish(output, job, CONTENTS[job], "replace", conduct=Conduct(keep_versions=keep))
    kept = [f"{number + 1:07d}-{job_id(job)}" for number, job in enumerate(jobs[:-1])]
    assert (versions(output) if keep else []) == kept[len(kept) - keep :]
    assert not names(home(output) / "jobs")


def test_what_is_not_a_version_of_ours_stays_and_is_not_counted(output: Path) -> None:
    for name in ("notes", f"{job_id('x')}", "00001-abc"):
        (home(output) / "versions" / name).mkdir()
    (home(output) / "versions" / f"9999999-{job_id('file')}").write_text("mine")
    publish(output, "three", CONTENTS["three"], "replace")
    assert len(versions(output)) == 5
    assert f"0000002-{job_id('two')}" in versions(output)


def test_a_rollback_and_forward_again(output: Path) -> None:
    second = snapshot(output)
    rolled = back(output)
    assert rolled == Rolled(str(output), job_id("two"), job_id("one"), 2, 14, 14)
    assert data_of(output) == files_of(ONE)
    assert versions(output) == [f"0000001-{job_id('two')}"]
    assert {Path(name).name for name in snapshot(home(output) / "versions")} == {
        "_manifest.json",
        "_manifest.receipts",
        "part-0000000-2a.parquet.kept",
    }
    assert back(output).to_job_id == job_id("two")
    assert snapshot(output) == second
    assert data_of(home(output) / "versions" / versions(output)[0]) == {
        f"{name}.kept" if name.startswith("part-") else name: content for name, content in files_of(ONE).items()
    }


def test_what_was_rolled_back_to_is_a_version_like_any_other(output: Path) -> None:
    back(output)
    publish(output, "three", CONTENTS["three"], "replace", conduct=Conduct(keep_versions=2))
    assert versions(output) == [f"0000001-{job_id('two')}", f"0000002-{job_id('one')}"]
    back(output)
    assert data_of(output) == files_of(ONE)


def test_of_several_the_newest_one_is_the_former(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for job in ("one", "two", "three"):
        publish(output, job, CONTENTS[job], "replace", conduct=Conduct(keep_versions=2))
    for job in ("two", "three", "two"):
        assert back(output).to_job_id == job_id(job)
        assert data_of(output) == files_of(CONTENTS[job])
    assert versions(output) == [f"0000001-{job_id('one')}", f"0000002-{job_id('three')}"]


def test_an_output_that_was_removed_comes_back(output: Path) -> None:
    shutil.rmtree(output)
    assert back(output).from_job_id is None
    assert data_of(output) == files_of(ONE)
    assert versions(output) == []


def test_a_damaged_output_is_rolled_back(output: Path) -> None:
    (output / "part-0000000-2a.parquet").unlink()
    back(output)
    assert data_of(output) == files_of(ONE)
    with pytest.raises(OutputError, match=r"the previous version in .* is damaged: .* is missing"):
        back(output)


def test_without_a_former_version(tmp_path: Path) -> None:
    for prepare in (lambda: None, lambda: publish(tmp_path / "out", "one", ONE)):
        prepare()
        before = names(tmp_path)
        with pytest.raises(OutputError, match="has no previous version") as refused:
            back(tmp_path / "out")
        assert refused.value.exit_code == 73
        assert names(tmp_path) == before


def _flip(version: Path) -> None:
    content = bytearray((version / "part-0000001-1b.parquet.kept").read_bytes())
    content[3] ^= 1
    (version / "part-0000001-1b.parquet.kept").write_bytes(content)


def _flip_quarantine(version: Path) -> None:
    (version / "_quarantine" / "part-0000000-1a.quarantine").write_bytes(b"BAD")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_flip, "the content of part-0000001-1b.parquet"),
        (_flip_quarantine, "the content of part-0000000-1a.parquet, or of its quarantine"),
        (lambda version: (version / "part-0000000-1a.parquet.kept").unlink(), "is missing or has the wrong size"),
        (lambda version: (version / "_manifest.json").write_bytes(b"{}\n"), "was damaged or edited"),
        (lambda version: (version / "_manifest.receipts").unlink(), "it has no _manifest.receipts"),
        (lambda version: (version / "notes.txt").write_text("mine"), "contains notes.txt, which"),
        (lambda version: (version / "part-0000000-1a.parquet").write_text("x"), "which its manifest does not list"),
    ],
)
def test_a_damaged_former_version_is_refused_and_nothing_changes(
    output: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(home(output) / "versions" / versions(output)[0])
    before = snapshot(output), snapshot(home(output) / "versions")
    with pytest.raises(OutputError, match="the previous version") as refused:
        back(output)
    assert reason in refused.value.message
    assert (snapshot(output), snapshot(home(output) / "versions")) == before
    publish(output, "three", CONTENTS["three"], "replace")
    assert data_of(output) == files_of(CONTENTS["three"])


def test_an_output_that_is_not_ours_is_not_touched(output: Path) -> None:
    (output / "mine.txt").write_text("mine")
    before = snapshot(output), snapshot(home(output) / "versions")
    with pytest.raises(OutputError, match=r"contains mine\.txt, which its manifest does not list"):
        back(output)
    assert (snapshot(output), snapshot(home(output) / "versions")) == before


def test_a_disk_that_fails_is_no_damage(output: Path) -> None:
    def fail(_: str, path: str) -> None:
        if path.endswith(".kept"):
            raise OSError(errno.EIO, "Input/output error")

    with watched(fail, {"read"}), pytest.raises(StorageError):
        back(output)
    assert data_of(output) == files_of(TWO)
    back(output)


def test_while_a_run_is_under_way(output: Path) -> None:
    with open_staging(output, job_id("three"), if_exists="replace", codec=CODEC), pytest.raises(TemporaryError):
        back(output)


def test_without_exchange_nothing_changes(output: Path) -> None:
    def refuse(name: str, _: str) -> None:
        if name == "renameat2 exchange":
            raise OSError(errno.EINVAL, "Invalid argument")

    before = snapshot(output), snapshot(home(output) / "versions")
    with watched(refuse), pytest.raises(LogitstreamError, match="cannot exchange"):
        back(output)
    assert (snapshot(output), snapshot(home(output) / "versions")) == before


@pytest.mark.parametrize("exchanged", [False, True])
def test_what_a_killed_rollback_left_the_next_run_heals(output: Path, exchanged: bool) -> None:
    version = home(output) / "versions" / versions(output)[0]
    (version / "part-0000000-1a.parquet.kept").rename(version / "part-0000000-1a.parquet")
    if exchanged:
        (version / "part-0000001-1b.parquet.kept").rename(version / "part-0000001-1b.parquet")
        output.rename(output.with_name("aside"))
        version.rename(output)
        output.with_name("aside").rename(version)
    with open_staging(output, job_id("three"), if_exists="replace", codec=CODEC):
        pass
    former = "two" if exchanged else "one"
    assert versions(output) == [f"0000001-{job_id(former)}"]
    assert data_of(home(output) / "versions" / versions(output)[0]) == {
        f"{name}.kept" if name.startswith("part-") else name: content
        for name, content in files_of(CONTENTS[former]).items()
    }
    back(output)
    assert data_of(output) == files_of(CONTENTS[former])


def test_order_of_syncs(output: Path) -> None:
    """Names of the parts, exchange, parent; only then is anything hidden: a power cut shows no half of a version."""
    steps: list[str] = []
    version = home(output) / "versions" / versions(output)[0]
    with watched(lambda name, path: steps.append(f"{name} {path}"), {"fsync", "rename"}):
        back(output)
    shown = max(number for number, step in enumerate(steps) if step.endswith("1b.parquet"))
    exchanged = steps.index(f"renameat2 exchange {output}")
    hidden = next(number for number, step in enumerate(steps) if step.endswith("2a.parquet.kept"))
    assert f"fsync {version}" in steps[shown:exchanged]
    assert f"fsync {output.parent}" in steps[exchanged:hidden]
    assert f"fsync {version.parent}" in steps[exchanged:hidden]


def test_rolled_back_but_perhaps_not_durable_is_said(output: Path) -> None:
    def fail(name: str, path: str) -> None:
        if path == str(output.parent) and data_of(output) == files_of(ONE):
            raise OSError(errno.EIO, "Input/output error")

    with watched(fail, {"fsync"}), pytest.raises(StorageError, match="is rolled back, but cannot sync"):
        back(output)
    assert data_of(output) == files_of(ONE)
    assert back(output).to_job_id == job_id("two")


def test_a_reader_sees_one_version_whole(output: Path) -> None:
    seen = set()

    def look(_: str, __: str) -> None:
        seen.add(frozenset(data_of(output).items()))

    with watched(look):
        for _ in range(2):
            back(output)
    assert seen == {frozenset(files_of(ONE).items()), frozenset(files_of(TWO).items())}
    assert os.listdir(home(output) / "jobs") == []  # noqa: PTH208
