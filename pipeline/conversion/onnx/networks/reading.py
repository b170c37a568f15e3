"""From the graph of a network to the model file that it means: layers one after the other, and a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.conversion.networks.document import NetworkHead, Tensors, network_document, tensors_of
from pipeline.conversion.networks.stack import Stack
from pipeline.conversion.onnx.graph import BOOL, CORE, STRING, Graph, Node, ReadGraph, needed
from pipeline.conversion.onnx.networks.folding import folded
from pipeline.conversion.onnx.networks.formulas import NetworkFormula, settled
from pipeline.conversion.onnx.networks.operators import NETWORK_OPERATORS
from pipeline.conversion.onnx.networks.recurrent import RECURRENT_OPERATORS
from pipeline.conversion.onnx.networks.values import (
    ONE,
    REMEDY,
    ROWS,
    UNITS,
    NetworkStep,
    NetworkTensor,
    NetworkValue,
    SideBySide,
)
from pipeline.conversion.onnx.ports import (
    FLOAT32_TOLERANCE,
    TOLERANCE,
    TYPES,
    check_operators,
    constant_of,
    input_columns,
    is_float32,
    labels_of,
    probabilities_of,
    unknown,
)
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape

# The first two are those of rows and steps; which is which, a recurrent layer tells.
SEQUENCE_AXES = ("axis 0", "axis 1", UNITS)
_PRODUCTS = frozenset({"MatMul", "Gemm"})
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_PROGRAMS = frozenset({"If", "Loop", "Scan"})
_NO_PROGRAM = (
    "tf2onnx writes a GRU of Keras as a loop: import the .keras file; of PyTorch export the module in eval mode"
)
# What bends a sum, so that the product behind it is another layer.
_BENDING = frozenset(
    {"Sigmoid", "Tanh", "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Softplus", "HardSigmoid", "Gelu", "Erf"}
    | {"Clip", "Max", "Softmax", "HardSwish", "Mish", "Swish", "ThresholdedRelu", "Softsign"}
)


@dataclass(frozen=True, slots=True)
class ReadNetwork:
    """The network that a graph is.

    Attributes
    ----------
    found : ReadGraph
        Its document is a model file without ``weights``.
    tensors : dict of str to ndarray
    rows_axis : int, optional
        Of a sequence, which axis of the input is that of the rows.
    """

    found: ReadGraph
    tensors: Tensors
    rows_axis: int | None = None


@dataclass(frozen=True, slots=True)
class _Result:
    """The layers of a graph, what its output is, and the axis of its rows.

    The output is ``probabilities``, their ``logarithms``, or the ``sums``.
    """

    stack: Stack
    kind: str
    rows: str


def is_network(graph: Graph) -> bool:
    """Return whether a graph takes sequences, or has one layer behind another with a function between them."""
    if any(len(port.shape) == 3 for port in graph.inputs):
        return True
    # 1: behind a product; 2: behind a function of it.
    stages: dict[str, int] = {}
    for node in graph.nodes:
        if node.operator in _RECURRENT:
            return True
        stage = max((stages.get(name, 0) for name in node.inputs), default=0)
        if node.operator in _PRODUCTS:
            if stage == 2:
                return True
            stage = 1
        elif node.operator in _BENDING and stage:
            stage = 2
        stages.update(dict.fromkeys(node.outputs, stage))
    return False


def read_network(graph: Graph) -> ReadNetwork:
    """Return the network that a graph means.

    Raises
    ------
    ModelError
        It is damaged, or has a layer, a function or an order of layers that a model file does not have; the message
        names the node.
    """
    check_operators(graph)
    columns, notes = _inputs(graph)
    unnamed = tuple(name for names in columns.values() if len(names) > 1 for name in names) if notes else ()
    output = probabilities_of(graph)
    value = _followed(graph, columns, output)
    result = _result(value, output)
    stack = result.stack
    if stack.steps is not None:
        notes.append(f"the graph takes {stack.steps} steps; the model takes as many at most")
    count = max(stack.units, 2)
    head = NetworkHead(labels_of(graph, output, count), is_raw=result.kind == "sums")
    document = network_document(stack, head)
    for feature in document["features"]:
        feature.update(_boolean(graph, columns, feature["column"]))
    if head.is_raw:
        notes.append("the graph gives raw predictions, no probabilities; so does the model")
    is_single = is_float32(graph)
    found = ReadGraph(
        document,
        tuple(notes),
        columns,
        output,
        # The softmax of logarithms of probabilities is the probabilities.
        result.kind != "probabilities",
        FLOAT32_TOLERANCE if is_single else TOLERANCE,
        unnamed,
    )
    rows_axis = SEQUENCE_AXES.index(result.rows) if stack.has_steps else None
    return ReadNetwork(found, tensors_of(stack, np.float32 if is_single else np.float64), rows_axis)


def _inputs(graph: Graph) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the columns of each input, and what to say about their names: a sequence is one column."""
    if all(len(port.shape) != 3 for port in graph.inputs):
        return input_columns(graph)
    (port, *others) = graph.inputs
    if others or port.shape[2] is None or port.type not in TYPES:
        raise ModelError(
            f'the input "{escape(port.name)}" is a sequence that does not say how many numbers a step has, or not the '
            "only input",
            "write the graph with one input of the shape (rows, steps, numbers)",
        )
    return {port.name: (port.name,)}, []


