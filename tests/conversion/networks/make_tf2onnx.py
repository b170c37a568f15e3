"""Makes the graphs ``graphs/tf_*`` with tf2onnx from networks of Keras, and what Keras gives for rows.

    KERAS_BACKEND=tensorflow PYTHONPATH=. python tests/conversion/networks/make_tf2onnx.py

Needs tensorflow, keras, tf2onnx and onnx. Files are those of ``make_networks.py``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipeline.conversion.onnx.protobuf import decode
from tests.conversion.networks.make_keras import learnt
from tests.conversion.networks.make_networks import COLUMNS, GRAPHS, STEPS, WIDTH, drawn, drawn_steps
from tests.conversion.onnx.make_graphs import to_plain


def networks() -> dict[str, Any]:
    """Return the networks by the names of their graphs."""
    import keras
    from keras import layers

    def of(shape: tuple[int | None, ...], *stack: Any) -> Any:
        return keras.Sequential([keras.Input(shape), *stack])

    hidden = (layers.Dense(6, "relu"), layers.BatchNormalization(), layers.Dense(5, "silu"), layers.Dense(4, "elu"))
    return {
        "tf_dense": of((COLUMNS,), *hidden, layers.Dense(4, "leaky_relu"), layers.Dense(3, "softmax")),
        "tf_lstm": of((STEPS, WIDTH), layers.LSTM(4), layers.Dropout(0.2), layers.Dense(1, "sigmoid")),
        "tf_lstm_max": of(
            (None, WIDTH),
            *(layers.LSTM(4, return_sequences=True), layers.LSTM(3, return_sequences=True)),
            *(layers.GlobalMaxPooling1D(), layers.Dense(1, "sigmoid")),
        ),
        "tf_lstm_mean": of(
            (STEPS, WIDTH), layers.LSTM(4, return_sequences=True), layers.GlobalAveragePooling1D(), layers.Dense(1)
        ),
    }


def main() -> None:
    import keras
    import tensorflow as tf
    import tf2onnx

    for name, network in networks().items():
        learnt(network)
        rows = drawn_steps() if len(network.input_shape) == 3 else drawn()
        signature = [tf.TensorSpec(network.input_shape, tf.float32, name="x")]
        function = tf.function(network, input_signature=signature)
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=15)
        path = GRAPHS / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        found = np.asarray(network(rows), dtype=np.float64)
        if name == "tf_lstm_mean":
            found = 1 / (1 + np.exp(-found))
        columns = {f"column_{place}": rows[:, place].tolist() for place in range(COLUMNS)} if rows.ndim == 2 else {}
        said = {
            "tools": [f"tf2onnx {tf2onnx.__version__}", f"tensorflow {tf.__version__}", f"keras {keras.__version__}"],
            "rows": columns or {"x": rows.tolist()},
            "probabilities": found.tolist(),
            "graph": to_plain(decode(path, path.read_bytes())),
        }
        (GRAPHS / f"{name}.json").write_text(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
