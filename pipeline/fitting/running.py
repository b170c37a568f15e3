"""A whole fit: files in, a model with its certificate out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pyarrow as pa

from pipeline import memory
from pipeline.fitting.blas import one_thread
from pipeline.fitting.decoding import ClassSource, RowSources
from pipeline.fitting.design import FitDesign, NumberSource
from pipeline.fitting.designing import design_of
from pipeline.fitting.effect_pass import effects_over
from pipeline.fitting.effect_rows import effect_rows
from pipeline.fitting.effects import effect_numbers, plan_effects
from pipeline.fitting.encoding import Encoder
from pipeline.fitting.holding import Holding
from pipeline.fitting.inference import Inference, scores_point, why_no_errors
from pipeline.fitting.job import FitJob
from pipeline.fitting.layout import Floats, Tile
from pipeline.fitting.learning import learn
from pipeline.fitting.learnt import Learnt
from pipeline.fitting.making import model_of
from pipeline.fitting.measuring import measures_of, null_solver
from pipeline.fitting.objective import Method, PassRecord, Solution
from pipeline.fitting.planning import outlook_of, plan
from pipeline.fitting.points import Passes, PassSums, Point
from pipeline.fitting.profiles import RowsSeen, certificate_document, trained, training_of
from pipeline.fitting.reading import PreparedFit, prepare_fit
from pipeline.fitting.report import EffectRow, FitReport, PassDone, PenaltyTried
from pipeline.fitting.resources import lowered_note, most_models
from pipeline.fitting.scanning import ScanPasses, open_holding, open_passes
from pipeline.fitting.selection import select
from pipeline.fitting.solving import begin, choose, drive, warm_start
from pipeline.fitting.state import FitState, fit_digest, open_state
from pipeline.fitting.tabulating import coefficient_rows
from pipeline.fitting.tiles_in_memory import MemoryPasses
from pipeline.fitting.totals import check_classes, class_names, class_totals, intercept_shift
from pipeline.fitting.verdicts import check_converged, dependent_notes
from pipeline.fitting.wishing import objective_of
from pipeline.models import write_new_file
from pipeline.models.levels import LevelType
from pipeline.scan import open_scan
from pipeline.types.inputs import Integers
from pipeline.types.report import Noted

__all__ = ["plan", "run"]

Observe = Callable[[PassDone | Noted], None]

# A path of penalties shares passes; more models than this gain little.
_TOGETHER = 64
_TYPES: dict[type, LevelType] = {bool: "boolean", int: "integer", str: "text"}


def run(job: FitJob, observe: Observe | None = None) -> FitReport:
    """Fit a model, write it where that is asked for, and return it with all that was found.

    Raises
    ------
    LogitstreamError
        Nothing was written. ``ThresholdError`` if the fit did not converge and that is not allowed.
    """
    return FitRun(job, observe or _nobody).report()


def _nobody(_: PassDone | Noted) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that the passes found."""

    solution: Solution
    method: Method
    null: Solution | None = None
    scored: PassSums | None = None
    path: tuple[PenaltyTried, ...] = ()
    effects: tuple[EffectRow, ...] = ()


