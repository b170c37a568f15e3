"""What jobs log: records of the loggers below ``logitstream``.

They are shown, or not, as the program that embeds logitstream configures :mod:`logging`; by default they are not.

    logitstream.run        a published job: its plan, its notes and warnings, its end
    logitstream.fit        fits, of networks too: passes, epochs and notes
    logitstream.evaluate   notes and warnings of an evaluation
    logitstream.calibrate  passes, notes and warnings of a calibration
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

Told = TypeVar("Told")
Part = Literal["run", "fit", "evaluate", "calibrate"]

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


def log_notes(part: Part, notes: Iterable[str], warnings: Iterable[str]) -> None:
    """Log the notes and warnings of a report."""
    logger = logging.getLogger(f"logitstream.{part}")
    for text in notes:
        logger.info("%s", text)
    for text in warnings:
        logger.warning("%s", text)
