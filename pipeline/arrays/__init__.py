"""Files as Dask arrays, and Dask arrays of results as published files.

A dataset is cut into chunks exactly as a scoring job would cut it, and a Dask array of its columns has one block a
chunk. An expression of such arrays whose every block depends on the block of the same chunk alone can be written: each
block is computed in the task that reads its chunk, next to the kept columns, and published as scores are. Anything
else (a mean over all rows, a reversal, a running sum) is refused before work, by name.
"""

from __future__ import annotations

from typing import Any

from pipeline.arrays.dataset import Dataset, open_dataset
from pipeline.arrays.functions import PUBLIC, apply, differentiate

__all__ = ["PUBLIC", "Dataset", "apply", "differentiate", "open_dataset"]


def __getattr__(name: str) -> Any:
    """Return a function of the registry, or a derivative."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'pipeline.arrays' has no attribute {name!r}")
    return PUBLIC[name]
