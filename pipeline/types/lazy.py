"""What Dask collections are known by, without importing Dask.

Their types are asked, not the objects: a Delayed seems to have any attribute.
"""

from __future__ import annotations

from typing import Any


def is_dask_array(data: Any) -> bool:
    """Return whether it is a Dask array."""
    return hasattr(type(data), "map_blocks") and hasattr(type(data), "numblocks")


def is_dask_frame(data: Any) -> bool:
    """Return whether it is a Dask dataframe, series or index."""
    return all(hasattr(type(data), name) for name in ("map_partitions", "npartitions", "_meta"))


def is_dask(data: Any) -> bool:
    """Return whether it is a Dask array, dataframe, series or index."""
    return is_dask_array(data) or is_dask_frame(data)


def empty(frame: Any) -> Any:
    """Return a partition of a Dask dataframe, series or index without its rows."""
    return frame._meta  # noqa: SLF001 - Dask has no public name for it
