"""From a Keras file to a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.conversion.networks.document import ImportedNetwork, NetworkHead, network_document, tensors_of
from pipeline.conversion.networks.keras.archive import KerasArchive, KerasWeights, read_archive
from pipeline.conversion.networks.keras.config import KerasModel, model_of
from pipeline.conversion.networks.keras.layers import stacked
from pipeline.conversion.networks.keras.scoring import keras_scorer
from pipeline.conversion.networks.stack import Stack
from pipeline.errors import ModelError
from pipeline.units import escape

# float32 rounds in both, in another order.
TOLERANCE = 1e-5
_MOST_COLUMNS = 100_000


def convert(path: Path, data: bytes) -> ImportedNetwork:
    """Return the network in the bytes of a Keras file, and how Keras scores with it.

    Raises
    ------
    ModelError
        The file is damaged, or has a layer that a model file does not have; the message names it.
    ConfigurationError
        The package h5py is not installed.
    """
    archive = read_archive(path, data)
    try:
        return _network(archive)
    except ModelError as error:
        raise ModelError(f"{escape(str(path))}: {error.message}", error.remedy) from error


def _network(archive: KerasArchive) -> ImportedNetwork:
    model = model_of(archive.config)
    stack = _inputs(model)
    columns = stack.columns
    weights = KerasWeights(archive.weights)
    try:
        for layer in model.layers:
            stack = stacked(layer, stack, weights)
    finally:
        weights.close()
    stack, is_raw = stack.headed(model.layers[-1].name if model.layers else model.input)
    notes = []
    if len(columns) > 1:
        names = f"{len(columns)} columns without names, here {columns[0]} to {columns[-1]}"
        where = "rename them in the model file to those of your data"
        notes.append(f'columns: the input "{escape(model.input)}" has {names}; {where}')
    if stack.steps is not None:
        notes.append(f"the file is for {stack.steps} steps; the model takes as many at most")
    if is_raw:
        notes.append("the file gives raw predictions, no probabilities; so does the model")
    return ImportedNetwork(
        network_document(stack, NetworkHead(is_raw=is_raw)),
        tensors_of(stack, np.float64 if any(layer.precision == "float64" for layer in model.layers) else np.float32),
        tuple(notes),
        TOLERANCE,
        keras_scorer(model, archive.weights, columns, outputs=stack.units, is_raw=is_raw),
        columns if len(columns) > 1 else (),
    )


def _inputs(model: KerasModel) -> Stack:
    """Return the inputs by their names: a single column, and a sequence, are called as the input is."""
    *steps, width = model.shape or (None,)
    if width is None or len(steps) > 1 or not 0 < width <= _MOST_COLUMNS:
        raise ModelError(
            f'the input "{escape(model.input)}" has rows of the shape {model.shape}',
            "give the network an input of the shape (columns,) or (steps, numbers)",
        )
    if steps:
        return Stack.of_steps(model.input, width, steps[0])
    return Stack.of([model.input] if width == 1 else [f"column_{place}" for place in range(width)])
