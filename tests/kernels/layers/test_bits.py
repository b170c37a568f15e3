"""The bits of a row do not depend on how rows are cut, nor on the other rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import evaluate
from pipeline.kernels.layers import LAYER_ROWS, DenseLayer, GruLayer, LstmLayer, by_tiles
from tests.kernels.layers.drawn import Array, uniform

ROOT = Path(__file__).parents[3]
ROWS, STEPS, INPUTS, UNITS = 2_500, 3, 6, 10
TYPES = [np.float32, np.float64]
MADE = ("dense", "softmax", "lstm", "gru", "gru before")


# Run with other kernels of OpenBLAS, which are chosen when numpy is loaded.
PLACES = """
import json
import numpy as np
from threadpoolctl import threadpool_info
from pipeline.kernels import evaluate
from pipeline.kernels.blas import one_thread
from tests.kernels.layers.test_bits import MADE, layer_of, outputs, rows_of

matter, order = False, np.random.default_rng(2).permutation(2_500)
with one_thread():
    for name in MADE:
        layer, rows = layer_of(name, np.float32), rows_of(name, np.float32)
        matter |= not np.array_equal(outputs(layer, rows)[order], outputs(layer, rows[order]))
kernel = next(found["architecture"] for found in threadpool_info() if found["internal_api"] == "openblas")
print(json.dumps({"kernel": kernel, "sums": str(layer.arithmetic), "places matter": matter}))
"""


def layer_of(name: str, dtype: Any) -> Any:
    gates = {"lstm": 4, "gru": 3, "gru before": 3}.get(name, 1)
    shapes = [(gates * UNITS, INPUTS), (gates * UNITS, UNITS), (gates * UNITS,), (gates * UNITS,)]
    weights = [uniform(shape, seed, dtype) for seed, shape in enumerate(shapes)]
    if gates == 1:
        return DenseLayer(weights[0], weights[2], "softmax" if name == "softmax" else "sigmoid")
    return LstmLayer(*weights) if gates == 4 else GruLayer(*weights, reset_after=name == "gru")


def rows_of(name: str, dtype: Any) -> Array:
    shape = (ROWS, STEPS, INPUTS) if name in {"lstm", "gru", "gru before"} else (ROWS, INPUTS)
    return uniform(shape, 99, dtype)


def outputs(layer: Any, rows: Array) -> Array:
    result = np.empty((len(rows), UNITS), rows.dtype)
    by_tiles(lambda tile: (layer.outputs(tile),), (rows,), (result,))
    return result


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MADE)
def test_bits_do_not_depend_on_how_rows_are_cut(name: str, dtype: Any) -> None:
    layer, rows = layer_of(name, dtype), rows_of(name, dtype)
    whole = outputs(layer, rows)

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.integers(0, ROWS), max_size=4))
    def cut(places: list[int]) -> None:
        pieces = np.split(rows, sorted(places))
        np.testing.assert_array_equal(np.concatenate([outputs(layer, piece) for piece in pieces]), whole)

    cut()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MADE)
def test_bits_do_not_depend_on_the_order_or_the_memory_of_rows(name: str, dtype: Any) -> None:
    layer, rows = layer_of(name, dtype), rows_of(name, dtype)
    order = np.random.default_rng(1).permutation(ROWS)
    whole = outputs(layer, rows)
    np.testing.assert_array_equal(outputs(layer, rows[order]), whole[order])
    np.testing.assert_array_equal(outputs(layer, np.asfortranarray(rows)), whole)
    np.testing.assert_array_equal(outputs(layer, rows[::-1])[::-1], whole)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru before"])
def test_the_products_that_are_tried_out_beforehand_have_the_shapes_of_those_that_are_computed(name: str) -> None:
    layer = layer_of(name, np.float32)
    states = layer.start(5)
    weights = [states.weight] if name == "lstm" else states.weights
    assert [weight.shape for weight in weights] == [*layer.products]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MADE)
def test_nan_and_infinity_change_no_other_row_and_warn_of_nothing(name: str, dtype: Any, bad: float) -> None:
    layer, rows = layer_of(name, dtype), rows_of(name, dtype)
    whole = outputs(layer, rows)
    rows[::5] = bad
    found = outputs(layer, rows)
    others = np.arange(ROWS) % 5 > 0
    np.testing.assert_array_equal(found[others], whole[others])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["lstm", "gru", "gru before"])
@pytest.mark.parametrize("every_step", [False, True])
def test_bits_do_not_depend_on_how_far_rows_are_filled_up(name: str, dtype: Any, every_step: bool) -> None:
    layer, rows = layer_of(name, dtype), rows_of(name, dtype)[:LAYER_ROWS]
    lengths = np.arange(LAYER_ROWS) % (STEPS + 1)
    behind = np.arange(STEPS) >= lengths[:, np.newaxis]
    filled = np.where(behind[:, :, np.newaxis], np.nan, rows)
    longer = np.concatenate([filled, np.full((LAYER_ROWS, 4, INPUTS), np.inf, dtype)], axis=1)
    found = layer.outputs(longer, lengths, every_step=every_step)
    steps = layer.outputs(rows, every_step=True)
    last = np.minimum(np.arange(STEPS + 4), lengths[:, np.newaxis] - 1)
    want = np.take_along_axis(steps, np.maximum(last, 0)[:, :, np.newaxis], axis=1)
    want[lengths == 0] = 0
    np.testing.assert_array_equal(found, want if every_step else want[:, -1])


@pytest.mark.parametrize("name", MADE)
def test_no_rows_give_no_rows(name: str) -> None:
    layer, rows = layer_of(name, np.float32), rows_of(name, np.float32)[:0]
    assert outputs(layer, rows).shape == layer.outputs(rows).shape == (0, UNITS)


@pytest.mark.parametrize("kernel", ["Haswell", "SkylakeX", "Prescott"])
def test_bits_do_not_depend_on_the_place_of_a_row_with_any_kernel_of_openblas(kernel: str) -> None:
    if kernel == "SkylakeX" and "avx512f" not in Path("/proc/cpuinfo").read_text(encoding="ascii"):
        pytest.skip("this CPU has no AVX-512")
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    done = subprocess.run(
        [sys.executable, "-c", PLACES], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["places matter"] is False
    # Of these, those for Haswell alone give a row other bits in another place, in float32.
    if found["kernel"] in {"Haswell", "SkylakeX"}:
        assert found["sums"] == ("float64" if found["kernel"] == "Haswell" else "float32")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["lstm", "gru", "gru before"])
def test_inputs_without_bound_saturate_the_gates(name: str, dtype: Any) -> None:
    layer = layer_of(name, dtype)
    large = np.finfo(dtype).max / 100
    rows = large * np.sign(uniform((40, STEPS, INPUTS), 7, dtype))
    found = layer.outputs(rows, every_step=True)
    # From the definitions: every gate is 0 or 1, and the candidate -1 or 1.
    step = np.sign(np.einsum("rsi,gi->rsg", rows / large, layer.input_weight))
    gates = np.split(step, layer.gates, axis=2)
    state = np.zeros((40, UNITS))
    for number in range(STEPS):
        first, second, third, *fourth = (gate[:, number] for gate in gates)
        if fourth:
            state = np.where(second > 0, state, 0) + np.where(first > 0, third, 0)
            hidden = np.where(fourth[0] > 0, np.tanh(state), 0)
        else:
            state = hidden = np.where(second > 0, state, third)
        np.testing.assert_allclose(found[:, number], hidden, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-15)


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "relu"])
def test_values_in_float32_are_right_far_from_zero_too(function: str) -> None:
    x = np.array([-np.inf, -1e30, -100, -85, -20, -1e-30, 0, 1e-30, 20, 1e30, np.inf, np.nan], np.float32)[
        :, np.newaxis
    ]
    layer = DenseLayer(np.ones((1, 1), np.float32), np.zeros(1, np.float32), function)
    exact = evaluate(function, x.astype(np.float64))
    np.testing.assert_allclose(layer.outputs(x), exact, rtol=3e-7, atol=1e-38)
