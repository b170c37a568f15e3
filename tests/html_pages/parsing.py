"""A page as a browser parses it: elements, headings, texts and what refers to what."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "br", "hr", "img", "link", "input"}


class ParsedPage(HTMLParser):
    """The elements of a page in order; an end tag without its start tag fails.

    Attributes
    ----------
    elements : list of (str, dict)
    texts : list of (tuple of str, str)
        Each text with the tags around it.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self._open), data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag: str) -> list[str]:
        """Return the texts that are directly in elements of a tag."""
        return [text for around, text in self.texts if around and around[-1] == tag and text.strip()]

    @property
    def headings(self) -> list[tuple[int, str]]:
        return [(int(around[-1][1]), text) for around, text in self.texts if around and re.match(r"h\d", around[-1])]

    @property
    def drawings(self) -> list[str]:
        """The ``svg`` elements as text."""
        return re.findall(r"<svg.*?</svg>", self.source, re.DOTALL)

    def facts(self) -> dict[str, list[str]]:
        """Return labels with their texts."""
        found: dict[str, list[str]] = {}
        label = ""
        for around, text in self.texts:
            if around and around[-1] == "dt":
                label = text
            elif around and around[-1] == "dd":
                found.setdefault(label, []).append(text)
        return found


def check_page_is_sound(page: ParsedPage) -> None:
    """Fail a page that acts, loads something, or cannot be read by everybody."""
    names = [name for name, _ in page.elements]
    assert not {"script", "iframe", "object", "embed", "link", "img", "image", "foreignobject", "a"}.intersection(names)
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key in {"src", "srcset", "action"}], name
        assert attributes.get("href", "#").startswith("#")
    styles = [attributes.get("style", "") for _, attributes in page.elements] + page.text_of("style")
    assert not re.search(r"@import|url\((?!#)|expression", "".join(styles))
    assert len(page.text_of("style")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    referred = re.findall(r'(?:href="#|url\(#)([^")]+)', page.source)
    for _, attributes in page.elements:
        referred += f"{attributes.get('aria-labelledby', '')} {attributes.get('aria-describedby', '')}".split()
    assert set(referred) <= set(ids)
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert page.all("html") == [{"lang": "en"}]
    assert [text for text in page.text_of("title")[:1] if text]
    for drawing in page.all("svg"):
        assert drawing["role"] == "img"
