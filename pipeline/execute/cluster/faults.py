"""The errors of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import ConfigurationError, MemoryBudgetError, TemporaryError, UnavailableError
from pipeline.execute.terms import ClusterTerms
from pipeline.units import escape, format_seconds


def lost(address: str) -> UnavailableError:
    """Return the error for a connection that broke."""
    return UnavailableError(f"the connection to the scheduler at {address} was lost", "see its log, and run again")


def not_shared(address: str, error: Exception) -> UnavailableError:
    """Return the error for a job that the scheduler answers for but does not get to its workers."""
    return UnavailableError(
        f"the scheduler at {address} cannot send the job to its workers: {escape(f'{type(error).__name__}: {error}')}",
        "see its log and those of the workers, and run again",
    )


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


def no_workers(address: str, seconds: float, suspects: Sequence[str]) -> UnavailableError:
    """Return the error for a cluster without workers; ``suspects`` names the work that may have ended them."""
    after = f". Before that, workers died with {'; '.join(suspects)}" if suspects else ""
    return UnavailableError(
        f"the scheduler at {address} has had no worker for {format_seconds(seconds)}{after}",
        f"start one with `dask worker {address} --nthreads 1`, or wait longer with --wait-workers",
    )


def given_up(address: str, seconds: float) -> UnavailableError:
    """Return the error for a task that the scheduler has given up because there was no worker for it."""
    return UnavailableError(
        f"the scheduler at {address} has had no worker for {format_seconds(seconds)} and gave the work up",
        f"start one with `dask worker {address} --nthreads 1`, or start the scheduler with a longer"
        " distributed.scheduler.no-workers-timeout",
    )


def deaths(workers: int) -> str:
    """Return a sentence about workers without its end."""
    return f"{workers} worker{'' if workers == 1 else 's'} died"


def killed(name: str, workers: int, last: str, memory: str, terms: ClusterTerms) -> TemporaryError | MemoryBudgetError:
    """Return the error for a chunk that ended as many workers as the cluster allows.

    ``memory`` is what the last of them took, if that ended it, as a clause.
    """
    message = f"{name} was given up: {deaths(workers)} while working on it, the last one at {last}{memory}"
    if not terms.shares_memory:
        return TemporaryError(
            message,
            "see the log of that worker; most often it took too much memory. Give the workers more, or lower --memory"
            " or --chunk-size, then run again",
        )
    if memory:
        return MemoryBudgetError(message, terms.more_memory)
    return TemporaryError(message, f"most often it took too much memory: {terms.more_memory}, then run again")


def died_again(name: str, workers: int, times: int, terms: ClusterTerms) -> TemporaryError:
    """Return the error for a cluster whose workers die again and again at chunks that succeed alone."""
    return TemporaryError(
        f"{name}: {deaths(workers)} with it and other chunks. Such deaths have happened {times} times, and each of the"
        " chunks before succeeded alone",
        f"most often chunks that run at once took too much memory: {terms.more_memory}, then run again",
    )


def unloadable(address: str, error: Exception) -> ConfigurationError:
    """Return the error for a worker that cannot load the task."""
    return ConfigurationError(
        f"worker {address} cannot load the task: {escape(f'{type(error).__name__}: {error}', 300)}",
        "install logitstream, and the modules of your functions, for every worker. If a package there is called"
        " `jobs` or `pipeline`, start the workers with `--preload logitstream`",
    )


def unknown_module(error: ImportError) -> ConfigurationError:
    """Return the error for a task that the cluster cannot load."""
    return ConfigurationError(
        f"the cluster cannot load the task: {escape(str(error))}",
        "install logitstream, and the modules of your functions, for the scheduler and every worker",
    )
