"""How well probabilities agree with what happened: by bins of equal mass, and by a logistic regression on them."""

from __future__ import annotations

import math

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.evaluation.exact import Counts, Floats
from pipeline.evaluation.ranking import RankedKeys
from pipeline.evaluation.results import CalibrationBin, HosmerLemeshow
from pipeline.kernels.tails import chi_square_tail

# A probability closer to 0 or 1 counts as if it were so far from it.
_CLIP = 2.0**-52
_PASSES = 60
# Newton's method converges quadratically: behind a squared decrement like this, relative to the mass, nothing is left.
_DECREMENT = 1e-26
_HALVED = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class MassBins:
    """Bins of about equal mass, whose ends are ends of keys, in ascending order.

    Attributes
    ----------
    rows : ndarray of int64, shape (bins,)
    mass, positives : ndarray of float64, shape (bins,)
    sums : ndarray of float64, shape (3, bins)
        p, p of positives, p squared.
    weighted : bool
    """

    rows: Counts
    mass: Floats
    positives: Floats
    sums: Floats
    weighted: bool

    @classmethod
    def of(cls, keys: RankedKeys, bins: int) -> MassBins:
        """Return at most so many bins; the middle of the mass of a key decides in which it is."""
        mass = keys.mass
        middle = np.cumsum(mass) - mass / 2.0
        places = np.minimum((middle * (bins / mass.sum())).astype(np.intp), bins - 1)
        places = places[mass > 0]
        starts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
        of_positives, of_negatives, squares = keys.sums[:, mass > 0]
        return cls(
            np.add.reduceat(keys.rows[mass > 0], starts),
            np.add.reduceat(mass[mass > 0], starts),
            np.add.reduceat(keys.positives[mass > 0], starts),
            np.add.reduceat(np.stack([of_positives + of_negatives, of_positives, squares]), starts, axis=1),
            keys.weighted,
        )

    @property
    def mean(self) -> Floats:
        """The mean probability of each bin."""
        mean: Floats = self.sums[0] / self.mass
        return mean

    @property
    def share(self) -> Floats:
        """The share of positives in each bin."""
        share: Floats = self.positives / self.mass
        return share

    @property
    def errors(self) -> Floats:
        """The standard error of each share if the probabilities are right; without weights."""
        errors: Floats = np.sqrt(np.maximum(self.sums[0] - self.sums[2], 0.0)) / self.mass
        return errors

    def curve(self) -> tuple[CalibrationBin, ...]:
        """Return the bins as they are reported."""
        return tuple(
            CalibrationBin(int(rows), float(mass), float(mean), float(share), None if self.weighted else float(error))
            for rows, mass, mean, share, error in zip(
                self.rows, self.mass, self.mean, self.share, self.errors, strict=True
            )
        )


@dataclass(frozen=True, slots=True)
class BrierParts:
    """The five parts of the Brier score (Stephenson, Coelho and Jolliffe, Weather and Forecasting 23, 2008)."""

    reliability: float
    resolution: float
    uncertainty: float
    within_bin_variance: float
    within_bin_covariance: float


def brier_parts(bins: MassBins) -> BrierParts:
    """Return reliability, resolution, uncertainty, and variance and twice the covariance within bins, as means."""
    total = float(bins.mass.sum())
    prevalence = float(bins.positives.sum()) / total
    mean, share = bins.mean, bins.share
    _, of_positives, squares = bins.sums
    return BrierParts(
        reliability=float((bins.mass * (mean - share) ** 2).sum()) / total,
        resolution=float((bins.mass * (share - prevalence) ** 2).sum()) / total,
        uncertainty=prevalence * (1.0 - prevalence),
        within_bin_variance=float((squares - bins.mass * mean * mean).sum()) / total,
        within_bin_covariance=2.0 * float((of_positives - bins.mass * mean * share).sum()) / total,
    )


def calibration_error(bins: MassBins) -> tuple[float, float | None]:
    """Return the mean distance of shares from probabilities, and what it is expected to be where these are right.

    A share that is off by a normal number of variance v is off by sqrt(2 v / pi) on average.
    """
    share_of_mass = bins.mass / bins.mass.sum()
    error = float((share_of_mass * np.abs(bins.share - bins.mean)).sum())
    floor = float((share_of_mass * bins.errors).sum()) * math.sqrt(2.0 / math.pi)
    return error, None if bins.weighted else floor


def hosmer_lemeshow(bins: MassBins) -> HosmerLemeshow | None:
    """Return the sum of (observed - expected)^2 / (n p (1 - p)) over bins as a test; ``None`` where it is undefined."""
    degrees = len(bins.mass) - 2
    if bins.weighted or degrees < 1:
        return None
    apart = (bins.positives - bins.sums[0]) ** 2
    spread = bins.mass * bins.mean * (1.0 - bins.mean)
    if bool((spread <= 0).any()):
        return None
    statistic = float((apart / spread).sum())
    return HosmerLemeshow(statistic, degrees, chi_square_tail(statistic, degrees))


def calibration_line(keys: RankedKeys) -> tuple[float, float] | None:
    """Return slope and intercept of the logistic regression of the classes on the logit of the probability.

    By Newton's method on the keys, each with its mean probability. ``None`` where all probabilities are equal, or where
    a threshold divides the classes, so that there is no optimum.
    """
    mass = keys.mass
    here = mass > 0
    mean = np.where(keys.is_wide, keys.sums[:2].sum(axis=0) / np.where(here, mass, 1.0), keys.least)
    clipped = np.clip(mean[here], _CLIP, 1.0 - _CLIP)
    logits = np.log(clipped) - np.log1p(-clipped)
    mass, positives = mass[here] / mass.sum(), keys.positives[here] / mass.sum()
    centre = float((mass * logits).sum())
    spread = math.sqrt(float((mass * (logits - centre) ** 2).sum()))
    if not spread > _CLIP * (1.0 + abs(centre)):
        return None
    line = _fitted(np.stack([np.ones_like(logits), (logits - centre) / spread]), mass, positives)
    if line is None:
        return None
    intercept, slope = line
    return slope / spread, intercept - slope * centre / spread


def _fitted(design: Floats, mass: Floats, positives: Floats) -> tuple[float, float] | None:
    """Return the coefficients of two columns; ``None`` without convergence. Masses add up to 1."""
    prevalence = float(positives.sum())
    line = np.array([math.log(prevalence) - math.log1p(-prevalence), 0.0])
    loss, step = math.inf, np.zeros(2)
    for _ in range(_PASSES):
        raw = line[0] * design[0] + line[1] * design[1]
        now = float((mass * np.logaddexp(0.0, raw) - positives * raw).sum())
        if now > loss and float(np.abs(step).max()) > _HALVED:
            step = step / 2.0
            line = line - step
            continue
        share = np.exp(-np.logaddexp(0.0, -raw))
        gradient = (design * (positives - mass * share)).sum(axis=1)
        curved = design * (mass * share * (1.0 - share))
        hessian = np.array([[float((one * other).sum()) for one in design] for other in curved])
        determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
        if not determinant > 0:
            return None
        inverse = np.array([[hessian[1, 1], -hessian[0, 1]], [-hessian[0, 1], hessian[0, 0]]]) / determinant
        step = (inverse * gradient).sum(axis=1)
        loss, line = now, line + step
        if float((step * gradient).sum()) <= _DECREMENT:
            return float(line[0]), float(line[1])
    return None
