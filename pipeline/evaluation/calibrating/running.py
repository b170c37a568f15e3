"""A whole calibration: files and a model in, a calibrated model with its certificate out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipeline import memory
from pipeline.evaluation.calibrating.asking import CalibrationWishes
from pipeline.evaluation.calibrating.finding import FoundCalibration, find_calibration
from pipeline.evaluation.calibrating.passes import CalibrationPasses, ObservePasses
from pipeline.evaluation.calibrating.preparing import PreparedCalibration, prepare_calibration
from pipeline.evaluation.calibrating.recalibrating import calibration_text, recalibrated
from pipeline.evaluation.calibrating.report import (
    CalibrationMeasures,
    CalibrationReport,
    MeasuredOn,
    accounts_text,
)
from pipeline.evaluation.calibrating.summing import ExactParts
from pipeline.evaluation.features import feature_warnings
from pipeline.evaluation.measures import measures
from pipeline.evaluation.results import BinaryMeasures
from pipeline.fitting import telling
from pipeline.fitting.outcome.profiles import data_digest
from pipeline.fitting.report import PassDone
from pipeline.kernels.blas import one_thread
from pipeline.logs import log_notes, logged
from pipeline.models import LogisticModel, write_new_file
from pipeline.models.blocks import arithmetic_of
from pipeline.models.network.file import NetworkFile
from pipeline.models.network.model import NetworkModel
from pipeline.models.store import write_new_files
from pipeline.scan import open_scan
from pipeline.types.report import Event, log_text
from pipeline.units import escape, format_count, format_seconds

AnyModel = LogisticModel | NetworkModel


def calibrated(wishes: CalibrationWishes, model: AnyModel, observe: ObservePasses | None = None) -> CalibrationReport:
    """Calibrate a model, write it where that is asked for, and return it with all that was found.

    Raises
    ------
    LogitstreamError
        Nothing was written.
    """
    started = time.monotonic()
    with one_thread():
        prepared = prepare_calibration(wishes)
        log_notes("calibrate", [prepared.scan.log_text(f"a calibration for {escape(wishes.target)}")])
        tell = logged("calibrate", observe or _nobody, _log_text)
        with open_scan(prepared.scan, prepared.settings(), show=tell) as scan:
            passes = CalibrationPasses(scan, prepared.step, wishes.max_bad, model.file, tell)
            found = find_calibration(passes, wishes.method)
    report = _reported(prepared, model, found, passes)
    log_notes("calibrate", report.notes, report.warnings)
    report = replace(report, seconds=time.monotonic() - started, peak_bytes=memory.peak_bytes())
    ended = f"{accounts_text(report.rows)}, in {format_seconds(report.seconds)}"
    log_notes("calibrate", [f"calibrated for {escape(wishes.target)}: {ended}"])
    return report


def _log_text(event: PassDone | Event) -> str:
    return telling.log_text(event) if isinstance(event, PassDone) else log_text(event)


def _nobody(_: object) -> None:
    """Tell nobody."""


def _reported(
    prepared: PreparedCalibration, model: AnyModel, found: FoundCalibration, passes: CalibrationPasses
) -> CalibrationReport:
    wishes = prepared.wishes
    measured_on: MeasuredOn = "used" if prepared.step.divider is None else "held out"
    before, after = (_measured(parts, several=model.file.classes is not None) for parts in (found.before, found.after))
    report = CalibrationReport(
        model=model,
        output=wishes.output,
        method=wishes.method,
        target=wishes.target,
        calibration=found.calibration,
        rows=_accounts(found.before, passes),
        certificate=found.certificate,
        measured_on=measured_on,
        before=before,
        after=after,
        passes=passes.done,
        seconds=0.0,
        peak_bytes=0,
        warnings=feature_warnings([wishes.block], passes.features, prepared.scan, wishes.csv),
        notes=(*prepared.notes, *_notes(model, found), *_verdicts(before, after, measured_on)),
    )
    return replace(report, model=_written(wishes, _with_record(prepared, model, report)))


def _measured(parts: ExactParts, *, several: bool) -> CalibrationMeasures:
    found = measures(parts.state)
    assert isinstance(found, BinaryMeasures)
    slope, intercept = (None, None) if several else (found.calibration_slope, found.calibration_intercept)
    return CalibrationMeasures(
        rows=parts.state.rows,
        log_loss=found.log_loss,
        ece=found.ece,
        ece_noise_floor=found.ece_noise_floor,
        calibration_slope=slope,
        calibration_intercept=intercept,
        clipped=parts.clipped,
        calibration_curve=found.calibration_curve,
    )


def _accounts(first: ExactParts, passes: CalibrationPasses) -> dict[str, int]:
    return {
        "read": passes.accounts.read,
        "used": first.used,
        "held_out": first.held_out,
        "dropped": first.dropped + passes.accounts.set_aside,
        "bad": passes.accounts.bad,
        "without_target": first.without_target,
        "set_aside": passes.accounts.set_aside,
        "not_finite": first.not_finite,
    }


def _notes(model: AnyModel, found: FoundCalibration) -> Iterator[str]:
    output, section = model.file.output, found.calibration
    if found.before.not_finite:
        yield f"{format_count(found.before.not_finite)} rows were dropped: their raw prediction is NaN or infinite"
    if section.get("slope", 1.0) < 0:
        yield "the slope is negative: a larger raw prediction is less probable; check the target and the model"
    # A temperature leaves probabilities on their side of one half.
    keeps = section["method"] == "temperature" and output.threshold == 0.5 and not calibration_text(model.file)
    if output.threshold is not None and not keeps:
        yield f"decisions of the model may change: they are made at a probability of {output.threshold:g}"
    if output.bands is not None and output.bands.on == "probability":
        yield "bands of the model may change: they are bands of the probability"


def _verdicts(before: CalibrationMeasures, after: CalibrationMeasures, measured_on: MeasuredOn) -> Iterator[str]:
    """Yield what the measures say of the use of the calibration, where it seems to have none."""
    rows = format_count(before.rows)
    if after.clipped:
        count = format_count(after.clipped)
        yield f"a probability of 0 or 1 is on the wrong side in {count} of {rows} rows; it counts as 2.2e-16 from there"
    if before.ece is not None and before.ece_noise_floor is not None and before.ece <= before.ece_noise_floor:
        yield f"before, the ECE is not above its noise floor: {rows} rows do not show that anything is wrong"
    if measured_on == "held out" and after.log_loss > before.log_loss:
        yield f"on the {rows} rows that were held out, the log loss is higher with the calibration than without"


def _with_record(prepared: PreparedCalibration, model: AnyModel, report: CalibrationReport) -> AnyModel:
    """Return the model with the calibration, and with what is said of it in ``training``.

    Plain JSON, in which nothing depends on clocks, machines, schedulers or paths.
    """
    wishes, block = prepared.wishes, prepared.wishes.block
    limit = {} if wishes.limit is None else {"limit": wishes.limit}
    said = {"holdout": wishes.holdout, "key": wishes.key}
    record: dict[str, Any] = {
        "data": {"digest": data_digest(prepared.scan.files), "files": len(prepared.scan.files), **limit},
        "target": wishes.target,
        "rows": dict(report.rows),
        **{name: value for name, value in said.items() if value is not None},
        "certificate": dict(report.certificate),
        "measured_on": report.measured_on,
        "before": report.before.plain(),
        "after": report.after.plain(),
        "arithmetic": arithmetic_of(block, block.precision),
    }
    training = {**(model.training or {}), "calibration": record}
    file = recalibrated(model.file, report.calibration)
    if isinstance(file, NetworkFile):
        assert isinstance(model, NetworkModel)
        return replace(model, file=file).with_training(training)
    return LogisticModel(file).with_training(training)


def _written(wishes: CalibrationWishes, model: AnyModel) -> AnyModel:
    """Write the model where that is asked for, a network with its weights beside it, and return it as it is there."""
    if wishes.output is None:
        return model
    if isinstance(model, LogisticModel):
        write_new_file(wishes.output, model.to_json().encode(), wishes.if_exists)
        return model
    stored, files = model.files(wishes.output)
    write_new_files(files, wishes.if_exists)
    return stored