@dataclass(eq=False)
class FitRun:
    """A fit under way."""

    job: FitJob
    observe: Observe
    started: float = field(default_factory=time.monotonic)
    ended: float = field(default_factory=time.monotonic)
    passes: int = 0
    notes: list[str] = field(default_factory=list)

    def report(self) -> FitReport:
        """Carry it out."""
        with one_thread():
            prepared = prepare_fit(self.job)
            self._note(*prepared.notes)
            digest = fit_digest(prepared.scan, prepared.job)
            with open_state(self.job.output, digest, self._note) as state, self._holding(prepared) as holding:
                if state.answered:
                    self._note(f"goes on after pass {state.answered + 1} of the fit that was interrupted")
                learnt, sample = self._learnt(prepared, state, holding)
                check_classes(prepared.job, learnt)
                design, notes = design_of(prepared.job, learnt)
                self._note(*notes)
                if self.job.solve.effects:
                    design = replace(design, extra=effect_numbers(design))
                rows = sources_of(prepared, learnt)
                start = self._start(prepared, design, rows, sample)
                with self._passes(prepared, design, rows, holding) as passes:
                    fitted = self._fitted(prepared, learnt, passes, state, start)
                return self._made(prepared, learnt, design, fitted, sample)

    def _holding(self, prepared: PreparedFit) -> AbstractContextManager[Holding]:
        """Return what holds decoded columns between passes."""
        job, divider = self.job, prepared.rules.divider
        return open_holding(
            prepared.scan,
            job.means.scratch,
            output=job.output,
            passes=outlook_of(prepared).passes,
            levels=[name for name, role in prepared.columns if role == "categorical"],
            places=divider is not None and divider.key is None and (divider.folds > 1 or divider.share > 0),
        )

    def _learnt(self, prepared: PreparedFit, state: FitState, holding: Holding) -> tuple[Learnt, pa.Table]:
        """Return what the first pass learns, of an earlier try if there was one."""
        begins = prepared.scan.begins
        found = state.learnt(begins)
        if found is None:
            with open_scan(prepared.scan, {"holding": asdict(holding)}) as scan:
                found = learn(scan, prepared, self._count)
            state.keep_learnt(*found, begins)
        else:
            self.passes += 1
        return found

    def _passes(
        self, prepared: PreparedFit, design: FitDesign, rows: RowSources, holding: Holding
    ) -> AbstractContextManager[ScanPasses]:
        """Return passes that as many models share as fit the memory."""
        solve, objective = self.job.solve, objective_of(self.job, design)
        method = choose(solve.solver, design.layout, objective.penalty, objective.signs)
        squares = int(method == "newton" or solve.robust or solve.robust_groups is not None)
        wanted = _wanted(self.job)
        shared = most_models(prepared.scan, design.layout, wanted, squares)
        if note := lowered_note(wanted, shared, prepared.scan.resources.allowed_bytes):
            self._note(note)
        return open_passes(prepared.scan, design, rows, holding=holding, models=shared, squares=squares)

    def _start(self, prepared: PreparedFit, design: FitDesign, rows: RowSources, sample: pa.Table) -> Floats:
        """Return coefficients near the optimum of the sample."""
        # All rows of the sample are fitted.
        encoder = Encoder(design, replace(rows, divider=None), decimal=prepared.scan.csv.decimal)
        tiles = [_kept(tile) for tile in encoder.tiles([SampleBatch.of(sample)])]
        return warm_start(MemoryPasses(design.layout, tiles), objective_of(prepared.job, design))

    def _fitted(
        self, prepared: PreparedFit, learnt: Learnt, passes: ScanPasses, state: FitState, start: Floats
    ) -> Fitted:
        self.ended = time.monotonic()
        solve, design = self.job.solve, passes.design
        kept = state.passes(passes)
        is_chosen = solve.path or solve.folds
        fitted = self._chosen(kept, design, passes.models, start) if is_chosen else self._solved(kept, design, start)
        check_converged(self.job, design, fitted.solution)
        self._note(*dependent_notes(self.job, design, fitted.solution))
        point = scores_point(self.job, fitted.solution)
        if point is not None:
            (scored,) = kept.sums([point])
            fitted = replace(fitted, scored=scored)
            self._tell(PassDone(0, "errors", scored.rows, 0.0))
        if not solve.effects:
            return fitted
        coefficients = fitted.solution.coefficients
        planned = plan_effects(design, learnt, [column for column, _ in fitted.solution.dropped])
        self._note(*planned.notes)
        sums = effects_over(passes, planned, coefficients)
        self._tell(PassDone(0, "effects", fitted.solution.sums.rows, 0.0))
        covariance = Inference(prepared.job, design, fitted.solution, fitted.scored).covariance
        names = class_names(learnt.classes)
        return replace(fitted, effects=effect_rows(planned, design, coefficients, sums, names, covariance))

    def _solved(self, passes: Passes, design: FitDesign, start: Floats) -> Fitted:
        """Solve for one penalty or none, beside the null model where that needs passes."""
        solve, objective = self.job.solve, objective_of(self.job, design)
        method = choose(solve.solver, passes.layout, objective.penalty, objective.signs)
        if method == "gradient":
            start = np.zeros_like(start)
        solver = begin(method, objective, start, learning_rate=solve.learning_rate, iterations=solve.iterations)
        null = null_solver(self.job, passes.layout)
        found = drive(passes, [solver] if null is None else [solver, null], self._watch)
        return Fitted(found[0], method, None if null is None else found[1])

    def _chosen(self, passes: Passes, design: FitDesign, together: int, start: Floats) -> Fitted:
        """Choose a penalty by rows that are left out."""
        solve, objective = self.job.solve, objective_of(self.job, design)
        method = choose(solve.solver, passes.layout, objective.penalty, objective.signs)
        found = select(
            passes,
            objective,
            method=method,
            count=solve.path or 1,
            folds=solve.folds or 0,
            start=start,
            together=together,
            one_standard_error=solve.one_standard_error,
            observe=self._watch,
        )
        return Fitted(found.solution, method, path=found.tried)

    def _watch(
        self, _: int, points: Sequence[Point], sums: Sequence[PassSums], records: Sequence[PassRecord | None]
    ) -> None:
        record = records[0]
        done = PassDone(0, "fit", sums[0].rows + sums[0].held_rows, 0.0, models=len(points))
        if record is not None:
            done = replace(done, objective=record.objective, decrement=record.decrement, gradient=record.gradient)
        self._tell(done)

    def _count(self, done: PassDone) -> None:
        self.passes += 1
        self.observe(replace(done, number=self.passes))

    def _tell(self, done: PassDone) -> None:
        """Tell of a pass, which began when the one before it ended."""
        now = time.monotonic()
        self._count(replace(done, seconds=now - self.ended))
        self.ended = now

    def _made(
        self, prepared: PreparedFit, learnt: Learnt, design: FitDesign, fitted: Fitted, sample: pa.Table
    ) -> FitReport:
        job, solution = prepared.job, fitted.solution
        inference = Inference(job, design, solution, fitted.scored)
        if why := why_no_errors(inference):
            self._note(why)
        model = model_of(job, design, learnt, solution, {})
        certificate = solution.certificate
        seen = RowsSeen(prepared.scan.files, learnt, sample)
        model = trained(model, training_of(job, design, seen, model, certificate, fitted.method))
        if self.job.output is not None:
            write_new_file(self.job.output, model.to_json().encode(), self.job.if_exists)
        return FitReport(
            model=model,
            output=self.job.output,
            rows=asdict(learnt.rows),
            coefficients=coefficient_rows(inference, class_names(learnt.classes), intercept_shift(job, learnt)),
            measures=measures_of(inference, class_totals(learnt), fitted.null),
            certificate=certificate_document(design, certificate),
            effects=fitted.effects,
            path=fitted.path,
            bins={name: bins.information_value for name, bins in learnt.bins.items() if bins.information_value},
            passes=self.passes,
            seconds=time.monotonic() - self.started,
            peak_bytes=memory.peak_bytes(),
            notes=tuple(self.notes),
        )

    def _note(self, *texts: str) -> None:
        for text in texts:
            self.notes.append(text)
            self.observe(Noted(text, warning=False))


