"""Nulls and numbers of a CSV as options spell them, from the command line and from Python to the published output."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.cli import run
from pipeline.errors import BadCellsError, SchemaError, UsageError
from pipeline.types.inputs import CsvOptions
from tests.flow.conftest import Bench, sigmoid

GERMAN = 'x;c;k\n1.000,5;a;1.234,50\n"-0,25";b;"0,75"\n"";a;\n-;"NA";-\n'
OPTIONS = {"delimiter": ";", "decimal": ",", "thousands": ".", "null": "-,NA", "quoted_null": True}
FLAGS = ["--delimiter", ";", "--decimal", ",", "--thousands", ".", "--null", "-,NA", "--quoted-null"]
SCORES = sigmoid(np.array([1002.0, -0.75]))


@pytest.fixture
def german(bench: Bench) -> Bench:
    """A bench with a file as a German spreadsheet writes it."""
    bench.put("f.csv", GERMAN)
    bench.model()
    return bench


def probabilities(folder: Path) -> list[float | None]:
    return [
        value for path in sorted(folder.glob("*.parquet")) for value in pq.read_table(path)["probability"].to_pylist()
    ]


def outcome(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run([str(word) for word in words])
    return code, *capsys.readouterr()


def test_score_takes_the_options_as_keywords_and_the_manifest_lists_them(german: Bench) -> None:
    german.score(keep=["k"], types={"k": "float64"}, **OPTIONS)
    table = german.table()
    assert table["probability"].to_pylist() == [*SCORES, None, None]
    assert table["k"].to_pylist() == [1234.5, 0.75, None, None]
    written = json.loads((german.out / "_manifest.json").read_text())["options"]["csv"]
    assert {name: written[name] for name in ("decimal", "thousands", "quoted_null", "nulls")} == {
        "decimal": ",",
        "thousands": ".",
        "quoted_null": True,
        "nulls": ["", "-", "NA"],
    }


def test_verify_sample_rebuilds_the_rows_from_the_manifest(german: Bench) -> None:
    german.score(**OPTIONS)
    assert pipeline.verify(german.out, inputs=True, sample=1).as_published


def test_the_command_line_the_environment_and_a_file_take_the_options(
    german: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["score", german.inputs, "--model", german.model(), "--scheduler", "sync", "-q"]
    assert outcome(capsys, *words, *FLAGS, "-o", german.folder / "a")[0] == 0
    config = german.folder / "c.toml"
    config.write_text(
        "[score]\ndelimiter = ';'\ndecimal = ','\nthousands = '.'\nnull = ['-', 'NA']\nquoted-null = true\n"
    )
    assert outcome(capsys, *words, "--config", config, "-o", german.folder / "b")[0] == 0
    for name, value in {"DELIMITER": ";", "DECIMAL": ",", "THOUSANDS": ".", "NULL": "-,NA", "QUOTED_NULL": "1"}.items():
        monkeypatch.setenv(f"LOGITSTREAM_SCORE_{name}", value)
    assert outcome(capsys, *words, "-o", german.folder / "c")[0] == 0
    for name in "abc":
        assert probabilities(german.folder / name) == [*SCORES, None, None]
    manifests = [json.loads((german.folder / name / "_manifest.json").read_text()) for name in "abc"]
    assert len({manifest["digest"] for manifest in manifests}) == 1


def test_transform_plan_and_inspect_take_the_options(german: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["transform", german.inputs, "--apply", "p=sigmoid(x)", "-o", german.out, "-q"]
    assert outcome(capsys, *words, *FLAGS)[0] == 0
    assert german.table()["p"].to_pylist() == [*sigmoid(np.array([1000.5, -0.25])), None, None]
    words = ["plan", german.inputs, "--model", german.model(), "-o", german.folder / "other", "--json", *FLAGS]
    code, planned, _ = outcome(capsys, *words)
    plan = json.loads(planned)
    assert (code, plan["kind"]) == (0, "plan")
    assert (plan["csv"]["decimal"], plan["csv"]["thousands"], plan["csv"]["quoted_null"]) == (",", ".", True)
    code, found, _ = outcome(capsys, "inspect", german.inputs, "--full", "--json", "--type", "k=float64", *FLAGS)
    assert code == 0
    (k,) = [column for column in json.loads(found)["columns"] if column["name"] == "k"]
    assert (k["nulls"], k["smallest"], k["largest"]) == (2, 0.75, 1234.5)


def test_inspect_takes_the_options_as_keywords(german: Bench) -> None:
    found = pipeline.inspect(german.inputs, full=True, types={"x": "float64"}, **OPTIONS)
    x = next(column for column in found.columns if column.name == "x")
    assert (x.nulls, x.smallest, x.largest) == (2, -0.25, 1000.5)


def test_open_dataset_takes_the_options_as_keywords(german: Bench) -> None:
    for dataset in (
        pipeline.open_dataset(german.inputs, types={"k": "float64"}, **OPTIONS),
        pipeline.open_dataset(german.inputs, csv=CsvOptions.given(types={"k": "float64"}, **OPTIONS)),
    ):
        x = dataset.to_dask_array(["x", "k"])
        np.testing.assert_array_equal(
            x.compute(scheduler="sync"), [[1000.5, 1234.5], [-0.25, 0.75], [np.nan] * 2, [np.nan] * 2]
        )
    dataset.write({"p": dataset.to_dask_array("x")}, german.out, keep="k", scheduler="sync")
    assert german.table()["p"].to_pylist()[:2] == [1000.5, -0.25]
    with pytest.raises(TypeError, match="no option 'decimals'; did you mean \"decimal\""):
        pipeline.open_dataset(german.inputs, decimals=",")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="leave out decimal, or write it there"):
        pipeline.open_dataset(german.inputs, csv=CsvOptions(), decimal=",")


def test_each_option_makes_another_job(bench: Bench) -> None:
    bench.put("f.csv", 'x;c\n1;a\n"";b\n')
    given = [{}, {"decimal": ","}, {"thousands": ","}, {"quoted_null": True}, {"null": "pandas"}, {"null": "NA"}]
    jobs = [bench.preview(delimiter=";", **options).job_id for options in given]
    assert len(set(jobs)) == len(jobs)


@pytest.mark.parametrize("command", ["score", "transform", "plan", "inspect"])
@pytest.mark.parametrize(
    "flags",
    [
        ["--decimal", ","],
        ["--thousands", "."],
        ["--thousands", ","],
        ["--delimiter", ";", "--decimal", ";"],
        ["--delimiter", ";", "--decimal", ",", "--thousands", ","],
        ["--quote", "'", "--thousands", "'"],
        ["--decimal", "5"],
        ["--thousands", "--"],
        ["--decimal", ""],
    ],
)
def test_characters_that_are_the_same_end_with_2(
    german: Bench, capsys: pytest.CaptureFixture[str], command: str, flags: list[str]
) -> None:
    words = {
        "score": ["--model", german.model(), "-o", german.out],
        "plan": ["--model", german.model(), "-o", german.out],
        "transform": ["--apply", "p=sigmoid(x)", "-o", german.out],
        "inspect": [],
    }
    code, _, said = outcome(capsys, command, german.inputs, *words[command], *flags)
    assert (code, not german.out.exists()) == (2, True), said


@pytest.mark.parametrize(
    ("text", "options", "cure"),
    [
        ("x;c\n0,5;a\n", {"delimiter": ";"}, "--decimal ,"),
        ("x;c\n1,234.5;a\n", {"delimiter": ";"}, "--thousands ,"),
        ("x,c\nTrue,a\n", {}, "--type NAME=bool"),
        ("x,c\n-,a\n", {}, "--null -"),
        ("x,c\nN/A,a\n", {}, "--null N/A"),
        ("x,c\n<NA>,a\n", {}, "--null '<NA>'"),
        ("x,c\n  ,a\n", {}, """--null '"  "'"""),
    ],
)
def test_errors_of_cells_suggest_the_cure(bench: Bench, text: str, options: dict[str, str], cure: str) -> None:
    bench.put("f.csv", text)
    message = bench.refused(BadCellsError, known=False, **options)
    assert f"add {cure} " in message
    assert len(message.splitlines()) <= 3
    flag, value = shlex.split(cure)
    if flag == "--type":
        assert bench.score(types={"x": "bool"}).totals.bad == 0
    else:
        assert bench.score(**options, **{flag.removeprefix("--"): value}).totals.bad == 0


@pytest.mark.parametrize(("delimiter", "flag"), [(";", "--delimiter ';'"), ("\t", "--delimiter tab")])
def test_a_header_of_one_field_suggests_the_delimiter(bench: Bench, delimiter: str, flag: str) -> None:
    bench.put("f.csv", f"x{delimiter}c\n1{delimiter}a\n")
    assert f"add {flag}: " in bench.refused(SchemaError)


@pytest.mark.parametrize("other", ["x\tc\n1\ta\n", "c,d\n1,2\n"])
def test_files_of_different_delimiters_are_told_apart(bench: Bench, other: str) -> None:
    bench.put("f.csv", "x;c\n1;a\n")
    bench.put("g.csv", other)
    assert "the files have different delimiters: give each kind to a run of its own" in bench.refused(SchemaError)


@pytest.mark.parametrize("comment", ["# made by hand", "#", "# made, by hand; in 2024"])
def test_a_comment_that_is_taken_for_the_header_names_the_options(bench: Bench, comment: str) -> None:
    bench.put("f.csv", f"{comment}\nx,c\n1,a\n")
    assert "add --comment '#'" in bench.refused(SchemaError)
    assert bench.score(comment="#").totals.scored == 1
    bench.put("f.csv", "#id,c\n1,a\n")
    assert "see --delimiter" in bench.refused(SchemaError)


@pytest.mark.parametrize("name", ["X", "xs_", "Carrier", "carier"])
def test_a_column_that_differs_in_case_or_by_an_edit_is_suggested(bench: Bench, name: str) -> None:
    feature = {"X": "x", "xs_": "xs", "Carrier": "carrier", "carier": "carrier"}[name]
    model = bench.model([{"column": feature, "kind": "numeric", "coefficient": 1.0}])
    bench.put("f.csv", f"{name},other\n1,a\n")
    assert f'did you mean "{name}"?' in bench.refused(SchemaError, model=model)


def test_a_quoted_empty_field_of_a_feature_is_null_and_not_a_bad_row(bench: Bench) -> None:
    bench.put("f.csv", 'x,c\n"1","a"\n"","a"\n')
    report = bench.score()
    assert (report.totals.bad, report.totals.null) == (0, 1)


@pytest.mark.parametrize("chunk_size", ["40B", 3, 1000])
def test_the_scores_do_not_depend_on_the_chunk_size(bench: Bench, chunk_size: int | str) -> None:
    cells = ["1.234,5", "0,5", '"-2.000"', '""', "-", "7", "inf", '"n/a"']
    bench.put("f.csv", "x;c\n" + "".join(f'{cells[n % 8]};"{"ab"[n % 2]}"\n' for n in range(24)))
    bench.score(delimiter=";", decimal=",", thousands=".", null="pandas,-", chunk_size=chunk_size)
    numbers = [1234.5, 0.5, -2000.0, None, None, 7.0, np.inf, None]
    raw = [None if numbers[n % 8] is None else 0.5 + numbers[n % 8] + (-1) ** n for n in range(24)]
    expected = [None if each is None else float(sigmoid(np.array(each))) for each in raw]
    np.testing.assert_allclose(
        np.array(bench.table()["probability"].to_pylist(), float), np.array(expected, float), rtol=1e-15
    )


def test_bad_cells_go_to_the_quarantine_as_they_are_written(german: Bench) -> None:
    german.put("f.csv", 'x;c\n1.5;a\n"1.234,5";a\n"NA";a\n12.34;b\n')
    report = german.score(delimiter=";", decimal=",", thousands=".", max_bad=3)
    assert (report.totals.bad, report.totals.written) == (3, 1)
    found = pipeline.inspect(german.out / "_quarantine")
    assert sum(reason.rows for reason in found.reasons) == 3
    shutil.rmtree(german.out)
    with pytest.raises(UsageError, match="decimal and thousands are both"):
        german.score(delimiter=";", decimal=",", thousands=",")
