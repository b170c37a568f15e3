"""Results do not depend on the memory layout of the input, nor on the place of an element."""

from __future__ import annotations

import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kernels import TILE_ROWS, log_sigmoid, logit, sigmoid, sigmoid_tile
from pipeline.kernels.tiles import apply_tiles
from tests.kernels.exact import bits

FUNCTIONS = {
    "fast": sigmoid,
    "accurate": partial(sigmoid, precision="accurate"),
    "reproducible": partial(sigmoid, precision="reproducible"),
    "log_sigmoid": log_sigmoid,
    "log_sigmoid, reproducible": partial(log_sigmoid, precision="reproducible"),
    "logit": logit,
    "logit, reproducible": partial(logit, precision="reproducible"),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())


def _inputs(size, seed=0):
    """Values from every branch of every formula, and NaNs of several signs and payloads."""
    random = np.random.default_rng(seed)
    nans = np.array([0x7FF8_0000_0000_0000, 0xFFF8_0000_0000_0000, 0xFFF8_0000_0000_ABCD], np.uint64).view(np.float64)
    kinds = [
        random.uniform(0, 1, size),
        random.standard_normal(size) * 4,
        random.uniform(-760, 50, size),
        random.choice([np.inf, -np.inf, 0.0, -0.0, 1.0], size),
        random.choice(nans, size),
    ]
    return np.choose(random.choice(5, size, p=[0.4, 0.4, 0.18, 0.01, 0.01]), kinds)


