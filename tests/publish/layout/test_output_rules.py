"""Where a run may publish. Everything else is refused with a reason, and is not touched."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.canonical import canonical, digest
from pipeline.errors import LogitstreamError, OutputError, PermissionDeniedError
from pipeline.publish.local.output import check_output
from pipeline.publish.local.published import open_published, read_manifest
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, NEW, OLD, home, job_id, names, publish, snapshot


def refused(output: Path, error: type[LogitstreamError] = OutputError) -> LogitstreamError:
    """Both ways refuse an output with the same message, and nothing is changed or created."""
    folder = output.parent if output.parent.is_dir() else Path("/nonexistent")
    before = names(folder) if folder.exists() else []
    with pytest.raises(error) as first:
        check_output(output, job_id("new"), if_exists="replace", codec=CODEC)
    with pytest.raises(error) as second, open_staging(output, job_id("new"), if_exists="replace", codec=CODEC):
        pass
    assert str(first.value) == str(second.value)
    assert first.value.remedy
    assert (names(folder) if folder.exists() else []) == before
    return first.value


def test_a_folder_that_no_run_made(folder: Path) -> None:
    output = folder / "my data"
    output.mkdir()
    (output / "thesis.txt").write_text("all of it")
    error = refused(output)
    assert "was not published by logitstream: it has no _manifest.json" in error.message
    assert f"mv -T '{output}' '{output}.aside'" in error.remedy
    assert error.exit_code == 73
    assert snapshot(output) == {"thesis.txt": b"all of it"}


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert f"rmdir '{tmp_path}/out'" in refused(tmp_path / "out").remedy


@pytest.mark.parametrize("extra", ["notes.txt", "part-0000009-zz.parquet", ".hidden", "_SUCCESS", "a folder/file"])
def test_an_entry_that_no_manifest_lists(tmp_path: Path, extra: str) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    (output / extra).parent.mkdir(exist_ok=True)
    (output / extra).write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=f"contains {extra.partition('/')[0]}, which its manifest does not list"):
        publish(output, "new", NEW, "replace")
    after = snapshot(tmp_path)
    lock = f"{home(output).name}/lock"
    assert {**after, lock: b""} == {**before, lock: b""}


def _edit(output: Path, change) -> None:
    path = output / "_manifest.json"
    body = json.loads(path.read_bytes())
    change(body)
    path.write_bytes(canonical(body) + b"\n")


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: _edit(out, lambda body: body["totals"].update(chunks=99)),
        lambda out: _edit(out, lambda body: body.pop("digest")),
        lambda out: (out / "_manifest.json").write_bytes(b""),
        lambda out: (out / "_manifest.json").write_bytes(b"[" * 100_000),
        lambda out: (out / "_manifest.json").write_bytes((out / "_manifest.json").read_bytes()[:-9]),
        lambda out: (out / "_manifest.json").write_bytes((out / "_manifest.json").read_bytes() + b" "),
        lambda out: (out / "_manifest.json").write_bytes(b'{"digest":"%s"}\n' % digest({}).encode()),
        lambda out: (out / "_manifest.receipts").unlink(),
        lambda out: (out / "_manifest.receipts").write_bytes(b"x"),
        lambda out: ((out / "_manifest.json").unlink(), os.mkfifo(out / "_manifest.json")),
        lambda out: ((out / "_manifest.json").unlink(), (out / "_manifest.json").symlink_to("/etc/passwd")),
    ],
)
def test_a_manifest_that_was_damaged_or_edited(tmp_path: Path, damage) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    damage(output)
    entries = names(output)
    for job in ("old", "new"):
        with pytest.raises(OutputError, match="was not published by logitstream"):
            publish(output, job, NEW, "replace")
    assert names(output) == entries


def _line(name: str = "part-0000000-aa.parquet", **other: object) -> bytes:
    return canonical({"name": name, "bytes": 8, "rows": 8, "sha256": "", "receipt": {}, **other}) + b"\n"


@pytest.mark.parametrize(
    "lines",
    [
        _line("../../precious"),
        _line("part-\x1b[2J"),
        _line() + _line(),
        _line("part-1") + _line("part-0"),
        _line()[:-1],
        _line() + b"[]\n",
        _line(receipt=[1]),
        _line(bytes="many"),
        b"[" * 100_000 + b"\n",
        b"x" * 2**22,
    ],
)
def test_receipts_that_agree_with_a_forged_manifest(tmp_path: Path, lines: bytes) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD)
    receipts = gzip.compress(lines)
    (output / "_manifest.receipts").write_bytes(receipts)

    def forge(body: dict[str, dict[str, object]]) -> None:
        body["receipts"]["sha256"] = hashlib.sha256(receipts).hexdigest()
        body["digest"] = digest({name: value for name, value in body.items() if name not in {"observed", "digest"}})

    _edit(output, forge)
    with pytest.raises(OutputError, match=r"its _manifest\.receipts cannot be read"):
        publish(output, "new", NEW, "replace")


def test_receipts_that_are_not_those_of_the_manifest(tmp_path: Path) -> None:
    publish(tmp_path / "out", "old", OLD)
    publish(tmp_path / "other", "old", {name: content[::-1] for name, content in OLD.items()})
    shutil.copy(tmp_path / "other" / "_manifest.receipts", tmp_path / "out")
    with pytest.raises(OutputError, match=r"its _manifest\.receipts was damaged or edited"):
        publish(tmp_path / "out", "old", NEW, "replace")


def test_what_a_manifest_only_notes_may_change(tmp_path: Path) -> None:
    publish(tmp_path / "out", "old", OLD)
    _edit(tmp_path / "out", lambda body: body["observed"].update(seconds=7))
    changed = read_manifest(tmp_path / "out")
    assert cast("Any", changed.body["observed"])["seconds"] == 7
    with open_published(tmp_path / "out", CODEC) as published:
        assert [defect[:2] for defect in published.defects] == [("_manifest.json", "observed")]


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "is a file, not a folder" in refused(tmp_path / "out").message
    assert (tmp_path / "out").read_text() == "mine"


def test_a_symbolic_link_even_to_a_version_of_ours(tmp_path: Path) -> None:
    publish(tmp_path / "real", "old", OLD)
    (tmp_path / "out").symlink_to(tmp_path / "real")
    assert "is a symbolic link" in refused(tmp_path / "out").message
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    assert "is a symbolic link" in refused(tmp_path / "nowhere").message


def test_the_parent_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    publish(tmp_path / "link" / "out", "old", OLD)
    assert (tmp_path / "real" / ".out.logitstream" / "lock").exists()


def test_a_relative_path(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    publish(Path("out"), "old", OLD)
    assert read_manifest(tmp_path / "out").parts == 2


def test_a_parent_that_is_missing_or_no_folder(tmp_path: Path) -> None:
    missing = refused(tmp_path / "no" / "such" / "out")
    assert f"mkdir -p '{tmp_path}/no/such'" in missing.remedy
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refused(tmp_path / "file" / "out").message
    (tmp_path / "loop").symlink_to("loop")
    assert "is not a folder" in refused(tmp_path / "loop" / "out").message


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "a\x00b", "a\x1b[2Jb", "x" * 243, "é" * 122])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    error = refused(Path(f"{tmp_path}/{name}") if name else Path("/"))
    assert error.exit_code == 73
    assert str(error).replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["x" * 242, "with space", "ünïcode", "-rf", "$(id)", "a'b\"c", ".hidden"])
def test_a_name_that_is_odd(tmp_path: Path, name: str) -> None:
    publish(tmp_path / name, "old", OLD)
    publish(tmp_path / name, "new", NEW, "replace")
    assert read_manifest(tmp_path / name).parts == 3


def test_advice_can_be_pasted_for_any_name(tmp_path: Path) -> None:
    output = tmp_path / "a'b $(touch hacked) c"
    output.mkdir()
    (output / "file").write_text("mine")
    command = refused(output).remedy.split("(", 1)[1].rsplit(")", 1)[0]
    subprocess.run(["sh", "-c", command], check=True, cwd=tmp_path)
    assert names(tmp_path) == [f"{output.name}.aside"]


def test_inside_a_folder_of_preparations(tmp_path: Path) -> None:
    publish(tmp_path / "out", "old", OLD)
    refused(home(tmp_path / "out") / "versions")
    refused(tmp_path / ".new.logitstream")


def test_a_parent_where_anyone_may_rename(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert "any user may rename" in refused(shared / "out").message
    shared.chmod(0o1777)
    publish(shared / "out", "old", OLD)


def test_a_folder_of_preparations_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    home(tmp_path / "out").symlink_to("elsewhere")
    with pytest.raises(OutputError, match="is not a folder"):
        publish(tmp_path / "out", "old", OLD)
    assert not names(tmp_path / "elsewhere")


def test_a_lock_that_is_a_link(tmp_path: Path) -> None:
    home(tmp_path / "out").mkdir()
    (tmp_path / "precious").write_text("mine")
    (home(tmp_path / "out") / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(LogitstreamError):
        publish(tmp_path / "out", "old", OLD)
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of somebody else")
def test_a_folder_of_preparations_of_somebody_else(tmp_path: Path) -> None:
    home(tmp_path / "out").mkdir()
    os.chown(home(tmp_path / "out"), 12345, 12345)
    with pytest.raises(OutputError, match="belongs to user 12345"):
        publish(tmp_path / "out", "old", OLD)


_AS_NOBODY = """
import os, sys
from pathlib import Path
from tests.publish.runs import NEW, publish
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    publish(Path(sys.argv[1]), "new", NEW, "replace")
except Exception as error:
    print(type(error).__name__, error)
