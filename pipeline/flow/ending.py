"""How a run ended, and how to resume it."""

from __future__ import annotations

from pipeline.errors import Abandoned
from pipeline.types.job import Job


def go_on(job: Job) -> str:
    """Return how to resume a run that was stopped."""
    if job.block.describe() is None:
        return "run it again from the start: a job without an identity cannot be resumed"
    without = "" if job.conduct.resume else " without --no-resume"
    return f"run the same command again{without}: finished chunks are not computed again"


def end_of(error: BaseException) -> tuple[str, int]:
    """Return what ended a run, in words, and its exit code."""
    by = error.__cause__ if isinstance(error, Abandoned) and error.__cause__ is not None else error
    if isinstance(by, KeyboardInterrupt):
        return "stopped by an interrupt (SIGINT)", 130
    # A signal ends the run with an error whose message says which one it was.
    return str(getattr(by, "message", type(by).__name__)), int(getattr(by, "exit_code", 1))
