"""Packages that commands do not use, hidden from those that import them wherever they are installed."""

from __future__ import annotations

import sys


class _WithoutOthers:
    """Hides pandas and scipy, which Arrow and Dask import wherever they are installed.

    Only ``bench``, ``model import`` and what is drawn of clusters use them; every other command would pay 0.3 s and
    50 MB for them.
    """

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name in {"pandas", "scipy"}:
            raise ModuleNotFoundError(f"logitstream does not use {name}", name=name)


def hide_others() -> None:
    """Hide them in this process."""
    sys.meta_path.insert(0, _WithoutOthers)


def show_others() -> None:
    """Let them be imported again."""
    if _WithoutOthers in sys.meta_path:
        sys.meta_path.remove(_WithoutOthers)
