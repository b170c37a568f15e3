"""How PyTorch scores rows with the layers and weights of a network, for comparing.

The features, which PyTorch does not have, are those of the model: numbers are standardised and levels one-hot before it
gets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.conversion.agreement import squashed
from pipeline.conversion.importing import Floats, Score
from pipeline.conversion.networks.sequences import step_numbers
from pipeline.models.logistic.policies import Impute
from pipeline.models.network.file import DenseSection, NetworkFile
from pipeline.models.network.inputs import input_values
from pipeline.models.network.model import NetworkModel
from pipeline.models.network.recurrent import GruSection, RecurrentSection
from pipeline.models.network.sequences import SequenceInput
from pipeline.models.network.weights import parse_weights
from pipeline.registry import function_named

_NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def torch_scorer(model: NetworkModel) -> Score | None:
    """Return what scores named columns with PyTorch, in the type of the weights; ``None`` if it is not installed."""
    if find_spec("torch") is None:
        return None
    weights = cache(partial(_tensors, model))

    def score(rows: Mapping[str, Any]) -> Floats:
        made = _steps(model.file, weights(), rows) if model.file.sequences else _plain(model.file, weights(), rows)
        if (offset := model.file.offset) is not None:
            made = made + input_values(offset.number, pa.array(rows[offset.column]))
        return squashed(made[:, 0] if made.shape[1] == 1 else made)

    return score


def _tensors(model: NetworkModel) -> dict[str, Any]:
    import torch  # noqa: PLC0415 - an extra

    found = parse_weights(model.weights(), model.path).tensors
    return {name: torch.tensor(np.array(tensor.values)) for name, tensor in found.items()}


def _plain(file: NetworkFile, tensors: Mapping[str, Any], rows: Mapping[str, Any]) -> Floats:
    """Return raw predictions of rows of numbers and levels, shape (rows, outputs)."""
    inputs = np.concatenate([input_values(feature, pa.array(rows[feature.column])) for feature in file.plain], axis=1)
    return _dense(file, tensors, inputs)


def _steps(file: NetworkFile, tensors: Mapping[str, Any], rows: Mapping[str, Any]) -> Floats:
    """Return raw predictions of rows of sequences, shape (rows, outputs); NaN where a row has none."""
    parts = [
        [_inputs(feature, numbers, file.steps) for numbers in step_numbers(rows[feature.column], feature.width)]
        for feature in file.sequences
    ]
    joined = [_joined(cells) for cells in zip(*parts, strict=True)]
    found: Floats = np.full((len(joined), file.outputs), np.nan)
    for length in sorted({len(each) for each in joined if each is not None}):
        places = [place for place, each in enumerate(joined) if each is not None and len(each) == length]
        values = np.stack([each for place in places if (each := joined[place]) is not None])
        found[places] = _dense(file, tensors, _pooled(file, tensors, values))
    return found


def _inputs(feature: SequenceInput, values: Floats | None, most: int | None) -> Floats | None:
    """Return the inputs that a list makes, shape (steps, width); ``None`` where the row has no score."""
    if values is None or (not len(values) and feature.missing != "empty"):
        return None
    if most is not None and len(values) > most:
        return None
    if isinstance(feature.missing_step, Impute):
        values = np.where(np.isnan(values), feature.missing_step.impute, values)
    made: Floats = (values - np.asarray(feature.center)) / np.asarray(feature.scale)
    return None if np.isnan(values).any() else made


def _joined(cells: Sequence[Floats | None]) -> Floats | None:
    known = [each for each in cells if each is not None]
    if len(known) < len(cells) or len({len(each) for each in known}) > 1:
        return None
    return np.concatenate(known, axis=1)


def _pooled(file: NetworkFile, tensors: Mapping[str, Any], values: Floats) -> Floats:
    """Return what the recurrent layers and the pooling make of rows of one length, shape (rows, units)."""
    import torch  # noqa: PLC0415 - an extra

    recurrent = [layer for _, layer in file.recurrent]
    states = torch.from_numpy(values).to(tensors[recurrent[0].input_weight].dtype)
    if not states.shape[1]:
        return np.zeros((len(values), tensors[recurrent[-1].hidden_weight].shape[1]))
    with torch.no_grad():
        for layer in recurrent:
            states = _recurrent(torch, layer, tensors, states)
        pooled = {"last": states[:, -1], "mean": states.mean(1), "max": states.amax(1)}[file.pooling or "last"]
    found: Floats = pooled.double().numpy()
    return found


def _recurrent(torch: Any, layer: RecurrentSection, tensors: Mapping[str, Any], states: Any) -> Any:
    """Return the states of all steps, shape (rows, steps, units)."""
    weight, hidden = tensors[layer.input_weight], tensors[layer.hidden_weight]
    none = torch.zeros(len(weight), dtype=weight.dtype)
    biases = [none if name is None else tensors[name] for name in (layer.input_bias, layer.hidden_bias)]
    if isinstance(layer, GruSection) and not layer.reset_after:
        return _reset_before(torch, [weight, hidden, *biases], states)
    kind = torch.nn.GRU if isinstance(layer, GruSection) else torch.nn.LSTM
    module = kind(weight.shape[1], hidden.shape[1], batch_first=True, dtype=weight.dtype)
    for name, tensor in zip(_NAMES, [weight, hidden, *biases], strict=True):
        getattr(module, name).copy_(tensor)
    return module(states)[0]


def _reset_before(torch: Any, weights: Sequence[Any], states: Any) -> Any:
    """Return the states of a GRU whose reset gate comes before the product, which PyTorch has no layer for."""
    weight, hidden, input_bias, hidden_bias = weights
    w, u, b, c = (each.chunk(3) for each in (weight, hidden, input_bias, hidden_bias))
    state = torch.zeros((len(states), hidden.shape[1]), dtype=weight.dtype)
    made = []
    for x in states.unbind(1):
        linear = torch.nn.functional.linear
        reset, update = (torch.sigmoid(linear(x, w[k], b[k]) + linear(state, u[k], c[k])) for k in (0, 1))
        new = torch.tanh(linear(x, w[2], b[2]) + linear(reset * state, u[2], c[2]))
        state = (1 - update) * new + update * state
        made.append(state)
    return torch.stack(made, 1)


def _dense(file: NetworkFile, tensors: Mapping[str, Any], inputs: Floats) -> Floats:
    """Return the sums of the last layer, shape (rows, outputs)."""
    import torch  # noqa: PLC0415 - an extra

    layers = [layer for _, layer in file.dense]
    values = torch.from_numpy(np.ascontiguousarray(inputs)).to(tensors[layers[0].weight].dtype)
    for layer in layers:
        bias = None if layer.bias is None else tensors[layer.bias]
        values = _function(torch, layer, torch.nn.functional.linear(values, tensors[layer.weight], bias))
    found: Floats = values.double().numpy()
    return found


def _function(torch: Any, layer: DenseSection, values: Any) -> Any:
    if layer.function is None:
        return values
    entry = function_named(layer.function)
    if not entry.torch or entry.parameters or layer.function == "softplus":
        # PyTorch's softplus is the identity above 20.
        return entry.plain(torch, values, **layer.parameters)
    function = torch
    for step in entry.torch.split("."):
        function = getattr(function, step)
    return function(values, **entry.torch_options)
