"""The benchmark of fits checks what is promised, and runs from end to end at a small scale."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import fit
from tests.benchmarks.fit import Took
from tests.benchmarks.meter import Measured

CASE = replace(fit.CASES["FIT2"], most_passes=3, later_over_first=0.5)
MEMORY = 100


def _took(seconds: float, peak: int = 90, passes: tuple[float, ...] = (1.0, 0.5, 0.25), **others: Any) -> Took:
    run = Measured(seconds, seconds, peak, 0, "", "", 0)
    return Took(others.get("gradient"), [run], [{"passes": len(passes), "pass_seconds": passes}])


def _missed(ours: Took) -> set[str]:
    took = {"logitstream": ours, "glum": Took(None, _took(10.0).runs)}
    return {target.name for target in fit.targets(CASE, took, MEMORY) if not target.is_met}


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        pytest.param(_took(4.0, gradient=1e-8), set(), id="all met"),
        pytest.param(_took(4.1), {"wall / glum"}, id="slow"),
        pytest.param(_took(4.0, peak=101), {"peak / --memory"}, id="large"),
        pytest.param(_took(4.0, gradient=2e-7), {"gradient"}, id="not the optimum"),
        pytest.param(_took(4.0, passes=(1.0, 0.1, 0.1, 0.1)), {"passes"}, id="many passes"),
        pytest.param(_took(4.0, passes=(1.0, 0.1, 0.6)), {"slowest later pass / first"}, id="slow later passes"),
    ],
)
def test_a_promise_about_fits_can_break(ours: Took, missed: set[str]) -> None:
    assert _missed(ours) == missed


@pytest.mark.parametrize(
    "name",
    ["FITCSV", *(pytest.param(name, marks=pytest.mark.slow) for name in fit.CASES if name != "FITCSV")],
)
def test_a_case_of_fits_prints_what_is_promised(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    waived = [word for peer in ("glum", "scikit-learn", "polars-ds") for word in ("--without", peer)]
    results = tmp_path / "results.json"
    fit.main([str(tmp_path), "--case", name, "--scale", "0.002", "--runs", "1", *waived, "--json", str(results)])
    found = json.loads(results.read_text())[name]
    assert len(found["pass_seconds"]) == found["passes"] > 1
    assert all(seconds > 0 for seconds in found["pass_seconds"])
    assert found["contenders"]["logitstream"]["is_optimum"] is (None if name == "LEVELS" else True)
    case = fit.CASES[name]
    names = {target["name"] for target in found["targets"]}
    assert ("passes" in names) == (case.most_passes is not None)
    assert ("slowest later pass / first" in names) == (case.later_over_first is not None)
    shown = capsys.readouterr().out
    for target in found["targets"]:
        assert f"{'met' if target['is_met'] else 'MISSED':6} {target['name']} " in shown
