"""Faults of input that only a whole run shows: how it ends, and that the previous output is still published."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import BadCellsError, DataError, InputChangedError, LogitstreamError, SchemaError
from pipeline.types.report import Planned
from tests.flow.conftest import FEATURES, Bench, sigmoid

HEAD = "x,c\n"


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def deep_list(depth: int) -> pa.DataType:
    type_ = pa.int64()
    for _ in range(depth):
        type_ = pa.list_(type_)
    return type_


GOOD = pa.table({"x": [1.0, 2.0], "c": ["a", "b"]})
NOT_UTF8 = parquet_bytes(pa.table({"x": [1.0], "c": ["level"]}), compression="none").replace(b"level", b"lev\xffl")


@pytest.mark.parametrize(
    ("name", "content", "kind", "known", "found"),
    [
        pytest.param(
            "f.parquet",
            parquet_bytes(GOOD.append_column("d", pa.nulls(2, deep_list(70)))),
            DataError,
            True,
            "f.parquet is damaged or not readable as Parquet",
            id="q09 schema too deep",
        ),
        pytest.param("f.parquet", parquet_bytes(pa.table({})), DataError, True, "has no columns", id="q05 no columns"),
        pytest.param(
            "f.parquet",
            parquet_bytes(pa.table({"x": [1.0], "C": ["a"]})),
            SchemaError,
            True,
            "f.parquet: has no column 'c'; did you mean \"C\"?",
            id="q22 missing",
        ),
        pytest.param("f.parquet", NOT_UTF8, DataError, False, "f.parquet is damaged", id="q26 no UTF-8"),
        pytest.param("f.csv", "x;c\n1,5;a\n", SchemaError, True, "its header is x;c", id="c16 another delimiter"),
        pytest.param("f.csv", HEAD + "5 %,a\n", BadCellsError, False, "'5 %' is not a number", id="c17 percent"),
        pytest.param("f.csv", "# made\nx,c\n1,a\n", SchemaError, True, "its header is # made", id="c25 preamble"),
        pytest.param(
            "f.csv", HEAD + "1,a\nTotal: 1\n", BadCellsError, False, "'Total: 1' has 1 field instead", id="c25 total"
        ),
        pytest.param("f.csv", "1,a\n2,b\n", SchemaError, True, "its header is 1, a", id="c13 no header"),
    ],
)
def test_a_faulty_file_beside_a_good_one_is_refused_by_name(
    bench: Bench,
    former: Path,
    name: str,
    content: str | bytes,
    kind: type[LogitstreamError],
    known: bool,
    found: str,
) -> None:
    bench.put("a.parquet", GOOD)
    bench.put(name, content)
    message = bench.refused(kind, known=known, if_exists="replace")
    assert name in message
    assert found in message
    assert kind.exit_code == 65


def test_c16_a_decimal_comma_is_refused_and_not_cut(bench: Bench) -> None:
    bench.put("f.csv", "x;c\n1,5;a\n")
    assert "'1,5' is not a number: it has a decimal comma" in bench.refused(BadCellsError, known=False, delimiter=";")


@pytest.mark.parametrize(("limit", "count"), [(None, 2), (3, 1), (4, 1)])
def test_c04_odd_quoting_is_counted_in_report_and_manifest(bench: Bench, limit: int | None, count: int) -> None:
    bench.put("f.csv", HEAD + '1,12" pipe\n"2","a"\n3,a\n4,"b"x\n5,"c ""d"""\n6,1"2\n')
    for chunk_size in (2, 1000):
        report = bench.score(limit=limit, chunk_size=chunk_size, if_exists="replace", max_bad=1)
        assert report.totals.events["odd quoting"] == count
        assert report.totals.bad == (limit != 3)
        totals = json.loads((bench.out / "_manifest.json").read_text())["totals"]
        assert totals["events"]["odd quoting"] == count


def test_c19_an_integer_beyond_its_type_is_refused(bench: Bench) -> None:
    bench.put("f.csv", "x,c,k\n1,a,300\n")
    message = bench.refused(BadCellsError, known=False, keep=["k"], types={"k": "int8"})
    assert "'300' is not of type int8" in message


@pytest.mark.slow
def test_q08_a_row_that_does_not_fit_the_memory_is_refused(bench: Bench, command) -> None:
    lists = pa.array([np.zeros(16_000_000)])
    path = bench.put("f.parquet", pa.table({"x": [1.0], "c": ["a"], "k": lists}), compression="zstd")
    assert path.stat().st_size < 1_000_000
    words = ("score", bench.inputs, "--model", bench.model(), "--output", bench.out, "--keep", "k", "-q")
    done = command(*words, "--memory", "350MiB")
    assert done.returncode == 71, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"\bk\b", done.stderr)
    assert not bench.out.exists()
    done = command(*words, "--memory", "4GiB")
    assert done.returncode == 0, done.stderr


