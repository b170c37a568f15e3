"""Pictures of matplotlib as part of a page.

Of the SVG only shapes and letters are taken, with what places and colours them; everything else in it is dropped, such
as its style sheet, which would hold for the whole page. Letters are in the font of the page.

Colours stay, greys become shares of the colour of the text: a grey of 40 % black is that colour at an opacity of 40 %,
and white is nothing. On white paper that looks the same, and on dark paper the picture is light on dark.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from pipeline.dataclass import dataclass

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_SHAPES = frozenset({"svg", "g", "defs", "clipPath", "path", "use", "rect", "text", "tspan"})
_PLACES = ("d", "x", "y", "width", "height", "transform", "viewBox")
_LOOKS = frozenset(
    {
        *("fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray", "stroke-dashoffset"),
        *("stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "opacity"),
        *("font-size", "font-style", "font-weight", "text-anchor"),
    }
)
_LOOK = re.compile(r"[\w#.,% -]+")
_GREY = re.compile(r"#([0-9a-f]{2})\1\1")
_LONG = re.compile(r"-?\d+\.\d{3,}")
_OWN = re.compile(r"#([\w.-]+)|url\(#([\w.-]+)\)")
# Older versions of matplotlib write one word for the whole font.
_SHORT_FONT = re.compile(r"(?:.*\b(?P<weight>bold|[1-9]00)\b)?.*?(?P<size>[\d.]+px)")
# CSS has 96 pixels to an inch and 72 points; below this share of its size the letters of a picture are too small.
_PIXELS_A_POINT = 4 / 3
_LEAST = 0.7


@dataclass(frozen=True, slots=True)
class InlineDrawing:
    """A picture as a part of HTML, and its width in CSS pixels."""

    markup: str
    width: int


def inline(svg: str, name: str, title: str, description: str) -> InlineDrawing:
    """Return a picture as an ``svg`` element that can stand in a page beside others.

    Parameters
    ----------
    svg : str
        As matplotlib writes it.
    name : str
        What every ``id`` in it begins with; no other picture of the page may have it.
    title, description : str
        What it is and what can be seen in it, for people who do not see it.
    """
    source = ET.fromstring(svg)  # noqa: S314 - it reads what matplotlib has just written
    linked = {found for element in source.iter() for value in element.attrib.values() for found in _linked(value)}
    root = _copied(source, name, linked)
    width = round(float(source.attrib["viewBox"].split()[2]) * _PIXELS_A_POINT)
    height = round(float(source.attrib["viewBox"].split()[3]) * _PIXELS_A_POINT)
    root.attrib |= {
        "width": str(width),
        "height": str(height),
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "aria-describedby": f"{name}-text",
        "fill": "currentColor",
        "style": f"min-width: {round(_LEAST * width)}px",
    }
    for place, (tag, end, text) in enumerate((("title", "title", title), ("desc", "text", description))):
        told = ET.Element(tag, {"id": f"{name}-{end}"})
        told.text = text
        root.insert(place, told)
    return InlineDrawing(ET.tostring(root, encoding="unicode"), width)


def _linked(value: str) -> Iterator[str]:
    if (match := _OWN.fullmatch(value)) is not None:
        yield match[1] or match[2]


def _copied(source: ET.Element, name: str, linked: set[str]) -> ET.Element:
    """Return an element with what is known of it, without name spaces."""
    made = ET.Element(source.tag.removeprefix(_SVG), dict(_attributes(source, name, linked)))
    if made.tag in {"text", "tspan"}:
        made.text = source.text
    made.extend(_copied(child, name, linked) for child in source if child.tag.removeprefix(_SVG) in _SHAPES)
    return made


def _attributes(source: ET.Element, name: str, linked: set[str]) -> Iterator[tuple[str, str]]:
    for key in _PLACES:
        if key in source.attrib:
            yield key, _LONG.sub(_rounded, " ".join(source.attrib[key].split()))
    if source.get("id") in linked:
        yield "id", f"{name}-{source.get('id')}"
    for key, form in ((_LINK, "#{}"), ("clip-path", "url(#{})")):
        for target in _linked(source.get(key, "")):
            yield key.rpartition("}")[2], form.format(f"{name}-{target}")
    if look := "; ".join(f"{key}: {value}" for key, value in _look(source.get("style", "")).items()):
        yield "style", look


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _look(style: str) -> dict[str, str]:
    """Return what a style says of shapes and letters, its greys as shares of the colour of the text."""
    pairs = (pair.partition(":") for pair in style.split(";"))
    given = {key.strip(): value.strip() for key, _, value in pairs}
    look = {key: value for key, value in given.items() if key in _LOOKS and _LOOK.fullmatch(value)}
    if (font := _SHORT_FONT.match(given.get("font", ""))) is not None:
        look |= {f"font-{key}": value for key, value in font.groupdict().items() if value}
    for key in ("fill", "stroke"):
        if (grey := _GREY.fullmatch(look.get(key, ""))) is not None:
            share = (1 - int(grey[1], 16) / 255) * float(look.pop(f"{key}-opacity", "1"))
            look |= {key: "currentColor", f"{key}-opacity": f"{share:.3g}"} if share else {key: "none"}
    return look
