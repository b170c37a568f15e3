"""Rows that cannot be used are quarantined: counted, listed with their places, published in the same step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import dask.dataframe
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipeline import memory
from pipeline.errors import BadCellsError, LogitstreamError
from tests.flow.conftest import Bench

LINES = ["x,c", "1,a", "oops,a", "2,b", "3,b,extra", '"4', '5",a', "6,a", "nan?,b", "7,b", ""]
GOOD_ROWS = 4


def quarantine(bench: Bench) -> list[dict[str, Any]]:
    """Return every row of the quarantine, in the order of the parts."""
    paths = sorted((bench.out / "_quarantine").glob("*.quarantine"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def manifest(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bench.out / "_manifest.json").read_text())
    return found


@pytest.mark.parametrize("chunk_size", ["1000", "20B", "1B"])
def test_bad_rows_of_a_csv_go_to_the_quarantine(bench: Bench, chunk_size: str) -> None:
    text = "\n".join(LINES)
    bench.put("rows.csv", text)
    report = bench.score(keep=["x"], max_bad=10, chunk_size=chunk_size)
    rows = quarantine(bench)
    totals = report.totals
    assert (totals.read, totals.written, totals.quarantined, totals.bad) == (8, GOOD_ROWS, 4, 4)
    assert bench.table()["x"].to_pylist() == ["1", "2", "6", "7"]
    assert [(row["column"], row["cell"]) for row in rows] == [
        ("x", "oops"),
        ("", "3,b,extra"),
        ("x", "4\n5"),
        ("x", "nan?"),
    ]
    for row in rows:
        assert text.encode()[row["byte"] :].decode().startswith(row["line"])
        assert row["file"] == "rows.csv"
        assert not row["by_policy"]
    assert manifest(bench)["totals"]["bad"] == 4


def test_bad_rows_of_parquet_go_to_the_quarantine(bench: Bench) -> None:
    features = [{"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": "error"}]
    table = pa.table({"x": [1.0, None, 3.0, 4.0, None], "id": [10, 11, 12, 13, 14]})
    pq.write_table(table, bench.inputs / "rows.parquet", row_group_size=2)
    bench.score(model=bench.model(features), keep=["id"], max_bad="50%")
    assert bench.table()["id"].to_pylist() == [10, 12, 13]
    assert bench.table()["probability"].null_count == 0
    first, second = quarantine(bench)
    assert (first["record"], second["record"]) == (2, 5)
    assert json.loads(first["line"]) == {"x": None, "id": 11}
    assert first["byte"] is None


def test_rows_that_the_model_sends_there_do_not_count_as_bad(bench: Bench) -> None:
    features = [
        {"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": "quarantine"},
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "quarantine", "missing": "error"},
    ]
    bench.put("rows.csv", "x,c\n1,a\n,a\n2,zz\n3,a\n")
    report = bench.score(model=bench.model(features))
    totals = report.totals
    assert (totals.read, totals.scored, totals.quarantined, totals.bad) == (4, 2, 2, 0)
    rows = quarantine(bench)
    assert [(row["column"], row["cell"], row["by_policy"], row["line"]) for row in rows] == [
        ("x", "null", True, ",a"),
        ("c", "zz", True, "2,zz"),
    ]
    assert not bench.table().schema.field("probability").nullable
    assert totals.events == {"missing x": 1, "unseen c": 1}


def test_one_row_too_many_ends_the_run_as_soon_as_it_is_met(bench: Bench) -> None:
    good = "1,a\n" * 100
    for number in range(20):
        bench.put(f"file={number:02}.csv", f"x,c\n{good}bad,a\n")
    with pytest.raises(BadCellsError, match=r"3 of \d+ rows read are bad, --max-bad allows 2") as caught:
        bench.score(max_bad=2, chunk_size="50")
    read = int(str(caught.value).split(" rows read")[0].rsplit(" ", 1)[1])
    assert read <= 4 * 101
    assert not bench.out.exists()


@pytest.mark.parametrize(("limit", "passes"), [("1%", True), ("0.9%", False), (0, False), (1, True), ("0%", False)])
def test_a_share_of_the_rows_is_judged_at_the_end(bench: Bench, limit: str | int, passes: bool) -> None:
    bench.put("rows.csv", "x,c\nbad,a\n" + "1,a\n" * 99)
    if passes:
        assert bench.score(max_bad=limit, chunk_size="40B").totals.bad == 1
        return
    with pytest.raises(BadCellsError, match=r"record 1 \(byte 4\), column x: 'bad'"):
        bench.score(max_bad=limit, chunk_size="40B")
    assert not bench.out.exists()


def test_an_output_that_stands_with_more_bad_rows_than_allowed_now_is_no_success(bench: Bench) -> None:
    bench.put("rows.csv", "x,c\nbad,a\n1,a\n")
    bench.score(max_bad=1)
    assert not bench.score(max_bad=1).published
    with pytest.raises(BadCellsError, match="1 of 2 rows read are bad, --max-bad allows 0"):
        bench.score()


def test_the_quarantine_is_reused_kept_and_resumed_as_the_parts_are(bench: Bench) -> None:
    for number in range(6):
        bench.put(f"day={number}.csv", f"x,c\n{number},a\nbad{number},a\n")
    more = {"max_bad": 100, "chunk_size": "1", "if_exists": "replace"}
    bench.score(**more)
    first = quarantine(bench)
    assert [row["cell"] for row in first] == [f"bad{number}" for number in range(6)]
    bench.put("day=3.csv", "x,c\n33,a\nworse,a\n")
    again = bench.score(**more)
    assert again.totals.reused == again.totals.chunks * 5 // 6
    assert [row["cell"] for row in quarantine(bench)] == ["bad0", "bad1", "bad2", "worse", "bad4", "bad5"]
    assert again.totals.bad == 6


def test_bad_rows_that_all_stand_in_parts_taken_over_are_refused_as_any_others(bench: Bench) -> None:
    bench.put("day=0.csv", "x,c\nbad,a\n1,a\n")
    bench.score(max_bad=1, chunk_size="1")
    bench.put("day=1.csv", "x,c\n2,a\n")
    for _ in range(2):
        with pytest.raises(BadCellsError, match=r"1 of \d rows read are bad, --max-bad allows 0"):
            bench.score(chunk_size="1", if_exists="replace")
    assert bench.table().num_rows == 1


def test_no_reader_takes_the_quarantine_for_data(bench: Bench) -> None:
    bench.put("rows.csv", "x,c\nbad,a\n1,a\n2,b\n")
    bench.score(max_bad=1)
    out = str(bench.out)
    rows = {
        "pyarrow": ds.dataset(out).count_rows(),
        "pyarrow.parquet": pq.read_table(out).num_rows,
        "pandas": len(pd.read_parquet(out)),
        "dask": len(dask.dataframe.read_parquet(out)),
        "polars": len(pl.read_parquet(f"{out}/*.parquet")),
        "polars, any depth": len(pl.read_parquet(f"{out}/**/*.parquet")),
    }
    assert set(rows.values()) == {2}, rows


def test_the_quarantine_does_not_depend_on_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    cells = np.where(random.random(3000) < 0.2, "oops", random.normal(size=3000).round(3).astype(str))
    bench.put("rows.csv", "x,c\n" + "".join(f"{cell},{'a' if i % 7 else 'q'}\n" for i, cell in enumerate(cells)))
    features = [
        {"column": "x", "kind": "numeric", "coefficient": 1.0},
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "quarantine"},
    ]
    files = []
    for batch_rows in (4096, 7, 500):
        monkeypatch.setattr(memory, "LARGEST_BATCH", batch_rows)
        bench.score(model=bench.model(features), max_bad=2000)
        files.append({p.name: p.read_bytes() for p in bench.out.rglob("part-*")})
        rows = quarantine(bench)
        assert [row["record"] for row in rows] == sorted({row["record"] for row in rows})
        shutil.rmtree(bench.out)
        shutil.rmtree(Path(bench.folder, ".out.logitstream"))
    assert files[0] == files[1] == files[2]


def test_a_limit_counts_the_records_that_are_bad(bench: Bench) -> None:
    bench.put("rows.csv", "x,c\n1,a\nbad,a\n2,a\n3,a\nbad,a\n")
    report = bench.score(limit=3, max_bad=5, keep=["x"])
    assert (report.totals.read, report.totals.bad) == (3, 1)
    assert bench.table()["x"].to_pylist() == ["1", "2"]


def test_a_limit_that_ends_before_the_bad_record_does_not_meet_it(bench: Bench) -> None:
    bench.put("rows.csv", "x,c\n1,a\n2,a\nbad,a\n")
    assert bench.score(limit=2).totals.read == 2
    shutil.rmtree(bench.out)
    with pytest.raises(LogitstreamError, match="bad"):
        bench.score(limit=3)
