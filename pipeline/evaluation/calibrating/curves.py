"""The functions of the raw prediction whose weights a calibration fits, and what rows add to the log loss of them.

The calibrated probability is the sigmoid of a weighted sum of functions of the raw prediction z:

platt        slope z + intercept, with smoothed targets: (n1 + 1) / (n1 + 2) for each of n1 positives, 1 / (n0 + 2) for
             each of n0 negatives. Platt, Probabilistic outputs for support vector machines (1999), section 2.2.
temperature  z / temperature. Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017).
beta         a log(s) - b log(1 - s) + c, where s is the sigmoid of z, with a and b not negative. Kull, Silva Filho and
             Flach, Beta calibration (2017), section 3.

Each is a logistic regression on these functions, so that its log loss is convex: one optimum, which Newton's method
finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.evaluation.tiles import Floats
from pipeline.kernels import evaluate


def _itself(raw: Floats) -> Floats:
    return raw


def _log_of_positive(raw: Floats) -> Floats:
    return evaluate("log_sigmoid", raw)


def _log_of_negative(raw: Floats) -> Floats:
    return -evaluate("log_sigmoid", -raw)


@dataclass(frozen=True, slots=True)
class CurveForm:
    """What a method fits.

    Attributes
    ----------
    functions : tuple of callable
        Of the raw prediction; each has a weight.
    names : tuple of str
        The keys of the weights in ``output.calibration``.
    constant : str
        The key of what is added to them; empty if nothing is.
    bounded : bool
        Whether no weight of a function may be negative.
    smoothed : bool
        Whether the targets are those of Platt.
    """

    functions: tuple[Callable[[Floats], Floats], ...]
    names: tuple[str, ...]
    constant: str = ""
    bounded: bool = False
    smoothed: bool = False


FORMS: Mapping[str, CurveForm] = {
    "platt": CurveForm((_itself,), ("slope",), "intercept", smoothed=True),
    "temperature": CurveForm((_itself,), ("temperature",)),
    "beta": CurveForm((_log_of_positive, _log_of_negative), ("a", "b"), "c", bounded=True),
}


@dataclass(frozen=True, slots=True)
class ScaledCurve:
    """A calibration to fit, whose functions are moved and scaled so that its equations are well conditioned.

    Attributes
    ----------
    method : {"platt", "temperature", "beta"}
    centers, scales : tuple of float
        One of each function; without a constant the centers are 0.
    targets : tuple of float
        What is fitted to negatives and to positives: 0 and 1, unless they are smoothed.
    """

    method: str
    centers: tuple[float, ...]
    scales: tuple[float, ...]
    targets: tuple[float, float]

    @property
    def form(self) -> CurveForm:
        """What the method fits."""
        return FORMS[self.method]

    @property
    def width(self) -> int:
        """How many weights there are, that of the constant last."""
        return len(self.scales) + bool(self.form.constant)

    @property
    def bounded(self) -> tuple[int, ...]:
        """The places of the weights that may not be negative."""
        return tuple(range(len(self.scales))) if self.form.bounded else ()

    def values(self, raw: Floats) -> Floats:
        """Return the functions at raw predictions, moved and scaled, shape (width, rows)."""
        found = np.ones((self.width, raw.size))
        for place, (function, center, scale) in enumerate(
            zip(self.form.functions, self.centers, self.scales, strict=True)
        ):
            found[place] = (function(raw) - center) / scale
        return found

    def calibration(self, weights: Sequence[float]) -> dict[str, Any]:
        """Return the section ``output.calibration`` with some weights of the functions as they are scaled here."""
        form = self.form
        own = [weight / scale for weight, scale in zip(weights, self.scales, strict=False)]
        if self.method == "temperature":
            return {"method": self.method, "temperature": 1.0 / own[0]}
        moved = sum(weight * center for weight, center in zip(own, self.centers, strict=True))
        return {"method": self.method, **dict(zip(form.names, own, strict=True)), form.constant: weights[-1] - moved}


def curve_on(method: str, raw: Floats, positives: Floats, negatives: Floats) -> ScaledCurve | None:
    """Return the curve of a method, scaled by raw predictions; ``None`` if a function is the same at all of them.

    Parameters
    ----------
    method : {"platt", "temperature", "beta"}
    raw : ndarray of float64, shape (keys,)
    positives, negatives : ndarray of float64, shape (keys,)
        How many rows of each kind have this raw prediction.
    """
    form = FORMS[method]
    of_positives, of_negatives = float(positives.sum()), float(negatives.sum())
    shares = (positives + negatives) / (of_positives + of_negatives)
    centers, scales = [], []
    for function in form.functions:
        values = function(raw)
        centers.append(float((values * shares).sum()) if form.constant else 0.0)
        scales.append(_deviation(values - centers[-1], shares))
    if not all(np.isfinite(scale) and scale > 0 for scale in scales):
        return None
    targets = (0.0, 1.0)
    if form.smoothed:
        targets = (1.0 / (of_negatives + 2.0), (of_positives + 1.0) / (of_positives + 2.0))
    return ScaledCurve(method, tuple(centers), tuple(scales), targets)


def _deviation(values: Floats, shares: Floats) -> float:
    """Return the root of the mean square of values, also where their squares are beyond float64."""
    largest = float(np.abs(values).max())
    return largest and largest * float(np.sqrt(((values / largest) ** 2 * shares).sum()))


@dataclass(slots=True, eq=False)
class CurveSums:
    """What rows add up to at some weights: the log loss against the targets, its gradient and its Hessian."""

    loss: float
    gradient: Floats
    hessian: Floats

    @classmethod
    def empty(cls, width: int) -> CurveSums:
        """Return the sums of no rows."""
        return cls(0.0, np.zeros(width), np.zeros((width, width)))

    def join(self, other: CurveSums) -> None:
        """Add the sums of other rows."""
        self.loss += other.loss
        self.gradient += other.gradient
        self.hessian += other.hessian


def sums_at(weights: Floats, values: Floats, rows: Floats | float, targets: Floats) -> CurveSums:
    """Return the sums of rows.

    Parameters
    ----------
    weights : ndarray of float64, shape (width,)
    values : ndarray of float64, shape (width, rows)
        The functions at the raw predictions.
    rows : ndarray of float64, shape (rows,), or float
        How often each row counts.
    targets : ndarray of float64, shape (rows,)
        Its target, as often as it counts.

    Notes
    -----
    No product of matrices: the bits of those depend on the number of threads.
    """
    margin = _margin(weights, values)
    tail = np.exp(-np.abs(margin))
    share = 1.0 / (1.0 + tail)
    losses = (np.maximum(margin, 0.0) + np.log1p(tail)) * rows - margin * targets
    # The sigmoid, without a division of infinities where the margin is very negative.
    residual = np.where(margin < 0, tail, 1.0) * share * rows - targets
    curvature = tail * share * share * rows
    bent = values * curvature
    return CurveSums(
        float(losses.sum()),
        np.array([(residual * value).sum() for value in values]),
        np.array([[(one * other).sum() for other in values] for one in bent]),
    )


def _margin(weights: Floats, values: Floats) -> Floats:
    """Return the weighted sum of the functions, added in their order."""
    margin: Floats = values[0] * weights[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        margin += value * weight
    return margin
