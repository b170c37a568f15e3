"""What the rows of a chunk add up to in one pass, whatever its batches are.

Rows are gathered into tiles, those that are fitted and those that are measured apart. What is counted is exact in any
order. Sums of floats are added tile by tile, and those of chunks in a fixed tree.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any, cast

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.evaluation.calibrating.asking import PassRequest
from pipeline.evaluation.calibrating.curves import CurveSums, sums_at
from pipeline.evaluation.calibrating.measuring import RawScorer
from pipeline.evaluation.calibrating.reading import RawBlock, RawRows
from pipeline.evaluation.calibrating.recalibrating import measured_with
from pipeline.evaluation.calibrating.softening import margin_of, softened
from pipeline.evaluation.counting import KeyCounter, KeyedRows
from pipeline.evaluation.keys import KeyTable
from pipeline.evaluation.scoring import ScoresColumns
from pipeline.evaluation.states import EvaluationState, StateShape
from pipeline.evaluation.tiles import Codes, Floats, TileBuffer, UsedRows
from pipeline.models.logistic.making import class_spellings
from pipeline.models.logistic.predictor import Predictor

# Rows of a tile that are summed at a time: their functions and temporary values stay in the cache.
_PIECE = 1 << 14
# Of a row while it is measured: probability, loss, and what they are made from.
MADE_BYTES = 24
MEASURED = StateShape(classes=2, models=1, weighted=False, thresholds=())


@dataclass(slots=True, eq=False)
class ExactParts:
    """What is counted of rows, exact in any order.

    Attributes
    ----------
    used, held_out, dropped, not_finite, without_target : int
    clipped : int
        Measured rows with a probability of 0 on the wrong side.
    classes : ndarray of int64, shape (classes,)
        How many rows of each class are fitted.
    lowest, highest : float
        The smallest raw prediction of a positive and the largest of a negative; of several classes, ``lowest`` is the
        smallest margin of a row's own class.
    counter : KeyCounter or None
        The rows that are fitted, by key.
    state : EvaluationState
        The rows that are measured.
    """

    classes: Codes
    counter: KeyCounter | None
    state: EvaluationState
    used: int = 0
    held_out: int = 0
    dropped: int = 0
    not_finite: int = 0
    without_target: int = 0
    clipped: int = 0
    lowest: float = np.inf
    highest: float = -np.inf

    @classmethod
    def empty(cls, request: PassRequest, model: Predictor) -> ExactParts:
        """Return the counts of no rows."""
        count = len(class_spellings(model))
        counter = KeyCounter(KeyTable.empty()) if request.counts and model.classes is None else None
        return cls(np.zeros(count, dtype=np.intp), counter, EvaluationState.empty(MEASURED))

    def count(self, rows: RawRows) -> None:
        """Count the rows of a batch by what became of them."""
        held = int(np.count_nonzero(rows.held))
        self.held_out += held
        self.used += rows.held.size - held
        self.dropped += rows.dropped
        self.not_finite += rows.not_finite
        self.without_target += rows.without_target

    def merge(self, other: ExactParts) -> None:
        """Add the counts of other rows."""
        for name in ("used", "held_out", "dropped", "not_finite", "without_target", "clipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.classes += other.classes
        self.lowest, self.highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        if self.counter is not None and other.counter is not None:
            self.counter.merge(other.counter)
        self.state.merge(other.state)


@dataclass(slots=True, eq=False)
class FloatSums:
    """Sums of floats: their bits depend on the order.

    Attributes
    ----------
    curve : CurveSums or None
    softened : ndarray of float64, shape (inverses, 3)
    """

    curve: CurveSums | None
    softened: Floats

    @classmethod
    def empty(cls, request: PassRequest) -> FloatSums:
        """Return the sums of no rows."""
        curve = None if request.curve is None else CurveSums.empty(request.curve.width)
        return cls(curve, np.zeros((len(request.inverses), 3)))


def add_sums(left: FloatSums, right: FloatSums) -> FloatSums:
    """Return the sums over the rows of both. Changes and returns the left ones."""
    if left.curve is not None and right.curve is not None:
        left.curve.join(right.curve)
    left.softened += right.softened
    return left


@dataclass(slots=True, eq=False)
class CalibrationSums:
    """What rows add up to."""

    exact: ExactParts
    floats: FloatSums


@dataclass(eq=False)
class CalibrationSummer:
    """Sums the rows of one chunk. For one thread.

    Attributes
    ----------
    request : PassRequest
    block : ScoreBlock or NetworkBlock
    apart : bool
        Whether the rows that are held out are measured, and not those that are fitted.
    """

    request: PassRequest
    block: RawBlock
    apart: bool
    _sums: CalibrationSums = field(init=False)
    _scorer: RawScorer = field(init=False)
    _fitted: TileBuffer = field(init=False, default_factory=lambda: TileBuffer(MADE_BYTES))
    _measured: TileBuffer = field(init=False, default_factory=lambda: TileBuffer(MADE_BYTES))

    def __post_init__(self) -> None:
        file, request = self.block.model, self.request
        self._sums = CalibrationSums(ExactParts.empty(request, file), FloatSums.empty(request))
        other = file if request.calibration is None else measured_with(file, request.calibration)
        self._scorer = RawScorer(cast("ScoresColumns", replace(cast("Any", self.block), model=other)))

    def add(self, rows: RawRows) -> None:
        """Add the rows of a batch."""
        self._sums.exact.count(rows)
        for tile in self._fitted.add(_of(rows, ~rows.held)):
            self._fit(tile)
        if self.apart:
            for tile in self._measured.add(_of(rows, rows.held)):
                self._measure(tile)

    def done(self) -> CalibrationSums:
        """Return the sums, after the last batch."""
        for tile in self._fitted.rest():
            self._fit(tile)
        for tile in self._measured.rest():
            self._measure(tile)
        return self._sums

    def _fit(self, rows: UsedRows) -> None:
        raw, codes = _raw_of(rows), rows.codes
        exact = self._sums.exact
        exact.classes += np.bincount(codes, minlength=exact.classes.size)
        if self.request.counts:
            self._count(raw, codes)
        for start in range(0, codes.size, _PIECE):
            piece = slice(start, start + _PIECE)
            self._sum(np.ascontiguousarray(raw[:, piece]), codes[piece])
        if not self.apart:
            self._measure(rows)

    def _count(self, raw: Floats, codes: Codes) -> None:
        exact = self._sums.exact
        if exact.counter is None:
            exact.lowest = min(exact.lowest, margin_of(raw, codes))
            return
        positive = codes == 1
        exact.lowest = min(exact.lowest, float(raw[0].min(where=positive, initial=np.inf)))
        exact.highest = max(exact.highest, float(raw[0].max(where=~positive, initial=-np.inf)))
        # Nothing is asked of probabilities.
        exact.counter.add(KeyedRows(raw[0], np.zeros(codes.size), positive))

    def _sum(self, raw: Floats, codes: Codes) -> None:
        request, floats = self.request, self._sums.floats
        if request.curve is not None and floats.curve is not None:
            targets = np.array(request.curve.targets)[codes]
            floats.curve.join(sums_at(np.array(request.weights), request.curve.values(raw[0]), 1.0, targets))
        if request.inverses:
            floats.softened += softened(raw, codes, request.inverses)

    def _measure(self, rows: UsedRows) -> None:
        if self.request.measured:
            tile, clipped = self._scorer.tile(_raw_of(rows), rows.codes)
            self._sums.exact.state.add(tile)
            self._sums.exact.clipped += clipped


def _of(rows: RawRows, where: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> UsedRows:
    """Return some rows as buffers take them: the raw predictions in place of scores."""
    return UsedRows((rows.raw[:, where],), (), (), rows.codes[where], None, ())


def _raw_of(rows: UsedRows) -> Floats:
    raw = rows.scores[0]
    assert raw is not None
    return raw
