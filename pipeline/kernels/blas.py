"""One BLAS thread while matrices are multiplied, and the name of the BLAS kernel that the bits of products depend on.

With two threads a product of matrices is cut in other places and has other bits; and the workers of a scan keep all
cores busy anyway. The package does not import this module: it is loaded where products are needed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from pipeline.process import SharedChange


def one_thread() -> AbstractContextManager[None]:
    """Return a block in which BLAS has one thread in this process, for all threads; blocks may overlap."""
    return _ONE_THREAD


@lru_cache(maxsize=1)
def blas_tag() -> str:
    """Return what the bits of sums depend on besides the rows: the versions of numpy and BLAS, and its kernel."""
    found = [library for library in _controller().info() if library["user_api"] == "blas"]
    # Either path may go through a link, such as that of a folder with the packages.
    folder = Path(np.__file__).resolve().parent.parent
    # Other packages bring a BLAS of their own; what numpy calls is beside it, or the only one there is.
    places = [(library, Path(library["filepath"]).resolve().parent) for library in found]
    own = [library for library, place in places if place.parent == folder and place.name.startswith("numpy")]
    names = {_name(library) for library in own or found}
    return " ".join((f"numpy-{np.__version__}", *sorted(names)))


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Return what sets the threads of the libraries that are loaded; looking for them takes a millisecond."""
    return ThreadpoolController()


def _limited() -> AbstractContextManager[object]:
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


_ONE_THREAD = SharedChange(_limited)


def _name(library: dict[str, Any]) -> str:
    parts = (library["internal_api"], library.get("version"), library.get("architecture"))
    return "-".join(str(part) for part in parts if part)
