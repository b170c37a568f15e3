"""``--html`` of ``score`` and ``fit``: what the report says, when it is written, and what a failure leaves."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import pipeline
from jobs.cli import group
from jobs.running import _write_html
from jobs.show.html import write_html
from jobs.show.score_html import score_page
from pipeline.errors import OutputError
from pipeline.pages import Page
from pipeline.types.features import FeatureWarning
from tests.html_pages.parsing import ParsedPage, check_page_is_sound
from tests.jobs.conftest import Outcome
from tests.report.test_report_text import REPORT

Call = Callable[..., Outcome]

SAMPLE = Path(__file__).resolve().parents[3] / "sample_data"
MODEL = SAMPLE / "delay_model.json"
FITTED = (
    *("--target", "late", "--missing-target", "drop", "--missing", "drop"),
    *("--features", "dep_delay, distance", "-q"),
)

with_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")


def read(file: Path) -> ParsedPage:
    page = ParsedPage(file.read_text(encoding="utf-8"))
    check_page_is_sound(page)
    return page


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the first flights of the sample, one of them with a name that a page must not act on."""
    folder = tmp_path_factory.mktemp("<script>alert(1)<", numbered=False)
    first = (SAMPLE / "flights.csv").read_text().splitlines(keepends=True)[:1_000]
    file = folder / "script>.csv"
    file.write_text("".join(first))
    return file


def test_a_score_has_a_report_that_balances(cli: Call, tmp_path: Path, rows: Path) -> None:
    out, file = tmp_path / "scores", tmp_path / "report.html"
    words = ("score", rows, "--model", MODEL, "--output", out, "--keep", "flight_id,carrier", "--html", file)
    outcome = cli(*words)
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[-1] == f"report: {file}"
    page = read(file)
    facts = page.facts()
    assert page.text_of("h1") == ["Scores: scores"]
    assert (facts["input"], facts["model"], facts["output"]) == ([str(rows)], [str(MODEL)], [str(out)])
    assert facts["options"] == ["--keep flight_id, carrier"]
    assert datetime.strptime(facts["report made"][0], "%Y-%m-%d %H:%M %Z").year >= 2026
    assert facts["versions"][0].startswith(f"logitstream {pipeline.__version__}, Python ")
    counts = [int(facts[name][0]) for name in ("scored", "null", "NaN", "quarantined")]
    assert int(facts["read"][0]) == sum(counts) == 999
    assert {"script>.csv", "flight_id", "probability"} <= set(page.text_of("th"))
    assert facts["published"] == ["by this run"]
    again = cli(*words, "-q")
    assert (again.code, again.out, again.err) == (0, "", "")
    assert read(file).facts()["published"] == ["before this run, which had nothing to do"]


def test_warnings_are_first_and_notes_have_their_place() -> None:
    warning = FeatureWarning("unseen", "c", 5, 10, "c: 5 of 10 values are <unknown>")
    with click.Context(group, info_name="logitstream") as above:
        command = group.get_command(above, "score")
        assert command is not None
        words = ["a", "b", "--model", "m.json", "--output", "s"]
        with command.make_context("score", words, parent=above) as context:
            page = score_page(replace(REPORT, warnings=(warning,)), context.params)
    assert page.ran[:5] == (
        ("command", "logitstream score"), ("input", "a"), ("input", "b"), ("model", "m.json"), ("output", "s"),
    )  # fmt: skip
    assert page.warnings == ("c: 5 of 10 values are <unknown>",)
    assert page.notes == ("a note", "batch lowered from 131,072 rows")
    assert dict(page.accounts)["missing values"] == "dep_delay 499"


@pytest.mark.parametrize("job", ["plan", "score"])
def test_a_plan_writes_no_report_but_refuses_one(cli: Call, tmp_path: Path, rows: Path, job: str) -> None:
    out, file = tmp_path / "scores", tmp_path / "report.html"
    words = (job, rows, "--model", MODEL, "--output", out, *(() if job == "plan" else ("--dry-run",)))
    assert cli(*words, "--html", file).code == 0
    assert not file.exists()
    file.write_text("mine")
    for name, code in (("report.html", 73), ("report.txt", 2), ("scores/report.html", 2), ("none/report.html", 73)):
        assert cli(*words, "--html", tmp_path / name).code == code, name
    assert file.read_text() == "mine"


