"""Passes over the rows of a scan: the step that sums a chunk, and what all chunks add up to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, cast

from pipeline.choices import MissingTarget
from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError
from pipeline.evaluation.calibrating.asking import PassRequest
from pipeline.evaluation.calibrating.reading import RawBlock, RawReader
from pipeline.evaluation.calibrating.recalibrating import AnyFile
from pipeline.evaluation.calibrating.summing import CalibrationSummer, CalibrationSums, ExactParts, FloatSums, add_sums
from pipeline.fitting.first_pass.dividing import Divider
from pipeline.fitting.report import PassDone
from pipeline.models import restore
from pipeline.models.blocks import arithmetic_of
from pipeline.scan import ChunkContext, PassAccounts, ReduceTree, Scan, read_rows, worker
from pipeline.types.features import FeatureCounts
from pipeline.types.job import BadLimit
from pipeline.types.report import Event
from pipeline.types.work import Outcome

_END = "nothing was written"

ObservePasses = Callable[[PassDone | Event], None]


@dataclass(frozen=True, slots=True)
class CalibrationStep:
    """Sums the rows of a chunk: the step of a pass. Plain values.

    Attributes
    ----------
    target : str
    missing_target : {"error", "drop"}
    divider : Divider or None
        Which rows are held out.
    """

    target: str
    missing_target: MissingTarget
    divider: Divider | None

    def __call__(self, context: ChunkContext) -> Outcome[CalibrationSums]:
        """Read the chunk."""
        reader = context.once("reader", self._reader)
        summer = CalibrationSummer(PassRequest.of(context.parameters), reader.block, self.divider is not None)
        for batch in context.batches():
            if batch.data.num_rows:
                summer.add(reader.read(batch, context.job.files[batch.file][0], context.needs(batch.file)))
        return context.outcome(summer.done())

    def _reader(self, settings: Mapping[str, Any]) -> RawReader:
        """Return what reads batches in this process, after it was checked that scores have the bits of the driver."""
        block = cast("RawBlock", restore(settings["block"], settings["beside"]))
        if (here := arithmetic_of(block, block.precision)) != settings["arithmetic"]:
            raise ConfigurationError(
                f"worker {worker()} computes with {here}, but the driver with {settings['arithmetic']}: the bits would "
                "differ",
                "use workers with one kind of CPU and one numpy",
            )
        return RawReader(block, self.target, self.missing_target, self.divider)


@dataclass(eq=False)
class CalibrationPasses:
    """Carries out passes over a scan, and keeps the accounts of its rows. For one thread.

    Attributes
    ----------
    scan : Scan
    step : CalibrationStep
    limit : BadLimit
    model : ModelFile or NetworkFile
    observe : callable
        Receives each pass when it begins and when it has ended, and how far it is.
    done : int
        How many passes were carried out.
    accounts : PassAccounts
        Of the last pass.
    features : FeatureCounts or None
        Of the last pass: values of features that are missing, or that the model does not know.
    """

    scan: Scan
    step: CalibrationStep
    limit: BadLimit
    model: AnyFile
    observe: ObservePasses
    done: int = 0
    features: FeatureCounts | None = None
    accounts: PassAccounts = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = PassAccounts(self.scan.prepared, self.limit)

    def sums(self, request: PassRequest) -> CalibrationSums:
        """Return what all rows add up to, with the same bits on every scheduler and with any number of workers.

        Raises
        ------
        BadCellsError
            There are more bad rows than may be.
        LogitstreamError
            A file cannot be read.
        """
        started, prepared = time.monotonic(), self.scan.prepared
        self.accounts = PassAccounts(prepared, self.limit)
        tree: ReduceTree[FloatSums] = ReduceTree(len(prepared.plan), add_sums)
        # Which spellings are kept depends on the order in which counts are added.
        features: ReduceTree[FeatureCounts] = ReduceTree(len(prepared.plan), FeatureCounts.plus)
        exact = ExactParts.empty(request, self.model)

        def confirm(outcome: Outcome[CalibrationSums]) -> None:
            features.add(outcome.chunk, outcome.features)
            payload = outcome.payload
            tree.add(outcome.chunk, None if payload is None else payload.floats)
            if payload is not None:
                exact.merge(payload.exact)

        read_rows(
            self.scan,
            self.step,
            self.accounts,
            confirm,
            end=_END,
            parameters=request.to_bytes(),
            observe=self.observe,
        )
        self.done, self.features = self.done + 1, features.total()
        self.observe(PassDone(self.done, request.what, self.accounts.read, time.monotonic() - started))
        return CalibrationSums(exact, tree.total() or FloatSums.empty(request))
