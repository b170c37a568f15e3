"""Settings of Dask, for which Dask is loaded only if there is a configuration to read."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.units import escape


def setting(key: str) -> Any:
    """Return a setting of Dask's configuration; ``None`` if it is not set, or has the default that Dask gives it.

    Raises
    ------
    ConfigurationError
        Dask cannot read its configuration.
    """
    if "dask" not in sys.modules and not _is_configured():
        return None
    try:
        from pipeline.execute.configured import dask_setting  # noqa: PLC0415 - loading Dask takes a tenth of a second
    except ValueError as error:
        # Dask reads its files as it is loaded, and its text has several lines.
        raise ConfigurationError(
            f"Dask cannot read its configuration: {escape(' '.join(str(error).split()), 400)}",
            "correct the file, or name another one with DASK_CONFIG",
        ) from error
    return dask_setting(key)


def check_settings() -> None:
    """Refuse a configuration that Dask cannot read, before anything is connected or started.

    Raises
    ------
    ConfigurationError
        As :func:`setting`.
    """
    setting("scheduler-address")


def _is_configured() -> bool:
    """Return whether there is anything that Dask would read: variables, or files in the folders where it looks."""
    if any(name.startswith("DASK_") for name in os.environ):
        return True
    root = os.environ.get("DASK_ROOT_CONFIG", "/etc/dask")
    folders = (root, *(f"{prefix}/etc/dask" for prefix in (sys.prefix, *site.PREFIXES)))
    return any(map(os.path.exists, folders)) or Path("~/.config/dask").expanduser().exists()
