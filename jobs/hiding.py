"""Modules that commands do not use, hidden from packages that import them wherever they are installed."""

from __future__ import annotations

import sys

# Dask draws its objects for notebooks with the last one, which loads jinja2 and asyncio, and does without it.
_HIDDEN = frozenset({"pandas", "scipy", "dask.widgets.widgets"})


class _WithoutOthers:
    """Hides what Arrow and Dask import wherever it is installed.

    Only ``bench``, ``model import`` and what is drawn of clusters use it; every other command would pay 0.4 s and
    60 MB for it.
    """

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name in _HIDDEN:
            raise ModuleNotFoundError(f"logitstream does not use {name}", name=name)


def hide_others() -> None:
    """Hide them in this process."""
    sys.meta_path.insert(0, _WithoutOthers)


def show_others() -> None:
    """Let them be imported again."""
    if _WithoutOthers in sys.meta_path:
        sys.meta_path.remove(_WithoutOthers)
