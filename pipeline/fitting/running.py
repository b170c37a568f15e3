"""A whole fit: files in, a model with its certificate out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import memory
from pipeline.errors import OutputError, ThresholdError
from pipeline.fitting.blas import one_thread
from pipeline.fitting.decoding import ClassSource, RowSources
from pipeline.fitting.design import FitDesign, NumberSource
from pipeline.fitting.designing import design_of
from pipeline.fitting.encoding import Encoder
from pipeline.fitting.inference import Inference, scores_point
from pipeline.fitting.job import FitJob
from pipeline.fitting.layout import Tile
from pipeline.fitting.learning import learn
from pipeline.fitting.learnt import Learnt
from pipeline.fitting.making import model_of
from pipeline.fitting.measuring import measures_of, null_solver
from pipeline.fitting.objective import Objective, Solution
from pipeline.fitting.points import PassRecord, PassSums, Point
from pipeline.fitting.reading import PreparedFit, prepare_fit
from pipeline.fitting.report import FitReport, PassDone
from pipeline.fitting.scanning import ScanPasses, open_passes
from pipeline.fitting.solving import drive, newton
from pipeline.fitting.tabulating import coefficient_rows
from pipeline.fitting.tiles_in_memory import MemoryPasses
from pipeline.fitting.totals import class_factors, class_names, class_totals, intercept_shift
from pipeline.models import write_new_file
from pipeline.models.levels import LevelType
from pipeline.scan import open_scan
from pipeline.types.inputs import Integers
from pipeline.types.report import Noted
from pipeline.units import escape

Event = PassDone | Noted
Observe = Callable[[Event], None]

_TYPES: dict[type, LevelType] = {bool: "boolean", int: "integer", str: "text"}


def run(job: FitJob, observe: Observe | None = None) -> FitReport:
    """Fit a model, write it where that is asked for, and return it with all that was found.

    Raises
    ------
    LogitstreamError
        Nothing was written. ``ThresholdError`` if the fit did not converge and that is not allowed.
    """
    return _FitRun(job, observe or _nobody).report()


def _nobody(_: Event) -> None:
    """Tell nobody."""


@dataclass(eq=False)
class _FitRun:
    """A fit under way."""

    job: FitJob
    observe: Observe
    started: float = field(default_factory=time.monotonic)
    passes: int = 0
    notes: list[str] = field(default_factory=list)

    def report(self) -> FitReport:
        """Carry it out."""
        self._check_output()
        with one_thread():
            prepared = prepare_fit(self.job)
            self._note(*prepared.notes)
            # The outer scan keeps what is learnt of the files until the last pass has ended.
            with open_scan(prepared.scan) as scan:
                learnt, sample = learn(scan, prepared, self.observe)
            self.passes = 1
            design, notes = design_of(prepared.job, learnt)
            self._note(*notes)
            rows = sources_of(prepared, learnt)
            start = self._start(prepared, design, rows, sample)
            with open_passes(prepared.scan, design, rows) as passes:
                solution, null, scored = self._solve(passes, design, start)
        self._check_converged(solution)
        return self._made(prepared, learnt, design, (solution, null, scored))

    def _start(self, prepared: PreparedFit, design: FitDesign, rows: RowSources, sample: pa.Table) -> Any:
        encoder = Encoder(design, rows, decimal=prepared.scan.csv.decimal)
        tiles = [_kept(tile) for tile in encoder.tiles([SampleBatch.of(sample)])]
        zero = np.zeros((design.layout.outputs, design.layout.width))
        if not tiles:
            return zero
        (found,) = drive(MemoryPasses(design.layout, tiles), [newton(Objective(design.layout), zero, passes=20)])
        return found.coefficients if np.isfinite(found.coefficients).all() else zero

    def _solve(
        self, passes: ScanPasses, design: FitDesign, start: Any
    ) -> tuple[Solution, Solution | None, PassSums | None]:
        solvers = [newton(Objective(design.layout), start)]
        null = null_solver(self.job, design.layout)
        found = drive(passes, solvers if null is None else [*solvers, null], self._watch())
        point = scores_point(self.job, found[0])
        scored = None
        if point is not None:
            (scored,) = passes.sums([point])
            self.passes += 1
        return found[0], None if null is None else found[1], scored

    def _watch(self) -> Callable[[int, Sequence[Point], Sequence[PassSums], Sequence[PassRecord | None]], None]:
        last = time.monotonic()

        def watch(
            _: int, points: Sequence[Point], sums: Sequence[PassSums], records: Sequence[PassRecord | None]
        ) -> None:
            nonlocal last
            now = time.monotonic()
            self.passes += 1
            record = records[0]
            done = PassDone(self.passes, "fit", sums[0].rows, now - last, models=len(points))
            if record is not None:
                done = PassDone(
                    self.passes,
                    "fit",
                    sums[0].rows,
                    now - last,
                    len(points),
                    record.objective,
                    record.decrement,
                    record.gradient,
                )
            last = now
            self.observe(done)

        return watch

    def _check_output(self) -> None:
        output = self.job.output
        if output is not None and self.job.if_exists == "fail" and os.path.exists(output):  # noqa: PTH110 - a path as text
            raise OutputError(
                f"{escape(output)} exists", "choose another name, or use --if-exists replace to put the new file there"
            )

    def _check_converged(self, solution: Solution) -> None:
        if not solution.certificate.converged and not self.job.allow_unconverged:
            raise ThresholdError(
                f"the fit did not converge: {solution.certificate.reason}; nothing was written",
                "see what the lines of the passes say; --allow-unconverged writes the model all the same",
            )

    def _made(
        self,
        prepared: PreparedFit,
        learnt: Learnt,
        design: FitDesign,
        found: tuple[Solution, Solution | None, PassSums | None],
    ) -> FitReport:
        solution, null, scored = found
        job = prepared.job
        inference = Inference(job, design, solution, scored)
        training = {"rows": asdict(learnt.rows), "certificate": asdict(solution.certificate)}
        model = model_of(job, design, learnt, solution, training)
        if self.job.output is not None:
            write_new_file(self.job.output, model.to_json().encode(), self.job.if_exists)
        return FitReport(
            model=model,
            output=self.job.output,
            rows=asdict(learnt.rows),
            coefficients=coefficient_rows(inference, class_names(learnt.classes), intercept_shift(job, learnt)),
            measures=measures_of(inference, class_totals(job, learnt), null),
            certificate=asdict(solution.certificate),
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
    return Tile(
        np.asfortranarray(tile.dense.copy()),
        tile.levels,
        tile.classes,
        tile.weights,
        tile.offset,
        tile.folds,
        tile.groups,
    )


def sources_of(prepared: PreparedFit, learnt: Learnt) -> RowSources:
    """Return what the rows of tiles have besides the columns of the design."""
    model = prepared.job.model
    kind = _TYPES[type(learnt.classes[0])]
    spelled = class_names(learnt.classes)
    weights = class_factors(prepared.job, learnt) if model.class_weights is not None else ()
    return RowSources(
        ClassSource(model.target, kind, {text: number for number, text in enumerate(spelled)}),
        weights,
        None if model.weight is None else NumberSource(model.weight, "error"),
        None if model.offset is None else NumberSource(model.offset, "error"),
    )
