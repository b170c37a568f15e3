"""Files that a task writes: new, digested, durable when finished, and unused otherwise."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipeline.disk import free_bytes
from pipeline.errors import OutputError, StorageError
from pipeline.publish import Attempt, Staging
from pipeline.publish.local.attempts import open_attempt
from pipeline.publish.local.staging import open_staging
from pipeline.types.outputs import OpenAttempt
from tests.publish.runs import CODEC, job_id, names
from tests.publish.steps import watched


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Path]:
    with open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC) as opened:
        assert isinstance(opened, Staging)
        yield opened.directory


def _as_protocol(attempt: Attempt) -> OpenAttempt:
    return attempt


def test_a_finished_attempt_is_what_its_receipt_says(staging: Path) -> None:
    with open_attempt(staging, 12345, "csv.gz") as attempt:
        for piece in (b"a", bytearray(b"bc"), memoryview(b"-def-")[1:-1], pa.py_buffer(b"ghi"), b""):
            assert attempt.file.write(piece) == len(memoryview(piece))
        assert attempt.file.tell() == 9
        part = _as_protocol(attempt).finish(rows=3)
    assert (staging / part.path).read_bytes() == b"abcdefghi"
    assert (part.bytes, part.rows, part.sha256) == (9, 3, hashlib.sha256(b"abcdefghi").hexdigest())
    folder, name = part.path.rsplit("/", 1)
    assert folder == "attempts/12"
    assert name.startswith("12345-")
    assert name.endswith(".csv.gz.attempt")
    assert pickle.loads(pickle.dumps(part)) == part


def test_arrow_writes_parquet_and_csv_into_it(staging: Path) -> None:
    table = pa.table({"x": list(range(5000)), "y": [str(i) for i in range(5000)]})
    with open_attempt(staging, 0, "parquet") as attempt:
        with pq.ParquetWriter(attempt.file, table.schema) as writer:
            writer.write_table(table, row_group_size=999)
        part = attempt.finish(table.num_rows)
    assert pq.read_table(staging / part.path).equals(table)
    assert hashlib.sha256((staging / part.path).read_bytes()).hexdigest() == part.sha256
    with open_attempt(staging, 0, "csv") as attempt:
        pa.csv.write_csv(table, attempt.file)
        part = attempt.finish(table.num_rows)
    assert (staging / part.path).stat().st_size == part.bytes


def test_a_library_that_closes_the_file_does_not_keep_it_from_being_synced(staging: Path) -> None:
    with open_attempt(staging, 0, "gz") as attempt:
        with pa.CompressedOutputStream(pa.PythonFile(attempt.file, "w"), "gzip") as stream:
            stream.write(b"x" * 1000)
        assert attempt.file.closed
        steps: list[str] = []
        with watched(lambda name, path: steps.append(f"{name} {path.rsplit('.', 1)[-1]}"), {"fsync"}):
            part = attempt.finish(1)
    assert steps == ["fsync attempt", f"fsync logitstream/jobs/{job_id('x')}/attempts/0"]
    assert (staging / part.path).stat().st_size == part.bytes > 0


def test_what_was_written_cannot_be_taken_back(staging: Path) -> None:
    with open_attempt(staging, 0, "csv") as attempt:
        assert not attempt.file.seekable()
        with pytest.raises(io.UnsupportedOperation):
            attempt.file.seek(0)
        with pytest.raises(io.UnsupportedOperation):
            attempt.file.truncate(0)


def test_many_attempts_at_one_chunk_from_many_threads_are_as_many_files(staging: Path) -> None:
    def write(number: int) -> str:
        with open_attempt(staging, 7, "csv") as attempt:
            attempt.file.write(b"%d" % number)
            return attempt.finish(1).path

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(write, range(40)))
    assert sorted(int((staging / path).read_bytes()) for path in paths) == list(range(40))


def test_a_name_that_is_taken_is_never_written_to(staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_attempt(staging, 7, "csv") as attempt:
        attempt.file.write(b"first")
        first = attempt.finish(1)
    taken = uuid.UUID(first.path.split("-")[1].partition(".")[0])
    monkeypatch.setattr(uuid, "uuid4", lambda: taken)
    with pytest.raises(OutputError, match="File exists"):
        open_attempt(staging, 7, "csv")
    assert (staging / first.path).read_bytes() == b"first"


def test_an_attempt_that_fails_is_closed_and_says_nothing(staging: Path) -> None:
    attempt = open_attempt(staging, 0, "csv")
    with pytest.raises(RuntimeError), attempt:
        raise RuntimeError
    with pytest.raises(ValueError, match="closed"):
        attempt.file.write(b"more")
    with pytest.raises(ValueError, match="closed"):
        attempt.finish(1)
    attempt.abandon()


@pytest.mark.parametrize(("chunk", "extension"), [(0, "../x"), (0, "a/b"), (0, ""), (0, "x" * 17), (-1, "csv")])
def test_names_that_are_none(staging: Path, chunk: int, extension: str) -> None:
    with pytest.raises(ValueError, match="do not make a name"):
        open_attempt(staging, chunk, extension)


def test_a_folder_swapped_for_a_link_is_not_followed(staging: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (staging / "attempts" / "0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        open_attempt(staging, 0, "csv")
    assert not names(tmp_path / "elsewhere")


@pytest.mark.parametrize("step", ["write", "fchmod", "fsync"])
def test_an_error_of_the_disk_ends_the_attempt(staging: Path, step: str) -> None:
    def fail(_: str, path: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def write() -> None:
        with open_attempt(staging, 0, "csv") as attempt, watched(fail, {step}):
            attempt.file.write(b"x")
            attempt.finish(1)

    with pytest.raises(StorageError, match=r"attempts/0/0-.*: Input/output error"):
        write()


def test_an_error_of_the_disk_passes_through_arrow(staging: Path) -> None:
    def fail(_: str, path: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.raises(StorageError, match=r"No space left on device .* free for this user"),
        watched(fail, {"write"}),
        open_attempt(staging, 0, "parquet") as attempt,
    ):
        pq.write_table(pa.table({"x": [1]}), attempt.file)


def test_free_bytes(tmp_path: Path) -> None:
    facts = os.statvfs(tmp_path)
    assert abs(free_bytes(tmp_path) - facts.f_bavail * facts.f_frsize) < 2**30
    with pytest.raises(StorageError):
        free_bytes(tmp_path / "none")
