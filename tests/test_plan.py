"""The planner: every row is in exactly one chunk, for any files, and only the files decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.plan import Plan, identity_of, job_id, make_plan, part_digest
from pipeline.types.inputs import FileFacts, Identity, InputFile


def parquet(path: str, group_rows: list[int], size: int = 1000) -> FileFacts:
    rows = sum(group_rows)
    file = InputFile(path, f"/data/{path}", 0, "parquet")
    groups = np.array(group_rows, dtype=np.int64)
    return FileFacts(file, Identity(size, 7, "ab"), (), rows, max(1.0, size / max(rows, 1)), groups)


def csv(path: str, size: int, row_bytes: float, start: int = 10, *, cuttable: bool = True) -> FileFacts:
    file = InputFile(path, f"/data/{path}", 0, "csv")
    none = np.empty(0, dtype=np.int64)
    return FileFacts(file, Identity(size, 7, "cd"), (), None, row_bytes, none, min(start, size), cuttable)


groups = st.lists(st.integers(0, 400), max_size=6)
parquet_files = st.builds(parquet, st.text("abcdef", min_size=1, max_size=6), groups)
csv_files = st.builds(
    csv, st.text("uvwxyz", min_size=1, max_size=6), st.integers(0, 9000), st.floats(1, 90), cuttable=st.booleans()
)
file_lists = st.lists(parquet_files | csv_files, min_size=1, max_size=30, unique_by=lambda f: f.file.path)
chunk_sizes = st.integers(1, 1500).map(str) | st.integers(1, 5000).map(lambda n: f"{n}B")


def covered(plan: Plan, files: list[FileFacts]) -> list[tuple[int, int, int]]:
    """Return the ranges of all slices in plan order, neighbours joined: a check that does not depend on chunks."""
    joined: list[tuple[int, int, int]] = []
    for chunk in plan.chunks():
        for s in chunk.slices:
            if joined and joined[-1][0] == s.file and joined[-1][2] == s.start:
                joined[-1] = (s.file, joined[-1][1], s.stop)
            else:
                joined.append((s.file, s.start, s.stop))
    return joined


@given(file_lists, chunk_sizes)
def test_every_row_is_in_exactly_one_chunk(files: list[FileFacts], chunk_size: str) -> None:
    plan = make_plan(files, chunk_size=chunk_size)
    whole = [
        (i, 0, len(f.group_rows)) if f.file.format == "parquet" else (i, f.data_start, f.identity.size)
        for i, f in enumerate(files)
    ]
    empty = [w for w in whole if w[1] == w[2]]
    assert [c for c in covered(plan, files) if c not in empty] == [w for w in whole if w not in empty]
    assert [c.index for c in plan.chunks()] == list(range(len(plan)))
    for chunk in plan.chunks():
        for s in chunk.slices:
            if s.rows is not None:
                assert s.rows == files[s.file].group_rows[s.start : s.stop].sum()


@given(file_lists, st.integers(1, 1500))
def test_a_large_file_shares_no_chunk_and_small_ones_fill_at_most_four(files: list[FileFacts], rows: int) -> None:
    plan = make_plan(files, chunk_size=str(rows))
    for chunk in plan.chunks():
        held = [files[s.file].estimated_rows for s in chunk.slices]
        if len(chunk.slices) > 1:
            assert max(held) <= rows
            assert sum(held) <= 4 * rows
        elif (s := chunk.slices[0]).rows is not None and (files[s.file].group_rows[s.start : s.stop] > 0).sum() > 1:
            assert s.rows <= rows


@given(file_lists, st.integers(1, 1500), st.data())
def test_one_small_file_more_changes_one_chunk(files: list[FileFacts], rows: int, data: st.DataObject) -> None:
    added = parquet("new", [data.draw(st.integers(0, rows))])
    place = data.draw(st.integers(0, len(files)))
    more = [*files[:place], added, *files[place:]]

    def digests(all_files: list[FileFacts]) -> list[str]:
        inputs = [identity_of(f.file, f.identity) for f in all_files]
        plan = make_plan(all_files, chunk_size=str(rows))
        return [part_digest(chunk, inputs, "meaning") for chunk in plan.chunks()]

    before, after = digests(files), digests(more)
    largest = max((f.estimated_rows for f in files if f.estimated_rows <= rows), default=0)
    if sum(f.estimated_rows for f in more if f.estimated_rows <= rows) <= 4 * rows or not largest:
        # Below the limit of a gathered chunk nothing but the file's own neighbourhood can move.
        assert len(set(after) - set(before)) <= 2


@given(file_lists, chunk_sizes, st.integers(1, 5000))
def test_a_limit_reads_the_first_rows_and_no_chunk_behind_them(
    files: list[FileFacts], chunk_size: str, limit: int
) -> None:
    full, limited = make_plan(files, chunk_size=chunk_size), make_plan(files, chunk_size=chunk_size, limit=limit)
    assert len(limited) <= max(len(full), 1)
    known = [s.rows for c in limited.chunks() for s in c.slices]
    if None not in known and len(limited):
        total = sum(f.rows or 0 for f in files)
        before_last = sum(s.rows or 0 for c in list(limited.chunks())[:-1] for s in c.slices)
        last = limited.chunk(len(limited) - 1)
        assert before_last < limit or before_last == 0
        assert before_last + min(last.limit or total, sum(s.rows or 0 for s in last.slices)) == min(limit, total)


def test_a_file_of_a_sixteenth_of_a_chunk_ends_it() -> None:
    days = [parquet(f"day {number}", [100]) for number in range(30)]
    assert len(make_plan(days, chunk_size="1600")) == 30
    assert len(make_plan(days, chunk_size="16000")) < 10


def test_identity_ignores_where_the_files_lie() -> None:
    here, there = parquet("a", [5]), parquet("a", [5])
    there = FileFacts(InputFile("a", "/elsewhere/a", 3, "parquet"), here.identity, (), 5, 1.0, here.group_rows)
    ids = [job_id([identity_of(f.file, f.identity)], make_plan([f]), {"m": 1}) for f in (here, there)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("text", ["", "0", "-5", "abc", "10 parsecs", "1e6"])
def test_a_chunk_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"chunk size|not a size"):
        make_plan([parquet("a", [5])], chunk_size=text)


def test_bytes_become_rows_by_the_mean_row() -> None:
    plan = make_plan([parquet("a", [10] * 100, size=10_000)], chunk_size="1000B")
    assert plan.chunk_rows == 100
    assert len(plan) == 10


def test_an_uncompressed_csv_is_cut_at_multiples_of_the_chunk_size() -> None:
    plan = make_plan([csv("a", 1000, 10.0)], chunk_size="256B")
    assert [(s.start, s.stop) for c in plan.chunks() for s in c.slices] == [
        (10, 256),
        (256, 512),
        (512, 768),
        (768, 1000),
    ]
    assert [plan.continues(i) for i in range(4)] == [False, True, True, True]


@pytest.mark.slow
def test_a_million_chunks_are_planned_as_arrays() -> None:
    plan = make_plan([parquet("a", [10] * 1_000_000)], chunk_size="10")
    assert len(plan) == 1_000_000
    assert plan.chunk(999_999).slices[0].start == 999_999
