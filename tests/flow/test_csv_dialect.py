"""The dialect of CSV inputs through whole runs: scores, report, manifest, identity, quarantine."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import pipeline
from pipeline.errors import BadCellsError, DataError
from pipeline.report.text import outcome_lines
from pipeline.types.inputs import CsvOptions
from tests.flow.conftest import Bench, sigmoid

WILD = 'made by "hand"\n# in 2024\nx,c,k\n1,a,"5\\""\n2,b,C:\\new\n3,"a","7\\"\nor so"\n'
OPTIONS = {"escape": "\\", "skip_lines": 1, "comment": "#"}
KEPT = ['5"', "C:\\new", '7"\nor so']
EXPECTED = sigmoid(0.5 + np.array([1.0, 2.0, 3.0]) + np.array([1.0, -1.0, 1.0]))
EFFECTIVE = {"delimiter": ",", "quote": '"', "escape": "\\", "skip_lines": 1, "comment": "#"}


@pytest.fixture
def wild(bench: Bench) -> Bench:
    bench.put("f.csv", WILD)
    return bench


def manifest(bench: Bench) -> dict[str, object]:
    content: dict[str, object] = json.loads((bench.out / "_manifest.json").read_text())
    return content


@pytest.mark.parametrize(("chunk_size", "scheduler"), [("1B", "threads"), ("1MiB", "processes")])
def test_a_run_has_the_dialect_in_every_worker(wild: Bench, chunk_size: str, scheduler: str) -> None:
    report = wild.score(keep=["k"], chunk_size=chunk_size, scheduler=scheduler, workers=2, **OPTIONS)
    table = wild.table()
    assert table["k"].to_pylist() == KEPT
    assert table["probability"].to_numpy() == pytest.approx(EXPECTED, rel=1e-12)
    assert report.totals.events == {"line ends inside quotes": 1}


def test_the_manifest_and_the_plan_list_the_effective_dialect(wild: Bench) -> None:
    report = wild.score(**OPTIONS)
    stated = manifest(wild)["options"]["csv"]  # type: ignore[index]
    assert {name: stated[name] for name in EFFECTIVE} == EFFECTIVE
    assert {name: report.plan.csv[name] for name in EFFECTIVE} == EFFECTIVE
    assert {name: wild.preview(if_exists="replace", **OPTIONS).csv[name] for name in EFFECTIVE} == EFFECTIVE
    for quote in ("none", ""):
        assert wild.preview(if_exists="replace", quote=quote, skip_lines=2).csv["quote"] == ""


@pytest.mark.parametrize("changed", [{"escape": "!"}, {"skip_lines": 2}, {"comment": None}, {"quote": "none"}])
def test_another_dialect_is_another_job(bench: Bench, changed: dict[str, object]) -> None:
    bench.put("f.csv", "x,c\nx,c\nx,c\n1,a\n")
    first = bench.preview(**OPTIONS).job_id
    assert bench.preview(**OPTIONS | changed).job_id != first
    assert bench.preview(**OPTIONS).job_id == first
    assert bench.preview(quote="none").job_id == bench.preview(quote="").job_id


def test_verify_sample_reads_as_the_manifest_says(wild: Bench) -> None:
    wild.score(keep=["k"], **OPTIONS)
    found = pipeline.verify(wild.out, inputs=True, sample=10)
    assert (found.differences, found.chunks_scored) == ((), 1)


def test_transform_inspect_and_datasets_take_it_too(wild: Bench) -> None:
    pipeline.transform(wild.inputs, "p=sigmoid(x)", wild.out, keep="k", scheduler="sync", **OPTIONS)  # type: ignore[arg-type]
    assert wild.table()["k"].to_pylist() == KEPT
    found = pipeline.inspect(wild.inputs, full=True, **OPTIONS)  # type: ignore[arg-type]
    assert [column.name for column in found.columns] == ["x", "c", "k"]  # type: ignore[union-attr]
    assert found.rows == 3
    dataset = pipeline.open_dataset(wild.inputs, csv=CsvOptions.given(**OPTIONS))  # type: ignore[arg-type]
    assert dataset.to_dask_array(["x"]).compute(scheduler="sync").tolist() == [[1.0], [2.0], [3.0]]


def test_line_ends_inside_quotes_are_stated_in_the_report_whenever_there_are_any(bench: Bench) -> None:
    bench.put("f.csv", 'x,c,k\n1,a,"swallowed\n2,b,records"\n3,a,"\r\n\n"\n')
    report = bench.score()
    assert any("line ends inside quotes: 3" in line for line in outcome_lines(report))
    totals = manifest(bench)["totals"]
    assert totals["events"] == {"line ends inside quotes": 3}  # type: ignore[index]
    for limit, count in ((1, 1), (2, 3)):
        report = bench.score(limit=limit, output=bench.folder / f"out{limit}")
        assert report.totals.events == {"line ends inside quotes": count}


def test_line_ends_inside_quotes_are_counted_up_to_the_limit_in_every_piece(bench: Bench) -> None:
    bench.put("f.csv", "x,c,k\n" + '1,a,"two\nlines"\n' * 300_000)
    # A piece is 4 MiB: the first limit is in the first one, the other in the second.
    for limit in (100, 280_000):
        report = bench.score(limit=limit, output=bench.folder / f"out{limit}")
        assert report.totals.events == {"line ends inside quotes": limit}


def test_text_behind_a_closing_quote_and_comments_among_records_go_to_the_quarantine(bench: Bench) -> None:
    lines = ['1,"a"', '2,"a"b', "# three", '4,"b"', '"5\\"",a']
    bench.put("f.csv", "\n".join(["x,c", *lines]))
    message = bench.refused(BadCellsError, known=False, escape="\\", comment="#")
    assert message.startswith("f.csv: record 2 (byte 10): '2,\"a\"b' has text behind a closing quote, in field 2")
    report = bench.score(escape="\\", comment="#", max_bad=3)
    assert (report.totals.read, report.totals.written, report.totals.quarantined) == (5, 2, 3)
    found = pipeline.inspect(bench.out / "_quarantine")
    reasons = {reason.reason: [example.line for example in reason.examples] for reason in found.reasons}  # type: ignore[union-attr]
    assert reasons == {
        "has text behind a closing quote, in field 2": [lines[1]],
        "is a comment among records: it begins with #": [lines[2]],
        "is not a number": [lines[4]],
    }


def test_a_file_too_short_is_refused_by_name_beside_a_good_one(bench: Bench) -> None:
    bench.put("a.csv", "one\ntwo\nx,c\n1,a\n")
    bench.put("b.csv", "one\n")
    message = bench.refused(DataError, skip_lines=2)
    assert "b.csv has only 1 line, and --skip-lines 2 skips more" in message


def test_parquet_inputs_and_csv_outputs_do_not_care(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": [1.0], "c": ["a"], "k": ['\\"#']}))
    bench.score(keep=["k"], format="csv", **OPTIONS)
    (part,) = bench.out.glob("part-*.csv")
    assert part.read_text().splitlines()[1].startswith('"\\""#",')
