"""Functions of columns, and the grammar of texts such as ``p=sigmoid(x)``."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.kernels import evaluate, log_sigmoid, logit, sigmoid, softmax
from pipeline.models import Application, TransformBlock, parse_application, restore
from pipeline.registry import FUNCTIONS
from pipeline.types.blocks import BlockFunction
from pipeline.types.inputs import Need


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sigmoid(x)", Application("sigmoid_x", "sigmoid", ("x",))),
        ("p=sigmoid(x)", Application("p", "sigmoid", ("x",))),
        ("  p = logit ( a.b_2 )  ", Application("p", "logit", ("a.b_2",))),
        ('"my p" = sigmoid("score, raw (1)")', Application("my p", "sigmoid", ("score, raw (1)",))),
        ('sigmoid("a ""b""")', Application('sigmoid_a "b"', "sigmoid", ('a "b"',))),
        ("größe=log_sigmoid(länge)", Application("größe", "log_sigmoid", ("länge",))),
        ("sigmoid=sigmoid(sigmoid)", Application("sigmoid", "sigmoid", ("sigmoid",))),
        ("p=sigmoid(x, temperature=2)", Application("p", "sigmoid", ("x",), (("temperature", 2.0),))),
        ("sigmoid(x, high=1.0, temperature = 1)", Application("sigmoid_x", "sigmoid", ("x",))),
        (
            "sigmoid(x, high=+2e0, low=-.5)",
            Application("sigmoid_x", "sigmoid", ("x",), (("low", -0.5), ("high", 2.0))),
        ),
        ("softmax(a, b, c)", Application("softmax", "softmax", ("a", "b", "c"))),
        ('p=softmax(a, "b b", temperature=3)', Application("p", "softmax", ("a", "b b"), (("temperature", 3.0),))),
    ],
)
def test_what_the_grammar_reads(text: str, expected: Application) -> None:
    assert parse_application(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "expected a function"),
        ("p=", 3, "expected a function"),
        ("p=sigmod(x)", 3, 'no function "sigmod"; did you mean "sigmoid"?'),
        ("p=tan(x)", 3, 'no function "tan"; did you mean "tanh"?'),
        (
            "p=f(x)",
            3,
            'no function "f"; there are elu, gelu, gelu_tanh, hard_sigmoid, inverse_cauchit, ',
        ),
        ("sigmoid", 8, 'expected "("'),
        ("sigmoid x", 9, 'expected "("'),
        ("sigmoid()", 9, "expected a column"),
        ("sigmoid(x", 10, 'expected ")"'),
        (
            "sigmoid(x, y)",
            12,
            "sigmoid takes one column; parameters are written temperature=, alpha=, beta=, low=, high=",
        ),
        ("logit(p, 3)", 10, "expected a column"),
        ("logit(p, q)", 10, "logit takes one column, and has no parameters"),
        ("logit(p, alpha=3)", 10, "logit has no parameters"),
        ("sigmoid(x, 2)", 12, "expected the name of a parameter, as in temperature=2"),
        ("sigmoid(x,)", 11, "expected a column or a parameter"),
        ("sigmoid(x, temprature=2)", 12, 'sigmoid has no parameter "temprature"; did you mean "temperature"?'),
        ("elu(x, slope=2)", 8, 'elu has no parameter "slope"; there are alpha'),
        ("sigmoid(x, temperature=)", 24, "expected a number for temperature"),
        ("sigmoid(x, temperature=inf)", 24, "expected a number for temperature"),
        ("sigmoid(x, temperature=y)", 24, "expected a number for temperature"),
        *(
            (f"sigmoid(x, alpha={text})", 18, "expected a number for alpha")
            for text in ("2x", "1e", "1_0", "0x10", '"2', "-")
        ),
        ("sigmoid(temperature=2)", 9, "expected a column before the parameters"),
        ("softmax(temperature=2, a, b)", 9, "expected a column before the parameters"),
        ("relu(alpha=2)", 6, "expected a column; relu has no parameters"),
        ("sigmoid(x, temperature=0)", 24, "temperature must be more than 0, got 0"),
        ("sigmoid(x, beta=1e999)", 17, "beta must be finite, got inf"),
        ("sigmoid(x, low=3, high=2)", 24, "low must be less than high, got 3 and 2"),
        ("sigmoid(x, alpha=1, alpha=2)", 21, "alpha is given twice"),
        ("leaky_relu(x, alpha=-1)", 21, "alpha must be between 0 and 1, got -1"),
        ("softmax(a)", 10, "softmax takes two columns or more"),
        ("softmax(a, b, a)", 15, 'column "a" is named twice'),
        ("softmax(a, b, temperature=2, c)", 30, "columns come before parameters"),
        ("sigmoid(x) + 1", 12, "expected nothing more"),
        ("sigmoid(score).x", 15, "expected nothing more"),
        ("sigmoid(x))", 11, "expected nothing more"),
        ("sigmoid(x y)", 11, 'expected ")"; a name like this needs double quotes: "x y"'),
        ("sigmoid(my col, alpha=2)", 12, 'expected ")"; a name like this needs double quotes: "my col"'),
        ("sigmoid(x-1)", 10, 'expected ")"; a name like this needs double quotes: "x-1"'),
        ("softmax(a, my col)", 15, 'expected ")"; a name like this needs double quotes: "my col"'),
        ("sigmoid(2x)", 9, "a name like this needs double quotes"),
        ('sigmoid("x)', 9, "a quote is not closed"),
        ('sigmoid("")', 9, "a name must not be empty"),
        ("p==sigmoid(x)", 3, "expected a function"),
        ("__import__('os')", 1, 'no function "__import__"'),
        ("p=sigmoid(x);q", 13, "expected nothing more"),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, column: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_application(text)
    first, shown, caret = caught.value.message.split("\n")
    said, at, hint = first.partition(f", at column {column}")
    assert (said + hint).startswith(message)
    assert at
    assert not hint or hint.endswith("?")
    assert shown == f"  {text}"
    assert caret == " " * (2 + column - 1) + "^"


