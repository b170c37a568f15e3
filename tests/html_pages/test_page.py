"""A report is one file that opens offline, acts on nothing, and can be read by everybody."""

from __future__ import annotations

import re
import resource
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.drawing import Estimate, as_svg, draw_coefficients
from pipeline.drawing.picture import COLOURS
from pipeline.errors import ConfigurationError, LogitstreamError, OutputError, StorageError, UsageError
from pipeline.pages import Page, PageDrawing, PageSection, PageTable, check_page, page_text, save_page
from tests.html_pages.parsing import ParsedPage, check_page_is_sound

with_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title></head><script>alert(1)</script>",
    "{{ 7 * 7 }}{% include 'page.css' %}",
    "&lt;b&gt; &amp;",
    "javascript:alert(1)",
)
TABLE = PageTable("A table", ("name", "count"), (("x", "1"), ("y", "2")), frozenset({1}))
PAGE = Page(
    "A page", (("model", "m.json"),), (("read", "3"),), ("look",), ("a note",), (PageSection("Data", (TABLE,)),)
)


def hostile_page(text: str, svg: str) -> Page:
    """Return a page that has a text wherever a page takes one."""
    table = PageTable(text, (text, text), ((text, text),), frozenset({0}), 5)
    drawing = PageDrawing(text, text, svg)
    section = PageSection(text, (table, drawing, drawing), ((text, text),))
    return Page(text, ((text, text),), ((text, text),), (text,), (text,), (section, section))


@pytest.fixture(scope="module")
def named_svg() -> str:
    """Return a picture that has every one of these names."""
    return as_svg(draw_coefficients([Estimate(text, 0.5, 0.25, 0.75) for text in HOSTILE]))


@with_matplotlib
@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_in_a_report_is_only_a_name(text: str, named_svg: str) -> None:
    page = ParsedPage(page_text(hostile_page(text, named_svg)))
    check_page_is_sound(page)
    assert page.text_of("h1") == page.text_of("li")[:1] == page.text_of("td")[:1] == [text]
    assert page.text_of("desc") == page.text_of("figcaption") == [text] * 4
    assert page.text_of("text").count(text) == 4
    assert page.text_of("title") == [text] * 5


def test_control_characters_are_visible_and_directions_cannot_be_turned() -> None:
    page = ParsedPage(page_text(replace(PAGE, title="a\x1b[31m\u202eb\ud800", warnings=("x\ny",))))
    assert page.text_of("h1") == [r"a\x1b[31m\u202eb\ud800"]
    assert page.text_of("li")[0] == r"x\ny"


@with_matplotlib
def test_a_report_loads_nothing_and_has_its_headings_in_order() -> None:
    drawing = PageDrawing(
        "A drawing", "Two points.", as_svg(draw_coefficients([Estimate("x", 1.0), Estimate("y", 2.0)]))
    )
    text = page_text(replace(PAGE, sections=(PageSection("Data", (TABLE, drawing, drawing)), PageSection("More"))))
    page = ParsedPage(text)
    check_page_is_sound(page)
    assert page.headings == [
        (1, "A page"), (2, "Warnings"), (2, "What ran"), (2, "What became of the rows"), (2, "Notes"), (2, "Data"),
        (3, "A table"), (3, "A drawing"), (3, "A drawing"), (2, "More"),
    ]  # fmt: skip
    (policy,) = [each["content"] for each in page.all("meta") if "http-equiv" in each]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert [each["scope"] for each in page.all("th")] == ["col", "col", "row", "row"]
    assert page.facts() == {"model": ["m.json"], "read": ["3"]}


def test_equal_reports_have_equal_bytes_and_what_is_not_there_has_no_heading() -> None:
    assert page_text(PAGE) == page_text(PAGE)
    bare = ParsedPage(page_text(Page("Bare", (("command", "logitstream score"),))))
    check_page_is_sound(bare)
    assert bare.headings == [(1, "Bare"), (2, "What ran")]


def test_a_label_that_is_repeated_is_shown_once() -> None:
    page = ParsedPage(page_text(Page("Bare", (("input", "a"), ("input", "b"), ("model", "m"), ("input", "c")))))
    assert page.text_of("dt") == ["input", "model", "input"]
    assert page.text_of("dd") == ["a", "b", "m", "c"]


