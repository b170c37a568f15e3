"""What can be wrong with the file of a network over sequences, or with its weights: one clear error for each place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import ModelError
from pipeline.modelling import described_model, shown_model
from pipeline.models import ScoreRequest, load_model, score_block
from tests.models.network.networks import (
    Tensors,
    dense,
    drawn_steps,
    numeric,
    recurrent,
    sequence,
    step_layers,
    written,
)

LSTM, GRU = recurrent("lstm", "r0"), recurrent("gru", "r1")
RAW = ScoreRequest(raw_prediction=True)


def tensors() -> Tensors:
    return drawn_steps("lstm", (2, 3, 1), np.float32)


def said_of(folder: Path, held: Tensors | None = None, **content: Any) -> list[str]:
    """Return what is said of a model that must be refused with exit code 65, a line for each problem."""
    whole = {"features": [sequence("s", width=2)], "layers": step_layers("lstm", 1, "last"), **content}
    with pytest.raises(ModelError) as caught:
        load_model(written(folder, tensors() if held is None else held, **whole))
    assert caught.value.exit_code == 65
    _, *lines = str(caught.value).splitlines()
    return [f"{line.strip().split(' at line ')[0]}: {line.split(': ', 1)[1]}" for line in lines]


POOLED = '"last", "mean" or "max"'

CONTENT: dict[str, tuple[dict[str, Any], list[str]]] = {
    "sequences beside numbers": (
        {"features": [sequence("s"), numeric("x")]},
        ["features[1].kind: is no sequence, but features[0] is a sequence: a network takes one or the other"],
    ),
    "numbers beside a sequence": (
        {"features": [numeric("x"), sequence("s")], "layers": [dense("0")]},
        ["features[1].kind: is a sequence, but features[0] is no sequence: a network takes one or the other"],
    ),
    "recurrent layers without sequences": (
        {"features": [numeric("x"), numeric("y")]},
        [
            'layers[0].kind: "lstm" takes the steps of sequences, but no feature has the kind "sequence"',
            'layers[1].kind: "last" takes the steps of sequences, but no feature has the kind "sequence"',
        ],
    ),
    "a limit of steps without sequences": (
        {"features": [numeric("x"), numeric("y")], "layers": [dense("0")], "steps": 3},
        ['steps: is for a network with features of the kind "sequence"'],
    ),
    "a dense layer of steps": (
        {"layers": [LSTM, dense("0")]},
        [f'layers[1].kind: "dense" takes a row, not steps: put {POOLED} before it'],
    ),
    "two poolings": (
        {"layers": [LSTM, {"kind": "mean"}, {"kind": "max"}, dense("0")]},
        ['layers[2].kind: "max" takes steps, but "mean" before it has made one row of them'],
    ),
    "a recurrent layer behind the pooling": (
        {"layers": [LSTM, {"kind": "last"}, GRU, dense("0")]},
        ['layers[2].kind: "gru" takes steps, but "last" before it has made one row of them'],
    ),
    "a pooling before the recurrent layers": (
        {"layers": [{"kind": "mean"}, dense("0")]},
        ['layers[0].kind: "mean" comes behind a layer "lstm" or "gru"'],
    ),
    "no pooling": (
        {"layers": [LSTM, {"kind": "dropout"}]},
        [f"layers: has no layer {POOLED}, which makes one row of the steps"],
    ),
    "a limit of no steps": ({"steps": 0}, ["steps: must be at least 1"]),
    "a limit that is no whole number": ({"steps": 1.5}, ["steps: must be a whole number, not 1.5"]),
    "a step of no numbers": ({"features": [sequence("s", width=0)]}, ["features[0].width: must be at least 1"]),
    "centers for another width": (
        {"features": [sequence("s", width=2, center=[1.0, 2.0, 3.0])]},
        ["features[0].center: has 3 numbers, but a step has 2 numbers"],
    ),
    "a scale of 0 among others": (
        {"features": [sequence("s", width=2, scale=[1.0, 0.0])]},
        ["features[0].scale[1]: must not be 0: values are divided by it"],
    ),
    "a policy for missing sequences that is none": (
        {"features": [sequence("s", width=2, missing={"impute": 1.0})]},
        ['features[0].missing: must be "null", "error", "quarantine" or "empty", not {"impute": 1.0}'],
    ),
    "a policy for missing values that is none": (
        {"features": [sequence("s", width=2, missing_step="empty")]},
        ['features[0].missing_step: must be "null", "error", "quarantine" or {"impute": number}, not "empty"'],
    ),
    "a GRU with a word for reset_after": (
        {"layers": [recurrent("gru", "r0", reset_after="yes"), {"kind": "last"}, dense("0")]},
        ['layers[0].reset_after: must be true or false, not "yes"'],
    ),
    "an LSTM with reset_after": (
        {"layers": [recurrent("lstm", "r0", reset_after=True), {"kind": "last"}, dense("0")]},
        ['layers[0].reset_after: unknown key "reset_after"'],
    ),
}


@pytest.mark.parametrize("case", CONTENT)
def test_each_fault_of_a_network_of_sequences_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    content, messages = CONTENT[case]
    found = [line for line in said_of(tmp_path, **content) if "has no layer of the kind" not in line]
    assert found == messages


def changed(**named: np.ndarray | None) -> Callable[[], Tensors]:
    """Return what makes the tensors with one of another shape."""
    new = {f"r0.{name}": tensor for name, tensor in named.items()}
    return lambda: {name: tensor for name, tensor in (tensors() | new).items() if tensor is not None}


ones = np.ones
WEIGHTS: dict[str, tuple[Callable[[], Tensors], str]] = {
    "other inputs": (
        changed(input_weight=ones((12, 5), np.float32)),
        'layers[0].input_weight: tensor "r0.input_weight" takes 5 inputs, but the features make 2',
    ),
    "rows that are no gates": (
        changed(input_weight=ones((13, 2), np.float32)),
        'layers[0].input_weight: tensor "r0.input_weight" has 13 rows, but the 4 gates have as many rows each',
    ),
    "hidden weights of another shape": (
        changed(hidden_weight=ones((12, 4), np.float32)),
        (
            'layers[0].hidden_weight: tensor "r0.hidden_weight" has shape (12, 4), but the layer has 3 units '
            "and 4 gates, which make (12, 3)"
        ),
    ),
    "a bias of another length": (
        changed(hidden_bias=ones(9, np.float32)),
        (
            'layers[0].hidden_bias: tensor "r0.hidden_bias" has shape (9,), but the layer has 3 units and 4 gates, '
            "which make (12,)"
        ),
    ),
    "a bias that is a matrix": (
        changed(input_bias=ones((12, 1), np.float32)),
        'layers[0].input_bias: tensor "r0.input_bias" has shape (12, 1); it must have (gates * units,)',
    ),
    "NaN": (
        changed(hidden_weight=np.full((12, 3), np.nan, np.float32)),
        'layers[0].hidden_weight: 36 of the numbers are NaN or infinite in tensor "r0.hidden_weight"',
    ),
    "one infinite number": (
        changed(hidden_bias=np.array([np.inf] + [0.0] * 11, np.float32)),
        'layers[0].hidden_bias: 1 of the numbers is NaN or infinite in tensor "r0.hidden_bias"',
    ),
    "two types": (
        changed(hidden_bias=ones(12)),
        'layers[0].hidden_bias: tensor "r0.hidden_bias" is F64, but "r0.input_weight" is F32: use one type',
    ),
    "a tensor that is not there": (
        changed(hidden_bias=None),
        'layers[0].hidden_bias: there is no tensor "r0.hidden_bias" in the weights',
    ),
    "a dense layer that takes other inputs": (
        lambda: tensors() | {"0.weight": ones((1, 2), np.float32)},
        'layers[2].weight: tensor "0.weight" takes 2 inputs, but layers[0] gives 3',
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_of_recurrent_layers_that_do_not_fit_are_named_with_their_layer(case: str, tmp_path: Path) -> None:
    make, message = WEIGHTS[case]
    (line,) = said_of(tmp_path, make())
    assert line.split("; did you mean")[0] == message


def test_biases_that_are_left_out_are_zero(tmp_path: Path) -> None:
    kept = {name: tensor for name, tensor in tensors().items() if name not in {"r0.input_bias", "r0.hidden_bias"}}
    layer = {key: value for key, value in LSTM.items() if "bias" not in key}
    zero = {f"r0.{side}_bias": np.zeros(12, np.float32) for side in ("input", "hidden")}
    raw = []
    for folder, held, first in (("one", kept, layer), ("two", tensors() | zero, LSTM)):
        features, layers = [sequence("s", width=2)], [first, {"kind": "last"}, dense("0")]
        block = score_block(load_model(written(tmp_path / folder, held, features=features, layers=layers)), RAW)
        raw.append(block.block([pa.array([[0.5, 1.0, -1.0, 2.0]])]).arrays[1].to_pylist())
    assert raw[0] == raw[1]


def test_a_network_of_sequences_is_shown_with_its_layers_and_inputs(tmp_path: Path) -> None:
    features = [
        sequence("s", width=2, center=[1.0, 2.0], missing="empty", missing_step={"impute": 0.5}),
        sequence("t", scale=4.0),
    ]
    layers = [
        recurrent("lstm", "r0"),
        {"kind": "dropout", "rate": 0.5},
        recurrent("gru", "r1", reset_after=False),
        {"kind": "mean"},
        dense("0"),
    ]
    held = drawn_steps("lstm", (3, 4, 1)) | {
        name.replace("r0", "r1"): tensor
        for name, tensor in drawn_steps("gru", (4, 5, 1), seed=1).items()
        if name.startswith("r0")
    }
    held |= {"0.weight": np.ones((1, 5))}
    path = written(tmp_path, held, features=features, layers=layers, steps=12)
    shown = shown_model(path)
    facts = dict(shown.facts)
    assert facts["inputs"] == "3 in each step"
    assert facts["steps"] == "at most 12"
    assert [facts[f"layer {place}"] for place in range(5)] == [
        "lstm, 3 to 4",
        "dropout 0.5: ignored, nothing is dropped when a network scores",
        "gru, 4 to 5, reset before the product",
        "mean: the mean of the states over the steps",
        "dense, 5 to 1",
    ]
    assert str(facts["weights"]).startswith("model.safetensors: 315 numbers, float64, ")
    assert shown.rows == (
        ("s", "sequence of 2 numbers a step", "", 1.0, 1.0, "empty; in a step: impute 0.5", ""),
        ("", "", "", 2.0, 1.0, "", ""),
        ("t", "sequence", "", 0.0, 4.0, "null; in a step: null", ""),
    )
    described: Any = described_model(path)
    assert [layer.get("units") for layer in described["layers"]] == [4, None, 5, None, 1]
    assert [layer.get("inputs") for layer in described["layers"]] == [3, None, 4, None, 5]
    assert described["steps"] == 12