def test_a_name_in_bytes_of_another_encoding_is_refused() -> None:
    with pytest.raises(UsageError, match="a name must be valid text, at column 9"):
        parse_application('sigmoid("\udcff")')


@pytest.mark.parametrize("text", ["sigmoid(x alpha=2)", "sigmoid(x, alpha=2 3)", 'sigmoid("x" y)', "sigmoid(x (y))"])
def test_no_quotes_are_offered_where_something_else_is_missing(text: str) -> None:
    with pytest.raises(UsageError, match=r'^expected "\)", at column'):
        parse_application(text)


def test_the_caret_is_at_the_right_place_in_escaped_and_long_texts() -> None:
    for text in ("\x1b[31m", "sigmoid(" + "x" * 500 + " y)"):
        with pytest.raises(UsageError) as caught:
            parse_application(text)
        _, shown, caret = caught.value.message.split("\n")
        assert shown.isprintable()
        assert len(shown) < 200
        assert shown[caret.index("^") :].startswith(("\\x1b", "y)"))


@given(st.text(max_size=30))
def test_any_text_is_read_or_is_a_usage_error(text: str) -> None:
    try:
        parse_application(text)
    except UsageError as error:
        assert "at column" in error.message  # noqa: PT017 - either outcome is fine


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name_can_be_quoted(name: str, column: str) -> None:
    quoted = [text.replace('"', '""') for text in (name, column)]
    assert parse_application(f'"{quoted[0]}"=logit("{quoted[1]}")') == Application(name, "logit", (column,))


def block_of(*texts: str, float32: bool = False) -> TransformBlock:
    return TransformBlock(tuple(map(parse_application, texts)), float32=float32)


def test_results_are_those_of_the_kernels() -> None:
    block = block_of("a=sigmoid(x)", "logit(p)", "b=log_sigmoid(x)")
    x, p = np.array([-800.0, -1.0, 0.0, 3.5]), np.array([0.0, 0.25, 0.5, 1.0])
    values = block.block([pa.array(x), pa.array(p)])
    assert block.columns() == (Need("x", "numeric"), Need("p", "numeric"))
    assert [made.name for made in block.fields()] == ["a", "logit_p", "b"]
    for array, expected in zip(values.arrays, (sigmoid(x), logit(p), log_sigmoid(x)), strict=True):
        assert array.to_numpy().tobytes() == expected.tobytes()
    assert (values.null, values.nan, values.events) == (0, 0, {})


