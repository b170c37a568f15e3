"""What jobs log: records of the loggers below ``logitstream``.

They are shown, or not, as the program that embeds logitstream configures :mod:`logging`; by default they are not.

    logitstream.run        jobs that publish an output
    logitstream.fit        fits, of networks too: also passes and epochs
    logitstream.evaluate   evaluations
    logitstream.calibrate  calibrations: also passes
    logitstream.diagnose   diagnoses
    logitstream.inspect    what a cluster makes known while data is inspected

Each job but an inspection logs what it will do, its notes and warnings, and at the end what became of the rows. An
error is not logged: it is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

Told = TypeVar("Told")
Part = Literal["run", "fit", "evaluate", "calibrate", "diagnose", "inspect"]

# Else Python would print warnings where nobody has configured logging.
logging.getLogger("logitstream").addHandler(logging.NullHandler())


def logged(part: Part, observe: Callable[[Told], object], text_of: Callable[[Told], str]) -> Callable[[Told], None]:
    """Return an observer that logs an event before it passes it on.

    Parameters
    ----------
    part : str
        The last part of the name of the logger.
    observe : callable
        Receives each event.
    text_of : callable
        Returns what is logged about an event, empty for one that is not logged. An event with a ``warning`` that is
        true is logged as a warning, others for information.
    """
    logger = logging.getLogger(f"logitstream.{part}")

    def tell(event: Told) -> None:
        if text := text_of(event):
            logger.log(logging.WARNING if getattr(event, "warning", False) else logging.INFO, "%s", text)
        observe(event)

    return tell


def log_notes(part: Part, notes: Iterable[str], warnings: Iterable[str] = ()) -> None:
    """Log sentences: notes for information, warnings as warnings."""
    logger = logging.getLogger(f"logitstream.{part}")
    for text in notes:
        logger.info("%s", text)
    for text in warnings:
        logger.warning("%s", text)
