"""ONNX graphs of networks: the model scores as the tool that wrote the graph (see ``make_networks.py``)."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from pipeline.conversion.onnx.networks.reading import is_network, read_network
from pipeline.conversion.onnx.protobuf import decode
from pipeline.conversion.onnx.reading import convert
from pipeline.errors import DataError
from pipeline.models.network.making import network_in_memory
from tests.conversion.networks.make_networks import GRAPHS
from tests.conversion.onnx.make_graphs import from_plain, to_plain

pytest.importorskip("safetensors", reason="safetensors is not installed")

NAMES = sorted(path.stem for path in GRAPHS.glob("*.json"))
needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="the package onnx is not installed")
needs_runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


def stored(name: str) -> dict[str, Any]:
    return dict(json.loads((GRAPHS / f"{name}.json").read_text()))


def probabilities(document: dict[str, Any], tensors: Any, rows: dict[str, list[Any]]) -> np.ndarray:
    """Return the probabilities of a network, shape (rows,) or (rows, classes)."""
    model = network_in_memory({**document, "output": {}}, tensors, "the graph")
    return model.predict_proba(rows) if model.file.classes else model.probability(rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_scores_as_the_tool_that_wrote_its_graph(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = stored(name)
    graph = from_plain(said["graph"])
    assert is_network(graph)
    read = read_network(graph)
    ours = probabilities(read.found.document, read.tensors, said["rows"])
    theirs = np.array(said["probabilities"])
    theirs = theirs[:, -1] if ours.ndim == 1 and theirs.ndim == 2 else theirs
    largest = float(np.abs(ours - theirs.reshape(ours.shape)).max())
    assert largest <= (1e-12 if name.endswith("float64") else 1e-6)
    with capsys.disabled():
        print(f"{name}: {largest:.2g}", end=" ")


@needs_onnx
@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_that_graph(name: str) -> None:
    path = GRAPHS / f"{name}.onnx"
    assert json.dumps(to_plain(decode(path, path.read_bytes()))) == json.dumps(stored(name)["graph"])


@needs_onnx
@needs_runtime
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_scores_the_same(name: str) -> None:
    path, said = GRAPHS / f"{name}.onnx", stored(name)
    made = convert(path, path.read_bytes())
    assert made.score is not None
    theirs = np.asarray(made.score(said["rows"]))
    ours = probabilities(made.document, made.tensors, said["rows"])  # type: ignore[union-attr]
    assert np.abs(theirs - ours).max() <= made.tolerance / (1 if made.tolerance < 1e-9 else 10)


LAYERS = {
    "mlp_legacy_fixed": (["relu", "tanh", None], "sigmoid"),
    "gated_legacy_dynamic14": (["gelu", "silu", None], "softmax"),
    "gated_dynamo_fixed18": (["gelu", "silu", None], "softmax"),
    "functions_legacy_fixed14": (
        ["gelu_tanh", "leaky_relu", "elu", "log_sigmoid", "softplus", "hard_sigmoid", None],
        "sigmoid",
    ),
    "functions_dynamo_dynamic": (
        ["gelu_tanh", "leaky_relu", "elu", "log_sigmoid", "softplus", "hard_sigmoid", None],
        "sigmoid",
    ),
    "normed_legacy_dynamic": (["relu", None], "softmax"),
    "sklearn_two_float64": (["relu", "relu", None], "sigmoid"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_functions_that_exporters_take_apart_are_found_and_normalisations_are_folded(name: str) -> None:
    functions, head = LAYERS[name]
    document = read_network(from_plain(stored(name)["graph"])).found.document
    assert [layer.get("function") for layer in document["layers"]] == functions
    assert document["head"] == head


STEPS = {
    "lstm_last_legacy_dynamic14": (["lstm", "last", "dense", "dense"], None),
    "lstm_state_legacy_fixed": (["lstm", "lstm", "last", "dense", "dense"], 6),
    "lstm_state_dynamo_dynamic": (["lstm", "lstm", "last", "dense", "dense"], 6),
    "lstm_cut_dynamo_fixed18": (["lstm", "last", "dense", "dense"], 6),
    "gru_mean_legacy_dynamic17": (["gru", "mean", "dense", "dense"], None),
    "gru_max_dynamo_fixed": (["gru", "gru", "max", "dense", "dense"], 6),
    "gru_steps_legacy_dynamic": (["gru", "last", "dense", "dense"], None),
}


@pytest.mark.parametrize("name", STEPS)
def test_recurrent_layers_and_what_is_made_of_the_steps_are_those_of_the_graph(name: str) -> None:
    kinds, steps = STEPS[name]
    found = read_network(from_plain(stored(name)["graph"])).found
    assert [layer["kind"] for layer in found.document["layers"]] == kinds
    assert found.document.get("steps") == steps
    assert found.document["features"] == [{"column": "x", "kind": "sequence", "width": 3}]
    assert bool(found.notes) == (steps is not None)


@needs_onnx
@needs_runtime
@pytest.mark.slow
def test_rows_of_other_lengths_are_compared_where_the_graph_takes_any() -> None:
    rows = [np.arange(3.0 * length).reshape(length, 3).tolist() for length in (1, 4, 9, 4)] + [None]
    for name, kind in (("gru_mean_legacy_dynamic17", "mean"), ("lstm_state_legacy_fixed", "last")):
        path = GRAPHS / f"{name}.onnx"
        made: Any = convert(path, path.read_bytes())
        if kind == "last":
            with pytest.raises(DataError, match="row 1 of the rows to check has 1 steps, but the file takes 6"):
                made.score({"x": rows})
            continue
        theirs, ours = made.score({"x": rows}), probabilities(made.document, made.tensors, {"x": rows})
        assert np.isnan(theirs[-1]).all()
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_scaler_before_the_first_layer_becomes_centers_and_scales() -> None:
    document = read_network(from_plain(stored("sklearn_scaled_float64")["graph"])).found.document
    graph = stored("sklearn_scaled_float64")["graph"]["constants"]
    assert [each["center"] for each in document["features"]] == pytest.approx(graph["Su_Subcst"]["values"], rel=1e-15)
    assert [each["scale"] for each in document["features"]] == pytest.approx(graph["Di_Divcst"]["values"], rel=1e-15)
    assert document["classes"] == [0, 1, 2]


def test_columns_that_the_graph_names_are_not_said_to_have_no_names() -> None:
    plain = stored("functions_dynamo_dynamic")["graph"]
    without = read_network(from_plain(plain)).found
    names = [f"mine {place}" for place in range(len(without.unnamed))]
    found = read_network(from_plain({**plain, "metadata": {"columns": json.dumps(names)}})).found
    assert found.notes == ("the graph gives raw predictions, no probabilities; so does the model",)
    assert [each["column"] for each in found.document["features"]] == names
    assert (len(without.unnamed), found.unnamed) == (len(names), ())
    assert len(names) > 1


def test_classes_and_the_kind_of_output_are_those_of_the_graph() -> None:
    two = read_network(from_plain(stored("sklearn_two_float32")["graph"])).found.document
    assert two["target"] == {"negative": "late", "positive": "on time"}
    read = read_network(from_plain(stored("functions_dynamo_dynamic")["graph"])).found
    assert read.document["output"] == {"columns": ["raw_prediction"]}
    assert "the graph gives raw predictions, no probabilities; so does the model" in read.notes
    logarithms = read_network(from_plain(stored("normed_dynamo_dynamic")["graph"])).found
    assert "output" not in logarithms.document
    assert logarithms.document["classes"] == ["class_0", "class_1", "class_2"]
