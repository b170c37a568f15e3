"""A model file with another calibration, and which models can have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.choices import CalibrationMethod
from pipeline.errors import ModelError
from pipeline.models.logistic.calibration import METHODS
from pipeline.models.logistic.file import VERSIONS, ModelFile
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.network.file import NetworkFile
from pipeline.units import quoted

AnyFile = ModelFile | NetworkFile

# What output.calibration replaces.
_REPLACED = ("temperature", "alpha", "beta", "calibration")


def check_calibratable(file: AnyFile, method: CalibrationMethod, shown: str, *, recalibrate: bool) -> None:
    """Refuse a model that can have no calibration by a method, or that has one which is not to be replaced.

    Parameters
    ----------
    file : ModelFile or NetworkFile
    method : {"platt", "temperature", "beta", "isotonic"}
    shown : str
        What messages call the model.
    recalibrate : bool
        Whether a calibration may be replaced.

    Raises
    ------
    ModelError
        It cannot; the message says why, and what can be done.
    """
    if file.link != "logit":
        raise ModelError(
            f"{shown} has the link {quoted(file.link)}, but a calibration is for models with the link 'logit'",
            "calibrate a model with the link logit",
        )
    if file.classes is not None and file.normalise != "softmax":
        raise ModelError(
            f'{shown} has "normalise": "one-vs-rest", for which a model file has no calibration',
            'calibrate a model with "normalise": "softmax"',
        )
    if file.classes is not None and method != "temperature":
        raise ModelError(
            f"{shown} has {len(file.classes)} classes, but --method {method} is for models of two",
            "use --method temperature",
        )
    if not recalibrate and (there := calibration_text(file)):
        raise ModelError(
            f"{shown} has a calibration already: {there}",
            "use --recalibrate to replace it with one that is fitted anew on the raw prediction",
        )


def calibration_text(file: AnyFile) -> str:
    """Return what a model makes of its raw prediction besides the sigmoid or the softmax; empty where it is nothing."""
    if file.output.calibration is not None:
        return f"output.calibration, {getattr(file.output.calibration, 'method', '')}"
    return ", ".join(f"output.{name} {value:.6g}" for name, value in file.output.changed.items())


def recalibrated(file: AnyFile, calibration: Mapping[str, Any]) -> AnyFile:
    """Return a model file with this calibration in place of any other; raw predictions keep their bits."""
    said = file.model_dump(mode="json", exclude_defaults=True)
    output = {key: value for key, value in said.get("output", {}).items() if key not in _REPLACED}
    said["output"] = {**output, "calibration": dict(calibration)}
    if isinstance(file, NetworkFile):
        return NetworkFile.model_validate(said)
    return from_mapping({**said, "version": VERSIONS[-1]}, "the calibrated model")


def measured_with(file: AnyFile, calibration: Mapping[str, Any]) -> AnyFile:
    """Return a model file to measure with, in which this calibration replaces any other; ask it for no digest."""
    section = METHODS[str(calibration["method"])].model_validate(calibration)
    kept = {name: type(file.output).model_fields[name].default for name in _REPLACED}
    output = file.output.model_copy(update={**kept, "calibration": section})
    return file.model_copy(update={"output": output})
