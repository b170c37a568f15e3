"""What can be wrong with a Keras file, row by row: one clear error each."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline.errors import ModelError
from tests.conversion.networks.make_keras import FILES

pytestmark = pytest.mark.skipif(find_spec("h5py") is None, reason="h5py is not installed")

WEIGHTS = "model.weights.h5"
Members = dict[str, bytes]


def members(name: str = "normed") -> Members:
    with zipfile.ZipFile(FILES / f"{name}.keras") as file:
        return {each.filename: file.read(each) for each in file.infolist()}


def configured(change: Callable[[dict[str, Any]], object], name: str = "normed") -> Members:
    """Return the members of a file with another configuration."""
    made = members(name)
    config = json.loads(made["config.json"])
    change(config)
    return {**made, "config.json": json.dumps(config).encode()}


def layer(position: int, **changed: Any) -> Members:
    """Return the members with other settings of a layer of ``normed``; the first is its input."""

    def change(config: dict[str, Any]) -> None:
        entry = config["config"]["layers"][position]
        for name, value in changed.items():
            (entry if name in entry else entry["config"])[name] = value

    return configured(change)


def recurrent(**changed: Any) -> Members:
    """Return the members of ``lstm`` with other settings of its LSTM."""
    return configured(lambda config: config["config"]["layers"][1]["config"].update(changed), "lstm")


def normed_steps(axis: int) -> Members:
    """Return the members of ``gru`` for rows of as many steps as a step has numbers, normalised along an axis."""

    def change(config: dict[str, Any]) -> None:
        steps, norm = (each["config"] for each in config["config"]["layers"][:2])
        steps["batch_shape"] = [None, 3, 3]
        norm["axis"] = axis

    return configured(change, "gru")


def weighted(change: Callable[[Any], object]) -> Members:
    """Return the members with other weights."""
    import h5py

    made = members()
    buffer = io.BytesIO(made[WEIGHTS])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return {**made, WEIGHTS: buffer.getvalue()}


def replaced(value: Any, where: str = "layers/dense/vars", **options: Any) -> Callable[[Any], None]:
    """Return what puts something in the place of the first weights of the first dense layer."""

    def change(file: Any) -> None:
        del file[where]["0"]
        if isinstance(value, np.ndarray):
            file[where].create_dataset("0", data=value, **options)
        else:
            file[where]["0"] = value

    return change


def _external(file: Any) -> None:
    import h5py

    replaced(h5py.ExternalLink("/etc/passwd", "/"))(file)


def _soft(file: Any) -> None:
    import h5py

    replaced(h5py.SoftLink("/layers/dense/vars/1"))(file)


def _stored_elsewhere(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset("0", (4, 6), dtype="<f4", external=[("/etc/passwd", 0, 96)])


def _shared(config: dict[str, Any]) -> None:
    """Let the last layer take the outputs of the first one, too."""
    layers = config["config"]["layers"]
    layers[-1]["inbound_nodes"][0]["args"].append(layers[1]["inbound_nodes"][0]["args"][0])


def _of_two_inputs(config: dict[str, Any]) -> None:
    said = config["config"]
    (first,) = said["input_layers"] if isinstance(said["input_layers"][0], list) else [said["input_layers"]]
    said["input_layers"] = [first, ["other", 0, 0]]


def _of_version_2(made: Members) -> Members:
    return {**made, "metadata.json": b'{"keras_version": "2.15.0"}'}


FAULTS: dict[str, tuple[Callable[[], Members], tuple[str, ...]]] = {
    "masking": (
        lambda: layer(4, class_name="Masking"),
        ('the layer "dropout', "(Masking) is of a class that logitstream does not read"),
    ),
    "a layer in reverse": (
        lambda: recurrent(go_backwards=True),
        ('the layer "lstm', "(LSTM) reads the steps in reverse (go_backwards)"),
    ),
    "a layer that gives its state": (lambda: recurrent(return_state=True), ("gives its state, too (return_state)",)),
    "a layer that keeps its state": (lambda: recurrent(stateful=True), ("from batch to batch (stateful)",)),
    "gates with another function": (
        lambda: recurrent(recurrent_activation="hard_sigmoid"),
        ("has the functions tanh and hard_sigmoid, not tanh and sigmoid", "train it with these two"),
    ),
    "a dense layer for each step": (
        lambda: recurrent(return_sequences=True),
        ("has a dense layer for each step of a sequence",),
    ),
    "a convolution": (lambda: layer(4, class_name="Conv1D"), ("(Conv1D) is of a class",)),
    "a bidirectional layer": (lambda: layer(4, class_name="Bidirectional"), ("(Bidirectional) is of a class",)),
    "a layer of its own": (
        lambda: layer(4, module="my.package", registered_name="my.package>Gate"),
        ("has Dropout of my.package, which is not part of Keras",),
    ),
    "a layer that is registered": (
        lambda: layer(4, registered_name="Custom>Dropout"),
        ("the file has Custom>Dropout, which is not part of Keras",),
    ),
    "a subclassed model": (
        lambda: configured(lambda config: config.update(class_name="Model")),
        ("a model of the class Model", "use a Sequential or functional model"),
    ),
    "an unknown function": (
        lambda: layer(2, activation="mish"),
        ('the layer "the first" (Dense) has the function mish', "leave the layer out"),
    ),
    "a function of its own": (
        lambda: layer(2, activation={"module": "my", "class_name": "function", "config": "f"}),
        ("has the function function",),
    ),
    "half precision": (
        lambda: layer(2, dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}}),
        ("computes in mixed_bfloat16",),
    ),
    "quantised weights": (lambda: layer(2, quantization_config={"mode": "int8"}), ("is quantised",)),
    "another axis": (lambda: layer(1, axis=2), ("normalises axis 2",)),
    "an axis that is a list": (lambda: layer(1, axis=[2]), ("has [2] for axis",)),
    "the axis of the steps": (lambda: normed_steps(1), ("(BatchNormalization) normalises axis 1, not that",)),
    "a softmax over another axis": (
        lambda: layer(6, module="keras.layers", class_name="Softmax", axis=[0]),
        ("(Softmax) works over another axis",),
    ),
    "a precision that is damaged": (
        lambda: layer(2, dtype={"module": "keras", "class_name": "DTypePolicy", "config": None}),
        ("(Dense) has {'module': 'keras', 'class_name'", "for dtype", "write it again with Keras 3"),
    ),
    "a setting of another type": (lambda: layer(2, units="6"), ("has '6' for units",)),
    "other units": (
        lambda: layer(2, units=7),
        ("has weights of the shapes (4, 6), (6,), not (4, 7), (7,)",),
    ),
    "layers that are joined": (
        lambda: configured(_shared, "functional"),
        ("takes several outputs, or shares them", "each layer must take the outputs of the one before"),
    ),
    "two inputs": (
        lambda: configured(_of_two_inputs, "functional"),
        ("the model has 2 inputs and 1 outputs, not one each",),
    ),
    "an input of several axes": (
        lambda: layer(0, batch_shape=[None, 4, 4, 4]),
        ("has rows of the shape (4, 4, 4)",),
    ),
    "a configuration that is damaged": (
        lambda: configured(lambda config: config.update(config=[])),
        ("the configuration of the model in the file is damaged",),
    ),
    "no configuration": (lambda: {**members(), "config.json": b"[1]"}, ("its configuration is no object",)),
    "Keras 2": (lambda: _of_version_2(members()), ("is not of Keras 3 but of version 2.15.0", "model.save")),
    "no weights": (
        lambda: {name: content for name, content in members().items() if name != WEIGHTS},
        ("is not a Keras file, or damaged",),
    ),
    "weights that are no HDF5": (lambda: {**members(), WEIGHTS: b"numbers"}, ("are no HDF5, or damaged",)),
    "weights that are cut off": (
        lambda: {**members(), WEIGHTS: members()[WEIGHTS][:3000]},
        ("damaged",),
    ),
    "weights in another file": (
        lambda: weighted(_external),
        ("/layers/dense/vars/0 are a link to another place or file, which is not followed",),
    ),
    "weights in another place": (lambda: weighted(_soft), ("are a link to another place",)),
    "weights whose bytes are elsewhere": (lambda: weighted(_stored_elsewhere), ("are in another file",)),
    "weights that are packed by a program": (
        lambda: weighted(replaced(np.zeros((4, 6), "<f4"), compression="lzf")),
        ("are in another file, or packed by a program",),
    ),
    "weights that are whole numbers": (
        lambda: weighted(replaced(np.zeros((4, 6), "<i4"))),
        ("are int32; weights are float32 or float64",),
    ),
    "weights that are NaN": (
        lambda: weighted(replaced(np.full((4, 6), np.nan, "<f4"))),
        ("have numbers that are NaN or infinite",),
    ),
    "weights of another shape": (
        lambda: weighted(replaced(np.zeros((5, 6), "<f4"))),
        ("has weights of the shapes (5, 6), (6,), not (4, 6), (6,)",),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_keras_file_that_is_no_network_here_is_refused_with_its_reason(fault: str, tmp_path: Path) -> None:
    make, said = FAULTS[fault]
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in make().items():
            file.writestr(name, content)
    with pytest.raises(ModelError) as caught:
        pipeline.import_model(path)
    message = str(caught.value)
    assert all(part in message for part in said), message
    assert len(message.splitlines()) <= 3
    assert caught.value.exit_code == 65
    assert caught.value.remedy


@pytest.mark.parametrize("size", [10, 1000, 8000])
def test_a_keras_file_that_is_cut_off_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes((FILES / "double.keras").read_bytes()[:size])
    with pytest.raises(ModelError, match="is not a Keras file, or damaged"):
        pipeline.import_model(path)


@pytest.mark.parametrize("name", ["normed", "functional_steps"])
def test_a_keras_file_that_is_damaged_anywhere_is_read_or_refused(name: str, tmp_path: Path) -> None:
    draw, whole = random.Random(18), members(name)
    refused = 0
    for number in range(60):
        made = dict(whole)
        if number % 2:
            content = bytearray(made[WEIGHTS])
            for _ in range(draw.randrange(1, 6)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            made[WEIGHTS] = bytes(content)
        else:
            made["config.json"] = json.dumps(damaged(json.loads(made["config.json"]), draw)).encode()
        path = tmp_path / f"{number}.keras"
        with zipfile.ZipFile(path, "w") as file:
            for member, content_of in made.items():
                file.writestr(member, content_of)
        try:
            pipeline.import_model(path)
        except ModelError:
            refused += 1
    assert refused > 10


def damaged(config: Any, draw: random.Random) -> Any:
    """Return a configuration with another value in one place."""
    node = config
    while True:
        key = draw.choice([*node] if isinstance(node, dict) else [*range(len(node))])
        if isinstance(node[key], dict | list) and node[key] and draw.random() < 0.8:
            node = node[key]
            continue
        node[key] = draw.choice([None, -1, 0, 1e9, "x", [], {}, True, [1], {"class_name": "__keras_tensor__"}])
        return config
