"""Turns the options of a command into a job, and a job into text or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobs.show import console, document
from jobs.show.progress import observer
from jobs.stopping import Deadline, stoppable
from pipeline import flow, interface
from pipeline.errors import DataError
from pipeline.flow import Stop, deadline_error, go_on
from pipeline.report.json import plan_json, report_json
from pipeline.report.text import outcome_lines, plan_lines
from pipeline.types.job import Job
from pipeline.types.report import Event, Observer, Planned, PlanSummary, Report
from pipeline.units import parse_seconds

Params = Mapping[str, Any]

_NAMED_BY_POSITION = {"inputs", "model", "apply", "output"}
_OF_THE_COMMAND_LINE = {"dry_run", "json", "quiet", "verbose", "progress", "grace", "html"}
_SAID_OTHERWISE = {"type", "no_resume", "no_reuse"}


def score_job(params: Params) -> Job:
    """Return the job that the options of ``score`` describe."""
    return interface.score_job(params["inputs"], params["model"], params["output"], **_options(params))


def transform_job(params: Params) -> Job:
    """Return the job that the options of ``transform`` describe."""
    return interface.transform_job(params["inputs"], params["apply"], params["output"], **_options(params))


def carry_out(job: Job, params: Params) -> None:
    """Plan or run a job and report on it: results on stdout, everything else on stderr."""
    html = params.get("html")
    if html is not None:
        from pipeline.pages import check_page  # noqa: PLC0415 - only for reports

        check_page(params["html"], output=params["output"], with_drawings=False)
    if params["dry_run"]:
        plan = flow.plan(job)
        _show_plan(plan, as_json=params["json"], with_files=params["verbose"])
        for warning in plan.warnings:
            console.warn(f"{warning}{f'; score would end with {DataError.exit_code}' if warning.fails else ''}")
        return
    talk = observer(params["progress"], quiet=console.is_quiet(), verbose=params["verbose"], show_files=_tell_files)
    grace = parse_seconds(params["grace"])
    stop = Stop(grace)
    again = go_on(job)
    until = stoppable(stop, grace=grace, deadline=_deadline(job, again), again=again)
    with talk as watch, until as work_begins:
        report = _run(job, _watching(watch, work_begins), stop)
    _show_outcome(report, as_json=params["json"], with_files=params["verbose"])
    if html is not None:
        _write_html(report, params)


def _write_html(report: Report, params: Params) -> None:
    from jobs.show.html import write_html  # noqa: PLC0415 - only for reports
    from jobs.show.score_html import score_page  # noqa: PLC0415 - as above

    if report.skipped:
        console.tell("no report was written: nothing was done")
    else:
        write_html(score_page(report, params), params["html"], "the output was already published")


def _watching(watch: Observer, work_begins: Callable[[], None]) -> Observer:
    """Return an observer that passes events on and reports when work begins."""

    def observe(event: Event) -> None:
        if isinstance(event, Planned):
            work_begins()
        watch(event)

    return observe


def _deadline(job: Job, again: str) -> Deadline | None:
    seconds = job.conduct.deadline_seconds
    return None if seconds is None else Deadline(seconds, deadline_error(seconds, again))


def _run(job: Job, watch: Observer, stop: Stop) -> Report:
    before = flow.mark_of(job.output)
    try:
        return flow.run(job, watch, stop)
    except BaseException as error:
        if error is stop.error or not isinstance(error, Exception):
            # A signal may arrive just after the output was published: only the output itself shows it.
            untouched = flow.mark_of(job.output) == before
            error.add_note("nothing was published" if untouched else "the output was already published")
        raise


def _tell_files(plan: PlanSummary) -> None:
    from jobs.show.tables import tell_files  # noqa: PLC0415 - rich, only for tables

    tell_files(plan)


def _show_plan(plan: PlanSummary, *, as_json: bool, with_files: bool) -> None:
    if as_json:
        document.write(plan_json(plan, with_files=with_files))
        return
    if with_files:
        from jobs.show.tables import emit_files  # noqa: PLC0415 - rich, only for tables

        emit_files(plan)
    console.emit("\n".join(plan_lines(plan)))


def _show_outcome(report: Report, *, as_json: bool, with_files: bool) -> None:
    if lines := outcome_lines(report):
        console.tell("\n".join(lines))
    if as_json:
        document.write(report_json(report, with_files=with_files))


def _options(params: Params) -> dict[str, Any]:
    left_out = _NAMED_BY_POSITION | _OF_THE_COMMAND_LINE | _SAID_OTHERWISE
    same = {name: value for name, value in params.items() if name not in left_out}
    return same | {
        "types": dict(params["type"]),
        "rename": dict(params["rename"]),
        "resume": not params["no_resume"],
        "reuse": not params["no_reuse"],
    }
