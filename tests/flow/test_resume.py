"""A stopped run is resumed where it was; a run over mostly unchanged data computes only what is new."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pipeline
from pipeline import flow
from pipeline.canonical import canonical
from pipeline.disk import system
from pipeline.errors import InputChangedError, StorageError, TemporaryError, TransientError
from pipeline.interface import score_job
from pipeline.publish.record.journal import content_of, line_bytes
from pipeline.scan import task
from pipeline.types.report import Event, Noted, Progressed, Report
from tests.flow.conftest import Bench, tree

CHUNKS = 6
ROWS = 50


def fill(bench: Bench, kind: str, seed: int = 0) -> None:
    """Write an input of six chunks."""
    random = np.random.default_rng(seed)
    count = CHUNKS * ROWS
    table = pa.table({"x": random.normal(size=count), "c": random.choice(["a", "b", "z"], size=count)})
    if kind == "csv":
        pa.csv.write_csv(table, bench.inputs / "rows.csv")
    else:
        pq.write_table(table, bench.inputs / "rows.parquet", row_group_size=ROWS)


def options(kind: str) -> dict[str, Any]:
    return {"scheduler": "sync", "chunk_size": str(ROWS) if kind == "parquet" else "1kB", "keep": ["c"]}


class StopAfter:
    """Asks the run to stop once a number of chunks is done, and keeps the notes."""

    def __init__(self, chunks: int | None) -> None:
        self.chunks, self.stop, self.computed = chunks, flow.Stop(), 0
        self.notes: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Noted):
            self.notes.append(event.text)
        if isinstance(event, Progressed):
            totals = event.totals
            self.computed = totals.chunks - totals.resumed - totals.reused
            if self.chunks is not None and self.computed >= self.chunks:
                self.stop.request(TemporaryError("enough"))


def run(bench: Bench, kind: str, after: int | None = None, **more: Any) -> tuple[Report, StopAfter]:
    watch = StopAfter(after)
    job = score_job(bench.inputs, bench.model(), bench.out, **options(kind) | more)
    return flow.run(job, watch, watch.stop), watch


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "_manifest.json"}


@pytest.fixture(params=["parquet", "csv"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_parts_of_a_run_stopped_anywhere_are_those_of_an_undisturbed_one(bench: Bench, kind: str) -> None:
    fill(bench, kind)
    report, undisturbed = run(bench, kind)
    whole = parts(bench.out)
    assert undisturbed.computed == report.totals.chunks >= CHUNKS

    @settings(max_examples=8)
    @example(stops=[1, 2, 2])
    @given(stops=st.lists(st.integers(1, 3), min_size=1, max_size=2))
    def holds(stops: list[int]) -> None:
        shutil.rmtree(bench.out)
        done = 0
        for stop in stops:
            if done + stop >= report.totals.chunks:
                break
            with pytest.raises(TemporaryError, match="enough"):
                run(bench, kind, after=stop)
            assert not bench.out.exists()
            done += stop
        again, watch = run(bench, kind)
        assert (again.totals.resumed, watch.computed) == (done, report.totals.chunks - done)
        assert parts(bench.out) == whole
        assert again.totals.read == report.totals.read
        assert again.totals.events == report.totals.events

    holds()


def test_resuming_says_so_and_reads_only_what_is_missing(bench: Bench) -> None:
    fill(bench, "parquet")
    with pytest.raises(TemporaryError):
        run(bench, "parquet", after=4)
    report, watch = run(bench, "parquet")
    assert any("4 of 6 chunks done before" in note for note in watch.notes)
    assert any("6 chunks: 4 resumed, 2 computed" in note for note in report.notes)
    size = pq.ParquetFile(bench.inputs / "rows.parquet").metadata
    read = [sum(size.row_group(g).column(c).total_compressed_size for c in range(2)) for g in (4, 5)]
    assert report.totals.bytes_read == sum(read)


def test_no_resume_starts_over(bench: Bench) -> None:
    fill(bench, "parquet")
    with pytest.raises(TemporaryError):
        run(bench, "parquet", after=4)
    report, watch = run(bench, "parquet", resume=False)
    assert (report.totals.resumed, watch.computed) == (0, CHUNKS)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "link"])
def test_a_chunk_whose_file_is_not_intact_is_computed_again(bench: Bench, damage: str) -> None:
    fill(bench, "csv")
    report, _ = run(bench, "csv")
    whole = parts(bench.out)
    shutil.rmtree(bench.out)
    with pytest.raises(TemporaryError):
        run(bench, "csv", after=3)
    victim = min(bench.folder.rglob("1-*.parquet.attempt"))
    content = victim.read_bytes()
    victim.unlink()
    if damage == "flip":
        victim.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "cut":
        victim.write_bytes(content[:-1])
    elif damage == "link":
        (bench.folder / "elsewhere").write_bytes(content)
        victim.symlink_to(bench.folder / "elsewhere")
    again, watch = run(bench, "csv")
    assert (again.totals.resumed, watch.computed) == (2, report.totals.chunks - 2)
    assert parts(bench.out) == whole


@pytest.mark.parametrize("change", ["input", "model", "option"])
def test_what_has_changed_is_another_job_that_starts_clean_and_says_so(bench: Bench, change: str) -> None:
    fill(bench, "parquet")
    with pytest.raises(TemporaryError):
        run(bench, "parquet", after=4)
    more: dict[str, Any] = {}
    if change == "input":
        os.utime(bench.inputs / "rows.parquet", ns=(1, 1))
    elif change == "option":
        more = {"raw_prediction": True}
    watch = StopAfter(None)
    model = bench.model(intercept=0.25) if change == "model" else bench.model()
    report = flow.run(score_job(bench.inputs, model, bench.out, **options("parquet") | more), watch)
    assert (report.totals.resumed, watch.computed) == (0, CHUNKS)
    assert any("starting over" in note for note in watch.notes)


def test_a_run_that_a_newer_version_began_starts_over_and_says_so(bench: Bench) -> None:
    fill(bench, "parquet")
    with pytest.raises(TemporaryError):
        run(bench, "parquet", after=4)
    (journal,) = bench.folder.glob(".out.logitstream/jobs/*/journal")
    head, _, rest = journal.read_bytes().partition(b"\n")
    journal.write_bytes(line_bytes({**(content_of(head) or {}), "version": 2}) + rest)
    again, watch = run(bench, "parquet")
    assert (again.totals.resumed, watch.computed) == (0, CHUNKS)
    assert any("begun by a newer logitstream" in note for note in watch.notes)
    assert not any("have changed since" in note for note in watch.notes)


def days(bench: Bench, count: int) -> None:
    for day in range(count):
        random = np.random.default_rng(day)
        table = pa.table({"x": random.normal(size=ROWS), "c": random.choice(["a", "b"], size=ROWS)})
        pq.write_table(table, bench.inputs / f"day={day:03}.parquet")


def test_replacing_computes_the_changed_file_alone(bench: Bench) -> None:
    days(bench, 20)
    more = {"if_exists": "replace", "chunk_size": "20"}
    first, _ = run(bench, "parquet", **more)
    before = {path.name: path.stat().st_ino for path in bench.out.glob("*.parquet")}
    table = pa.table({"x": np.zeros(ROWS), "c": ["a"] * ROWS})
    pq.write_table(table, bench.inputs / "day=007.parquet")
    again, watch = run(bench, "parquet", **more)
    assert (again.totals.reused, watch.computed) == (first.totals.chunks - 1, 1)
    after = {path.name: path.stat().st_ino for path in bench.out.glob("*.parquet")}
    assert len(set(before.values()) & set(after.values())) == first.totals.chunks - 1
    assert any(f"{first.totals.chunks - 1} reused, 1 computed" in note for note in again.notes)
    reused = parts(bench.out)
    shutil.rmtree(bench.out)
    shutil.rmtree(bench.folder / ".out.logitstream")
    run(bench, "parquet", **more)
    assert parts(bench.out) == reused


def test_files_that_nothing_tells_apart_are_each_taken_over_once(bench: Bench) -> None:
    for folder in ("a", "b"):
        copy = bench.put(f"{folder}/rows.csv", "x,c\n1,a\n2,b\n")
        os.utime(copy, ns=(10**18, 10**18))
    inputs = [bench.inputs / "a", bench.inputs / "b"]
    more = {"chunk_size": "4B", "keep": ["x"]}
    first = bench.score(inputs, **more)
    bench.put("b/zzz.csv", "x,c\n3,a\n")
    again = bench.score(inputs, if_exists="replace", **more)
    assert again.totals.reused == first.totals.chunks
    assert bench.table()["x"].to_pylist() == ["1", "2", "1", "2", "3"]


def test_parts_of_a_csv_that_no_longer_join_are_not_published_together(bench: Bench) -> None:
    """A file is edited but its ends, size and time are as before: only the places of its records show the edit."""
    lines = [f"{number:07d},{'a' * 92}\n" for number in range(4_000)]
    path = bench.put("rows.csv", "x,c\n" + "".join(lines))
    os.utime(path, ns=(10**18, 10**18))
    more = {"if_exists": "replace", "chunk_size": "100kB", "max_unseen": "100%"}
    bench.score(**more)
    content = bytearray(path.read_bytes())
    joint = content.index(b"\n", 200_000)
    content[joint] = content[content.index(b",", joint)] = ord("a")
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18))
    victim = sorted(bench.out.glob("part-*"))[1]
    victim.write_bytes(victim.read_bytes()[:-1])
    before = parts(bench.out)
    with pytest.raises(InputChangedError, match="the file was edited, but its size and time are as before"):
        bench.score(**more)
    assert parts(bench.out) == before
    assert bench.score(resume=False, reuse=False, **more).totals.read == 3_999


def test_no_reuse_computes_everything(bench: Bench) -> None:
    days(bench, 5)
    run(bench, "parquet", if_exists="replace")
    pq.write_table(pa.table({"x": np.zeros(ROWS), "c": ["a"] * ROWS}), bench.inputs / "day=001.parquet")
    again, watch = run(bench, "parquet", if_exists="replace", reuse=False)
    assert (again.totals.reused, watch.computed) == (0, again.totals.chunks)


def test_no_reuse_makes_an_output_again_that_is_damaged(bench: Bench) -> None:
    fill(bench, "parquet")
    bench.score(**options("parquet"))
    before = {path.name: path.read_bytes() for path in bench.out.glob("*.parquet")}
    path = sorted(bench.out.glob("*.parquet"))[2]
    path.write_bytes(before[path.name][:-9] + b"#" + before[path.name][-8:])
    assert not bench.score(if_exists="replace", **options("parquet")).published
    assert "there is nothing to do" not in str(bench.preview(if_exists="replace", reuse=False, **options("parquet")))
    report = bench.score(if_exists="replace", reuse=False, **options("parquet"))
    assert (report.published, report.totals.reused) == (True, 0)
    assert {path.name: path.read_bytes() for path in bench.out.glob("*.parquet")} == before


def test_a_damaged_part_is_not_taken_over(bench: Bench) -> None:
    days(bench, 5)
    more = {"if_exists": "replace", "chunk_size": "20"}
    run(bench, "parquet", **more)
    whole = parts(bench.out)
    victim = sorted(bench.out.glob("*.parquet"))[2]
    content = victim.read_bytes()
    victim.write_bytes(content[:100] + bytes([content[100] ^ 4]) + content[101:])
    pq.write_table(pa.table({"x": np.zeros(ROWS), "c": ["a"] * ROWS}), bench.inputs / "day=009.parquet")
    again, watch = run(bench, "parquet", **more)
    assert (again.totals.reused, watch.computed) == (4, 2)
    assert (bench.out / victim.name).read_bytes() == whole[victim.name]


def test_a_deadline_ends_the_run_in_good_order(bench: Bench) -> None:
    fill(bench, "parquet")
    with pytest.raises(TemporaryError, match="deadline"):
        run(bench, "parquet", deadline=0.001)
    assert not bench.out.exists()
    report, _ = run(bench, "parquet")
    assert report.published


def test_raising_max_bad_goes_on_from_what_is_done(bench: Bench) -> None:
    lines = ["x,c\n", *(f"{'oops' if row == 250 else row},a\n" for row in range(300))]
    bench.put("rows.csv", "".join(lines))
    more = {"chunk_size": "200B"}
    with pytest.raises(pipeline.LogitstreamError, match="oops"):
        run(bench, "csv", **more)
    report, _ = run(bench, "csv", **more, max_bad=1)
    assert report.totals.resumed > 0
    assert (report.totals.read, report.totals.quarantined, report.totals.bad) == (300, 1, 1)


def test_bad_cells_of_a_journal_come_back_and_those_without_a_cause_are_computed_again(bench: Bench) -> None:
    lines = ["x,c\n", *(f"{'oops' if row % 100 == 50 else row},a\n" for row in range(300))]
    bench.put("rows.csv", "".join(lines))
    more: dict[str, Any] = {"chunk_size": "200B", "max_bad": 9}
    whole, _ = run(bench, "csv", **more)
    expected = {name: data for name, data in tree(bench.out).items() if name != "_manifest.json"}

    def again(change: Callable[[dict[str, Any]], object]) -> Report:
        shutil.rmtree(bench.out)
        with pytest.raises(TemporaryError, match="enough"):
            run(bench, "csv", after=whole.totals.chunks - 1, **more)
        (journal,) = bench.folder.glob(".out.logitstream/jobs/*/journal*")
        edit(journal, change)
        report, _ = run(bench, "csv", **more)
        assert tree(bench.out).items() >= expected.items()
        assert report.totals.bad == 3
        return report

    assert again(lambda cell: cell).totals.resumed == whole.totals.chunks - 1
    for change in (
        # What an earlier release wrote, and what a later one may write.
        lambda cell: [cell.pop(name) for name in ("cause", "values", "hint")] and cell.update(reason="is not a number"),
        lambda cell: cell.update(cause="another"),
        lambda cell: cell.update(cause="ragged"),
        lambda cell: cell.update(hint="another"),
    ):
        assert again(change).totals.resumed == whole.totals.chunks - 1 - 3


def edit(journal: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the bad cells of a journal, with right checksums."""
    written = []
    for line in journal.read_bytes().splitlines():
        content = json.loads(line.rpartition(b" ")[0])
        for _, cell in content.get("bad", ()):
            change(cell)
        text = canonical(content)
        written.append(text + b" " + hashlib.sha256(text).hexdigest()[:16].encode() + b"\n")
    journal.write_bytes(b"".join(written))


