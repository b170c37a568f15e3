"""Networks as ONNX graphs and as safetensors: scored by onnxruntime, and read back with the same bits."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from jobs.cli import run
from pipeline.conversion.onnx.network_graph import network_graph
from pipeline.errors import LogitstreamError, ModelError, UsageError
from pipeline.models.network.model import NetworkModel
from pipeline.registry import FUNCTIONS as REGISTRY
from tests.conversion import written_networks
from tests.conversion.written_networks import (
    FEATURES,
    by_runtime,
    column_feeds,
    of_functions,
    ragged,
    rows_of,
    sequences_of,
)
from tests.models.network.networks import FUNCTIONS, categorical, columns, drawn, layers, numeric, written

needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="the package onnx is not installed")
needs_runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


def same_scores(one: NetworkModel, other: Any, rows: Any) -> None:
    np.testing.assert_array_equal(one.raw_prediction(rows), other.raw_prediction(rows))
    np.testing.assert_array_equal(one.predict_proba(rows), other.predict_proba(rows))


@pytest.mark.slow
@needs_onnx
@needs_runtime
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_onnxruntime_gives_our_scores_and_the_graph_is_read_back(
    function: str, dtype: Any, outputs: int, tmp_path: Path
) -> None:
    model = of_functions(tmp_path, function, dtype, outputs)
    if function == "gelu" and dtype == np.float64:
        with pytest.raises(ModelError, match="no Erf in float64"):
            model.export("onnx", tmp_path / "model.onnx")
        return
    model.export("onnx", tmp_path / "model.onnx")
    rows = rows_of()
    found = by_runtime(tmp_path / "model.onnx", column_feeds(rows))
    limit = 1e-12 if dtype == np.float64 else 2e-6
    ours = model.raw_prediction(rows).reshape(len(rows["x"]), outputs)
    np.testing.assert_allclose(found["raw_prediction"], ours, rtol=limit, atol=limit)
    assert np.isnan(ours[3]).all()
    probability = model.predict_proba(rows)[:, -outputs:]
    np.testing.assert_allclose(found["probability"], probability, rtol=0, atol=limit)
    same_scores(model, logitstream.import_model(tmp_path / "model.onnx"), rows)


CELLS = [("lstm", True), ("gru", True), ("gru", False)]


@pytest.mark.slow
@needs_onnx
@needs_runtime
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize(("kind", "reset_after"), CELLS)
def test_recurrent_layers_are_those_of_onnxruntime(
    kind: str, reset_after: bool, pooling: str, biases: bool, tmp_path: Path
) -> None:
    tensors, said = sequences_of(kind, pooling, reset_after=reset_after, biases=biases, dtype=np.float32)
    model = NetworkModel.load(written(tmp_path, tensors, **said))
    model.export("onnx", tmp_path / "model.onnx")
    lists, feeds = ragged()
    fits = feeds["steps"][:, 0] <= 9
    kept = {name: values.filter(pa.array(fits)) for name, values in lists.items()}
    ours = model.raw_prediction(kept)
    found = by_runtime(tmp_path / "model.onnx", feeds)["raw_prediction"][:, 0]
    np.testing.assert_allclose(found[fits], ours, rtol=2e-6, atol=2e-6)
    assert np.isnan(found[~fits]).all()
    assert np.isnan(ours).any()
    same_scores(model, logitstream.import_model(tmp_path / "model.onnx"), kept)


@pytest.mark.slow
@needs_onnx
@needs_runtime
@pytest.mark.parametrize("is_ragged", [True, False])
def test_rows_are_scored_both_ways_when_a_graph_is_read_back(is_ragged: bool, tmp_path: Path) -> None:
    if is_ragged:
        tensors, said = sequences_of("gru", "mean", reset_after=True, biases=True, dtype=np.float32)
        model = NetworkModel.load(written(tmp_path, tensors, **said))
        rows, _ = ragged()
    else:
        model, rows = of_functions(tmp_path, "tanh", np.float32, 3), rows_of()
    model.export("onnx", tmp_path / "model.onnx")
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    found = logitstream.import_model(tmp_path / "model.onnx", check=tmp_path / "rows.parquet")
    imported = dict(found.training or {})["imported"]
    assert imported["rows"] == len(rows["s" if is_ragged else "x"])
    assert 0 < imported["largest_difference"] < 1e-6


STORED = json.loads(written_networks.STORED.read_text())


@pytest.mark.parametrize("name", written_networks.NETWORKS)
def test_the_graph_is_the_one_that_onnxruntime_was_given(name: str, tmp_path: Path) -> None:
    assert written_networks.digest_of(written_networks.model_of(name, tmp_path)) == STORED[name]["graph"]


@pytest.mark.parametrize("name", written_networks.NETWORKS)
def test_onnxruntime_gave_what_we_give(name: str, tmp_path: Path) -> None:
    ours = written_networks.scores(written_networks.model_of(name, tmp_path))
    limit = 1e-12 if name.endswith("float64") else 1e-6
    theirs = np.array(STORED[name]["probability"], dtype=np.float64)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=limit)
    assert np.isfinite(ours).any()


@pytest.mark.parametrize("function", REGISTRY)
def test_every_function_of_the_registry_can_be_written(function: str, tmp_path: Path) -> None:
    path = written(tmp_path, drawn([4, 6, 1], np.float32), features=FEATURES, layers=layers(2, function))
    operators = {node.operator for node in network_graph(NetworkModel.load(path)).nodes}
    assert len(operators) > 4


@needs_onnx
def test_a_graph_that_was_changed_is_not_taken_for_ours(tmp_path: Path) -> None:
    import onnx

    model = of_functions(tmp_path, "tanh", np.float64)
    path = tmp_path / "model.onnx"
    model.export("onnx", path)
    changed = onnx.load(str(path))
    (node,) = (each for each in changed.graph.node if each.op_type == "Tanh")
    node.op_type = "Sign"
    onnx.save(changed, str(path))
    with pytest.raises(ModelError):
        logitstream.import_model(path)


@needs_onnx
def test_a_graph_with_other_weights_gives_those(tmp_path: Path) -> None:
    import onnx

    model = of_functions(tmp_path, "tanh", np.float64)
    path = tmp_path / "model.onnx"
    model.export("onnx", path)
    changed = onnx.load(str(path))
    (weight,) = (each for each in changed.graph.initializer if each.name.endswith("0.weight"))
    weight.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weight), weight.name))
    onnx.save(changed, str(path))
    found = logitstream.import_model(path)
    np.testing.assert_array_equal(found.tensors()["0.weight"], 2 * model.tensors()["0.weight"])


@needs_onnx
def test_the_command_writes_and_reads_a_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = of_functions(tmp_path, "relu", np.float64)
    source, graph, again = (str(tmp_path / name) for name in ("model.json", "model.onnx", "again.json"))
    assert run(["model", "export", source, "--to", "onnx", "--output", graph]) == 0
    assert run(["model", "import", graph, "--output", again]) == 0
    assert "the model as ONNX" in capsys.readouterr().err
    same_scores(model, NetworkModel.load(again), rows_of())


@pytest.mark.parametrize(("kind", "pooling"), [("lstm", "last"), ("gru", "mean")])
def test_weights_and_layers_are_read_back(kind: str, pooling: str, tmp_path: Path) -> None:
    tensors, said = sequences_of(kind, pooling, reset_after=True, biases=True, dtype=np.float64)
    model = NetworkModel.load(
        written(tmp_path, tensors, **said, target={"column": "late", "negative": 0, "positive": 1})
    )
    model.export("safetensors", tmp_path / "state.safetensors")
    described = json.loads((tmp_path / "state.layers.json").read_text())
    assert not described.keys() & {"weights", "training"}
    again = logitstream.import_network(
        tmp_path / "state.safetensors", tmp_path / "state.layers.json", tmp_path / "again.json"
    )
    assert again.features == model.features
    lists, feeds = ragged()
    kept = {name: values.filter(pa.array(feeds["steps"][:, 0] <= 9)) for name, values in lists.items()}
    same_scores(model, again, kept)


def test_the_command_writes_weights_and_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = of_functions(tmp_path, "tanh", np.float32)
    source, state, again = (str(tmp_path / name) for name in ("model.json", "state.safetensors", "again.json"))
    export = ["model", "export", source, "--to", "safetensors", "--output", state]
    assert run(export) == 0
    assert "state.layers.json says what they are" in capsys.readouterr().err
    assert run(export) == 0
    described = tmp_path / "state.layers.json"
    assert run(["model", "import", state, "--layers", str(described), "--output", again]) == 0
    same_scores(model, NetworkModel.load(again), rows_of())
    described.write_text("{}")
    assert run(export) == 73
    assert described.read_text() == "{}"
    assert run([*export, "--if-exists", "replace"]) == 0
    assert described.read_text() != "{}"


@pytest.mark.parametrize("by_command", [True, False])
@pytest.mark.parametrize(
    ("source", "kind", "made", "what"),
    [
        ("net.layers.json", "safetensors", "net.safetensors", "its model file, .*net.layers.json"),
        pytest.param("net.json", "onnx", "model.safetensors", "its weights, .*model.safetensors", marks=needs_onnx),
    ],
)
def test_an_export_does_not_replace_the_network_itself(
    source: str, kind: str, made: str, what: str, by_command: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_functions(tmp_path, "tanh", np.float32)
    path = (tmp_path / "model.json").rename(tmp_path / source)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    if by_command:
        output = ["--output", str(tmp_path / made), "--if-exists", "replace"]
        assert run(["model", "export", str(path), "--to", kind, *output]) == 2
        assert re.search(what, capsys.readouterr().err)
    else:
        with pytest.raises(UsageError, match=what):
            NetworkModel.load(path).export(kind, tmp_path / made)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_weights_that_are_exported_to_where_they_are_stay(tmp_path: Path) -> None:
    model = of_functions(tmp_path, "tanh", np.float32)
    before = Path(model.path).read_bytes()
    model.export("safetensors", model.path)
    assert Path(model.path).read_bytes() == before
    assert NetworkModel.load(tmp_path / "model.json") == model


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("sql", {}, "a network cannot be written as sql"),
    ("pmml", {}, "a network cannot be written as pmml"),
    ("python", {}, "a network cannot be written as python"),
    ("onnx", {"features": [numeric("x", missing="error"), *columns(3)]}, 'column "x" has missing "error"'),
    (
        "onnx",
        {"features": [categorical("c", ["a", "b", "c", "d"], unseen="error")]},
        'column "c" has unseen "error"',
    ),
    ("onnx", {"features": [numeric("probability"), *columns(3)]}, 'column "probability" has the name of an output'),
    (
        "onnx",
        {"output": {"columns": ["points"], "points": {"base_points": 1, "base_odds": 1, "pdo": 1}}},
        "a graph cannot make the column points",
    ),
]


@pytest.mark.parametrize(("kind", "said", "message"), REFUSED)
def test_what_a_target_cannot_express_is_refused_by_name(
    kind: str, said: dict[str, Any], message: str, tmp_path: Path
) -> None:
    described = {"features": FEATURES, "layers": layers(2, "tanh")} | said
    model = NetworkModel.load(written(tmp_path, drawn([4, 6, 1]), **described))
    with pytest.raises(ModelError, match=message) as raised:
        model.export(kind, tmp_path / "made")
    assert raised.value.remedy
    assert not (tmp_path / "made").exists()


SEQUENCE_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"column": "s", "missing": "error"}, 'column "s" has missing "error"'),
    ({"column": "s", "missing_step": "error"}, 'column "s" has missing_step "error"'),
    ({"column": "steps"}, 'column "steps" has the name of the input'),
    ({"column": "s"}, "onnxruntime has no LSTM in float64"),
]


@pytest.mark.parametrize(("said", "message"), SEQUENCE_FAULTS)
def test_sequences_that_a_graph_cannot_take_are_refused(said: dict[str, Any], message: str, tmp_path: Path) -> None:
    tensors, described = sequences_of("lstm", "last", reset_after=True, biases=True, dtype=np.float64)
    described["features"] = [{"kind": "sequence", "width": 3, **said}]
    model = NetworkModel.load(written(tmp_path, tensors, **described))
    with pytest.raises(ModelError, match=message):
        model.export("onnx", tmp_path / "made")


def test_a_network_needs_the_name_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = of_functions(tmp_path, "tanh", np.float64)
    with pytest.raises(UsageError, match="not the name of a safetensors file"):
        model.export("safetensors", tmp_path / "state.json")
    with pytest.raises(UsageError):
        model.export("excel", tmp_path / "made")
    assert run(["model", "export", str(tmp_path / "model.json"), "--to", "safetensors"]) == 2
    assert "name a file with --output" in capsys.readouterr().err


def test_a_logistic_model_has_no_weights_to_write(tmp_path: Path) -> None:
    features = [{"column": "x", "kind": "numeric", "coefficient": 1.0}]
    said = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0, "features": features}
    model = logitstream.LogisticModel.from_json(json.dumps(said))
    with pytest.raises(LogitstreamError, match="no weights"):
        model.export("safetensors", tmp_path / "made.safetensors")
