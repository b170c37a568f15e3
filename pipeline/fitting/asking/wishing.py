"""What a job asks of the solver: penalty, signs, how many models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.terms import NumberTerm
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.outcome.own_units import slice_of
from pipeline.fitting.solving import choose
from pipeline.fitting.solving.objective import Method, Objective, Penalty
from pipeline.fitting.solving.selection import models_of_path
from pipeline.fitting.tiles.layout import Floats

# A path of penalties shares passes; more models than this gain little.
_TOGETHER = 64


def models_of(job: FitJob) -> int:
    """Return how many models may share a pass: those of a path, or the one that is asked for and its null model."""
    solve = job.solve
    if solve.path or solve.folds:
        return min(_TOGETHER, models_of_path(solve.path or 1, solve.folds or 0))
    # Without an offset the null model has a closed form.
    return 1 if job.model.offset is None else 2


def objective_of(job: FitJob, design: FitDesign) -> Objective:
    """Return what is minimised for a job."""
    return Objective(design.layout, penalty=_penalty_of(job, design), signs=_signs_of(job, design))


def method_of(job: FitJob, design: FitDesign) -> Method:
    """Return the method that a job is solved with."""
    objective = objective_of(job, design)
    return choose(job.solve.solver, design.layout, objective.penalty, objective.signs)


def _penalty_of(job: FitJob, design: FitDesign) -> Penalty | None:
    if not (job.solve.l1 > 0 or job.solve.l2 > 0):
        return None
    return Penalty(job.solve.l1, job.solve.l2, _factors(design))


def _factors(design: FitDesign) -> Floats:
    """Return 0 for the intercept, else the deviation of the column of the tile that a coefficient belongs to."""
    factors = np.zeros(design.layout.width)
    for column in design.columns:
        factors[slice_of(column, design.layout)] = column.deviation / column.scale if column.dense is not None else 1.0
    return factors


def _signs_of(job: FitJob, design: FitDesign) -> npt.NDArray[np.int8] | None:
    if not job.model.signs:
        return None
    signs = np.zeros(design.layout.width, dtype=np.int8)
    for column in design.columns:
        if isinstance(column.term, NumberTerm):
            signs[slice_of(column, design.layout)] = job.model.signs.get(column.term.column, 0)
    return signs
