"""The report of ``fit``: what ran, what became of the rows, how well the model fits, and its coefficients."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.show.fits import (
    COEFFICIENTS,
    DIGITS,
    EFFECTS,
    TRIED,
    coefficient_cells,
    effect_cells,
    estimates,
    goodness,
    several_tried,
    tried_cells,
    with_digits,
)
from jobs.show.html import Params, ran, took
from pipeline.drawing import Estimate, TriedPenalty, as_svg, draw_coefficients, draw_path
from pipeline.fitting.report import FitReport
from pipeline.pages import Fact, Page, PageDrawing, PageSection, PageTable
from pipeline.units import format_count

_MEASURE, _NUMBER, _ERROR = map(with_digits, DIGITS)
_ACCOUNTS = ("read", "used", "held_out", "dropped", "bad", "without_target")


def fit_page(report: FitReport, params: Params) -> Page:
    """Return the report of a fit."""
    return Page(
        title=f"Fit of {params['target']}",
        ran=(
            *ran("fit", params),
            ("passes", format_count(report.passes)),
            *took(report.seconds, report.peak_bytes),
        ),
        accounts=tuple(_accounts(report)),
        notes=report.notes,
        sections=(
            PageSection("How well the model fits", facts=tuple(goodness(report, _MEASURE))),
            PageSection("Coefficients", tuple(_coefficients(report))),
            *([PageSection("Penalties tried", tuple(_penalties(report)))] if report.path else []),
        ),
    )


def _accounts(report: FitReport) -> Iterator[Fact]:
    for key in _ACCOUNTS:
        yield key.replace("_", " "), format_count(report.rows.get(key, 0))


def _coefficients(report: FitReport) -> Iterator[PageDrawing | PageTable]:
    drawn = estimates(report)
    if drawn:
        yield PageDrawing("Coefficients, drawn", _of_estimates(drawn), as_svg(draw_coefficients(drawn)))
    rows = [coefficient_cells(each, _NUMBER, _ERROR) for each in report.coefficients]
    yield PageTable.filled("Each coefficient", COEFFICIENTS, rows, range(3, 10))
    if report.effects:
        rows = [effect_cells(each, _NUMBER, _ERROR) for each in report.effects]
        yield PageTable.filled("Average marginal effects on the probability", EFFECTS, rows, range(3, 9))
    if report.bins:
        values = [(name, _NUMBER(value)) for name, value in report.bins.items()]
        yield PageTable.filled("Information values", ("feature", "information value"), values, (1,))


def _of_estimates(drawn: list[Estimate]) -> str:
    """Return in words what a picture of coefficients shows; all of them are in the table below it."""
    intervals = sum(each.low is not None and each.high is not None for each in drawn)
    away = sum(each.low is not None and each.high is not None and not each.low <= 0 <= each.high for each in drawn)
    largest = max(drawn, key=lambda each: abs(each.value))
    told = f"{format_count(len(drawn))} coefficients; the largest is {_NUMBER(largest.value)}, of {largest.name}."
    if intervals:
        told += f" {format_count(away)} of {format_count(intervals)} intervals of 95 % do not contain 0."
    return f"{told} Each is a point in units of its column; the table below has the numbers."


def _penalties(report: FitReport) -> Iterator[PageDrawing | PageTable]:
    if tried := several_tried(report):
        yield PageDrawing("Log loss by penalty", _of_penalties(tried), as_svg(draw_path(tried)))
    rows = [tried_cells(each, _NUMBER) for each in report.path]
    yield PageTable.filled("Each penalty, with its log loss on rows left out", TRIED, rows, range(5))


def _of_penalties(tried: list[TriedPenalty]) -> str:
    told = f"The log loss on rows left out of {format_count(len(tried))} penalties."
    chosen = "".join(
        f" The chosen one is {_NUMBER(each.penalty)}, with {_NUMBER(each.log_loss)}." for each in tried if each.chosen
    )
    return f"{told}{chosen} The table below has the numbers."
