"""A run takes the facts of unchanged Parquet files from what the last run recorded, and reads all others."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError, StorageError
from pipeline.scan import recorded
from pipeline.sources import content
from pipeline.types.report import Report
from tests.flow.conftest import Bench

DAYS = [f"day={day}.parquet" for day in range(6)]
MORE = {"if_exists": "replace", "chunk_size": "20", "keep": ["x"]}


def table(day: int) -> pa.Table:
    random = np.random.default_rng(day)
    return pa.table({"x": random.normal(size=50), "c": random.choice(["a", "b"], size=50)})


@contextmanager
def opens() -> Iterator[list[str]]:
    """Collect the names of the input files that are opened."""
    found: list[str] = []
    system_open = os.open

    def watched(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith(".parquet"):
            found.append(Path(path).name)
        return system_open(path, *arguments, **options)

    with patch.object(os, "open", watched):
        yield found


@pytest.fixture(autouse=True)
def _settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files as if they had been written minutes ago, to a file system that can be trusted.

    No test can set the time of an inode, and the temporary files of a machine may be in memory.
    """
    now, device = time.time_ns, tmp_path.stat().st_dev
    monkeypatch.setattr(content.time, "time_ns", lambda: now() + 120_000_000_000)
    monkeypatch.setattr(recorded, "devices_keeping_time", lambda: frozenset({device}))


@pytest.fixture
def published(bench: Bench) -> Bench:
    for day, name in enumerate(DAYS):
        bench.put(name, table(day))
    bench.score(**MORE)
    return bench


def _again(bench: Bench, **more: Any) -> tuple[Report, list[str]]:
    """Score after another file came, so that there is something to do; return which of the former ones were opened."""
    bench.put("day=9.parquet", table(len(list(bench.inputs.iterdir())) + 9))
    with opens() as found:
        report = bench.score(**MORE | more)
    return report, [name for name in sorted(set(found)) if name in DAYS]


def _manifest(bench: Bench) -> dict[str, Any]:
    manifest = json.loads((bench.out / "_manifest.json").read_bytes())
    return {name: manifest[name] for name in manifest if name != "observed"}


def test_an_unchanged_file_is_not_opened(published: Bench) -> None:
    report, opened = _again(published)
    assert opened == []
    assert (report.totals.reused, report.totals.read) == (6, 350)
    report, opened = _again(published)
    assert (report.totals.reused, opened) == (6, [])


def test_a_preview_opens_none_either_and_leaves_the_record(published: Bench) -> None:
    for _ in range(2):
        with opens() as found:
            summary = published.preview(**MORE)
        assert (found, summary.rows, summary.chunks) == ([], 300, 6)


def test_the_result_is_the_same_as_without_a_record(published: Bench) -> None:
    twin = Bench(published.folder / "twin")
    shutil.copytree(published.inputs, twin.inputs)
    shutil.copytree(published.out, twin.out)
    shutil.copytree(published.folder / ".out.logitstream", twin.folder / ".out.logitstream")
    (twin.folder / ".out.logitstream" / "remembered").unlink()
    for each in published.inputs.iterdir():
        os.utime(twin.inputs / each.name, ns=(0, each.stat().st_mtime_ns))
    _, opened = _again(published)
    shutil.copy2(published.inputs / "day=9.parquet", twin.inputs)
    with opens() as found:
        twin.score(**MORE)
    assert (opened, set(found) >= set(DAYS)) == ([], True)
    assert _manifest(published) == _manifest(twin)
    parts = [{path.name: path.read_bytes() for path in bench.out.glob("part-*")} for bench in (published, twin)]
    assert parts[0] == parts[1]


def _replaced(path: Path) -> None:
    before = path.stat()
    pq.write_table(table(100), path.parent / "new")
    os.utime(path.parent / "new", ns=(0, before.st_mtime_ns))
    (path.parent / "new").rename(path)


def _in_place(path: Path) -> None:
    """Write other rows over those of the file, which has the same size and time afterwards."""
    before = path.stat()
    other = path.with_name("other")
    for seed in range(100, 200):
        pq.write_table(table(seed), other)
        if other.stat().st_size == before.st_size:
            break
    assert other.stat().st_size == before.st_size
    path.write_bytes(other.read_bytes())
    other.unlink()
    os.utime(path, ns=(0, before.st_mtime_ns))


