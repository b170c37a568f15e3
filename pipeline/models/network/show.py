"""A network as rows of a table, and as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from pipeline.models.logistic.described import plain
from pipeline.models.logistic.policies import policy_text, shown_policy
from pipeline.models.logistic.sections import number_of
from pipeline.models.logistic.show import decisions
from pipeline.models.network.compute import Network, network_of
from pipeline.models.network.file import DenseSection, DropoutSection, NetworkFile
from pipeline.models.network.inputs import CategoricalInput, IndicatorInput, Input
from pipeline.models.network.model import NetworkModel
from pipeline.models.network.recurrent import GruSection, Pooling, PoolingSection, RecurrentSection
from pipeline.models.network.sequences import SequenceInput
from pipeline.types.report import Shown, ShownModel
from pipeline.units import escape, format_bytes, format_count, visible

_HEADERS = ("column", "kind", "category", "center", "scale", "missing", "unseen")
_NUMBERS = (3, 4)
_POOLED: Mapping[Pooling, str] = {
    "last": "the states behind the last step",
    "mean": "the mean of the states over the steps",
    "max": "the largest state of all steps",
}


def show(model: NetworkModel) -> ShownModel:
    """Return the facts about a network, its layers among them, and a row for each of its inputs."""
    network = network_of(model.file, model.path, model.held)
    rows = tuple(row for feature in model.file.features for row in _rows(feature))
    return ShownModel(tuple(_facts(model.file, network)), _HEADERS, rows, _NUMBERS, len(model.file.features))


def describe(model: NetworkModel) -> dict[str, Any]:
    """Return a network as plain values: what its file says with every default, its digest, and the sizes of layers."""
    network = network_of(model.file, model.path, model.held)
    content = plain(model.file)
    sizes = dict(zip((place for place, _ in model.file.weighted), network.all_layers, strict=True))
    layers = [
        {**said, "inputs": sizes[place].inputs, "units": sizes[place].units} if place in sizes else said
        for place, said in enumerate(content["layers"])
    ]
    weights = {**content["weights"], "dtype": str(network.dtype), "numbers": _count(network)}
    return {**content, "weights": weights, "layers": layers, "digest": model.digest()}


def _facts(file: NetworkFile, network: Network) -> Iterator[tuple[str, Shown]]:
    target, output = file.target, file.output
    yield "kind", file.kind
    size = f"{format_count(_count(network))} numbers, {network.dtype}, {format_bytes(network.weight_bytes)}"
    yield "weights", f"{escape(file.weights.file)}: {size}"
    yield "inputs", f"{format_count(network.inputs)}{' in each step' if file.sequences else ''}"
    if file.steps is not None:
        yield "steps", f"at most {format_count(file.steps)}"
    yield from _layers(file, network)
    if file.offset is not None:
        yield "offset", f"{escape(file.offset.column)}, missing: {policy_text(file.offset.missing)}"
    yield "head", file.head
    if file.classes is not None:
        yield "classes", ", ".join(map(_json, file.classes))
    if target is not None:
        values = "" if target.negative is None else f"{_json(target.negative)} or {_json(target.positive)}"
        yield "target", ": ".join(filter(None, (escape(target.column or ""), values)))
    yield "output", ", ".join(output.columns or output.wanted)
    if output.threshold is not None:
        yield "threshold", output.threshold
    yield from output.changed.items()
    yield from decisions(output)
    yield "features", format_count(len(file.features))
    yield "digest", file.digest()


def _layers(file: NetworkFile, network: Network) -> Iterator[tuple[str, Shown]]:
    sizes = iter(network.all_layers)
    for place, layer in enumerate(file.layers):
        if isinstance(layer, DropoutSection):
            rate = "" if layer.rate is None else f" {layer.rate:g}"
            text = f"dropout{rate}: ignored, nothing is dropped when a network scores"
        elif isinstance(layer, PoolingSection):
            text = f"{layer.kind}: {_POOLED[layer.kind]}"
        else:
            made = next(sizes)
            text = f"{layer.kind}, {format_count(made.inputs)} to {format_count(made.units)}{_function(layer)}"
        yield f"layer {place}", text


def _function(layer: DenseSection | RecurrentSection) -> str:
    """Return what else there is to say of a layer."""
    if isinstance(layer, GruSection):
        return "" if layer.reset_after else ", reset before the product"
    if isinstance(layer, RecurrentSection) or not layer.function:
        return ""
    given = ", ".join(f"{name} {value!r}" for name, value in layer.parameters.items())
    return f", {layer.function}{f' ({given})' if given else ''}"


def _count(network: Network) -> int:
    held = (getattr(layer, each.name) for layer in network.all_layers for each in fields(layer))
    return sum(tensor.size for tensor in held if isinstance(tensor, np.ndarray))


def _rows(feature: Input) -> Iterator[tuple[Shown, ...]]:
    if isinstance(feature, SequenceInput):
        yield from _sequence_rows(feature)
    elif isinstance(feature, IndicatorInput):
        yield escape(feature.column), feature.kind, "", feature.center, feature.scale, "", ""
    elif isinstance(feature, CategoricalInput):
        missing = shown_policy(feature.missing)
        kind = feature.kind if feature.levels is None else f"{feature.kind} ({feature.levels} levels)"
        head, tail = (escape(feature.column), kind), (missing, shown_policy(feature.unseen))
        for category in feature.categories:
            yield *head, visible(category), "", "", *tail
            head, tail = ("", ""), ("", "")
    else:
        kind = f"{feature.kind} (boolean)" if feature.boolean else feature.kind
        yield escape(feature.column), kind, "", feature.center, feature.scale, shown_policy(feature.missing), ""


def _sequence_rows(feature: SequenceInput) -> Iterator[tuple[Shown, ...]]:
    """Yield one row, or one for each number of a step where these have their own center or scale."""
    kind = feature.kind if feature.width == 1 else f"{feature.kind} of {format_count(feature.width)} numbers a step"
    head: tuple[Shown, ...] = (escape(feature.column), kind)
    tail: tuple[Shown, ...] = (f"{feature.missing}; in a step: {policy_text(feature.missing_step)}", "")
    own = isinstance(feature.center, tuple) or isinstance(feature.scale, tuple)
    for number in range(feature.width if own else 1):
        yield *head, "", number_of(feature.center, number), number_of(feature.scale, number), *tail
        head, tail = ("", ""), ("", "")


def _json(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False))
