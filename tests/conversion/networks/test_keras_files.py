"""Keras files: the network scores as Keras does (see ``make_keras.py``), and Keras is not needed to read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.conversion.importing import IMPORTERS
from pipeline.models.network.weights import parse_weights
from tests.conversion.networks.make_keras import FILES

pytest.importorskip("safetensors", reason="safetensors is not installed")
pytestmark = pytest.mark.skipif(find_spec("h5py") is None, reason="h5py is not installed")

NAMES = sorted(path.stem for path in FILES.glob("*.keras"))


def stored(name: str) -> dict[str, Any]:
    return dict(json.loads((FILES / f"{name}.json").read_text()))


@pytest.mark.parametrize("name", NAMES)
def test_a_network_scores_as_keras_did(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said, path = stored(name), FILES / f"{name}.keras"
    assert IMPORTERS["keras"].recognises(path.read_bytes()[:4096], "model")
    model: Any = pipeline.import_model(path)
    outputs = np.array(said["outputs"])
    if model.output.columns == ("raw_prediction",):
        ours = model.raw_prediction(said["rows"])
    else:
        ours = model.predict_proba(said["rows"]) if model.file.classes else model.probability(said["rows"])
    largest = float(np.abs(ours - outputs.reshape(ours.shape)).max())
    assert largest <= 1e-6
    assert "keras" not in sys.modules
    with capsys.disabled():
        print(f"{name}: {largest:.2g}", end=" ")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch, its backend, is not installed")
def test_check_compares_with_keras_and_stores_the_difference(tmp_path: Path) -> None:
    for name in NAMES:
        pq.write_table(pa.table(stored(name)["rows"]), tmp_path / f"{name}.parquet")
    program = (
        "import json, sys, pathlib, pipeline\n"
        "files, rows, *names = sys.argv[1:]\n"
        "made = [pipeline.import_model(f'{files}/{name}.keras', check=f'{rows}/{name}.parquet') for name in names]\n"
        "print(json.dumps([model.training['imported'] for model in made]))"
    )
    # Keras sets variables of the environment and starts threads.
    done = subprocess.run(
        [sys.executable, "-c", program, FILES, tmp_path, *NAMES],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": "torch"},
    )
    assert done.returncode == 0, done.stderr
    for facts in json.loads(done.stdout.splitlines()[-1]):
        assert (facts["from"], facts["rows"]) == ("keras", 8)
        assert facts["largest_difference"] < 1e-6
        assert facts["tool"].startswith("keras 3.")


def with_settings(name: str, position: int, path: Path, **settings: Any) -> Path:
    """Write a file with other settings of a layer; return where it is."""
    with zipfile.ZipFile(FILES / f"{name}.keras") as file:
        members = {each.filename: file.read(each) for each in file.infolist()}
    config = json.loads(members["config.json"])
    entry = config["config"]["layers"][position]
    entry["class_name"] = settings.pop("class_name", entry["class_name"])
    entry["config"].update(settings)
    with zipfile.ZipFile(path, "w") as file:
        for member, content in {**members, "config.json": json.dumps(config)}.items():
            file.writestr(member, content)
    return path


@pytest.mark.parametrize(("name", "axis"), [("gru", 2), ("normed", 1)])
def test_a_normalisation_along_the_units_counts_their_axis_from_either_end(
    name: str, axis: int, tmp_path: Path
) -> None:
    found: list[Any] = [
        pipeline.import_model(with_settings(name, 1, tmp_path / f"{name}{each}.keras", axis=each))
        for each in (axis, -1)
    ]
    rows = stored(name)["rows"]
    ours, theirs = (np.asarray(each.predict_proba(rows)) for each in found)
    np.testing.assert_array_equal(ours, theirs)


def test_a_softmax_may_have_its_axis_in_a_list(tmp_path: Path) -> None:
    for axis in (-1, 1, [-1], [1]):
        path = with_settings("normed", 6, tmp_path / "model.keras", class_name="Softmax", axis=axis)
        model: Any = pipeline.import_model(path)
        assert [layer.function for layer in model.file.layers] == ["relu", "softmax", None]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch, its backend, is not installed")
def test_keras_normalises_the_axis_that_the_file_names_where_rows_are_compared(tmp_path: Path) -> None:
    path = with_settings("gru", 0, tmp_path / "square.keras", batch_shape=[None, 3, 3])
    program = (
        "import json, pathlib, sys\n"
        "from pipeline.conversion.networks.keras.archive import read_archive\n"
        "from pipeline.conversion.networks.keras.config import model_of\n"
        "from pipeline.conversion.networks.keras.scoring import keras_scorer\n"
        "path, rows = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])\n"
        "archive, found = read_archive(path, path.read_bytes()), []\n"
        "for axis in (-1, 2, 1):\n"
        "    archive.config['config']['layers'][1]['config']['axis'] = axis\n"
        "    score = keras_scorer(model_of(archive.config), archive.weights, ['clicks'], outputs=2, is_raw=False)\n"
        "    found.append(score({'clicks': rows}).tolist())\n"
        "print(json.dumps(found))"
    )
    rows = json.dumps([cell[:3] for cell in stored("gru")["rows"]["clicks"]])
    done = subprocess.run(
        [sys.executable, "-c", program, path, rows],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": "torch"},
    )
    assert done.returncode == 0, done.stderr
    last, second, first = (np.array(each) for each in json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_array_equal(last, second)
    assert np.abs(last - first).max() > 1e-3


def test_layers_and_functions_are_those_of_the_file() -> None:
    model: Any = pipeline.import_model(FILES / "normed.keras")
    assert [layer.function for layer in model.file.layers] == ["relu", "gelu", None]
    assert [feature.column for feature in model.features] == ["column_0", "column_1", "column_2", "column_3"]
    assert model.features[0].scale != 1
    steps: Any = pipeline.import_model(FILES / "gru_before.keras")
    assert [layer.kind for layer in steps.file.layers] == ["gru", "lstm", "max", "dense"]
    assert (steps.file.layers[0].reset_after, steps.file.steps, steps.features[0].column) == (False, 5, "clicks")
    double: Any = pipeline.import_model(FILES / "double.keras")
    assert double.output.columns == ("raw_prediction",)
    assert {tensor.dtype for tensor in parse_weights(double.weights(), "double").tensors.values()} == {"F64"}
    notes = double.training["imported"]["notes"]
    assert notes[-1] == "the file gives raw predictions, no probabilities; so does the model"
    assert notes[0].startswith('columns: the input "input_layer')
