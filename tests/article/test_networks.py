"""The article's LSTM cell, its sigmoid layer and its gradient clipping, called by the names that it uses."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pipeline
from pipeline import GRUCell, LSTMCell, clip_gradients

RNG = np.random.default_rng(5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def test_an_lstm_cell_with_forget_input_and_output_gates() -> None:
    cell = LSTMCell(3, 4, seed=1)
    x, h, c = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))
    new_h, new_c = cell.forward(x, h, c)
    layer = cell.layer
    z = x @ layer.input_weight.T + layer.input_bias + h @ layer.hidden_weight.T + layer.hidden_bias
    i, f, g, o = z[:, :4], z[:, 4:8], z[:, 8:12], z[:, 12:]
    forget_gate, input_gate, output_gate = sigmoid(f), sigmoid(i), sigmoid(o)
    expected = forget_gate * c + input_gate * np.tanh(g)
    np.testing.assert_allclose(new_c, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(new_h, output_gate * np.tanh(expected), rtol=0, atol=1e-15)


def test_a_gru_cell_with_reset_and_update_gates() -> None:
    cell = GRUCell(3, 4, reset_after=False, seed=1)
    x, h = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4))
    layer = cell.layer
    of_x, of_h = np.split(layer.input_weight, 3), np.split(layer.hidden_weight, 3)
    reset, update = (sigmoid(x @ of_x[gate].T + h @ of_h[gate].T) for gate in range(2))
    candidate = np.tanh(x @ of_x[2].T + (reset * h) @ of_h[2].T)
    np.testing.assert_allclose(cell.forward(x, h), (1 - update) * candidate + update * h, rtol=0, atol=1e-15)


def test_a_sigmoid_layer_with_xavier_initialisation() -> None:
    layer = pipeline.Dense(100, 300, "sigmoid", gain=1, seed=2)
    weight = layer.layer.weight
    assert weight.std() == pytest.approx(math.sqrt(2 / (100 + 300)), rel=0.01)
    x = RNG.normal(size=(7, 100))
    np.testing.assert_allclose(layer.forward(x), sigmoid(x @ weight.T), rtol=1e-13)


def test_the_default_gain_of_a_sigmoid_layer_keeps_the_error_signal_that_xavier_loses() -> None:
    def ratio(**options: float) -> float:
        """Return the norm of dL/dz in the first of ten layers of ten units, divided by that in the last."""
        x, values, weights = RNG.normal(size=10), [], []
        for seed in range(10):
            layer = pipeline.Dense(10, 10, "sigmoid", seed=seed, **options)
            x = layer.forward(x)
            values.append(x)
            weights.append(layer.layer.weight)
        slopes = [pipeline.sigmoid_grad(value=value) for value in values]
        error = last = slopes[-1]
        for weight, slope in zip(weights[:0:-1], slopes[-2::-1], strict=True):
            error = (error @ weight) * slope
        return float(np.linalg.norm(error) / np.linalg.norm(last))

    assert ratio(gain=1) < 1e-4 < ratio()


def test_clip_gradients_by_the_global_norm_and_element_by_element() -> None:
    gradients = [RNG.normal(size=(4, 3)), RNG.normal(size=4)]
    total_norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    for ours, g in zip(clip_gradients(gradients, 1.0), gradients, strict=True):
        np.testing.assert_allclose(ours, g * (1.0 / total_norm), rtol=1e-15)
    for ours, g in zip(clip_gradients(gradients, 100.0), gradients, strict=True):
        np.testing.assert_array_equal(ours, g)
    for ours, g in zip(clip_gradients(gradients, 0.5, elementwise=True), gradients, strict=True):
        np.testing.assert_array_equal(ours, np.clip(g, -0.5, 0.5))
