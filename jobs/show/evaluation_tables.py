"""The tables of what ``evaluate`` measures, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.evaluation.report import DROPPED, EvaluationReport, GroupMeasures, evaluated_rows
from pipeline.evaluation.results import BestThreshold, BinaryMeasures, MultinomialMeasures, ThresholdRates
from pipeline.units import bound_text, escape, format_count

Row = tuple[str, ...]

_NOTE = 1_000
# Columns of a confusion matrix that are shown.
_MOST_CLASSES = 12

_MEASURES = ("measure", "value", "within", "standard error", "")
_THRESHOLDS = (
    *("", "threshold", "TP", "FP", "TN", "FN"),
    *("precision", "recall", "specificity", "F1", "MCC"),
)
_DECILES = ("top", "rows", "positives", "lift", "gains")
_BINS = ("bin", "rows", "mean probability", "share positive", "standard error")
_GROUPS = ("group", "rows", "prevalence", "mean probability", "log loss", "Brier", "AUC", "within", "ECE")
_CLASS_GROUPS = ("group", "rows", "log loss", "Brier", "accuracy", "mean AUC")
_TWO_MODELS = ("group", "rows", "log loss", "second minus first", "AUC", "second minus first", "within", "p")
_CLASSES = ("class", "rows", "share", "AUC", "within", "precision", "recall", "F1")


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table with its title, as text; ``numbers`` are the columns that are aligned to the right."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Row]
    numbers: Sequence[int]


def facts_of(report: EvaluationReport) -> Iterator[tuple[str, str]]:
    """Yield what was evaluated, and what became of the rows."""
    positive = ""
    if len(report.classes) == 2:
        called = "1 or true" if report.classes[1] == "true" else escape(report.classes[1])
        positive = f", where {called} is positive"
    yield "target", f"{escape(report.target)}{positive}"
    yield "scored by", " and ".join(escape(name, _NOTE) for name in report.scored_by)
    if report.weight is not None:
        yield "weight", escape(report.weight)
    yield "rows", evaluated_rows(report.rows)
    for name, words in DROPPED.items():
        if report.rows[name]:
            yield "rows", f"of the dropped, {format_count(report.rows[name])} {words}"
    if any(report.clipped):
        counts = " and ".join(map(format_count, report.clipped))
        share = "0" if report.probability is None else "less than 2.2e-16"
        yield "clipped", f"{counts} rows whose class has a probability of {share}: it counts as 2.2e-16"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _count(value: float | None) -> str:
    return "" if value is None else format_count(int(value)) if float(value).is_integer() else f"{value:.6g}"


def measure_tables(report: EvaluationReport) -> Iterator[ShownTable]:
    """Yield the measures of all rows: first those that are one number each, then tables that may be empty."""
    if isinstance(report.measures, BinaryMeasures):
        return _binary_tables(report, report.measures)
    return _class_tables(report, report.measures)


def _binary_tables(report: EvaluationReport, measured: BinaryMeasures) -> Iterator[ShownTable]:
    challenger = report.challenger
    if isinstance(challenger, BinaryMeasures):
        yield _of_two(report, *(_with_notes(_binary_rows(each), each) for each in (measured, challenger)))
    else:
        yield ShownTable("Measures", _MEASURES, _binary_rows(measured), (1, 2, 3))
    for title, each in titled(report):
        if not isinstance(each, BinaryMeasures):
            continue
        rates = list(_threshold_rows(each))
        yield ShownTable(f"Rows at thresholds{title}", _THRESHOLDS, rates, range(1, len(_THRESHOLDS)))
        deciles = [
            (f"{100 * row.share:.0f} %", *map(_count, (row.rows, row.positives)), *map(_number, (row.lift, row.gains)))
            for row in each.deciles
        ]
        yield ShownTable(f"Rows with the highest scores{title}", _DECILES, deciles, range(1, 5))
        bins = [
            (
                str(number),
                _count(row.rows),
                *map(_number, (row.mean_probability, row.share_positive)),
                _short(row.standard_error),
            )
            for number, row in enumerate(each.calibration_curve, 1)
        ]
        yield ShownTable(f"Calibration{title}", _BINS, bins, range(1, 5))


def titled(report: EvaluationReport) -> Iterator[tuple[str, Any]]:
    """Yield the measures of each model, with what to add to a title."""
    if report.challenger is None:
        yield "", report.measures
        return
    for name, measured in zip(report.models, (report.measures, report.challenger), strict=True):
        yield f", {escape(name, _NOTE)}", measured


def _binary_rows(measured: BinaryMeasures) -> list[Row]:
    test = measured.hosmer_lemeshow
    noise = "" if measured.ece_noise_floor is None else f"{measured.ece_noise_floor:.2g} by chance alone"
    named: Iterable[tuple[str, float | None, float | None, float | None, str]] = (
        ("prevalence", measured.prevalence, None, None, ""),
        ("mean probability", measured.mean_probability, None, None, ""),
        ("log loss", measured.log_loss, None, None, ""),
        ("Brier score", measured.brier, None, None, ""),
        ("+ reliability", measured.reliability, None, None, ""),
        ("- resolution", measured.resolution, None, None, ""),
        ("+ uncertainty", measured.uncertainty, None, None, ""),
        ("+ variance within bins", measured.within_bin_variance, None, None, ""),
        ("- covariance within bins", measured.within_bin_covariance, None, None, ""),
        ("AUC", measured.auc, measured.auc_bound, measured.auc_standard_error, ""),
        ("Gini", measured.gini, None, None, ""),
        ("average precision", measured.average_precision, measured.average_precision_bound, None, ""),
        ("KS", measured.ks, None, None, ""),
        ("ECE", measured.ece, None, None, noise),
        ("calibration slope", measured.calibration_slope, None, None, ""),
        ("calibration intercept", measured.calibration_intercept, None, None, ""),
        (
            "Hosmer-Lemeshow",
            None if test is None else test.statistic,
            None,
            None,
            "" if test is None else f"{test.degrees_of_freedom} degrees of freedom, p {test.p_value:.2g}",
        ),
    )
    return [
        (name, _number(value), _bound(bound), _short(error), note)
        for name, value, bound, error, note in named
        if value is not None
    ]


def _with_notes(rows: Sequence[Row], measured: BinaryMeasures) -> list[Row]:
    """Return rows of measures in which a row of its own has what is else said beside a measure."""
    test = measured.hosmer_lemeshow
    noted = {
        "ECE": ("ECE by chance alone", measured.ece_noise_floor),
        "Hosmer-Lemeshow": ("p of Hosmer-Lemeshow", None if test is None else test.p_value),
    }
    told: list[Row] = []
    for row in rows:
        told.append(row)
        name, value = noted.get(row[0], ("", None))
        told += [(name, _short(value), "", "", "")] if value is not None else []
    return told


def _bound(bound: float | None) -> str:
    return "" if bound is None else bound_text(bound)


def _of_two(report: EvaluationReport, first: Sequence[Row], second: Sequence[Row]) -> ShownTable:
    """Return the measures of two models beside each other, and how they differ."""
    others = {row[0]: _with_bound(row[1], row[2]) for row in second}
    differences = report.differences
    assert differences is not None
    told: dict[str, Row] = {
        "log loss": (_signed(differences.log_loss), "", "", ""),
        "Brier score": (_signed(differences.brier), "", "", ""),
    }
    if (area := differences.auc) is not None:
        told["AUC"] = (_signed(area.value), _bound(area.bound), _short(area.standard_error), _short(area.p_value))
    if differences.accuracy is not None:
        told["accuracy"] = (_signed(differences.accuracy), "", "", "")
    rows = [
        (row[0], _with_bound(row[1], row[2]), others.get(row[0], ""), *told.get(row[0], ("",) * 4)) for row in first
    ]
    names = [escape(name, _NOTE) for name in report.models]
    headers = ("measure", *names, "second minus first", "within", "standard error", "p")
    return ShownTable("Measures", headers, rows, range(1, len(headers)))


def _with_bound(value: str, bound: str) -> str:
    """Return a value with what it may be off by, in one cell."""
    return value if bound in {"", "exact"} else f"{value} within {bound}"


def _signed(value: float) -> str:
    return f"{value:+.6g}"


def _threshold_rows(measured: BinaryMeasures) -> Iterator[Row]:
    for rates in measured.thresholds:
        yield _rates("", rates)
    best: tuple[tuple[str, BestThreshold | None], ...] = (
        ("best F1", measured.best.f1),
        ("best Youden", measured.best.youden),
        ("lowest cost", measured.best.cost),
    )
    for name, found in best:
        if found is not None:
            yield _rates(name, found.rates)


def _rates(name: str, rates: ThresholdRates) -> Row:
    counts = (rates.true_positives, rates.false_positives, rates.true_negatives, rates.false_negatives)
    shares = (rates.precision, rates.recall, rates.specificity, rates.f1, rates.mcc)
    return (name, _number(rates.threshold), *map(_count, counts), *(_digits(share) for share in shares))


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _class_tables(report: EvaluationReport, measured: MultinomialMeasures) -> Iterator[ShownTable]:
    challenger = report.challenger
    if isinstance(challenger, MultinomialMeasures):
        yield _of_two(report, _class_measures(measured), _class_measures(challenger))
    else:
        yield ShownTable("Measures", _MEASURES, _class_measures(measured), (1, 2, 3))
    names = [escape(name) for name in report.classes]
    for title, each in titled(report):
        rows = [
            (
                *(name, _count(of.rows), _digits(of.prevalence), _number(of.auc), _bound(of.auc_bound)),
                *map(_digits, (of.precision, of.recall, of.f1)),
            )
            for name, of in zip(names, each.classes, strict=True)
        ]
        yield ShownTable(f"Each class against the others{title}", _CLASSES, rows, range(1, len(_CLASSES)))
        if len(names) <= _MOST_CLASSES:
            matrix = [(name, *map(_count, row)) for name, row in zip(names, each.confusion_matrix, strict=True)]
            headers = ("class \\ predicted", *names)
            yield ShownTable(f"Rows by class and by what is predicted{title}", headers, matrix, range(1, len(headers)))


def _class_measures(measured: MultinomialMeasures) -> list[Row]:
    named = {
        "log loss": measured.log_loss,
        "Brier score": measured.brier,
        "accuracy": measured.accuracy,
        "mean AUC of the classes": measured.auc_macro,
    }
    return [(name, _number(value), "", "", "") for name, value in named.items() if value is not None]


def group_tables(report: EvaluationReport) -> Iterator[ShownTable]:
    """Yield the measures by group, a table for each choice of columns."""
    for found in report.groups:
        first = found.groups[0] if found.groups else None
        headers: Row = _GROUPS if first is None or isinstance(first.measures, BinaryMeasures) else _CLASS_GROUPS
        show = _group
        if first is not None and first.differences is not None:
            headers, show = _TWO_MODELS, _compared
        rows = [show(each) for each in found.groups]
        yield ShownTable(f"By {escape(':'.join(found.columns))}", headers, rows, range(1, len(headers)))


def _group(group: GroupMeasures) -> Row:
    of = group.measures
    if isinstance(of, BinaryMeasures):
        numbers = (of.prevalence, of.mean_probability, of.log_loss, of.brier, of.auc)
        return (group.name, _count(of.rows), *map(_number, numbers), _bound(of.auc_bound), _digits(of.ece))
    return (group.name, _count(of.rows), *map(_number, (of.log_loss, of.brier, of.accuracy, of.auc_macro)))


def _compared(group: GroupMeasures) -> Row:
    """Return the log loss of a group, its AUC where there are two classes, and by how much those of a second differ."""
    of, differences = group.measures, group.differences
    assert differences is not None
    shown = (group.name, _count(of.rows), _number(of.log_loss), _signed(differences.log_loss))
    area = differences.auc
    if not isinstance(of, BinaryMeasures) or area is None:
        return (*shown, "", "", "", "")
    return (*shown, _number(of.auc), _signed(area.value), _bound(area.bound), _short(area.p_value))
