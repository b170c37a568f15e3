"""The digest of all bytes of an input."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputChangedError, TransientError
from pipeline.sources import content_digest, source_for
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from tests.contracts.source import open_descriptors, whole

SIZE = 3 << 20
ROWS = b"1,2,3\n" * (SIZE // 6)


@pytest.fixture(params=["csv", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> InputFile:
    """A file of some MiB, in which no byte in the middle is looked at for its identity."""
    path = tmp_path / f"data.{request.param}"
    if request.param == "csv":
        path.write_bytes(b"a,b,c\n" + ROWS)
    else:
        table = pa.table({"a": pa.array(range(SIZE // 8), pa.int64())})
        pq.write_table(table, path, compression="none", use_dictionary=False)
    return InputFile(path.name, str(path), 0, request.param)


def facts_of(file: InputFile, *, full: bool) -> FileFacts:
    return source_for(file.format, CsvOptions()).facts(file, full=full)


def edit_unnoticed(file: InputFile) -> None:
    """Change a byte in the middle; size and time of change stay."""
    path = Path(file.location)
    state = path.stat()
    with path.open("r+b") as stream:
        stream.seek(state.st_size // 2)
        byte = stream.read(1)
        stream.seek(state.st_size // 2)
        stream.write(b"7" if byte != b"7" else b"8")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_all_bytes_are_digested_where_it_is_asked_for(file: InputFile) -> None:
    assert facts_of(file, full=False).identity.content == ""
    expected = hashlib.sha256(Path(file.location).read_bytes()).hexdigest()
    assert facts_of(file, full=True).identity.content == expected


def test_an_edit_of_equal_size_with_the_old_time_shows_in_the_content_alone(file: InputFile) -> None:
    before = facts_of(file, full=True).identity
    edit_unnoticed(file)
    after = facts_of(file, full=True).identity
    assert (before.size, before.mtime_ns, before.digest) == (after.size, after.mtime_ns, after.digest)
    assert before.content != after.content == content_digest(file)


def test_a_reader_does_not_take_another_content_for_a_change(file: InputFile) -> None:
    facts = facts_of(file, full=True)
    if file.format == "csv":
        edit_unnoticed(file)
    source = source_for(file.format, CsvOptions())
    with source.read(file, facts.identity, whole(facts), [Need("a", "kept")], 100_000) as reader:
        rows = sum(batch.num_rows for batch in reader)
    assert rows + reader.bad_count == (SIZE // 6 if file.format == "csv" else SIZE // 8)


def test_a_file_that_changes_while_it_is_digested(file: InputFile, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.pread

    def read_and_append(descriptor: int, size: int, offset: int) -> bytes:
        if size == 1 << 20 and offset == 1 << 20:
            with Path(file.location).open("ab") as stream:
                stream.write(b"9,9,9\n")
        return read(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", read_and_append)
    with pytest.raises(InputChangedError, match=r"^data\.\w+ changed while it was read for its fingerprint"):
        facts_of(file, full=True)
    assert open_descriptors(file.location) == 0


def test_a_file_that_grows_all_the_time_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"a,b,c\n" + ROWS)
    stop = threading.Event()

    def write() -> None:
        with path.open("ab") as stream:
            while not stop.is_set():
                stream.write(ROWS[:60_000])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert len(content_digest(InputFile("log.csv", str(path), 0, "csv"))) == 64
    finally:
        stop.set()
        writer.join()


def test_a_file_that_is_gone(file: InputFile) -> None:
    Path(file.location).unlink()
    with pytest.raises(InputChangedError, match="it is gone"):
        content_digest(file)


@pytest.mark.parametrize("act", [content_digest, lambda file: facts_of(file, full=True)])
def test_a_disk_that_does_not_answer_may_do_so_later(
    file: InputFile, monkeypatch: pytest.MonkeyPatch, act: Callable[[InputFile], object]
) -> None:
    read = os.pread

    def fail(descriptor: int, size: int, offset: int) -> bytes:
        if size == 1 << 20 and offset == 1 << 20:
            raise OSError(5, "Input/output error")
        return read(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(TransientError, match=r"^data\.\w+ cannot be read: Input/output error"):
        act(file)
    assert open_descriptors(file.location) == 0
