"""A picture: whether it can be made, how it looks throughout, and how it becomes a file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from pipeline import disk
from pipeline.errors import ConfigurationError, OutputError, UsageError
from pipeline.units import escape, quoted

SUFFIXES = (".svg", ".png")

# Told apart by most people who see colours otherwise too (M. Okabe, K. Ito, 2008), the pale ones left out.
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
    # Names are shown as they are: a dollar sign starts no formula.
    "text.parse_math": False,
    # Equal numbers make equal bytes, and letters are shapes, so that no font need be there.
    "svg.hashsalt": "logitstream",
    "svg.fonttype": "path",
}


def check_picture(path: str | os.PathLike[str]) -> None:
    """Refuse a picture that could not be made, before any work.

    Raises
    ------
    UsageError
        The name ends neither in ``.svg`` nor in ``.png``.
    ConfigurationError
        matplotlib is not installed.
    OutputError
        There is no such folder, or the name is that of a folder.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{quoted(os.fspath(path))} ends neither in .svg nor in .png", "name the picture so")
    if find_spec("matplotlib") is None:
        raise ConfigurationError("matplotlib is not installed", "pip install 'logitstream[plot]'")
    if not file.absolute().parent.is_dir():
        raise OutputError(f"{escape(os.fspath(path), 1000)}: there is no such folder", "make it first")
    if file.is_dir():
        raise OutputError(f"{escape(os.fspath(path), 1000)} is a folder", "name a file")


@contextmanager
def style() -> Iterator[None]:
    """Have what is drawn inside look alike, whatever the user's own settings say."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", _STYLE))
        yield


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure in one step: under the name is the whole picture, or what was there before."""
    file = Path(path)
    content = io.BytesIO()
    kind = file.suffix[1:]
    with style():
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    disk.write_file(file, content.getvalue())
