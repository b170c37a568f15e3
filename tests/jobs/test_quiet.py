"""``-q``: what was asked for and errors, and nothing else."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
MODEL = SAMPLE / "delay_model.json"


@pytest.fixture
def world(cli, tmp_path, monkeypatch):
    """Stay in a folder with an input, a published output of it and its previous version."""
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("x\n1\n2\n")
    for limit in ("1", "2"):
        words = ("in.csv", "--apply", "p=sigmoid(x)", "-o", "out", "--limit", limit, "--if-exists", "replace")
        assert cli("transform", *words, "-q").code == 0
    return tmp_path


SILENT = (
    ("score", SAMPLE / "flights", "-m", MODEL, "-o", "scores"),
    ("transform", "in.csv", "--apply", "p=sigmoid(x)", "-o", "more"),
    ("verify", "out"),
    ("rollback", "out"),
    ("runs", "clean", "out", "--versions"),
    ("runs", "clean", "out", "--stopped"),
    ("model", "check", MODEL),
    ("plot", "sigmoid", "-o", "f.svg"),
)


@pytest.mark.parametrize("words", SILENT, ids=lambda words: " ".join(map(str, words[:2])))
def test_a_command_that_did_what_it_should_is_silent(cli, world, words):
    if words[0] == "plot" and find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    outcome = cli(*words, "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


ASKED = (
    ("plan", SAMPLE / "flights", "-m", MODEL, "-o", "scores"),
    ("inspect", "in.csv"),
    ("inspect", "in.csv", "--json"),
    ("verify", "out", "--json"),
    ("rollback", "out", "--json"),
    ("runs", "list"),
    ("runs", "show", "out"),
    ("runs", "clean", "out", "--versions", "--dry-run"),
    ("runs", "clean", "out", "--versions", "--json"),
    ("model", "show", MODEL),
    ("bench", "functions", "sigmoid", "--size", "1000", "--rounds", "1"),
    ("diagnose", "initialisation", "--depth", "3", "--seeds", "2"),
)


@pytest.mark.parametrize("words", ASKED, ids=lambda words: " ".join(map(str, words[:2])))
def test_what_was_asked_for_is_shown_all_the_same(cli, world, words):
    outcome = cli(*words, "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out


def test_errors_and_what_differs_are_shown_all_the_same(cli, world):
    assert cli("verify", "none", "-q").err.startswith("error: there is no output none")
    next(Path("out").glob("part-*")).unlink()
    outcome = cli("verify", "out", "-q")
    assert outcome.code == 3
    assert "missing" in outcome.out
    assert outcome.err.startswith("error: out is not what was published: 1 difference\n")


def test_a_demonstration_shows_its_results_alone(cli, tmp_path):
    outcome = cli("demo", "-o", tmp_path / "demo", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out


def test_verify_tells_a_changed_input_from_a_changed_output(cli, world):
    os.utime("in.csv", ns=(1, 1))
    assert cli("verify", "out").code == 0
    outcome = cli("verify", "out", "--inputs")
    assert outcome.code == 3
    assert outcome.err.splitlines()[0] == "error: the output out is as published; 1 input has changed since"
    assert "in.csv" in outcome.out
    found = json.loads(cli("verify", "out", "--inputs", "--json").out)
    assert (found["holds"], found["as_published"], found["inputs_changed"]) == (False, True, 1)
    assert [each["of_input"] for each in found["differences"]] == [True]
    next(Path("out").glob("part-*")).unlink()
    outcome = cli("verify", "out", "--inputs")
    assert outcome.err.splitlines()[0] == (
        "error: out is not what was published: 1 difference; 1 input has changed since"
    )
    found = json.loads(cli("verify", "out", "--inputs", "--json").out)
    assert (found["as_published"], found["inputs_changed"]) == (False, 1)
