"""Quarantines are files of a version like its parts: listed, checked, permitted, kept; no folder without any."""

from __future__ import annotations

import gzip
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import OutputError, StorageError
from pipeline.publish import Part, Staging
from pipeline.publish.local.output import check_output
from pipeline.publish.local.published import read_manifest
from tests.publish.runs import CODEC, data_of, files_of, home, job_id, names, publish, snapshot
from tests.publish.steps import watched

CONTENTS = {
    "part-0000000-aa.parquet": b"all good",
    "part-0000001-ab.csv.gz": b"good|bad one",
    "part-0000002-ac.parquet": b"|all bad",
}
FIRST = "_quarantine/part-0000001-ab.quarantine"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    publish(tmp_path / "out", "old", CONTENTS)
    return tmp_path / "out"


def test_stands_under_the_name_of_its_part(output: Path) -> None:
    assert data_of(output) == {
        "part-0000000-aa.parquet": b"all good",
        "part-0000001-ab.csv.gz": b"good",
        "part-0000002-ac.parquet": b"",
        "_quarantine/part-0000001-ab.quarantine": b"bad one",
        "_quarantine/part-0000002-ac.quarantine": b"all bad",
    }
    manifest = read_manifest(output)
    assert (manifest.parts, manifest.bytes, manifest.quarantines) == (3, 12, 2)
    assert manifest.body["quarantines"] == {"count": 2, "bytes": 14, "rows": 14}
    lines = [json.loads(line) for line in gzip.decompress((output / "_manifest.receipts").read_bytes()).splitlines()]
    assert "quarantine" not in lines[0]
    assert {name: lines[1]["quarantine"][name] for name in ("name", "bytes", "rows")} == {
        "name": FIRST,
        "bytes": 7,
        "rows": 7,
    }
    assert check_output(output, job_id("old"), if_exists="fail", codec=CODEC) == manifest


def test_without_one_there_is_no_folder(tmp_path: Path) -> None:
    publish(tmp_path / "out", "old", {"part-0000000-a.csv": b"x"})
    assert names(tmp_path / "out") == ["_manifest.json", "_manifest.receipts", "part-0000000-a.csv"]
    assert read_manifest(tmp_path / "out").body["quarantines"] == {"count": 0, "bytes": 0, "rows": 0}


def test_takes_the_modes_of_the_version_before(output: Path) -> None:
    output.chmod(0o750)
    (output / "_manifest.json").chmod(0o640)
    publish(output, "new", CONTENTS, "replace")
    assert stat.S_IMODE((output / "_quarantine").stat().st_mode) == 0o750
    assert {stat.S_IMODE(path.stat().st_mode) for path in output.rglob("*") if path.is_file()} == {0o640}


@pytest.mark.parametrize("kind", ["missing", "cut", "folder", "all"])
def test_one_that_is_missing_or_cut_is_a_defect(output: Path, kind: str) -> None:
    path = output / FIRST
    if kind == "cut":
        path.write_bytes(b"b")
    else:
        path.unlink()
    if kind == "folder":
        path.mkdir()
    if kind == "all":
        (output / "_quarantine" / "part-0000002-ac.quarantine").unlink()
        (output / "_quarantine").rmdir()
    with pytest.raises(OutputError, match=r"holds the result of this job, but .*part-0000001-ab\.quarantine"):
        publish(output, "old", CONTENTS)
    publish(output, "old", CONTENTS, "replace")
    assert data_of(output) == files_of(CONTENTS)


@pytest.mark.parametrize("extra", ["notes.txt", "part-0000009-zz.quarantine", "folder/file"])
def test_an_entry_that_no_manifest_lists(output: Path, extra: str) -> None:
    (output / "_quarantine" / extra).parent.mkdir(exist_ok=True)
    (output / "_quarantine" / extra).write_text("mine")
    before = snapshot(output)
    with pytest.raises(OutputError, match=f"contains _quarantine/{extra.partition('/')[0]}, which"):
        publish(output, "new", CONTENTS, "replace")
    assert snapshot(output) == before


def test_a_folder_of_quarantines_that_no_manifest_lists(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", {"part-0000000-a.csv": b"x"})
    (output / "_quarantine").mkdir()
    with pytest.raises(OutputError, match="contains _quarantine, which its manifest does not list"):
        publish(output, "new", CONTENTS, "replace")


def test_a_folder_of_quarantines_that_is_a_link(output: Path, tmp_path: Path) -> None:
    (output / "_quarantine").rename(tmp_path / "elsewhere")
    (output / "_quarantine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="contains _quarantine, which its manifest does not list"):
        publish(output, "new", CONTENTS, "replace")
    assert names(tmp_path / "elsewhere") == ["part-0000001-ab.quarantine", "part-0000002-ac.quarantine"]


def test_what_somebody_puts_there_during_the_run_is_not_touched(output: Path) -> None:
    def meddle(_: Staging, parts: list[Part]) -> list[Part]:
        (output / "_quarantine" / "mine.txt").write_text("mine")
        return parts

    with pytest.raises(OutputError, match="changed by somebody else"):
        publish(output, "new", CONTENTS, "replace", meddle)
    assert (output / "_quarantine" / "mine.txt").read_text() == "mine"


def _cut(staging: Staging, parts: list[Part]) -> list[Part]:
    assert parts[1].quarantine is not None
    (staging.directory / parts[1].quarantine.path).write_bytes(b"")
    return parts


def _elsewhere(_: Staging, parts: list[Part]) -> list[Part]:
    assert parts[1].quarantine is not None
    return [replace(parts[1], quarantine=replace(parts[1].quarantine, path="../../lock"))]


def _nameless(_: Staging, parts: list[Part]) -> list[Part]:
    return [replace(parts[1], name="part-" + "0" * 65)]


@pytest.mark.parametrize(("change", "error"), [(_cut, StorageError), (_elsewhere, ValueError), (_nameless, ValueError)])
def test_what_goes_wrong_leaves_the_output_as_it_was(
    output: Path, change: Callable[[Staging, list[Part]], list[Part]], error: type[Exception]
) -> None:
    before = snapshot(output)
    with pytest.raises(error):
        publish(output, "new", CONTENTS, "replace", change)
    assert snapshot(output) == before
    publish(output, "new", CONTENTS, "replace")
    assert data_of(output) == files_of(CONTENTS)


def test_is_kept_with_its_version_and_goes_with_it(output: Path) -> None:
    publish(output, "new", {"part-0000000-a.csv": b"x"}, "replace")
    kept = home(output) / "versions" / f"0000001-{job_id('old')}"
    assert names(kept / "_quarantine") == ["part-0000001-ab.quarantine", "part-0000002-ac.quarantine"]
    publish(output, "newer", {"part-0000000-a.csv": b"y"}, "replace")
    assert names(home(output) / "versions") == [f"0000002-{job_id('new')}"]
    assert not names(home(output) / "jobs")


def test_its_name_is_durable_before_the_exchange(output: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    with watched(lambda name, path: steps.append(f"{name} {path}"), {"fsync", "link", "rename"}):
        publish(output, "new", CONTENTS, "replace")
    tree = f"{home(output)}/jobs/{job_id('new')}/tree"
    linked = max(number for number, step in enumerate(steps) if step.startswith("link"))
    order = [steps.index(step, linked) for step in (f"fsync {tree}/_quarantine", f"fsync {tree}")]
    assert order == sorted(order)
    assert order[-1] < steps.index(f"renameat2 exchange {output}")
