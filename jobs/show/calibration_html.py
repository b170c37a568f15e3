"""The report of ``calibrate``: what ran, what became of the rows, and how right probabilities are before and after."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.show.html import Params, ran, took
from jobs.show.measured_html import calibration_drawing
from pipeline.evaluation.calibrating.report import CalibrationReport, comparison_rows, facts_of
from pipeline.pages import Fact, Page, PageDrawing, PageSection, PageTable
from pipeline.units import format_count

# Said among what ran and among the accounts.
_ELSEWHERE = {"model", "rows"}
_OF_THE_DROPPED = {
    "set_aside": "of the dropped, set aside by the model",
    "not_finite": "of the dropped, with a raw prediction that is not finite",
}


def calibration_page(report: CalibrationReport, params: Params) -> Page:
    """Return the report of a calibration."""
    return Page(
        title=f"Calibration for {report.target}",
        ran=(
            *ran("calibrate", params),
            ("passes", format_count(report.passes)),
            *took(report.seconds, report.peak_bytes),
        ),
        accounts=tuple(_accounts(report)),
        warnings=report.warnings,
        notes=report.notes,
        sections=(
            PageSection(
                "The calibration",
                tuple(_measures(report)),
                tuple(pair for pair in facts_of(report) if pair[0] not in _ELSEWHERE),
            ),
        ),
    )


def _accounts(report: CalibrationReport) -> Iterator[Fact]:
    for key, count in report.rows.items():
        words = _OF_THE_DROPPED.get(key)
        if words is None or count:
            yield words or key.replace("_", " "), format_count(count)


def _measures(report: CalibrationReport) -> Iterator[PageTable | PageDrawing]:
    yield PageTable.filled("Before and after", ("measure", "before", "after"), comparison_rows(report), (1, 2))
    curves = [("before", report.before.calibration_curve), ("after", report.after.calibration_curve)]
    if all(bins for _, bins in curves):
        errors = f"ECE {report.before.ece or 0.0:.3g} before, {report.after.ece or 0.0:.3g} after."
        yield calibration_drawing(curves, errors)
