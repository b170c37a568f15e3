"""From an ONNX graph to a model file: the graph is walked with symbols for its input columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.conversion.importing import Imported
from pipeline.conversion.networks.document import ImportedNetwork
from pipeline.conversion.onnx.features import features
from pipeline.conversion.onnx.graph import (
    CORE,
    Graph,
    Node,
    ReadGraph,
    needed,
)
from pipeline.conversion.onnx.meaning import Meaning, meaning_of
from pipeline.conversion.onnx.network_graph import own_network, said_of
from pipeline.conversion.onnx.networks.reading import is_network, read_network
from pipeline.conversion.onnx.networks.scoring import sequence_scorer
from pipeline.conversion.onnx.numbers import number
from pipeline.conversion.onnx.operators import OPERATORS
from pipeline.conversion.onnx.padded import padded_scorer
from pipeline.conversion.onnx.ports import (
    FAMILY,
    FLOAT32_TOLERANCE,
    TOLERANCE,
    TYPES,
    check_operators,
    constant_of,
    input_columns,
    is_float32,
    labels_of,
    listed_names,
    probabilities_of,
    unknown,
)
from pipeline.conversion.onnx.protobuf import decode
from pipeline.conversion.onnx.scoring import scorer
from pipeline.conversion.onnx.steps import REMEDY, TORN, NodeStep, Rows, Value
from pipeline.conversion.onnx.symbols import InputCell, LinearSum, RawOutput, linear
from pipeline.errors import ModelError
from pipeline.models.logistic.documents import named_apart, version_of
from pipeline.models.network.model import NetworkModel
from pipeline.units import escape


def convert(path: Path, data: bytes) -> Imported | ImportedNetwork:
    """Return the model in the bytes of an ONNX file, and how onnxruntime scores with it.

    Raises
    ------
    ModelError
        The graph is damaged, or neither a logistic model nor a network; the message names the node and its operator.
    ConfigurationError
        The package onnx is not installed.
    """
    graph = decode(path, data)
    if (own := own_network(path, graph)) is not None:
        return _own(path, graph, own)
    try:
        network = read_network(graph) if is_network(graph) else None
        found = read(graph) if network is None else network.found
    except ModelError as error:
        raise ModelError(f"{escape(str(path))}: {error.message}", error.remedy) from error
    axis = None if network is None else network.rows_axis
    score = scorer(path, graph, found) if axis is None else sequence_scorer(path, graph, found, axis)
    if network is not None:
        return ImportedNetwork(found.document, network.tensors, found.notes, found.tolerance, score, found.unnamed)
    return Imported(found.document, found.notes, found.tolerance, score, unnamed=found.unnamed)


def _own(path: Path, graph: Graph, model: NetworkModel) -> ImportedNetwork:
    """Return the network that was written as a graph: its content is read, not what the nodes compute."""
    document, columns = said_of(model.file), {port.name: (port.name,) for port in graph.inputs}
    tolerance = FLOAT32_TOLERANCE if is_float32(graph) else TOLERANCE
    found = ReadGraph(document, (), columns, "probability", is_raw=False, tolerance=tolerance)
    score = padded_scorer(path, graph, model.file) if model.file.sequences else scorer(path, graph, found)
    return ImportedNetwork(document, model.tensors(), (), tolerance, score)


def read(graph: Graph) -> ReadGraph:
    """Return the model file that a graph means, as plain values; raises ``ModelError`` as :func:`convert` does."""
    try:
        return _read(graph)
    except OverflowError as error:
        raise ModelError("a number of the graph is beyond float64", "scale the columns before fitting") from error


def _read(graph: Graph) -> ReadGraph:
    check_operators(graph)
    columns, notes = input_columns(graph)
    unnamed = tuple(name for names in columns.values() if len(names) > 1 for name in names) if notes else ()
    output = probabilities_of(graph)
    values = _Walk(graph, columns).values(output)
    raw = values.get("raw_prediction") if _has_raw(graph) else None
    meaning = meaning_of(_rows(values[output], output).columns)
    known = raw.columns if isinstance(raw, Rows) else ()
    sums = [linear(known[each.position] if isinstance(each, RawOutput) else each) for each in meaning.raw]
    if not any(each.terms for each in sums):
        raise ModelError("the graph uses none of its inputs: its result is the same for each row", REMEDY)
    document = _document(sums, meaning, labels_of(graph, output, max(len(sums), 2)), _threshold(graph))
    used = {feature_column for feature in document["features"] for feature_column in _columns_of(feature)}
    if unused := [name for names in columns.values() for name in names if name not in used]:
        notes.append(f"the graph takes {listed_names(unused)} without using it: the model does not have it")
    if meaning.is_raw:
        notes.append("the graph gives raw predictions, no probabilities; so does the model")
    tolerance = FLOAT32_TOLERANCE if is_float32(graph) else TOLERANCE
    if tolerance > TOLERANCE:
        notes.append("the graph computes in float32, the model in float64 with the same coefficients")
    return ReadGraph(document, tuple(notes), columns, output, meaning.is_raw, tolerance, unnamed)


def _has_raw(graph: Graph) -> bool:
    return any(port.name == "raw_prediction" for port in graph.outputs)


class _Walk:
    """Follows a graph from its inputs to one tensor."""

    def __init__(self, graph: Graph, columns: Mapping[str, tuple[str, ...]]) -> None:
        self._graph = graph
        types = {port.name: TYPES[port.type] for port in graph.inputs}
        self._inputs: dict[str, Value] = {
            name: Rows(tuple(InputCell(each, types[name]) for each in names)) for name, names in columns.items()
        }
        self._has_raw = _has_raw(graph)

    def values(self, wanted: str) -> dict[str, Value]:
        """Return what leads to a tensor, by its name; the raw prediction of its own output goes on as ``RawOutput``."""
        values: dict[str, Value] = {**self._graph.constants, **self._inputs}
        raw: Rows | None = None
        for node in needed(self._graph, wanted):
            for name, value in zip(node.outputs, self._made(node, values), strict=False):
                values[name] = value
                if name == "raw_prediction" and self._has_raw and isinstance(value, Rows):
                    raw = value
                    values[name] = Rows(tuple(map(RawOutput, range(len(value.columns)))))
        if wanted not in values:
            raise ModelError(f'no node makes the output "{escape(wanted)}"', "write the graph again")
        return values if raw is None or wanted == "raw_prediction" else {**values, "raw_prediction": raw}

    def _made(self, node: Node, values: Mapping[str, Value]) -> Sequence[Value]:
        if node.operator == "Constant" and node.domain == CORE:
            return (constant_of(node),)
        function = OPERATORS.get((node.domain, node.operator))
        if function is None:
            family = FAMILY.get(node.operator)
            raise unknown(node, f"belongs to {family}" if family else "is an operator that logitstream does not read")
        for name in node.inputs:
            if name and name not in values:
                raise unknown(node, f'takes "{escape(name)}", which nothing before it makes')
        inputs = [values[name] if name else None for name in node.inputs]
        step = NodeStep(node, inputs)
        try:
            return function(step)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
            # Attributes of a damaged graph may have any type and any value.
            raise step.refused("has attributes or inputs that do not fit together", TORN) from error


def _rows(value: Value, name: str) -> Rows:
    if not isinstance(value, Rows):
        raise ModelError(f'the output "{escape(name)}" is a constant', REMEDY)
    return value


def _document(
    sums: Sequence[LinearSum], meaning: Meaning, labels: Sequence[Any], threshold: float | None
) -> dict[str, Any]:
    """Return a model file, of version 1 if that can say it."""
    made = named_apart(features(sums))
    intercepts = [_total(each) for each in sums]
    document: dict[str, Any] = {"format": "logitstream-model", "version": 1, "kind": "logistic"}
    if meaning.link != "logit":
        document["link"] = meaning.link
    if meaning.normalise:
        document["classes"] = list(labels) if len(labels) == len(sums) else [f"class_{k}" for k in range(len(sums))]
        if meaning.normalise != "softmax":
            document["normalise"] = meaning.normalise
    elif len(labels) == 2:
        document["target"] = {"negative": labels[0], "positive": labels[1]}
    document["intercept"] = number(intercepts)
    document["features"] = made
    output = dict(meaning.output) | ({} if threshold is None or meaning.normalise else {"threshold": threshold})
    if output:
        document["output"] = output
    return document | {"version": version_of(document)}


def _total(sum_: LinearSum) -> Any:
    try:
        return math.fsum(float(each) for each in sum_.constants)
    except OverflowError as error:
        raise ModelError("the intercept of the graph is beyond float64", "scale the columns before fitting") from error


def _columns_of(feature: Mapping[str, Any]) -> Iterable[str]:
    parts = feature["terms"] if feature["kind"] == "product" else [feature]
    return (part["column"] for part in parts)


def _threshold(graph: Graph) -> float | None:
    """Return the threshold of an output called ``decision`` that compares the output ``probability`` with it."""
    for node in needed(graph, "decision") if any(port.name == "decision" for port in graph.outputs) else ():
        if node.operator == "GreaterOrEqual" and node.inputs[:1] == ("probability",):
            value = graph.constants.get(node.inputs[-1])
            return None if value is None or value.size != 1 or value.dtype.kind != "f" else float(value.ravel()[0])
    return None
