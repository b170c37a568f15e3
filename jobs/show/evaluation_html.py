"""The report of ``evaluate``: what ran, what became of the rows, measures with their pictures, and groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from jobs.show.evaluation_tables import ShownTable, facts_of, group_tables, measure_tables, titled
from jobs.show.html import Params, ran
from jobs.show.measured_html import DrawnModel, calibration_drawing, rank_drawings, score_drawing
from pipeline.evaluation.curves import curves
from pipeline.evaluation.report import DROPPED, LEFT_OUT, EvaluationReport
from pipeline.evaluation.results import BinaryMeasures
from pipeline.pages import Fact, Page, PageDrawing, PageSection, PageTable
from pipeline.units import format_count


def evaluation_page(report: EvaluationReport, params: Params) -> Page:
    """Return the report of an evaluation."""
    groups = tuple(map(_table, group_tables(report)))
    # With states, nothing else says which models it was.
    said = {"rows"} if params["merge"] else {"rows", "scored by"}
    return Page(
        title=f"Evaluation of {report.target}",
        ran=(
            *ran("evaluate", {**params, "target": None}),
            *(pair for pair in facts_of(report) if pair[0] not in said),
        ),
        accounts=tuple(_accounts(report)),
        warnings=report.all_warnings,
        notes=(*report.notes, *report.measures.notes),
        sections=(
            PageSection("How well the scores fit", tuple(_measures(report))),
            *([PageSection("By group", groups)] if groups else []),
        ),
    )


def _accounts(report: EvaluationReport) -> Iterator[Fact]:
    yield "read", format_count(report.rows["read"])
    yield "used", format_count(report.rows["used"])
    for name, words in LEFT_OUT.items():
        if report.rows[name]:
            yield words, format_count(report.rows[name])
    for name, words in DROPPED.items():
        if report.rows[name]:
            yield f"of the dropped, {words}", format_count(report.rows[name])


def _measures(report: EvaluationReport) -> Iterator[PageTable | PageDrawing]:
    """Yield the measures that are one number each, the pictures, and the other tables."""
    first, *others = measure_tables(report)
    yield _table(first)
    yield from _drawings(report)
    yield from (_table(each) for each in others if each.rows)


def _drawings(report: EvaluationReport) -> Iterator[PageDrawing]:
    """Yield pictures of two classes; those that compare the classes only where there are rows of both."""
    measured = [each for _, each in titled(report) if isinstance(each, BinaryMeasures)]
    if not measured:
        return
    names = _short_names(report.models) if len(measured) > 1 else ("",)
    drawn = [
        DrawnModel(name, each, found)
        for place, (name, each) in enumerate(zip(names, measured, strict=True))
        if report.state is not None and (found := curves(report.state, place)) is not None
    ]
    if drawn:
        yield from rank_drawings(drawn)
    bins = [(name or "model", each.calibration_curve) for name, each in zip(names, measured, strict=True)]
    yield calibration_drawing(bins, f"ECE {', '.join(f'{each.ece:.3g}' for each in measured)}.")
    yield from (score_drawing(each, report.classes) for each in drawn)


def _short_names(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of model files without their folders, if they differ then."""
    names = tuple(PurePath(path).name for path in paths)
    return names if len(set(names)) == len(names) else paths


def _table(shown: ShownTable) -> PageTable:
    return PageTable.filled(shown.title, shown.headers, shown.rows, shown.numbers)
