"""The errors of a cluster."""

from __future__ import annotations

from distributed import KilledWorker

from pipeline.errors import ConfigurationError, TemporaryError, UnavailableError
from pipeline.units import escape, format_seconds


def lost(address: str) -> UnavailableError:
    """Return the error for a connection that broke."""
    return UnavailableError(f"the connection to the scheduler at {address} was lost", "see its log, and run again")


def silent(address: str, seconds: float) -> UnavailableError:
    """Return the error for a scheduler that does not answer any more."""
    return UnavailableError(
        f"the scheduler at {address} has not answered for {format_seconds(seconds)}",
        "see whether it still runs, and run again; --scheduler-timeout waits longer",
    )


def no_scheduler(address: str, seconds: float) -> UnavailableError:
    """Return the error for an address at which nobody answers."""
    return UnavailableError(
        f"no Dask scheduler answers at {address} within {seconds:.0f} seconds",
        "start one with `dask scheduler --host 127.0.0.1`, or correct the address",
    )


def no_workers(address: str, seconds: float) -> UnavailableError:
    """Return the error for a cluster without workers."""
    return UnavailableError(
        f"the scheduler at {address} has had no worker for {format_seconds(seconds)}",
        f"start one with `dask worker {address} --nthreads 1`, or wait longer with --wait-workers",
    )


def killed(name: str, error: KilledWorker, memory: str = "") -> TemporaryError:
    """Return the error for a chunk that ended as many workers as the cluster allows."""
    return TemporaryError(
        f"{name} was given up: {error.allowed_failures + 1} workers died while they worked on it, the last"
        f" one at {error.last_worker.address}{memory}",
        "see the log of that worker; most often it took too much memory. Give the workers more, or lower --memory or"
        " --chunk-size, then run again",
    )


def unknown_module(error: ImportError) -> ConfigurationError:
    """Return the error for a task that the cluster cannot load."""
    return ConfigurationError(
        f"the cluster cannot load the task: {escape(str(error))}",
        "install logitstream, and the modules of your functions, for the scheduler and every worker",
    )
