"""Shows what ``evaluate`` measures, as text, as JSON and as a report, and checks limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from jobs.options.command import given
from jobs.show import console, document
from jobs.show.evaluation_tables import ShownTable, facts_of, group_tables, measure_tables
from jobs.show.progress import observer
from jobs.show.tables import emit_filled
from pipeline.choices import parse_limits
from pipeline.errors import LogitstreamError
from pipeline.evaluation.json import evaluation_json
from pipeline.evaluation.limits import check_limit_names, limited_names
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.results import BinaryMeasures, MultinomialMeasures
from pipeline.measuring import evaluate, merge_evaluations
from pipeline.report.text import aligned
from pipeline.units import escape, format_count

_NOTE = 1_000
_SHOWN = "the measures were shown"
# Of the command line alone, or said otherwise there.
_NOT_OPTIONS = {
    *("inputs", "model", "target", "probability", "merge", "fail_under", "type", "threshold", "cost"),
    *("json", "quiet", "html", "progress"),
}
# What states that are added up leave to decide.
_OF_A_MERGE = {
    *("inputs", "merge", "cost", "bins", "state", "if_exists", "fail_under"),
    *("json", "quiet", "progress", "html"),
}
# Rows of a table of groups that are shown.
_MOST_GROUPS = 1_000


def show_evaluation(params: Mapping[str, Any]) -> None:
    """Evaluate, or add up evaluations, and show what was found; ``params`` are those of the command.

    Raises
    ------
    ThresholdError
        A measure is below its limit; everything was shown.
    LogitstreamError
        As :func:`pipeline.evaluate` or :func:`pipeline.merge_evaluations`.
    """
    limits = parse_limits(params["fail_under"]) if params["fail_under"] else {}
    # A mistake is told before the rows are read.
    check_limit_names(limits, _limited())
    if params["html"] is not None:
        from pipeline.pages import check_page  # noqa: PLC0415 - only for reports

        check_page(params["html"], output=params["state"], with_drawings=True)
    report, failures = _evaluated(params)
    _tell(report)
    if params["json"]:
        document.write(evaluation_json(report))
    else:
        _emit(report)
    if params["html"] is not None:
        failures += _html_failures(report, params)
    _require(report, limits, failures)


def _evaluated(params: Mapping[str, Any]) -> tuple[EvaluationReport, list[LogitstreamError]]:
    """Return what was measured, and the error with which only the state of it was not written."""
    try:
        return (_merged(params) if params["merge"] else _of_rows(params)), []
    except LogitstreamError as error:
        if not isinstance(error.evaluation, EvaluationReport):
            raise
        error.add_note(_SHOWN)
        return error.evaluation, [error]


def _of_rows(params: Mapping[str, Any]) -> EvaluationReport:
    options = evaluate_options(params)
    with observer(params["progress"], quiet=console.is_quiet()) as watch:
        return evaluate(**options, observe=watch)


def _tell(report: EvaluationReport) -> None:
    for note in report.notes:
        console.tell(f"note: {escape(note, _NOTE)}")
    for warning in report.all_warnings:
        console.warn(escape(warning, _NOTE))


def _html_failures(report: EvaluationReport, params: Mapping[str, Any]) -> list[LogitstreamError]:
    """Write the report as HTML, and return the error with which that failed."""
    from jobs.show.evaluation_html import evaluation_page  # noqa: PLC0415 - only for reports
    from jobs.show.html import write_html  # noqa: PLC0415 - as above

    try:
        write_html(evaluation_page(report, params), params["html"], _SHOWN)
    except LogitstreamError as error:
        return [error]
    return []


def _require(report: EvaluationReport, limits: Mapping[str, float], failures: Sequence[LogitstreamError]) -> None:
    """Raise if a measure is below its limit, which is the first thing to know, or else the first of the failures."""
    try:
        report.require(limits)
        if failures:
            raise failures[0]
    except LogitstreamError as error:
        for failure in failures:
            if failure is not error:
                console.warn(f"not written: {failure.message}")
        raise


def evaluate_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the command as arguments of :func:`pipeline.evaluate`."""
    if params["target"] is None:
        raise click.UsageError("Missing option '--target'.", click.get_current_context(silent=True))
    model, challenger = (*params["model"], None, None)[:2]
    return {name: value for name, value in params.items() if name not in _NOT_OPTIONS} | {
        "inputs": params["inputs"],
        "target": params["target"],
        "model": model,
        "challenger": challenger,
        "probability": params["probability"],
        "thresholds": params["threshold"],
        "costs": params["cost"],
        "types": dict(params["type"]),
    }


def _merged(params: Mapping[str, Any]) -> EvaluationReport:
    """Add up evaluations; refuse options that say how rows are read, or what the states have settled."""
    context = click.get_current_context()
    for param in context.command.params:
        if param.name in given(params) and param.name not in _OF_A_MERGE:
            name = max(param.opts, key=len)
            raise click.UsageError(f"{name} has no effect with --merge: the states say it.", context)
    same = {name: params[name] for name in ("bins", "state", "if_exists")}
    return merge_evaluations(params["inputs"], costs=params["cost"], **same)


def _limited() -> list[str]:
    names = (*limited_names(BinaryMeasures), *limited_names(MultinomialMeasures))
    return list(dict.fromkeys(names))


def _emit(report: EvaluationReport) -> None:
    console.emit("\n".join(aligned(facts_of(report))) + "\n")
    first, *others = measure_tables(report)
    emit_filled(first.headers, first.rows, first.numbers)
    for table in (*others, *group_tables(report)):
        _emit_table(table)
    for note in report.measures.notes:
        console.emit(f"\n{note}")


def _emit_table(table: ShownTable) -> None:
    if table.rows:
        console.emit(f"\n{table.title}:\n")
        emit_filled(table.headers, table.rows[:_MOST_GROUPS], table.numbers)
    if len(table.rows) > _MOST_GROUPS:
        console.emit(f"... {format_count(len(table.rows) - _MOST_GROUPS)} more; --json shows all")
