"""From the first pass to the optimum of a calibration: what is counted by key, Newton steps, and what shows the end."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.errors import ThresholdError
from pipeline.evaluation.calibrating.asking import PassRequest
from pipeline.evaluation.calibrating.curves import CurveSums, ScaledCurve, curve_on, sums_at
from pipeline.evaluation.calibrating.passes import CalibrationPasses
from pipeline.evaluation.calibrating.refusing import check_first, check_weights, not_determined
from pipeline.evaluation.calibrating.softening import LADDER, SoftPoint, next_inverses, optimum_of, points_of
from pipeline.evaluation.calibrating.stepping import CONVERGED, BoundedStep, minimised, newton_step
from pipeline.evaluation.calibrating.steps import isotonic_steps
from pipeline.evaluation.calibrating.summing import CalibrationSums, ExactParts
from pipeline.evaluation.keys import KeyTable
from pipeline.evaluation.tiles import Floats

MOST_PASSES = 50
# A log loss that is higher by less may be so by rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class FoundCalibration:
    """A calibration at its optimum.

    Attributes
    ----------
    calibration : dict
        The section ``output.calibration``.
    before, after : ExactParts
        What was counted with the model as it is, and with the calibration.
    certificate : dict
        What shows that it is the optimum.
    """

    calibration: dict[str, Any]
    before: ExactParts
    after: ExactParts
    certificate: dict[str, float]


def find_calibration(passes: CalibrationPasses, method: str) -> FoundCalibration:
    """Return the calibration of a method, of as many passes as it takes.

    Raises
    ------
    DataError
        The rows have no optimum of this method; the message says why.
    ThresholdError
        It was not reached.
    LogitstreamError
        A pass ended with an error.
    """
    inverses = () if passes.model.classes is None else LADDER
    first = passes.sums(PassRequest(counts=True, inverses=inverses))
    check_first(first.exact, passes, method)
    if inverses:
        return _Softening(passes, first.exact).found(points_of(inverses, first.floats.softened))
    assert first.exact.counter is not None
    table = first.exact.counter.table()
    if method == "isotonic":
        return _isotonic(passes, first.exact, table)
    return _CurveFit(passes, method, first.exact).found(CountsByKey.of(table))


def _isotonic(passes: CalibrationPasses, first: ExactParts, table: KeyTable) -> FoundCalibration:
    smallest, largest = table.ends()
    positives, negatives = table.totals[:2]
    section = isotonic_steps(smallest, largest, positives, negatives)
    if section is None:
        raise not_determined("isotonic")
    after = passes.sums(PassRequest(calibration=section)).exact
    rows = positives + negatives
    place = int(rows.argmax())
    certificate = {
        "keys": len(table),
        "steps": len(section["probabilities"]),
        "largest_key": float(rows[place] / rows.sum()),
        "largest_key_width": float(largest[place] - smallest[place]),
    }
    return FoundCalibration(section, first, after, certificate)


@dataclass(frozen=True, slots=True, eq=False)
class CountsByKey:
    """The rows that are fitted, by key.

    Attributes
    ----------
    raw : ndarray of float64, shape (keys,)
        The middle of the raw predictions with each key.
    positives, negatives : ndarray of float64, shape (keys,)
        How many rows of each class there are.
    wide : bool
        Whether any key has several raw predictions.
    """

    raw: Floats
    positives: Floats
    negatives: Floats
    wide: bool

    @classmethod
    def of(cls, table: KeyTable) -> CountsByKey:
        """Return the counts of a table."""
        smallest, largest = table.ends()
        positives, negatives = table.totals[:2].astype(np.float64)
        return cls(smallest / 2 + largest / 2, positives, negatives, bool(table.is_wide().any()))

    def start(self, curve: ScaledCurve) -> Floats | None:
        """Return the weights that are the optimum for these raw predictions."""
        values, rows = curve.values(self.raw), self.positives + self.negatives
        targets = self.negatives * curve.targets[0] + self.positives * curve.targets[1]

        def sums(weights: Floats) -> CurveSums:
            return sums_at(weights, values, rows, targets)

        weights = np.zeros(curve.width)
        if curve.form.constant:
            weights[-1] = np.log((self.positives.sum() + 1.0) / (self.negatives.sum() + 1.0))
        return minimised(weights, sums, curve.bounded)


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """Weights with the sums of all rows at them, and the step from there."""

    weights: Floats
    sums: CalibrationSums
    curve: CurveSums
    step: BoundedStep


@dataclass(eq=False)
class _CurveFit:
    """The fit of a curve: exact sums pass by pass, from weights that are near the optimum."""

    passes: CalibrationPasses
    method: str
    first: ExactParts
    halvings: int = field(default=0, init=False)

    def found(self, counts: CountsByKey) -> FoundCalibration:
        curve = curve_on(self.method, counts.raw, counts.positives, counts.negatives)
        weights = None if curve is None else counts.start(curve)
        if curve is None or weights is None:
            raise not_determined(self.method)
        best: _Tried | None = None
        for number in range(MOST_PASSES):
            # Where rows differ within a key, a step will follow.
            measured = number > 0 or not counts.wide
            tried = self._tried(curve, weights, measured=measured)
            if tried.step.decrement <= CONVERGED:
                if measured:
                    return self._made(curve, tried)
                continue
            best = self._better(best, tried)
            weights = best.weights + best.step.step * 0.5**self.halvings
        assert best is not None
        raise ThresholdError(
            f"the calibration did not converge in {MOST_PASSES} passes: squared decrement {best.step.decrement:.2g}",
            "use --method isotonic, or look at the rows with the largest raw predictions",
        )

    def _tried(self, curve: ScaledCurve, weights: Floats, *, measured: bool) -> _Tried:
        check_weights(curve, weights)
        plain = tuple(weights.tolist())
        request = PassRequest(curve=curve, weights=plain, calibration=curve.calibration(plain), measured=measured)
        sums = self.passes.sums(request)
        assert sums.floats.curve is not None
        step = newton_step(weights, sums.floats.curve, curve.bounded)
        if step is None:
            raise not_determined(self.method)
        return _Tried(weights, sums, sums.floats.curve, step)

    def _better(self, best: _Tried | None, tried: _Tried) -> _Tried:
        """Return where the next step begins; where the last one was too long, it is halved."""
        if best is not None and tried.curve.loss > best.curve.loss * (1.0 + _ROUNDING):
            self.halvings += 1
            return best
        self.halvings = 0
        return tried

    def _made(self, curve: ScaledCurve, tried: _Tried) -> FoundCalibration:
        certificate = _certificate(tried.step.gradient, tried.step.decrement, self.first.used)
        section = curve.calibration(tuple(tried.weights.tolist()))
        return FoundCalibration(section, self.first, tried.sums.exact, certificate)


@dataclass(eq=False)
class _Softening:
    """The temperature of several classes: each pass narrows where the optimum is."""

    passes: CalibrationPasses
    first: ExactParts
    measured: dict[float, ExactParts] = field(default_factory=dict, init=False)

    def found(self, points: list[SoftPoint]) -> FoundCalibration:
        if points[0].slope >= 0:
            raise not_determined("temperature")
        while self.passes.done < MOST_PASSES:
            inverses = next_inverses(points)
            best = optimum_of(points)
            if not inverses and best.inverse in self.measured:
                return self._made(best, self.measured[best.inverse])
            self.measured = {inverse: parts for inverse, parts in self.measured.items() if inverse == best.inverse}
            points = [*points, *self._sums(inverses or (best.inverse,))]
        best = optimum_of(points)
        raise ThresholdError(
            f"the calibration did not converge in {MOST_PASSES} passes: squared decrement {best.decrement:.2g}",
            "look at the rows with the largest raw predictions",
        )

    def _sums(self, inverses: tuple[float, ...]) -> list[SoftPoint]:
        alone = len(inverses) == 1
        section = _temperature(inverses[0]) if alone else None
        sums = self.passes.sums(PassRequest(inverses=inverses, calibration=section, measured=alone))
        if alone:
            self.measured[inverses[0]] = sums.exact
        return points_of(inverses, sums.floats.softened)

    def _made(self, best: SoftPoint, after: ExactParts) -> FoundCalibration:
        certificate = _certificate(abs(best.slope), best.decrement, self.first.used)
        return FoundCalibration(_temperature(best.inverse), self.first, after, certificate)


def _temperature(inverse: float) -> dict[str, Any]:
    return {"method": "temperature", "temperature": 1.0 / inverse}


def _certificate(gradient: float, decrement: float, rows: int) -> dict[str, float]:
    return {"gradient": gradient / rows, "decrement": decrement}
