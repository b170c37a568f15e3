"""A plan and a report as people and programs read them."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.report.json import error_json, plan_json, report_json
from pipeline.report.text import account, aligned, file_rows, outcome_lines, plan_lines
from pipeline.types.features import FeatureWarning
from pipeline.types.report import FileSummary, PlanSummary, Report, Resources, Totals, event_facts
from pipeline.units import MIB

PLAN = PlanSummary(
    job_id="0123456789abcdef" * 4,
    output="scores",
    files=(
        FileSummary("flights/a.parquet", "parquet", 3 * MIB, 15_000, estimated=False, row_groups=3),
        FileSummary("flights/b.csv", "csv", 2 * MIB, 5_000, estimated=True, row_groups=0),
    ),
    rows=20_000,
    rows_estimated=True,
    bytes_to_read=5 * MIB,
    chunks=2,
    chunk_rows=1_048_576,
    row_group_rows=131_072,
    fields=(("id", "int64", False), ("probability", "double", True)),
    resources=Resources(2, 65_536, 128, 512 * MIB, 100 * MIB, 300 * MIB, ("batch lowered from 131,072 rows",)),
    scheduler="threads",
    notes=("no input columns are kept",),
)
TOTALS = Totals(
    chunks=2, read=20_000, written=20_000, scored=19_500, null=499, nan=1, bytes_read=5 * MIB, bytes_written=MIB,
    peak_bytes=200 * MIB, events={"missing dep_delay": 499, "infinite distance": 1, "unseen carrier": 0},
)  # fmt: skip
REPORT = Report(
    PLAN,
    TOTALS,
    2.0,
    250 * MIB,
    published=True,
    manifest_digest="ab" * 32,
    notes=("a note",),
    started_unix=1_357_017_300.25,
)


def test_the_account_is_one_line_in_which_the_rows_balance():
    assert account(REPORT) == (
        "read 20,000 rows: 19,500 scored, 499 null, 1 NaN; 2.00 s (10,000 rows/s); peak memory 250 MiB; output scores"
    )


def test_a_run_without_a_measurable_time_has_no_rate():
    assert "0.00 s; peak" in account(replace(REPORT, seconds=0.0))


def test_if_nothing_was_done_the_account_is_of_the_published_output():
    assert account(replace(REPORT, published=False, seconds=0.02)) == (
        "scores holds 20,000 rows: 19,500 scored, 499 null, 1 NaN; 0.02 s"
    )


def test_a_cluster_has_its_own_workers_and_the_memory_of_its_largest_process():
    plan = replace(PLAN, scheduler="tcp://127.0.0.1:8786")
    assert {"scheduler   tcp://127.0.0.1:8786, as asked", "workers     those of the cluster"} <= {*plan_lines(plan)}
    found = replace(plan, chosen_by="environment")
    assert "scheduler   tcp://127.0.0.1:8786, from DASK_SCHEDULER_ADDRESS" in plan_lines(found)
    assert "; peak memory 250 MiB (largest process); " in account(replace(REPORT, plan=plan))


def test_it_is_said_where_cores_are_left_over_for_the_columns():
    alone = replace(PLAN, resources=replace(PLAN.resources, workers=1, column_threads=True))
    assert "workers     1, on threads; columns are decoded on more threads" in plan_lines(alone)
    assert plan_json(alone)["resources"]["column_threads"] is True
    assert plan_json(PLAN)["resources"]["column_threads"] is False


@pytest.mark.parametrize(
    ("workers", "processes", "shown", "in_json"),
    [
        (3, (2, 2), "3 in 2 processes", {"least": 2, "most": 2}),
        (2, (1, 1), "2 in 1 process", {"least": 1, "most": 1}),
        (4, (0, 4), "up to 4 in 0 to 4 processes", {"least": 0, "most": 4}),
    ],
)
def test_plan_and_report_say_how_large_a_cluster_on_this_machine_is(workers, processes, shown, in_json):
    resources = replace(PLAN.resources, workers=workers, processes=processes)
    plan = replace(PLAN, scheduler="local", resources=resources)
    assert f"workers     {shown}" in plan_lines(plan)
    assert f"scheduler: local, as asked; workers: {shown}" in outcome_lines(replace(REPORT, plan=plan))
    assert plan_json(plan)["resources"]["processes"] == in_json
    assert plan_json(PLAN)["resources"]["processes"] is None


@pytest.mark.parametrize(
    ("chunk_rows", "chunks", "shown"), [(500, 40, "500"), (500, 8, "2,500"), (500, 0, "20,000"), (10**6, 1, "20,000")]
)
def test_a_batch_is_no_larger_than_a_chunk(chunk_rows, chunks, shown):
    plan = replace(PLAN, chunk_rows=chunk_rows, chunks=chunks)
    assert f"batch       {shown} rows at a time inside a chunk" in plan_lines(plan)


def test_counts_notes_and_times_come_before_the_account():
    assert outcome_lines(REPORT) == [
        "infinite values: distance 1; missing values: dep_delay 499",
        "note: a note",
        "scheduler: threads, as asked",
        "started 2013-01-01T05:15:00Z, finished 2013-01-01T05:15:02Z",
        account(REPORT),
    ]


def test_what_was_counted_is_told_in_words():
    events = {"missing age": 136, "missing fare": 2, "unseen region": 1271, "odd quoting": 3, "infinite x": 0}
    line, *_ = outcome_lines(replace(REPORT, totals=replace(REPORT.totals, events=events)))
    assert line == (
        "missing values: age 136, fare 2; odd quoting: 3; levels that the model does not know: region 1,271"
    )


def test_one_row_is_not_many():
    assert account(replace(REPORT, totals=replace(REPORT.totals, read=1))).startswith("read 1 row: ")


def test_the_plan_is_aligned_and_marks_estimates():
    assert plan_lines(PLAN) == [
        "inputs      2 files, ~20,000 rows, 5 MiB to read",
        "output      scores",
        "chunks      2, chunk size 1,048,576 rows",
        "scheduler   threads, as asked",
        "workers     2, on threads",
        "batch       20,000 rows at a time inside a chunk",
        "memory      300 MiB of the 512 MiB allowed",
        "row groups  of 131,072 rows in the output",
        "job         0123456789ab",
        "column      id: int64, never null",
        "            probability: double",
        "note        batch lowered from 131,072 rows",
        "            no input columns are kept",
    ]


def test_the_inputs_are_listed_with_rows_and_sizes():
    assert file_rows(PLAN.files) == [
        ("flights/a.parquet", "parquet", "15,000", "3", "3 MiB"),
        ("flights/b.csv", "csv", "~5,000", "", "2 MiB"),
    ]


def test_nothing_foreign_reaches_the_terminal():
    hostile = "a\x1b[2J\nb"
    plan = replace(
        PLAN,
        output=hostile,
        files=(replace(PLAN.files[0], path=hostile),),
        fields=((hostile, "int64", True),),
        notes=(hostile,),
    )
    report = replace(REPORT, plan=plan, totals=replace(TOTALS, events={hostile: 1}))
    shown = [*plan_lines(plan), *outcome_lines(report), *(cell for row in file_rows(plan.files) for cell in row)]
    assert all(line.isprintable() for line in shown)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "note", "columns"]), st.text(max_size=5))))
def test_labels_are_aligned_and_not_repeated(pairs):
    lines = aligned(pairs)
    assert len(lines) == len(pairs)
    width = max((len(label) for label, _ in pairs), default=0)
    above = ""
    for line, (label, text) in zip(lines, pairs, strict=True):
        assert line[width:] == f"  {text}"
        assert line[:width].strip() == ("" if label == above else label)
        above = label


def test_a_plan_in_json_has_the_documented_keys():
    value = json.loads(json.dumps(plan_json(PLAN, with_files=True), allow_nan=False))
    assert value["schema_version"] == 2
    assert value["kind"] == "plan"
    assert value["files"][1] == {
        "path": "flights/b.csv", "format": "csv", "bytes": 2 * MIB, "rows": 5_000, "rows_estimated": True,
        "row_groups": 0, "absent": [],
    }  # fmt: skip
    assert value["fields"][1] == {"name": "probability", "type": "double", "nullable": True}
    assert value["resources"]["projected_bytes"] == 300 * MIB
    assert value["notes"] == ["batch lowered from 131,072 rows", "no input columns are kept"]
    assert set(value) == {"schema_version", "kind", "inputs"} | {f.name for f in fields(PlanSummary)}


def test_the_inputs_are_listed_in_json_only_when_asked():
    for shown in (plan_json(PLAN), report_json(REPORT)["plan"]):
        assert shown["inputs"] == 2
        assert "files" not in shown
    assert len(report_json(REPORT, with_files=True)["plan"]["files"]) == 2


def test_a_report_in_json_has_the_documented_keys():
    value = json.loads(json.dumps(report_json(REPORT), allow_nan=False))
    assert set(value) == {
        "schema_version", "kind", "published", "output", "job_id", "manifest_digest", "rows", "events", "chunks",
        "chunks_resumed", "chunks_reused", "skipped", "bytes_read", "bytes_written", "peak_bytes",
        "started", "finished", "seconds", "notes", "warnings", "plan",
    }  # fmt: skip
    assert value["kind"] == "report"
    assert value["published"] is True
    assert value["rows"] == {
        "read": 20_000, "written": 20_000, "scored": 19_500, "null": 499, "nan": 1, "quarantined": 0, "bad": 0,
    }  # fmt: skip
    assert value["events"]["missing dep_delay"] == 499
    assert value["seconds"] == 2.0
    assert (value["started"], value["finished"]) == ("2013-01-01T05:15:00.250Z", "2013-01-01T05:15:02.250Z")
    assert value["plan"] == plan_json(PLAN)


def test_an_error_in_json_has_its_place():
    error = DataError("it is wrong", "correct it").at("a.csv", column="x", row=3).at("b.csv", byte=17)
    value = json.loads(json.dumps(error_json(error, "DataError", 65, started_unix=0.0, finished_unix=1.5)))
    assert (value["schema_version"], value["kind"]) == (2, "error")
    assert (value["started"], value["finished"]) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:01.500Z")
    assert value["error"] == {
        "exit_code": 65, "kind": "DataError", "message": "it is wrong", "remedy": "correct it",
        "file": "a.csv", "column": "x", "row": 3, "byte": 17,
    }  # fmt: skip


def test_the_place_of_an_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(DataError("it is wrong").at("a.csv", row=3)))
    assert (error.message, error.file, error.column, error.row) == ("it is wrong", "a.csv", None, 3)


WARNING = FeatureWarning("unseen", "carrier", 9, 90, "9 of 90", "a.csv", (("aa", 9),), ("AA",), 16, "case or blanks")


def test_a_warning_in_json_is_read_back():
    value = json.loads(json.dumps(WARNING.to_json()))
    assert FeatureWarning.from_json(value) == WARNING
    for shown in (report_json(replace(REPORT, warnings=(WARNING,))), plan_json(replace(PLAN, warnings=(WARNING,)))):
        assert shown["warnings"] == [value]
    assert "warning" in repr(replace(REPORT, warnings=(WARNING,)))


ERROR = error_json(DataError("it is wrong"), "DataError", 65, started_unix=0.0, finished_unix=1.0)


@pytest.mark.parametrize(
    "value",
    [plan_json(PLAN, with_files=True), report_json(REPORT), ERROR, ERROR["error"], WARNING.to_json()],
)
def test_every_key_is_in_the_documentation(value):
    import pipeline.report.json as documented

    for key in value:
        assert f"``{key}" in documented.__doc__, key


def test_what_is_counted_for_a_column_is_told_with_its_words_whatever_the_column_is_called():
    events = {"read as level c": 399, "read as level as level x": 1, "missing as level": 2, "odd quoting": 3}
    assert event_facts(events) == [
        ("missing values", "as level 2"),
        ("odd quoting", "3"),
        ("read as level", "as level x 1, c 399"),
    ]
    counted = replace(REPORT, totals=replace(TOTALS, events={"read as level c": 399}))
    assert outcome_lines(counted)[0] == "read as level: c 399"