def _boolean(graph: Graph, columns: Mapping[str, tuple[str, ...]], name: str) -> dict[str, Any]:
    booleans = {each for port in graph.inputs if port.type == BOOL for each in columns[port.name]}
    return {"boolean": True} if name in booleans else {}


def _followed(graph: Graph, columns: Mapping[str, tuple[str, ...]], output: str) -> NetworkValue:
    """Return what leads to the output."""
    values: dict[str, NetworkValue] = dict(graph.constants)
    lengths: dict[str, int] = {}
    for port in graph.inputs:
        if port.type == STRING:
            raise ModelError(f'the graph counts with the text of column "{escape(port.name)}"', REMEDY)
        axes = SEQUENCE_AXES if len(port.shape) == 3 else (ROWS, UNITS)[: len(port.shape)]
        lengths |= {axis: length for axis, length in zip(axes, port.shape, strict=True) if length is not None}
        stack = Stack.of(columns[port.name])
        if len(port.shape) == 3:
            stack = Stack.of_steps(port.name, lengths[UNITS])
        values[port.name] = NetworkTensor.of(stack, axes)
    nodes = needed(graph, output)
    for node in nodes:
        # What a loop is given, such as its condition, may have operators that are not read either.
        if node.operator in _PROGRAMS and node.domain == CORE:
            step = NetworkStep(node, (), graph.opsets.get(CORE, 1), {})
            raise step.refused("is a branch or a loop of a program, not a layer", _NO_PROGRAM)
    for node in nodes:
        # Other outputs, such as the mask of a dropout, are not read.
        values.update(zip(node.outputs, _made(graph, node, values, lengths), strict=False))
    if output not in values:
        raise ModelError(f'no node makes the output "{escape(output)}"', "write the graph again")
    return values[output]


def _made(
    graph: Graph, node: Node, values: Mapping[str, NetworkValue], lengths: Mapping[str, int]
) -> Sequence[NetworkValue]:
    if node.operator == "Constant" and node.domain == CORE:
        return (constant_of(node),)
    for name in node.inputs:
        if name and name not in values:
            raise unknown(node, f'takes "{escape(name)}", which nothing before it makes')
    step = NetworkStep(
        node, [values[name] if name else None for name in node.inputs], graph.opsets.get(CORE, 1), lengths
    )
    try:
        if (constant := folded(step)) is not None:
            return (constant,)
        if node.domain == CORE and (layer := RECURRENT_OPERATORS.get(node.operator)) is not None:
            return layer(step)
        function = NETWORK_OPERATORS.get((node.domain, node.operator))
        if function is None:
            raise step.refused("is an operator that logitstream does not read in a network")
        return (function(step),)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        # Attributes of a damaged graph may have any type and any value.
        raise step.refused("has attributes or inputs that do not fit together") from error


def _result(value: NetworkValue, output: str) -> _Result:
    """Return the layers before the sigmoid or softmax of the output."""
    if isinstance(value, SideBySide):
        value = _positive(value)
    if not isinstance(value, NetworkTensor):
        raise ModelError(f'the output "{escape(output)}" is a constant', REMEDY)
    rows, *others = [axis for axis in value.axes if axis != ONE] or [""]
    if rows in {"", UNITS, value.steps} or (others != [UNITS] and (others or value.units > 1)):
        raise ModelError(f'the output "{escape(output)}" has no row for each row of the input', REMEDY)
    if value.formula.operator == "LogSoftmax" and value.units > 1:
        stack = settled(value.formula.inner[0]).function("softmax")
        return _Result(stack.headed(output)[0], "logarithms", rows)
    stack, is_raw = settled(value.formula).headed(output)
    return _Result(stack, "sums" if is_raw else "probabilities", rows)


def _positive(value: SideBySide) -> NetworkTensor:
    """Return p where the output is ``1 - p`` and p side by side."""
    if len(value.parts) == 2:
        negative, positive = value.parts
        rest = negative.formula
        if (
            rest.operator == "Sub"
            and positive.units == 1
            and rest.arguments[1:] == (positive.formula,)
            and not isinstance(rest.arguments[0], NetworkFormula)
            and np.array_equal(rest.arguments[0], np.array(1.0))
        ):
            return positive
    raise ModelError("the graph joins the outputs of different layers", REMEDY)
