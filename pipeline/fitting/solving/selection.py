"""Penalties along a path, and the one that is chosen by rows that were left out.

From the smallest penalty that leaves nothing down to the one that was asked for, evenly on a logarithmic scale
(Friedman, Hastie and Tibshirani, Regularization paths for generalized linear models via coordinate descent, 2010). A
path is cut into stretches of a fixed length; each stretch, of all rows and without each fold, is one solver after the
other, from where the last one ended. Stretches share passes, as many as there is memory for; what they find does not
depend on how many do.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.passes.points import Passes, PassSums, Point
from pipeline.fitting.report import PenaltyTried
from pipeline.fitting.solving import Observer, begin, drive, newton
from pipeline.fitting.solving.dependence import without
from pipeline.fitting.solving.objective import Method, Objective, PassRecord, Penalty, Solution, Solver
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.tiles.layout import FitLayout, Floats

# Penalties of a stretch.
STRETCH = 5
# What the largest L2 penalty is, relative to the L1 penalty that leaves nothing.
_RIDGE_TOP = 1e3
# So that rounding leaves nothing at the largest penalty.
_ABOVE = 1.0 + 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class PathChoice:
    """What a path led to.

    Attributes
    ----------
    tried : tuple of PenaltyTried
        The largest penalty first.
    penalty : Penalty or None
        The one that was chosen.
    solution : Solution
        Its solution on all rows that are fitted.
    coefficients : tuple of ndarray, shape (outputs, width)
        Of each penalty, on all rows that are fitted.
    passes : int
        Passes of the whole path.
    unconverged : int
        How many fits of the path, those without a fold counted, did not converge.
    """

    tried: tuple[PenaltyTried, ...]
    penalty: Penalty | None
    solution: Solution
    coefficients: tuple[Floats, ...]
    passes: int
    unconverged: int


def select(
    passes: Passes,
    objective: Objective,
    *,
    method: Method = "newton",
    count: int = 1,
    folds: int = 0,
    start: Floats | None = None,
    together: int = 8,
    one_standard_error: bool = False,
    observe: Observer | None = None,
) -> PathChoice:
    """Return the penalty whose loss on rows that were left out is smallest, with its solution.

    Parameters
    ----------
    passes : Passes
        Rows whose fold is -1 are held out of every fit; they judge where there are no folds. Where no row is left out,
        the penalty that was asked for is chosen.
    objective : Objective
        With the penalty that was asked for, the last one of the path.
    method : str
    count : int
        Penalties of the path.
    folds : int
        0 for none.
    start : ndarray, shape (outputs, width), optional
        Near the solution of the last penalty.
    together : int
        How many models share a pass at most.
    one_standard_error : bool
        Whether the largest penalty is chosen whose loss is within one standard error, over the folds, of the smallest.
    observe : callable, optional
    """
    layout = objective.layout
    start = np.zeros((layout.outputs, layout.width)) if start is None else start
    counter = _Counter(passes)
    null = drive(counter, [_null(objective)], observe)[0] if count > 1 and _size(objective.penalty) > 0 else None
    path = penalties(objective, null, count)
    stretches = [path[first : first + STRETCH] for first in range(0, len(path), STRETCH)]
    solvers = [
        _stretch(method, replace(objective, fold=fold), stretch, start if null is None or number else null.coefficients)
        for fold in (None, *range(folds))
        for number, stretch in enumerate(stretches)
    ]
    found = drive(counter, solvers, observe, together=together)
    fits = [
        [one for stretch in found[number : number + len(stretches)] for one in stretch.solutions]
        for number in range(0, len(found), len(stretches))
    ]
    losses = [_judged([fit[place] for fit in fits]) for place in range(len(path))]
    best = _chosen(losses, one_standard_error)
    return PathChoice(
        _tried(path, losses, fits[0], best),
        path[best],
        fits[0][best],
        tuple(one.coefficients for one in fits[0]),
        counter.count,
        sum(not one.certificate.converged for fit in fits for one in fit),
    )


def models_of_path(count: int, folds: int) -> int:
    """Return how many models of a path of ``count`` penalties can share a pass: one for each stretch, and each fold."""
    return math.ceil(count / STRETCH) * (folds + 1)


def penalties(objective: Objective, null: Solution | None, count: int) -> list[Penalty | None]:
    """Return the penalties of a path, the largest first and the one of the objective last.

    The first leaves nothing: of L1 it is the smallest that does, and L2 is in proportion; of L2 alone it leaves about a
    thousandth of the slope that there is without any coefficient. ``null`` is the fit of what is not penalised;
    without it the path is the penalty alone.
    """
    asked = objective.penalty
    if asked is None or null is None:
        return [asked]
    top = _steepest(objective, null, asked)
    ratio = top * _ABOVE / asked.l1 if asked.l1 > 0 else top * _RIDGE_TOP / asked.l2
    if ratio <= 1.0:
        return [asked]
    scales = [ratio ** (1.0 - place / (count - 1)) for place in range(count)]
    return [Penalty(asked.l1 * scale, asked.l2 * scale, asked.factors) for scale in scales]


def _null(objective: Objective) -> Solver:
    """Fit what is not penalised, from intercepts that give each class its share."""
    layout, penalty = objective.layout, objective.penalty
    assert penalty is not None
    penalised = penalty.factors > 0
    fixed = penalised if objective.fixed is None else penalised | objective.fixed
    start = np.zeros((layout.outputs, layout.width))
    if layout.intercept:
        start[:, 0] = _shares(layout, (yield Point(start.copy(), 1)))
    return (yield from newton(replace(objective, penalty=None, fixed=fixed), start))


def _steepest(objective: Objective, null: Solution, penalty: Penalty) -> float:
    """Return the largest slope by a scaled coefficient where only what is not penalised is fitted."""
    problem = Minimised(replace(objective, penalty=Penalty(0.0, 0.0, penalty.factors)))
    slope = np.abs(problem.subgradient(null.sums, null.coefficients.ravel()))
    factors = np.tile(penalty.factors, objective.layout.outputs)
    return float((slope[factors > 0] / factors[factors > 0]).max(initial=0.0))


def _shares(layout: FitLayout, sums: PassSums) -> Floats:
    """Return the intercepts that give each class its share, from the sums at 0; 0 for a class that does not occur."""
    assert sums.gradient is not None
    shares = 1.0 / layout.classes - sums.gradient[:, 0] / sums.weight
    if (shares <= 0).any() or (layout.outputs < layout.classes and shares.sum() >= 1):
        return np.zeros(layout.outputs)
    logs: Floats = np.log(shares)
    logs -= np.log(1.0 - shares.sum()) if layout.outputs < layout.classes else logs.mean()
    return logs


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """The solutions of a stretch of a path."""

    solutions: tuple[Solution, ...]

    @property
    def records(self) -> tuple[PassRecord, ...]:
        """The passes of the last one."""
        return self.solutions[-1].records


def _stretch(
    method: Method, objective: Objective, path: Sequence[Penalty | None], start: Floats
) -> Generator[Point, PassSums, _Stretch]:
    """Solve for one penalty after the other; the sums where one ends are those where the next begins."""
    solutions: list[Solution] = []
    last: Solution | None = None
    for penalty in path:
        solver = begin(method, replace(objective, penalty=penalty), start)
        point = next(solver)
        try:
            while True:
                if last is not None and point.record is None and _same(point, last):
                    point = solver.send(last.sums)
                else:
                    known = point if point.record or last is None else replace(point, record=last.records[-1])
                    point = solver.send((yield known))
        except StopIteration as end:
            last = end.value
        assert last is not None
        start = last.coefficients
        if last.dropped:
            objective = without(objective, [column for column, _ in last.dropped])
        # With a penalty nothing is inferred from the Hessian.
        solutions.append(last if penalty is None else _light(last))
    return _Stretch(tuple(solutions))


def _same(point: Point, last: Solution) -> bool:
    """Whether the sums of a solution are what a point asks for."""
    has = (last.sums.hessian is not None or point.order < 2) and (last.sums.diagonal is not None or not point.diagonal)
    return has and np.array_equal(point.coefficients, last.coefficients)


def _light(solution: Solution) -> Solution:
    """Return a solution without its Hessian."""
    return replace(solution, sums=replace(solution.sums, hessian=None))


def _judged(fits: Sequence[Solution]) -> tuple[float | None, float | None]:
    """Return the log loss on rows left out, and its standard error over the folds; the first fit is of all rows."""
    if len(fits) == 1:
        held = fits[0].sums
        return (held.held_loss / held.held_weight if held.held_weight > 0 else None), None
    held_out = [fit.sums for fit in fits[1:] if fit.sums.held_weight > 0]
    if not held_out:
        return None, None
    means = np.array([sums.held_loss / sums.held_weight for sums in held_out])
    mean = sum(sums.held_loss for sums in held_out) / sum(sums.held_weight for sums in held_out)
    error = float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else None
    return mean, error


def _chosen(losses: Sequence[tuple[float | None, float | None]], one_standard_error: bool) -> int:
    """Return the place of the penalty that is chosen; the larger one of two that are as good."""
    known = [(loss, place) for place, (loss, _) in enumerate(losses) if loss is not None]
    if not known:
        return len(losses) - 1
    smallest, best = min(known)
    error = losses[best][1]
    if not one_standard_error or error is None:
        return best
    return min(place for loss, place in known if loss <= smallest + error)


def _size(penalty: Penalty | None) -> float:
    return 0.0 if penalty is None else max(penalty.l1, penalty.l2)


def _tried(
    path: Sequence[Penalty | None],
    losses: Sequence[tuple[float | None, float | None]],
    fits: Sequence[Solution],
    best: int,
) -> tuple[PenaltyTried, ...]:
    return tuple(
        PenaltyTried(
            0.0 if penalty is None else penalty.l1,
            0.0 if penalty is None else penalty.l2,
            *losses[place],
            nonzero=_nonzero(fits[place].coefficients, penalty),
            chosen=place == best,
        )
        for place, penalty in enumerate(path)
    )


def _nonzero(coefficients: Floats, penalty: Penalty | None) -> int:
    """Return how many coefficients that are penalised, or all where none is, are not 0."""
    counted = coefficients if penalty is None else coefficients[:, penalty.factors > 0]
    return int(np.count_nonzero(counted))


class _Counter:
    """Passes that are counted."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self.count = 0

    @property
    def layout(self) -> FitLayout:
        return self._passes.layout

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        self.count += 1
        return self._passes.sums(points)
