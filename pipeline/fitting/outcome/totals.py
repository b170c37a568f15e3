"""What the classes of a fit weigh, and what that says of the intercept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pipeline.errors import UsageError
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.units import escape, format_count, shortest, value_text


def class_names(classes: Sequence[bool | int | str]) -> tuple[str, ...]:
    """Return the classes as a person writes them: ``true`` for a boolean."""
    return tuple(map(value_text, classes))


def check_classes(job: FitJob, learnt: Learnt) -> None:
    """Refuse what only a target of two classes can have, once the classes are known.

    An offset would be added to the raw predictions of all classes, which changes no probability.

    Raises
    ------
    UsageError
        There are more classes, and an offset or the true share of positives.
    """
    given = {"--offset": job.model.offset, "--prior": job.model.prior}
    wanted = [option for option, value in given.items() if value is not None]
    if len(learnt.classes) > 2 and wanted:
        raise UsageError(
            f"{wanted[0]} is for two classes, but the target {escape(job.model.target)} has "
            f"{format_count(len(learnt.classes))}",
            f"leave {wanted[0]} out, or make the target one of two values",
        )


def class_totals(learnt: Learnt) -> tuple[float, ...]:
    """Return the weight of each class in the loss."""
    pairs = zip(learnt.class_weights, learnt.class_totals, strict=True)
    return tuple(factor * weight for factor, weight in pairs)


def intercept_shift(job: FitJob, learnt: Learnt) -> float:
    """Return what is added to the intercept of a sample in which the share of positives is not the true one.

    The logarithm of the true odds minus that of the odds in the loss: a logistic model of rows that were chosen by
    their class differs from the true one by that alone (Prentice and Pyke, *Logistic disease incidence models and
    case-control studies*, 1979). 0 unless a true share is given.
    """
    prior = job.model.prior
    if prior is None:
        return 0.0
    negative, positive = class_totals(learnt)
    return math.log(prior / (1.0 - prior)) - math.log(positive / negative)


def prior_notes(job: FitJob, learnt: Learnt) -> Iterator[str]:
    """Yield a note if the intercept is corrected for the true share of positives."""
    if job.model.prior is not None:
        yield (
            f"--prior {shortest(job.model.prior)}: {shortest(intercept_shift(job, learnt))} was added to the intercept "
            "at the end; the log losses and deviances are those before it, of the rows as they are"
        )
