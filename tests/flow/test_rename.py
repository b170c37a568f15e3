"""``--rename``: new names for kept and made columns; and columns of a CSV that its header does not tell apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.cli import run
from pipeline.errors import SchemaError, UsageError
from pipeline.flow.naming import output_names
from tests.flow.conftest import Bench, sigmoid

CSV = "x,c,probability\n1,a,0.5\n2,b,0.25\n"
SCORES = sigmoid(np.array([2.5, 1.5]))


@pytest.mark.parametrize("out", ["out", "out.csv", "out.parquet"])
def test_an_input_that_has_probability_already(bench: Bench, out: str) -> None:
    bench.put("f.csv", CSV)
    output = bench.folder / out
    bench.score(output=output, keep=["probability"], rename={"probability": "before"})
    table = pd.read_csv(output) if out.endswith("csv") else pq.read_table(output).to_pandas()
    assert list(table.columns) == ["before", "probability"]
    assert [float(value) for value in table["before"]] == [0.5, 0.25]
    np.testing.assert_allclose(table["probability"], SCORES, rtol=1e-12)
    assert pipeline.verify(output, sample=1).differences == ()


def test_kept_and_made_columns_are_renamed(bench: Bench) -> None:
    bench.put("f.csv", CSV)
    bench.score(keep=["x", "c"], rename={"probability": "p", "x": "c", "c": "x"})
    assert bench.table().to_pydict() == {"c": ["1", "2"], "x": ["a", "b"], "p": pytest.approx(SCORES, rel=1e-12)}
    assert json.loads((bench.out / "_manifest.json").read_bytes())["options"]["rename"] == {
        "probability": "p",
        "x": "c",
        "c": "x",
    }
    assert pipeline.verify(bench.out, sample=1).differences == ()


def test_a_new_name_is_another_job_and_none_is_none(bench: Bench) -> None:
    bench.put("f.csv", CSV)
    jobs = [bench.preview(keep=["x"], rename=rename).job_id for rename in ({}, {"x": "y"}, {"probability": "y"})]
    assert len(set(jobs)) == 3
    assert bench.preview(keep=["x"]).job_id == jobs[0]


@pytest.mark.parametrize(
    ("keep", "rename", "message"),
    [
        (
            ["probability"],
            {},
            (
                "--keep probability: the output has a column of that name already, made by this job\n"
                "add --rename probability=NEW, which renames the kept column, or leave it out of --keep"
            ),
        ),
        (
            ["x"],
            {"probabilty": "p"},
            '--rename probabilty=p: the output has no column probabilty; did you mean "probability"?',
        ),
        ([], {"x": "y"}, "--rename x=y: the output has no column x"),
        (["x"], {"x": "probability"}, "--rename x=probability: the output has another column probability"),
        (["x"], {"probability": "x"}, "--rename probability=x: the output has another column x"),
        (["x", "c"], {"x": "n", "c": "n"}, "--rename c=n: the output has another column n"),
        (["x"], {"x": ""}, "--rename x=: the new name is empty"),
        (["x", "x"], {"x": "y"}, "--rename x=y: the output has another column y"),
    ],
)
def test_a_rename_that_cannot_be_is_a_usage_error(
    bench: Bench, keep: list[str], rename: dict[str, str], message: str
) -> None:
    bench.put("f.csv", CSV)
    assert bench.refused(UsageError, keep=keep, rename=rename).startswith(message)


def test_names_that_come_out_once_are_free() -> None:
    assert output_names(["a", "b"], ["p"], {"a": "b", "b": "p", "p": "a"}) == ["b", "p", "a"]
    assert output_names(["p"], ["p", "q"], {"p": "r", "q": "s"}) == ["r", "p", "s"]
    assert output_names(["a"], [], {"a": "a"}) == ["a"]


@pytest.mark.parametrize("rename", [["a=b"], "a=b", {"a": 1}, None])
def test_rename_is_a_mapping_of_texts(bench: Bench, rename: Any) -> None:
    bench.put("f.csv", CSV)
    with pytest.raises(TypeError, match=r"rename is .*, not a mapping of texts; write rename=\{\"OLD\": \"NEW\"\}"):
        bench.score(rename=rename)


def words(bench: Bench, *options: str) -> list[str]:
    return ["score", str(bench.inputs), "--model", str(bench.model()), "--output", str(bench.out), "-q", *options]


def test_the_command_line_renames(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.put("f.csv", CSV)
    assert run(words(bench, "--keep", "probability")) == 2
    assert "add --rename probability=NEW, which renames the kept column" in capsys.readouterr().err
    assert run(words(bench, "--keep", "probability", "--rename", "probability")) == 2
    assert "'probability' is not OLD=NEW" in capsys.readouterr().err
    assert run(words(bench, "--keep", "x", "--rename", "x=a", "--rename", "x=b")) == 2
    assert "'x' is given twice" in capsys.readouterr().err
    assert run(words(bench, "--keep", "x", "--rename", "probability=a=b", "--rename", "x=n")) == 2
    assert "the output has no column probability=a" in capsys.readouterr().err
    assert run(words(bench, "--rename", "probability=p,x=n")) == 2
    assert "repeat --rename for each" in capsys.readouterr().err
    assert run(words(bench, "--keep", "probability,x", "--rename", "probability=before", "--rename", "x=n")) == 0
    assert bench.table().column_names == ["before", "n", "probability"]


def test_a_column_with_the_name_of_one_that_this_job_does_not_make_is_kept(bench: Bench) -> None:
    bench.put("f.csv", "x,c,decision\n1,a,yes\n")
    assert run(words(bench, "--keep", "decision")) == 0
    assert bench.table()["decision"].to_pylist() == ["yes"]
    assert run(words(bench, "--keep", "decision", "--threshold", "0.5", "--if-exists", "replace")) == 2


def test_a_file_and_the_environment_rename_and_take_absent_columns(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put("f.csv", CSV)
    bench.put("g.csv", "x,c\n1,a\n")
    config = bench.folder / "job.toml"
    config.write_text('[score]\nkeep = ["probability"]\nrename = ["probability=before"]\nabsent = "null"\n')
    assert run(words(bench, "--config", str(config))) == 0
    assert bench.table()["before"].to_pylist() == ["0.5", "0.25", None]
    shutil.rmtree(bench.out)
    monkeypatch.setenv("LOGITSTREAM_SCORE_RENAME", "probability=earlier,x=n")
    monkeypatch.setenv("LOGITSTREAM_SCORE_ABSENT", "null")
    assert run(words(bench, "--keep", "probability,x")) == 0
    assert bench.table().column_names == ["earlier", "n", "probability"]


def test_transform_renames_and_takes_absent_columns(bench: Bench) -> None:
    bench.put("a.csv", "x,y\n0,1\n")
    bench.put("b.csv", "y\n2\n")
    options = {"keep": ["y"], "absent": "null", "rename": {"sigmoid_x": "p", "y": "q"}, "scheduler": "sync"}
    pipeline.transform(bench.inputs, "sigmoid(x)", bench.out, **options)
    assert bench.table().to_pydict() == {"q": ["1", "2"], "p": [0.5, None]}
    assert pipeline.verify(bench.out, sample=1).differences == ()


def test_a_stream_renames(tmp_path: Path) -> None:
    blocks = [pa.table({"x": [0.0, 1.0]}), pa.table({"x": [2.0]})]
    pipeline.transform_stream(blocks, "x=sigmoid(x)", tmp_path / "out", keep=["x"], rename={"x": "before"})
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["before", "x"]
    np.testing.assert_allclose(table["x"].to_numpy(), sigmoid(np.array([0.0, 1.0, 2.0])), rtol=1e-12)
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_bytes())
    assert manifest["options"]["rename"] == {"x": "before"}
    with pytest.raises(UsageError, match="--rename y=z: the output has no column y"):
        pipeline.transform_stream(blocks, "x=sigmoid(x)", tmp_path / "other", rename={"y": "z"})
    with pytest.raises(UsageError, match="two columns of the output are called"):
        pipeline.transform_stream(blocks, "x=sigmoid(x)", tmp_path / "other", keep=["x"])


HEADER = ",x,x.1,x,c,c,Unnamed: 0,"


def test_an_unnamed_or_repeated_column_is_named_as_pandas_names_it(bench: Bench) -> None:
    path = bench.put("f.csv", f"{HEADER},s\n0,1,2,3,a,b,6,7,5\n1,2,3,4,b,a,7,8,6\n")
    bench.put("g.csv", "s,x\n9,10\n")
    model = bench.model([{"column": "s", "kind": "numeric", "coefficient": 1.0}])
    report = bench.score(model=model, keep=["*"], absent="null")
    frame = pd.concat([pd.read_csv(path, dtype=str), pd.read_csv(bench.inputs / "g.csv", dtype=str)])
    names = ["Unnamed: 0.1", "x", "x.1", "x.2", "c", "c.1", "Unnamed: 0", "Unnamed: 7", "s"]
    assert bench.table().column_names == [*names, "probability"]
    assert list(frame.columns) == names
    found = bench.table().to_pandas().drop(columns="probability").astype(object)
    pd.testing.assert_frame_equal(
        found.where(found.notna()), frame.reset_index(drop=True).astype(object), check_dtype=False
    )
    note = "f.csv: columns with no name, or a repeated one, are called 'Unnamed: 0.1', 'x.2', 'c.1', 'Unnamed: 7'"
    assert note in report.plan.notes


def test_such_a_column_takes_a_type_and_a_new_name(bench: Bench) -> None:
    bench.put("f.csv", ",x,c,x\n7,1,a,2\n")
    model = bench.model([{"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}}])
    bench.score(model=model, keep=["*"], types={"Unnamed: 0": "int64", "x.1": "int8"}, rename={"Unnamed: 0": "row"})
    assert bench.table().drop_columns("probability").to_pylist() == [{"row": 7, "x": "1", "c": "a", "x.1": 2}]
    assert bench.table().schema.field("x.1").type == pa.int8()
    assert pipeline.verify(bench.out, sample=1).differences == ()


@pytest.mark.parametrize("keep", [[], ["*"]])
def test_a_feature_named_by_a_repeated_column_stays_an_error(bench: Bench, keep: list[str]) -> None:
    bench.put("f.csv", ",x,c,x\n7,1,a,2\n")
    message = bench.refused(SchemaError, keep=keep)
    assert message.splitlines()[1] == "  f.csv: has 2 columns 'x'; its header is '', x, c, x"