@pytest.mark.parametrize("function", [sigmoid, logit, log_sigmoid])
def test_every_function_has_the_precision_asked_for(function: Callable[..., Any]) -> None:
    application = parse_application(f"{function.__name__}(x)")
    x = np.linspace(0.01, 0.99, 999)
    (array,) = TransformBlock((application,), precision="reproducible").block([pa.array(x)]).arrays
    assert array.to_numpy().tobytes() == function(x, precision="reproducible").tobytes() != function(x).tobytes()


def test_null_gives_null_and_nan_gives_nan() -> None:
    block = block_of("sigmoid(x)", "logit(x)")
    values = block.block([pa.array([None, math.nan, 2.0, 0.5, math.inf])])
    first, second = (array.to_pylist() for array in values.arrays)
    assert first[0] is second[0] is None
    assert math.isnan(first[1])
    assert math.isnan(second[1])
    assert first[4] == 1.0
    assert math.isnan(second[2])
    assert (values.null, values.nan) == (1, 3)
    assert values.events == {"missing x": 1, "infinite x": 1}
    assert all(array.buffers()[1].to_pybytes()[:8] == bytes(8) for array in values.arrays)


@pytest.mark.parametrize("cells", [[1, 0, None], [1.0, 0.0, None], [True, False, None]])
@pytest.mark.parametrize("float32", [False, True])
def test_every_numeric_type_is_computed_in_float64(cells: list[object], float32: bool) -> None:
    block = block_of("sigmoid(x)", float32=float32)
    (array,) = block.block([pa.array(cells)]).arrays
    expected = sigmoid(np.array([1.0, 0.0]))
    assert array.type == block.fields()[0].type == (pa.float32() if float32 else pa.float64())
    assert array.to_pylist() == [*(expected.astype(np.float32) if float32 else expected).tolist(), None]


def test_values_that_float64_cannot_hold_are_bad_cells() -> None:
    values = block_of("sigmoid(x)").block([pa.array([1, 2**60, None])])
    assert [(cell.record, cell.column, cell.text, cell.by_policy) for cell in values.rejected] == [
        (1, "x", str(2**60), False)
    ]
    assert (values.null, values.nan, len(values.arrays[0])) == (1, 0, 3)


def test_a_row_with_two_bad_cells_is_rejected_once_for_the_first_column_and_is_not_null() -> None:
    values = block_of("a=sigmoid(x)", "b=sigmoid(y)", "c=logit(z)").block(
        [pa.array([1, None, 2**60]), pa.array([2**60, 1, 2**61]), pa.array([0.5, None, 7.0])]
    )
    assert [(cell.record, cell.column, cell.text) for cell in values.rejected] == [
        (0, "y", str(2**60)),
        (2, "x", str(2**60)),
    ]
    assert (values.null, values.nan) == (1, 0)


def test_the_input_is_never_written_to() -> None:
    array = pa.array([1.0, 2.0])
    block_of("a=sigmoid(x)", "b=log_sigmoid(x)").block([array])
    assert array.to_pylist() == [1.0, 2.0]


def test_a_block_travels_by_pickle_and_by_json() -> None:
    block = block_of("a=sigmoid(x)", "logit(p)", float32=True)
    assert isinstance(block, BlockFunction)
    assert pickle.loads(pickle.dumps(block)) == block
    assert restore(json.loads(json.dumps(block.describe()))) == block
    assert not block.whole_chunk


def test_requests_that_make_no_sense_are_usage_errors() -> None:
    with pytest.raises(UsageError, match='two results are called "p"'):
        block_of("p=sigmoid(x)", "p=logit(x)")
    with pytest.raises(UsageError, match="nothing to apply"):
        block_of()
    with pytest.raises(UsageError, match='no function "tan"'):
        TransformBlock((Application("p", "tan", ("x",)),))


def test_check_names_unfit_columns() -> None:
    assert block_of("sigmoid(x)").check([pa.field("x", pa.string())])[0].startswith('column "x" is string')


