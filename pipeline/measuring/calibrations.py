"""Calibrating a model on files: one call, and what its options become."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack, cast

from pipeline.arguments import Paths, check_column, check_reading, model_output_of, paths_of, reading_of, shown_type
from pipeline.choices import FINGERPRINT, IF_EXISTS, METHOD, MISSING_TARGET, Choice
from pipeline.errors import UsageError
from pipeline.evaluation.calibrating.asking import CalibrationWishes
from pipeline.evaluation.calibrating.reading import RawBlock
from pipeline.evaluation.calibrating.recalibrating import check_calibratable
from pipeline.evaluation.calibrating.report import CalibrationReport
from pipeline.evaluation.calibrating.running import AnyModel, calibrated
from pipeline.models import LogisticModel, Model, ScoreRequest, load_model, score_block
from pipeline.models.network.model import NetworkModel
from pipeline.options import OF_A_CALIBRATION, CalibrateOptions, check_names, completed, documented
from pipeline.units import escape

_CHOICES: Mapping[str, Choice[Any]] = {
    "fingerprint": FINGERPRINT,
    "if_exists": IF_EXISTS,
    "missing_target": MISSING_TARGET,
}
_AS_ASKED = ("holdout", "key", "missing_target", "fingerprint", "if_exists")
_TEXTS = ("holdout", "key")
_YES_OR_NO = ("recalibrate", "quoted_null", "insecure")


@documented(CalibrateOptions, **OF_A_CALIBRATION)
def calibrate(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    *,
    target: str,
    method: str,
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[CalibrateOptions],
) -> CalibrationReport:
    """Fit a calibration of a model to files, to the optimum, and return the model with it.

    The rows may be larger than memory: they are read in a few passes. The same inputs, model and chunk size give the
    same bits on every scheduler, with any number of workers and any memory. If an error is raised, nothing was written.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    model : Model or path
        A model, or the path of its file.
    target : str
        The column of what was observed.
    method : {"platt", "temperature", "beta", "isotonic"}
        Models of several classes have the temperature alone.
    output : path, optional
        The model file to write. A network has its weights beside it.
    **options : CalibrateOptions

    Returns
    -------
    CalibrationReport
        The calibrated model, the certificate that it is the optimum, and log loss, ECE and slope before and after.

    Raises
    ------
    TypeError
        There is no such option, or it is of another type.
    UsageError
        An option cannot have that value.
    ModelError
        The model can have no calibration by this method, or it has one already.
    DataError
        The rows do not determine a calibration, columns do not fit, or more rows are bad than may be.
    ThresholdError
        The optimum was not reached.
    LogitstreamError
        As for any input: ``exit_code`` is that of the command line.
    """
    observe = options.pop("observe", None)
    check_names(options, CalibrateOptions)
    asked: dict[str, Any] = dict(completed(options))
    _check(asked, target)
    word = METHOD.check(method)
    found, shown = _model(model)
    check_calibratable(found.file, word, shown, recalibrate=asked["recalibrate"])
    wishes = CalibrationWishes(
        inputs=paths_of(inputs),
        block=_raw_block(found, asked["decimal"]),
        target=target,
        method=word,
        output=model_output_of(output),
        **{name: asked[name] for name in _AS_ASKED},
        **reading_of(asked, "calibrate"),
    )
    return calibrated(wishes, found, observe)


def _raw_block(model: AnyModel, decimal: str) -> RawBlock:
    """Return what makes the raw predictions of a model, and nothing else."""
    block = cast("RawBlock", score_block(model, ScoreRequest(decimal=decimal)))
    return replace(block, columns_made=("raw_prediction",))


def _model(model: Model | str | os.PathLike[str]) -> tuple[AnyModel, str]:
    """Return a model, and what messages call it."""
    if isinstance(model, str | os.PathLike):
        found, shown = load_model(model), escape(os.fspath(model), 1_000)
    else:
        found, shown = model, "the model"
    if not isinstance(found, LogisticModel | NetworkModel):
        raise TypeError(f"model is a {type(model).__name__}, neither a model nor the path of a model file")
    return found, shown


def _check(asked: dict[str, Any], target: object) -> None:
    if target is None:
        raise TypeError('target is None; name the column of what was observed, such as target="late"')
    check_column("target", target)
    check_reading(asked)
    for name in _TEXTS:
        if asked[name] is not None and not isinstance(asked[name], str):
            raise TypeError(f"{name} is {shown_type(asked[name])}; write a text")
    for name in _YES_OR_NO:
        if not isinstance(asked[name], bool):
            raise TypeError(f"{name} is {shown_type(asked[name])}; write True or False")
    for name, choice in _CHOICES.items():
        choice.check(asked[name])
    if asked["key"] is not None and asked["holdout"] is None:
        raise UsageError("--key decides which rows are held out, but no --holdout is given", "add --holdout 20%")