def test_what_the_disk_refuses_for_a_moment_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench, "parquet")
    whole, _ = run(bench, "parquet")
    expected = parts(bench.out)
    shutil.rmtree(bench.out)
    shutil.rmtree(bench.folder / ".out.logitstream")
    real, failures = os.fsync, [2]

    def fsync(descriptor: int) -> None:
        if failures[0] and Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".attempt":
            failures[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(system.os, "fsync", fsync)
    again, _ = run(bench, "parquet")
    assert failures == [0]
    assert parts(bench.out) == expected
    assert again.totals.read == whole.totals.read


def test_the_pauses_between_many_tries_stay_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(task.time, "sleep", pauses.append)

    lasts: list[bool] = []

    def attempt(last: bool) -> Any:
        lasts.append(last)
        raise TransientError("not now")

    with pytest.raises(TransientError):
        task._patiently(1000, attempt)
    assert pauses[:4] == [0.1, 0.4, 1.6, 6.4]
    assert set(pauses[5:]) == {30.0}
    assert lasts == [False] * 1000 + [True]


def test_what_the_disk_goes_on_to_refuse_ends_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench, "parquet")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(system.os, "fsync", fsync)
    with pytest.raises(StorageError, match="Input/output"):
        run(bench, "parquet", retries=1)
    assert not bench.out.exists()