@every_function
@settings(max_examples=10)
@given(data=st.data())
def test_any_split_gives_the_same_bits(function, data):
    size = data.draw(st.integers(1, 3 * TILE_ROWS))
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=6)))
    x = _inputs(size, data.draw(st.integers(0, 99)))
    pieces = [function(x[a:b]) for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    np.testing.assert_array_equal(bits(np.concatenate(pieces)), bits(function(x)))


@every_function
@settings(max_examples=30)
@given(x=hnp.arrays(np.float64, st.integers(0, 70), elements=st.floats(width=64)))
def test_an_element_alone_has_the_same_bits(function, x):
    alone = np.array([function(value) for value in x], dtype=np.float64)
    np.testing.assert_array_equal(bits(alone), bits(function(x)))


def _unaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


LAYOUTS = {
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "every third": lambda x: np.repeat(x, 3)[::3],
    "big-endian": lambda x: x.astype(">f8"),
    "unaligned": _unaligned,
    "column of a matrix": lambda x: np.stack([x, x], axis=1)[:, 1],
    "read-only": lambda x: np.frombuffer(x.tobytes()),
}


@every_function
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("size", [1, 5, 37, TILE_ROWS + 11])
def test_the_layout_does_not_show(function, layout, size):
    x = _inputs(size)
    expected = bits(function(x))
    np.testing.assert_array_equal(bits(function(layout(x))), expected)
    if layout is not LAYOUTS["read-only"] and layout is not LAYOUTS["big-endian"]:
        target = layout(np.zeros(size))
        assert function(x, out=target) is target
        np.testing.assert_array_equal(bits(target), expected)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_tiles_are_contiguous_and_forward(layout):
    seen = []

    def copy(values, results, scratch):
        seen.append((values.strides, results.strides, values.flags.aligned, values.size <= TILE_ROWS, scratch.size))
        results[...] = values

    x = np.arange(2.0 * TILE_ROWS)
    np.testing.assert_array_equal(apply_tiles(copy, layout(x), np.empty_like(x)[::-1]), x)
    assert all(tile[:4] == ((8,), (8,), True, True) for tile in seen)
    assert sum(tile[4] for tile in seen) == x.size


@every_function
def test_a_nan_is_always_the_same_one(function):
    nans = np.array([0x7FF8_0000_0000_0000, 0xFFF8_0000_0000_0000, 0xFFF8_0000_0000_ABCD], np.uint64).view(np.float64)
    assert set(bits(function(nans)).tolist()) == {0x7FF8_0000_0000_0000}


@every_function
@pytest.mark.parametrize("order", ["C", "F"])
def test_shapes_are_kept(function, order):
    x = np.asarray(_inputs(7 * 5 * 2000).reshape(7, 5, 2000), order=order)
    expected = bits(function(x.ravel())).reshape(x.shape)
    result = function(x)
    assert result.flags.f_contiguous == x.flags.f_contiguous
    np.testing.assert_array_equal(bits(result), expected)
    np.testing.assert_array_equal(bits(function(x[::-1, 1:4, ::7])), expected[::-1, 1:4, ::7])
    np.testing.assert_array_equal(bits(function(x.transpose(2, 0, 1))), expected.transpose(2, 0, 1))


@every_function
def test_empty_and_broadcast_arrays(function):
    assert function(np.empty((0, 3))).shape == (0, 3)
    assert function([]).shape == (0,)
    np.testing.assert_array_equal(function(np.broadcast_to(0.5, (3, 4))), np.full((3, 4), function(0.5)))


@every_function
@pytest.mark.parametrize("x", [0.25, np.float64(0.25), np.array(0.25)])
def test_a_scalar_gives_a_scalar(function, x):
    result = function(x)
    assert isinstance(result, np.float64)
    assert result == function(np.array([0.25]))[0]


@every_function
def test_a_scalar_array_is_filled(function):
    out = np.array(0.0)
    assert function(0.25, out=out) is out
    assert out == function(0.25)


@every_function
def test_out_may_be_the_input(function):
    x = _inputs(2 * TILE_ROWS + 3)
    expected = bits(function(x))
    assert function(x, out=x) is x
    np.testing.assert_array_equal(bits(x), expected)


@every_function
@pytest.mark.parametrize("shift", [1, 8, TILE_ROWS])
@pytest.mark.parametrize("forward", [True, False])
def test_out_may_overlap_the_input(function, shift, forward):
    memory = _inputs(3 * TILE_ROWS)
    x, out = (memory[shift:], memory[:-shift]) if forward else (memory[:-shift], memory[shift:])
    expected = bits(function(x.copy()))
    function(x, out=out)
    np.testing.assert_array_equal(bits(out), expected)


@every_function
def test_out_may_be_the_input_reversed(function):
    x = _inputs(TILE_ROWS + 5)
    expected = bits(function(x))
    function(x, out=x[::-1])
    np.testing.assert_array_equal(bits(x[::-1]), expected)


@every_function
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i4", "i8", "u8", ">i4"])
def test_integers_and_booleans_become_float64(function, dtype):
    x = np.array([0, 1, 1, 0, 1]).astype(dtype)
    result = function(x)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(bits(result), bits(function(x.astype(np.float64))))


@every_function
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8"])
def test_the_floating_type_is_kept(function, dtype):
    assert function(np.array([0.25, 0.5], dtype)).dtype == np.dtype(dtype).newbyteorder("=")


@every_function
@pytest.mark.parametrize("x", [1j, "0.5", None, np.array([1], "m8[s]"), np.array([0.5], np.longdouble), 10**30])
def test_other_types_are_refused(function, x):
    with pytest.raises(TypeError, match="expected booleans, integers, float16, float32 or float64"):
        function(x)


@every_function
def test_a_masked_array_is_refused(function):
    with pytest.raises(TypeError, match="masked"):
        function(np.ma.masked_array([0.1, 0.2], [True, False]))


@every_function
def test_an_unfit_out_is_refused_and_left_alone(function):
    x = np.array([0.25, 0.5])
    frozen = np.zeros(2)
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match="out must be float64 for an input of float64, got float32"):
        function(x, out=np.zeros(2, np.float32))
    with pytest.raises(TypeError, match="out must be float64 for an input of int64, got int64"):
        function(np.array([0, 1]), out=np.zeros(2, np.int64))
    with pytest.raises(TypeError, match="numpy array, got list"):
        function(x, out=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"shape of the input, \(2,\), got \(3,\)"):
        function(x, out=np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        function(x, out=frozen)
    assert not frozen.any()


@pytest.mark.parametrize("function", [sigmoid, log_sigmoid, logit])
def test_an_unknown_precision_is_refused(function):
    with pytest.raises(ValueError, match="precision must be one of fast, accurate, reproducible, got 'exact'"):
        function(0.5, precision="exact")


@pytest.mark.parametrize("function", [log_sigmoid, logit])
def test_accurate_logarithms_are_those_of_fast(function):
    x = _inputs(TILE_ROWS)
    np.testing.assert_array_equal(bits(function(x, precision="accurate")), bits(function(x)))


@every_function
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_nothing_warns_or_raises_for_any_error_state_of_the_caller(function, dtype):
    with np.errstate(all="ignore"):
        x = np.concatenate([_inputs(1000), [1e308, -1e308, 5e-324, -5e-324]]).astype(dtype)
    with np.errstate(all="raise"):
        function(x)


@every_function
def test_memory_is_a_few_tiles(function):
    x = _inputs(40 * TILE_ROWS)
    out = np.empty_like(x)
    tracemalloc.start()
    try:
        function(x, out=out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * TILE_ROWS * 8


@every_function
def test_threads_do_not_disturb_each_other(function):
    blocks = [_inputs(TILE_ROWS + 100, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(function, blocks))
    for block, result in zip(blocks, together, strict=True):
        np.testing.assert_array_equal(bits(result), bits(function(block)))


@pytest.mark.parametrize("precision", ["fast", "accurate", "reproducible"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_tile_has_the_bits_of_the_array(precision, in_place):
    x = _inputs(999)
    expected = bits(sigmoid(x, precision=precision))
    out = x if in_place else np.empty_like(x)
    with np.errstate(all="ignore"):
        sigmoid_tile(x, out, np.empty_like(x), precision)
    np.testing.assert_array_equal(bits(out), expected)


def test_a_function_may_be_called_while_another_thread_loads_masked_arrays(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy.ma", ModuleType("numpy.ma"))
    assert sigmoid(np.zeros(3)).tolist() == [0.5, 0.5, 0.5]
