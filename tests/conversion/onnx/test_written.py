"""What onnxruntime made of graphs that we wrote, stored: see ``written_models.py``."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.conversion.onnx.graph import BOOL, DOUBLE, INT64, STRING
from pipeline.conversion.onnx.protobuf import decode
from pipeline.conversion.onnx.writing import graph as graph_of
from pipeline.models import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion.onnx.make_graphs import to_plain
from tests.conversion.onnx.test_both_ways import check, scores
from tests.conversion.onnx.written_models import MODELS, WRITTEN, document_of, rows_of

needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="the package onnx is not installed")


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return dict(json.loads(WRITTEN.read_text()))


def model_of(name: str) -> LogisticModel:
    return LogisticModel(from_mapping(document_of(name)))


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_is_the_one_that_onnxruntime_was_given(name: str, written: dict[str, Any]) -> None:
    # As text: NaN differs from itself.
    assert json.dumps(to_plain(graph_of(model_of(name).file))) == json.dumps(written[name]["graph"])


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_gave_what_we_give(name: str, written: dict[str, Any]) -> None:
    model, outputs = model_of(name), written[name]["outputs"]
    raw = np.array(outputs["raw_prediction"])
    np.testing.assert_array_equal(raw, scores(model, rows_of(name), "raw_prediction"))
    check(np.array(outputs["probability"]), scores(model, rows_of(name), "probability"))


def test_tails_of_the_sigmoid_keep_their_digits(written: dict[str, Any]) -> None:
    probability = np.array(written["tails_of_logit"]["outputs"]["probability"])[:, 0]
    # Of mpmath with 40 digits: sigmoid(-699), sigmoid(-37.5), sigmoid(-20).
    exact = {3: 2.6801379583386069e-304, 5: 5.1755550058018683e-17, 6: 2.0611536181902036e-9}
    for row, value in exact.items():
        assert probability[row] == pytest.approx(value, rel=1e-12)


def test_decisions_are_those_of_the_model(written: dict[str, Any]) -> None:
    outputs = written["policies"]["outputs"]
    assert outputs["decision"] == [[("yes" if p >= 0.4 else "no") if p == p else ""] for (p,) in outputs["probability"]]
    classes = written["one_vs_rest"]["outputs"]
    largest = [3.0 if a >= b else 1.0 for a, b in classes["raw_prediction"]]
    expected = [v if r[0] == r[0] else np.nan for v, r in zip(largest, classes["raw_prediction"], strict=True)]
    np.testing.assert_array_equal(np.array(classes["decision"])[:, 0], expected)


def test_inputs_have_the_types_of_the_features_in_their_order() -> None:
    ports = graph_of(model_of("policies").file).inputs
    assert [(port.name, port.type) for port in ports] == [
        ("x", DOUBLE),
        ("y", DOUBLE),
        ("c", STRING),
        # A missing value of these has a level, so that NaN must have a place.
        ("i", DOUBLE),
        ("b", DOUBLE),
    ]
    plain = [
        {"column": "i", "kind": "categorical", "coefficients": {"1": 1.0}},
        {"column": "b", "kind": "categorical", "coefficients": {"true": 1.0}},
    ]
    model = from_mapping({**document_of("policies"), "features": plain})
    assert [port.type for port in graph_of(model).inputs] == [INT64, BOOL]


@needs_onnx
def test_the_command_writes_a_graph_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.cli import run

    (tmp_path / "model.json").write_text(json.dumps(document_of("kinds")))
    monkeypatch.chdir(tmp_path)
    assert run(["model", "export", "model.json", "--to", "onnx", "-o", "model.onnx"]) == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.json", "model.onnx"]
    read_ = decode(Path("model.onnx"), Path("model.onnx").read_bytes())
    written, expected = (to_plain(each)["nodes"] for each in (read_, graph_of(model_of("kinds").file)))
    assert written == json.loads(json.dumps(expected))


@needs_onnx
def test_a_refused_model_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.cli import run

    (tmp_path / "model.json").write_text(json.dumps({**document_of("tails_of_logit"), "link": "probit"}))
    monkeypatch.chdir(tmp_path)
    assert run(["model", "export", "model.json", "--to", "onnx", "-o", "model.onnx"]) == 65
    assert [each.name for each in tmp_path.iterdir()] == ["model.json"]


def test_columns_that_a_graph_cannot_make_are_refused_by_name() -> None:
    document = {**document_of("kinds"), "output": {"columns": ["probability", "contributions"]}}
    with pytest.raises(Exception, match="a graph cannot make the column contributions"):
        graph_of(from_mapping(document))
