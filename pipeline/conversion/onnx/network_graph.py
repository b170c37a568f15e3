"""A network as an ONNX graph in the type of its weights, and such a graph as the network that it was written of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.formula import check_policies
from pipeline.conversion.onnx.construction import NAN, Construction
from pipeline.conversion.onnx.graph import DOUBLE, FLOAT, STRING, Graph, Port
from pipeline.conversion.onnx.inputs import input_types
from pipeline.conversion.onnx.layer_nodes import TENSOR, LayerWriter
from pipeline.conversion.onnx.links import decision, probability
from pipeline.conversion.onnx.protobuf import decode, encode
from pipeline.conversion.onnx.recurrent_nodes import SequenceWriter, sequence_ports
from pipeline.conversion.onnx.terms import TermWriter
from pipeline.conversion.onnx.writing import INSTEAD, OPSETS, OUTPUTS, check_names
from pipeline.conversion.results import columns_made
from pipeline.errors import ModelError
from pipeline.models.logistic.expression import Expression, IsMissing, Lookup, key_of, number, standardised
from pipeline.models.logistic.score import asked_of
from pipeline.models.network.file import NetworkFile
from pipeline.models.network.inputs import IndicatorInput, NumericInput, PlainInput
from pipeline.models.network.making import network_in_memory
from pipeline.models.network.model import NetworkModel
from pipeline.models.request import ScoreRequest

# The key of the metadata of a graph under which the content of the model file is.
KEY = "logitstream.network"
_LEFT_OUT = frozenset({"weights", "training"})


def write_network(model: NetworkModel) -> bytes:
    """Return the bytes of an ONNX file that computes ``probability``, ``raw_prediction`` and ``decision``.

    Inputs and outputs are those of the graph of a logistic model: a column each, float64 for numbers. A sequence is
    float64 of shape (rows, steps, width), padded at the end of a row; the input ``steps``, int64 of shape (rows, 1),
    says how many each row has. Layers compute in the type of the weights, their constants are called by the names of
    the tensors, and the metadata has the content of the model file, from which :func:`own_network` makes the network
    again.

    Raises
    ------
    ModelError
        The graph cannot express something; the message names it.
    ConfigurationError
        The package onnx, or safetensors, is not installed.
    """
    return encode(network_graph(model))


def network_graph(model: NetworkModel) -> Graph:
    """Return the graph of a network, as :func:`write_network` writes it."""
    file = model.file
    wanted, threshold = columns_made(file, OUTPUTS, "a graph"), asked_of(file, ScoreRequest())[1]
    ports = _ports(file)
    check_names(port.name for port in ports)
    made = Construction((*(port.name for port in ports), *OUTPUTS))
    made.width = file.outputs
    raw = made.output("raw_prediction", _raw(made, file, LayerWriter(made, model.tensors()), ports))
    chance = made.output("probability", probability(made, file, raw))
    outputs = [Port(name, DOUBLE, (None, made.width)) for name in ("probability", "raw_prediction")]
    if "decision" in wanted or file.classes is not None:
        decided = decision(made, file, raw, chance, threshold)
        outputs.append(Port(made.output("decision", decided.name), STRING if decided.is_text else DOUBLE))
    metadata = {KEY: json.dumps(said_of(file), ensure_ascii=False)}
    return Graph(ports, tuple(outputs), tuple(made.nodes), made.constants, OPSETS, metadata, "network")


def said_of(file: NetworkFile) -> dict[str, Any]:
    """Return what the file of a network says besides its weights, without defaults."""
    return {name: value for name, value in json.loads(file.to_json()).items() if name not in _LEFT_OUT}


def own_network(path: Path, graph: Graph) -> NetworkModel | None:
    """Return the network that a graph was written of; ``None`` where its nodes are not those that we write of one.

    Raises
    ------
    ConfigurationError
        safetensors is not installed.
    """
    said = graph.metadata.get(KEY)
    if said is None:
        return None
    try:
        tensors = {
            name.removeprefix(TENSOR): value for name, value in graph.constants.items() if name.startswith(TENSOR)
        }
        model = network_in_memory(json.loads(said), tensors, str(path))
        again = decode(path, write_network(model))
    except (ModelError, ValueError, KeyError, TypeError, RecursionError):
        # Somebody has changed it.
        return None
    return model if _same(graph, again) else None


def _same(one: Graph, other: Graph) -> bool:
    parts = ((each.inputs, each.outputs, each.nodes, each.opsets) for each in (one, other))
    if next(parts) != next(parts) or one.constants.keys() != other.constants.keys():
        return False
    return all(_same_bits(value, other.constants[name]) for name, value in one.constants.items())


def _same_bits(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()


def _trees(file: NetworkFile) -> list[tuple[str, Expression]]:
    """Return the inputs that each plain feature makes, a column each, and last the offset; with names of columns."""
    of_offset = () if file.offset is None else (file.offset.number,)
    return [(feature.column, _tree(feature)) for feature in (*file.plain, *of_offset)]


def _tree(feature: PlainInput) -> Expression:
    if isinstance(feature, NumericInput):
        value = number(feature.column, feature.missing, boolean=feature.boolean)
        return standardised(value, feature.center, feature.scale)
    if isinstance(feature, IndicatorInput):
        return standardised(IsMissing(feature.column), feature.center, feature.scale)
    rows = zip(feature.categories, np.eye(feature.width).tolist(), strict=True)
    return Lookup((key_of(feature.lookup),), {(name,): tuple(row) for name, row in rows})


def _ports(file: NetworkFile) -> tuple[Port, ...]:
    trees = [tree for _, tree in _trees(file)]
    check_policies(trees, INSTEAD, "a graph")
    plain = tuple(Port(name, type_) for name, type_ in input_types(trees).items())
    return sequence_ports(file.sequences, plain) if file.sequences else plain


def _raw(made: Construction, file: NetworkFile, layers: LayerWriter, ports: Sequence[Port]) -> str:
    """Return the raw predictions, NaN in a row that has no score."""
    is_double = layers.dtype == np.float64
    terms = TermWriter(made, {port.name: port.type for port in ports})
    columns = [terms.write(name, tree) for name, tree in _trees(file)]
    added = None if file.offset is None else columns.pop()
    if file.sequences:
        values, lacks = SequenceWriter(made, layers).pooled(file)
    else:
        inputs = made.add("Concat", *columns, axis=1)
        lacks = made.add("Greater", made.counted(made.add("IsNaN", inputs)), made.whole(0))
        values = inputs if is_double else made.cast(inputs, FLOAT)
    for _, layer in file.dense:
        values = layers.dense(layer, values)
    none, raw = made.row(NAN), values if is_double else made.number(values)
    # A row without an offset is NaN in the sum.
    return made.add("Where", lacks, none, raw if added is None else made.add("Add", raw, added))
