"""Models as graphs: scored by onnxruntime, and read back with the same bits."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.conversion.onnx.reading import read
from pipeline.conversion.onnx.scoring import runtime
from pipeline.conversion.onnx.writing import graph as graph_of
from pipeline.conversion.onnx.writing import write
from pipeline.models import LogisticModel
from pipeline.models.logistic.making import class_probabilities, probability_of
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.tally import RowTally
from tests.conversion.onnx.random_models import documents, feeds, table, without_empty_text, without_gaps

Floats = Any


def scores(model: LogisticModel, rows: pa.Table, column: str) -> Floats:
    """Return scores, shape (rows, outputs), NaN in rows without one, also where the policy is an error."""
    block = ScoreBlock(model.file, (column,))  # type: ignore[arg-type]
    columns = [rows[need.name].combine_chunks() for need in block.columns()]
    tally = RowTally(len(rows))
    arrays, _ = block.scores(columns, tally)
    found = np.column_stack([array.to_numpy(zero_copy_only=False).astype(np.float64) for array in arrays])
    found[tally.rejected] = np.nan
    found[tally.bad] = np.nan
    return found


def model_of(document: dict[str, Any]) -> LogisticModel:
    return LogisticModel(from_mapping(document))


@given(documents(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_graph_read_back_gives_the_same_bits(document: dict[str, Any], seed: int) -> None:
    model = model_of(document)
    written = graph_of(model.file)
    again = model_of(read(written).document)
    rows = without_gaps(written, table(seed))
    for column in ("raw_prediction", "probability"):
        ours, theirs = scores(model, rows, column), scores(again, rows, column)
        np.testing.assert_array_equal(ours, theirs)


def test_a_graph_read_back_is_the_model_in_folded_numbers() -> None:
    """The order of the features is that of the inputs; threshold and classes come from the nodes that decide."""
    document = {
        "format": "logitstream-model",
        "version": 1,
        "kind": "logistic",
        "target": {"negative": 1, "positive": 2},
        "intercept": -1.5,
        "features": [
            {"column": "y", "kind": "numeric", "coefficient": 0.1, "missing": {"impute": 2.5}},
            {
                "column": "c",
                "kind": "categorical",
                "coefficients": {"A": 1 / 3, "B": -2.0},
                "levels": "text",
                "missing": {"level": "B"},
                "unseen": "zero",
            },
            {"column": "x", "kind": "numeric", "coefficient": -1e-9},
        ],
        "output": {"threshold": 0.3, "alpha": 1.5},
    }
    written = graph_of(model_of(document).file)
    assert [port.name for port in written.inputs] == ["y", "c", "x"]
    assert read(written).document == document
    scaled = {**document, "features": [{**document["features"][2], "center": 2.0, "scale": 3.0}]}
    folded = read(graph_of(model_of(scaled).file)).document
    assert folded["features"] == [{"column": "x", "kind": "numeric", "coefficient": -1e-9 / 3.0}]
    assert folded["intercept"] == model_of(scaled).file.base


def test_classes_are_read_from_the_graph_with_their_type() -> None:
    for classes in (["b", "a"], [2, 1], [0.5, -1.0], [True, False]):
        document = {
            "format": "logitstream-model",
            "version": 2,
            "kind": "logistic",
            "classes": classes,
            "intercept": [0.5, 1.0],
            "features": [{"column": "x", "kind": "numeric", "coefficient": [1.0, -2.0]}],
        }
        again = read(graph_of(model_of(document).file)).document
        assert again == document
        assert list(map(type, again["classes"])) == list(map(type, classes))


@pytest.mark.slow
@given(documents(), st.integers(0, 1000))
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
def test_onnxruntime_scores_a_graph_as_we_do(document: dict[str, Any], seed: int) -> None:
    model = model_of(document)
    written = graph_of(model.file)
    rows = without_empty_text(without_gaps(written, table(seed)))
    session = runtime().InferenceSession(write(model.file), providers=["CPUExecutionProvider"])
    probability, raw = session.run(["probability", "raw_prediction"], feeds(written, rows))
    if takes_logarithms(document):
        # Which differ in the last digit from one library to the next.
        np.testing.assert_allclose(raw, scores(model, rows, "raw_prediction"), rtol=1e-12, atol=1e-11)
    else:
        np.testing.assert_array_equal(raw, scores(model, rows, "raw_prediction"))
    check(probability, of_raw(model, raw))


def takes_logarithms(document: dict[str, Any]) -> bool:
    return '"log' in json.dumps(document)


def of_raw(model: LogisticModel, raw: Floats) -> Floats:
    """Return our probabilities of raw predictions, shape (rows, outputs)."""
    with np.errstate(all="ignore"):
        if model.file.classes is None:
            return probability_of(model.file, raw[:, 0].copy(), "fast")[:, None]
        return class_probabilities(model.file, np.ascontiguousarray(raw.T), "fast").T


def check(theirs: Floats, ours: Floats) -> None:
    """Raise an error where probabilities differ by 1e-12, of their value if it is more than 1e-300."""
    np.testing.assert_array_equal(np.isnan(theirs), np.isnan(ours))
    known = ~np.isnan(ours)
    scale = np.where(np.abs(ours) < 1e-300, 1.0, np.abs(ours))
    with np.errstate(invalid="ignore"):
        difference = np.where(theirs == ours, 0.0, np.abs(theirs - ours) / scale)
    assert difference[known].max(initial=0) <= 1e-12
