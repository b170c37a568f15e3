"""From an ONNX graph to a model file: the graph is walked with symbols for its input columns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conversion.importing import Imported
from pipeline.conversion.onnx.features import features
from pipeline.conversion.onnx.graph import (
    BOOL,
    CORE,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    ML,
    STRING,
    Constant,
    Graph,
    Node,
    Port,
    ReadGraph,
    needed,
)
from pipeline.conversion.onnx.meaning import Meaning, meaning_of
from pipeline.conversion.onnx.numbers import number
from pipeline.conversion.onnx.operators import OPERATORS
from pipeline.conversion.onnx.protobuf import decode
from pipeline.conversion.onnx.scoring import scorer
from pipeline.conversion.onnx.steps import MOST_COLUMNS, REMEDY, TORN, NodeStep, Rows, Value
from pipeline.conversion.onnx.symbols import CellType, InputCell, LinearSum, RawOutput, linear
from pipeline.errors import ModelError
from pipeline.models.logistic.documents import named_apart, version_of
from pipeline.units import escape

# The versions of the two domains whose operators are known here.
OPSETS: Mapping[str, range] = {CORE: range(7, 29), ML: range(1, 6)}
FLOAT32_TOLERANCE, TOLERANCE = 1e-5, 1e-12

_TYPES: Mapping[int, CellType] = {
    FLOAT: "number",
    DOUBLE: "number",
    INT32: "integer",
    INT64: "integer",
    BOOL: "boolean",
    STRING: "text",
}
# What an operator says about a graph that is no logistic model.
_FAMILIES = {
    "a tree ensemble": ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"),
    "a support vector machine": ("SVMClassifier", "SVMRegressor"),
    "a linear regression": ("LinearRegressor",),
    "a neural network": (
        *("Conv", "ConvTranspose", "LSTM", "GRU", "RNN", "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "Tanh"),
        *("BatchNormalization", "LayerNormalization", "MaxPool", "AveragePool", "GlobalAveragePool", "Dropout"),
        *("Attention", "HardSigmoid", "HardSwish", "Mish", "Softplus", "Swish"),
    ),
    "a program with branches or loops": ("If", "Loop", "Scan"),
}
_FAMILY = {operator: family for family, operators in _FAMILIES.items() for operator in operators}
_MODELS = frozenset(_FAMILIES["a tree ensemble"] + _FAMILIES["a support vector machine"] + ("LinearRegressor",))
# Operators that compute in float32, whatever their inputs are.
_FLOAT32 = frozenset({"LinearClassifier", "Scaler", "Imputer", "Normalizer", "Binarizer"})


def convert(path: Path, data: bytes) -> Imported:
    """Return the model in the bytes of an ONNX file, and how onnxruntime scores with it.

    Raises
    ------
    ModelError
        The graph is damaged, or no logistic model; the message names the node and its operator.
    ConfigurationError
        The package onnx is not installed.
    """
    graph = decode(path, data)
    try:
        found = read(graph)
    except ModelError as error:
        raise ModelError(f"{escape(str(path))}: {error.message}", error.remedy) from error
    return Imported(found.document, found.notes, found.tolerance, scorer(path, graph, found), unnamed=found.unnamed)


def read(graph: Graph) -> ReadGraph:
    """Return the model file that a graph means, as plain values; raises ``ModelError`` as :func:`convert` does."""
    try:
        return _read(graph)
    except OverflowError as error:
        raise ModelError("a number of the graph is beyond float64", "scale the columns before fitting") from error


def _read(graph: Graph) -> ReadGraph:
    _check(graph)
    columns, notes = _columns(graph)
    unnamed = tuple(name for names in columns.values() if len(names) > 1 for name in names) if notes else ()
    output = _probabilities(graph)
    values = _Walk(graph, columns).values(output)
    raw = values.get("raw_prediction") if _has_raw(graph) else None
    meaning = meaning_of(_rows(values[output], output).columns)
    known = raw.columns if isinstance(raw, Rows) else ()
    sums = [linear(known[each.position] if isinstance(each, RawOutput) else each) for each in meaning.raw]
    if not any(each.terms for each in sums):
        raise ModelError("the graph uses none of its inputs: its result is the same for each row", REMEDY)
    document = _document(sums, meaning, _labels(graph, output, max(len(sums), 2)), _threshold(graph))
    used = {feature_column for feature in document["features"] for feature_column in _columns_of(feature)}
    if unused := [name for names in columns.values() for name in names if name not in used]:
        notes.append(f"the graph takes {listed_names(unused)} without using it: the model does not have it")
    if meaning.is_raw:
        notes.append("the graph gives raw predictions, no probabilities; so does the model")
    tolerance = FLOAT32_TOLERANCE if _is_float32(graph) else TOLERANCE
    if tolerance > TOLERANCE:
        notes.append("the graph computes in float32, the model in float64 with the same coefficients")
    return ReadGraph(document, tuple(notes), columns, output, meaning.is_raw, tolerance, unnamed)


def listed_names(names: Sequence[str]) -> str:
    """Return names of columns between quotes, the first five of them."""
    shown = [f'"{escape(name)}"' for name in names[:5]]
    return f"{', '.join(shown)} and {len(names) - 5} more columns" if len(names) > 5 else " and ".join(shown)


def _check(graph: Graph) -> None:
    for domain, version in graph.opsets.items():
        name = domain or "ai.onnx"
        if domain not in OPSETS:
            used = next((node for node in graph.nodes if node.domain == domain), None)
            if used is not None:
                raise _unknown(used, f"belongs to the domain {escape(name)}, which is not part of the ONNX standard")
        elif version not in OPSETS[domain]:
            known = OPSETS[domain]
            raise ModelError(
                f"the graph uses version {version} of the operators {name}; {known[0]} to {known[-1]} are known here",
                f"write it with target_opset={{{domain!r}: {known[-1]}}}",
            )
    for node in graph.nodes:
        if node.operator in _MODELS:
            raise _unknown(node, f"is {_FAMILY[node.operator]}, not a logistic model")


def _unknown(node: Node, why: str) -> ModelError:
    return NodeStep(node, ()).refused(why)


def _columns(graph: Graph) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the columns of each input, and what to say about their names."""
    said = _stated_names(graph)
    widths = {port.name: _width(port) for port in graph.inputs}
    if not widths:
        raise ModelError("the graph has no input", REMEDY)
    if said and len(widths) == 1 and len(said) == next(iter(widths.values())):
        return {next(iter(widths)): tuple(said)}, []
    made: dict[str, tuple[str, ...]] = {}
    notes = []
    for name, width in widths.items():
        prefix = "column" if len(widths) == 1 else name
        made[name] = (name,) if width == 1 else tuple(f"{prefix}_{position}" for position in range(width))
        if width > 1:
            notes.append(
                f'columns: the input "{escape(name)}" has {width} columns without names, here {made[name][0]} to '
                f"{made[name][-1]}; rename them in the model file to those of your data"
            )
    names = [each for names in made.values() for each in names]
    if len(set(names)) < len(names):
        raise ModelError("the inputs of the graph give two columns the same name", "rename the inputs of the graph")
    return made, notes


