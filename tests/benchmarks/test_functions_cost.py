"""The limits of what functions cost, as they are checked."""

from __future__ import annotations

import json

import pytest

from pipeline.bench import ONE_LINER_OUT, SCIPY
from pipeline.registry import FUNCTIONS
from tests.benchmarks import functions


def test_every_function_has_its_limits_and_a_missed_one_ends_with_3(tmp_path, capsys, monkeypatch) -> None:
    words = ["--check", "--size", "2000", "--rounds", "1", "--output", str(tmp_path / "functions.json")]
    monkeypatch.setattr(functions, "LIMIT", 1e-9)
    assert functions.main(words) == functions.PAST_A_LIMIT
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split(":")[0] for line in lines if "extra memory" in line] == list(FUNCTIONS)
    assert sum("MISSED" in line for line in lines) >= len(FUNCTIONS) - len(functions.OTHER_LIMITS)
    found = json.loads((tmp_path / "functions.json").read_text())["functions"]
    assert list(found) == list(FUNCTIONS)


def test_what_was_not_measured_is_missed() -> None:
    assert not functions.Checked("x", None, 1).is_met
    assert functions.Checked("x", 0.5, 0.5).is_met
    assert "MISSED" in str(functions.Checked("x", 0.51, 0.5))


def test_the_sigmoid_is_held_against_scipy_and_the_article() -> None:
    assert functions.OTHER_LIMITS["sigmoid"] == {SCIPY: 0.4, ONE_LINER_OUT: 0.7}
    assert pytest.approx(1.05) == functions.LIMIT
