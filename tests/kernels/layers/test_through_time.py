"""The way back through recurrent layers: the derivatives of autograd, for ragged rows and every pooling."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pipeline.kernels.layers import RecurrentLayer, pooled_error, pooled_states, record_steps
from tests.kernels.layers.torch_through_time import (
    KINDS,
    NAMES,
    POOLINGS,
    by_autograd,
    drawn_layer,
    drawn_steps,
    stored_cases,
)

STORED = json.loads((Path(__file__).parent / "stored_through_time.json").read_text())
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def gradients(
    layer: RecurrentLayer, inputs: np.ndarray, lengths: np.ndarray, pooling: str, error: np.ndarray
) -> dict[str, np.ndarray]:
    record = record_steps(layer, inputs, lengths)
    found = record.backward(pooled_error(record.hidden, record.active, pooling, error))
    return {"signals": found.signals, "inputs": found.inputs, **found.weights}


@pytest.mark.parametrize("case", list(stored_cases()), ids=lambda case: f"{case[0]}, {case[1]}")
def test_derivatives_are_those_that_autograd_computed(case) -> None:
    kind, pooling, layer, inputs, lengths, error = case
    assert set(lengths) & {0, 1, 2}
    for name, found in gradients(layer, inputs, lengths, pooling, error).items():
        expected = np.reshape(STORED[f"{kind}, {pooling}"][name], found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=2e-14, err_msg=name)


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("seed", range(45))
def test_derivatives_of_drawn_layers_are_those_of_autograd(seed: int) -> None:
    generator = np.random.default_rng(seed)
    kind, pooling = KINDS[seed % 3], POOLINGS[seed // 3 % 3]
    steps, inputs, units, rows = (int(generator.integers(1, most)) for most in (20, 9, 12, 9))
    layer = drawn_layer(kind, inputs, units, seed)
    columns, lengths = drawn_steps(steps, inputs, rows, seed)
    error = generator.normal(size=(units, rows))
    expected = by_autograd(layer, columns, lengths, pooling, error)
    for name, found in gradients(layer, columns, lengths, pooling, error).items():
        scale = np.linalg.norm(expected[name])
        assert np.linalg.norm(found - expected[name]) <= 1e-12 * scale, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_record_has_the_states_of_the_layer_and_what_is_behind_a_row_counts_nowhere(kind: str) -> None:
    layer = drawn_layer(kind, 3, 5, 1)
    inputs, lengths = drawn_steps(7, 3, 9, 1)
    record = record_steps(layer, inputs, lengths)
    expected = layer.outputs(inputs.transpose(2, 0, 1), lengths, every_step=True)
    np.testing.assert_allclose(record.hidden[1:], expected.transpose(1, 2, 0), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(record.active.sum(axis=0), lengths)
    error = np.ones((5, 9))
    one = gradients(layer, inputs, lengths, "max", error)
    other = gradients(layer, np.where(record.active[:, np.newaxis], inputs, 1e9), lengths, "max", error)
    for name, found in one.items():
        np.testing.assert_array_equal(found, other[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_the_differences_of_the_loss(kind: str) -> None:
    """Also by the slopes: dL/dz is dL/da times the slope of the gate where a gate acts once."""
    layer = drawn_layer(kind, 2, 3, 4)
    inputs, lengths = drawn_steps(4, 2, 3, 4)
    lengths[:] = (4, 2, 3)
    error = np.random.default_rng(1).normal(size=(3, 3))

    def loss(columns: np.ndarray) -> float:
        record = record_steps(layer, columns, lengths)
        return float((pooled_states(record.hidden, record.active, "mean") * error).sum())

    found = gradients(layer, inputs, lengths, "mean", error)["inputs"]
    for place in np.ndindex(*inputs.shape):
        moved = [inputs.copy(), inputs.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        assert (loss(moved[0]) - loss(moved[1])) / 2e-6 == pytest.approx(found[place], abs=1e-8)


def test_slopes_are_those_of_sigmoids_and_of_the_tanh() -> None:
    for kind in KINDS:
        layer = drawn_layer(kind, 2, 3, 5)
        inputs, _ = drawn_steps(3, 2, 4, 5)
        record = record_steps(layer, inputs)
        expected = record.gates * (1 - record.gates)
        new = slice(6, 9)
        expected[:, new] = 1 - record.gates[:, new] ** 2
        np.testing.assert_array_equal(record.slopes, expected)
        assert set(record.backward(np.ones((3, 3, 4))).weights) == set(NAMES)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_rows_without_a_step_are_pooled_to_zero_and_get_no_error(pooling: str) -> None:
    layer = drawn_layer("gru", 2, 3, 6)
    inputs, _ = drawn_steps(3, 2, 2, 6)
    for lengths in (np.array([0, 3]), np.array([0, 0])):
        record = record_steps(layer, inputs[: lengths.max()], lengths)
        assert not pooled_states(record.hidden, record.active, pooling)[:, 0].any()
        error = pooled_error(record.hidden, record.active, pooling, np.ones((3, 2)))
        assert not error[:, :, 0].any()
