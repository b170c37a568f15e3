"""Inputs and outputs of a graph: the columns that it takes, where its probabilities are, and what it calls classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
    needed,
)
from pipeline.conversion.onnx.steps import MOST_COLUMNS, REMEDY, NodeStep
from pipeline.conversion.onnx.symbols import CellType
from pipeline.errors import ModelError
from pipeline.units import escape

# The versions of the two domains whose operators are known here.
OPSETS: Mapping[str, range] = {CORE: range(7, 29), ML: range(1, 6)}
FLOAT32_TOLERANCE, TOLERANCE = 1e-5, 1e-12

TYPES: Mapping[int, CellType] = {
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
FAMILY = {operator: family for family, operators in _FAMILIES.items() for operator in operators}
_MODELS = frozenset(_FAMILIES["a tree ensemble"] + _FAMILIES["a support vector machine"] + ("LinearRegressor",))
# Operators that compute in float32, whatever their inputs are.
_FLOAT32 = frozenset({"LinearClassifier", "Scaler", "Imputer", "Normalizer", "Binarizer"})


def listed_names(names: Sequence[str]) -> str:
    """Return names of columns between quotes, the first five of them."""
    shown = [f'"{escape(name)}"' for name in names[:5]]
    return f"{', '.join(shown)} and {len(names) - 5} more columns" if len(names) > 5 else " and ".join(shown)


def check_operators(graph: Graph) -> None:
    """Raise an error for operators of an unknown version or domain, and for those of other kinds of models."""
    for domain, version in graph.opsets.items():
        name = domain or "ai.onnx"
        if domain not in OPSETS:
            used = next((node for node in graph.nodes if node.domain == domain), None)
            if used is not None:
                raise unknown(used, f"belongs to the domain {escape(name)}, which is not part of the ONNX standard")
        elif version not in OPSETS[domain]:
            known = OPSETS[domain]
            raise ModelError(
                f"the graph uses version {version} of the operators {name}; {known[0]} to {known[-1]} are known here",
                f"write it with target_opset={{{domain!r}: {known[-1]}}}",
            )
    for node in graph.nodes:
        if node.operator in _MODELS:
            raise unknown(node, f"is {FAMILY[node.operator]}, not a logistic model")


def unknown(node: Node, why: str) -> ModelError:
    """Return an error that names a node."""
    return NodeStep(node, ()).refused(why)


def input_columns(graph: Graph) -> tuple[dict[str, tuple[str, ...]], list[str]]:
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
    if port.type not in TYPES:
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


def probabilities_of(graph: Graph) -> str:
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


def constant_of(node: Node) -> Constant:
    """Return the value of a node that is a constant."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"):
        if (value := node.attributes.get(name)) is not None:
            return np.asarray(value, dtype=object if "string" in name else None)
    raise unknown(node, "has no value that is read")


def labels_of(graph: Graph, output: str, count: int) -> list[Any]:
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


def is_float32(graph: Graph) -> bool:
    """Return whether a graph computes in float32 anywhere."""
    return (
        any(port.type == FLOAT for port in graph.inputs)
        or any(value.dtype == np.float32 for value in graph.constants.values())
        or any(node.operator in _FLOAT32 and node.domain == ML for node in graph.nodes)
    )
