"""Arrow's functions on columns, loaded when the first of them is called.

``from pipeline import compute as pc`` stands for ``import pyarrow.compute as pc``. That module makes several hundred
functions as it is loaded, which takes 30 milliseconds and 9 MB, and a run over numbers without nulls calls none.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Return a function of Arrow, or another name of that module, and keep it here."""
    import pyarrow.compute  # noqa: PLC0415 - this is what the module is for

    found = globals()[name] = getattr(pyarrow.compute, name)
    return found
