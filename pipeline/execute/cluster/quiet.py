"""What runs on a cluster change in this process: distributed retries nothing, and writes and warns of nothing."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import dask.config
from distributed.versions import VersionMismatchWarning

from pipeline.process import SharedChange

_NOTHING = logging.CRITICAL + 1
_SETTINGS = {
    # If the scheduler is lost, the run ends at once, whatever the user's configuration says about retries.
    "distributed.comm.retry.count": 0,
    # Otherwise the source of this package is searched and sent with every submission.
    "distributed.diagnostics.computations.nframes": 0,
    # Otherwise the last 1,000 messages to the scheduler, and in them all their tasks, would stay in memory.
    "distributed.admin.low-level-log-length": 10,
    # Otherwise Dask warns of a task with much data, and gives advice for graphs that the user has not made.
    "distributed.admin.large-graph-warning-threshold": sys.maxsize,
}


@contextmanager
def _held_back_logs() -> Iterator[None]:
    """Suppress the log lines of distributed: what matters in them is raised as an error."""
    known = [name for name in list(logging.root.manager.loggerDict) if name.startswith("distributed.")]
    loggers = [logging.getLogger(name) for name in ("tornado.application", "distributed", *known)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(_NOTHING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            # A level that somebody else has set meanwhile stays.
            if logger.level == _NOTHING:
                logger.setLevel(level)


@contextmanager
def _held_back_warnings() -> Iterator[None]:
    """Ignore the warning of other versions on the cluster, which our own check raises as an error.

    ``warnings.catch_warnings`` would put back all filters, also those that others have set meanwhile.
    """
    ours = ("ignore", None, VersionMismatchWarning, None, 0)
    if ours in warnings.filters:
        yield
        return
    warnings.simplefilter("ignore", VersionMismatchWarning)
    try:
        yield
    finally:
        with suppress(ValueError):
            warnings.filters.remove(ours)  # type: ignore[attr-defined]


@contextmanager
def _quiet() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        stack.enter_context(_held_back_logs())
        stack.enter_context(_held_back_warnings())
        yield


DISTRIBUTED_QUIET = SharedChange(_quiet)
