"""The functions of :mod:`pipeline.kernels` on NumPy and Dask arrays alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from dask.array.core import Array

from pipeline import kernels
from pipeline.types import Precision


def sigmoid(x: Any, *, precision: Precision = "fast") -> Any:
    """Return the sigmoid of a NumPy or Dask array, element by element; see :func:`pipeline.kernels.sigmoid`."""
    return _elementwise(partial(kernels.sigmoid, precision=precision), x)


def log_sigmoid(x: Any, *, precision: Precision = "fast") -> Any:
    """Return the logarithm of the sigmoid of a NumPy or Dask array; see :func:`pipeline.kernels.log_sigmoid`."""
    return _elementwise(partial(kernels.log_sigmoid, precision=precision), x)


def logit(p: Any, *, precision: Precision = "fast") -> Any:
    """Return the inverse of the sigmoid of a NumPy or Dask array; see :func:`pipeline.kernels.logit`."""
    return _elementwise(partial(kernels.logit, precision=precision), p)


def _elementwise(function: Callable[..., Any], x: Any) -> Any:
    if not isinstance(x, Array):
        return function(x)
    blocks: Any = x
    return blocks.map_blocks(function, dtype=function(np.empty(0, dtype=x.dtype)).dtype)
