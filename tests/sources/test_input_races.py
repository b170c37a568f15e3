"""Names that are given to other files while a run works with them. See test_fault_rows.py."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.choices import Format
from pipeline.errors import InputChangedError, InputMissingError
from pipeline.sources import discover, source_for
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from tests.contracts.source import whole

ROWS = 5000


def put(path: Path, value: int) -> Path:
    """Write a file all rows of which have one value."""
    if path.suffix == ".csv":
        path.write_text("x\n" + f"{value}\n" * ROWS)
    else:
        pq.write_table(pa.table({"x": pa.array([value] * ROWS, pa.int64())}), path, compression="none")
    return path


def facts_of(file: InputFile) -> FileFacts:
    return source_for(file.format, CsvOptions()).facts(file)


def values(facts: FileFacts) -> set[object]:
    source = source_for(facts.file.format, CsvOptions())
    found: set[object] = set()
    rows = 0
    with source.read(facts.file, facts.identity, whole(facts), [Need("x", "kept", "int64")], 64) as reader:
        for batch in reader:
            rows += batch.num_rows
            found |= set(batch.column(0).to_pylist())
    assert rows == ROWS
    return found


@pytest.fixture(params=["csv", "parquet"])
def ending(request: pytest.FixtureRequest) -> Format:
    return request.param


def test_s09_a_link_is_resolved_once(tmp_path: Path, ending: Format) -> None:
    one, two = put(tmp_path / f"one.{ending}", 1), put(tmp_path / f"two.{ending}", 2)
    link = tmp_path / f"link.{ending}"
    link.symlink_to(one)
    (file,) = discover([str(link)]).files
    assert (file.path, file.location) == (link.name, str(one))
    facts = facts_of(file)
    link.unlink()
    link.symlink_to(two)
    assert values(facts) == {1}


def replaced(path: Path) -> None:
    put(path.with_name(f"new{path.suffix}"), 2).replace(path)


def linked(path: Path) -> None:
    other = put(path.with_name(f"other{path.suffix}"), 2)
    path.unlink()
    path.symlink_to(other)


def linked_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


def linked_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def made_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def with_another_parent(path: Path) -> None:
    path.parent.rename(path.parent.with_name("aside"))
    path.parent.mkdir()
    put(path, 2)


@pytest.mark.parametrize(
    "swap", [replaced, linked, linked_to_nothing, linked_to_itself, made_a_fifo, made_a_folder, with_another_parent]
)
def test_s09_a_file_swapped_between_plan_and_read(tmp_path: Path, ending: Format, swap: Callable[[Path], None]) -> None:
    (tmp_path / "in").mkdir()
    path = put(tmp_path / "in" / f"f.{ending}", 1)
    (file,) = discover([str(path)]).files
    facts = facts_of(file)
    swap(path)
    with pytest.raises(InputChangedError, match=rf"^f\.{ending} has changed since "):
        values(facts)


def test_s09_rows_come_from_the_file_that_was_compared(tmp_path: Path, ending: Format) -> None:
    path = put(tmp_path / f"f.{ending}", 1)
    states = {path.stat().st_mtime_ns: 1}
    stock = []
    for number in range(60):
        stock.append(put(tmp_path / f"{number}.{ending}", number % 2))
        os.utime(stock[-1], ns=(number, number))
        states[number] = number % 2
    stop = threading.Event()

    def swap() -> None:
        for other in stock:
            if stop.wait(0.002):
                return
            other.replace(path)

    swapper = threading.Thread(target=swap)
    swapper.start()
    right = changed = 0
    try:
        while swapper.is_alive() or not right:
            facts = facts_of(InputFile(path.name, str(path), 0, ending))
            try:
                assert values(facts) == {states[facts.identity.mtime_ns]}
                right += 1
            except InputChangedError:
                changed += 1
    finally:
        stop.set()
        swapper.join()
    assert right
    assert right + changed > 2


def test_s09_a_name_that_is_gone_between_finding_and_facts(tmp_path: Path, ending: Format) -> None:
    path = put(tmp_path / f"f.{ending}", 1)
    (file,) = discover([str(path)]).files
    path.unlink()
    with pytest.raises(InputMissingError, match=rf"^no such input: f\.{ending}\n"):
        facts_of(file)
