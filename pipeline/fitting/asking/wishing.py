"""What a job asks of the solver: penalty, signs, method."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.tiles.layout import Floats
from pipeline.fitting.solving.objective import Objective, Penalty
from pipeline.fitting.outcome.own_units import slice_of
from pipeline.fitting.asking.terms import NumberTerm


def objective_of(job: FitJob, design: FitDesign) -> Objective:
    """Return what is minimised for a job."""
    return Objective(design.layout, penalty=_penalty_of(job, design), signs=_signs_of(job, design))


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
