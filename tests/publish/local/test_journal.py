"""Any bytes as a journal: its good lines, up to the first bad one, or none."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.disk import Folder
from pipeline.errors import OutputError, StorageError
from pipeline.publish.local.journal import Journal, JournalFacts, facts_in, lines_in
from pipeline.publish.local.places import JournalPlaces
from tests.publish.runs import job_id
from tests.publish.steps import watched

JOB = job_id("x")
LINES = [
    {"chunk": 0, "part": {"rows": 5}},
    {"ended": "stopped", "exit_code": 75, "unix": 1.5},
    {"chunk": 2, "part": {}},
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder.open(tmp_path) as opened:
        yield opened


def write(folder: Folder, *lines: dict[str, object]) -> bytes:
    journal = Journal.create(folder, JOB)
    for line in lines:
        journal.append(line)
    journal.close()
    return (folder.path / "journal").read_bytes()


def replayed(folder: Folder, job: str = JOB) -> list[object] | None:
    journal = Journal.reopen(folder, job)
    if journal is None:
        return None
    try:
        return [line for line, _ in journal.replayed()]
    finally:
        journal.close()


def test_the_receipts_are_given_back_and_more_may_follow(folder: Folder) -> None:
    write(folder, *LINES)
    journal = Journal.reopen(folder, JOB)
    assert journal is not None
    assert [line for line, _ in journal.replayed()] == [LINES[0], LINES[2]]
    journal.append({"chunk": 7})
    # What this run appends was not done by an earlier one.
    assert [line for line, _ in journal.replayed()] == [LINES[0], LINES[2]]
    journal.close()
    assert replayed(folder) == [LINES[0], LINES[2], {"chunk": 7}]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 400))
def test_cut_anywhere_it_ends_with_the_last_whole_line(folder: Folder, cut: int) -> None:
    path = folder.path / "journal"
    path.unlink(missing_ok=True)
    content = write(folder, *LINES)
    cut = min(cut, len(content))
    whole = content[:cut].count(b"\n")
    path.write_bytes(content[:cut])
    assert replayed(folder) == ([line for line in LINES[: whole - 1] if "chunk" in line] if whole else None)
    if whole:
        assert path.read_bytes() == b"".join(content.splitlines(keepends=True)[:whole])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_with_any_byte_changed_nothing_behind_it_counts(folder: Folder, at: int, flip: int) -> None:
    path = folder.path / "journal"
    path.unlink(missing_ok=True)
    content = bytearray(write(folder, *LINES))
    at %= len(content)
    content[at] ^= flip
    path.write_bytes(content)
    before = bytes(content[:at]).count(b"\n")
    assert replayed(folder) == ([line for line in LINES[: before - 1] if "chunk" in line] if before else None)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_bytes_that_are_no_journal_count_as_none(folder: Folder, content: bytes) -> None:
    (folder.path / "journal").write_bytes(content)
    assert list(lines_in(folder)) == []
    assert replayed(folder) is None
    assert facts_in(folder, JOB) == JournalFacts()


@pytest.mark.parametrize("line", [b"[]", b"1", b"nonsense", b'{"a":NaN}', b"[" * 100_000, b'{"a":"\xff"}', b""])
def test_lines_with_a_good_checksum_that_are_no_object(folder: Folder, line: bytes) -> None:
    from hashlib import sha256

    content = write(folder, LINES[0])
    bad = line + b" " + sha256(line).hexdigest()[:16].encode() + b"\n"
    (folder.path / "journal").write_bytes(content + bad + content.splitlines(keepends=True)[1])
    assert replayed(folder) == [LINES[0]]
    assert (folder.path / "journal").read_bytes() == content


def test_a_journal_of_another_job_counts_as_none_and_is_not_touched(folder: Folder) -> None:
    content = write(folder, *LINES)
    assert replayed(folder, job_id("another")) is None
    assert facts_in(folder, job_id("another")) == JournalFacts()
    assert (folder.path / "journal").read_bytes() == content


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nothing"])
def test_what_is_no_file_counts_as_none(folder: Folder, tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    path = folder.path / "journal"
    if kind == "link":
        with Folder.open(tmp_path_factory.mktemp("other")) as other:
            write(other, *LINES)
            path.symlink_to(other.path / "journal")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    assert replayed(folder) is None


def test_a_line_that_never_ends_is_not_read_into_memory(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.publish.local.journal.LINE_LIMIT", 2**20)
    content = write(folder, *LINES)
    with (folder.path / "journal").open("ab") as file:
        file.truncate(2**30)
    read = []
    with watched(lambda name, _: read.append(name), {"read"}):
        assert [line for line, *_ in lines_in(folder)][1:] == LINES
    assert len(read) <= 3
    assert replayed(folder) == [LINES[0], LINES[2]]
    assert (folder.path / "journal").read_bytes() == content
    journal = Journal.reopen(folder, JOB)
    assert journal is not None
    with pytest.raises(OutputError, match="would be longer than 1 MiB"):
        journal.append({"chunk": 9, "text": "x" * 2**20})
    journal.close()


def test_after_a_line_that_could_not_be_written_whole_another_one_can(folder: Folder) -> None:
    journal = Journal.create(folder, JOB)
    journal.append(LINES[0])
    original = os.write

    def short(descriptor: int, data: memoryview) -> int:
        if len(data) > 20:
            return original(descriptor, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", short)
        with pytest.raises(StorageError):
            journal.append({"chunk": 1})
    journal.end("the disk is full", 74)
    journal.close()
    assert [line for line, *_ in lines_in(folder)][1] == LINES[0]
    assert facts_in(folder, JOB) == JournalFacts(1, "the disk is full", 74)


def test_why_the_last_run_ended_is_known_unless_it_went_on(folder: Folder) -> None:
    write(folder, LINES[0], LINES[1])
    assert facts_in(folder, JOB) == JournalFacts(1, "stopped", 75)
    journal = Journal.reopen(folder, JOB)
    assert journal is not None
    journal.append(LINES[0])
    journal.append(LINES[2])
    journal.close()
    assert facts_in(folder, JOB) == JournalFacts(2)


def test_a_line_is_found_again_by_its_place_whatever_its_length(folder: Folder) -> None:
    journal = Journal.create(folder, JOB)
    lines = [{"chunk": number, "text": "x" * length} for number, length in enumerate((1, 5_000, 2**20 + 7, 0))]
    places = [journal.append(line) for line in lines]
    assert [journal.line_at(place) for place in reversed(places)] == lines[::-1]
    journal.close()
    again = Journal.reopen(folder, JOB)
    assert again is not None
    assert list(again.replayed()) == list(zip(lines, places, strict=True))
    assert again.line_at(places[2]) == lines[2]
    again.close()


def test_a_line_that_was_changed_meanwhile_is_not_taken(folder: Folder) -> None:
    journal = Journal.create(folder, JOB)
    place = journal.append({"chunk": 1, "rows": 10})
    path = folder.path / "journal"
    path.write_bytes(path.read_bytes().replace(b'"rows":10', b'"rows":11'))
    with pytest.raises(StorageError, match="does not hold what was written"):
        journal.line_at(place)
    path.write_bytes(path.read_bytes()[: place + 5])
    with pytest.raises(StorageError, match="does not hold what was written"):
        journal.line_at(place)
    journal.close()


@given(st.dictionaries(st.integers(0, 3_000) | st.integers(0, 2**70), st.integers(0, 2**62)), st.integers(0, 3_000))
def test_a_place_for_each_chunk(wanted: dict[int, int], expected: int) -> None:
    places = JournalPlaces(expected)
    assert len(places) == 0
    for chunk, place in wanted.items():
        places.put(chunk, place + 1)
        places.put(chunk, place)
    assert len(places) == len(wanted)
    assert {chunk: places.get(chunk) for chunk in wanted} == wanted
    assert max(wanted, default=0) + 1 not in places


def test_places_that_are_expected_take_no_more_memory_when_they_are_put() -> None:
    places = JournalPlaces(100_000)
    tracemalloc.start()
    for chunk in range(100_000):
        places.put(chunk, 2**40 + chunk)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 8_192
