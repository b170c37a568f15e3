"""What ``fit`` shows: a line for each pass, the model with its certificate, or the plan; as text or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jobs.show import console, document
from jobs.show.progress import Quiet
from jobs.show.tables import emit_filled
from jobs.stopping import stopped_with
from pipeline import training
from pipeline.fitting.describing import fit_json, fit_plan_json
from pipeline.fitting.report import (
    INTERCEPT,
    CoefficientRow,
    EffectRow,
    FitMeasures,
    FitPlan,
    FitReport,
    PassDone,
    PenaltyTried,
    row_accounts,
)
from pipeline.report.text import aligned
from pipeline.types.report import Noted
from pipeline.units import escape, format_bytes, format_count, format_seconds, visible

if TYPE_CHECKING:
    from pipeline.drawing import Estimate, TriedPenalty

Params = Mapping[str, Any]
Number = Callable[[float | None], str]

_NOT_OPTIONS = {"dry_run", "json", "quiet", "verbose", "plot", "html"}
_SAID_OTHERWISE = {"type", "no_intercept"}
_AGAIN = "run the same command again: it resumes after the last finished pass"
_MOST_ROWS = 1_000
_NOTE = 1_000
# Of measures, of coefficients, and of what says how certain those are.
DIGITS = (8, 6, 4)

_NAMED = ("feature", "level", "class")
COEFFICIENTS = (*_NAMED, "coefficient", "error", "z", "p", "low", "high", "VIF", "note")
# What a narrow terminal does without: the inflation of variances, the z, then the interval.
_SPARE = tuple(map(COEFFICIENTS.index, ("VIF", "z", "low", "high")))
EFFECTS = (*_NAMED, "effect", "error", "z", "p", "low", "high")
TRIED = ("l1", "l2", "log loss", "error", "nonzero", "")


def show_fit(params: Params) -> None:
    """Fit a model, or plan the fit, and show what was found.

    Raises
    ------
    LogitstreamError
        As :func:`pipeline.fit` raises it, or the picture or the report cannot be made, which is found
        before the fit: no model was written. Where only writing the report fails, the message says that the model was.
    """
    if params["plot"] is not None:
        from pipeline.drawing import check_picture  # noqa: PLC0415 - only for pictures

        check_picture(params["plot"])
    if params["html"] is not None:
        from pipeline.pages import check_page  # noqa: PLC0415 - only for reports

        check_page(params["html"], output=params["output"], with_drawings=True)
    if params["dry_run"]:
        emit_fit_plan(training.preview_fit(**fit_options(params)), as_json=params["json"])
        return
    with stopped_with("" if params["output"] is None else _AGAIN):
        report = training.fit(**fit_options(params), observe=watch_fit())
    if params["plot"] is not None:
        draw_fit(report, params["plot"])
    emit_fit(report, all_digits=params["verbose"], as_json=params["json"])
    if params["html"] is not None:
        _write_html(report, params)


def _write_html(report: FitReport, params: Params) -> None:
    from jobs.show.fit_html import fit_page  # noqa: PLC0415 - only for reports
    from jobs.show.html import write_html  # noqa: PLC0415 - as above

    done = "the fit was shown" if report.output is None else "the model file was already written"
    write_html(fit_page(report, params), params["html"], done)


def fit_options(params: Params) -> dict[str, Any]:
    """Return the parameters of the command as arguments of :func:`pipeline.fit`."""
    same = {name: value for name, value in params.items() if name not in _NOT_OPTIONS | _SAID_OTHERWISE}
    return same | {
        "class_weight": params["class_weight"] or None,
        "types": dict(params["type"]),
        "intercept": not params["no_intercept"],
    }


def watch_fit() -> Callable[[object], None]:
    """Return the observer of a fit: a line a pass, and each note once."""
    quiet, said = Quiet(), set[str]()

    def observe(event: object) -> None:
        if line := line_of_pass(event):
            console.tell(line)
        elif isinstance(event, Noted) and console.is_quiet():
            quiet(event)
        elif isinstance(event, Noted) and event.text not in said:
            said.add(event.text)
            console.tell(f"{'warning' if event.warning else 'note'}: {escape(event.text, _NOTE)}")

    return observe


def line_of_pass(event: object) -> str:
    """Return the line for an event; empty unless it is a pass that has one."""
    if isinstance(event, PassDone) and event.number % _every(event.number) == 0:
        return pass_line(event)
    return ""


def _every(number: int) -> int:
    """Return of how many passes one has a line: of all up to the 100th, then of 10, from the 1,000th on of 100 ..."""
    return int(10 ** max(0, len(str(number)) - 2))


def pass_line(done: PassDone) -> str:
    """Return the line for a pass: what it found, how many rows it read, and how long that took."""
    found = [
        f"{name} {value:{form}}"
        for name, value, form in (
            ("objective", done.objective, ".10g"),
            ("decrement", done.decrement, ".2g"),
            ("gradient", done.gradient, ".2g"),
        )
        if value is not None
    ]
    models = [f"{format_count(done.models)} models"] if done.models > 1 else []
    rate = f"{format_count(done.rows)} rows in {format_seconds(done.seconds)}"
    return f"pass {done.number} ({done.what}): {', '.join((*found, *models, rate))}"


def with_digits(digits: int, *, all_digits: bool = False) -> Number:
    """Return what shows a number with so many digits, or with all that it has."""

    def number(value: float | None) -> str:
        if value is None:
            return ""
        return repr(float(value)) if all_digits else f"{value:.{digits}g}"

    return number


def emit_fit(report: FitReport, *, all_digits: bool, as_json: bool) -> None:
    """Show a fit: the model on stdout, the time it took on stderr. Notes were shown while it ran.

    A quiet command shows the model only if it was not written to a file.
    """
    if as_json:
        document.write(fit_json(report))
    elif report.output is None or not console.is_quiet():
        _emit_report(report, all_digits=all_digits)
    memory = format_bytes(report.peak_bytes)
    console.tell(f"{_many(report.passes, 'pass', 'es')} in {format_seconds(report.seconds)}; peak memory {memory}")


def _emit_report(report: FitReport, *, all_digits: bool) -> None:
    measure, number, error = (with_digits(digits, all_digits=all_digits) for digits in DIGITS)
    console.emit("\n".join(aligned(_facts(report, measure))) + "\n")
    rows = [coefficient_cells(each, number, error) for each in report.coefficients[:_MOST_ROWS]]
    emit_filled(COEFFICIENTS, rows, range(3, 10), spare=_SPARE)
    _emit_left_out(len(report.coefficients))
    if report.effects:
        console.emit("\nAverage marginal effects on the probability:\n")
        rows = [effect_cells(each, number, error) for each in report.effects[:_MOST_ROWS]]
        emit_filled(EFFECTS, rows, range(3, 9), spare=_SPARE[1:])
        _emit_left_out(len(report.effects))
    if report.bins:
        console.emit("\nInformation values:\n")
        values = [(escape(name), number(value)) for name, value in report.bins.items()]
        emit_filled(("feature", "information value"), values, (1,))
    if report.path:
        console.emit("\nPenalties tried, with their log loss on rows left out:\n")
        emit_filled(TRIED, [tried_cells(each, number) for each in report.path], range(5))


def _emit_left_out(rows: int) -> None:
    if rows > _MOST_ROWS:
        console.emit(f"... {format_count(rows - _MOST_ROWS)} more; --json shows all")


def _facts(report: FitReport, measure: Number) -> Iterator[tuple[str, str]]:
    if report.output is not None:
        yield "model", escape(report.output, _NOTE)
    yield "rows", row_accounts(report.rows)
    yield from goodness(report, measure)


def goodness(report: FitReport, measure: Number) -> Iterator[tuple[str, str]]:
    """Yield whether a fit converged, with what shows it, and how well the model fits."""
    yield "converged", _certified(report.certificate)
    yield from _measures(report.measures, measure)


def _certified(certificate: Mapping[str, object]) -> str:
    """Return whether a fit converged: with the figures that show it, or with what was in the way."""
    if not certificate.get("converged"):
        return f"no: {escape(str(certificate.get('reason') or ''), _NOTE)}".removesuffix(": ")
    figures = [
        f"{words} {value:.2g}"
        for key, words in (
            ("decrement", "squared decrement"),
            ("largest_step", "largest step"),
            ("gradient", "largest gradient"),
            ("gap", "duality gap"),
            ("subgradient", "subgradient"),
        )
        if isinstance(value := certificate.get(key), float)
    ]
    return f"yes: {', '.join(figures)}".removesuffix(": ")


def _measures(measures: FitMeasures, measure: Number) -> Iterator[tuple[str, str]]:
    yield "log loss", measure(measures.log_loss)
    if measures.held_out_log_loss is not None:
        yield "held-out log loss", measure(measures.held_out_log_loss)
    yield "deviance", measure(measures.deviance)
    if measures.null_deviance is not None:
        yield "null deviance", measure(measures.null_deviance)
    if measures.likelihood_ratio is not None and measures.likelihood_ratio_p is not None:
        degrees = f"{_many(measures.degrees_of_freedom or 0, 'degree')} of freedom"
        yield (
            "likelihood ratio",
            f"{measure(measures.likelihood_ratio)}, {degrees}, p {measures.likelihood_ratio_p:.2g}",
        )
    for name, value in (("AIC", measures.aic), ("BIC", measures.bic), ("McFadden's R2", measures.mcfadden)):
        if value is not None:
            yield name, measure(value)


def coefficient_cells(row: CoefficientRow, number: Number, error: Number) -> tuple[str, ...]:
    """Return a coefficient as a row below :data:`COEFFICIENTS`."""
    return (*effect_cells(row, number, error), error(row.variance_inflation), escape(row.note))


def effect_cells(row: CoefficientRow | EffectRow, number: Number, error: Number) -> tuple[str, ...]:
    """Return an effect as a row below :data:`EFFECTS`."""
    return (*_named(row), number(row.value), *map(error, (row.error, row.z, row.p, row.low, row.high)))


def tried_cells(row: PenaltyTried, number: Number) -> tuple[str, ...]:
    """Return a penalty as a row below :data:`TRIED`."""
    numbers = map(number, (row.l1, row.l2, row.log_loss, row.error))
    return (*numbers, format_count(row.nonzero), "chosen" if row.chosen else "")


def _named(row: CoefficientRow | EffectRow) -> tuple[str, str, str]:
    feature, label, output = _names(row)
    return escape(feature), label, escape(output)


def _names(row: CoefficientRow | EffectRow) -> tuple[str, str, str]:
    return row.feature, "" if row.label is None else visible(row.label), row.output or ""


def draw_fit(report: FitReport, path: str) -> None:
    """Draw the penalties where there are several, else the coefficients besides the intercept."""
    from pipeline import drawing  # noqa: PLC0415 - only for pictures

    tried = several_tried(report)
    drawing.save(drawing.draw_path(tried) if tried else drawing.draw_coefficients(estimates(report)), path)


def several_tried(report: FitReport) -> list[TriedPenalty]:
    """Return the penalties that were tried, as they are drawn; none where there are not several."""
    from pipeline.drawing import TriedPenalty  # noqa: PLC0415 - only for pictures

    tried = [each for each in report.path if each.log_loss is not None]
    drawn = [TriedPenalty(each.l1 + each.l2, each.log_loss or 0.0, each.error, each.chosen) for each in tried]
    return drawn if len(drawn) > 1 else []


def estimates(report: FitReport) -> list[Estimate]:
    """Return the coefficients besides the intercept, as they are drawn."""
    from pipeline.drawing import Estimate  # noqa: PLC0415 - only for pictures

    return [
        Estimate(" ".join(filter(None, _names(each))), each.value, each.low, each.high)
        for each in report.coefficients
        if each.feature != INTERCEPT
    ]


def emit_fit_plan(plan: FitPlan, *, as_json: bool) -> None:
    """Show what a fit would do."""
    if as_json:
        document.write(fit_plan_json(plan))
        return
    about = "~" if plan.rows_estimated else ""
    read = f"{format_bytes(plan.bytes_first)} in the first pass, {format_bytes(plan.bytes_pass)} in each later one"
    pairs = [
        ("inputs", f"{_many(plan.files, 'file')}, {about}{format_count(plan.rows)} rows"),
        ("to read", read),
        ("coefficients", f"at most {format_count(plan.width)}"),
        ("passes", f"about {format_count(plan.passes)}, by {escape(plan.solver)}"),
        ("between passes", f"{escape(plan.held)}, {format_bytes(plan.held_bytes)}"),
        ("workers", format_count(plan.workers)),
        ("memory", f"{format_bytes(plan.projected_bytes)} of the {format_bytes(plan.allowed_bytes)} allowed"),
        *(("note", escape(note, _NOTE)) for note in plan.notes),
    ]
    console.emit("\n".join(aligned(pairs)) + "\n")
    rows = [
        (escape(name), escape(kind), "known after the first pass" if count is None else format_count(count))
        for name, kind, count in plan.columns[:_MOST_ROWS]
    ]
    emit_filled(("feature", "kind", "coefficients"), rows, (2,))
    _emit_left_out(len(plan.columns))


def _many(count: int, noun: str, ending: str = "s") -> str:
    return f"{format_count(count)} {noun}{'' if count == 1 else ending}"
