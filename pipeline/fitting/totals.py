"""What the classes of a fit weigh, and what that says of the intercept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.fitting.job import FitJob
from pipeline.fitting.learnt import Learnt


def class_names(classes: Sequence[bool | int | str]) -> tuple[str, ...]:
    """Return the classes as a person writes them: ``true`` for a boolean."""
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in classes)


def class_factors(job: FitJob, learnt: Learnt) -> tuple[float, ...]:
    """Return by what the weights of the rows of each class are multiplied; ``balanced`` makes their sums equal."""
    wanted = job.model.class_weights
    if wanted is None:
        return (1.0,) * len(learnt.classes)
    if wanted == "balanced":
        total = math.fsum(learnt.class_weights)
        return tuple(total / (len(learnt.classes) * weight) if weight else 0.0 for weight in learnt.class_weights)
    return tuple(wanted.get(name, 1.0) for name in class_names(learnt.classes))


def class_totals(job: FitJob, learnt: Learnt) -> tuple[float, ...]:
    """Return the weight of each class in the loss."""
    pairs = zip(class_factors(job, learnt), learnt.class_weights, strict=True)
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
    negative, positive = class_totals(job, learnt)
    return math.log(prior / (1.0 - prior)) - math.log(positive / negative)
