"""``--html`` of ``calibrate``: the report has the accounts, the calibration, and both curves."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.evaluation.calibrating.rows import drawn_rows, model_of_raw, rows_file
from tests.html_pages.parsing import ParsedPage, check_page_is_sound
from tests.jobs.conftest import Outcome

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")


def test_the_report_has_both_curves_and_rows_that_balance(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    data, file, out = rows_file(tmp_path, *drawn_rows(1, 500)), tmp_path / "report.html", tmp_path / "out.json"
    words = ("calibrate", data, "--model", model_of_raw(tmp_path), "--target", "y", "--method", "platt")
    outcome = cli(*words, "--holdout", "20%", "-o", out, "--html", file)
    assert (outcome.code, outcome.err.splitlines()[-1]) == (0, f"report: {file}")
    page = ParsedPage(file.read_text(encoding="utf-8"))
    check_page_is_sound(page)
    facts = page.facts()
    assert page.text_of("h1") == ["Calibration for y"]
    assert (facts["model"], facts["output"]) == ([str(tmp_path / "model.json")], [str(out)])
    assert facts["options"] == ["--method platt", "--holdout 20%"]
    counts = [int(facts[name][0]) for name in ("used", "held out", "dropped", "bad", "without target")]
    assert int(facts["read"][0]) == sum(counts) == 500
    assert facts["method"][0].startswith("platt: slope ")
    assert page.headings[-3:] == [(2, "The calibration"), (3, "Before and after"), (3, "Calibration curve")]
    assert {"before", "after", "right"} <= set(page.text_of("text"))
    (told,) = page.text_of("desc")
    assert told.startswith("ECE ")
    for name in ("m.txt", "out.json"):
        assert cli(*words, "-o", out, "--html", tmp_path / name).code == 2