def _width(port: Port) -> int:
    if port.type not in _TYPES:
        raise ModelError(
            f'the input "{escape(port.name)}" is no tensor of float, double, int32, int64, bool or string',
            "give the graph such inputs",
        )
    width = port.shape[1] if len(port.shape) == 2 else 1
    if len(port.shape) > 2 or width is None or not 0 < width <= MOST_COLUMNS:
        raise ModelError(
            f'the input "{escape(port.name)}" does not say how many columns it has',
            "write the graph with inputs of shape [None, columns]",
        )
    return width


def _stated_names(graph: Graph) -> list[str]:
    """Return the names of columns in the metadata: a JSON list, or names with commas between them."""
    for key in ("columns", "feature_names", "features"):
        if (text := graph.metadata.get(key)) is not None:
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                found = [each.strip() for each in text.split(",")]
            if isinstance(found, list) and all(isinstance(each, str) and each for each in found):
                return found if len(set(found)) == len(found) else []
    return []


def _probabilities(graph: Graph) -> str:
    """Return the tensor with the probabilities: what a ZipMap takes, an output by that name, or the only numbers."""
    outputs = [port.name for port in graph.outputs]
    makers = {name: node for node in graph.nodes for name in node.outputs}
    zipped = [
        each for name in outputs if name in makers and makers[name].operator == "ZipMap" for each in makers[name].inputs
    ]
    named = [name for name in outputs if name.startswith(("probabilit", "output_probabilit"))]
    of_numbers = [port.name for port in graph.outputs if port.type in {FLOAT, DOUBLE}]
    sliced = list(dict.fromkeys(_sliced(graph, name) for name in of_numbers))
    for candidates in (zipped, named, of_numbers, sliced):
        if len(candidates) == 1:
            return candidates[0]
    raise ModelError(
        f"the graph has the outputs {', '.join(map(escape, outputs)) or '(none)'}: which has the probabilities?",
        'call that output "probabilities"',
    )


