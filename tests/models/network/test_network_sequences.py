"""Scores of networks over sequences: those of PyTorch, with the policies of the model, the same bits in every batch."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.models import ScoreRequest, load_model, score_block
from pipeline.types.blocks import Values
from tests.models.network import stored_steps
from tests.models.network.networks import drawn_steps, sequence, step_layers, steps_by_torch, written
from tests.seeds import seeds

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored_steps.json").read_text())["raw_prediction"]
LIMITS = {"float64": 1e-12, "float32": 1e-6}
RAW = ScoreRequest(raw_prediction=True)


def block_of(path: Path) -> Any:
    return score_block(load_model(path), RAW)


def raw_of(block: Any, arrays: Sequence[pa.Array]) -> np.ndarray:
    return raw_in(block.block(arrays))


def raw_in(values: Values) -> np.ndarray:
    return values.arrays[1].to_numpy(zero_copy_only=False)


def flat(rows: Sequence[np.ndarray]) -> pa.Array:
    """Return rows of shape (steps, inputs) as lists of steps times inputs numbers."""
    return pa.array([row.ravel().tolist() for row in rows], pa.list_(pa.float64()))


def nested(rows: Sequence[np.ndarray]) -> pa.Array:
    return pa.array([row.tolist() for row in rows], pa.list_(pa.list_(pa.float64())))


def of_fixed(rows: Sequence[np.ndarray], width: int = 3) -> pa.Array:
    return pa.array([row.tolist() for row in rows], pa.list_(pa.list_(pa.float64(), width)))


def large(rows: Sequence[np.ndarray]) -> pa.Array:
    return flat(rows).cast(pa.large_list(pa.float64()))


def sliced(rows: Sequence[np.ndarray]) -> pa.Array:
    return flat([*rows[:2], *rows, rows[0]]).slice(2, len(rows))


def sliced_nested(rows: Sequence[np.ndarray]) -> pa.Array:
    return nested([*rows[:2], *rows, rows[0]]).slice(2, len(rows))


def sliced_fixed(rows: Sequence[np.ndarray]) -> pa.Array:
    return of_fixed([*rows[:2], *rows, rows[0]]).slice(2, len(rows))


def large_nested(rows: Sequence[np.ndarray]) -> pa.Array:
    return nested(rows).cast(pa.large_list(pa.large_list(pa.float64())))


FORMS: dict[str, Callable[[Sequence[np.ndarray]], pa.Array]] = {
    form.__name__: form for form in (flat, nested, of_fixed, large, sliced, sliced_nested, sliced_fixed, large_nested)
}


def stored_model(folder: Path, kind: str, pooling: str, dtype: str = "float64", **feature: Any) -> Path:
    features = [sequence("s", width=3, missing="empty", **feature)]
    tensors = drawn_steps(kind, stored_steps.WIDTHS, np.dtype(dtype).type)
    return written(folder, tensors, features=features, layers=step_layers(kind, 2, pooling))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "pooling"), stored_steps.CASES)
def test_raw_predictions_of_sequences_are_those_that_torch_computed(
    kind: str, pooling: str, dtype: str, tmp_path: Path
) -> None:
    block = block_of(stored_model(tmp_path, kind, pooling, dtype))
    found = raw_of(block, [flat(stored_steps.rows())])
    expected = STORED[f"{kind} {pooling}"][dtype]
    np.testing.assert_allclose(found, expected, rtol=LIMITS[dtype], atol=LIMITS[dtype])


@pytest.mark.parametrize("form", FORMS)
def test_lists_of_every_form_have_the_same_bits(form: str, tmp_path: Path) -> None:
    block = block_of(stored_model(tmp_path, "lstm", "mean"))
    rows = stored_steps.rows()
    assert raw_of(block, [FORMS[form](rows)]).tobytes() == raw_of(block, [flat(rows)]).tobytes()


def test_sequences_of_one_number_a_step_and_several_features_are_the_same_inputs(tmp_path: Path) -> None:
    tensors = drawn_steps("gru", (3, 4, 1))
    names = ["a", "b", "c"]
    one = block_of(
        written(tmp_path / "one", tensors, features=[sequence("s", width=3)], layers=step_layers("gru", 1, "last"))
    )
    three = block_of(
        written(tmp_path / "three", tensors, features=[*map(sequence, names)], layers=step_layers("gru", 1, "last"))
    )
    rows = [np.arange(6.0).reshape(2, 3) / 6, np.ones((1, 3))]
    columns = [pa.array([row[:, place].tolist() for row in rows]) for place in range(3)]
    assert raw_of(three, columns).tobytes() == raw_of(one, [flat(rows)]).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "pooling"), [("lstm", "last"), ("gru", "mean"), ("lstm", "max")])
def test_a_row_has_the_same_bits_in_every_batch_beside_rows_of_any_length(
    kind: str, pooling: str, dtype: str, tmp_path: Path
) -> None:
    block = block_of(stored_model(tmp_path, kind, pooling, dtype))
    generator = np.random.default_rng(5)
    rows = [generator.normal(size=(int(length), 3)) for length in generator.integers(0, 12, 3_000)]
    rows[17] = generator.normal(size=(200, 3))
    whole = raw_of(block, [flat(rows)])
    assert np.isfinite(whole).all()
    for start, stop in ((0, 1), (16, 18), (700, 1_900), (2_999, 3_000)):
        assert raw_of(block, [flat(rows[start:stop])]).tobytes() == whole[start:stop].tobytes()
    order = generator.permutation(len(rows))
    rows[5] = np.full((4, 3), np.inf)
    shuffled = raw_of(block, [flat([rows[place] for place in order])])
    kept = order != 5
    assert shuffled[kept].tobytes() == whole[order][kept].tobytes()


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("seed", seeds(100, slow=15))
def test_a_hundred_drawn_recurrent_networks_are_scored_as_torch_scores_them(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    kind, pooling = str(generator.choice(["lstm", "gru"])), str(generator.choice(["last", "mean", "max"]))
    inputs, depth, outputs = int(generator.integers(1, 7)), int(generator.integers(1, 4)), int(generator.choice([1, 3]))
    widths = [inputs, *generator.integers(1, 40, depth).tolist(), outputs]
    count, longest = int(generator.choice([0, 1, 30, 1_030])), int(generator.choice([1, 8, 150 if seed % 5 else 700]))
    count = min(count, 60) if longest > 8 else count
    rows = [generator.normal(size=(int(length), inputs)) for length in generator.integers(0, longest + 1, count)]
    classes = {"head": "softmax", "classes": [f"c{number}" for number in range(outputs)]} if outputs > 1 else {}
    for dtype in (np.float32, np.float64):
        tensors = drawn_steps(kind, widths, dtype, seed)
        features = [sequence("s", width=inputs, missing="empty")]
        path = written(tmp_path, tensors, features=features, layers=step_layers(kind, depth, pooling), **classes)
        block = block_of(path)
        values = block.block([flat(rows)])
        names = [field.name for field in block.fields()]
        raw = [array for name, array in zip(names, values.arrays, strict=True) if name.startswith("raw_prediction")]
        expected = steps_by_torch(tensors, kind, rows, pooling).reshape(count, outputs)
        limit = LIMITS[str(np.dtype(dtype))]
        for found, wanted in zip(raw, expected.T, strict=True):
            scale = max(1, np.abs(expected).max(initial=0))
            np.testing.assert_allclose(found.to_numpy(zero_copy_only=False), wanted, rtol=limit, atol=limit * scale)


def policies(folder: Path, **feature: Any) -> Any:
    features = [sequence("s", width=2, **feature)]
    tensors = drawn_steps("gru", (2, 4, 1))
    return block_of(written(folder, tensors, features=features, layers=step_layers("gru", 1, "mean"), steps=3))


LISTS: list[Any] = [
    [[1.0, 2.0], [3.0, 4.0]],
    None,
    [],
    [[1.0, None], [3.0, 4.0]],
    [None, [3.0, 4.0]],
    [[1.0, float("nan")], [3.0, 4.0]],
    [[float("inf"), 2.0]],
    [[1.0, 2.0, 3.0]],
    [[1.0, 2.0]] * 4,
]
NESTED = [pa.list_(pa.list_(pa.float64())), pa.large_list(pa.large_list(pa.float32()))]


@pytest.mark.parametrize("type_", NESTED, ids=str)
def test_missing_sequences_and_missing_values_make_the_score_null(type_: pa.DataType, tmp_path: Path) -> None:
    values = policies(tmp_path).block([pa.array(LISTS, type_)])
    assert [value is None for value in values.arrays[1].to_pylist()] == [False] + [True] * 5 + [False] * 3
    assert values.null == 5
    assert values.events == {"missing s": 2, "gaps s": 3, "infinite s": 1}
    assert [(cell.record, cell.cause, cell.text) for cell in values.rejected] == [
        (7, "partial step", "[[1.0, 2.0, 3.0]]"),
        (8, "too many steps", "[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]"),
    ]
    assert values.features is not None
    assert values.features["s"].missing == 2


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (
            {"missing": "error", "missing_step": "error"},
            [(1, "missing refused"), (2, "missing refused"), *((row, "missing step refused") for row in (3, 4, 5))],
        ),
        (
            {"missing": "quarantine", "missing_step": "quarantine"},
            [
                (1, "missing set aside"),
                (2, "missing set aside"),
                *((row, "missing step set aside") for row in (3, 4, 5)),
            ],
        ),
    ],
)
def test_missing_sequences_and_values_are_refused_or_set_aside(
    feature: dict[str, str], expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    block = policies(tmp_path, **feature)
    values = block.block([pa.array(LISTS[:7], NESTED[0])])
    assert [(cell.record, cell.cause) for cell in values.rejected] == expected
    assert all(cell.by_policy == (feature["missing"] == "quarantine") for cell in values.rejected)
    assert [field.nullable for field in block.fields()] == [False, False]


def test_an_empty_sequence_has_no_step_and_a_missing_value_counts_as_a_number(tmp_path: Path) -> None:
    standard = {"center": [1.0, 2.0], "scale": [2.0, 4.0]}
    imputed = policies(tmp_path / "one", missing="empty", missing_step={"impute": 9.0}, **standard)
    values = imputed.block([pa.array(LISTS[:6], NESTED[0])])
    raw = raw_in(values)
    assert (values.null, values.events) == (0, {"missing s": 2, "gaps s": 3})
    (bias,) = drawn_steps("gru", (2, 4, 1))["0.bias"]
    assert raw[1:3].tolist() == [bias, bias]
    plain = policies(tmp_path / "two")
    steps = [[[1.0, 9.0], [3.0, 4.0]], [[9.0, 9.0], [3.0, 4.0]], [[1.0, 9.0], [3.0, 4.0]]]
    made = (np.array(steps) - [1.0, 2.0]) / [2.0, 4.0]
    assert raw[3:].tolist() == raw_of(plain, [pa.array(made.tolist())]).tolist()


def test_a_number_that_is_imputed_is_not_rounded_to_the_type_of_the_column(tmp_path: Path) -> None:
    imputed, plain = policies(tmp_path / "one", missing_step={"impute": 0.1}), policies(tmp_path / "two")
    found = raw_of(imputed, [pa.array([[0.5, None]], pa.list_(pa.float32()))])
    assert found.tolist() == raw_of(plain, [pa.array([[0.5, 0.1]])]).tolist()


def test_sequences_of_a_row_that_differ_in_length_are_a_bad_row(tmp_path: Path) -> None:
    tensors = drawn_steps("lstm", (2, 4, 1))
    features = [sequence("a", missing="empty"), sequence("b")]
    block = block_of(written(tmp_path, tensors, features=features, layers=step_layers("lstm", 1, "max")))
    values = block.block([pa.array([[1.0], [1.0, 2.0], None, [1.0]]), pa.array([[1.0], [1.0], [1.0], None])])
    assert [(cell.record, cell.column, cell.cause) for cell in values.rejected] == [
        (1, "b", "steps differ"),
        (2, "b", "steps differ"),
    ]
    assert values.arrays[1].to_pylist()[3] is None


ODD: dict[str, tuple[str, list[float | int | None], str]] = {
    "a missing value that is refused": ("error", [1.0, float("nan")], "missing step refused"),
    "a missing value that is set aside": ("quarantine", [1.0, None], "missing step set aside"),
    "an integer that is not exact": ("null", [1, 2**53 + 1], "inexact step"),
    "behind many steps": ("error", [1.0] * 200 + [None], "missing step refused"),
}


@pytest.mark.parametrize("missing", ["null", "quarantine"])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("turned", [False, True])
def test_a_bad_list_keeps_a_row_out_though_its_other_list_is_missing(
    odd: str, missing: str, turned: bool, tmp_path: Path
) -> None:
    policy, steps, cause = ODD[odd]
    features = [sequence("a", missing=missing), sequence("b", missing_step=policy)]
    columns = [pa.array([[1.0], None, None], pa.list_(pa.float64())), pa.array([steps[:1], steps, steps[:1]])]
    way = slice(None, None, -1 if turned else 1)
    layers = step_layers("lstm", 1, "max")
    block = block_of(written(tmp_path, drawn_steps("lstm", (2, 4, 1)), features=features[way], layers=layers))
    values = block.block(columns[way])
    is_first = missing == "null" or cause != "missing step set aside" or turned
    expected = [(1, "b", cause) if is_first else (1, "a", "missing set aside")]
    assert [(cell.record, cell.column, cell.cause) for cell in values.rejected] == [
        *expected,
        *([(2, "a", "missing set aside")] if missing == "quarantine" else []),
    ]
    assert values.null == (1 if missing == "null" else 0)


def test_what_lies_behind_a_null_is_not_read(tmp_path: Path) -> None:
    block = policies(tmp_path)
    numbers = pa.array([1.0, 2.0, np.inf, np.nan, np.inf, 3.0, 4.0, 5.0])
    offsets, valid = pa.array([0, 2, 5, 5, 7], pa.int32()), pa.array([False, True, False, False])
    hidden = pa.ListArray.from_arrays(offsets, numbers, mask=valid)
    assert len(hidden.values) == len(numbers)
    values = block.block([hidden])
    assert [value is None for value in values.arrays[1].to_pylist()] == [False, True, True, False]
    assert values.events == {"missing s": 2}
    fixed = pa.FixedSizeListArray.from_arrays(pa.array([np.nan, np.inf, 1.0, 2.0]), 2, mask=pa.array([True, False]))
    assert block.block([fixed]).events == {"missing s": 1}
    inner = pa.FixedSizeListArray.from_arrays(pa.array([np.nan, np.inf, 1.0, 2.0]), 2, mask=pa.array([True, False]))
    outer = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), inner)
    assert block.block([outer]).events == {"gaps s": 1}


@pytest.mark.parametrize("type_", [pa.int8(), pa.int64(), pa.uint32(), pa.float16(), pa.float32()], ids=str)
def test_numbers_of_every_type_are_steps(type_: pa.DataType, tmp_path: Path) -> None:
    block = policies(tmp_path)
    rows = [[1, 2, 3, 4], [5, 6], None]
    found = raw_of(
        block,
        [
            pa.array(
                [[np.float16(each) for each in row] if type_ == pa.float16() else row for row in rows[:2]] + [None],
                pa.list_(type_),
            )
        ],
    )
    expected = raw_of(block, [pa.array(rows, pa.list_(pa.float64()))])
    np.testing.assert_array_equal(found, expected)


def test_an_integer_that_float64_cannot_hold_is_a_bad_row(tmp_path: Path) -> None:
    values = policies(tmp_path).block([pa.array([[2**53, 1], [2**53 + 1, 1], [-(2**53) - 1, None]])])
    assert [(cell.record, cell.cause) for cell in values.rejected] == [(1, "inexact step"), (2, "inexact step")]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([], pa.list_(pa.float64())),
        pa.array([], pa.list_(pa.list_(pa.float32(), 2))),
        pa.array([], pa.list_(pa.float64(), 4)),
        pa.nulls(3, pa.list_(pa.float64())),
        pa.nulls(3, pa.list_(pa.float64(), 4)),
        pa.nulls(3, pa.large_list(pa.list_(pa.float64()))),
        pa.array([[], []], pa.list_(pa.null())),
        pa.array([[None, None]], pa.list_(pa.null())),
    ],
    ids=lambda array: f"{len(array)} of {array.type}",
)
def test_columns_without_any_number_have_no_score(array: pa.Array, tmp_path: Path) -> None:
    values = policies(tmp_path).block([array])
    assert values.arrays[1].null_count == values.null == len(array)


UNFIT = {
    pa.list_(pa.string()): "is list<{}: string>, but a sequence feature is a list of integers or floats",
    pa.string(): "is string, but a sequence feature is a list of integers or floats, or a list of such lists",
    pa.float64(): "is double, but a sequence feature is a list of integers or floats",
    pa.list_(pa.bool_()): "but a sequence feature is a list of integers or floats",
    pa.list_(pa.list_(pa.list_(pa.float64()))): "but a sequence feature is a list of integers or floats",
    pa.list_(pa.float64(), 8): 'has 4 steps, but the model takes at most 3 ("steps")',
    pa.list_(pa.float64(), 5): "but 2 numbers make a step, and 5 are no whole steps",
    pa.list_(pa.list_(pa.float64(), 3)): "but a step has 2 numbers",
    pa.list_(pa.list_(pa.float64()), 4): 'has 4 steps, but the model takes at most 3 ("steps")',
}


@pytest.mark.parametrize("type_", UNFIT, ids=str)
def test_columns_that_are_no_sequence_for_the_model_are_known_by_their_type(type_: pa.DataType, tmp_path: Path) -> None:
    block = policies(tmp_path)
    (sentence,) = block.check([pa.field("s", type_)])
    assert sentence.startswith('column "s" ')
    assert UNFIT[type_].format("item") in sentence.replace("<element:", "<item:")
    for fits in (pa.list_(pa.float32()), pa.list_(pa.int16(), 6), pa.large_list(pa.list_(pa.float64(), 2))):
        assert block.check([pa.field("s", fits)]) == []


def test_a_call_takes_the_memory_that_is_projected_however_long_the_rows_are(tmp_path: Path) -> None:
    features = [sequence("s", width=4)]
    tensors = drawn_steps("lstm", (4, 8, 1), np.float32)
    block = block_of(written(tmp_path, tensors, features=features, layers=step_layers("lstm", 1, "mean")))
    numbers = pa.array(np.random.default_rng(0).normal(size=1_100 * 4 * 300))
    ends = np.sort(np.random.default_rng(1).choice(np.arange(1, 1_100 * 300), 1_099, replace=False)) * 4
    offsets = pa.array(np.concatenate([[0], ends, [len(numbers)]]).astype(np.int32))
    array = pa.ListArray.from_arrays(offsets, numbers)
    block.block([array.slice(0, 2)])
    tracemalloc.start()
    block.block([array])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < block.call_bytes + 1_100 * (block.scratch_row_bytes + 40) < 8 * len(numbers)