def test_without_the_extra_nothing_is_done(
    cli: Call, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    out, model, file = tmp_path / "scores", tmp_path / "m.json", tmp_path / "report.html"
    for words in (("score", rows, "--model", MODEL, "--output", out), ("fit", rows, *FITTED, "-o", model)):
        outcome = cli(*words, "--html", file)
        assert outcome.code == 78
        assert outcome.err == "error: jinja2 is not installed\npip install 'logitstream[report]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_the_former_report(cli: Call, tmp_path: Path, rows: Path) -> None:
    out, file = tmp_path / "scores", tmp_path / "report.html"
    words = ("score", rows, "--model", MODEL, "--output", out, "--html", file, "-q")
    assert cli(*words).code == 0
    before = file.read_bytes()
    assert cli(*words, "--raw-prediction").code == 73
    assert file.read_bytes() == before


@with_matplotlib
def test_a_fit_has_a_report_with_its_coefficients(cli: Call, tmp_path: Path, rows: Path) -> None:
    file = tmp_path / "fit.html"
    outcome = cli(
        "fit", rows, *FITTED, "--path", "3", "--l2", "1", "--holdout", "20%", "-o", tmp_path / "m.json", "--html", file
    )
    assert outcome.code == 0, outcome.err
    page = read(file)
    facts = {label: texts[0] for label, texts in page.facts().items()}
    assert page.text_of("h1") == ["Fit of late"]
    assert facts["features"] == "dep_delay, distance"
    assert set(page.facts()["options"]) == {
        "--missing-target drop", "--missing drop", "--l2 1.0", "--path 3", "--holdout 20%",
    }  # fmt: skip
    counts = [int(facts[name].replace(",", "")) for name in ("used", "held out", "dropped", "bad", "without target")]
    assert int(facts["read"].replace(",", "")) == sum(counts)
    assert facts["converged"].startswith("yes: ")
    assert page.headings[-5:] == [
        (3, "Coefficients, drawn"), (3, "Each coefficient"), (2, "Penalties tried"), (3, "Log loss by penalty"),
        (3, "Each penalty, with its log loss on rows left out"),
    ]  # fmt: skip
    assert len(page.drawings) == 2
    assert any(text.startswith("2 coefficients; the largest is ") for text in page.text_of("desc"))


@with_matplotlib
def test_intervals_are_counted_in_words(cli: Call, tmp_path: Path, rows: Path) -> None:
    file = tmp_path / "fit.html"
    assert cli("fit", rows, *FITTED, "--effects", "--html", file).code == 0
    page = read(file)
    (told,) = page.text_of("desc")
    assert " 2 of 2 intervals of 95 % do not contain 0. " in told
    assert "Average marginal effects on the probability" in page.text_of("h3")


@with_matplotlib
def test_where_the_report_of_a_fit_cannot_be_written_the_model_stays(cli: Call, tmp_path: Path, rows: Path) -> None:
    model, file = tmp_path / "m.json", tmp_path / "fit.html"
    words = ("fit", rows, *FITTED, "-o", model, "--json", "--scratch", "none", "--html", file)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
    try:
        outcome = cli(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.code == 74
    assert outcome.err.startswith(f"error: cannot write {file}: File too large; the model file was already written\n")
    # What was done is told to programs, too.
    assert '"kind": "fit"' in outcome.out
    assert pipeline.LogisticModel.load(model).features
    assert not file.exists()


def test_a_report_that_cannot_be_written_says_what_was_done(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.mkdir()
    with pytest.raises(OutputError, match="is a folder") as caught:
        write_html(Page("A page", ()), str(file), "the output was already published")
    assert caught.value.__notes__ == ["the output was already published"]


def test_a_run_that_left_the_output_to_another_one_writes_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.html"
    _write_html(replace(REPORT, published=False, skipped="another run holds scores"), {"html": str(file)})
    assert capsys.readouterr().err == "no report was written: nothing was done\n"
    assert not file.exists()


def test_transform_has_no_report(cli: Call, tmp_path: Path) -> None:
    outcome = cli("transform", "x.csv", "--apply", "p=sigmoid(x)", "--output", "o", "--html", tmp_path / "r.html")
    assert outcome.code == 2
    assert "--html" in outcome.err
