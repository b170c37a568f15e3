"""What ``fit`` shows of a report and of a plan, on a terminal and as JSON."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from jobs.show import console
from jobs.show.fits import draw_fit, emit_fit, emit_fit_plan, pass_line, watch_fit
from pipeline.fitting.report import (
    CoefficientRow,
    EffectRow,
    FitMeasures,
    FitPlan,
    FitReport,
    PassDone,
    PenaltyTried,
)
from pipeline.models import LogisticModel
from pipeline.types.report import Noted

MODEL = LogisticModel.from_json(
    json.dumps(
        {
            "format": "logitstream-model",
            "version": 1,
            "kind": "logistic",
            "intercept": -1.5,
            "features": [{"column": "distance", "kind": "numeric", "coefficient": 0.1 + 0.2}],
        }
    )
)
REPORT = FitReport(
    model=MODEL,
    output="fitted.json",
    rows={"read": 1_250, "used": 1_000, "held_out": 200, "dropped": 30, "bad": 15, "without_target": 5},
    coefficients=(
        CoefficientRow("(intercept)", None, None, -1.5, 0.25, -6.0, 1.97e-9, -1.99, -1.01),
        CoefficientRow("distance", None, None, 0.1 + 0.2, 0.1, 3.0, 0.0027, 0.104, 0.496, 1.25),
        CoefficientRow("C(carrier)", "AA", None, 0.0, note="reference"),
        CoefficientRow("C(carrier)", "U\x1bA", None, 0.5, 0.125, 4.0, 6.3123e-5, 0.255, 0.745),
    ),
    measures=FitMeasures(0.5, 1_000.0, 1_100.0, 100.0, 2e-20, 2, 1_006.0, 1_020.7, 1 / 11, 0.51),
    certificate={
        "converged": True,
        "reason": "the step is below its limits",
        "decrement": 1.5e-19,
        "largest_step": 2e-10,
        "gradient": 3e-12,
        "passes": 5,
    },
    passes=6,
    pass_seconds=(None, 0.5, 0.25, 0.1234567, 0.125, 0.125),
    seconds=1.25,
    peak_bytes=200 * 2**20,
    notes=("speed is left out: it is 2 * distance",),
)


def test_a_pass_is_a_line_with_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert pass_line(PassDone(1, "learn", 1_250, 0.5)) == "pass 1 (learn): 1,250 rows in 0.50 s"
    done = PassDone(3, "fit", 1_000, 61.0, 12, 0.123456789012, 1.5e-19, 3.2e-12)
    assert pass_line(done) == (
        "pass 3 (fit): objective 0.123456789, decrement 1.5e-19, gradient 3.2e-12, 12 models, 1,000 rows in 1 min 01 s"
    )
    watch = watch_fit()
    for event in (done, Noted("levels are pooled", warning=False), Noted("levels are pooled", warning=False)):
        watch(event)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [pass_line(done), "note: levels are pooled"]


def test_of_very_many_passes_some_have_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    watch = watch_fit()
    for number in range(1, 1_251):
        watch(PassDone(number, "fit", 9, 0.1))
    numbers = [int(line.split()[1]) for line in capsys.readouterr().err.splitlines()]
    assert numbers == [*range(1, 100), *range(100, 1_000, 10), *range(1_000, 1_250, 100)]


def test_quietly_only_warnings_that_no_silence_may_hide_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with console.quietly():
        watch = watch_fit()
        for event in (PassDone(1, "learn", 9, 0.1), Noted("a"), Noted("b", always=True)):
            watch(event)
    assert capsys.readouterr() == ("", "warning: b\n")


PLAN = FitPlan(
    files=3,
    rows=1_000,
    rows_estimated=True,
    columns=(("distance", "number", 1), ("C(carrier)", "levels", None)),
    width=16,
    bytes_first=4 * 2**20,
    bytes_pass=2**20,
    held="memory",
    held_bytes=2**20,
    projected_bytes=200 * 2**20,
    allowed_bytes=2**30,
    workers=2,
    passes=5,
    solver="newton",
    notes=("12 penalties share a pass",),
)


def shown(capsys: pytest.CaptureFixture[str], report: FitReport, *, all_digits: bool = False) -> list[str]:
    capsys.readouterr()
    emit_fit(report, all_digits=all_digits, as_json=False)
    return capsys.readouterr().out.splitlines()


def test_a_fit_shows_its_accounts_its_certificate_and_how_well_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    emit_fit(REPORT, all_digits=False, as_json=False)
    said = capsys.readouterr()
    facts = dict(line.split("  ", 1) for line in said.out.split("\n\n")[0].splitlines())
    assert {name: text.strip() for name, text in facts.items()} == {
        "model": "fitted.json",
        "rows": "1,250 read = 1,000 used + 200 held out + 30 dropped + 15 bad + 5 without target",
        "converged": "yes: squared decrement 1.5e-19, largest step 2e-10, largest gradient 3e-12",
        "log loss": "0.5",
        "held-out log loss": "0.51",
        "deviance": "1000",
        "null deviance": "1100",
        "likelihood ratio": "100, 2 degrees of freedom, p 2e-20",
        "AIC": "1006",
        "BIC": "1020.7",
        "McFadden's R2": "0.090909091",
    }
    assert said.err == "6 passes in 1.25 s; peak memory 200 MiB\n"


def test_coefficients_are_a_table_in_which_nothing_acts_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, REPORT)
    at = next(number for number, line in enumerate(lines) if line.startswith("feature"))
    assert lines[at].split() == ["feature", "level", "coefficient", "error", "z", "p", "low", "high", "VIF", "note"]
    assert [line.split() for line in lines[at + 2 :]] == [
        ["(intercept)", "-1.5", "0.25", "-6", "1.97e-09", "-1.99", "-1.01"],
        ["distance", "0.3", "0.1", "3", "0.0027", "0.104", "0.496", "1.25"],
        ["C(carrier)", "AA", "0", "reference"],
        ["C(carrier)", r"U\x1bA", "0.5", "0.125", "4", "6.312e-05", "0.255", "0.745"],
    ]
    lines = shown(capsys, REPORT, all_digits=True)
    assert "McFadden's R2      0.09090909090909091" in lines
    exact = [line.split() for line in lines if line.startswith("distance")]
    assert exact == [["distance", "0.30000000000000004", "0.1", "3.0", "0.0027", "0.104", "0.496", "1.25"]]


def test_levels_that_are_blank_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    rows = tuple(CoefficientRow("C(c)", level, None, 0.5) for level in ("", " ", "\u3000", "AA ", 'A "B"'))
    lines = shown(capsys, replace(REPORT, coefficients=rows))
    assert [line.removeprefix("C(c)").removesuffix("0.5").strip() for line in lines[-5:]] == [
        '""', '" "', r'"\u3000"', '"AA "', 'A "B"',
    ]  # fmt: skip
    assert 'C(c) "" ' in repr(replace(REPORT, coefficients=rows))


def test_a_fit_with_a_penalty_has_no_columns_of_errors(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (CoefficientRow("x", None, "late", 0.5), CoefficientRow("x", None, "early", 0.25))
    report = replace(REPORT, coefficients=rows, measures=FitMeasures(0.5, 1_000.0), certificate={"converged": True})
    lines = shown(capsys, report)
    assert [line.split() for line in lines[-4:] if line[:1] != "─"] == [
        ["feature", "class", "coefficient"], ["x", "late", "0.5"], ["x", "early", "0.25"],
    ]  # fmt: skip
    assert "converged  yes" in lines
    assert not [line for line in lines if line.startswith(("AIC", "likelihood", "null"))]


def test_effects_information_values_and_the_path_have_tables_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    report = replace(
        REPORT,
        effects=(EffectRow("distance", None, None, 0.01, 0.001, 10.0, 1e-20, 0.008, 0.012),),
        bins={"B(age, bins=20)": 0.33},
        path=(PenaltyTried(0.0, 1.0, 0.6, 0.01, 3, chosen=False), PenaltyTried(0.0, 0.1, 0.5, 0.02, 4, chosen=True)),
    )
    text = "\n".join(shown(capsys, report))
    tables = [[line.split() for line in part.splitlines()] for part in text.split("\n\n")[1:]]
    assert ["distance", "0.01", "0.001", "10", "1e-20", "0.008", "0.012"] in tables[2]
    assert ["B(age,", "bins=20)", "0.33"] in tables[4]
    assert tables[6][2:] == [["0", "1", "0.6", "0.01", "3"], ["0", "0.1", "0.5", "0.02", "4", "chosen"]]


def test_a_fit_that_did_not_converge_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    report = replace(REPORT, certificate={"converged": False, "reason": "the classes are separated by hour"})
    assert "converged          no: the classes are separated by hour" in shown(capsys, report)


def test_very_many_coefficients_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    rows = tuple(CoefficientRow(f"x{number}", None, None, 1.0) for number in range(1_234))
    lines = shown(capsys, replace(REPORT, coefficients=rows))
    assert lines[-2].split() == ["x999", "1"]
    assert lines[-1] == "... 234 more; --json shows all"


def test_quietly_a_model_that_was_written_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with console.quietly():
        emit_fit(REPORT, all_digits=False, as_json=False)
        assert capsys.readouterr() == ("", "")
        emit_fit(replace(REPORT, output=None), all_digits=False, as_json=False)
    said = capsys.readouterr()
    assert said.out.startswith("rows ")
    assert said.err == ""


def test_json_has_every_digit_and_no_number_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    certificate = dict(REPORT.certificate) | {"gap": math.inf, "steps": (math.nan, 1.5)}
    emit_fit(replace(REPORT, certificate=certificate), all_digits=False, as_json=True)
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (found["kind"], found["schema_version"], found["digest"]) == ("fit", 2, MODEL.digest())
    assert LogisticModel.from_json(json.dumps(found["model"])) == MODEL
    assert found["rows"] == REPORT.rows
    assert found["coefficients"][1]["value"] == 0.1 + 0.2
    assert found["coefficients"][2] == {
        "feature": "C(carrier)", "label": "AA", "output": None, "value": 0.0, "error": None, "z": None, "p": None,
        "low": None, "high": None, "variance_inflation": None, "note": "reference",
    }  # fmt: skip
    assert found["measures"]["mcfadden"] == 1 / 11
    assert (found["certificate"]["gap"], found["certificate"]["steps"]) == (None, [None, 1.5])
    assert (found["passes"], found["seconds"], found["peak_bytes"]) == (6, 1.25, 200 * 2**20)
    assert found["pass_seconds"] == [None, 0.5, 0.25, 0.123457, 0.125, 0.125]


def test_a_plan_is_shown_with_the_columns_after_coding(capsys: pytest.CaptureFixture[str]) -> None:
    emit_fit_plan(PLAN, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:8] == [
        "inputs          3 files, ~1,000 rows",
        "to read         4 MiB in the first pass, 1 MiB in each later one",
        "coefficients    at most 16",
        "passes          about 5, by newton",
        "between passes  memory, 1 MiB",
        "workers         2",
        "memory          200 MiB of the 1 GiB allowed",
        "note            12 penalties share a pass",
    ]
    assert [line.split(maxsplit=2) for line in lines[9:] if line[:1] != "─"] == [
        ["feature", "kind", "coefficients"],
        ["distance", "number", "1"],
        ["C(carrier)", "levels", "known after the first pass"],
    ]


def test_a_plan_as_json_has_exact_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    emit_fit_plan(PLAN, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "fit-plan"
    assert found["columns"][1] == {"feature": "C(carrier)", "kind": "levels", "coefficients": None}
    assert (found["bytes_first"], found["held"], found["notes"]) == (4 * 2**20, "memory", list(PLAN.notes))


def test_results_in_a_notebook_are_short_tables() -> None:
    text = repr(REPORT)
    assert text.startswith("FitReport\n  output       fitted.json\n")
    assert "1,250 read = 1,000 used" in text
    assert [line.split() for line in text.splitlines() if "distance" in line][-1] == [
        "distance",
        "0.3",
        "0.1",
        "0.0027",
    ]
    assert "\x1b" not in text
    assert "<td>C(carrier) AA</td>" in REPORT._repr_html_()
    assert "about 5, by newton" in repr(PLAN)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")
def test_the_picture_of_a_fit_has_its_coefficients_or_its_penalties(tmp_path: Path) -> None:
    draw_fit(REPORT, str(tmp_path / "fit.svg"))
    assert ET.parse(tmp_path / "fit.svg").getroot().tag.endswith("svg")
    tried = (PenaltyTried(0.0, 1.0, 0.6, 0.01, 3, chosen=False), PenaltyTried(0.0, 0.1, 0.5, 0.02, 4, chosen=True))
    draw_fit(replace(REPORT, path=tried), str(tmp_path / "path.svg"))
    assert (tmp_path / "path.svg").read_bytes() != (tmp_path / "fit.svg").read_bytes()
