"""Makes the files of ``keras_files/`` with Keras, and the probabilities that it gives for some rows.

    KERAS_BACKEND=torch python tests/conversion/networks/make_keras.py [NAME ...]

Needs keras and one of its backends. Each file is stored as Keras writes it (``NAME.keras``), but for ``double``
deflated, beside rows and probabilities (``NAME.json``).
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FILES = Path(__file__).parent / "keras_files"
ROWS, COLUMNS = 8, 4
STEPS, WIDTH = 5, 3


def rows() -> np.ndarray:
    return np.random.Generator(np.random.Philox(18)).normal(0, 2, (ROWS, COLUMNS)).astype(np.float32)


def sequences() -> np.ndarray:
    return np.random.Generator(np.random.Philox(21)).normal(0, 1, (ROWS, STEPS, WIDTH)).astype(np.float32)


def networks() -> dict[str, Any]:
    """Return the networks by the names of their files."""
    import keras
    from keras import layers

    def sequential(*stack: Any) -> Any:
        return keras.Sequential([keras.Input((COLUMNS,)), *stack])

    inputs = keras.Input((COLUMNS,), name="numbers")
    hidden = layers.Dense(5, activation="silu", name="second")(layers.Dropout(0.2)(layers.Dense(6, "tanh")(inputs)))
    activations = ("elu", "gelu", "softplus", "hard_sigmoid", "log_sigmoid", "leaky_relu", "sigmoid")
    steps = keras.Input((None, WIDTH), name="clicks")
    pooled = layers.GlobalAveragePooling1D()(
        layers.GRU(4, return_sequences=True)(layers.LSTM(4, return_sequences=True)(steps))
    )

    def of_steps(*stack: Any) -> Any:
        return keras.Sequential([keras.Input((STEPS, WIDTH), name="clicks"), *stack])

    return {
        "lstm": of_steps(layers.LSTM(4), layers.Dense(1, "sigmoid")),
        "gru": of_steps(
            layers.BatchNormalization(), layers.GRU(4), layers.Dense(3, "relu"), layers.Dense(2, "softmax")
        ),
        "gru_before": of_steps(
            layers.GRU(4, reset_after=False, return_sequences=True),
            layers.Dropout(0.1),
            layers.LSTM(3, return_sequences=True, use_bias=False),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ),
        "functional_steps": keras.Model(steps, layers.Dense(1, activation="sigmoid")(pooled)),
        "normed": sequential(
            layers.BatchNormalization(),
            layers.Dense(6, "relu", name="the first"),
            layers.BatchNormalization(scale=False),
            layers.Dropout(0.2),
            layers.Dense(5, use_bias=False),
            layers.Activation("gelu"),
            layers.Dense(1, "sigmoid"),
        ),
        "functional": keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden)),
        "functions": sequential(
            *(layers.Dense(6), layers.ReLU(), layers.Dense(6), layers.LeakyReLU(), layers.Dense(6), layers.ELU(0.5)),
            *(layers.Dense(6, name) for name in activations),
            layers.Dense(1),
        ),
        "double": keras.Sequential(
            [keras.Input((COLUMNS,)), layers.Dense(4, "tanh", dtype="float64"), layers.Dense(1, dtype="float64")]
        ),
    }


def learnt(network: Any) -> None:
    """Give each weight numbers that are not those of the beginning."""
    generator = np.random.Generator(np.random.Philox(20))
    for weight in network.weights:
        is_variance = weight.name == "moving_variance"
        drawn = generator.uniform(0.5, 2, weight.shape) if is_variance else generator.normal(0, 0.4, weight.shape)
        weight.assign(drawn)


def _columns(given: np.ndarray) -> dict[str, list[float]]:
    return {f"column_{place}": given[:, place].tolist() for place in range(COLUMNS)}


def deflated(path: Path) -> None:
    """Write a zip again, smaller."""
    with zipfile.ZipFile(path) as file:
        members = {each.filename: file.read(each) for each in file.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def main(wanted: list[str]) -> None:
    import keras

    keras.utils.set_random_seed(0)
    for name, network in networks().items():
        if wanted and name not in wanted:
            continue
        learnt(network)
        network.save(FILES / f"{name}.keras")
        if name != "double":
            deflated(FILES / f"{name}.keras")
        is_sequence = len(network.input_shape) == 3
        given = sequences() if is_sequence else rows()
        columns = {"clicks": given.tolist()} if is_sequence else _columns(given)
        found = np.asarray(network.predict(given, verbose=0), dtype=np.float64)
        assert len(np.unique(found[:, 0])) == ROWS, "the rows have too little effect on what is compared"
        made = {
            "tools": [f"keras {keras.__version__}", keras.backend.backend()],
            "rows": columns,
            "outputs": found.tolist(),
        }
        (FILES / f"{name}.json").write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
