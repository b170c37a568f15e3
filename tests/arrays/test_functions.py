"""The public functions: for NumPy, Dask and array API arrays, and compared with the layers of other frameworks."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any

import dask.array as da
import numpy as np
import pytest

import pipeline
from pipeline.arrays import PUBLIC
from pipeline.bench.contenders import torch_function
from pipeline.registry import FUNCTIONS

X = np.concatenate([np.linspace(-30.0, 30.0, 241), [-1e3, 1e3, 1e-300]])
EVERY = [(name, {}) for name in FUNCTIONS]
ASKED = [
    *EVERY,
    ("sigmoid", {"temperature": 2.0, "alpha": 1.5, "beta": -0.5}),
    ("sigmoid", {"low": -1.0, "high": 1.0}),
    ("sigmoid", {"low": 2.0, "high": 3.0}),
    ("leaky_relu", {"alpha": 0.2}),
    ("elu", {"alpha": 0.5}),
    ("softmax", {"temperature": 3.0}),
]
asked = pytest.mark.parametrize(("name", "parameters"), ASKED, ids=str)


def inputs(name: str) -> np.ndarray:
    """A row of numbers in the domain of a function, or rows of three for one that takes several columns."""
    if name == "logit":
        return np.concatenate([np.linspace(0.001, 0.999, 241), [0.0, 1.0, 1e-30]])
    return X[:243].reshape(-1, 3) if FUNCTIONS[name].several else X


def call(name: str, *args: Any, **options: Any) -> Any:
    return getattr(pipeline, name)(*args, **options)


def test_every_function_and_derivative_has_a_public_name() -> None:
    assert PUBLIC.keys() == {f"{name}{end}" for name in FUNCTIONS for end in ("", "_grad")}
    assert set(PUBLIC) <= set(dir(pipeline))
    with pytest.raises(AttributeError, match="no attribute 'tan'"):
        pipeline.tan  # noqa: B018


def test_the_registry_and_the_grammar_load_no_numpy() -> None:
    program = "import sys, pipeline.grammar, pipeline.registry; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.parametrize("name", PUBLIC)
def test_documentation_states_formula_error_and_source(name) -> None:
    entry = FUNCTIONS[name.removesuffix("_grad")]
    text = " ".join(inspect.getdoc(PUBLIC[name]).split())
    assert (entry.derivative if name.endswith("_grad") else entry.formula) in text
    assert (entry.gradient_error if name.endswith("_grad") else entry.error) in text
    assert entry.source in text
    assert list(entry.defaults) == [p for p in inspect.signature(PUBLIC[name]).parameters if p in entry.defaults]
    assert pickle.loads(pickle.dumps(PUBLIC[name])) is PUBLIC[name]


@asked
def test_numpy_arrays_agree_with_the_one_liner(name, parameters) -> None:
    x, needed = inputs(name)[:60], FUNCTIONS[name].needed
    special = pytest.importorskip("scipy.special", reason=f"NumPy has no {needed}") if needed else None
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name].numpy(np, x, **parameters, **({needed: getattr(special, needed)} if needed else {}))
    np.testing.assert_allclose(call(name, x, **parameters), expected, rtol=1e-12, atol=1e-12)


@asked
def test_dask_arrays_have_the_bits_of_numpy(name, parameters) -> None:
    x = inputs(name)
    chunked = da.from_array(x, chunks=(50, *x.shape[1:]))
    result = call(name, chunked, **parameters)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result.compute(scheduler="sync"), call(name, x, **parameters))
    slope = call(f"{name}_grad", chunked, **parameters).compute(scheduler="sync")
    np.testing.assert_array_equal(slope, call(f"{name}_grad", x, **parameters))
    if FUNCTIONS[name].value_derivative:
        y = call(name, x, **parameters)
        slope = call(f"{name}_grad", value=da.from_array(y, chunks=(70, *x.shape[1:])), **parameters)
        np.testing.assert_array_equal(slope.compute(scheduler="sync"), call(f"{name}_grad", value=y, **parameters))


def test_the_documentation_of_a_derivative_promises_no_more_than_there_is() -> None:
    sigmoid, softmax = (" ".join(inspect.getdoc(PUBLIC[f"{name}_grad"]).split()) for name in ("sigmoid", "softmax"))
    assert "with parameters 8 u at the rounded z" in sigmoid
    assert "digits that y lost by rounding are lost here too" in sigmoid
    assert "10 u + (2 n + 6 r) u, n columns, r = (max x - min x) / temperature" in softmax
    assert "p_i (1 - p_i) / temperature on the diagonal" in softmax
    assert "From the function's value" not in inspect.getdoc(PUBLIC["gelu_grad"])


@pytest.mark.parametrize("name", PUBLIC)
def test_a_call_is_checked_by_its_own_signature(name) -> None:
    function = PUBLIC[name]
    with pytest.raises(ValueError, match="precision must be one of fast, accurate, reproducible, got 'nonsense'"):
        function([[0.5, 0.5]], precision="nonsense")
    with pytest.raises(TypeError, match=rf"{name}\(\) too many positional arguments"):
        function(0.5, 0.5)
    entry = FUNCTIONS[name.removesuffix("_grad")]
    if not entry.several:
        with pytest.raises(TypeError, match=r"axis|has no parameters"):
            function(0.5, axis=0)
    with pytest.raises(TypeError, match="takes either x or value=" if name.endswith("_grad") else f"{name}.* 'x'"):
        function()


def test_arrays_of_every_kind_have_their_precision_checked() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for x in (torch.ones(2), da.ones(2), 1.0):
        with pytest.raises(ValueError, match="precision must be one of"):
            pipeline.tanh(x, precision="nonsense")


def test_an_axis_and_a_number_that_cannot_be_are_named() -> None:
    for x in (da.ones((2, 2)), np.ones((2, 2))):
        with pytest.raises(np.exceptions.AxisError, match="axis 9 is out of bounds for array of dimension 2"):
            pipeline.softmax(x, axis=9)
    with pytest.raises(ValueError, match="beta must be finite, got a number too large for a float"):
        pipeline.sigmoid(1.0, beta=10**400)


@pytest.mark.parametrize(("axis", "chunks"), [(-1, (2, 4)), (1, (2, 4)), (0, (3, 2)), (-2, (3, 2))])
def test_softmax_of_a_dask_array_takes_any_axis_that_is_in_one_block(axis: int, chunks: tuple[int, int]) -> None:
    x = np.arange(12.0).reshape(3, 4)
    found = pipeline.softmax(da.from_array(x, chunks=chunks), axis=axis)
    assert found.chunks == da.from_array(x, chunks=chunks).chunks
    np.testing.assert_array_equal(found.compute(scheduler="sync"), pipeline.softmax(x, axis=axis))


def test_softmax_of_a_dask_array_needs_its_columns_together() -> None:
    x = da.ones((6, 4), chunks=(2, 2))
    with pytest.raises(
        ValueError, match=r"columns of the Dask array are in separate blocks; join them: x.rechunk\({-1: -1}\)"
    ):
        pipeline.softmax(x)
    assert pipeline.softmax(x.rechunk({-1: -1})).compute(scheduler="sync").sum() == 6.0


@asked
def test_array_api_arrays_have_the_values_of_numpy(name, parameters) -> None:
    xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    x = inputs(name)
    with np.errstate(all="ignore"):
        result = call(name, xp.asarray(x), **parameters)
        small = call(name, xp.asarray(x.astype(np.float32)), **parameters)
    assert type(result) is type(xp.asarray(x))
    assert result.dtype == xp.float64
    assert small.dtype == xp.float32
    expected = call(name, x, **parameters)
    np.testing.assert_allclose(np.asarray(result), expected, rtol=2e-13, atol=1e-290)
    np.testing.assert_allclose(np.asarray(small), expected, rtol=3e-4, atol=1e-6)


def test_array_api_arrays_of_whole_numbers_become_floating_and_complex_ones_are_refused() -> None:
    xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    assert pipeline.sigmoid(xp.asarray([0, 1])).dtype == xp.float64
    with pytest.raises(TypeError, match="expected booleans, integers or floats"):
        pipeline.sigmoid(xp.asarray([1j]))
    with pytest.raises(TypeError, match="out= works only with numpy arrays"):
        pipeline.sigmoid(xp.asarray([1.0]), out=xp.asarray([1.0]))
    with pytest.raises(TypeError, match="sigmoid_grad takes NumPy and Dask arrays"):
        pipeline.sigmoid_grad(xp.asarray([1.0]))


@asked
def test_torch_tensors_have_the_values_of_numpy(name, parameters) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = inputs(name)
    result = call(name, torch.asarray(x), **parameters)
    assert isinstance(result, torch.Tensor)
    assert result.dtype == torch.float64
    np.testing.assert_allclose(result.numpy(), call(name, x, **parameters), rtol=2e-13, atol=1e-290)
    assert call(name, torch.asarray(x.astype(np.float32)), **parameters).dtype == torch.float32
    assert call(name, torch.asarray([[0, 1]]), **parameters).dtype == torch.float64


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in {"logit", "softmax"}])
def test_torch_differentiates_to_the_derivative(name) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    at = np.linspace(-5.1, 5.3, 53)
    x = torch.asarray(at).requires_grad_()
    call(name, x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), call(f"{name}_grad", at), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", [name for name, entry in FUNCTIONS.items() if entry.torch])
def test_activations_are_those_of_torch(name) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = inputs(name) if name == "logit" else np.linspace(-5, 8, 300)
    x = x.reshape(-1, 3) if FUNCTIONS[name].several else x
    expected = torch_function(FUNCTIONS[name])(torch.asarray(x)).numpy()
    # Its softplus is x from 20 on; on the left its tanh form of GELU and its exact one cancel.
    np.testing.assert_allclose(call(name, x), expected, rtol=1e-8, atol=1e-15)


def test_the_pytorch_module_with_alpha_and_beta_gives_the_same_numbers() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.linspace(-20, 20, 401)
    expected = torch.sigmoid(1.7 * torch.asarray(x) - 0.3).numpy()
    np.testing.assert_allclose(pipeline.sigmoid(x, alpha=1.7, beta=-0.3), expected, rtol=1e-14)


def test_the_keras_layer_with_temperature_gives_the_same_numbers() -> None:
    # The layer returns keras.activations.sigmoid(inputs / temperature).
    x = np.linspace(-20, 20, 401)
    for temperature in (0.5, 1.0, 3.0):
        expected = 1 / (1 + np.exp(-(x / temperature)))
        np.testing.assert_allclose(pipeline.sigmoid(x, temperature=temperature), expected, rtol=1e-14)


def test_the_scikit_learn_transformer_with_a_feature_range_gives_the_same_numbers() -> None:
    x = np.linspace(-20, 20, 401)
    expected = -1 + (1 - -1) / (1 + np.exp(-x))
    np.testing.assert_allclose(pipeline.sigmoid(x, low=-1, high=1), expected, rtol=0, atol=5e-16)
