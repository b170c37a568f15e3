"""``model show``, ``model check`` and ``model upgrade``: what they print, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.models import LogisticModel

ROOT = Path(__file__).resolve().parents[3]
DEMO = (ROOT / "sample_data" / "delay_model.json").read_bytes()
SECOND: dict[str, Any] = {
    "format": "logitstream-model",
    "version": 2,
    "kind": "logistic",
    "link": "probit",
    "intercept": 0.1,
    "features": [
        {"column": "x", "kind": "binned", "edges": [0.1, 1 / 3], "coefficients": [-1, 0, 1]},
        {"kind": "product", "terms": [{"column": "x"}, {"column": "y", "transform": "log"}], "coefficient": 1 / 3},
    ],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_bytes(DEMO)
    return path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    path = tmp_path / "second.json"
    path.write_text(json.dumps(SECOND))
    return path


def test_show_prints_each_kind_with_six_digits_or_all(cli, second):
    outcome = cli("model", "show", second)
    assert outcome.code == 0
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "link probit" in lines
    assert "x binned (-inf, 0.1) -1 null" in lines
    assert "[0.3333333333333333, inf) 1" in lines
    assert "x:y product term x 0 1 null" in lines
    assert "term y: log 0 1 null" in lines
    assert lines[-1] == "0.333333" or "0.333333" in lines
    assert "0.3333333333333333" in [
        " ".join(line.split()) for line in cli("model", "show", second, "-v").out.splitlines()
    ]


def test_show_as_json_has_the_same_facts(cli, second):
    outcome = cli("model", "show", second, "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["kind"], found["path"]) == (0, "model", str(second))
    described = found["model"]
    assert (described["version"], described["link"], described["base"]) == (2, "probit", 0.1)
    assert described["digest"] == LogisticModel.load(second).digest()
    assert described["features"][0]["intervals"] == [
        "(-inf, 0.1)",
        "[0.1, 0.3333333333333333)",
        "[0.3333333333333333, inf)",
    ]
    assert described["features"][1]["coefficient"] == 1 / 3


def test_check_says_that_a_file_is_valid_or_names_every_error(cli, second, tmp_path):
    outcome = cli("model", "check", second)
    assert (outcome.code, outcome.out) == (0, f"{second}: valid, 2 features\n")
    found = json.loads(cli("model", "check", second, "--json").out)
    assert (found["kind"], found["valid"], found["problems"]) == ("model-check", True, [])
    assert (found["version"], found["features"]) == (2, 2)
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(SECOND | {"link": "gompit", "ofset": 1}))
    for words in ((), ("--json",)):
        outcome = cli("model", "check", broken, *words)
        assert outcome.code == 65
        assert "2 problems\n  link at line 1" in outcome.err
        assert 'unknown key "ofset"; did you mean "offset"?' in outcome.err
    found = json.loads(outcome.out)
    assert (found["valid"], found["version"]) == (False, None)
    assert [(each["place"], each["line"]) for each in found["problems"]] == [("link", 1), ("ofset", 1)]
    assert found["problems"][1]["message"] == 'unknown key "ofset"; did you mean "offset"?'


def test_a_pickle_and_a_file_that_is_not_there_are_errors_as_json_too(cli, tmp_path):
    for name, code in (("model.pkl", 65), ("nothing.json", 66)):
        for job in ("show", "check", "upgrade"):
            outcome = cli("model", job, tmp_path / name, "--json")
            found = json.loads(outcome.out)
            assert (outcome.code, found["kind"], found["error"]["exit_code"]) == (code, "error", code)


def test_upgrade_rewrites_the_file_and_says_what_changed(cli, model):
    before = LogisticModel.load(model)
    outcome = cli("model", "upgrade", model)
    after = LogisticModel.load(model)
    assert outcome.code == 0
    assert outcome.out == (
        f"{model}: version 1 became 2; nothing else changed, scores keep their bits\n"
        f"digest {before.digest()} became {after.digest()}\n"
    )
    assert model.read_bytes() == DEMO.replace(b'"version": 1', b'"version": 2')
    assert after == before.upgraded()
    outcome = cli("model", "upgrade", model)
    assert (outcome.code, outcome.out) == (0, f"{model}: version 2 already, nothing changed\n")
    assert cli("model", "upgrade", model, "--quiet").out == ""


def test_upgrade_writes_another_file_and_does_not_replace_one(cli, model, tmp_path):
    other = tmp_path / "other.json"
    outcome = cli("model", "upgrade", model, "-o", other, "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["kind"], found["written"]) == (0, "model-upgrade", True)
    assert (found["path"], found["output"]) == (str(model), str(other))
    assert found["version"] == {"before": 1, "after": 2}
    assert found["digest"]["after"] == LogisticModel.load(other).digest()
    assert model.read_bytes() == DEMO
    # The same again: the file holds this already.
    assert json.loads(cli("model", "upgrade", model, "-o", other, "--json").out)["written"] is False
    other.write_text("mine")
    outcome = cli("model", "upgrade", model, "-o", other)
    assert outcome.code == 73
    assert f"{other} exists and is another file" in outcome.err
    assert "--if-exists replace" in outcome.err
    assert other.read_text() == "mine"
    assert cli("model", "upgrade", model, "-o", other, "--if-exists", "replace").code == 0
    assert LogisticModel.load(other).file.version == 2


def test_a_file_of_the_newest_version_is_copied_as_it_is(cli, second, tmp_path):
    other = tmp_path / "other.json"
    outcome = cli("model", "upgrade", second, "-o", other)
    assert (outcome.code, outcome.out) == (0, f"{second}: version 2 already, nothing changed; copied to {other}\n")
    assert other.read_bytes() == second.read_bytes()


def test_a_link_to_the_model_is_the_model_itself(cli, model, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(model)
    assert cli("model", "upgrade", model, "-o", link).code == 0
    assert link.is_symlink()
    assert LogisticModel.load(model).file.version == 2


def test_nothing_is_written_of_a_file_that_is_not_valid(cli, tmp_path):
    broken = tmp_path / "broken.json"
    text = DEMO.decode().replace('"intercept"', '"intercpt"')
    broken.write_text(text)
    outcome = cli("model", "upgrade", broken, "-o", tmp_path / "new.json")
    assert outcome.code == 65
    assert 'unknown key "intercpt"' in outcome.err
    assert broken.read_text() == text
    assert not (tmp_path / "new.json").exists()


def test_a_run_with_the_upgraded_file_writes_the_same_scores(cli, model, tmp_path):
    flights = ROOT / "sample_data" / "flights.csv"
    upgraded = tmp_path / "upgraded.json"
    assert cli("model", "upgrade", model, "-o", upgraded).code == 0
    first, second = tmp_path / "first", tmp_path / "second"
    for path, output in ((model, first), (upgraded, second)):
        pipeline.score(flights, path, output, scheduler="sync", raw_prediction=True, keep="flight_id")
    tables = [pq.read_table(output) for output in (first, second)]
    assert tables[0].num_rows == 19_811
    assert tables[0].equals(tables[1])