def _renamed(path: Path) -> None:
    twin = path.with_name("twin")
    pq.write_table(table(100), twin)
    os.utime(twin, ns=(0, path.stat().st_mtime_ns))
    path.unlink()
    twin.rename(path)


@pytest.mark.parametrize("change", [_replaced, _in_place, _renamed])
def test_a_changed_file_is_read(published: Bench, change: Callable[[Path], None]) -> None:
    change(published.inputs / DAYS[3])
    _, opened = _again(published)
    assert opened == [DAYS[3]]
    rows = pa.concat_tables(pq.read_table(path) for path in sorted(published.inputs.glob("*.parquet")))
    assert published.table()["x"].to_pylist() == rows["x"].to_pylist()


@pytest.mark.parametrize(
    "touch",
    [os.utime, lambda path: path.chmod(0o640), lambda path: os.link(path, path.with_name("_link"))],
)
def test_a_file_that_was_only_touched_is_read(published: Bench, touch: Callable[[Path], None]) -> None:
    touch(published.inputs / DAYS[3])
    assert DAYS[3] in _again(published)[1]


def test_a_file_that_was_cut_short_is_refused(published: Bench) -> None:
    path = published.inputs / DAYS[3]
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DataError, match=f"{DAYS[3]} is cut short"):
        published.score(**MORE)


def test_a_file_that_changed_within_the_last_minute_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for day, name in enumerate(DAYS):
        bench.put(name, table(day))
    written = max((bench.inputs / name).stat().st_ctime_ns for name in DAYS)
    monkeypatch.setattr(content.time, "time_ns", lambda: written + 60_000_000_000)
    bench.score(**MORE)
    _, opened = _again(bench)
    assert DAYS[5] in opened
    os.utime(bench.inputs / DAYS[2], ns=(0, time.time_ns() + 10**13))
    assert DAYS[2] in _again(bench)[1]
    assert DAYS[2] in _again(bench)[1]


def test_a_file_on_another_file_system_is_read(published: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(recorded, "devices_keeping_time", frozenset)
        # A record that was made before another file system was mounted is not used,
        with opens() as found:
            published.preview(**MORE)
        assert set(found) == set(DAYS)
        # and nothing is recorded.
        assert _again(published)[1] == DAYS
        assert not (published.folder / ".out.logitstream" / "remembered").exists()
    assert _again(published)[1] == DAYS
    assert _again(published)[1] == []


@pytest.mark.parametrize("more", [{"fingerprint": "full"}, {"reuse": False}])
def test_whoever_asks_for_it_has_every_file_read(published: Bench, more: dict[str, Any]) -> None:
    with opens() as found:
        published.preview(**MORE | more)
    assert set(found) == set(DAYS)
    _, opened = _again(published, **more)
    assert opened == DAYS
    with opens() as found:
        published.preview(**MORE)
    assert found == []


def test_a_record_of_another_release_or_arrow_is_not_used(published: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(recorded, "_MADE_BY", b"another")
        assert _again(published)[1] == DAYS
    assert _again(published)[1] == DAYS
    assert _again(published)[1] == []


def test_what_misled_a_run_that_failed_does_not_mislead_the_next(published: Bench) -> None:
    strict = published.model([{"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": "error"}])
    published.put("day=9.parquet", pa.table({"x": [None] * 50, "c": ["a"] * 50}).cast(table(0).schema))
    with pytest.raises(DataError):
        published.score(model=strict, **MORE)
    (published.inputs / "day=9.parquet").unlink()
    with opens() as found:
        published.score(model=strict, **MORE)
    assert set(found) == set(DAYS)


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowInvalid("no"), pa.ArrowMemoryError("no"), StorageError("no")])
def test_a_run_that_cannot_record_is_published_all_the_same(
    published: Bench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(pa.ipc, "new_stream", fail)
        report, _ = _again(published)
    assert (report.published, published.table().num_rows) == (True, 350)
    assert not (published.folder / ".out.logitstream" / "remembered").exists()
    assert _again(published)[1] == DAYS


def test_a_csv_leaves_no_record(bench: Bench) -> None:
    bench.put("rows.csv", "x,c\n1,a\n")
    bench.score(keep=["x"])
    assert not (bench.folder / ".out.logitstream" / "remembered").exists()