@dataclass(frozen=True, slots=True, eq=False)
class SampleBatch:
    """The rows of a sample as a batch."""

    data: pa.RecordBatch
    file: int = 0

    @classmethod
    def of(cls, sample: pa.Table) -> SampleBatch:
        """Return the rows of a sample without its last column, the fold."""
        columns = [column.combine_chunks() for column in sample.columns[:-1]]
        return cls(pa.RecordBatch.from_arrays(columns, sample.column_names[:-1]))

    def places(self) -> Integers:
        """Return no places: the rows of a sample are those that are fitted."""
        return np.zeros(self.data.num_rows, dtype=np.int64)


def _kept(tile: Tile) -> Tile:
    """Return a tile that stays valid."""
    return replace(tile, dense=tile.dense.copy(order="F"))


def sources_of(prepared: PreparedFit, learnt: Learnt) -> RowSources:
    """Return what the rows of tiles have besides the columns of the design."""
    model = prepared.job.model
    spelled = {text: number for number, text in enumerate(class_names(learnt.classes))}
    return RowSources(
        ClassSource(model.target, _TYPES[type(learnt.classes[0])], spelled),
        learnt.class_weights if model.class_weights is not None else (),
        None if model.weight is None else NumberSource(model.weight, "error"),
        None if model.offset is None else NumberSource(model.offset, "error"),
        prepared.rules.divider,
        prepared.job.solve.robust_groups,
    )


def _wanted(job: FitJob) -> int:
    """Return how many models may share a pass: those of a path, or the one that is asked for and the null model."""
    solve = job.solve
    return min(_TOGETHER, (solve.path or 1) * ((solve.folds or 0) + 1)) if solve.path or solve.folds else 2
