"""Why rows have no calibration of a method: none of them is left, one class alone, or no single optimum."""

from __future__ import annotations

import numpy as np

from pipeline.errors import DataError
from pipeline.evaluation.calibrating.curves import ScaledCurve
from pipeline.evaluation.calibrating.passes import CalibrationPasses
from pipeline.evaluation.calibrating.summing import ExactParts
from pipeline.evaluation.tiles import Floats
from pipeline.models.logistic.making import class_spellings
from pipeline.models.logistic.predictor import Predictor
from pipeline.units import escape, format_count

_OTHER_ROWS = "check the inputs and the columns"


def check_first(first: ExactParts, passes: CalibrationPasses, method: str) -> None:
    """Refuse what the first pass shows to have no calibration.

    Raises
    ------
    DataError
        No row is left to fit, or none is held out; all rows are of one class; or the classes are separated, so that the
        log loss falls for ever.
    """
    model = passes.model
    if not first.used:
        raise DataError(f"no row is left to fit: {_left_out(first, passes)}", _OTHER_ROWS)
    if passes.step.divider is not None and not first.held_out:
        raise DataError(f"no row is held out: {_left_out(first, passes)}", "hold out more rows, or leave --holdout out")
    there = np.flatnonzero(first.classes)
    if there.size == 1:
        name = escape(class_spellings(model)[int(there[0])])
        raise DataError(
            f"all {format_count(first.used)} rows to fit are of the class {name}: a calibration needs others, too",
            "add rows of the other class",
        )
    if _is_separated(first, model, method):
        raise DataError(
            f"raw predictions separate the classes: the log loss falls for ever, and --method {method} has no optimum",
            "use --method platt or isotonic" if model.classes is None else "add rows that the model gets wrong",
        )


def _is_separated(first: ExactParts, model: Predictor, method: str) -> bool:
    if model.classes is not None:
        return first.lowest >= 0
    table = None if first.counter is None else first.counter.table()
    if table is None or (len(table) == 1 and not table.is_wide().any()):
        return False
    if method == "temperature":
        return first.lowest >= 0 >= first.highest
    return method == "beta" and first.lowest >= first.highest


def _left_out(first: ExactParts, passes: CalibrationPasses) -> str:
    """Return what became of the rows that were read, as a clause."""
    counts = {
        "are bad": passes.accounts.bad,
        "are set aside by the model": passes.accounts.set_aside,
        "are without a target": first.without_target,
        "lack a value": first.dropped - first.not_finite,
        "have a raw prediction that is NaN or infinite": first.not_finite,
        "are held out": first.held_out,
    }
    told = [f"{format_count(count)} {what}" for what, count in counts.items() if count]
    return ", ".join([f"{format_count(passes.accounts.read)} were read", *told])


def check_weights(curve: ScaledCurve, weights: Floats) -> None:
    """Refuse weights with which a larger raw prediction is not more probable, where the method has no such calibration.

    Raises
    ------
    DataError
        They are such.
    """
    own = [weight / scale for weight, scale in zip(weights, curve.scales, strict=False)]
    if not np.isfinite(own).all() or not any(own) or (curve.method == "temperature" and 1.0 / own[0] <= 0):
        raise not_determined(curve.method)


def not_determined(method: str) -> DataError:
    """Return the error for rows whose raw predictions do not say how probable the classes are."""
    why = {
        "platt": "raw predictions of the rows to fit are all equal, or say nothing of the target",
        "temperature": "raw predictions of the rows to fit do not rise with the target: no temperature fits",
        "beta": "raw predictions of the rows to fit do not rise with the target, or fewer than three of them differ",
        "isotonic": "raw predictions of the rows to fit do not rise with the target: all would have one probability",
    }
    remedy = {
        "temperature": "check the target and the model; --method platt also turns raw predictions round",
        "beta": "check the target and the model; --method platt has two parameters, one less",
    }
    return DataError(why[method], remedy.get(method, "check the target and the model"))
