"""Weights that do not fit are refused when a layer is made, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.kernels.layers import DenseLayer, GruLayer, LstmLayer

INPUTS, UNITS = 2, 3
GATES = {DenseLayer: 1, LstmLayer: 4, GruLayer: 3}


def weights_of(layer: Any) -> dict[str, Any]:
    rows = GATES[layer] * UNITS
    if layer is DenseLayer:
        return {"weight": np.ones((rows, INPUTS)), "bias": np.ones(rows)}
    shapes = {"input_weight": (rows, INPUTS), "hidden_weight": (rows, UNITS), "input_bias": rows, "hidden_bias": rows}
    return {name: np.ones(shape) for name, shape in shapes.items()}


EACH = [(layer, name) for layer in GATES for name in weights_of(layer)]


@pytest.mark.parametrize(("layer", "name"), EACH)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda array: array[:-1], ValueError, "must have (the shape|4 rows|3 rows)"),
        (lambda array: array[np.newaxis], ValueError, "must have the shape"),
        (lambda array: array * np.nan, ValueError, "holds NaN or infinity"),
        (lambda array: array * np.inf, ValueError, "holds NaN or infinity"),
        (lambda array: array.astype(np.float16), TypeError, "must be float32 or float64, got float16"),
        (lambda array: array.astype(np.int64), TypeError, "must be float32 or float64, got int64"),
        (lambda array: array.tolist(), TypeError, "must be a numpy array, got list"),
        (lambda array: array.astype(np.float32), TypeError, "the weights of a layer must have one type"),
    ],
)
def test_weights_that_do_not_fit(layer: Any, name: str, change: Any, error: type[Exception], message: str) -> None:
    given = weights_of(layer)
    with pytest.raises(error, match=message) as found:
        layer(**{**given, name: change(given[name])})
    assert name in str(found.value) or change(given[name]).shape[0] < len(given[name])


@pytest.mark.parametrize("layer", GATES)
def test_a_layer_without_units_or_inputs(layer: Any) -> None:
    given = weights_of(layer)
    first = next(iter(given))
    for empty in (given[first][:, :0], given[first][:0]):
        with pytest.raises(ValueError, match=rf"{first} must have the shape \(units, inputs\), each at least 1"):
            layer(**{**given, first: empty})


def test_rows_that_are_no_multiple_of_the_gates() -> None:
    given = weights_of(LstmLayer)
    with pytest.raises(ValueError, match="input_weight must have 4 rows for each unit, got 13"):
        LstmLayer(**{**given, "input_weight": np.ones((13, INPUTS))})


@pytest.mark.parametrize(
    ("function", "parameters", "error", "message"),
    [
        ("sigmod", {}, LookupError, "sigmoid"),
        ("sigmoid", {"temperature": 0}, ValueError, "temperature must be more than 0"),
        ("relu", {"alpha": 1}, TypeError, "relu has no parameters"),
        (None, {"alpha": 1}, TypeError, "without a function has no parameters"),
    ],
)
def test_functions_and_parameters_that_are_none(
    function: Any, parameters: dict[str, float], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DenseLayer(**weights_of(DenseLayer), function=function, parameters=parameters)


def test_weights_cannot_be_changed_behind_a_layer() -> None:
    layer = DenseLayer(**weights_of(DenseLayer))
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0] = 2


def test_weights_in_another_byte_order_or_layout_give_the_same() -> None:
    given = weights_of(LstmLayer)
    turned = {name: np.asfortranarray(array).astype(">f8") for name, array in given.items()}
    rows = np.ones((4, 2, INPUTS))
    np.testing.assert_array_equal(LstmLayer(**turned).outputs(rows), LstmLayer(**given).outputs(rows))


def test_a_layer_survives_pickling() -> None:
    import pickle

    layer = LstmLayer(**weights_of(LstmLayer))
    rows = np.ones((4, 2, INPUTS))
    want = layer.outputs(rows)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer)).outputs(rows), want)