def test_q16_dictionaries_that_differ_between_files_and_row_groups(bench: Bench) -> None:
    levels = [["b", "a"], ["a", "zz", "b"], ["only"]]
    for number, dictionary in enumerate(levels):
        array = pa.DictionaryArray.from_arrays(pa.array(np.arange(200) % len(dictionary), pa.int32()), dictionary)
        table = pa.table({"x": np.zeros(200), "c": array})
        bench.put(f"{number}.parquet", table, row_group_size=70)
    report = bench.score(keep=["c"], chunk_size=1000)
    expected = [dictionary[row % len(dictionary)] for dictionary in levels for row in range(200)]
    table = bench.table()
    assert table["c"].to_pylist() == expected
    scores = {"a": sigmoid(np.float64(1.5)), "b": sigmoid(np.float64(-0.5))}
    assert table["probability"].to_numpy() == pytest.approx(
        np.array([scores.get(level, np.nan) for level in expected]), rel=1e-14, nan_ok=True
    )
    assert report.totals.events == {"unseen c": 200 + len([row for row in range(200) if row % 3 == 1])}


def test_q18_to_q20_floats_of_any_width_give_the_same_bits(bench: Bench) -> None:
    values = np.array([0.5, -1.25, 0, np.nan, np.inf, -np.inf, 65504], np.float16)
    answers = []
    for dtype in (np.float16, np.float32, np.float64):
        array = pa.array([*values.astype(dtype), None], pa.from_numpy_dtype(dtype))
        bench.put("f.parquet", pa.table({"x": array}))
        report = bench.score(model=bench.model(FEATURES[:1]))
        assert report.totals.events == {"missing x": 2, "infinite x": 2}
        answers.append(bench.table()["probability"].to_pylist())
        shutil.rmtree(bench.out)
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][3:6] == [None, 1.0, 0.0]


@pytest.mark.parametrize("name", ["f.csv", "f.parquet"])
def test_q07_c26_an_edit_with_the_old_time_is_noticed_where_all_bytes_are_digested(
    bench: Bench, former: Path, name: str
) -> None:
    rows = 40_000
    text = HEAD + "".join(f"{number % 10},a\n" for number in range(rows))
    table = pa.table({"x": np.arange(rows, dtype=np.float64), "c": ["a"] * rows})
    content = text.encode() if name == "f.csv" else parquet_bytes(table, compression="none", use_dictionary=False)
    path = bench.put(name, content)
    state = path.stat()
    middle = content.index(b"5,a\n", 70_000) if name == "f.csv" else content.index(np.float64(20_000).tobytes())

    def edit(event: object) -> None:
        if isinstance(event, Planned):
            with path.open("r+b") as stream:
                stream.seek(middle)
                stream.write(b"6" if name == "f.csv" else np.float64(20_001).tobytes())
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    before = {part.name: part.read_bytes() for part in former.iterdir()}
    with pytest.raises(InputChangedError, match=name):
        bench.score(observe=edit, if_exists="replace", fingerprint="full")
    assert {part.name: part.read_bytes() for part in former.iterdir()} == before


CELLS = [
    "\x1b[31mred",
    "\x1b]0;owned\x07",
    "\b\b\x7f",
    "\x9b31m",
    "a\u2028b",
    "\u202eexe",
    "a\u200bb",
    "\x85",
    "\U000e0041",
]


@pytest.mark.parametrize("text", [*CELLS, "a\nerror: b", "a\rb"])
def test_s13_cells_are_escaped_in_the_message_of_a_run(bench: Bench, text: str) -> None:
    bench.put("f.csv", f'x,c,{text}\n"{text}",a,1\n' if text.isprintable() else f'x,c\n"{text}",a\n')
    message = bench.refused(BadCellsError, known=False)
    assert all(line.isprintable() for line in message.split("\n")), ascii(message)
    assert message.startswith("f.csv: record 1 (byte ")
    assert text not in message


def test_s08_a_value_in_a_path_makes_no_path_of_the_output(bench: Bench) -> None:
    values = ["../../escaped", "/etc/passwd", ".."]
    for value in values:
        bench.put(f"k={quote(value, safe='').replace('.', '%2E')}/f.csv", HEAD + "1,a\n")
    before = {path.name for path in bench.folder.iterdir()}
    bench.score(keep=["k"])
    assert sorted(bench.table()["k"].to_pylist()) == sorted(values)
    assert {path.name for path in bench.folder.iterdir()} - before <= {"out", ".out.logitstream", "models"}
    assert all(re.fullmatch(r"[a-z0-9._-]+", path.name) for path in bench.out.iterdir())
