"""What ``calibrate`` shows: the calibration with its certificate, and measures before and after; as text or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.show import console, document
from jobs.show.fits import line_of_pass
from jobs.show.progress import observer
from jobs.show.tables import emit_filled
from jobs.stopping import stopped_with
from pipeline.evaluation.calibrating.report import CalibrationReport, calibration_json, comparison_rows, facts_of
from pipeline.measuring.calibrations import calibrate
from pipeline.report.text import aligned
from pipeline.units import escape, format_bytes, format_seconds

_NOTE = 1_000


def show_calibration(params: Mapping[str, Any], *, as_json: bool) -> None:
    """Calibrate a model, and show what was found; ``params`` are those of the command."""
    if params["html"] is not None:
        from pipeline.pages import check_page  # noqa: PLC0415 - only for reports

        check_page(params["html"], output=params["output"], with_drawings=True)
    talk = observer(params["progress"], quiet=console.is_quiet(), line=line_of_pass)
    with stopped_with(""), talk as watch:
        report = calibrate(**calibration_options(params), observe=watch)
    for note in report.notes:
        console.tell(f"note: {escape(note, _NOTE)}")
    for warning in report.warnings:
        console.warn(escape(warning, _NOTE))
    if as_json:
        document.write(calibration_json(report))
    elif report.output is None or not console.is_quiet():
        emit_calibration(report)
    passes = f"{report.passes} pass{'' if report.passes == 1 else 'es'}"
    memory = format_bytes(report.peak_bytes)
    console.tell(f"{passes} in {format_seconds(report.seconds)}; peak memory {memory}")
    if params["html"] is not None:
        _write_html(report, params)


def _write_html(report: CalibrationReport, params: Mapping[str, Any]) -> None:
    from jobs.show.calibration_html import calibration_page  # noqa: PLC0415 - only for reports
    from jobs.show.html import write_html  # noqa: PLC0415 - as above

    done = "the calibration was shown" if report.output is None else "the model file was already written"
    write_html(calibration_page(report, params), params["html"], done)


def calibration_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the command as arguments of :func:`pipeline.calibrate`."""
    same = {name: value for name, value in params.items() if name not in {"type", "html", "progress"}}
    return same | {"types": dict(params["type"])}


def emit_calibration(report: CalibrationReport) -> None:
    """Show a calibration on stdout."""
    pairs = [(label, escape(text, _NOTE)) for label, text in facts_of(report)]
    console.emit("\n".join(aligned(pairs)) + "\n")
    emit_filled(("", "before", "after"), comparison_rows(report), (1, 2))
