"""The dialect of a CSV is given on the command line, in a file or in the environment."""

from __future__ import annotations

import json

import pytest

MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.5,
    "features": [{"column": "x", "kind": "numeric", "coefficient": 1.0}],
}
GIVEN = {"quote": "'", "escape": "\\", "skip-lines": "1", "comment": "#"}
EFFECTIVE = {"delimiter": ",", "quote": "'", "escape": "\\", "skip_lines": 1, "comment": "#"}


@pytest.fixture
def words(tmp_path):
    (tmp_path / "in.csv").write_text("made by hand\n# in 2024\nx,k\n1,'5\\' pipe'\n")
    (tmp_path / "m.json").write_text(json.dumps(MODEL))
    return (tmp_path / "in.csv", "--model", tmp_path / "m.json", "--output", tmp_path / "out", "--keep", "k")


def stated(outcome) -> dict[str, object]:
    assert outcome.code == 0, outcome.err
    csv = json.loads(outcome.out)["csv"]
    return {name: csv[name] for name in EFFECTIVE}


def test_plan_lists_the_effective_dialect_however_it_was_given(cli, words, tmp_path, monkeypatch):
    options = [word for name, value in GIVEN.items() for word in (f"--{name}", value)]
    assert stated(cli("plan", *words, "--json", *options)) == EFFECTIVE
    lines = (f"{name} = {value if value.isdigit() else json.dumps(value)}\n" for name, value in GIVEN.items())
    (tmp_path / "job.toml").write_text("[score]\n" + "".join(lines))
    assert stated(cli("plan", *words, "--json", "--config", tmp_path / "job.toml")) == EFFECTIVE
    for name, value in GIVEN.items():
        monkeypatch.setenv(f"LOGITSTREAM_SCORE_{name.upper().replace('-', '_')}", value)
    assert stated(cli("plan", *words, "--json")) == EFFECTIVE
    assert stated(
        cli("plan", *words, "--json", "--escape", "none", "--comment", "", "--skip-lines", 2)
    ) == EFFECTIVE | {
        "escape": "",
        "comment": "",
        "skip_lines": 2,
    }
    assert cli("score", *words, "-q").code == 0
    assert json.loads(cli("inspect", words[0], "--full", "--json", *options).out)["rows"] == 1


@pytest.mark.parametrize("quote", ["none", ""])
def test_without_a_quote(cli, words, quote, tmp_path):
    assert stated(cli("plan", *words, "--json", "--quote", quote, "--skip-lines", 2))["quote"] == ""
    (tmp_path / "job.toml").write_text(f'[score]\nquote = "{quote}"\nskip-lines = 2\n')
    assert stated(cli("plan", *words, "--json", "--config", tmp_path / "job.toml"))["quote"] == ""
