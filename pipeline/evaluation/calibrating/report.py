"""What a calibration returns, and the same as plain values for programs, ready for :func:`json.dumps`.

They have ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`.

``kind: "calibration"``
    ``output``, the model file (null where none was written), ``digest`` of the model, ``method``, ``target``;
    ``calibration``, the section ``output.calibration``; ``rows`` with ``read``, ``used``, ``held_out``, ``dropped``,
    ``bad``, ``without_target``, and how many of those that were dropped are ``set_aside`` by the model or
    ``not_finite``; ``certificate``: ``gradient``, the largest derivative of the log loss a row by a parameter, in
    units in which what it multiplies has a deviation of 1 (of several classes by 1 / temperature), and ``decrement``,
    the squared Newton decrement; of an isotonic calibration how many ``keys`` and ``steps``, the share
    of rows with the ``largest_key`` and its ``largest_key_width``; ``measured_on``, ``held out`` or ``used``;
    ``before`` and ``after`` with ``rows``, ``log_loss``, ``ece``, ``ece_noise_floor``, ``calibration_slope``,
    ``calibration_intercept`` (null where they are not defined), ``clipped``, the rows with a probability of 0 or 1 on
    the wrong side, and ``calibration_curve``, bins with ``rows``, ``weight``, ``mean_probability``, ``share_positive``
    and ``standard_error``; ``passes``, ``seconds``, ``peak_bytes``; ``notes``; ``warnings`` about features without a
    value, or of which the model knows no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any, Literal

from pipeline.choices import CalibrationMethod
from pipeline.dataclass import dataclass
from pipeline.evaluation.results import CalibrationBin
from pipeline.models import LogisticModel
from pipeline.models.network.model import NetworkModel
from pipeline.report.json import SCHEMA_VERSION, Json
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import format_count

MeasuredOn = Literal["held out", "used"]

_ACCOUNTS = ("used", "held_out", "dropped", "bad", "without_target")
# The names of measures as people read them.
WORDS: Mapping[str, str] = {
    "log_loss": "log loss",
    "ece": "ECE",
    "ece_noise_floor": "ECE noise floor",
    "calibration_slope": "slope",
    "calibration_intercept": "intercept",
}


@dataclass(frozen=True, slots=True)
class CalibrationMeasures:
    """How well probabilities agree with what was observed.

    Attributes
    ----------
    rows : int
    log_loss : float
    ece : float or None
        The expected calibration error, over bins of equal mass. Of several classes that of the largest probability.
    ece_noise_floor : float or None
        What it would be of probabilities that are right, because bins have only so many rows.
    calibration_slope, calibration_intercept : float or None
        Of a logistic regression of the target on the logarithm of the odds: 1 and 0 where they are right. ``None`` of
        several classes, and where they are not defined.
    clipped : int
        Rows with a probability of 0 or 1 on the wrong side, which counts as if it were 2.2e-16 from there.
    calibration_curve : tuple of CalibrationBin
        Bins of equal mass, in which the mean probability should be the share of positives.
    """

    rows: int
    log_loss: float
    ece: float | None
    ece_noise_floor: float | None
    calibration_slope: float | None
    calibration_intercept: float | None
    clipped: int
    calibration_curve: tuple[CalibrationBin, ...] = field(default=(), repr=False)

    def plain(self) -> dict[str, int | float | None]:
        """Return the numbers by name, without the curve."""
        return {name: value for name, value in asdict(self).items() if name != "calibration_curve"}


@dataclass(frozen=True, slots=True, repr=False)
class CalibrationReport(Tabular):
    """A model with a calibration, and what was found.

    Attributes
    ----------
    model : LogisticModel or NetworkModel
        The calibrated model.
    output : str or None
        The file that it was written to.
    method : {"platt", "temperature", "beta", "isotonic"}
    target : str
    calibration : dict
        The section ``output.calibration`` of the model.
    rows : dict
        What became of the rows.
    certificate : dict
        What shows that the calibration is the optimum.
    measured_on : {"held out", "used"}
        Which rows ``before`` and ``after`` are measured on.
    before, after : CalibrationMeasures
    passes : int
    seconds : float
    peak_bytes : int
    notes : tuple of str
    warnings : tuple of str
        What makes scores meaningless: a feature without a value, or of which the model knows no value.
    """

    model: LogisticModel | NetworkModel
    output: str | None
    method: CalibrationMethod
    target: str
    calibration: Mapping[str, Any]
    rows: Mapping[str, int]
    certificate: Mapping[str, float]
    measured_on: MeasuredOn
    before: CalibrationMeasures
    after: CalibrationMeasures
    passes: int
    seconds: float
    peak_bytes: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def _summary(self) -> Summary:
        return Summary(facts_of(self), ("", "before", "after"), comparison_rows(self))


def facts_of(report: CalibrationReport) -> list[tuple[str, str]]:
    """Return what is said of a calibration besides its measures, each with a label."""
    written = [] if report.output is None else [("model", report.output)]
    return [
        *written,
        ("method", _method_text(report)),
        ("rows", accounts_text(report.rows)),
        ("optimum", _certified(report)),
        ("measured on", _measured_text(report)),
    ]


def accounts_text(rows: Mapping[str, int]) -> str:
    """Return what became of the rows: ``100 read = 80 used + 20 held out + ...``."""
    parts = (f"{format_count(rows[key])} {key.replace('_', ' ')}" for key in _ACCOUNTS)
    return f"{format_count(rows['read'])} read = {' + '.join(parts)}"


def comparison_rows(report: CalibrationReport) -> list[tuple[str, str, str]]:
    """Return a row for each measure that is defined: its name, its value before and after."""
    before, after = report.before.plain(), report.after.plain()
    pairs = [(words, before[name], after[name]) for name, words in WORDS.items()]
    return [(words, _number(one), _number(other)) for words, one, other in pairs if (one, other) != (None, None)]


def _method_text(report: CalibrationReport) -> str:
    if report.method == "isotonic":
        return f"isotonic: {format_count(int(report.certificate['steps']))} steps"
    numbers = (f"{name} {value:.8g}" for name, value in report.calibration.items() if name != "method")
    return f"{report.method}: {', '.join(numbers)}"


def _certified(report: CalibrationReport) -> str:
    said = report.certificate
    if report.method == "isotonic":
        share = f"{100 * said['largest_key']:.3g}% of the rows"
        return f"exact on {format_count(int(said['keys']))} keys of the raw prediction; the largest has {share}"
    return f"largest gradient {said['gradient']:.2g} a row, squared decrement {said['decrement']:.2g}"


def _measured_text(report: CalibrationReport) -> str:
    rows = format_count(report.before.rows)
    if report.measured_on == "held out":
        return f"the {rows} rows that were held out"
    return f"the same {rows} rows that the calibration was fitted to; --holdout 20% measures on others"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def calibration_json(report: CalibrationReport) -> Json:
    """Return a calibration under the keys that this module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "calibration",
        "output": report.output,
        "digest": report.model.digest(),
        "method": report.method,
        "target": report.target,
        "calibration": dict(report.calibration),
        "rows": dict(report.rows),
        "certificate": dict(report.certificate),
        "measured_on": report.measured_on,
        "before": asdict(report.before),
        "after": asdict(report.after),
        "passes": report.passes,
        "seconds": report.seconds,
        "peak_bytes": report.peak_bytes,
        "notes": list(report.notes),
        "warnings": list(report.warnings),
    }
