"""Dense, LSTMCell and GRUCell on NumPy and Dask arrays."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

import pipeline
from pipeline.errors import UsageError

ROWS, INPUTS, UNITS = 2_100, 6, 5
TYPES = ["float32", "float64"]
MADE: dict[str, Any] = {
    "dense": lambda dtype: pipeline.Dense(INPUTS, UNITS, seed=3, dtype=dtype),
    "lstm": lambda dtype: pipeline.LSTMCell(INPUTS, UNITS, seed=3, dtype=dtype),
    "gru": lambda dtype: pipeline.GRUCell(INPUTS, UNITS, seed=3, dtype=dtype),
    "gru before": lambda dtype: pipeline.GRUCell(INPUTS, UNITS, reset_after=False, seed=3, dtype=dtype),
}
STATES = {"dense": 0, "lstm": 2, "gru": 1, "gru before": 1}


@pytest.fixture(autouse=True)
def serial() -> Iterator[None]:
    with dask.config.set(scheduler="sync"):
        yield


def arrays_of(name: str, rows: int = ROWS) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(rows, INPUTS)), *(rng.normal(size=(rows, UNITS)) for _ in range(STATES[name]))]


def results(layer: Any, *arrays: Any) -> tuple[Any, ...]:
    found = layer.forward(*arrays)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MADE)
def test_bits_do_not_depend_on_how_rows_are_cut(name: str, dtype: str) -> None:
    layer, arrays = MADE[name](dtype), arrays_of(name)
    whole = results(layer, *arrays)

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.integers(0, ROWS), max_size=3))
    def cut(places: list[int]) -> None:
        pieces = zip(*(np.split(array, sorted(places)) for array in arrays), strict=True)
        parts = zip(*(results(layer, *piece) for piece in pieces), strict=True)
        for part, found in zip(parts, whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(part), found)

    cut()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("chunks", [(ROWS,), (1, 2_000, 99), (700, 0, 1_400)])
def test_a_dask_array_gives_a_dask_array_with_its_blocks_and_the_same_bits(
    name: str, dtype: str, chunks: tuple[int, ...]
) -> None:
    layer, arrays = MADE[name](dtype), arrays_of(name)
    lazy = results(layer, *(da.from_array(array, chunks=(chunks, -1)) for array in arrays))
    for found, whole in zip(lazy, results(layer, *arrays), strict=True):
        assert isinstance(found, da.Array)
        assert (found.chunks, found.dtype) == ((chunks, (UNITS,)), np.dtype(dtype))
        computed = found.compute()
        assert computed.dtype == dtype
        np.testing.assert_array_equal(computed, whole)


@pytest.mark.parametrize("lazy", [0, 1, 2])
def test_one_dask_array_among_numpy_arrays_makes_the_results_dask_arrays(lazy: int) -> None:
    cell, arrays = MADE["lstm"]("float64"), arrays_of("lstm")
    mixed: list[Any] = list(arrays)
    mixed[lazy] = da.from_array(arrays[lazy], chunks=(900, -1))
    for found, whole in zip(cell.forward(*mixed), cell.forward(*arrays), strict=True):
        assert found.chunks[0] == (900, 900, 300)
        np.testing.assert_array_equal(found, whole)


def test_states_in_other_blocks_are_cut_like_the_first_dask_array() -> None:
    cell, arrays = MADE["lstm"]("float64"), arrays_of("lstm")
    lazy = [da.from_array(array, chunks=(rows, -1)) for array, rows in zip(arrays, (700, 1_000, 50), strict=True)]
    h, c = cell.forward(*lazy)
    assert h.chunks[0] == c.chunks[0] == (700, 700, 700)
    for found, whole in zip(dask.compute(h, c), cell.forward(*arrays), strict=True):
        np.testing.assert_array_equal(found, whole)


def test_blocks_of_unknown_length() -> None:
    cell, arrays = MADE["gru"]("float64"), arrays_of("gru")
    lazy = [da.from_array(array, chunks=(700, -1)) for array in arrays]
    kept = [array[lazy[0][:, 0] > 0] for array in lazy]
    want = cell.forward(*(array[arrays[0][:, 0] > 0] for array in arrays))
    np.testing.assert_array_equal(cell.forward(*kept).compute(), want)
    np.testing.assert_array_equal(cell.forward(kept[0]).compute(), cell.forward(arrays[0][arrays[0][:, 0] > 0]))
    with pytest.raises(ValueError, match="h cannot be cut like the other arrays"):
        cell.forward(kept[0], arrays[1])


@pytest.mark.parametrize("name", MADE)
def test_states_are_zeros_unless_given(name: str) -> None:
    layer, arrays = MADE[name]("float64"), arrays_of(name)
    zeros = [np.zeros_like(array) for array in arrays[1:]]
    for found, want in zip(results(layer, arrays[0]), results(layer, arrays[0], *zeros), strict=True):
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("name", MADE)
def test_one_row_without_an_axis_of_rows(name: str) -> None:
    layer, arrays = MADE[name]("float64"), arrays_of(name)
    for found, want in zip(results(layer, *(each[7] for each in arrays)), results(layer, *arrays), strict=True):
        assert found.shape == (UNITS,)
        np.testing.assert_array_equal(found, want[7])


@pytest.mark.parametrize("name", MADE)
def test_no_rows(name: str) -> None:
    for found in results(MADE[name]("float32"), *arrays_of(name, rows=0)):
        assert (found.shape, found.dtype) == ((0, UNITS), np.float32)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("large", [1e300, -1e300, np.inf])
def test_numbers_too_large_for_the_type_of_the_weights_warn_of_nothing(name: str, dtype: str, large: float) -> None:
    layer, arrays = MADE[name](dtype), arrays_of(name)
    want = results(layer, *arrays)
    for array in arrays:
        array[::3] = large
    for found, other in zip(results(layer, *arrays), want, strict=True):
        assert found.dtype == dtype
        others = np.arange(ROWS) % 3 > 0
        np.testing.assert_array_equal(found[others], other[others])


def test_integers_and_lists_are_numbers_too() -> None:
    layer = MADE["dense"]("float64")
    row = [1, 0, 1, 1, 0, 2]
    np.testing.assert_array_equal(layer.forward(row), layer.forward(np.array(row, np.float32)))


def test_two_threads_of_dask_and_of_blas_give_the_bits_of_one() -> None:
    layer, (x,) = pipeline.Dense(64, 64, dtype="float32"), [np.random.default_rng(2).normal(size=(20_000, 64))]
    want = layer.forward(x)
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(2) as pool:
        lazy = layer.forward(da.from_array(x, chunks=(3_000, -1)))
        np.testing.assert_array_equal(lazy.compute(scheduler="threads", pool=pool), want)
        assert {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"} == {2}


@pytest.mark.parametrize("name", MADE)
def test_equal_weights_make_equal_names_in_a_graph(name: str) -> None:
    x = da.from_array(arrays_of(name)[0], chunks=(700, -1), name="x")
    first, again, other = (
        results(layer, x)[0].name for layer in (MADE[name]("float64"), MADE[name]("float64"), MADE[name]("float32"))
    )
    assert first == again != other


@pytest.mark.parametrize("name", MADE)
def test_layers_survive_pickling_without_what_they_had_made(name: str) -> None:
    layer, arrays = MADE[name]("float32"), arrays_of(name)
    fresh = len(pickle.dumps(layer))
    want = results(layer, *arrays)
    copy = pickle.loads(pickle.dumps(layer))
    assert len(pickle.dumps(layer)) == fresh
    for found, whole in zip(results(copy, *arrays), want, strict=True):
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("name", MADE)
def test_given_weights_are_copied(name: str) -> None:
    made = MADE[name]("float64")
    fields = ("weight", "bias") if name == "dense" else ("input_weight", "hidden_weight", "input_bias", "hidden_bias")
    weights = [np.array(getattr(made.layer, field)) for field in fields]
    options = {"reset_after": False} if name == "gru before" else {}
    copy, arrays = type(made).from_weights(*weights, **options), arrays_of(name)
    for weight in weights:
        weight[...] = np.nan
    for found, want in zip(results(copy, *arrays), results(made, *arrays), strict=True):
        np.testing.assert_array_equal(found, want)


def test_seeds_and_gates_have_weights_of_their_own() -> None:
    first, same, other = (pipeline.LSTMCell(4, 3, seed=seed).layer for seed in (1, 1, (1, 2)))
    np.testing.assert_array_equal(first.input_weight, same.input_weight)
    assert not np.isclose(first.input_weight, other.input_weight).any()
    every = np.concatenate([first.input_weight.ravel(), first.hidden_weight.ravel()])
    assert len(set(every)) == every.size
    np.testing.assert_array_equal((first.input_bias + first.hidden_bias).reshape(4, 3).T[0], [0, 1, 0, 0])


@pytest.mark.parametrize(
    ("options", "deviation"),
    [
        ({}, 4 * np.sqrt(2 / 500)),
        ({"function": "relu"}, np.sqrt(2) * np.sqrt(2 / 500)),
        ({"function": None}, np.sqrt(2 / 500)),
        ({"temperature": 2}, 8 * np.sqrt(2 / 500)),
        ({"initialisation": "he", "function": "relu"}, np.sqrt(2 / 200)),
        ({"initialisation": "normal"}, 0.5),
        ({"gain": 2}, 2 * np.sqrt(2 / 500)),
    ],
)
def test_initial_weights_of_a_dense_layer(options: dict[str, Any], deviation: float) -> None:
    layer = pipeline.Dense(200, 300, **options).layer
    assert layer.weight.std() == pytest.approx(deviation, rel=0.01)
    assert not layer.bias.any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pipeline.Dense(0, 1), ValueError, "inputs must be at least 1"),
        (lambda: pipeline.LSTMCell(1, 2.5), TypeError, "units must be an integer"),
        (lambda: pipeline.Dense(1, 1, "sigmod"), LookupError, "sigmoid"),
        (lambda: pipeline.Dense(1, 1, "relu", slope=1), TypeError, "relu has no parameters"),
        (lambda: pipeline.Dense(1, 1, dtype="float16"), TypeError, "dtype must be float32 or float64, got float16"),
        (lambda: pipeline.Dense(1, 1, initialisation="xavier"), UsageError, "initialisation xavier"),
        (lambda: pipeline.Dense(1, 1, initialisation="normal", gain=1), ValueError, "normal has no gain"),
        (lambda: pipeline.GRUCell(1, 1, reset_after="no"), TypeError, "reset_after must be True or False, got 'no'"),
        (lambda: pipeline.GRUCell(1, 1, seed=-1), ValueError, "seed must not be negative"),
        (
            lambda: pipeline.Dense.from_weights(np.ones((2, 3)), np.ones(3)),
            ValueError,
            r"bias must have the shape \(2,\), got \(3,\)",
        ),
        (
            lambda: pipeline.LSTMCell.from_weights(np.ones((4, 1)), np.full((4, 1), np.nan), np.ones(4), np.ones(4)),
            ValueError,
            "hidden_weight holds NaN or infinity",
        ),
    ],
)
def test_layers_that_cannot_be_made(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ([np.ones((4, 7))], ValueError, r"x must have the shape \(rows, 6\), got \(4, 7\)"),
        ([np.ones(7)], ValueError, r"x must have the shape \(6,\), got \(7,\)"),
        ([np.ones((4, 6)), np.ones((4, 6))], ValueError, r"h must have the shape \(rows, 5\), got \(4, 6\)"),
        ([np.ones((4, 6)), np.ones(5)], ValueError, r"h must have the shape \(rows, 5\), got \(5,\)"),
        ([np.ones((4, 6)), np.ones((3, 5))], ValueError, "the arrays differ in rows: x 4, h 3"),
        ([np.array([["a"] * 6])], TypeError, "expected booleans, integers, float16, float32 or float64"),
        ([da.ones((4, 6), dtype=complex)], TypeError, "expected booleans, integers, float16, float32 or float64"),
        ([da.ones((4, 6), chunks=(4, 3))], ValueError, "columns of x are in separate blocks; join them: x.rechunk"),
        ([da.ones((4, 2, 6))], ValueError, r"x must have the shape \(rows, 6\), got \(4, 2, 6\)"),
        ([da.ones((4, 6)), np.ones((3, 5))], ValueError, "the arrays differ in rows: x 4, h 3"),
    ],
)
def test_arrays_that_do_not_fit(arrays: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MADE["lstm"]("float64").forward(*arrays)


def test_x_cannot_be_left_out() -> None:
    with pytest.raises(TypeError, match="x must be an array, got None"):
        MADE["gru"]("float64").forward(None, np.ones((4, UNITS)))


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_cells_with_the_weights_of_pytorch_give_what_pytorch_gives(name: str, dtype: str, within: float) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    made = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[name](INPUTS, UNITS)
    weights = [parameter.detach().numpy().astype(dtype) for parameter in made.parameters()]
    cell = type(MADE[name](dtype)).from_weights(*weights)
    arrays = [array.astype(np.float32).astype(dtype) for array in arrays_of(name)]
    x, *states = (torch.from_numpy(array.astype(np.float64)) for array in arrays)
    with torch.no_grad():
        want = made.double()(x, tuple(states) if name == "lstm" else states[0])
    for found, each in zip(results(cell, *arrays), want if name == "lstm" else (want,), strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, each.numpy(), rtol=0, atol=within)
