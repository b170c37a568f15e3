"""The passes behind the first: the optimum or the choice of a penalty, errors, and marginal effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.wishing import method_of, objective_of
from pipeline.fitting.beginning import Start
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.outcome.effect_pass import effects_over
from pipeline.fitting.outcome.effect_rows import effect_rows
from pipeline.fitting.outcome.effects import plan_effects
from pipeline.fitting.outcome.inference import Inference, scores_point
from pipeline.fitting.outcome.measuring import null_solver
from pipeline.fitting.outcome.totals import class_names
from pipeline.fitting.outcome.verdicts import check_converged, dependent_notes, unconverged_notes, unscored_notes
from pipeline.fitting.passes.points import Passes, PassSums
from pipeline.fitting.passes.scanning import ScanPasses
from pipeline.fitting.passes.state import FitState
from pipeline.fitting.report import EffectRow, PassDone, PenaltyTried
from pipeline.fitting.solving import begin, drive
from pipeline.fitting.solving.dependence import Combination, handed_over, is_zero, residual_points, without
from pipeline.fitting.solving.objective import Method, Solution
from pipeline.fitting.solving.selection import PathChoice, select
from pipeline.fitting.telling import FitTeller
from pipeline.fitting.tiles.layout import FitLayout


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that the passes found."""

    solution: Solution
    method: Method
    null: Solution | None = None
    scored: PassSums | None = None
    path: tuple[PenaltyTried, ...] = ()
    effects: tuple[EffectRow, ...] = ()


def squares_of(job: FitJob, design: FitDesign) -> int:
    """Return how many symmetric matrices the sums of a model have."""
    return int(method_of(job, design) == "newton" or job.solve.robust or job.solve.robust_groups is not None)


@dataclass(frozen=True, eq=False)
class Finder:
    """The passes of a fit behind the first.

    Attributes
    ----------
    job : FitJob
        With the features that were found.
    learnt : Learnt
    passes : ScanPasses
    state : FitState
        Answers passes of an earlier try.
    teller : FitTeller
    """

    job: FitJob
    learnt: Learnt
    passes: ScanPasses
    state: FitState
    teller: FitTeller

    def found(self, start: Start) -> Fitted:
        """Return what the passes find, from where solvers start.

        Raises
        ------
        ThresholdError
            The fit did not converge, and that is not allowed.
        DataError
            With ``--strict``, a column is a combination of others.
        """
        self.teller.begin()
        self.teller.replays = lambda: self.state.replayed
        kept = self.state.passes(self.passes)
        is_chosen = self.job.solve.path or self.job.solve.folds
        fitted = self._chosen(kept, start) if is_chosen else self._solved(kept, start)
        check_converged(self.job, self._design, fitted.solution)
        self.teller.note(*unconverged_notes(self._design, fitted.solution))
        self.teller.note(*dependent_notes(self.job, self._design, fitted.solution))
        self.teller.note(*unscored_notes(self.learnt.rows.held_out - fitted.solution.sums.held_rows))
        point = scores_point(self.job, fitted.solution)
        if point is not None:
            (scored,) = kept.sums([point])
            fitted = replace(fitted, scored=scored)
            self.teller.tell(PassDone(0, "errors", scored.rows, 0.0), replayed=self.state.replayed)
        return self._with_effects(fitted) if self.job.solve.effects else fitted

    @property
    def _design(self) -> FitDesign:
        return self.passes.design

    @property
    def _layout(self) -> FitLayout:
        return self.passes.layout

    def _solved(self, passes: Passes, start: Start) -> Fitted:
        """Solve for one penalty or none, beside the null model where that needs passes."""
        solve, method = self.job.solve, method_of(self.job, self._design)
        objective, values, explained = (
            objective_of(self.job, self._design),
            start.values,
            self._explained(passes, start),
        )
        if method == "gradient":
            values = np.zeros_like(values)
        if explained:
            objective, values = without(objective, explained), handed_over(values, explained)
        solver = begin(method, objective, values, learning_rate=solve.learning_rate, iterations=solve.iterations)
        null = null_solver(self.job, self._layout)
        found = drive(passes, [solver] if null is None else [solver, null], self.teller.watch)
        solution = replace(found[0], dropped=tuple(explained.items())) if explained else found[0]
        return Fitted(solution, method, None if null is None else found[1])

    def _explained(self, passes: Passes, start: Start) -> dict[int, Combination]:
        """Return the columns that others explain in every row, of those of which that is so in the sample."""
        if not start.suspects:
            return {}
        found = passes.sums(list(residual_points(self._layout, start.suspects)))
        self.teller.tell(PassDone(0, "combinations", found[0].rows, 0.0), replayed=self.state.replayed)
        pairs = zip(start.suspects.items(), found, strict=True)
        return {column: parts for (column, parts), sums in pairs if is_zero(sums)}

    def _chosen(self, passes: Passes, start: Start) -> Fitted:
        """Choose a penalty by rows that are left out; then solve for the null model, where that needs passes."""
        solve, method = self.job.solve, method_of(self.job, self._design)
        found = select(
            passes,
            objective_of(self.job, self._design),
            method=method,
            count=solve.path or 1,
            folds=solve.folds or 0,
            start=start.values,
            together=self.passes.models,
            one_standard_error=solve.one_standard_error,
            observe=self.teller.watch,
        )
        self.teller.note(*_path_notes(found))
        null = null_solver(self.job, self._layout)
        alone = None if null is None else drive(passes, [null], self.teller.watch)[0]
        return Fitted(found.solution, method, alone, path=found.tried)

    def _with_effects(self, fitted: Fitted) -> Fitted:
        design, coefficients = self._design, fitted.solution.coefficients
        planned = plan_effects(design, self.learnt, [column for column, _ in fitted.solution.dropped])
        self.teller.note(*planned.notes)
        sums = effects_over(self.passes, planned, coefficients)
        self.teller.tell(PassDone(0, "effects", fitted.solution.sums.rows, 0.0))
        covariance = Inference(self.job, design, fitted.solution, fitted.scored).covariance
        names = class_names(self.learnt.classes)
        return replace(fitted, effects=effect_rows(planned, design, coefficients, sums, names, covariance))


def _path_notes(found: PathChoice) -> Iterator[str]:
    if found.unconverged:
        yield (
            f"{found.unconverged} of the fits with other penalties or folds did not converge: their losses are "
            "those at their last step"
        )
