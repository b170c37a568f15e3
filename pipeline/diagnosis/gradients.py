"""The error signal and the gradients in a network, over the rows of files."""

from __future__ import annotations

import math
import os
import time
from typing import Any, Unpack

import numpy as np

from pipeline.arguments import Paths, check_column, check_reading, paths_of, reading_of
from pipeline.choices import MISSING_TARGET
from pipeline.diagnosis.findings import GradientReport, LayerGradient
from pipeline.diagnosis.gradient_wording import gradient_advice, gradient_sentence, step_sentences
from pipeline.diagnosis.measuring import GradientWishes, MeasuredGradients, measure_gradients
from pipeline.diagnosis.reading import gradient_layers
from pipeline.diagnosis.summing import GradientLayers
from pipeline.errors import ModelError
from pipeline.logs import log_notes
from pipeline.models import Model, ScoreRequest, load_model, score_block
from pipeline.models.network.compute import network_of
from pipeline.models.network.file import NetworkFile
from pipeline.models.network.model import NetworkModel
from pipeline.models.network.score import NetworkBlock
from pipeline.options import OF_GRADIENTS, GradientOptions, check_names, completed, documented
from pipeline.units import escape, format_seconds


@documented(GradientOptions, **OF_GRADIENTS)
def diagnose_gradients(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    *,
    target: str | None = None,
    **options: Unpack[GradientOptions],
) -> GradientReport:
    """Return how much of the error signal reaches each layer of a network, over the rows of files, and what helps.

    All is computed in float64, whatever the type of the weights, in one pass over the rows. The same inputs, model and
    chunk size give the same bits on every scheduler, with any number of workers and any memory.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    model : Model or path
        A network, or the path of its model file.
    target : str, optional
        The column of the classes. With it the loss L of a row is its log loss; without, the sum of its raw predictions.
    **options : GradientOptions

    Raises
    ------
    TypeError
        There is no such option, or it is of another type.
    UsageError
        An option cannot have that value.
    ModelError
        The model is no network.
    DataError
        Columns do not fit, more rows are bad than may be, or no row is left.
    LogitstreamError
        As for any input: ``exit_code`` is that of the command line.
    """
    started = time.monotonic()
    check_names(options, GradientOptions)
    asked: dict[str, Any] = dict(completed(options))
    _check(asked, target)
    paths = paths_of(inputs)
    network = _network_model(model)
    block = score_block(network, ScoreRequest(decimal=asked["decimal"]))
    assert isinstance(block, NetworkBlock)
    layers = gradient_layers(network.file, network_of(network.file, network.path))
    read = reading_of(asked, "diagnose")
    wishes = GradientWishes(inputs=paths, block=block, target=target, missing_target=asked["missing_target"], **read)
    found = measure_gradients(wishes, layers)
    report = _report(target, network.file, layers, found)
    ended = f"measured gradients: {report.described}, in {format_seconds(time.monotonic() - started)}"
    log_notes("diagnose", [ended])
    return report


def _check(asked: dict[str, Any], target: object) -> None:
    check_column("target", target)
    MISSING_TARGET.check(asked["missing_target"])
    check_reading(asked)


def _network_model(model: Model | str | os.PathLike[str]) -> NetworkModel:
    is_path = isinstance(model, str | os.PathLike)
    found = load_model(model) if isinstance(model, str | os.PathLike) else model
    if isinstance(found, NetworkModel):
        return found
    kind = getattr(found, "kind", None)
    if kind is None:
        raise TypeError(f"model is a {type(model).__name__}, neither a network nor the path of a model file")
    shown = escape(os.fspath(model), 1000) if is_path else "the model"  # type: ignore[arg-type]
    raise ModelError(
        f"{shown} is of the kind {kind}: it has no layers that an error signal could vanish in",
        "name a model file of the kind network",
    )


def _report(target: str | None, file: NetworkFile, layers: GradientLayers, found: MeasuredGradients) -> GradientReport:
    sums = found.sums
    measured = tuple(_layer(number, file, layers, found) for number in range(len(layers.all_layers)))
    first, last = measured[0].norm, measured[-1].norm
    # Where nothing comes in at the output, nothing arrives.
    ratio = (first / last if last else 0.0) if math.isfinite(first) and math.isfinite(last) else math.inf
    return GradientReport(
        target=target,
        loss=None if target is None else sums.loss / sums.rows,
        rows={
            "read": found.read,
            "used": sums.rows,
            "bad": found.bad,
            "set_aside": found.set_aside,
            "without_score": sums.without_score,
            "without_target": sums.without_target,
            "not_finite": sums.not_finite,
        },
        layers=measured,
        ratio=ratio,
        sentences=(gradient_sentence(measured, ratio), *step_sentences(measured)),
        advice=gradient_advice(measured, ratio),
        notes=found.notes,
    )


def _layer(number: int, file: NetworkFile, layers: GradientLayers, found: MeasuredGradients) -> LayerGradient:
    place, section = file.weighted[number]
    sums = found.sums
    with np.errstate(all="ignore"):
        gradient = np.linalg.norm(sums.weights[number] / sums.rows)
    steps = sums.steps[number] if number < len(layers.recurrent) else None
    return LayerGradient(
        number=number + 1,
        place=place,
        kind=section.kind,
        units=layers.all_layers[number].units,
        function=layers.shown(number)[0],
        norm=_whole(sums.norms[number] / sums.rows),
        weight_gradient=_whole(gradient),
        saturated=float(sums.saturated[number] / max(1, sums.units[number])),
        mean_activation=float(sums.activations[number] / max(1, sums.passed[number])),
        # The last step comes first in the sums.
        steps=() if steps is None else tuple(map(_whole, (steps.norms / steps.rows)[::-1])),
    )


def _whole(number: float | np.floating[Any]) -> float:
    """Return a number; one that overflowed is infinite, whether or not 0 times infinity made NaN of it."""
    return float(number) if math.isfinite(number) else math.inf
