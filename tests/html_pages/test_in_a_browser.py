"""Reports in headless Chromium: nothing acts, nothing is loaded, nothing is cut off, on any paper and any screen.

The pictures of what it looks like stay in the folder of the test; to look at them:

    python -m pytest -m slow tests/html_pages/test_in_a_browser.py --basetemp=FOLDER
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.drawing import Estimate, as_svg, draw_coefficients
from pipeline.pages import Page, page_text
from tests.html_pages.browser import CHROMIUM, Tab, browser
from tests.html_pages.test_page import HOSTILE, hostile_page
from tests.jobs.conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package chromium)"),
    pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)"),
]

SAMPLE = ROOT / "sample_data"
# Of a screen, of a narrow phone.
SCREEN, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}

# What a browser says of a page, as numbers and texts.
BACKGROUND = "getComputedStyle(document.documentElement).backgroundColor"
INK = "getComputedStyle(document.querySelector('h1')).color"
DRAWN = "getComputedStyle(document.querySelector('svg text')).fill"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT_OFF = (
    "[...document.querySelectorAll('h1, h2, h3, p, li, dt, dd, figcaption')]"
    ".filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent)"
)
TOPS = "[...document.querySelectorAll('figure')].map(each => each.getBoundingClientRect().top)"
SMALLEST_LETTERS = (
    "Math.min(...[...document.querySelectorAll('svg text')].map(each => each.getBoundingClientRect().height))"
)


def check_inert(tab: Tab) -> None:
    assert tab.complaints() == []
    assert all(each.startswith("file://") and each.endswith(".html") for each in tab.loaded())
    assert tab.evaluate("document.scripts.length") == 0


@pytest.fixture(params=["score", "fit", "evaluate", "calibrate"])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write a report with the command line."""
    from jobs.cli import run

    words = {
        "score": ["--model", SAMPLE / "delay_model.json", "-o", tmp_path / "scores"],
        "fit": [
            *("--target", "late", "--missing-target", "drop", "--missing", "drop", "--min-count", "50", "--effects"),
            *("--features", "dep_delay, distance, C(carrier)", "-o", tmp_path / "m.json"),
        ],
        "evaluate": [
            *("--target", "late", "--missing-target", "drop", "--model", SAMPLE / "delay_model.json"),
            *("--by", "carrier", "--threshold", "0.5"),
        ],
        "calibrate": [
            *("--target", "late", "--missing-target", "drop", "--model", SAMPLE / "delay_model.json"),
            *("--method", "isotonic", "--holdout", "50%", "-o", tmp_path / "m.json"),
        ],
    }[request.param]
    file = tmp_path / f"{request.param}.html"
    assert run([request.param, str(SAMPLE / "flights"), *map(str, words), "--html", str(file), "-q"]) == 0
    return file


def test_a_report_is_readable_on_screens_on_paper_and_in_the_dark(report: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as tab:
        for name, size, dark in (("light", SCREEN, False), ("dark", SCREEN, True), ("phone", PHONE, False)):
            tab.look(**size, dark=dark)
            tab.open(report.as_uri())
            check_inert(tab)
            assert tab.evaluate(WIDER) == 0
            assert tab.evaluate(CUT_OFF) == []
            assert tab.evaluate(BACKGROUND) == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
            if report.stem != "score":
                assert tab.evaluate(DRAWN) == tab.evaluate(INK)
                assert tab.evaluate(SMALLEST_LETTERS) >= 8
            tab.screenshot(tmp_path / f"{report.stem}-{name}.png")
        tab.look(**SCREEN, dark=True, printed=True)
        assert tab.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        assert tab.evaluate(INK) == "rgb(0, 0, 0)"
        if report.stem == "evaluate":
            one, other, *_ = tab.evaluate(TOPS)
            assert one == other
        tab.print_to(tmp_path / f"{report.stem}.pdf")
        assert (tmp_path / f"{report.stem}.pdf").read_bytes().startswith(b"%PDF-")


def test_names_that_would_act_do_not(tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as tab:
        for number, text in enumerate(HOSTILE):
            file = tmp_path / f"{number}.html"
            svg = as_svg(draw_coefficients([Estimate(text, 0.5, 0.25, 0.75)]))
            file.write_text(page_text(hostile_page(text, svg)), encoding="utf-8")
            tab.open(file.as_uri())
            check_inert(tab)
            assert tab.evaluate("document.querySelector('h1').textContent") == text
            assert tab.evaluate("document.querySelector('svg text').textContent.length") > 0


def test_what_would_not_be_escaped_could_not_act_either(tmp_path: Path) -> None:
    """The policy of the page is tested by breaking the page."""
    acting = '<script>document.title = "acted"</script><img src="x.png" onerror="document.title = \'acted\'">'
    text = page_text(Page("A page", (("command", "score"),)))
    file = tmp_path / "broken.html"
    file.write_text(re.sub("<main>", f"<main>{acting}", text), encoding="utf-8")
    with browser(tmp_path / "profile") as tab:
        tab.open(file.as_uri())
        assert tab.evaluate("document.title") == "A page"
        assert len(tab.complaints()) >= 2
