"""Calibrating a model on files: one call, and what its options become."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack, cast

from pipeline.choices import ABSENT, FINGERPRINT, FORMAT, IF_EXISTS, METHOD, MISSING_TARGET, Choice
from pipeline.errors import UsageError
from pipeline.evaluation.calibrating.asking import CalibrationWishes
from pipeline.evaluation.calibrating.reading import RawBlock
from pipeline.evaluation.calibrating.recalibrating import check_calibratable
from pipeline.evaluation.calibrating.report import CalibrationReport
from pipeline.evaluation.calibrating.running import AnyModel, calibrated
from pipeline.execute import check_scheduler
from pipeline.interface import (
    Paths,
    at_least,
    check_columns_types,
    check_whole,
    csv_of,
    memory_of,
    paths_of,
    shown_type,
)
from pipeline.models import LogisticModel, Model, ScoreRequest, load_model, score_block
from pipeline.models.network.model import NetworkModel
from pipeline.options import OF_A_CALIBRATION, CalibrateOptions, check_names, completed, documented
from pipeline.scan import HowToScan
from pipeline.types.job import BadLimit
from pipeline.units import escape, is_text, parse_bad_limit, parse_chunk_size, quoted

_CHOICES: Mapping[str, Choice[Any]] = {
    "absent": ABSENT,
    "fingerprint": FINGERPRINT,
    "if_exists": IF_EXISTS,
    "missing_target": MISSING_TARGET,
}
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
        output=_output(output),
        **_reading(asked),
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


def _output(output: str | os.PathLike[str] | None) -> str | None:
    """Return the path of the model file; refuse the name of a file of rows."""
    if not isinstance(output, str | os.PathLike | None):
        raise TypeError(f'output is {shown_type(output)}; write the path of a model file, such as output="m.json"')
    path = None if output is None else os.fspath(output)
    if path is not None and (not path or path.endswith(tuple(f".{kind}" for kind in FORMAT.words))):
        raise UsageError(f"{quoted(path)} cannot be the output: a model file is JSON", "give it a name such as m.json")
    return path


def _reading(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what is read, and how, as the wishes have it."""
    chunk_size, max_bad = str(asked["chunk_size"]), BadLimit(*parse_bad_limit(str(asked["max_bad"])))
    parse_chunk_size(chunk_size)
    how = HowToScan(
        memory=memory_of(asked["memory"]),
        workers=asked["workers"],
        scheduler=asked["scheduler"],
        insecure=asked["insecure"],
        retries=asked["retries"],
        bad_rows=max_bad.rows,
    )
    same = ("holdout", "key", "missing_target", "absent", "limit", "fingerprint", "if_exists")
    said = {name: asked[name] for name in same}
    return {**said, "csv": csv_of(asked), "max_bad": max_bad, "chunk_size": chunk_size, "how": how}  # type: ignore[arg-type]


def _check(asked: dict[str, Any], target: object) -> None:
    if not isinstance(target, str):
        raise TypeError(f'target is {shown_type(target)}, not the name of a column; write target="late"')
    if not (target and is_text(target)):
        raise UsageError(f"target is {quoted(target)}: it must be valid text", "name a column")
    check_columns_types(asked["types"])
    for name in _TEXTS:
        if asked[name] is not None and not isinstance(asked[name], str):
            raise TypeError(f"{name} is {shown_type(asked[name])}; write a text")
    for name in _YES_OR_NO:
        if not isinstance(asked[name], bool):
            raise TypeError(f"{name} is {shown_type(asked[name])}; write True or False")
    for name in ("limit", "workers", "retries", "skip_lines"):
        check_whole(name, asked[name])
    for name in ("limit", "workers", "memory"):
        at_least(1, name, asked[name])
    at_least(0, "retries", asked["retries"])
    for name, choice in _CHOICES.items():
        choice.check(asked[name])
    check_scheduler(asked["scheduler"], insecure=asked["insecure"])
    if asked["key"] is not None and asked["holdout"] is None:
        raise UsageError("--key decides which rows are held out, but no --holdout is given", "add --holdout 20%")
