"""What Dask's configuration says; importing this loads Dask."""

from __future__ import annotations

from typing import Any

import dask.config


def dask_setting(key: str) -> Any:
    """Return a setting of Dask; ``None`` if it is not set."""
    return dask.config.get(key, None)
