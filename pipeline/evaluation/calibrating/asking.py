"""What a calibration is asked to do, and what one pass over the rows is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.choices import Absent, CalibrationMethod, Fingerprint, IfExists, MissingTarget
from pipeline.dataclass import dataclass
from pipeline.evaluation.calibrating.curves import ScaledCurve
from pipeline.evaluation.calibrating.reading import RawBlock
from pipeline.scan import HowToScan
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import BadLimit


@dataclass(frozen=True, slots=True)
class CalibrationWishes:
    """What a calibration reads, how, and what it fits.

    Attributes
    ----------
    inputs : tuple of str
    block : ScoreBlock or NetworkBlock
        What makes the raw predictions, and nothing else.
    target : str
    method : {"platt", "temperature", "beta", "isotonic"}
    holdout, key : str or None
        As the options say it.
    missing_target : {"error", "drop"}
    csv : CsvOptions
    absent : {"error", "null"}
    max_bad : BadLimit
    limit : int or None
    chunk_size : str
    fingerprint : {"ends", "full"}
    how : HowToScan
    output : str or None
        The model file to write.
    if_exists : {"fail", "replace"}
    """

    inputs: tuple[str, ...]
    block: RawBlock
    target: str
    method: CalibrationMethod
    holdout: str | None
    key: str | None
    missing_target: MissingTarget
    csv: CsvOptions
    absent: Absent
    max_bad: BadLimit
    limit: int | None
    chunk_size: str
    fingerprint: Fingerprint
    how: HowToScan
    output: str | None = None
    if_exists: IfExists = "fail"


@dataclass(frozen=True, slots=True)
class PassRequest:
    """What one pass sums. Plain values, which travel to workers.

    Attributes
    ----------
    counts : bool
        Whether the rows that are fitted are counted by key, with their extremes.
    curve : ScaledCurve or None
        The functions of a curve that is fitted, with ``weights`` of them.
    weights : tuple of float
    inverses : tuple of float
        Inverse temperatures of several classes.
    calibration : mapping or None
        Measure with this calibration in place of that of the model.
    measured : bool
        Whether rows are measured at all: a pass that only leads to a step need not.
    """

    counts: bool = False
    curve: ScaledCurve | None = None
    weights: tuple[float, ...] = ()
    inverses: tuple[float, ...] = ()
    calibration: Mapping[str, Any] | None = None
    measured: bool = True

    @property
    def what(self) -> str:
        """What the pass does, in a word."""
        if self.counts:
            return "count"
        return "measure" if self.curve is None and not self.inverses else "fit"

    def to_bytes(self) -> bytes:
        """Return the request as it travels."""
        curve = self.curve
        said = {
            "counts": self.counts,
            "curve": None if curve is None else [curve.method, curve.centers, curve.scales, curve.targets],
            "weights": self.weights,
            "inverses": self.inverses,
            "calibration": None if self.calibration is None else dict(self.calibration),
            "measured": self.measured,
        }
        return json.dumps(said).encode()

    @classmethod
    def of(cls, data: bytes) -> PassRequest:
        """Return the request that has travelled."""
        said = json.loads(data)
        curve = None
        if said["curve"] is not None:
            method, *numbers = said["curve"]
            centers, scales, targets = map(tuple, numbers)
            curve = ScaledCurve(method, centers, scales, targets)
        tuples = {name: tuple(said[name]) for name in ("weights", "inverses")}
        return cls(**{**said, **tuples, "curve": curve})