else:
    print("published")
"""


def _as_nobody(output: Path) -> str:
    root = Path(__file__).parents[3]
    answer = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(output)], cwd=root, capture_output=True, text=True, check=True
    )
    return answer.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as somebody else")
def test_what_the_system_would_refuse_is_refused_before_work() -> None:
    # Not below the folder of the test, which no other user may enter.
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        parent.chmod(0o755)
        assert "PermissionDeniedError cannot write to" in _as_nobody(parent / "out")
        parent.chmod(0o1777)
        publish(parent / "out", "old", OLD)
        shutil.rmtree(home(parent / "out"))
        before = snapshot(parent)
        assert "PermissionDeniedError cannot replace" in _as_nobody(parent / "out")
        assert snapshot(parent) == before
        assert _as_nobody(parent / "mine") == "published\n"


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_mount_point_and_a_file_system_that_is_read_only(tmp_path: Path) -> None:
    parent, output = tmp_path / "a place", tmp_path / "a place" / "out"
    parent.mkdir()
    publish(output, "old", OLD)
    if not _mount("--bind", str(output), str(output)):
        pytest.skip("mounting is not allowed here")
    try:
        assert "is a mount point" in refused(output).message
    finally:
        subprocess.run(["umount", str(output)], check=True)
    assert _mount("--bind", str(parent), str(parent))
    try:
        assert _mount("-o", "remount,bind,ro", str(parent))
        refused(output, PermissionDeniedError)
        refused(parent / "other", PermissionDeniedError)
    finally:
        subprocess.run(["umount", str(parent)], check=True)


@pytest.mark.parametrize("inner", ["inner", "made/inner", "missing/inner"])
def test_an_output_inside_an_output(tmp_path: Path, inner: str) -> None:
    """It would be an entry that the manifest does not list: the outer output could never be replaced."""
    outer = tmp_path / "outer"
    publish(outer, "old", OLD)
    if inner.startswith("made"):
        (outer / "made").mkdir()
    error = refused(outer / inner)
    assert error.message == f"{outer}/{inner} lies inside the output {outer}"
    assert error.remedy == f"use an output name outside {outer}"
    (tmp_path / "link").symlink_to(outer)
    assert "lies inside the output" in refused(tmp_path / "link" / inner).message
    if not inner.startswith("made"):
        publish(outer, "new", NEW, "replace")


@pytest.mark.parametrize("address", ["s3://bucket/out", "gs://bucket/a/b/out", "hdfs://host:9000/out"])
def test_an_address_is_no_local_folder(address: str) -> None:
    error = refused(Path(address))
    assert error.message == f"{address} cannot be an output"
    assert "only local folders can be written" in error.remedy


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(OutputError, match="the working folder no longer exists") as caught:
        check_output(Path("out"), job_id("new"), if_exists="fail", codec=CODEC)
    assert caught.value.remedy == "give absolute paths"
    with pytest.raises(OutputError, match="there is no folder"):
        check_output(tmp_path / "none" / "out", job_id("new"), if_exists="fail", codec=CODEC)
