"""A network as rows of a table, and as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.models.logistic.described import plain
from pipeline.models.logistic.policies import shown_policy
from pipeline.models.logistic.show import decisions
from pipeline.models.network.compute import Network, network_of
from pipeline.models.network.file import DenseSection, NetworkFile
from pipeline.models.network.inputs import CategoricalInput, Input
from pipeline.models.network.model import NetworkModel
from pipeline.types.report import Shown, ShownModel
from pipeline.units import escape, format_bytes, format_count, visible

_HEADERS = ("column", "kind", "category", "center", "scale", "missing", "unseen")
_NUMBERS = (3, 4)


def show(model: NetworkModel) -> ShownModel:
    """Return the facts about a network, its layers among them, and a row for each of its inputs."""
    network = network_of(model.file, model.path, model.held)
    rows = tuple(row for feature in model.file.features for row in _rows(feature))
    return ShownModel(tuple(_facts(model.file, network)), _HEADERS, rows, _NUMBERS, len(model.file.features))


def describe(model: NetworkModel) -> dict[str, Any]:
    """Return a network as plain values: what its file says with every default, its digest, and the sizes of layers."""
    network = network_of(model.file, model.path, model.held)
    content = plain(model.file)
    sizes = iter(network.layers)
    layers = [
        {**said, "inputs": (made := next(sizes)).inputs, "units": made.units} if said["kind"] == "dense" else said
        for said in content["layers"]
    ]
    weights = {**content["weights"], "dtype": str(network.dtype), "numbers": _count(network)}
    return {**content, "weights": weights, "layers": layers, "digest": model.digest()}


def _facts(file: NetworkFile, network: Network) -> Iterator[tuple[str, Shown]]:
    target, output = file.target, file.output
    yield "kind", file.kind
    size = f"{format_count(_count(network))} numbers, {network.dtype}, {format_bytes(network.weight_bytes)}"
    yield "weights", f"{escape(file.weights.file)}: {size}"
    yield "inputs", format_count(network.inputs)
    yield from _layers(file, network)
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
    sizes = iter(network.layers)
    for place, layer in enumerate(file.layers):
        if not isinstance(layer, DenseSection):
            rate = "" if layer.rate is None else f" {layer.rate:g}"
            yield f"layer {place}", f"dropout{rate}: ignored, nothing is dropped when a network scores"
            continue
        made = next(sizes)
        given = ", ".join(f"{name} {value!r}" for name, value in layer.parameters.items())
        function = f", {layer.function}{f' ({given})' if given else ''}" if layer.function else ""
        yield f"layer {place}", f"dense, {format_count(made.inputs)} to {format_count(made.units)}{function}"


def _count(network: Network) -> int:
    return sum(layer.weight.size + layer.bias.size for layer in network.layers)


def _rows(feature: Input) -> Iterator[tuple[Shown, ...]]:
    missing = shown_policy(feature.missing)
    if isinstance(feature, CategoricalInput):
        kind = feature.kind if feature.levels is None else f"{feature.kind} ({feature.levels} levels)"
        head, tail = (escape(feature.column), kind), (missing, shown_policy(feature.unseen))
        for category in feature.categories:
            yield *head, visible(category), "", "", *tail
            head, tail = ("", ""), ("", "")
    else:
        kind = f"{feature.kind} (boolean)" if feature.boolean else feature.kind
        yield escape(feature.column), kind, "", feature.center, feature.scale, missing, ""


def _json(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False))
