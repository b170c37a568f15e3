"""A whole fit of a network: files in, a model file with its weights out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, field, replace
from typing import Any

from pipeline import memory, process
from pipeline.dataclass import dataclass
from pipeline.errors import MemoryBudgetError, OutputError
from pipeline.fitting.asking.planning import needs_places
from pipeline.fitting.asking.reading import PreparedFit, check_output, prepare_fit
from pipeline.fitting.asking.terms import CategoryTerm
from pipeline.fitting.beginning import sources_of
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.designs.designing import design_of
from pipeline.fitting.first_pass.learning import learn
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.network.layers import NetworkShape
from pipeline.fitting.network.learning import Learner, Progress, timed
from pipeline.fitting.network.making import network_of_parameters, references
from pipeline.fitting.network.passes import LossSums, NetworkPasses, network_costs, open_network_passes
from pipeline.fitting.network.wishes import LearningWishes, NetworkJob, check_terms
from pipeline.fitting.outcome.profiles import RowsSeen, data_of, profile_of
from pipeline.fitting.outcome.totals import check_classes, class_totals, prior_notes
from pipeline.fitting.outcome.verdicts import unscored_notes
from pipeline.fitting.passes.holding import Holding
from pipeline.fitting.passes.plain import to_plain
from pipeline.fitting.passes.resources import FitMemory, divide_memory
from pipeline.fitting.passes.scanning import beside, open_holding
from pipeline.fitting.passes.state import FitState, fit_digest, has_state, open_state
from pipeline.fitting.report import EpochDone, NetworkPlan, NetworkReport, PassDone
from pipeline.fitting.telling import FitTeller, Observe, log_end, log_text
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.kernels.blas import blas_tag, one_thread
from pipeline.logs import log_notes, logged
from pipeline.models.network.model import NetworkModel, weights_beside
from pipeline.models.network.weights import weights_file
from pipeline.models.store import write_new_files
from pipeline.scan import on_one_cluster, open_scan
from pipeline.types.report import Noted
from pipeline.units import escape

# What a change of would change the weights, while everything else stays.
_VERSION = 1


def run(job: NetworkJob, observe: Observe | None = None) -> NetworkReport:
    """Fit a network, write it where that is asked for, and return it with what each epoch found.

    Raises
    ------
    LogitstreamError
        Nothing was written. ``ThresholdError`` if the loss is not finite any more.
    """
    report = NetworkRun(job, FitTeller(logged("fit", observe or _nobody, log_text))).report()
    log_end(job.fit.model.target, report)
    return report


def _nobody(_: PassDone | EpochDone | Noted) -> None:
    """Tell nobody."""


def plan(job: NetworkJob) -> NetworkPlan:
    """Return what a fit of a network will do, from footers and headers alone.

    Raises
    ------
    LogitstreamError
        Every reason for which it cannot start; with exit code 71 where it does not fit the memory.
    """
    prepared = prepare_network(job)
    layout, found = expected_network_memory(prepared, job.learning)
    resources, held, scan = found.widest.resources, found.holding, prepared.scan
    shape = NetworkShape.of(job.learning, layout.width - layout.intercept, layout.classes)
    return NetworkPlan(
        files=len(scan.files),
        rows=scan.expected_rows,
        rows_estimated=any(facts.rows is None for facts in scan.files),
        inputs=shape.widths[0],
        weights=shape.size,
        epochs=job.learning.epochs,
        bytes_first=scan.bytes_to_read,
        bytes_epoch={"memory": 0, "scratch": held.held_bytes, "read again": scan.bytes_to_read}[held.where],
        held=held.where,
        held_bytes=0 if held.where == "read again" else held.held_bytes,
        projected_bytes=found.projected_bytes,
        allowed_bytes=scan.resources.allowed_bytes,
        workers=resources.workers,
        notes=(*prepared.notes, *resources.notes),
    )


def prepare_network(job: NetworkJob) -> PreparedFit:
    """Return a fit that can start; no row is read. Raises as :func:`plan`."""
    # What writes weights is an extra: it is looked for before rows are read.
    weights_file({})
    output = job.fit.output
    check_outputs(job, unfinished=output is not None and has_state(output))
    prepared = prepare_fit(job.fit)
    check_terms(prepared.terms)
    return prepared


def check_outputs(job: NetworkJob, *, unfinished: bool = False) -> None:
    """Refuse a model file that cannot be written, and weights beside it that may not be replaced."""
    check_output(job.fit, unfinished=unfinished)
    if job.fit.output is None:
        return
    weights = weights_beside(job.fit.output)
    if weights.is_dir():
        raise OutputError(f"{escape(str(weights))} is a folder, where the weights go", "choose another name")
    if job.fit.if_exists == "fail" and os.path.lexists(weights) and not unfinished:
        raise OutputError(
            f"{escape(str(weights))} exists, where the weights go",
            "choose another name, or use --if-exists replace to put the new files there",
        )


@dataclass(eq=False)
class NetworkRun:
    """A fit of a network under way."""

    job: NetworkJob
    teller: FitTeller
    started: float = field(default_factory=time.monotonic)

    def report(self) -> NetworkReport:
        """Carry it out."""
        with process.job(), one_thread():
            prepared = prepare_network(self.job)
            _, expected = expected_network_memory(prepared, self.job.learning)
            prepared = replace(prepared, scan=expected.first)
            log_notes("fit", [prepared.scan.log_text(f"a fit of {escape(self.job.fit.model.target)}")])
            self.teller.note(*prepared.notes)
            own = {"network": {"version": _VERSION, **to_plain(self.job.learning)}}
            digest = fit_digest(prepared.scan, prepared.job, own)
            with (
                open_state(self.job.fit.output, digest, self.teller.note) as state,
                self._holding(prepared, expected) as holding,
            ):
                if not state.resumed:
                    check_outputs(self.job)
                with on_one_cluster(prepared.scan, self.teller.observe) as scan:
                    return self._learnt(replace(prepared, scan=scan), state, holding)

    def _holding(self, prepared: PreparedFit, expected: FitMemory) -> AbstractContextManager[Holding]:
        levels = [name for name, role in prepared.columns if role == "categorical"]
        return open_holding(prepared.scan, expected.holding, levels=levels, places=needs_places(prepared))

    def _learnt(self, prepared: PreparedFit, state: FitState, holding: Holding) -> NetworkReport:
        begins = prepared.scan.begins
        found = state.learnt(begins)
        if found is not None and state.latest() is None:
            self.teller.note("resuming after the first pass of the interrupted fit")
        if found is None:
            settings = {"holding": asdict(holding)}
            with open_scan(beside(prepared.scan, holding), settings, note=self.teller.warn) as scan:
                found = learn(scan, prepared, self.teller.count)
            state.keep_learnt(*found, begins, self.teller.passes)
        else:
            self.teller.count_earlier(state.learning)
        learnt, sample = found
        check_classes(prepared.job, learnt)
        design, notes = design_of(prepared.job, learnt, full=True)
        self.teller.note(*notes, *prior_notes(prepared.job, learnt))
        rows = sources_of(prepared, learnt)
        warn = self.teller.warn
        with open_network_passes(prepared.scan, design, rows, self.job.learning, holding, warn) as passes:
            learner = Learner(passes, self.job.learning, learnt.rows.held_out > 0)
            progress, losses = self._taught(learner, passes, state, (design, learnt))
        return self._made(passes, progress, losses, RowsSeen(prepared.scan.files, learnt, sample))

    def _taught(
        self, learner: Learner, passes: NetworkPasses, state: FitState, made_of: tuple[FitDesign, Learnt]
    ) -> tuple[Progress, LossSums]:
        """Return what the epochs end with, and the losses of all rows with the weights that are kept."""
        kept = state.latest()
        progress = learner.begin() if kept is None else Progress.unpacked(kept)
        if progress.epochs:
            self.teller.note(f"resuming after epoch {len(progress.epochs)} of the interrupted fit")
        # What no model file can hold is refused before the network learns.
        network_of_parameters(self.job, *made_of, passes.shape, progress.parameters)
        while not progress.is_over(self.job.learning):
            begun = time.monotonic()
            learner.epoch(progress)
            self.teller.observe(timed(progress, time.monotonic() - begun))
            state.renew(progress.packed())
        losses = passes.losses(progress.best, fitted=True)
        self.teller.note(*unscored_notes(made_of[1].rows.held_out - losses.held_rows))
        self.teller.note(*worthless_notes(made_of[1], losses.mean))
        return progress, losses

    def _made(self, passes: NetworkPasses, progress: Progress, losses: LossSums, seen: RowsSeen) -> NetworkReport:
        job, learnt = self.job, seen.learnt
        model = network_of_parameters(job, passes.design, learnt, passes.shape, progress.best)
        held = losses.held_mean if learnt.rows.held_out else None
        training = {
            **data_of(job.fit, seen),
            "algorithm": algorithm_of_network(job),
            "epochs": {"made": len(progress.epochs), "best": progress.best_epoch},
            "losses": {"log_loss": losses.mean, **({} if held is None else {"held_out_log_loss": held})},
            "arithmetic": blas_tag(),
            "profile": profile_of(passes.design, seen, model),
        }
        if controls := references(passes.design, learnt):
            training["controls"] = controls
        model = model.with_training(training)
        return NetworkReport(
            model=self._written(model),
            output=job.fit.output,
            rows=asdict(learnt.rows),
            epochs=progress.epochs,
            best_epoch=progress.best_epoch,
            log_loss=losses.mean,
            held_out_log_loss=held,
            early=len(progress.epochs) < job.learning.epochs,
            seconds=time.monotonic() - self.started,
            peak_bytes=memory.peak_bytes(),
            notes=tuple(self.teller.notes),
        )

    def _written(self, model: NetworkModel) -> NetworkModel:
        if self.job.fit.output is None:
            return model
        # Files that a killed try of this fit has written have these bytes, and stay.
        stored, files = model.files(self.job.fit.output)
        write_new_files(files, self.job.fit.if_exists)
        return stored


def worthless_notes(learnt: Learnt, log_loss: float) -> Iterator[str]:
    """Yield a note if the shares of the classes alone would have a lower log loss than the network."""
    totals = class_totals(learnt)
    shares = [total / sum(totals) for total in totals]
    without = -sum(share * math.log(share) for share in shares if share > 0)
    if log_loss >= without:
        yield (
            f"the log loss {log_loss:.6g} is not below {without:.6g}, which the shares of the classes have without any "
            "feature: try another --learning-rate, more --epochs or another --hidden"
        )


def expected_network_memory(prepared: PreparedFit, learning: LearningWishes) -> tuple[FitLayout, FitMemory]:
    """Return the widest layout of the inputs that fits, and how a fit divides its memory.

    That is what is known before the first pass, which learns the levels and the classes.

    Raises
    ------
    MemoryBudgetError
        The numbers alone, with the rows of a chunk and of a window, do not fit. The message has both numbers.
    """
    levels = sum(isinstance(term, CategoryTerm) for term in prepared.terms)
    dense = len(prepared.terms) - levels
    most = FitLayout(dense, (prepared.job.model.max_levels,) * levels)
    with suppress(MemoryBudgetError):
        return most, _divided(prepared, most, learning)
    least = replace(most, levels=(1,) * levels)
    return least, _divided(prepared, least, learning)


def _divided(prepared: PreparedFit, layout: FitLayout, learning: LearningWishes) -> FitMemory:
    return divide_memory(
        prepared.scan,
        network_costs(prepared.scan, layout, learning),
        prepared.job.means.scratch,
        output=prepared.job.output,
        passes=learning.epochs,
        places=needs_places(prepared),
    )


def algorithm_of_network(job: NetworkJob) -> dict[str, Any]:
    """Return how a network has learnt: the options that change the result; those that do not apply are left out."""
    learning, solve, model = job.learning, job.fit.solve, job.fit.model
    weights = model.class_weights
    said = {
        "epochs": learning.epochs,
        "batch_rows": learning.batch_rows,
        "learning_rate": learning.learning_rate,
        "momentum": learning.momentum if learning.optimizer == "sgd" else None,
        "clip": learning.clip,
        "initialisation": learning.initialisation,
        "gain": learning.gain,
        "l2": learning.l2 or None,
        "seed": learning.seed,
        "patience": learning.patience,
        "holdout": solve.holdout,
        "key": solve.key,
        "weight": model.weight,
        "class_weights": weights if weights is None or isinstance(weights, str) else dict(weights),
        "prior": model.prior,
    }
    return {"method": learning.optimizer, **{name: value for name, value in said.items() if value is not None}}
