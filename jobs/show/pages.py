"""The pages of the guide, drawn for 80 columns: in colour on a terminal, as plain text elsewhere."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markdown import Markdown

from jobs.show import console
from pipeline import disk
from pipeline.errors import ConfigurationError
from pipeline.report.text import aligned

FOLDER = Path(__file__).resolve().parents[1] / "guide"
WIDTH = 80

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^(##?) (.+)$", re.MULTILINE)
# What a page is drawn with, for a stream that has ASCII alone.
_ASCII = str.maketrans("•─═±", "*-=~")


def emit_topics(topics: Sequence[str]) -> None:
    """Show the topics on stdout, each with the question that its page answers."""
    console.emit("\n".join(aligned((topic, _title(page_text(topic))) for topic in topics)))
    console.tell("\nRead a page with 'logitstream guide TOPIC'.")


def emit_page(topic: str) -> None:
    """Show the page about a topic on stdout: in colour on a terminal, as plain text elsewhere."""
    console.emit(drawn(page_text(topic), sys.stdout))


def page_text(topic: str) -> str:
    """Return the Markdown of the page about a topic.

    Raises
    ------
    ConfigurationError
        The page is not part of this installation.
    """
    try:
        return disk.read_file(FOLDER / f"{topic}.md").decode("utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"the page about {topic} is not part of this installation: {error.strerror}", "install logitstream again"
        ) from error


def drawn(markdown: str, stream: TextIO) -> str:
    """Return a page as text for a stream, at most 80 columns wide. A line of code that fits stays one line."""
    terminal = stream.isatty()
    text = io.StringIO()
    drawing = Console(file=text, force_terminal=terminal)
    drawing.width = min(WIDTH, drawing.width) if terminal else WIDTH
    page = _LINK.sub(_named, _COMMENT.sub("", markdown))
    drawing.print(Markdown(page if terminal else _plain(page), code_theme="ansi_dark", hyperlinks=False))
    shown = "\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines())
    if terminal:
        return shown
    has_all = "utf" in (stream.encoding or "").lower()
    return re.sub(r"\n{3,}", "\n\n", shown if has_all else shown.translate(_ASCII))


def _plain(markdown: str) -> str:
    """Return a page that shows without colours what is a heading, and what is code within a sentence."""
    pieces = _FENCE.split(markdown)
    pieces[::2] = [_CODE.sub(r"`` `\1` ``", _HEADING.sub(_underlined, piece)) for piece in pieces[::2]]
    return "".join(pieces)


def _underlined(heading: re.Match[str]) -> str:
    level, text = heading.groups()
    return f"{text}\\\n{('═' if level == '#' else '─') * len(text)}\n"


def _named(link: re.Match[str]) -> str:
    text, target = link.groups()
    page = Path(target.partition("#")[0])
    if page.suffix == ".md" and (FOLDER / page.name).exists():
        return f"{text} (`logitstream guide {page.stem}`)"
    return link[0] if "://" in target else text


def _title(markdown: str) -> str:
    return markdown.partition("\n")[0].removeprefix("# ")
