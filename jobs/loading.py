"""Loading what a job needs, in less time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage inside the block, and never look at what is alive at its end.

    Loading some 700 modules makes a great many objects, which all stay: looking for garbage among them takes a tenth of
    the time, and would take it again in a run.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