def test_of_a_long_table_the_rest_is_counted_and_empty_columns_are_left_out() -> None:
    rows = [(f"x{number}", "", str(number)) for number in range(1_250)]
    table = PageTable.filled("Coefficients", ("feature", "level", "value"), rows, (1, 2))
    assert (table.headers, table.rows[1], table.numbers) == (("feature", "value"), ("x1", "1"), frozenset({1}))
    page = ParsedPage(page_text(replace(PAGE, sections=(PageSection("Data", (table,)),))))
    assert len(page.all("tr")) == 1_001
    assert page.text_of("p") == ["250 more rows are not shown."]
    assert PageTable.filled("None", ("a", "b"), ()).headers == ("a",)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def schemes() -> dict[str, dict[str, str]]:
    """Return the colours of a page on light paper, on dark paper and in print."""
    style = ParsedPage(page_text(PAGE)).text_of("style")[0]
    light, dark, printed = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    return {"light": light, "dark": light | dark, "print": light | printed}


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_contrast_is_that_of_wcag_aa(name: str) -> None:
    colours = schemes()[name]
    for ink, paper in (
        *(("ink", "paper"), ("soft", "paper"), ("ink", "stripe"), ("soft", "stripe")),
        ("alert-ink", "alert-paper"),
    ):
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    assert contrast(colours["focus"], colours["paper"]) >= 3
    assert contrast(colours["alert-line"], colours["paper"]) >= 3
    # Of what is drawn; the last of them is black, which becomes the colour of the text.
    for colour in COLOURS[:3]:
        assert contrast(colour, colours["paper"]) >= 3, colour


def test_contrast_is_computed_as_the_standard_has_it() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    # The example that is known from its techniques: the lightest grey that passes on white.
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("report.pdf", UsageError, "ends neither in .html nor in .htm"),
        ("none/report.html", OutputError, "its folder does not exist"),
        ("folder.html", OutputError, "is a folder"),
        ("notes.html", OutputError, "exists and is not a report of logitstream"),
        ("scores/report.html", UsageError, "would be in the output"),
        ("scores.html", UsageError, "would be in the output"),
    ],
)
def test_what_cannot_be_written_is_refused_before_work_and_left_alone(
    tmp_path: Path, name: str, kind: type[LogitstreamError], message: str
) -> None:
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "scores").mkdir()
    (tmp_path / "notes.html").write_text("<!doctype html><p>mine</p>")
    output = "scores.html" if name == "scores.html" else "scores"
    with pytest.raises(kind, match=message):
        check_page(tmp_path / name, output=str(tmp_path / output), with_drawings=False)
    assert (tmp_path / "notes.html").read_text() == "<!doctype html><p>mine</p>"


@pytest.mark.parametrize(("package", "with_drawings"), [("jinja2", False), ("jinja2", True), ("matplotlib", True)])
def test_without_the_extra_a_report_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, with_drawings: bool
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=f"{package} is not installed") as caught:
        check_page(tmp_path / "report.html", with_drawings=with_drawings)
    assert (caught.value.exit_code, caught.value.remedy) == (78, "pip install 'logitstream[report]'")


def test_without_drawings_matplotlib_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    check_page(tmp_path / "report.html", with_drawings=False)


def test_a_former_report_is_replaced_in_one_step_and_nothing_else_is(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    for before in (None, b"", page_text(replace(PAGE, title="Former")).encode()):
        if before is not None:
            file.write_bytes(before)
            file.chmod(0o640)
        check_page(file, with_drawings=False)
        save_page(PAGE, file)
        assert file.read_text() == page_text(PAGE)
    assert file.stat().st_mode & 0o777 == 0o640
    file.write_text("<p>somebody else wrote this while the run went on</p>")
    with pytest.raises(OutputError, match="is not a report of logitstream"):
        save_page(PAGE, file)
    assert file.read_text().startswith("<p>somebody else")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_where_the_file_cannot_grow_the_former_report_stays(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    save_page(replace(PAGE, title="Former"), file)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*report\.html") as caught:
            save_page(PAGE, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 74
    assert ParsedPage(file.read_text()).text_of("h1") == ["Former"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
