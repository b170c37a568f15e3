"""``diagnose`` from end to end: a table, a sentence for each initialisation, JSON and a picture."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
COMMAND = ("diagnose", "initialisation")


def test_the_experiment_is_a_table_and_sentences(cli):
    outcome = cli(*COMMAND)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "10 layers of 10 units, sigmoid; 25 seeds, 100 random rows each"
    rows = [line.split() for line in lines[4:]]
    assert sum(row[:1] == ["10"] and len(row) == 7 for row in rows) == 3
    assert max(map(len, lines)) <= 100
    text = " ".join(outcome.out.split())
    assert "A unit is saturated in a row where the slope of its function is less than 0.19 of the largest" in text
    assert "where its value is less than 0.05 or more than 0.95" in text
    assert "glorot with gain 1: the error signal vanishes. Layer 1, next to the input, gets 1.6e-06 of what" in text
    assert "glorot with gain 4: the error signal fades." in text
    assert text.endswith("Larger weights saturate more units.")
    assert not any(line.startswith("%") for line in lines)


def test_options_reach_the_experiment(cli):
    words = ("--width", "6", "--depth", "4", "--seeds", "3", "--function", "relu", "--initialisation", "he")
    found = json.loads(cli(*COMMAND, *words, "--gain", "0.5", "--json").out)
    assert (found["width"], found["depth"], found["seeds"], found["function"]) == (6, 4, 3, "relu")
    (stack,) = found["stacks"]
    assert (stack["initialisation"], stack["gain"], len(stack["layers"])) == ("he", 0.5, 4)
    text = cli(*COMMAND, *words, "--seeds", "1").out
    assert text.startswith("4 layers of 6 units, relu; 1 seed, 100 random rows each\n")
    assert "or more than 0.95" not in text


def test_the_environment_may_say_it(cli, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_DIAGNOSE_INITIALISATION_DEPTH", "3")
    assert cli(*COMMAND, "--seeds", "1").out.startswith("3 layers of 10 units")
    monkeypatch.setenv("LOGITSTREAM_DIAGNOSE_INITIALISATION_DEPTH", "1")
    outcome = cli(*COMMAND)
    assert outcome.code == 78
    assert "'1' is not a whole number of at least 2" in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--function", "softmax"), 2, "'softmax' is not one of"),
        (("--initialisation", "xavier"), 2, "'xavier' is not one of"),
        (("--depth", "1"), 2, "'1' is not a whole number of at least 2"),
        (("--gain", "0"), 2, "'0' is not a number above 0"),
        (("--gain", "1e300"), 2, "gain is 1e+300: it must be above 0, and at most 1e+100"),
        (("--initialisation", "normal", "--gain", "2"), 2, "normal weights have no gain: their deviation is 0.5"),
        (("--width", "10000000"), 71, "10 layers of 10,000,000 units need"),
        (("--plot", "o.gif"), 2, "ends neither in .svg nor in .png"),
        (("--plot", "none/o.svg"), 73, "its folder does not exist"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(cli, tmp_path, monkeypatch, words, code, said):
    if "none/o.svg" in words and find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    outcome = cli(*COMMAND, *words)
    assert outcome.code == code
    assert said in outcome.err
    assert list(tmp_path.iterdir()) == []


@needs_matplotlib
def test_the_picture_is_a_file_of_the_same_bytes_each_time(cli, tmp_path):
    pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for picture in pictures:
        assert cli(*COMMAND, "--seeds", "2", "--plot", picture).code == 0
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert pictures[0].read_bytes().startswith(b"<?xml")
