"""Options: what each does to the rows, which are refused before work, and what the output is afterwards."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
from pathlib import Path

import dask.config
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import publish
from pipeline.errors import (
    BadCellsError,
    ConfigurationError,
    DataError,
    MemoryBudgetError,
    OutputError,
    SchemaError,
    StorageError,
    UsageError,
)
from pipeline.memory import current_bytes
from pipeline.types.report import Planned, Published
from tests.flow.conftest import Bench, sigmoid, tree

HEAD = "x,c\n"
ROWS = "1,a\n2,b\n"
SCORES = sigmoid(np.array([2.5, 1.5]))


@pytest.fixture
def two(bench: Bench) -> Bench:
    """A bench with two rows in a CSV."""
    bench.put("f.csv", HEAD + ROWS)
    return bench


@pytest.mark.parametrize(
    ("options", "kind", "found"),
    [
        ({"keep": ["probability"]}, UsageError, "--keep probability: the output has a column of that name already"),
        ({"keep": ["x", "c", "x"]}, UsageError, "--keep x: named twice"),
        ({"keep": ["id"]}, SchemaError, "f.csv: has no column 'id'; its header is x, c"),
        ({"limit": 0}, UsageError, "limit is 0: it must be at least 1"),
        ({"workers": 0}, UsageError, "workers is 0: it must be at least 1"),
        ({"chunk_size": 0}, UsageError, "'0' is not a chunk size"),
        ({"chunk_size": "ten"}, UsageError, "'ten' is not a size"),
        ({"memory": "10 potatoes"}, UsageError, "'10 potatoes' is not a size\nwrite 512MiB or 4GiB"),
        ({"threshold": 1.5}, UsageError, "the threshold must be between 0 and 1, got 1.5"),
        ({"threshold": float("nan")}, UsageError, "the threshold must be between 0 and 1, got nan"),
        ({"format": "xlsx"}, UsageError, "format xlsx: there is no such choice\nchoose parquet or csv"),
        ({"if_exists": "append"}, UsageError, "if_exists append: there is no such choice\nchoose fail or replace"),
        (
            {"compression": "rar"},
            UsageError,
            "--compression rar: parquet has no such compression\nchoose one of snappy",
        ),
        ({"compression": "snappy", "format": "csv"}, UsageError, "--compression snappy: csv has no such compression"),
        (
            {"scheduler": "foo"},
            UsageError,
            "there is no scheduler 'foo'\nwrite threads, processes, sync, local",
        ),
        ({"scheduler": "tcp://nowhere"}, UsageError, "'tcp://nowhere' is not the address of a scheduler"),
        ({"scheduler": "tcp://10.0.0.1:8786"}, ConfigurationError, "a plain tcp connection is not encrypted"),
        ({"encoding": "klingon"}, UsageError, "there is no encoding 'klingon'"),
        ({"delimiter": ";;"}, UsageError, "the delimiter must be one ASCII character, not ';;'"),
        ({"delimiter": '"'}, UsageError, "delimiter and quote are both '\"'"),
        ({"keep": ["x"], "types": {"x": "int65"}}, UsageError, "'int65' is not a type that a column can be given"),
    ],
    ids=lambda value: json.dumps(value, default=str) if isinstance(value, dict) else "",
)
def test_a_request_is_refused_before_work(
    two: Bench, former: Path, options: dict[str, object], kind: type[pipeline.LogitstreamError], found: str
) -> None:
    assert found in two.refused(kind, **{"if_exists": "replace"} | options)


def test_too_little_memory_is_refused_with_both_numbers(two: Bench, former: Path) -> None:
    message = two.refused(MemoryBudgetError, memory="40MiB", if_exists="replace")
    needed, allowed, remedy = re.match(
        r"the job needs ([\d,]+ MiB) with one worker .*, but may use only (\d+ MiB);.*\nallow --memory (\w+)", message
    ).groups()
    assert allowed == "40 MiB"
    assert needed.replace(" ", "").replace(",", "") == remedy
    # this process may have grown since
    assert two.score(memory=f"{int(remedy.removesuffix('MiB')) + 64}MiB", if_exists="replace").published
    assert MemoryBudgetError.exit_code == 71


def test_an_output_that_exists_is_kept_unless_replaced(two: Bench, former: Path) -> None:
    message = two.refused(OutputError)
    assert f"{former} holds the result of another job" in message
    assert "--if-exists replace" in message
    assert OutputError.exit_code == 73
    assert two.score(if_exists="replace").published
    assert two.table()["probability"].to_numpy() == pytest.approx(SCORES, rel=1e-14)


@pytest.mark.parametrize("if_exists", ["fail", "replace"])
@pytest.mark.parametrize(
    ("make", "found", "remedy"),
    [
        (lambda out: (out.mkdir(), (out / "mine.txt").write_text("x")), "was not published by logitstream", "mv -T"),
        (lambda out: out.mkdir(), "is an empty folder, which logitstream did not make", "rmdir"),
        (lambda out: out.write_text("x"), "is a file, not a folder", "mv -T"),
        (lambda out: out.symlink_to("elsewhere"), "is a symbolic link", "mv -T"),
    ],
    ids=["folder", "empty folder", "file", "link"],
)
def test_what_is_not_ours_is_never_touched(two: Bench, if_exists: str, make, found: str, remedy: str) -> None:
    make(two.out)
    message = two.refused(OutputError, if_exists=if_exists)
    assert f"{two.out} {found}" in message
    assert remedy in message


def test_a_part_of_ours_with_a_stranger_beside_it_is_not_ours(two: Bench, former: Path) -> None:
    (former / "mine.txt").write_text("x")
    assert "mine.txt, which its manifest does not list" in two.refused(OutputError, if_exists="replace")


def test_the_parent_must_stand(two: Bench) -> None:
    message = two.refused(OutputError, output=two.folder / "no" / "out")
    assert f"there is no folder {two.folder / 'no'}\nmake it: mkdir -p '{two.folder / 'no'}'" in message


def test_the_same_job_again_does_nothing(two: Bench) -> None:
    first = two.score(chunk_size="500")
    before = tree(two.folder)
    events = []
    again = two.score(chunk_size="500", observe=events.append, workers=1, memory="4GiB")
    assert (first.published, again.published) == (True, False)
    assert again.manifest_digest == first.manifest_digest
    assert "there was nothing to do" in again.notes[0]
    assert [type(event) for event in events if isinstance(event, Planned | Published)] == [Planned, Published]
    assert tree(two.folder) == before


def test_a_dry_run_writes_nothing(two: Bench) -> None:
    model = two.model()
    names = sorted(two.folder.rglob("*"))
    plan = two.preview(model=model, keep=["x"], raw_prediction=True)
    assert sorted(two.folder.rglob("*")) == names
    assert [name for name, _, _ in plan.fields] == ["x", "probability", "raw_prediction"]
    report = two.score(model=model, keep=["x"], raw_prediction=True)
    assert report.plan.job_id == plan.job_id


@pytest.mark.usefixtures("two_in_the_pool")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"workers": 2}, True),
        ({"workers": 1}, False),
        ({"workers": 2, "chunk_size": 20_000}, False),
        ({"workers": 2, "scheduler": "processes"}, False),
        ({"workers": 2, "scheduler": "sync"}, False),
    ],
)
def test_columns_are_decoded_on_threads_where_workers_would_have_nothing_to_do(
    bench: Bench, options: dict[str, object], expected: bool
) -> None:
    bench.put("f.parquet", pa.table({"x": [1.0] * 40_000, "c": ["a"] * 40_000}), row_group_size=20_000)
    plan = bench.preview(**{"scheduler": "threads", **options})
    assert plan.resources.column_threads is expected


@pytest.mark.usefixtures("two_in_the_pool")
def test_columns_of_a_few_rows_are_not_worth_threads(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": [1.0] * 20, "c": ["a"] * 20}))
    assert not bench.preview(workers=2, scheduler="threads").resources.column_threads


@pytest.mark.usefixtures("two_in_the_pool")
def test_a_csv_has_no_columns_to_decode_apart(two: Bench) -> None:
    assert not two.preview(workers=2, scheduler="threads").resources.column_threads


@pytest.mark.parametrize(
    ("options", "workers", "processes"),
    [
        ({"scheduler": "local:processes=2,threads=2"}, 4, (2, 2)),
        ({"scheduler": "local", "workers": 3}, 3, (3, 3)),
        ({"scheduler": "local", "adapt": "1..9"}, 9, (1, 9)),
        ({"scheduler": "local:processes=2,threads=2", "chunk_size": 20_000}, 2, (1, 1)),
        ({"scheduler": "local:processes=3,threads=2", "chunk_size": 14_000}, 3, (2, 2)),
        ({"scheduler": "threads", "workers": 2}, 2, None),
    ],
)
def test_a_plan_has_the_processes_of_a_cluster_on_this_machine(
    bench: Bench,
    options: dict[str, object],
    workers: int,
    processes: tuple[int, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The extra need not be installed where nothing is started.
    monkeypatch.setattr("pipeline.execute.securing.find_spec", lambda package: package)
    bench.put("f.parquet", pa.table({"x": [1.0] * 40_000, "c": ["a"] * 40_000}), row_group_size=1_000)
    resources = bench.preview(**{"chunk_size": 1_000, "memory": "64GiB", **options}).resources
    assert (resources.workers, resources.processes) == (workers, processes)


def test_a_cluster_on_this_machine_has_only_as_many_processes_as_fit_the_memory(
    two: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.execute.securing.find_spec", lambda package: package)
    two.put("g.parquet", pa.table({"x": [1.0] * 40_000, "c": ["a"] * 40_000}), row_group_size=1_000)
    # Each process is expected to be as large as this one, which has tests in it.
    memory = f"{8 * current_bytes()}B"
    plan = two.preview(scheduler="local:processes=40,threads=1", chunk_size=1_000, memory=memory)
    assert plan.resources.processes is not None
    assert 1 <= plan.resources.processes[1] == plan.resources.workers < 40
    assert any("workers lowered from 40" in note for note in plan.resources.notes)


@pytest.mark.parametrize("options", [{}, {"scheduler": None, "cluster": "distributed:LocalCluster"}], ids=str)
@pytest.mark.parametrize(
    ("ttl", "note"),
    [
        ("7 minutes", "a worker that is silent for 7 min 00 s counts as dead (worker-ttl of Dask's configuration)"),
        (None, "a worker that hangs is waited for without end: worker-ttl of Dask's configuration is not set"),
    ],
)
def test_a_plan_for_a_cluster_to_start_says_after_which_silence_a_worker_counts_as_dead(
    two: Bench, options: dict[str, str | None], ttl: str | None, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dask's own defaults first: what is set before they are there takes them along when it is put back.
    import distributed  # noqa: F401

    monkeypatch.setattr("pipeline.execute.securing.find_spec", lambda package: package)
    with dask.config.set({"distributed.scheduler.worker-ttl": ttl}):
        assert note in two.preview(**{"scheduler": "local", **options}).notes
    assert not any("worker" in each for each in two.preview(scheduler="threads").notes)


def test_a_dry_run_of_what_stands_asks_for_no_space(two: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    two.score()
    monkeypatch.setattr(publish.LocalStore, "free_bytes", staticmethod(lambda path: 0))
    assert two.preview().rows == 2
    assert not two.score().published
    assert "0 B are free there" in two.refused(StorageError, output=two.folder / "other")
    assert StorageError.exit_code == 74


def test_keep_everything(bench: Bench) -> None:
    table = pa.table(
        {
            "x": pa.array([1, 2], pa.int16()),
            "c": pa.array(["a", "b"]).dictionary_encode(),
            "list": [[1, 2], None],
            "when": pa.array([1, None], pa.timestamp("us", "UTC")),
        }
    )
    bench.put("z=7/f.parquet", table)
    bench.score(keep=["*"])
    assert bench.table().column_names == ["x", "c", "list", "when", "z", "probability"]
    for name in ("x", "list", "when"):
        assert bench.table()[name].to_pylist() == table[name].to_pylist()
    assert bench.table()["z"].to_pylist() == ["7", "7"]


def test_keep_everything_never_drops_a_column_that_only_some_files_have(bench: Bench) -> None:
    bench.put("a.parquet", pa.table({"x": [1.0], "c": ["a"]}))
    bench.put("b.parquet", pa.table({"x": [1.0], "c": ["a"], "extra": [1]}))
    assert "a.parquet: has no column 'extra'" in bench.refused(SchemaError, keep=["*"])
    assert bench.score(keep=["x"]).published


def test_keep_everything_collides_as_one_name_does(bench: Bench) -> None:
    bench.put("f.csv", "x,c,probability\n1,a,0.5\n")
    assert "--keep probability: the output has a column" in bench.refused(UsageError, keep=["*"])


def test_kept_cells_of_a_csv_stay_as_they_are_written(bench: Bench) -> None:
    cells = ["007", "1.50", " padded ", 'say ""hi""', "line\nbreak", "NA", "", "é"]
    bench.put("f.csv", "x,c,k\n" + "".join(f'1,a,"{cell}"\n' for cell in cells) + "1,a,\n")
    bench.score(keep=["k"])
    assert bench.table()["k"].to_pylist() == [*(cell.replace('""', '"') for cell in cells), None]


def test_a_type_for_a_kept_column(bench: Bench) -> None:
    bench.put("f.csv", "x,c,k\n1,a,12\n1,a,\n")
    bench.score(keep=["k"], types={"k": "int64"})
    assert bench.table().schema.field("k").type == pa.int64()
    assert bench.table()["k"].to_pylist() == [12, None]
    shutil.rmtree(bench.out)
    bench.put("f.csv", "x,c,k\n1,a,12\n1,a,zz\n")
    message = bench.refused(BadCellsError, known=False, keep=["k"], types={"k": "int64"})
    assert message.startswith("f.csv: record 2 (byte 13), column k: 'zz' is not of type int64\n")


def test_raw_prediction_and_threshold(two: Bench) -> None:
    model = two.model(target={"column": "late", "negative": "no", "positive": "yes"})
    two.score(model=model, raw_prediction=True, threshold=float(SCORES[0]))
    assert two.table().column_names == ["probability", "raw_prediction", "decision"]
    assert two.table()["raw_prediction"].to_pylist() == [2.5, 1.5]
    assert two.table()["decision"].to_pylist() == ["yes", "no"]


def test_float32_rounds_once_and_decides_before(two: Bench) -> None:
    between = (float(np.float32(SCORES[0])) + SCORES[0]) / 2
    two.score(float32=True, threshold=between)
    assert two.table().schema.field("probability").type == pa.float32()
    assert two.table()["probability"].to_numpy().tolist() == SCORES.astype(np.float32).tolist()
    assert two.table()["decision"].to_pylist() == [bool(SCORES[0] >= between), False]


@pytest.mark.parametrize("limit", [1, 10, 11, 25, 39, 40, 41])
def test_a_limit_reads_the_first_rows_exactly(bench: Bench, limit: int) -> None:
    x = np.arange(40.0)
    bench.put("a.parquet", pa.table({"x": x[:30], "c": ["a"] * 30}), row_group_size=5)
    bench.put("b.parquet", pa.table({"x": x[30:], "c": ["a"] * 10}))
    report = bench.score(limit=limit, chunk_size=10, keep=["x"])
    assert bench.table()["x"].to_pylist() == x[:limit].tolist()
    assert report.totals.read == min(limit, 40)
    manifest = json.loads((bench.out / "_manifest.json").read_bytes())
    assert f'"limit": {limit}' in json.dumps(manifest)


@pytest.mark.parametrize("limit", [1, 7, 30, 31, 99])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_limit_on_csv(bench: Bench, limit: int, compressed: bool) -> None:
    text = (HEAD + "".join(f"{i},a\n" for i in range(30))).encode()
    bench.put("f.csv.gz" if compressed else "f.csv", gzip.compress(text) if compressed else text)
    report = bench.score(limit=limit, chunk_size="32B", keep=["x"])
    assert bench.table()["x"].to_pylist() == [str(i) for i in range(min(limit, 30))]
    assert report.totals.read == min(limit, 30)


def test_what_is_wrong_behind_a_limit_was_not_asked_for(bench: Bench) -> None:
    bench.put("f.csv", HEAD + ROWS + "zz,a\n1\n")
    assert bench.score(limit=2).totals.read == 2
    shutil.rmtree(bench.out)
    message = bench.refused(BadCellsError, known=False, limit=3)
    assert message.startswith("f.csv: record 3 (byte 12), column x: 'zz' is not a number\nfix")


def test_the_report_counts_what_numpy_counts(bench: Bench) -> None:
    random = np.random.default_rng(7)
    rows = 2000
    x, y = (
        np.where(random.random(rows) < 0.5, random.choice([np.nan, np.inf, -np.inf], rows), random.normal(size=rows))
        for _ in range(2)
    )
    x_null, y_null = random.random(rows) < 0.1, random.random(rows) < 0.1
    level = random.choice(["a", "b", "unseen", ""], rows)
    features = [
        {"column": "x", "kind": "numeric", "coefficient": 2.0},
        {"column": "y", "kind": "numeric", "coefficient": 1.0, "missing": {"impute": 3.0}},
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}, "unseen": "zero"},
    ]
    table = pa.table({"x": pa.array(x, mask=x_null), "y": pa.array(y, mask=y_null), "c": level})
    bench.put("f.parquet", table, row_group_size=90)
    report = bench.score(model=bench.model(features), chunk_size=200, scheduler="threads", workers=2)

    x_missing, y_missing = x_null | np.isnan(x), y_null | np.isnan(y)
    with np.errstate(invalid="ignore"):
        raw = 0.5 + 2 * x + np.where(y_missing, 3.0, y) + np.where(level == "a", 1, np.where(level == "b", -1, 0))
    nan = np.isnan(raw) & ~x_missing
    totals = report.totals
    assert (totals.read, totals.null, totals.nan) == (rows, x_missing.sum(), nan.sum())
    assert totals.scored == rows - x_missing.sum() - nan.sum()
    assert totals.events == {
        "missing x": x_missing.sum(),
        "missing y": y_missing.sum(),
        "infinite x": (np.isinf(x) & ~x_null).sum(),
        "infinite y": (np.isinf(y) & ~y_null).sum(),
        "unseen c": (~np.isin(level, ["a", "b"])).sum(),
    }
    probability = bench.table()["probability"].combine_chunks()
    assert np.array_equal(probability.is_null().to_numpy(zero_copy_only=False), x_missing)
    assert probability.fill_null(0).to_numpy() == pytest.approx(
        np.where(x_missing, 0, sigmoid(raw)), rel=1e-14, nan_ok=True
    )


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("x;c\n1;a\n2;b\n", {"delimiter": ";"}),
        ("x\tc\n1\ta\n2\tb\n", {"delimiter": "\t"}),
        ("x,c\n1,'a'\n2,'b'\n", {"quote": "'"}),
        ("1,a\n2,b\n", {"columns": ["x", "c"]}),
        ("x,c\r\n1,a\r\n2,b", {}),
        ("\ufeffx,c\n1,a\n2,b\n", {}),
        ("x,c\n1,a\n2,b\n".encode("utf-16"), {"encoding": "utf-16"}),
    ],
    ids=["semicolon", "tab", "quote", "columns", "CRLF", "BOM", "UTF-16"],
)
def test_dialects(bench: Bench, content: str | bytes, options: dict[str, object]) -> None:
    bench.put("f.csv", content)
    bench.score(**options)
    assert bench.table()["probability"].to_numpy() == pytest.approx(SCORES, rel=1e-14)


def test_latin_1(bench: Bench) -> None:
    bench.put("f.csv", "x,c,k\n1,a,été\n2,b,\xdf\n".encode("latin-1"))
    bench.score(encoding="latin-1", keep=["k"])
    assert bench.table()["k"].to_pylist() == ["été", "ß"]


def test_utf16_is_named_where_it_was_not_said(bench: Bench) -> None:
    bench.put("f.csv", (HEAD + ROWS).encode("utf-16"))
    message = bench.refused(DataError)
    assert message == "f.csv begins with the byte order mark of UTF-16\nadd --encoding utf-16"


@pytest.mark.parametrize("compression", [None, "snappy", "zstd", "lz4", "gzip", "brotli", "none"])
def test_parquet_compression(two: Bench, compression: str | None) -> None:
    two.score(compression=compression)
    part = next(two.out.glob("*.parquet"))
    codec = pq.ParquetFile(part).metadata.row_group(0).column(0).compression
    assert codec == {None: "SNAPPY", "none": "UNCOMPRESSED"}.get(compression, str(compression).upper())
    assert two.table()["probability"].to_numpy() == pytest.approx(SCORES, rel=1e-14)


def test_the_default_compression_by_its_name_is_the_same_job(two: Bench) -> None:
    first = two.score()
    assert two.preview(compression="snappy").job_id == first.plan.job_id
    assert not two.score(compression="snappy").published
    assert two.preview(compression="zstd", if_exists="replace").job_id != first.plan.job_id


@pytest.mark.parametrize(("compression", "ending"), [(None, "csv"), ("gzip", "csv.gz"), ("zstd", "csv.zst")])
def test_a_csv_output_reads_back_bit_for_bit(bench: Bench, compression: str | None, ending: str) -> None:
    x = np.random.default_rng(3).normal(size=200)
    kept = ['a "quote"', "a,comma", "a\nnewline", "", None] * 40
    bench.put("f.parquet", pa.table({"x": x, "c": ["a"] * 200, "k": kept}))
    bench.score(output=bench.folder / "reference", keep=["k"])
    bench.score(format="csv", compression=compression, keep=["k"])
    (part,) = bench.out.glob(f"part-*.{ending}")
    options = pa_csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""])
    with pa.input_stream(part) as stream:
        read = pa_csv.read_csv(
            stream, parse_options=pa_csv.ParseOptions(newlines_in_values=True), convert_options=options
        )
    reference = pq.read_table(next((bench.folder / "reference").glob("*.parquet")))
    assert read["k"].to_pylist() == kept
    assert read["probability"].to_numpy().tobytes() == reference["probability"].to_numpy().tobytes()


def test_a_csv_output_is_a_csv_input(two: Bench) -> None:
    two.score(format="csv", keep=["x", "c"])
    first = next(two.out.glob("part-*.csv")).read_text()
    assert [row["x"] for row in csv.DictReader(first.splitlines())] == ["1", "2"]
    again = two.folder / "again"
    two.score(inputs=two.out, output=again, format="csv", keep=["x", "c"])
    assert next(again.glob("part-*.csv")).read_text() == first


def test_a_column_that_a_csv_cannot_hold(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": [1.0], "c": ["a"], "k": [[1]]}))
    message = bench.refused(UsageError, keep=["k"], format="csv")
    assert message.startswith("--format csv cannot hold column 'k' (list<")
    assert "--format parquet" in message


def test_parquet_and_csv_in_one_run_give_the_bits_of_each_alone(bench: Bench) -> None:
    random = np.random.default_rng(11)
    table = pa.table({"x": random.normal(size=300), "c": random.choice(["a", "b", "q"], 300)})
    bench.put("a.parquet", table.slice(0, 100), row_group_size=30)
    for name, rows in (("b.csv", table.slice(100, 100)), ("c.csv.gz", table.slice(200))):
        text = HEAD + "".join(f"{row['x']!r},{row['c']}\n" for row in rows.to_pylist())
        bench.put(name, gzip.compress(text.encode()) if name.endswith("gz") else text)
    report = bench.score(chunk_size="1KiB", keep=["c"], scheduler="threads", workers=2)
    whole = bench.folder / "whole"
    whole.mkdir()
    pq.write_table(table, whole / "f.parquet")
    bench.score(inputs=whole / "f.parquet", output=bench.folder / "reference")
    reference = pq.read_table(next((bench.folder / "reference").glob("*.parquet")))["probability"]
    assert report.totals.read == 300
    assert report.plan.chunks > 5
    assert bench.table()["c"].to_pylist() == table["c"].to_pylist()
    assert bench.table()["probability"].to_pylist() == reference.to_pylist()


def test_an_option_that_does_not_exist_or_cannot_be_is_refused(bench: Bench) -> None:
    bench.put("a.csv", "x,c,k\n1,a,7\n")
    with pytest.raises(TypeError, match="no option 'kep'"):
        bench.score(kep=["k"])
    assert "zz=int64: the job reads no column" in bench.refused(UsageError, types={"zz": "int64"})
    assert "memory is 0" in bench.refused(UsageError, memory=0)
    assert "precision slow" in bench.refused(UsageError, precision="slow")


def test_reproducible_scores_are_those_of_the_reproducible_sigmoid(bench: Bench) -> None:
    rows = "".join(f"{i / 7},a,{i}\n" for i in range(-500, 500))
    bench.put("a.csv", f"x,c,k\n{rows}")
    bench.score(precision="reproducible", raw_prediction=True)
    table = bench.table()
    raw, probability = table["raw_prediction"].to_numpy(), table["probability"].to_numpy()
    assert probability.tobytes() == pipeline.sigmoid(raw, precision="reproducible").tobytes()
    assert probability.tobytes() != pipeline.sigmoid(raw).tobytes()


def test_a_text_is_one_name_not_its_letters(bench: Bench) -> None:
    bench.put("a.csv", "x,c,key\n1,a,7\nNA,b,8\n")
    report = bench.score(keep="key", null="NA")
    assert bench.table()["key"].to_pylist() == ["7", "8"]
    assert report.totals.null == 1
