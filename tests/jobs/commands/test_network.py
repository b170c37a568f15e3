"""The command with a network: checked, shown, scored, verified; what is not for networks is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import threadpoolctl  # noqa: F401 - its first import sets a variable of the environment

import pipeline
from tests.conversion.networks.make_networks import GRAPHS
from tests.jobs.conftest import Outcome
from tests.models.network.networks import (
    categorical,
    content_of,
    drawn,
    drawn_steps,
    layers,
    numeric,
    sequence,
    step_layers,
    written,
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A model and rows for it."""
    features = [numeric("x", center=1.0, missing={"impute": 0.5}), categorical("c", ["a", "b"], unseen="zero")]
    hidden = [*layers(2, "relu")]
    described = [hidden[0], {"kind": "dropout", "rate": 0.5}, hidden[1]]
    model = written(tmp_path / "models", drawn((3, 4, 1)), features=features, layers=described)
    rows = pa.table({"x": [0.0, None, 2.0], "c": ["a", "b", "q"]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    return model, tmp_path / "rows.parquet"


def test_a_network_is_checked_shown_scored_and_verified(
    files: tuple[Path, Path], cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    model, rows = files
    checked = cli("model", "check", model)
    assert (checked.code, checked.out) == (0, f"{model}: valid, 2 features\n")
    shown = cli("model", "show", model)
    assert shown.code == 0
    assert "layer 1   dropout 0.5: ignored, nothing is dropped when a network scores" in shown.out
    described = json.loads(cli("model", "show", model, "--json").out)["model"]
    assert [each.get("units") for each in described["layers"]] == [4, None, 1]
    plan = cli("plan", rows, "-m", model, "-o", tmp_path / "out")
    assert plan.code == 0
    scored = cli("score", rows, "-m", model, "-o", tmp_path / "out", "--raw-prediction")
    assert scored.code == 0, scored.err
    assert pq.read_table(tmp_path / "out").column_names == ["probability", "raw_prediction"]
    assert "score, a network with 2 features" in cli("inspect", tmp_path / "out").out
    verified = cli("verify", tmp_path / "out", "--sample", "1", "--inputs")
    assert verified.code == 0
    assert "1 chunk scored again: the same bits" in verified.out


def test_what_is_not_for_networks_is_refused_with_its_exit_code(
    files: tuple[Path, Path], cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    model, rows = files
    refusals = {
        ("score", rows, "-m", model, "-o", tmp_path / "out", "--precision", "reproducible"): (
            2,
            "--precision reproducible is not for networks",
        ),
        ("plan", rows, "-m", model, "-o", tmp_path / "out", "--reasons", "2"): (2, "--reasons is not for networks"),
        ("model", "scorecard", model): (65, "is a network: its score is no sum of points"),
        ("model", "export", model, "--to", "sql"): (65, "a network cannot be written as sql"),
    }
    for words, (code, message) in refusals.items():
        found = cli(*words)
        assert (found.code, message in found.err) == (code, True), found
    assert not (tmp_path / "out").exists()


def described(folder: Path, **changed: object) -> Path:
    """Write what --layers takes for the weights in a folder."""
    content = {"features": [numeric("x"), categorical("c", ["a", "b"])], "layers": layers(2, "relu"), "head": "sigmoid"}
    path = folder / "layers.json"
    path.write_text(json.dumps({**content, **changed}, indent=1))
    return path


def test_the_state_of_a_network_and_its_layers_become_a_model_file(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    weights = tmp_path / "held" / "state.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(content_of(drawn((3, 4, 1))))
    words = ("model", "import", weights, "--layers", described(tmp_path), "-o", tmp_path / "network.json")
    made = cli(*words)
    assert (made.code, made.out) == (
        0,
        f"{tmp_path}/network.json: a network with 2 features, from {weights} and {tmp_path}/layers.json\n",
    )
    written = json.loads((tmp_path / "network.json").read_text())
    assert written["weights"]["file"] == "held/state.safetensors"
    assert written["training"]["imported"]["sha256"] == written["weights"]["sha256"]
    assert cli("model", "check", tmp_path / "network.json").code == 0
    told = json.loads(cli(*words, "--json").out)
    assert (told["kind"], told["imported"]["from"]) == ("model-import", "safetensors")
    model = pipeline.import_network(weights, tmp_path / "layers.json", tmp_path / "network.json")
    assert (model.kind, model.digest()) == ("network", told["digest"])
    pq.write_table(pa.table({"x": [0.5], "c": ["a"]}), tmp_path / "rows.parquet")
    assert pipeline.score(tmp_path / "rows.parquet", model, tmp_path / "out").totals.scored == 1
    described(tmp_path, target={"column": "y", "negative": 0, "positive": 1})
    assert cli(*words).code == 73
    assert cli(*words, "--if-exists", "replace").code == 0


@pytest.mark.skipif(find_spec("onnx") is None, reason="the package onnx is not installed")
def test_an_onnx_graph_of_a_network_becomes_a_model_file_and_its_weights(
    cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    graph = GRAPHS / "sklearn_two_float32.onnx"
    words = ("model", "import", graph, "-o", tmp_path / "network.json")
    made = cli(*words)
    assert made.code == 0, made.err
    assert f"{tmp_path}/network.json: a network with 4 features, from {graph} (onnx)" in made.out
    assert "columns without names, here column_0 to column_3" in made.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.json", "network.safetensors"]
    assert cli("model", "check", tmp_path / "network.json").code == 0
    assert cli(*words).code == 0
    stored = json.loads((GRAPHS / "sklearn_two_float32.json").read_text())
    pq.write_table(pa.table(stored["rows"]), tmp_path / "rows.parquet")
    assert cli("score", tmp_path / "rows.parquet", "-m", tmp_path / "network.json", "-o", tmp_path / "out").code == 0
    scores = pq.read_table(tmp_path / "out")["probability"].to_pylist()
    assert scores == pytest.approx([late for _, late in stored["probabilities"]], abs=1e-6)
    model = pipeline.import_model(graph)
    assert model.digest() == json.loads(cli(*words, "--json").out)["digest"]
    (tmp_path / "network.safetensors").write_bytes(b"something else")
    (tmp_path / "network.json").unlink()
    refused = cli(*words)
    assert (refused.code, "network.safetensors exists and is another file" in refused.err) == (73, True)
    assert not (tmp_path / "network.json").exists()
    assert cli(*words, "--if-exists", "replace").code == 0
    other = cli("model", "import", graph, "-o", tmp_path / "network.safetensors", "--if-exists", "replace")
    assert (other.code, "is the name of a file of weights" in other.err) == (2, True)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
def test_check_compares_a_network_with_onnxruntime_and_stores_the_difference(
    cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    stored = json.loads((GRAPHS / "gated_dynamo_fixed18.json").read_text())
    pq.write_table(pa.table(stored["rows"]), tmp_path / "rows.parquet")
    graph = GRAPHS / "gated_dynamo_fixed18.onnx"
    made = cli("model", "import", graph, "-o", tmp_path / "n.json", "--check", tmp_path / "rows.parquet")
    assert made.code == 0, made.err
    assert "8 rows scored both ways: largest difference" in made.out
    facts = json.loads((tmp_path / "n.json").read_text())["training"]["imported"]
    assert facts["rows"] == 8
    assert 0 < facts["largest_difference"] < 1e-6
    assert facts["tool"].startswith("onnxruntime ")


def test_an_import_of_weights_that_cannot_be_is_refused_and_writes_nothing(
    cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    weights = tmp_path / "state.safetensors"
    weights.write_bytes(content_of(drawn((3, 4, 1))))
    output = tmp_path / "network.json"

    def refused(code: int, message: str, *more: object, file: Path = weights, to: Path = output) -> None:
        found = cli("model", "import", file, "-o", to, *more)
        assert (found.code, message in found.err) == (code, True), found
        assert not to.exists() or to in {weights, tmp_path / "layers.json"}

    def bad(message: str, **changed: object) -> None:
        path = described(tmp_path, **changed)
        refused(65, f"layers.json is not a valid model: 1 problem\n  {message}", "--layers", path)

    refused(2, "has the weights of a network, but not its layers")
    good = described(tmp_path)
    refused(2, "--kind is not for weights", "--layers", good, "--kind", "onnx")
    (tmp_path / "other").mkdir()
    refused(2, "is not in the folder of", "--layers", good, to=tmp_path / "other" / "network.json")
    refused(2, "both the description of the layers and the output", "--layers", good, to=good)
    refused(66, "no such file", "--layers", tmp_path / "none.json")
    refused(66, "the weights of the model are not there", "--layers", good, file=tmp_path / "none.safetensors")
    bad('head at line 29, column 2: must be "sigmoid" or "softmax", not "tanh"', head="tanh")
    bad('kind at line 30, column 2: must be "network", not "logistic"', kind="logistic")
    bad('layers[0].weight at line 19, column 4: there is no tensor "q"', layers=[{"kind": "dense", "weight": "q"}])
    good.write_text("[1]")
    refused(65, "a description of layers is a JSON object, not a list", "--layers", good)
    good.write_text("{")
    refused(65, "not JSON", "--layers", good)


def test_a_network_over_sequences_is_shown_planned_scored_and_verified(
    cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    features = [sequence("s", width=2, missing="empty", missing_step={"impute": 0.0})]
    layers = step_layers("gru", 1, "max", reset_after=False)
    model = written(tmp_path / "models", drawn_steps("gru", (2, 3, 1)), features=features, layers=layers, steps=4)
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"s": [[1.0, 2.0], None, [1.0, None, 3.0, 4.0]]}), rows)
    assert cli("model", "check", model).out == f"{model}: valid, 1 feature\n"
    shown = cli("model", "show", model)
    assert "layer 0   gru, 2 to 3, reset before the product" in shown.out
    assert "empty; in a step: impute 0.0" in shown.out
    assert cli("plan", rows, "-m", model, "-o", tmp_path / "out").code == 0
    scored = cli("score", rows, "-m", model, "-o", tmp_path / "out")
    assert scored.code == 0, scored.err
    assert pq.read_table(tmp_path / "out")["probability"].null_count == 0
    assert cli("verify", tmp_path / "out", "--sample", "1", "--inputs").code == 0
    pq.write_table(pa.table({"s": [[1.0, 2.0] * 5]}), rows)
    found = cli("score", rows, "-m", model, "-o", tmp_path / "other")
    assert (found.code, 'has more steps than the model takes ("steps")' in found.err) == (65, True)
    (tmp_path / "rows.csv").write_text("s\n1\n")
    found = cli("score", tmp_path / "rows.csv", "-m", model, "-o", tmp_path / "other")
    assert (found.code, "write the sequences to Parquet" in found.err) == (65, True)


def test_the_state_of_a_torch_module_with_a_recurrent_layer_becomes_a_model_file(
    cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    held = drawn_steps("lstm", (1, 3, 1))
    names = {
        "input_weight": "weight_ih",
        "hidden_weight": "weight_hh",
        "input_bias": "bias_ih",
        "hidden_bias": "bias_hh",
    }
    state = {f"lstm.{name}_l0": held[f"r0.{member}"] for member, name in names.items()}
    state |= {f"out.{name}": held[f"0.{name}"] for name in ("weight", "bias")}
    (tmp_path / "state.safetensors").write_bytes(content_of(state))
    content = {
        "features": [sequence("s")],
        "layers": [
            {"kind": "lstm", **{member: f"lstm.{name}_l0" for member, name in names.items()}},
            {"kind": "last"},
            {"kind": "dense", "weight": "out.weight", "bias": "out.bias"},
        ],
        "steps": 7,
        "head": "sigmoid",
    }
    (tmp_path / "layers.json").write_text(json.dumps(content))
    model = tmp_path / "model.json"
    made = cli("model", "import", tmp_path / "state.safetensors", "--layers", tmp_path / "layers.json", "-o", model)
    assert made.code == 0, made.err
    assert json.loads(model.read_text())["steps"] == 7
    rows = pa.table({"s": [[0.5, 1.0], [2.0]]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    other = written(tmp_path / "own", held, features=[sequence("s")], layers=step_layers("lstm", 1, "last"))
    for path, output in ((model, "one"), (other, "two")):
        pipeline.score(tmp_path / "rows.parquet", path, tmp_path / output, scheduler="sync")
    assert pq.read_table(tmp_path / "one").equals(pq.read_table(tmp_path / "two"))
