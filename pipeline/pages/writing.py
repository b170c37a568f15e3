"""The text of a page, and its file."""

from __future__ import annotations

import os
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import disk
from pipeline.errors import ConfigurationError, OutputError, UsageError
from pipeline.pages.content import Page
from pipeline.pages.drawings import inline
from pipeline.units import escape, quoted

if TYPE_CHECKING:
    from pipeline.pages.content import PageDrawing

ENDINGS = (".html", ".htm")
EXTRA = "pip install 'logitstream[report]'"

_HERE = Path(__file__).resolve().parent
_FILES = ("page.html", "page.css")
_TEXT = 2_000
# Within so many bytes a report says that it is one.
_BEGIN = 300
_MARK = b'<meta name="generator" content="logitstream report">'


def check_page(path: str | os.PathLike[str], *, output: str | None = None, with_drawings: bool = True) -> None:
    """Refuse a report that cannot be written, before any work.

    Parameters
    ----------
    path : path
        The file to write.
    output : str, optional
        What the run publishes, or the model file that it writes.
    with_drawings : bool
        Whether the report has pictures.

    Raises
    ------
    UsageError
        The name does not end in ``.html`` or ``.htm``, or is within the output.
    ConfigurationError
        A package of the extra ``report`` is not installed.
    OutputError
        Its folder does not exist, or there is something else than a report under that name.
    PermissionDeniedError, StorageError
        The system would not let a file be written there.
    """
    file = Path(path)
    if file.suffix not in ENDINGS:
        raise UsageError(f"{quoted(os.fspath(path))} ends neither in .html nor in .htm", "give it one of these endings")
    if output is not None and file.resolve().is_relative_to(Path(output).resolve()):
        raise UsageError(
            f"the report {quoted(os.fspath(path))} would be in the output {quoted(output)}, which has no other files",
            "name a file elsewhere",
        )
    for package in ("jinja2", *(("matplotlib",) if with_drawings else ())):
        if find_spec(package) is None:
            raise ConfigurationError(f"{package} is not installed", EXTRA)
    if not file.absolute().parent.is_dir():
        raise OutputError(f"{disk.show(os.fspath(path))}: its folder does not exist", "make the folder first")
    with disk.door("write", file):
        disk.require_writable(file.absolute())
    _refuse_other(file)


def _refuse_other(file: Path) -> None:
    """Refuse to replace what is not a report; an empty file and a link that leads nowhere may be replaced."""
    with disk.door("read", file):
        if file.is_dir():
            raise OutputError(f"{disk.show(str(file))} is a folder", "name a file")
        if not os.path.lexists(file) or not file.exists():
            return
        if file.is_file() and (not (begin := disk.read_file(file, _BEGIN)) or _MARK in begin):
            return
    raise OutputError(
        f"{disk.show(str(file))} exists and is not a report of logitstream", "name another file, or remove this one"
    )


def page_text(page: Page) -> str:
    """Return a report as HTML. Equal reports give equal texts."""
    import jinja2  # noqa: PLC0415 - an extra
    from markupsafe import Markup  # noqa: PLC0415 - as above

    numbers = count(1)

    def drawn(drawing: PageDrawing) -> tuple[Markup, int]:
        title, description = (escape(text, _TEXT) for text in (drawing.title, drawing.description))
        made = inline(drawing.svg, f"drawing-{next(numbers)}", title, description)
        # The one place where text becomes markup unescaped: it was serialised from elements.
        return Markup(made.markup), made.width  # noqa: S704

    environment = jinja2.Environment(
        autoescape=True,
        finalize=_shown,
        loader=jinja2.DictLoader({name: disk.read_file(_HERE / name).decode("utf-8") for name in _FILES}),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(_FILES[0]).render(page=page, drawn=drawn)


def _shown(value: object) -> object:
    """Return what a page shows of a value: of a text its control characters escaped, markup as it is."""
    return value if hasattr(value, "__html__") else escape(str(value), _TEXT)


def save_page(page: Page, path: str | os.PathLike[str]) -> None:
    """Write a report in one step: the file is either the whole report or what it was before.

    Raises
    ------
    OutputError, StorageError, PermissionDeniedError
        It cannot be written, or what is there now is not a report.
    """
    file = Path(path)
    content = page_text(page).encode("utf-8", "backslashreplace")
    _refuse_other(file)
    with disk.door("write", file):
        disk.write_file(file, content)
