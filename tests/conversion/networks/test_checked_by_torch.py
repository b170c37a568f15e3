"""``--check`` for weights with layers: PyTorch gets both, and the largest difference is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.conversion.networks import pytorch
from pipeline.errors import ThresholdError
from tests.models.network.networks import FUNCTIONS, categorical, content_of, dense, drawn, layers, numeric

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed"),
]


def imported(folder: Path, tensors: dict[str, np.ndarray], rows: pa.Table, **content: Any) -> dict[str, Any]:
    """Import a network, compared on rows, and return what its file keeps of it."""
    (folder / "state.safetensors").write_bytes(content_of(tensors))
    (folder / "layers.json").write_text(json.dumps({"head": "sigmoid", **content}))
    pq.write_table(rows, folder / "rows.parquet")
    output = folder / "network.json"
    model = pipeline.import_network(
        folder / "state.safetensors", folder / "layers.json", output, check=folder / "rows.parquet", if_exists="replace"
    )
    written = json.loads(output.read_text())["training"]
    assert model.training == written
    return dict(written["imported"])


def recurrent(place: int, kind: str, inputs: int, units: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    generator = np.random.default_rng(place)
    gates = {"lstm": 4, "gru": 3}[kind] * units
    shapes = {
        "input_weight": (gates, inputs),
        "hidden_weight": (gates, units),
        "input_bias": gates,
        "hidden_bias": gates,
    }
    tensors = {f"r{place}.{name}": generator.normal(0, 0.6, shape) for name, shape in shapes.items()}
    return {"kind": kind, **{name: f"r{place}.{name}" for name in shapes}}, tensors


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dense_network_is_compared_with_its_features_and_output_as_they_are(dtype: type, tmp_path: Path) -> None:
    features = [
        numeric("x", center=1.0, scale=2.0, missing={"impute": 0.5}),
        categorical("c", ["a", "b"], unseen="zero"),
    ]
    rows = pa.table({"x": [0.0, None, 2.0, 5.5], "c": ["a", "b", "q", None]})
    output = {"calibration": {"method": "platt", "slope": 2.0, "intercept": 0.5}}
    for function, parameters in FUNCTIONS.items():
        tensors = drawn((3, 6, 5, 1), dtype)
        described = layers(3, function, parameters)
        facts = imported(tmp_path, tensors, rows, features=features, layers=described, output=output)
        assert facts["rows"] == 4
        assert facts["largest_difference"] < (1e-6 if dtype == np.float32 else 1e-13)
        assert facts["tool"].startswith("torch ")


SEQUENCES: Sequence[tuple[list[str], str]] = [(["lstm"], "last"), (["gru", "lstm"], "mean"), (["lstm", "gru"], "max")]


@pytest.mark.parametrize(("kinds", "pooling"), SEQUENCES)
@pytest.mark.parametrize("reset_after", [True, False])
def test_a_network_of_sequences_is_compared(kinds: list[str], pooling: str, reset_after: bool, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    lengths = [1, 4, 0, 4, 7, 2]
    rows = pa.table(
        {
            "a": pa.array([[*generator.normal(size=n)] for n in lengths] + [None, [1.0, None]]),
            "b": pa.array([generator.normal(size=(n, 2)).tolist() for n in lengths] + [[[1.0, 2.0]], [[1.0, 2.0]] * 2]),
        }
    )
    features = [
        {"column": "a", "kind": "sequence", "center": 0.5, "scale": 2.0, "missing": "empty", "missing_step": "null"},
        {"column": "b", "kind": "sequence", "width": 2, "center": [1.0, 2.0], "missing": "empty"},
    ]
    made = [recurrent(place, kind, 3 if not place else 4, 4) for place, kind in enumerate(kinds)]
    described = [layer | ({"reset_after": reset_after} if layer["kind"] == "gru" else {}) for layer, _ in made]
    tensors = {name: tensor for _, each in made for name, tensor in each.items()} | drawn((4, 3))
    facts = imported(
        tmp_path,
        tensors,
        rows,
        features=features,
        layers=[*described, {"kind": pooling}, dense("0")],
        head="softmax",
        classes=["x", "y", "z"],
    )
    assert facts["rows"] == 8
    assert facts["largest_difference"] < 1e-13


def test_a_difference_that_rounding_does_not_explain_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytorch, "_function", lambda torch, layer, values: values)
    rows = pa.table({"x": [1.0, 2.0]})
    with pytest.raises(ThresholdError, match="by PyTorch: they may differ by 1e-12"):
        imported(tmp_path, drawn((1, 3, 1)), rows, features=[numeric("x")], layers=layers(2, "tanh"))
    assert not (tmp_path / "network.json").exists()
