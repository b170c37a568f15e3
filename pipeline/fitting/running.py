"""A whole fit: files in, a model with its certificate out."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import asdict, field, replace

import pyarrow as pa

from pipeline import memory, process
from pipeline.dataclass import dataclass
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.planning import expected_memory, needs_places, plan
from pipeline.fitting.asking.reading import PreparedFit, check_output, prepare_fit
from pipeline.fitting.asking.wishing import models_of
from pipeline.fitting.beginning import sources_of, start_of
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.designs.designing import design_of
from pipeline.fitting.finding import Finder, Fitted, squares_of
from pipeline.fitting.first_pass.learning import learn
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.outcome.effects import effect_numbers
from pipeline.fitting.outcome.inference import Inference, inflation_notes, why_no_errors
from pipeline.fitting.outcome.making import model_of
from pipeline.fitting.outcome.measuring import measures_of
from pipeline.fitting.outcome.profiles import RowsSeen, certificate_document, trained, training_of
from pipeline.fitting.outcome.tabulating import coefficient_rows
from pipeline.fitting.outcome.totals import check_classes, class_names, class_totals, intercept_shift, prior_notes
from pipeline.fitting.passes.holding import Holding
from pipeline.fitting.passes.resources import FitMemory, lowered_note, most_models
from pipeline.fitting.passes.scanning import ScanPasses, beside, open_holding, open_passes
from pipeline.fitting.passes.state import FitState, fit_digest, open_state
from pipeline.fitting.report import EpochDone, FitReport, PassDone
from pipeline.fitting.telling import FitTeller, Observe, log_end, log_text
from pipeline.fitting.tiles.decoding import RowSources
from pipeline.kernels.blas import one_thread
from pipeline.logs import log_notes, logged
from pipeline.models import write_new_file
from pipeline.scan import on_one_cluster, open_scan
from pipeline.types.report import Noted
from pipeline.units import escape

__all__ = ["plan", "run"]


def run(job: FitJob, observe: Observe | None = None) -> FitReport:
    """Fit a model, write it where that is asked for, and return it with all that was found.

    Raises
    ------
    LogitstreamError
        Nothing was written. ``ThresholdError`` if the fit did not converge and that is not allowed.
    """
    report = FitRun(job, FitTeller(logged("fit", observe or _nobody, log_text))).report()
    log_end(job.model.target, report)
    return report


def _nobody(_: PassDone | EpochDone | Noted) -> None:
    """Tell nobody."""


@dataclass(eq=False)
class FitRun:
    """A fit under way."""

    job: FitJob
    teller: FitTeller
    started: float = field(default_factory=time.monotonic)

    def report(self) -> FitReport:
        """Carry it out."""
        with process.job(), one_thread():
            prepared = prepare_fit(self.job)
            expected = expected_memory(prepared)
            prepared = replace(prepared, scan=expected.first)
            log_notes("fit", [prepared.scan.log_text(f"a fit of {escape(self.job.model.target)}")])
            self.teller.note(*prepared.notes)
            digest = fit_digest(prepared.scan, prepared.job)
            with (
                open_state(self.job.output, digest, self.teller.note) as state,
                self._holding(prepared, expected) as holding,
            ):
                if state.resumed:
                    done = state.learning + state.answered
                    self.teller.note(f"resuming after pass {done} of the interrupted fit")
                else:
                    check_output(self.job)
                with on_one_cluster(prepared.scan, self.teller.observe) as scan:
                    return self._passed(replace(prepared, scan=scan), state, holding)

    def _passed(self, prepared: PreparedFit, state: FitState, holding: Holding) -> FitReport:
        """Carry out the passes."""
        learnt, sample = self._learnt(prepared, state, holding)
        check_classes(prepared.job, learnt)
        design, notes = design_of(prepared.job, learnt)
        self.teller.note(*notes)
        if self.job.solve.effects:
            design = replace(design, extra=effect_numbers(design))
        rows = sources_of(prepared, learnt)
        start = start_of(prepared, design, rows, sample)
        with self._passes(prepared, design, rows, holding) as passes:
            fitted = Finder(prepared.job, learnt, passes, state, self.teller).found(start)
        return self._made(prepared, learnt, design, fitted, sample)

    def _holding(self, prepared: PreparedFit, expected: FitMemory) -> AbstractContextManager[Holding]:
        """Return what holds decoded columns between passes."""
        levels = [name for name, role in prepared.columns if role == "categorical"]
        return open_holding(prepared.scan, expected.holding, levels=levels, places=needs_places(prepared))

    def _learnt(self, prepared: PreparedFit, state: FitState, holding: Holding) -> tuple[Learnt, pa.Table]:
        """Return what the first pass learns, of an earlier try if there was one."""
        begins = prepared.scan.begins
        found = state.learnt(begins)
        if found is None:
            settings = {"holding": asdict(holding)}
            with open_scan(beside(prepared.scan, holding), settings, note=self.teller.warn) as scan:
                found = learn(scan, prepared, self.teller.count)
            state.keep_learnt(*found, begins, self.teller.passes)
        else:
            self.teller.count_earlier(state.learning)
        return found

    def _passes(
        self, prepared: PreparedFit, design: FitDesign, rows: RowSources, holding: Holding
    ) -> AbstractContextManager[ScanPasses]:
        """Return passes that as many models share as fit the memory."""
        squares, wanted = squares_of(self.job, design), models_of(self.job)
        shared = most_models(prepared.scan, design.layout, wanted, squares)
        if note := lowered_note(wanted, shared, prepared.scan.resources.allowed_bytes):
            self.teller.note(note)
        warn = self.teller.warn
        return open_passes(prepared.scan, design, rows, holding=holding, models=shared, squares=squares, warn=warn)

    def _made(
        self, prepared: PreparedFit, learnt: Learnt, design: FitDesign, fitted: Fitted, sample: pa.Table
    ) -> FitReport:
        job, solution = prepared.job, fitted.solution
        inference = Inference(job, design, solution, fitted.scored)
        if why := why_no_errors(inference):
            self.teller.note(why)
        self.teller.note(*inflation_notes(inference), *prior_notes(job, learnt))
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
            passes=self.teller.passes,
            pass_seconds=tuple(self.teller.seconds),
            seconds=time.monotonic() - self.started,
            peak_bytes=memory.peak_bytes(),
            notes=tuple(self.teller.notes),
        )
