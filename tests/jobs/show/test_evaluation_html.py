"""``--html`` of ``evaluate``: the report has the measures, their curves and the groups, and never hides a limit."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.show.measured_html import calibration_drawing
from pipeline.evaluation.results import CalibrationBin
from pipeline.pages import Page, page_text
from tests.html_pages.parsing import ParsedPage, check_page_is_sound
from tests.jobs.conftest import Outcome
from tests.measuring.observed import model_file, observed

Call = Callable[..., Outcome]

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")

COLUMN = ("--target", "y", "--probability", "p")


@pytest.fixture
def one_class(tmp_path: Path) -> Path:
    """Write rows of one class: their report has one picture alone."""
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"y": [1, 1, 1, 1], "p": [0.2, 0.4, 0.6, 0.8]}), file)
    return file


def read(file: Path) -> ParsedPage:
    page = ParsedPage(file.read_text(encoding="utf-8"))
    check_page_is_sound(page)
    return page


def test_the_report_has_accounts_measures_curves_and_groups_of_both_models(cli: Call, tmp_path: Path) -> None:
    data, file = tmp_path / "in.parquet", tmp_path / "report.html"
    table = observed(600)
    lacking = table.slice(0, 1).set_column(0, "x0", pa.array([None], pa.float64()))
    pq.write_table(pa.concat_tables([table, lacking]), data)
    models = [model_file(tmp_path, f"{name}.json", intercept=value) for name, value in (("a<b>", -0.4), ("c", 0.3))]
    words = (
        "evaluate",
        data,
        "--target",
        "y",
        "-m",
        models[0],
        "-m",
        models[1],
        "--by",
        "region",
        "--threshold",
        "0.5",
    )
    outcome = cli(*words, "--json", "--html", file)
    assert (outcome.code, outcome.err.splitlines()[-1]) == (0, f"report: {file}")
    page = read(file)
    facts = page.facts()
    assert page.text_of("h1") == ["Evaluation of y"]
    assert (facts["read"], facts["used"], facts["model"]) == (["601"], ["600"], [", ".join(map(str, models))])
    dropped = [values for name, values in facts.items() if name.startswith(("dropped", "of the dropped, without"))]
    assert dropped == [["1"], ["1"]]
    assert facts["options"] == ["--by region", "--threshold 0.5"]
    assert [text for level, text in page.headings if level == 3] == [
        *("Measures", "ROC curve", "Precision and recall", "Lift", "Calibration curve"),
        *(f"Probabilities by class, {name}.json" for name in ("a<b>", "c")),
        *(
            f"{title}, {model}"
            for model in models
            for title in ("Rows at thresholds", "Rows with the highest scores", "Calibration")
        ),
        "By region",
    ]
    assert len(page.drawings) == 6
    found = json.loads(outcome.out)
    areas = [found[name]["auc"] for name in ("measures", "challenger")]
    told = page.text_of("desc")[0]
    assert told.startswith(f"AUC {areas[0]:.4g} (a<b>.json); AUC {areas[1]:.4g} (c.json). ")
    assert f"{areas[0]:.6g}" in page.text_of("td")
    assert {"second minus first", "north", "south", "west", "missing"} <= set(page.text_of("th"))
    assert {"a<b>.json", "c.json"} <= set(page.text_of("text"))


def test_one_class_alone_has_no_curves_of_ranks_and_states_have_a_report_too(
    cli: Call, one_class: Path, tmp_path: Path
) -> None:
    state, file = tmp_path / "rows.state", tmp_path / "report.html"
    assert cli("evaluate", one_class, *COLUMN, "--state", state, "-q").code == 0
    assert cli("evaluate", "--merge", state, "--html", file, "-q").code == 0
    page = read(file)
    assert (page.facts()["read"], page.facts()["scored by"]) == (["4"], ["p"])
    assert len(page.drawings) == 1
    assert any("rows are positives" in text for text in page.text_of("li"))


def test_a_measure_below_its_limit_has_its_report(cli: Call, one_class: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    outcome = cli("evaluate", one_class, *COLUMN, "--fail-under", "mean_probability=0.9", "--html", file, "-q")
    assert (outcome.code, file.exists()) == (3, True)
    assert outcome.err.startswith("error: mean_probability is 0.5")


def test_a_report_that_fails_hides_neither_the_limit_nor_itself(
    cli: Call, one_class: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.html"

    def taken(page: Page) -> str:
        file.write_text("mine")
        return page_text(page)

    # Somebody writes the file while the report is made.
    monkeypatch.setattr("pipeline.pages.writing.page_text", taken)
    for limit, code in ((0.9, 3), (0.1, 73)):
        outcome = cli("evaluate", one_class, *COLUMN, "--fail-under", f"mean_probability={limit}", "--html", file)
        assert outcome.code == code
        assert "exists and is not a report of logitstream" in outcome.err
        assert "mean probability" in outcome.out
        assert file.read_text() == "mine"
        file.unlink()


def test_a_band_of_chance_is_drawn_where_it_is_known() -> None:
    with_errors = (CalibrationBin(10, 10.0, 0.2, 0.3, 0.1), CalibrationBin(10, 10.0, 0.7, 0.6, 0.1))
    weighted = (CalibrationBin(10, 7.5, 0.2, 0.3, None),)
    assert "95 of 100 points" in calibration_drawing([("m", with_errors)], "ECE 0.1.").description
    assert "95 of 100 points" not in calibration_drawing([("m", weighted)], "ECE 0.1.").description
