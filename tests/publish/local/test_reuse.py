"""Parts of the published version that a run would make again are linked instead."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.publish import Part, Staging
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, adopt, data_of, files_of, home, job_id, parts_of, publish, receipt, snapshot
from tests.publish.steps import watched

CONTENTS = {
    "part-0000000-aa.parquet": b"plain",
    "part-0000001-ab.csv.gz": b"good|bad",
    "part-0000002-ac.parquet": b"more",
}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    publish(tmp_path / "out", "old", CONTENTS)
    return tmp_path / "out"


def opened(output: Path, job: str = "new"):
    return open_staging(output, job_id(job), if_exists="replace", codec=CODEC)


def test_the_standing_parts_are_those_of_the_manifest(output: Path, tmp_path: Path) -> None:
    with opened(output) as staging:
        parts = list(staging.standing())
    assert [part.name for part in parts] == list(CONTENTS)
    assert [part.file.rows for part in parts] == [5, 4, 4]
    assert parts[1].quarantine is not None
    assert (parts[1].quarantine.path, parts[1].quarantine.rows) == ("_quarantine/part-0000001-ab.quarantine", 3)
    with opened(tmp_path / "other") as staging:
        assert list(staging.standing()) == []


def test_an_adopted_part_is_the_same_file(output: Path) -> None:
    before = {path.name: path.stat().st_ino for path in output.rglob("part-*")}
    with opened(output) as staging:
        assert isinstance(staging, Staging)
        parts = []
        for index, part in enumerate(staging.standing()):
            taken = adopt(staging, index + 10, part)
            assert taken is not None
            assert (taken[0].bytes, taken[0].sha256, taken[0].rows) == (
                part.file.bytes,
                part.file.sha256,
                part.file.rows,
            )
            staging.append(receipt(index + 10, *taken))
            name = f"part-{index + 10:07d}-{part.name.split('-', 2)[2]}"
            parts.append(Part(name, taken[0], {}, taken[1]))
        staging.publish({}, parts, observed={})
    after = {path.name: path.stat().st_ino for path in output.rglob("part-*")}
    assert sorted(before.values()) == sorted(after.values())
    assert data_of(output) == files_of({name.replace("000000", "000001"): c for name, c in CONTENTS.items()})


def test_an_adopted_chunk_is_resumed_like_any_other(output: Path) -> None:
    with opened(output) as staging:
        for index, part in enumerate(staging.standing()):
            staging.append(receipt(index, *adopt(staging, index, part)))
    with opened(output) as staging:
        assert [found["chunk"] for found in staging.receipts()] == [0, 1, 2]


def test_a_part_may_be_adopted_for_many_chunks_in_any_order(output: Path) -> None:
    chunks = [*range(7900, 0, -100), 5, 7950, 2]
    with opened(output) as staging:
        part = next(staging.standing())
        taken = list(staging.adopted((chunk, part) for chunk in chunks))
        assert [(chunk, found) for chunk, found, _ in taken] == [(chunk, part) for chunk in chunks]
        paths = [files[0].path for *_, files in taken]
        assert len(set(paths)) == len(chunks)
        assert [path.split("/")[1] for path in paths] == [str(chunk // 1000) for chunk in chunks]
        assert {(staging.directory / path).read_bytes() for path in paths} == {b"plain"}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(content)


def _link(path: Path) -> None:
    path.symlink_to(path.rename(path.parent.parent.parent / "twin"))


@pytest.mark.parametrize("name", ["part-0000001-ab.csv.gz", "_quarantine/part-0000001-ab.quarantine"])
@pytest.mark.parametrize(
    "damage", [_flip, Path.unlink, _link, lambda path: path.chmod(0o600), lambda path: path.write_bytes(b"")]
)
def test_what_is_not_intact_is_not_adopted(output: Path, name: str, damage) -> None:
    with opened(output) as staging:
        parts = list(staging.standing())
        damage(output / name)
        before = snapshot(output)
        assert adopt(staging, 1, parts[1]) is None
        assert adopt(staging, 0, parts[0]) is not None
    assert snapshot(output) == before


def test_a_part_is_not_adopted_without_the_folder_of_its_quarantine(output: Path, tmp_path: Path) -> None:
    with opened(output) as staging:
        parts = list(staging.standing())
        (output / "_quarantine").rename(tmp_path / "elsewhere")
        assert [adopt(staging, chunk, part) is None for chunk, part in enumerate(parts)] == [False, True, False]


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
def test_where_there_are_no_second_names_nothing_is_adopted_nor_moved(output: Path, code: int) -> None:
    def refuse(name: str, _: str) -> None:
        raise OSError(code, os.strerror(code))

    before = snapshot(output)
    with opened(output) as staging:
        part = next(staging.standing())
        with watched(refuse, {"link"}):
            assert adopt(staging, 0, part) is None
    assert snapshot(output) == before


def test_a_full_disk_is_not_a_reason_to_compute(output: Path) -> None:
    def refuse(name: str, _: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(output) as staging:
        part = next(staging.standing())
        with watched(refuse, {"link"}), pytest.raises(StorageError, match="No space left"):
            adopt(staging, 0, part)


def test_a_part_exchanged_between_the_look_and_the_link_is_not_adopted(output: Path, tmp_path: Path) -> None:
    def exchange(name: str, path: str) -> None:
        (tmp_path / "other").write_bytes(b"plain")
        (tmp_path / "other").rename(output / "part-0000000-aa.parquet")

    with opened(output) as staging:
        part = next(staging.standing())
        with watched(exchange, {"link"}):
            assert adopt(staging, 0, part) is None


def test_a_run_that_fails_after_adopting_leaves_the_output_as_it_was(output: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mode) for path in output.rglob("part-*")}
    with opened(output) as staging:
        for index, part in enumerate(staging.standing()):
            assert adopt(staging, index, part) is not None
    publish(output, "other", {"part-0000000-z.csv": b"z"}, "replace")
    assert parts_of(output) == {"part-0000000-z.csv": b"z"}
    kept = home(output) / "versions" / f"0000001-{job_id('old')}"
    assert sorted(content for content, _ in before.values()) == sorted(
        path.read_bytes() for path in kept.rglob("part-*")
    )


def test_a_part_that_was_written_to_after_it_was_digested_is_not_adopted(output: Path) -> None:
    with opened(output) as staging:
        assert isinstance(staging, Staging)
        parts = list(staging.standing())
        adopted = staging.adopted(enumerate(parts))
        assert next(adopted)[2] is not None
        # The later ones have been digested by now, or will be found to be damaged.
        last = next(path for path in output.rglob(parts[2].name))
        last.write_bytes(b"MORE")
        assert [files is None for _, _, files in adopted] == [False, True]


def test_without_a_published_version_nothing_is_adopted(output: Path, tmp_path: Path) -> None:
    with opened(output) as staging:
        assert isinstance(staging, Staging)
        part = next(iter(staging.standing()))
    with opened(tmp_path / "other") as staging:
        assert isinstance(staging, Staging)
        assert list(staging.adopted([(0, part)])) == [(0, part, None)]