def _sliced(graph: Graph, name: str) -> str:
    """Return the tensor that an output is a column of, as ``zipmap="columns"`` of sklearn-onnx makes one a class."""
    for node in reversed(graph.nodes):
        if name in node.outputs and node.operator in {"Reshape", "Slice"}:
            name = next(iter(node.inputs), "")
    return name


def _has_raw(graph: Graph) -> bool:
    return any(port.name == "raw_prediction" for port in graph.outputs)


class _Walk:
    """Follows a graph from its inputs to one tensor."""

    def __init__(self, graph: Graph, columns: Mapping[str, tuple[str, ...]]) -> None:
        self._graph = graph
        types = {port.name: _TYPES[port.type] for port in graph.inputs}
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
            return (_constant(node),)
        function = OPERATORS.get((node.domain, node.operator))
        if function is None:
            family = _FAMILY.get(node.operator)
            raise _unknown(node, f"belongs to {family}" if family else "is an operator that logitstream does not read")
        for name in node.inputs:
            if name and name not in values:
                raise _unknown(node, f'takes "{escape(name)}", which nothing before it makes')
        inputs = [values[name] if name else None for name in node.inputs]
        step = NodeStep(node, inputs)
        try:
            return function(step)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
            # Attributes of a damaged graph may have any type and any value.
            raise step.refused("has attributes or inputs that do not fit together", TORN) from error


def _constant(node: Node) -> Constant:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"):
        if (value := node.attributes.get(name)) is not None:
            return np.asarray(value, dtype=object if "string" in name else None)
    raise _unknown(node, "has no value that is read")


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


def _labels(graph: Graph, output: str, count: int) -> list[Any]:
    """Return the classes, as the node says that turns positions or scores into them; empty where none does."""
    scoring = set(map(id, needed(graph, output)))
    said = [node for node in graph.nodes if node.operator == "ZipMap"]
    classifiers = [node for node in graph.nodes if node.operator == "LinearClassifier"]
    # Where each class has a classifier of its own, their labels are 0 and 1.
    said += classifiers if len(classifiers) == 1 else []
    for node in said:
        for name in ("classlabels_strings", "classlabels_int64s", "classlabels_ints"):
            if isinstance(found := node.attributes.get(name), list) and len(found) == count:
                return list(found)
    others = (port.name for port in graph.outputs if port.name != output)
    for node in (node for name in others for node in reversed(needed(graph, name)) if id(node) not in scoring):
        table = graph.constants.get(node.inputs[0]) if node.inputs else None
        is_table = table is not None and table.size == count and table.shape in {(count,), (1, count)}
        if node.operator in {"ArrayFeatureExtractor", "GatherND", "Gather"} and table is not None and is_table:
            return list(table.ravel().tolist())
    return []


def _threshold(graph: Graph) -> float | None:
    """Return the threshold of an output called ``decision`` that compares the output ``probability`` with it."""
    for node in needed(graph, "decision") if any(port.name == "decision" for port in graph.outputs) else ():
        if node.operator == "GreaterOrEqual" and node.inputs[:1] == ("probability",):
            value = graph.constants.get(node.inputs[-1])
            return None if value is None or value.size != 1 or value.dtype.kind != "f" else float(value.ravel()[0])
    return None


def _is_float32(graph: Graph) -> bool:
    return (
        any(port.type == FLOAT for port in graph.inputs)
        or any(value.dtype == np.float32 for value in graph.constants.values())
        or any(node.operator in _FLOAT32 and node.domain == ML for node in graph.nodes)
    )
