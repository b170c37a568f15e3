"""Files read and written whole: the new content or the former, durable, and nothing left beside it."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from pipeline import disk

CALLS = ("open", "fchmod", "fsync", "rename", "replace", "unlink", "close")


def names(folder: Path) -> list[str]:
    return disk.names_in(folder)


def test_a_file_is_read_whole_or_as_far_as_wanted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abcdef")
    assert disk.read_file(path) == disk.read_file(str(path), 99) == b"abcdef"
    assert disk.read_file(path, 4) == b"abcd"
    assert disk.read_file(path, 0) == b""
    assert disk.file_sha256(path) == hashlib.sha256(b"abcdef").hexdigest()
    with pytest.raises(FileNotFoundError):
        disk.read_file(tmp_path / "none")


def test_a_fifo_is_waited_for(tmp_path: Path) -> None:
    """A model may come from a process of the shell: ``--model <(make-model)``."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"text" * 50_000,))
    writer.start()
    assert disk.read_file(path) == b"text" * 50_000
    writer.join()


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        disk.write_file(tmp_path / "x", b"new")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert names(tmp_path) == ["x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_a_folder_in_which_a_user_may_not_write_is_known_beforehand() -> None:
    # Not below the folder of the test, which no other user may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        disk.require_writable(folder / "x")
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionError):
                disk.require_writable(folder / "x")
        finally:
            os.seteuid(0)


def test_a_name_that_is_too_long_is_known_beforehand(tmp_path: Path) -> None:
    disk.require_writable(tmp_path / ("x" * 255))
    with pytest.raises(OSError, match="too long"):
        disk.require_writable(tmp_path / ("x" * 256))


def test_what_is_replaced_hands_its_mode_down(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"former")
    path.chmod(0o604)
    disk.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert names(tmp_path) == ["x"]


def test_data_name_and_folder_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"sync {kind} of {os.fstat(descriptor).st_size if kind == 'file' else names(tmp_path)}")
        sync(descriptor)

    def replaced(draft: Path, path: Path) -> None:
        steps.append("rename")
        replace(draft, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    disk.write_file(tmp_path / "x", b"four")
    assert steps == ["sync file of 4", "rename", "sync folder of ['x']"]


@pytest.mark.parametrize("refused", ["fsync", "fchmod", "replace"])
def test_whatever_is_refused_the_former_file_stays_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"former")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if refused == "replace" else os, refused, fail)
    with pytest.raises(OSError, match="No space left"):
        disk.write_file(path, b"new")
    assert path.read_bytes() == b"former"
    assert names(tmp_path) == ["x"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk.write_file(tmp_path / "none" / "x", b"new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        disk.write_file(tmp_path / "folder", b"new")
    assert names(tmp_path) == ["folder"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("target")
    disk.write_file(tmp_path / "link", b"new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"mine"


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "\U0001f600" * 63):
        disk.write_file(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"


def test_facts_are_told_or_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"four")
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "nowhere").symlink_to("none")
    found, link = disk.facts(tmp_path / "link"), disk.facts(tmp_path / "link", follow_links=False)
    assert found is not None
    assert found.st_size == 4
    assert link is not None
    assert stat.S_ISLNK(link.st_mode)
    assert disk.facts(tmp_path / "nowhere") is disk.facts(tmp_path / "x" / "y") is None


def test_folders_are_made_and_listed(tmp_path: Path) -> None:
    disk.make_folders(tmp_path / "b" / "c")
    disk.make_folders(tmp_path / "b" / "c")
    (tmp_path / "a").touch()
    assert disk.names_in(tmp_path) == ["a", "b"]
