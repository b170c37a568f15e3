"""What changes in this process for the time of a connection: the log lines of distributed, and its retries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dask.config

_SETTINGS = {
    # If the scheduler is lost, the run ends at once, whatever the user's configuration says about retries.
    "distributed.comm.retry.count": 0,
    # Otherwise the source of this package is searched and sent with every submission.
    "distributed.diagnostics.computations.nframes": 0,
}


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress what distributed logs inside the block: what matters in it is raised as an error."""
    with dask.config.set(_SETTINGS), _held_back_logs():
        yield


@contextmanager
def _held_back_logs() -> Iterator[None]:
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    loggers = [logging.getLogger(name) for name in ("tornado.application", *names)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
