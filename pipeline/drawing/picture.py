"""Pictures: whether one can be made, how all of them look, and how one is saved."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from pipeline import disk
from pipeline.errors import ConfigurationError, OutputError, UsageError
from pipeline.units import escape, quoted

SUFFIXES = (".svg", ".png")

# Most colour-blind people can distinguish these (M. Okabe, K. Ito, 2008); without the pale ones.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")

_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "font.size": 9,
    "legend.frameon": False,
    # Names are shown as they are: a dollar sign does not start a formula.
    "text.parse_math": False,
    # Equal numbers give equal bytes. Letters are shapes, so the viewer needs no font.
    "svg.hashsalt": "logitstream",
    "svg.fonttype": "path",
}


def check_picture(path: str | os.PathLike[str]) -> None:
    """Refuse a picture that cannot be made, before any work.

    Raises
    ------
    UsageError
        The name ends neither in ``.svg`` nor in ``.png``.
    ConfigurationError
        matplotlib is not installed.
    OutputError
        Its folder does not exist, or the name is that of a folder.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{quoted(os.fspath(path))} ends neither in .svg nor in .png", "give it one of these endings")
    if find_spec("matplotlib") is None:
        raise ConfigurationError("matplotlib is not installed", "pip install 'logitstream[plot]'")
    if not file.absolute().parent.is_dir():
        raise OutputError(f"{escape(os.fspath(path), 1000)}: its folder does not exist", "make the folder first")
    if file.is_dir():
        raise OutputError(f"{escape(os.fspath(path), 1000)} is a folder", "name a file")


@contextmanager
def style() -> Iterator[None]:
    """Draw with logitstream's settings instead of the user's."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", _STYLE))
        yield


def as_svg(figure: Any) -> str:
    """Return a figure as SVG whose letters are text, for a page with fonts of its own."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    content = io.StringIO()
    with style(), mpl.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        # Of letters that matplotlib's own font lacks: those of the page have them.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure in one step: the file is either the whole picture or what it was before."""
    file = Path(path)
    content = io.BytesIO()
    kind = file.suffix[1:]
    with style():
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    disk.write_file(file, content.getvalue())
