"""Open files: read at any offset, digested by range, refused where they are not files."""

from __future__ import annotations

import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import disk
from pipeline.disk import OpenFile
from pipeline.errors import DataError, InputMissingError, LogitstreamError, TransientError, UsageError
from tests.contracts.source import open_descriptors

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(CONTENT)
    return path


def opened(path: Path) -> OpenFile:
    return OpenFile.open(str(path), path.name)


def test_bytes_come_from_any_offset(path: Path) -> None:
    with opened(path) as file:
        assert file.path == "data.csv"
        assert file.status().st_size == len(CONTENT)
        assert file.read_at(5, 300) == CONTENT[300:305]
        assert file.read_at(5, len(CONTENT)) == b""
        assert file.read_range(len(CONTENT) * 2, 7) == CONTENT[7:]
        memory = bytearray(b"." * 6)
        assert file.read_into(memoryview(memory)[1:5], 65) == 4
        assert memory == b".ABCD."
        assert file.read_into(memoryview(memory), len(CONTENT) - 2) == 2
        assert file.read_into(memoryview(memory), len(CONTENT)) == 0
    assert open_descriptors(str(path)) == 0


def test_short_reads_of_the_system_are_made_up_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: read(descriptor, min(size, 1000), offset))
    with opened(path) as file:
        assert file.read_range(2500, 10) == CONTENT[10:2510]
        assert file.sha256(10, 2510) == hashlib.sha256(CONTENT[10:2510]).hexdigest()


def test_a_digest_is_of_a_range_or_of_all_there_is_now(path: Path) -> None:
    with opened(path) as file:
        assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()
        assert file.sha256(5, 10) == hashlib.sha256(CONTENT[5:10]).hexdigest()
        assert file.sha256(5, 5) == hashlib.sha256().hexdigest()
        assert file.sha256(0, len(CONTENT) * 2) == hashlib.sha256(CONTENT).hexdigest()


def test_nothing_is_asked_of_the_system_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open file costs the calls that it is worth: readers ask for a piece with one."""
    calls: list[str] = []
    for name in ("open", "fstat", "pread", "preadv", "close", "lseek"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, name=name, real=real, **more: (calls.append(name), real(*given, **more))[1]
        )
    with opened(path) as file:
        file.read_at(4, 0)
        file.read_into(memoryview(bytearray(4)), 0)
        file.sha256(0, 100)
    assert calls == ["open", "fstat", "pread", "preadv", "pread", "close"]


def test_threads_share_an_open_file(path: Path) -> None:
    with opened(path) as file, ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda n: file.read_at(100, n * 100) == CONTENT[n * 100 :][:100], range(1000)))


def test_closing_twice_closes_nothing_else(path: Path) -> None:
    file = opened(path)
    file.close()
    with opened(path) as other:
        file.close()
        assert other.read_at(1, 0) == b"\0"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("pipe", "a FIFO"), (".", "a folder")):
        with pytest.raises(DataError, match=f"is {kind}; only files can be read as data"):
            OpenFile.open(str(tmp_path / name), name)
    with pytest.raises(DataError, match="is a character device"):
        OpenFile.open("/dev/null", "null")


def test_a_socket_is_named_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        with pytest.raises(DataError, match=r"^sock is a socket"):
            OpenFile.open("sock", "sock")


def test_a_file_that_is_gone_or_leads_to_itself(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"^no such input: x\ncheck the path$"):
        OpenFile.open(str(tmp_path / "none"), "x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"^x is a symbolic link that leads to itself"):
        OpenFile.open(str(tmp_path / "loop"), "x")


@pytest.mark.parametrize("name", ["pread", "preadv", "fstat"])
def test_a_disk_that_does_not_answer(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with opened(path) as file:
        acts = {
            "pread": lambda: file.read_at(1, 0),
            "preadv": lambda: file.read_into(memoryview(bytearray(1)), 0),
            "fstat": file.status,
        }
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(TransientError, match=r"^data\.csv cannot be read: Input/output error"):
                acts[name]()


def test_a_file_that_cannot_be_looked_at_leaves_no_descriptor(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fail)
        with pytest.raises(TransientError):
            opened(path)
    assert open_descriptors(str(path)) == 0


def test_names_in_folders(path: Path, tmp_path: Path) -> None:
    assert [entry.name for entry in disk.entries(str(tmp_path), "d")] == ["data.csv"]
    assert disk.mode_of(str(path), "x") == path.stat().st_mode
    assert disk.mode_of(str(tmp_path / "none"), "x") is None
    assert disk.mode_of(str(path / "below"), "x") is None
    for act in (lambda: disk.entries(str(path), "x"), lambda: disk.entries(str(tmp_path / "none"), "x")):
        with pytest.raises(LogitstreamError, match=r"^no such input: x\ncheck the path$"):
            act()
