"""Decoded columns between passes: the same bits wherever they are held, within their bound, and nothing left behind."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import LogitstreamError
from pipeline.fitting.passes.holding import READ_AGAIN, Holding, held_in_memory
from pipeline.fitting.passes.packing import pack_sums
from pipeline.fitting.passes.resources import choose_holding
from pipeline.fitting.passes.scanning import open_holding, open_passes
from pipeline.fitting.passes.scratch import scratch_below
from pipeline.memory import current_bytes
from pipeline.scan import PreparedScan
from pipeline.types.work import Outcome
from pipeline.units import MIB
from tests.fitting.scans import ROWS, needs_of, numbers_design, numbers_table, prepared, write
from tests.fitting.test_scanning import COLUMNS, points

TOTAL = 30_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("numbers")
    table = numbers_table(TOTAL, COLUMNS)
    write(table, path / "parquet")
    write(table, path / "csv", "csv")
    return path


def scan_of(folder: Path, kind: str, **how: object) -> PreparedScan:
    size = "9000" if kind == "parquet" else "400KiB"
    return prepared(folder / kind, needs_of(COLUMNS), chunk_size=size, **how)


def passes_of(scan: PreparedScan, holding: Holding) -> tuple[set[bytes], list[int]]:
    """Return the sums of three passes, and the bytes that each has read of the inputs."""
    found, read = set(), []
    outcomes: list[Outcome[object]] = []
    with open_passes(
        scan, numbers_design(COLUMNS), ROWS, holding=holding, models=2, confirmed=outcomes.append
    ) as passes:
        for _ in range(3):
            found.add(pack_sums(passes.sums(points())))
            read.append(sum(outcome.bytes_read for outcome in outcomes))
            assert sum(outcome.rows for outcome in outcomes) == TOTAL
            outcomes.clear()
    return found, read


def test_a_chunk_that_was_held_from_a_wrong_guess_is_read_again(folder: Path) -> None:
    bits, _ = passes_of(scan_of(folder, "csv", scheduler="sync"), READ_AGAIN)
    scan, holding = scan_of(folder, "csv", scheduler="sync"), Holding("memory", "wrong guess", 1 << 30)
    with (
        held_in_memory(holding) as chunks,
        open_passes(scan, numbers_design(COLUMNS), ROWS, holding=holding, models=2) as passes,
    ):
        passes.sums(points())
        held = chunks.open(next(chunk for chunk in range(len(scan.plan)) if scan.plan.continues(chunk)))
        assert held is not None
        first, *others = held.accounts["accounts"]
        held.accounts = {"accounts": [{**first, "begin": first["begin"] - 1}, *others]}
        held.packed.append(held.packed[0])
        assert {pack_sums(passes.sums(points()))} == bits


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_sums_have_the_same_bits_whether_columns_are_held_in_memory_in_files_or_read_again(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    bits, (first, *again) = passes_of(scan_of(folder, kind, scheduler="sync"), READ_AGAIN)
    assert again == pytest.approx([first, first], rel=0.01)
    for scheduler, workers in (("sync", 1), ("threads", 3)):
        for bound in (1 << 30, 500_000):
            with ExitStack() as stack:
                memory = Holding("memory", f"{scheduler} {bound}", bound)
                chunks = stack.enter_context(held_in_memory(memory))
                files = Holding("scratch", "", bound, str(stack.enter_context(scratch_below(tmp_path))))
                for holding in (memory, files):
                    scan = scan_of(folder, kind, scheduler=scheduler, workers=workers)
                    found, read = passes_of(scan, holding)
                    assert found == bits
                    assert read[0] == pytest.approx(first, rel=0.01)
                    # What has no room is read again.
                    assert read[2] == 0 if bound > 1 << 20 else 0 < read[2] < 0.95 * first
                assert chunks.size <= bound
                assert sum(path.stat().st_size for path in Path(files.folder).glob("*.chunk")) <= bound
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_processes_share_files(folder: Path, tmp_path: Path) -> None:
    bits, _ = passes_of(scan_of(folder, "csv", scheduler="sync"), READ_AGAIN)
    scan = scan_of(folder, "csv", scheduler="processes", workers=2)
    with open_holding(scan, choose_holding(scan, str(tmp_path))) as holding:
        assert holding.where == "scratch"
        found, read = passes_of(scan, holding)
    assert found == bits
    # A chunk that began at a wrong guess in the first pass may be read once more in the second.
    assert read[1] < read[0]
    assert read[2] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "scratch", "passes", "where"),
    [
        ("csv", "auto", 4, "scratch"),
        ("csv", "none", 4, "read again"),
        ("parquet", "auto", 4, "read again"),
        ("parquet", "auto", 80, "scratch"),
        ("parquet", "named", 4, "scratch"),
    ],
)
def test_files_are_used_where_they_pay_or_are_asked_for(
    folder: Path, tmp_path: Path, kind: str, scratch: str, passes: int, where: str
) -> None:
    scan = scan_of(folder, kind, scheduler="threads", workers=1)
    named = str(tmp_path) if scratch == "named" else scratch
    with open_holding(scan, choose_holding(scan, named, passes=passes)) as holding:
        assert holding.where == "memory"
    tight = replace(scan, resources=replace(scan.resources, allowed_bytes=scan.resources.projected_bytes))
    choice = choose_holding(tight, named, output=str(tmp_path / "model.json"), passes=passes)
    with open_holding(tight, choice) as holding:
        assert holding.where == where
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_fit_left_is_removed_by_the_next_but_not_what_a_running_one_uses(tmp_path: Path) -> None:
    left = tmp_path / ".logitstream-scratch-0123456789ab"
    left.mkdir(mode=0o700)
    for name in ("lock", "7.chunk", ".0123456789ab"):
        (left / name).write_bytes(b"x")
    other = tmp_path / ".logitstream-scratch-cdef01234567"
    other.mkdir(mode=0o700)
    (other / "lock").write_bytes(b"")
    (other / "notes.txt").write_text("somebody else's")
    with scratch_below(tmp_path) as running:
        assert not left.exists()
        assert (other / "notes.txt").exists()
        with scratch_below(tmp_path) as second:
            assert running.exists()
            assert second != running
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_files_are_private_and_locked_and_removed_after_an_error(tmp_path: Path) -> None:
    def use(path: Path) -> None:
        assert path.stat().st_mode & 0o777 == 0o700
        descriptor = os.open(path / "lock", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        (path / "3.chunk").write_bytes(b"x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), scratch_below(tmp_path) as path:
        use(path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_named_and_cannot_be_used_is_an_error_but_the_default_is_not(
    folder: Path, tmp_path: Path
) -> None:
    scan = scan_of(folder, "csv", scheduler="threads", workers=1)
    tight = replace(scan, resources=replace(scan.resources, allowed_bytes=scan.resources.projected_bytes))
    named = str(tmp_path / "missing")
    with pytest.raises(LogitstreamError, match="missing"):
        choose_holding(tight, named)
    with open_holding(tight, choose_holding(tight, "auto", output=f"{named}/model.json")) as holding:
        assert holding.where == "read again"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_rows_are_divided_by_their_places_wherever_they_are_held(folder: Path, tmp_path: Path, kind: str) -> None:
    little = f"{max(current_bytes(), 160 * MIB) // MIB + 120}MiB"
    size = "9000" if kind == "parquet" else "400KiB"
    found = set()
    for means in ({}, {"scratch": "none", "memory": little}, {"scratch": str(tmp_path), "memory": little}):
        options = {"features": "*", "target": "y", "holdout": "20%", "path": 2, "l2": 1e-3, "chunk_size": size}
        report = pipeline.fit(str(folder / kind), **options, **means)
        assert report.rows["held_out"] == pytest.approx(TOTAL / 5, rel=0.05)
        found.add(report.model.to_json())
    assert len(found) == 1
    assert list(tmp_path.iterdir()) == []
