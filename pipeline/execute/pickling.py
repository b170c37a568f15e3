"""Pickles of tasks and items for other processes."""

from __future__ import annotations

import pickle
from typing import Any

from pipeline.errors import UsageError
from pipeline.units import escape


def pickled(what: Any) -> bytes:
    """Return a pickle; functions that cannot travel by their names (lambdas, those of a script) go with their code.

    Raises
    ------
    UsageError
        It cannot be pickled. What forbids it is the ``__cause__``.
    """
    try:
        found = pickle.dumps(what)
    except (pickle.PicklingError, TypeError, ValueError, AttributeError):
        found = b""
    if found and b"__main__" not in found:
        return found
    return _pickled_by_value(what)


def _pickled_by_value(what: Any) -> bytes:
    """Return the pickle of what cannot travel by the names of its functions: lambdas, and functions of a script."""
    # This import takes a quarter of a second, which logitstream's tasks never need.
    from distributed.protocol.pickle import dumps  # noqa: PLC0415

    try:
        found: bytes = dumps(what)
    except (pickle.PicklingError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"the task cannot be sent to another process: {escape(str(error), 300)}",
            "leave locks, open files and connections out of its functions, or use --scheduler threads",
        ) from error
    return found
