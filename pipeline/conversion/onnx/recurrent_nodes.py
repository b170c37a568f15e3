"""Sequences and recurrent layers of a network as nodes of a graph.

A sequence is an input of shape (rows, steps, width), padded at the end; how many steps each row has is an input of its
own. LSTM and GRU get their weights from the tensors of the network by nodes that put the gates in the order of ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.conversion.onnx.construction import Construction
from pipeline.conversion.onnx.graph import DOUBLE, FLOAT, INT32, INT64, Port
from pipeline.conversion.onnx.layer_nodes import LayerWriter
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.logistic.policies import Impute
from pipeline.models.network.file import NetworkFile
from pipeline.models.network.recurrent import GruSection, RecurrentSection
from pipeline.models.network.sequences import SequenceInput
from pipeline.units import escape

# The input with the steps of each row.
STEPS = "steps"
# The places of ONNX's gates (i, o, f, c and z, r, h) among those of the file (i, f, g, o and r, z, n).
_GATES: Mapping[str, Sequence[int]] = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
_OPERATORS: Mapping[str, str] = {"lstm": "LSTM", "gru": "GRU"}


def sequence_ports(features: Sequence[SequenceInput], others: Sequence[Port] = ()) -> tuple[Port, ...]:
    """Return the inputs of a network of sequences: a tensor for each feature, the steps of each row, and other inputs.

    Raises
    ------
    ModelError
        A graph cannot express a policy, or a column has the name of the steps; the message names it.
    """
    for feature in features:
        for what in ("missing", "missing_step"):
            if getattr(feature, what) == "error":
                raise ModelError(
                    f'the column "{escape(feature.column)}" has {what} "error", which a graph cannot say',
                    'a graph cannot stop: use "null", which makes the row NaN',
                )
    ports = tuple(Port(each.column, DOUBLE, (None, None, each.width)) for each in features)
    if any(port.name == STEPS for port in (*ports, *others)):
        message = f'the column "{STEPS}" has the name of the input with the steps of each row'
        raise ModelError(message, "rename the column in the model")
    return (*ports, Port(STEPS, INT64), *others)


@dataclass(frozen=True, slots=True)
class _RowSteps:
    """Values about the rows of a call: their steps, shape (rows, 1); which steps they have, shape (rows, steps, 1)."""

    steps: str
    mask: str
    lengths: str


class SequenceWriter:
    """Writes sequences and recurrent layers into a graph.

    Parameters
    ----------
    made : Construction
    layers : LayerWriter
    """

    def __init__(self, made: Construction, layers: LayerWriter) -> None:
        self._made = made
        self._layers = layers

    def pooled(self, file: NetworkFile) -> tuple[str, str]:
        """Return what the first dense layer gets, shape (rows, units), and which rows have no score, (rows, 1).

        Raises
        ------
        ModelError
            The weights are float64.
        """
        made = self._made
        if self._layers.dtype == np.float64:
            operator = _OPERATORS[file.recurrent[0][1].kind]
            raise ModelError(
                f"the layers cannot be written as a graph: onnxruntime has no {operator} in float64",
                "save the weights as float32, or export the network as safetensors",
            )
        inputs = made.add("Concat", *map(self._inputs, file.sequences), axis=2)
        batch = self._batch(inputs)
        lacks = self._lacks(file, inputs, batch)
        values = made.cast(made.add("Where", batch.mask, inputs, made.row(0.0)), FLOAT)
        values = made.add("Transpose", values, perm=[1, 0, 2])
        for _, layer in file.recurrent:
            states, last = self._layer(layer, values, batch)
            values = self._squeezed(states, 1)
        pooled = self._squeezed(last, 0) if file.pooling == "last" else self._over_steps(file.pooling, values, batch)
        none = made.add("Equal", batch.steps, made.whole(0))
        return made.add("Where", none, self._layers.number(0.0), pooled), lacks

    def _axes(self, *axes: int) -> str:
        return self._made.constant(np.array(axes, dtype=np.int64))

    def _squeezed(self, value: str, axis: int) -> str:
        return self._made.add("Squeeze", value, self._axes(axis))

    def _numbers(self, numbers: object) -> str:
        return self._made.constant(np.atleast_1d(np.array(numbers, dtype=np.float64)))

    def _inputs(self, feature: SequenceInput) -> str:
        """Return the inputs of a feature: imputed and standardised in float64, NaN where a row has none by policy."""
        made, value = self._made, feature.column
        if isinstance(feature.missing_step, Impute):
            value = made.add("Where", made.add("IsNaN", value), made.row(feature.missing_step.impute), value)
        for operator, number, neutral in (("Sub", feature.center, 0.0), ("Div", feature.scale, 1.0)):
            if number != neutral:
                value = made.add(operator, value, self._numbers(number))
        return value

    def _batch(self, inputs: str) -> _RowSteps:
        made = self._made
        shape = made.add("Shape", inputs)
        count = made.add("Gather", shape, made.constant(np.array(1, dtype=np.int64)), axis=0)
        zero, one = (made.constant(np.array(each, dtype=np.int64)) for each in (0, 1))
        places = made.add("Range", zero, count, one)
        mask = made.add("Unsqueeze", made.add("Less", places, STEPS), self._axes(2))
        return _RowSteps(STEPS, mask, self._squeezed(made.cast(STEPS, INT32), 1))

    def _lacks(self, file: NetworkFile, inputs: str, batch: _RowSteps) -> str:
        """Return which rows have no score: a step is missing, or all of them are, or there are too many."""
        made = self._made
        gaps = made.cast(made.add("And", made.add("IsNaN", inputs), batch.mask), INT64)
        gaps = made.add("ReduceSum", gaps, self._axes(1, 2), keepdims=0)
        lacks = made.add("Greater", made.add("Unsqueeze", gaps, self._axes(1)), made.whole(0))
        if any(feature.missing != "empty" for feature in file.sequences):
            lacks = made.add("Or", lacks, made.add("Less", batch.steps, made.whole(1)))
        if file.steps is not None:
            lacks = made.add("Or", lacks, made.add("Greater", batch.steps, made.whole(file.steps)))
        return lacks

    def _layer(self, layer: RecurrentSection, values: str, batch: _RowSteps) -> tuple[str, str]:
        """Return the states after each step, (steps, 1, rows, units), and the last ones, (1, rows, units)."""
        made, units = self._made, self._layers.shape(layer.hidden_weight)[1]
        order = np.concatenate([np.arange(units) + units * place for place in _GATES[layer.kind]])
        rows = made.constant(order.astype(np.int64))
        matrices = layer.input_weight, layer.hidden_weight
        biases = [self._bias(name, rows, len(order)) for name in (layer.input_bias, layer.hidden_bias)]
        weights = [
            *(made.add("Gather", self._layers.tensor(name), rows, axis=0) for name in matrices),
            made.add("Concat", *biases, axis=0),
        ]
        given = [values, *(made.add("Unsqueeze", each, self._axes(0)) for each in weights), batch.lengths]
        reset = {"linear_before_reset": int(layer.reset_after)} if isinstance(layer, GruSection) else {}
        return made.add_two(_OPERATORS[layer.kind], *given, hidden_size=units, **reset)

    def _bias(self, name: str | None, rows: str, count: int) -> str:
        if name is None:
            return self._made.constant(np.zeros(count, dtype=self._layers.dtype))
        return self._made.add("Gather", self._layers.tensor(name), rows, axis=0)

    def _over_steps(self, pooling: str | None, states: str, batch: _RowSteps) -> str:
        """Return the mean or the largest state of the steps that a row has."""
        made = self._made
        by_row = made.add("Transpose", states, perm=[1, 0, 2])
        if pooling == "max":
            least = self._layers.number(-np.inf)
            return made.add("ReduceMax", made.add("Where", batch.mask, by_row, least), axes=[1], keepdims=0)
        kept = made.add("Where", batch.mask, by_row, self._layers.number(0.0))
        total = made.add("ReduceSum", kept, self._axes(1), keepdims=0)
        count = made.cast(batch.steps, FLOAT)
        return made.add("Div", total, made.add("Max", count, self._layers.number(1.0)))
