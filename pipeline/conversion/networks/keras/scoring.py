"""How Keras scores rows with the layers of a file, for comparing.

Keras does not load the file, which may name any code: its own layers are made from settings that were read, and get the
weights that were read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from pipeline.conversion.agreement import squashed
from pipeline.conversion.importing import Floats, Score
from pipeline.conversion.networks.keras.archive import KerasWeights
from pipeline.conversion.networks.keras.config import KerasLayer, KerasModel
from pipeline.conversion.networks.sequences import scored_by_length

# The settings that change what a layer computes, by its class; the layers that change nothing are left out.
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "Dense": ("units", "activation", "use_bias"),
    "LSTM": ("units", "use_bias", "return_sequences"),
    "GRU": ("units", "use_bias", "return_sequences", "reset_after"),
    "GlobalAveragePooling1D": (),
    "GlobalMaxPooling1D": (),
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "Activation": ("activation",),
    "ReLU": ("negative_slope",),
    "LeakyReLU": ("negative_slope",),
    "ELU": ("alpha",),
    "Softmax": ("axis",),
}


def keras_scorer(
    model: KerasModel, weights: bytes, columns: Sequence[str], *, outputs: int, is_raw: bool
) -> Score | None:
    """Return what scores named columns with Keras; ``None`` if Keras is not installed.

    ``outputs`` are those of its last layer.
    """
    if find_spec("keras") is None:
        return None
    made = cache(partial(_made, model, weights))

    def predicted(values: Floats) -> Floats:
        return np.asarray(made().predict(values, verbose=0), dtype=np.float64)

    def score(rows: Mapping[str, Any]) -> Floats:
        if len(model.shape) == 2:
            steps, width = model.shape
            found = scored_by_length(rows[model.input], width or 1, steps, outputs, predicted)
        else:
            found = predicted(np.column_stack([_numbers(rows[name]) for name in columns]))
        found = found[:, 0] if found.shape[1] == 1 else found
        return squashed(found) if is_raw else found

    return score


def _numbers(cells: Sequence[Any]) -> Floats:
    return np.array([np.nan if each is None else each for each in cells], dtype=np.float64)


def _made(model: KerasModel, content: bytes) -> Any:
    import keras  # noqa: PLC0415 - an extra

    weights = KerasWeights(content)
    try:
        layers = [layer for layer in model.layers if layer.kind in _SETTINGS]
        made = keras.Sequential([keras.Input(model.shape), *(_layer(keras, layer) for layer in layers)])
        for layer, one in zip(layers, made.layers, strict=True):
            if one.weights:
                cell = "cell" if layer.kind in {"LSTM", "GRU"} else ""
                one.set_weights(weights.of(layer.stored, cell, layer.shown))
    finally:
        weights.close()
    return made


def _layer(keras: Any, layer: KerasLayer) -> Any:
    said = {name: layer.settings[name] for name in _SETTINGS[layer.kind] if name in layer.settings}
    return getattr(keras.layers, layer.kind)(**said, dtype=layer.precision)
