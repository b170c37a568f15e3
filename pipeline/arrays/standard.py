"""Functions for arrays of other libraries: one plain expression on the array's own device.

They work with libraries that follow the array API standard (data-apis.org/array-api), and with PyTorch and CuPy, which
have the names that the expressions use.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

# Their arrays do not name their namespace, or only in recent releases.
_NAMED_BY_MODULE = ("torch", "cupy")


def namespace_of(x: object) -> Any:
    """Return the module that computes with an array of a library other than numpy, or ``None`` for anything else."""
    if isinstance(x, np.ndarray | np.generic):
        return None
    # The array exists, so its library is loaded already: nothing is imported.
    library = type(x).__module__.partition(".")[0]
    if library in _NAMED_BY_MODULE and hasattr(x, "dtype"):
        return sys.modules[library]
    return x.__array_namespace__() if hasattr(x, "__array_namespace__") else None


def as_floating(xp: Any, x: Any) -> Any:
    """Return floating numbers as they are, other real numbers as the widest floating type of the library.

    Raises
    ------
    TypeError
        The numbers are complex.
    """
    kind = _kind(xp, x.dtype)
    if kind == "complex":
        raise TypeError(f"expected booleans, integers or floats, got {x.dtype}")
    return x if kind == "floating" else xp.asarray(x, dtype=xp.float64)


def _kind(xp: Any, dtype: Any) -> str:
    if hasattr(xp, "isdtype"):
        is_floating, is_complex = xp.isdtype(dtype, "real floating"), xp.isdtype(dtype, "complex floating")
    else:
        is_floating, is_complex = dtype.is_floating_point, dtype.is_complex
    return "floating" if is_floating else "complex" if is_complex else "whole"