def test_several_columns_and_several_functions_in_one_pass() -> None:
    block = block_of("p=sigmoid(x, temperature=2, low=-1)", "softmax(x, y)", "elu(y, alpha=0.5)", "q=softmax(y, x)")
    x, y = np.array([-3.0, 0.0, 2.5]), np.array([1.0, -700.0, 2.0])
    values = block.block([pa.array(x), pa.array(y)])
    assert [field.name for field in block.fields()] == ["p", "softmax_x", "softmax_y", "elu_y", "q_y", "q_x"]
    rows = softmax(np.stack([x, y], axis=1))
    expected = [
        evaluate("sigmoid", x, temperature=2, low=-1),
        rows[:, 0],
        rows[:, 1],
        evaluate("elu", y, alpha=0.5),
        rows[:, 1],
        rows[:, 0],
    ]
    for array, column in zip(values.arrays, expected, strict=True):
        np.testing.assert_array_equal(array.to_numpy(), column)


def test_a_null_in_one_column_makes_the_whole_softmax_null() -> None:
    values = block_of("softmax(a, b)", "relu(a)").block([pa.array([1.0, 2.0, None]), pa.array([1.0, None, math.nan])])
    assert [array.to_pylist() for array in values.arrays] == [[0.5, None, None], [0.5, None, None], [1.0, 2.0, None]]
    assert (values.null, values.nan) == (2, 0)


@pytest.mark.parametrize("cells", [[0.5, -1.0, None, math.inf], [1, 2**60, None, 3]], ids=["floats", "integers"])
def test_a_dictionary_is_computed_once_a_distinct_value_with_the_same_results(cells: list[Any]) -> None:
    random = np.random.default_rng(3)
    codes = pa.array(random.integers(0, 4, 200), mask=random.random(200) < 0.1)
    encoded = pa.DictionaryArray.from_arrays(codes, pa.array(cells))
    block = block_of("sigmoid(x)", "softmax(x, y)", "log_sigmoid(x)")
    other = pa.array(random.standard_normal(200))
    dense, sparse = block.block([encoded.dictionary_decode(), other]), block.block([encoded, other])
    assert str([array.to_pylist() for array in sparse.arrays]) == str([array.to_pylist() for array in dense.arrays])
    assert (sparse.null, sparse.nan, sparse.events) == (dense.null, dense.nan, dense.events)
    assert sparse.rejected == dense.rejected


def test_a_dictionary_of_two_values_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(name: str, values: Any, **options: Any) -> Any:
        seen.append(values.size)
        return evaluate(name, values, **options)

    monkeypatch.setattr("pipeline.kernels.evaluate", counted)
    rows = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 500), pa.array([0.25, 0.5]))
    (array,) = block_of("logit(p)").block([rows]).arrays
    assert seen == [2]
    assert array.to_pylist() == logit(np.array([0.25, 0.5] * 500)).tolist()


@pytest.mark.parametrize(
    ("application", "message"),
    [
        (Application("p", "sigmoid", ("x", "y")), "sigmoid takes one column"),
        (Application("p", "sigmoid", ()), "sigmoid takes one column"),
        (Application("p", "softmax", ("x",)), "softmax takes two columns or more"),
        (Application("p", "sigmoid", ("x",), (("temperature", 0.0),)), "temperature must be more than 0, got 0"),
        (Application("p", "relu", ("x",), (("alpha", 1.0),)), "relu has no parameters"),
    ],
)
def test_applications_that_nobody_parsed_are_checked_too(application: Application, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TransformBlock((application,))


def test_results_of_one_name_are_found_among_columns_of_a_softmax() -> None:
    with pytest.raises(UsageError, match='two results are called "p_a"'):
        block_of("p=softmax(a, b)", "p_a=relu(c)")


def test_a_block_with_parameters_travels_by_json_and_one_without_reads_as_before() -> None:
    block = block_of("a=sigmoid(x, temperature=2.5)", "softmax(x, y, temperature=0.1)", "logit(p)")
    assert restore(json.loads(json.dumps(block.describe()))) == block
    assert block.describe()["applications"][2] == ["logit_p", "logit", "p"]  # type: ignore[index]
    assert block_of("a=sigmoid(x, temperature=1)").describe() == block_of("a=sigmoid(x)").describe()


@pytest.mark.parametrize("name", [name for name, entry in FUNCTIONS.items() if not entry.several])
def test_every_function_can_be_applied(name: str) -> None:
    x = np.linspace(0.01, 0.99, 50)
    (array,) = block_of(f"y={name}(x)").block([pa.array(x)]).arrays
    np.testing.assert_array_equal(array.to_numpy(), evaluate(name, x))
