"""Points, bands and reasons of files, and the scorecard of a model, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import pipeline as logitstream

SAMPLE = Path(__file__).resolve().parents[3] / "sample_data"
CARD = SAMPLE / "delay_scorecard.json"
MADE = {
    "probability": pa.float64(),
    "points": pa.float64(),
    "band": pa.string(),
    **{name: pa.string() for k in (1, 2) for name in (f"reason_{k}", f"reason_{k}_text")},
}


def score(cli, output, *options):
    outcome = cli("score", str(SAMPLE / "flights"), "--model", str(CARD), "--output", str(output), "-q", *options)
    assert outcome.code == 0, outcome.err
    return output


def rows_of(output):
    paths = [str(output)] if output.is_file() else [str(path) for path in sorted(output.glob("*.parquet"))]
    return ds.dataset(paths, format="parquet").to_table()


def test_parts_have_text_columns_of_bands_and_reasons_that_agree_with_the_model(cli, tmp_path):
    output = score(cli, tmp_path / "scores", "--keep", "dep_delay,hour,distance,origin")
    table = rows_of(output)
    made = table.schema.names[4:]
    assert {name: table.schema.field(name).type for name in made} == MADE
    model = logitstream.LogisticModel.load(CARD)
    rows = table.select(["dep_delay", "hour", "distance", "origin"])
    assert table["band"].to_pylist() == model.band(rows).tolist()
    assert list(zip(*(table[f"reason_{k}"].to_pylist() for k in (1, 2)), strict=True)) == [
        tuple(row) for row in model.reasons(rows)
    ]
    texts = list(zip(*(table[f"reason_{k}_text"].to_pylist() for k in (1, 2)), strict=True))
    assert texts == [tuple(row) for row in model.reason_texts(rows)]
    assert {"A", "B", "C", "D"} <= set(table["band"].to_pylist())


def test_other_readers_find_text_in_parts(cli, tmp_path):
    output = score(cli, tmp_path / "scores")
    bands = rows_of(output)["band"].to_pylist()
    files = f"{output}/*.parquet"
    assert pl.read_parquet(files)["band"].to_list() == bands
    assert pl.read_parquet(files).schema["reason_1"] == pl.String
    frame = pd.read_parquet(output)
    assert [None if pd.isna(band) else band for band in frame["band"]] == bands
    query = f"SELECT DISTINCT typeof(band), typeof(reason_2_text) FROM '{files}'"
    (types,) = pytest.importorskip("duckdb").sql(query).fetchall()
    assert types == ("VARCHAR", "VARCHAR")


@pytest.mark.parametrize("options", [("--chunk-size", "700"), ("--workers", "1"), ("--scheduler", "sync")])
def test_decisions_do_not_depend_on_chunks_or_workers(cli, tmp_path, options):
    plain, other = (score(cli, tmp_path / name, *how) for name, how in (("plain", ()), ("other", options)))
    assert rows_of(other).combine_chunks().equals(rows_of(plain).combine_chunks())


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "folder"])
def test_one_file_and_csv_have_the_same_texts(cli, tmp_path, name):
    expected = rows_of(score(cli, tmp_path / "plain"))
    form = ("--format", "csv") if name == "folder" else ()
    output = score(cli, tmp_path / name, *form)
    if name.endswith(".parquet"):
        assert rows_of(output).equals(expected.combine_chunks()) or rows_of(output).combine_chunks().equals(
            expected.combine_chunks()
        )
        return
    paths = [output] if output.is_file() else sorted(output.glob("*.csv"))
    frame = pd.concat([pd.read_csv(path, keep_default_na=False) for path in paths])
    for column in ("band", "reason_1", "reason_2_text"):
        assert frame[column].tolist() == [text or "" for text in expected[column].to_pylist()]


def test_reasons_can_be_asked_of_a_model_that_says_nothing_of_them(cli, tmp_path):
    output = tmp_path / "scores"
    command = ("score", str(SAMPLE / "flights"), "--model", str(SAMPLE / "delay_model.json"), "--output", str(output))
    assert cli(*command, "--reasons", "2", "-q").code == 0
    table = rows_of(output)
    assert table.schema.names == ["probability", "decision", "reason_1", "reason_2"]
    assert set(table["reason_1"].to_pylist()) <= {"dep_delay", "distance", "hour", "carrier", "origin", None}
    assert cli("verify", str(output), "--sample", "3").code == 0
    again = cli(*command, "--reasons", "3", "-q", "--if-exists", "replace")
    assert again.code == 0
    assert rows_of(output).schema.names[-1] == "reason_3"


def test_reasons_are_an_option_of_the_function(tmp_path):
    logitstream.score(SAMPLE / "flights", CARD, tmp_path / "scores", reasons=1)
    assert rows_of(tmp_path / "scores").schema.names[-2:] == ["reason_1", "reason_1_text"]
    with pytest.raises(TypeError, match=r"reasons is the float 1.5; write a whole number"):
        logitstream.score(SAMPLE / "flights", CARD, tmp_path / "other", reasons=1.5)


def test_a_kept_column_named_like_a_reason_is_refused(cli, tmp_path):
    command = ("score", str(SAMPLE / "flights"), "--model", str(CARD), "--output", str(tmp_path / "scores"))
    outcome = cli(*command, "--reasons", "2", "--keep", "reason_2")
    assert outcome.code == 2
    assert "--keep reason_2: the output has a column of that name already" in outcome.err


@pytest.mark.parametrize("count", ["0", "101", "x"])
def test_a_number_of_reasons_out_of_range_is_a_usage_error(cli, tmp_path, count):
    outcome = cli(
        "score", str(SAMPLE / "flights"), "-m", str(CARD), "--output", str(tmp_path / "s"), "--reasons", count
    )
    assert outcome.code == 2


def test_the_scorecard_shows_the_points_of_each_attribute(cli):
    outcome = cli("model", "scorecard", str(CARD))
    assert outcome.code == 0
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "points at odds of 50 600.00" in lines
    assert "feature attribute contribution points" in lines
    card = json.loads(cli("model", "scorecard", str(CARD), "--json").out)
    assert (card["schema_version"], card["kind"], card["path"]) == (2, "scorecard", str(CARD))
    stated = json.loads(CARD.read_text())["output"]["points"]
    assert card["points"] == stated | {"rounding": "none", "higher": "negative"}
    assert len(card["attributes"]) == 22
    for each in card["attributes"]:
        points = "no score" if each["points"] is None else f"{each['points']:.2f}"
        assert any(each["attribute"] in line and line.endswith(points) for line in lines)
    exact = cli("model", "scorecard", str(CARD), "-v").out
    assert all(repr(each["points"]) in exact for each in card["attributes"] if each["points"] is not None)


def test_few_points_for_each_unit_keep_three_digits(cli, tmp_path):
    model = json.loads(CARD.read_text())
    del model["output"]["reasons"]
    model["features"].append({"kind": "numeric", "column": "air_time", "coefficient": 0.12, "scale": 500})
    (tmp_path / "m.json").write_text(json.dumps(model))
    lines = [" ".join(line.split()) for line in cli("model", "scorecard", str(tmp_path / "m.json")).out.splitlines()]
    # Of a contribution of 0.12 / 500: times -20 / ln(2).
    assert "each 1 more of air_time 0.00024 -0.00692" in lines


def test_a_scorecard_needs_a_scale_of_points(cli):
    outcome = cli("model", "scorecard", str(SAMPLE / "delay_model.json"))
    assert outcome.code == 65
    assert "has no output.points" in outcome.err
    assert '"points": {"pdo": 20, "base_points": 600, "base_odds": 50}' in outcome.err


def test_model_show_says_what_decisions_are_made(cli):
    out = " ".join(cli("model", "show", str(CARD)).out.split())
    assert "points pdo 20" in out
    assert "bands of points D below 480, C from 480, B from 540, A from 570" in out
    assert "reasons 2 that raise most, against best" in out
    assert "reason dep_delay code D1, text it left late" in out
