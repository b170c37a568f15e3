"""Graphs that sklearn-onnx wrote: the model scores as onnxruntime does (see ``make_graphs.py``)."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.conversion.onnx.protobuf import decode
from pipeline.conversion.onnx.reading import convert, read
from pipeline.errors import ModelError
from pipeline.models import LogisticModel
from tests.conversion.onnx.make_graphs import GRAPHS, from_plain, to_plain

NAMES = sorted(path.stem for path in GRAPHS.glob("*.json"))
needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="the package onnx is not installed")
needs_runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


def stored(name: str) -> dict[str, Any]:
    return dict(json.loads((GRAPHS / f"{name}.json").read_text()))


def model_of(document: dict[str, Any]) -> LogisticModel:
    return LogisticModel.from_json(json.dumps(document))


def probabilities(model: LogisticModel, rows: dict[str, list[Any]]) -> Any:
    table = pa.table({name: pa.array(values) for name, values in rows.items()})
    return model.predict_proba(table) if model.file.classes else model.probability(table)


def difference(model: LogisticModel, said: dict[str, Any], tolerance: float) -> float:
    """Return the largest difference of probabilities, having checked it."""
    theirs, ours = np.array(said["probabilities"]), probabilities(model, said["rows"])
    if model.output.columns == ("raw_prediction",):
        theirs = theirs.reshape(len(ours), -1)
        powers = np.exp(theirs)
        theirs = powers / powers.sum(axis=1, keepdims=True) if model.file.classes else 1 / (1 + np.exp(-theirs))
    if not model.file.classes:
        theirs = theirs.reshape(len(ours), -1)[:, -1]
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    largest = float(np.nanmax(np.abs(ours - theirs)))
    assert largest <= tolerance
    return largest


@pytest.mark.parametrize("name", NAMES)
def test_a_model_scores_as_its_graph_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = stored(name)
    found = read(from_plain(said["graph"]))
    assert found.tolerance == (1e-5 if name.endswith("float") else 1e-12)
    largest = difference(model_of(found.document), said, found.tolerance)
    with capsys.disabled():
        print(f"{name}: {largest:.2g}", end=" ")


@needs_onnx
@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_that_graph(name: str) -> None:
    path = GRAPHS / f"{name}.onnx"
    # As text: NaN differs from itself.
    assert json.dumps(to_plain(decode(path, path.read_bytes()))) == json.dumps(stored(name)["graph"])


@needs_onnx
@needs_runtime
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_is_asked_for_the_same_columns(name: str) -> None:
    path, said = GRAPHS / f"{name}.onnx", stored(name)
    made = convert(path, path.read_bytes())
    assert made.score is not None
    theirs, ours = made.score(said["rows"]), probabilities(model_of(made.document), said["rows"])
    assert np.abs(np.asarray(theirs) - ours).max() <= made.tolerance


@needs_onnx
@needs_runtime
@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 7])
def test_a_graph_that_was_written_for_a_number_of_rows_is_compared_on_any(rows: int, tmp_path: Path) -> None:
    import onnx

    graph, said = onnx.load(GRAPHS / "softmax_double.onnx"), stored("softmax_double")
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = rows
    path = tmp_path / "model.onnx"
    onnx.save(graph, path)
    made = convert(path, path.read_bytes())
    assert made.score is not None
    assert np.abs(np.asarray(made.score(said["rows"])) - np.array(said["probabilities"])).max() <= 1e-15


@needs_onnx
@needs_runtime
@pytest.mark.slow
def test_a_graph_that_cannot_be_run_on_the_rows_is_refused(tmp_path: Path) -> None:
    import onnx

    graph, said = onnx.load(GRAPHS / "softmax_double.onnx"), stored("softmax_double")
    path = tmp_path / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    made = convert(path, path.read_bytes())
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    onnx.save(graph, path)
    assert made.score is not None
    with pytest.raises(ModelError, match="onnxruntime cannot run the graph"):
        made.score(said["rows"])


def test_float32_coefficients_are_kept_as_they_are() -> None:
    graph = from_plain(stored("raw_float")["graph"])
    (classifier,) = (node for node in graph.nodes if node.operator == "LinearClassifier")
    document = read(graph).document
    assert [each["coefficient"] for each in document["features"]] == classifier.attributes["coefficients"][2:]
    assert document["intercept"] == classifier.attributes["intercepts"][1]
    assert all(float(np.float32(each["coefficient"])) == each["coefficient"] for each in document["features"])


@pytest.mark.parametrize(
    ("name", "kinds", "head"),
    [
        ("scaled_double", ["numeric"] * 2, {"version": 1, "target": {"negative": "late", "positive": "on time"}}),
        ("levels_float", ["numeric"] * 2 + ["categorical"] * 2, {"version": 1}),
        ("softmax_double", ["numeric"] * 2, {"version": 2, "classes": ["hi", "lo", "mid"]}),
        ("one_vs_rest_float", ["numeric"] * 2, {"classes": ["hi", "lo", "mid"], "normalise": "one-vs-rest"}),
        ("products_float", ["numeric"] * 2 + ["product"] * 3, {"version": 2}),
        ("bins_float", ["binned"] * 2, {"version": 2}),
        ("clipped_double", ["transformed"] * 2, {"version": 2}),
        ("raw_float", ["numeric"] * 2, {"output": {"columns": ["raw_prediction"]}}),
        ("raw_classes_float", ["numeric"] * 2, {"classes": ["hi", "lo", "mid"]}),
        ("columns_double", ["numeric"] * 2, {"version": 1, "target": {"negative": "late", "positive": "on time"}}),
        ("columns_classes_float", ["numeric"] * 2, {"classes": ["hi", "lo", "mid"]}),
    ],
)
def test_a_person_finds_the_graph_again_in_the_model(name: str, kinds: list[str], head: dict[str, Any]) -> None:
    document = read(from_plain(stored(name)["graph"])).document
    assert [feature["kind"] for feature in document["features"]] == kinds
    assert document | head == document


def test_an_unseen_or_missing_level_scores_as_in_the_graph() -> None:
    document = read(from_plain(stored("levels_float")["graph"])).document
    model = model_of(document)
    base = {"a": [0.5] * 4, "b": [1.0] * 4, "d": [1] * 4}
    known, unseen, empty, null = model.raw_prediction(pa.table({**base, "c": ["x", "?", "", None]}))
    assert unseen == empty == null != known


def test_columns_without_names_are_told_apart_and_said() -> None:
    found = read(from_plain(stored("scaled_float")["graph"]))
    assert found.columns == {"X": ("column_0", "column_1")}
    assert "column_0 to column_1; rename them in the model file" in found.notes[0]


def test_columns_have_the_names_that_the_metadata_has() -> None:
    said = stored("scaled_float")["graph"]
    for text in ('["dep delay", "distance"]', "dep delay, distance"):
        found = read(from_plain({**said, "metadata": {"columns": text}}))
        assert [each["column"] for each in found.document["features"]] == ["dep delay", "distance"]
        assert not any("column_0" in note for note in found.notes)


def test_paths_of_graphs_are_small() -> None:
    assert max(path.stat().st_size for path in Path(GRAPHS).iterdir()) < 20_000
