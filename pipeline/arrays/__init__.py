"""Files as Dask arrays, and Dask arrays of results as published files.

A dataset is cut into chunks exactly as a scoring job would cut it, and a Dask array of its columns has one block for
each chunk. An expression of such arrays can be written if each block depends only on the block of the same chunk: it is
computed in the task that reads the chunk and its kept columns, and published as scores are. Anything else (a mean over
all rows, a reversal, a running sum) is refused before work; the message names the operation.
"""

from __future__ import annotations

from typing import Any

from pipeline.arrays.dataset import Dataset, open_dataset
from pipeline.arrays.functions import PUBLIC, apply, differentiate

__all__ = ["PUBLIC", "Dataset", "apply", "differentiate", "open_dataset"]


def __getattr__(name: str) -> Any:
    """Return a function, or a derivative."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'pipeline.arrays' has no attribute {name!r}")
    return PUBLIC[name]
