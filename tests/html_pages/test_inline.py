"""Pictures in a page: in the colours of the reader, with nothing in them but shapes and letters."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from typing import Any

import pytest

from pipeline.drawing import Curve, Estimate, as_svg, draw_coefficients, draw_curves
from pipeline.drawing.picture import style
from pipeline.pages.drawings import inline

with_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")

SPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
HEAD = f'<svg {SPACES} viewBox="0 0 72 36" width="72pt">'


def inlined(body: str) -> ET.Element:
    return ET.fromstring(inline(f"{HEAD}{body}</svg>", "p", "A <b>", "What & why").markup)


@with_matplotlib
@pytest.mark.parametrize(
    "figure",
    [
        lambda: draw_coefficients([Estimate("x & <y>", 0.5, 0.25, 0.75), Estimate("距離", 0.1)]),
        lambda: draw_curves([Curve("relu", "relu"), Curve("tanh", "tanh")]),
    ],
    ids=["coefficients", "curves"],
)
def test_a_picture_of_matplotlib_is_a_part_of_a_page(figure: Any) -> None:
    made = inline(as_svg(figure()), "drawing-3", "title", "text")
    root = ET.fromstring(made.markup)
    assert (root.tag, root.get("role"), root.get("fill")) == ("svg", "img", "currentColor")
    assert {element.tag for element in root.iter()} <= {
        *("svg", "title", "desc", "defs", "g", "clipPath", "path", "use", "rect", "text"),
    }
    assert [root[0].text, root[1].text] == ["title", "text"]
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == (root[0].get("id"), root[1].get("id"))
    ids = [element.get("id", "") for element in root.iter() if "id" in element.attrib]
    assert all(each.startswith("drawing-3-") for each in ids)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', made.markup)) == set(ids) - {
        "drawing-3-title",
        "drawing-3-text",
    }
    # Neither black nor white is left: on dark paper the one and on light paper the other would be invisible.
    assert not re.search(r"#(000000|ffffff)|font-family|DejaVu", made.markup)
    assert "#0072b2" in made.markup
    shown = {element.text for element in root.iter("text")}
    assert {"x & <y>", "距離"} <= shown or "derivative" in shown


def test_greys_are_shares_of_the_colour_of_the_text() -> None:
    body = (
        '<path d="M 0 0 L 1.23456 7" style="fill: #ffffff; stroke: #000000; stroke-width: 0.8"/>'
        '<path d="M 0 0" style="fill: #666666; fill-opacity: 0.5; stroke: #0072b2"/>'
        '<path d="M 0 0" style="stroke: #e4e4e4"/>'
    )
    first, second, third = inlined(body).iter("path")
    assert first.get("style") == "fill: none; stroke: currentColor; stroke-width: 0.8; stroke-opacity: 1"
    assert second.get("style") == "fill: currentColor; stroke: #0072b2; fill-opacity: 0.3"
    assert third.get("style") == "stroke: currentColor; stroke-opacity: 0.106"
    assert first.get("d") == "M 0 0 L 1.23 7"


def test_what_acts_or_loads_is_dropped() -> None:
    body = (
        "<style>* { display: none }</style><script>alert(1)</script><metadata><g/></metadata>"
        '<a xlink:href="https://example.com"><text>in a link</text></a><image xlink:href="data:image/png;base64,AA"/>'
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>'
        '<g id="alone" onclick="alert(1)"><use xlink:href="https://example.com/x.svg#y"/>'
        '<path id="used" d="M 0 0" style="fill: url(https://example.com/x); marker: url(#m); stroke: red"/>'
        '<use xlink:href="#used" x="1" y="2"/></g>'
        "<text style=\"font: bold 9px 'DejaVu Sans', sans-serif\">a &lt;b</text>"
    )
    root = inlined(body)
    assert [element.tag for element in root.iter()] == ["svg", "title", "desc", "g", "use", "path", "use", "text"]
    group, elsewhere, path, use, text = list(root.iter())[3:]
    assert (group.attrib, elsewhere.attrib) == ({}, {})
    assert path.attrib == {"d": "M 0 0", "id": "p-used", "style": "stroke: red"}
    assert use.attrib == {"x": "1", "y": "2", "href": "#p-used"}
    assert (text.text, text.get("style")) == ("a <b", "font-weight: bold; font-size: 9px")


def test_a_picture_has_its_size_in_pixels_and_its_words() -> None:
    made = inline(f"{HEAD}</svg>", "p", "A <b>", "What & why")
    assert made.width == 96
    assert '<title id="p-title">A &lt;b&gt;</title><desc id="p-text">What &amp; why</desc>' in made.markup
    root = ET.fromstring(made.markup)
    assert (root.get("width"), root.get("height"), root.get("style")) == ("96", "48", "min-width: 67px")


@with_matplotlib
def test_letters_stay_text_and_the_settings_of_the_user_do_not_matter() -> None:
    import matplotlib as mpl

    with style():
        figure = draw_coefficients([Estimate("$x$ _y", 1.0)])
    plain = as_svg(figure)
    with mpl.rc_context({"svg.fonttype": "path", "font.size": 40}):
        assert as_svg(figure) == plain
    assert ">$x$ _y</text>" in plain
