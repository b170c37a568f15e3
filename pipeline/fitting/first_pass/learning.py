"""The first pass: classes, vocabularies, moments, histograms, accounts, and a sample of the rows."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError
from pipeline.fitting.asking.reading import PreparedFit
from pipeline.fitting.first_pass.counting import SeenLevels
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt
from pipeline.fitting.first_pass.medians import medians_of
from pipeline.fitting.first_pass.rows import REFUSED, JudgedRows, RowReader, RowRules
from pipeline.fitting.first_pass.sampling import ranks_of
from pipeline.fitting.first_pass.summary import crowd_error, learnt_of
from pipeline.fitting.first_pass.tallies import Tallies, TileTallier, ToLearn
from pipeline.fitting.passes.holding import store_of
from pipeline.fitting.report import PassDone
from pipeline.scan import Batch, ChunkContext, PassAccounts, ReduceTree, Scan
from pipeline.types.rows import BadCell, Slice
from pipeline.types.work import Outcome

_END = "nothing was written"


@dataclass(frozen=True, slots=True)
class LearnStep:
    """Reads a chunk and returns what it has: the step of the first pass. Plain values."""

    rules: RowRules
    wanted: ToLearn

    def __call__(self, context: ChunkContext) -> Outcome[Tallies]:
        """Read the chunk."""
        chunk = _ChunkLearning(self, context)
        with context.once("holding", store_of).walk(context, fresh=True) as walk:
            for batch in walk.read(chunk.set_aside):
                chunk.add(batch)
            return walk.outcome(chunk.ended())


class _ChunkLearning:
    """A chunk while it is read."""

    def __init__(self, step: LearnStep, context: ChunkContext) -> None:
        self._context = context
        self._tallies = tallies = Tallies.empty(step.wanted)
        self._reader = RowReader(
            step.rules,
            SeenLevels(tallies.classes.numbers),
            {name: SeenLevels(counts.numbers) for name, counts in tallies.levels.items()},
        )
        self._tiles = TileTallier(step.wanted, tallies, weighted=step.rules.weight is not None)
        self._weighted = step.rules.weight is not None
        self._used = 0

    def add(self, batch: Batch) -> None:
        """Add up the rows of a batch. After what ends the fit nothing is added."""
        tallies = self._tallies
        if not batch.data.num_rows or tallies.refused is not None or tallies.crowded is not None:
            return
        rows = self._reader.read(batch, self._context.job.files[batch.file][0].path)
        used = int(np.count_nonzero(rows.used))
        tallies.used += used
        tallies.held_out += int(np.count_nonzero(rows.held))
        tallies.dropped += rows.dropped
        tallies.without_target += rows.without_target
        tallies.note_crowds()
        if tallies.crowded is None:
            self._add_held(rows)
            self._tiles.add(rows)
            ranks = ranks_of(self._context.chunk.index, self._used, used)
            tallies.sample.add(batch.data, rows.used, ranks, rows.folds)
        self._used += used

    def set_aside(self, piece: Slice, cell: BadCell) -> None:
        """Note the first row that ends the fit."""
        if cell.cause in REFUSED and self._tallies.refused is None:
            position = self._context.chunk.slices.index(piece)
            self._tallies.refused = (self._context.chunk.index, position, cell)

    def ended(self) -> Tallies:
        """Return what the chunk has, after its last batch."""
        self._tiles.close()
        self._tallies.sample.settle()
        for keys in self._tallies.keys.values():
            keys.settle()
        return self._tallies

    def _add_held(self, rows: JudgedRows) -> None:
        if rows.held.any():
            self._tallies.held.numbers = dict(self._tallies.classes.numbers)
            classes = rows.classes[rows.held]
            self._tallies.held.add(classes, np.zeros(len(classes), dtype=np.intp), None, 1)


def combine(left: Tallies, right: Tallies) -> Tallies:
    """Return what two neighbouring parts of the rows have."""
    # Weights that are too large are refused once all are summed.
    with np.errstate(over="ignore", invalid="ignore"):
        left.join(right)
    return left


def learn(
    scan: Scan, prepared: PreparedFit, observe: Callable[[PassDone], None] | None = None
) -> tuple[Learnt, pa.Table]:
    """Return what the first pass learns, and a sample of the rows that are fitted.

    The sample has the columns of a batch, the numbers as float64 and the levels as text, and last the fold. Both have
    the same bits on every scheduler, with any number of workers and any batches.

    Raises
    ------
    BadCellsError
        There are more bad rows than may be.
    DataError
        A target or a weight is missing or unfit; there are no rows, or too few or too many classes or levels.
    """
    tell = observe or _nobody
    started = time.monotonic()
    books = _Books(prepared)
    tallies = books.read(scan)
    rows = books.accounts(tallies)
    tell(PassDone(1, "learn", rows.read, time.monotonic() - started, bytes_read=books.rows.bytes_read))
    medians = medians_of(scan, prepared, tallies, tell)
    learnt = learnt_of(prepared, tallies, rows, medians)
    sample = tallies.sample.rows()
    return learnt, sample if sample is not None else pa.table({})


def _nobody(_: PassDone) -> None:
    """Tell nobody."""


class _Books:
    """The accounts of a pass, and the first reason for which it ends early. For one thread."""

    def __init__(self, prepared: PreparedFit) -> None:
        self.prepared = prepared
        self.rows = PassAccounts(prepared.scan, prepared.job.data.max_bad)
        self.crowded: tuple[int, str] | None = None
        self.refused: tuple[int, int, BadCell] | None = None

    def read(self, scan: Scan) -> Tallies:
        """Carry out the pass and return what all chunks have.

        Chunks are handed out in their order, and those before the one that ends the pass are still read. So the error
        names the first place whatever chunk comes first.
        """
        prepared = self.prepared
        tree: ReduceTree[Tallies] = ReduceTree(len(prepared.scan.plan), combine)

        def confirm(outcome: Outcome[Tallies]) -> None:
            tree.add(outcome.chunk, outcome.payload)
            self.rows.book(outcome)
            if outcome.payload is not None:
                self._note(outcome.chunk, outcome.payload)
            if self.has_failed:
                agenda.stop()

        agenda = scan.agenda(confirm, bounded=True)
        scan.run(LearnStep(prepared.rules, prepared.wanted), agenda)
        if self.has_failed or self.rows.has_too_many:
            raise self.error()
        agenda.require_complete()
        return tree.total() or Tallies.empty(prepared.wanted)

    def _note(self, chunk: int, tallies: Tallies) -> None:
        """Note what ends the fit, if no chunk before this one has it."""
        refused = tallies.refused
        if refused is not None and (self.refused is None or refused[:2] < self.refused[:2]):
            self.refused = refused
        if tallies.crowded is not None and (self.crowded is None or chunk < self.crowded[0]):
            self.crowded = chunk, tallies.crowded

    @property
    def has_failed(self) -> bool:
        """Whether what was read so far ends the fit."""
        return self.refused is not None or self.crowded is not None or self.rows.has_failed

    def error(self) -> LogitstreamError:
        """Return why the pass ended."""
        if self.refused is not None:
            return self.rows.bad_rows.refusal(*self.refused, _END)
        if self.crowded is not None and not self.rows.has_too_many:
            return crowd_error(self.prepared, self.crowded[1])
        return self.rows.error(_END)

    def accounts(self, tallies: Tallies) -> FitAccounts:
        """Return what became of the rows."""
        return FitAccounts(
            read=self.rows.read,
            used=tallies.used,
            held_out=tallies.held_out,
            dropped=tallies.dropped,
            bad=self.rows.bad,
            without_target=tallies.without_target,
        )
