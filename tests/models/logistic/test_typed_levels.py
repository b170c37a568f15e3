"""Cells that no level is spelled like are read by the type of the levels; numeric features may be booleans."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.canonical import digest
from pipeline.errors import BadCellsError, ModelError, SchemaError
from pipeline.models import LogisticModel, ScoreBlock, ScoreRequest, restore, schema, show_model

SAMPLE = Path(__file__).parents[3] / "sample_data" / "delay_model.json"
NAN = float("nan")


def document(*features: dict[str, Any]) -> dict[str, Any]:
    return {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0, "features": list(features)}


def categorical(*levels: str, **more: Any) -> dict[str, Any]:
    coefficients = {level: number + 1.0 for number, level in enumerate(levels)}
    return {"column": "c", "kind": "categorical", "coefficients": coefficients, **more}


def boolean(**more: Any) -> dict[str, Any]:
    return {"column": "x", "kind": "numeric", "coefficient": 1.0, "boolean": True, **more}


def model_of(*features: dict[str, Any]) -> LogisticModel:
    return LogisticModel.from_json(json.dumps(document(*features)))


def block_of(*features: dict[str, Any], decimal: str = ".") -> ScoreBlock:
    return ScoreBlock.of(model_of(*features).file, ScoreRequest(raw_prediction=True, decimal=decimal))


def found(feature: dict[str, Any], cells: pa.Array, **options: Any) -> tuple[list[float | None], dict[str, int]]:
    """Return what each cell adds, ``None`` where it is missing or unseen, and what was counted."""
    values = block_of(feature, **options).block([cells])
    return values.arrays[-1].to_pylist(), dict(values.events)


BOOLEANS, INTEGERS, NUMBERS = ("false", "true"), ("1", "2"), ("0.5", "2.0")


@pytest.mark.parametrize(
    ("levels", "cells", "added", "read"),
    [
        (BOOLEANS, pa.array(["True", "False", "true", "TRUE", "1", "0", "yes"]), [2, 1, 2, 2, 2, 1, None], 5),
        (BOOLEANS, pa.array([True, False, None]), [2, 1, None], 0),
        (BOOLEANS, pa.array([1, 0, 2]), [2, 1, None], 2),
        (BOOLEANS, pa.array([1.0, 0.0, NAN]), [2, 1, None], 2),
        (INTEGERS, pa.array(["2.0", "1.0", "", "01", "2", "2.5", "+2"]), [2, 1, None, 1, 2, None, 2], 4),
        (INTEGERS, pa.array([2.0, 1.0, NAN, None, 2.5, -1.0]), [2, 1, None, None, None, None], 2),
        (INTEGERS, pa.array([2.0, 1.0, 2.5], pa.float32()), [2, 1, None], 2),
        (INTEGERS, pa.array([2.0, 1.0, 2.5], pa.float16()), [2, 1, None], 2),
        (INTEGERS, pa.array([2, 1, 3], pa.uint8()), [2, 1, None], 0),
        (INTEGERS, pa.array([2.0, 1.0, 2.0]).dictionary_encode(), [2, 1, 2], 3),
        (INTEGERS, pa.array([float("inf"), 1e300]), [None, None], 0),
        (INTEGERS, pa.array([True, False]), [None, None], 0),
        (NUMBERS, pa.array(["0.5", "0.50", ".5", "2", "2.0", "5e-1"]), [1, 1, 1, 2, 2, None], 3),
        (NUMBERS, pa.array([0.5, 2.0, 0.25]), [1, 2, None], 0),
        (NUMBERS, pa.array([2, 1]), [2, None], 1),
        (("AA", "1"), pa.array(["01", "1.0", "1"]), [None, None, 2], 0),
        (("AA", "1"), pa.array([1, 2]), [2, None], 0),
        (("AA", "true"), pa.array([True, False]), [2, None], 0),
        (("12345678901234567890", "1"), pa.array([12345678901234567890], pa.uint64()), [1], 0),
        (("10000000000000000", "1"), pa.array([1e16, 1.0]), [1, 2], 2),
    ],
    ids=str,
)
def test_a_cell_is_looked_up_as_it_is_spelled_and_what_is_not_found_is_read_by_type(
    levels: tuple[str, ...], cells: pa.Array, added: list[float | None], read: int
) -> None:
    scores, events = found(categorical(*levels), cells)
    assert scores == added
    assert events.get("read as level c", 0) == read
    assert "read as level c" not in events or read


def test_what_is_found_neither_way_is_unseen_spelled_as_it_stands() -> None:
    feature = categorical(*INTEGERS, unseen="error")
    for cells, text in ((pa.array(["01", "x1"]), "x1"), (pa.array([2.0, 2.5]), "2.5")):
        (cell,) = block_of(feature).block([cells]).rejected
        assert (cell.record, cell.text, cell.cause) == (1, text, "unseen refused")


def test_nan_in_a_categorical_column_of_floats_is_missing() -> None:
    scores, events = found(categorical("1", "2", missing={"level": "2"}), pa.array([1.0, NAN, None]))
    assert scores == [1, 2, 2]
    assert events == {"missing c": 2, "read as level c": 1}


def test_a_missing_cell_is_not_counted_as_read() -> None:
    cells = pa.array(["1.0", None, "1.0", "1"]).dictionary_encode()
    assert found(categorical(*INTEGERS), cells)[1] == {"missing c": 1, "read as level c": 2}


def test_levels_text_keeps_the_old_answer() -> None:
    cells = pa.array(["2.0", "01", "2", "True"])
    assert found(categorical("1", "2", "true", levels="text"), cells) == ([None, None, 2, None], {"unseen c": 3})
    assert found(categorical(*INTEGERS), cells)[0] == [2, 1, 2, None]


def test_the_level_that_missing_or_unseen_names_does_not_count() -> None:
    feature = categorical("1", "2", "none", "other", missing={"level": "none"}, unseen={"level": "other"})
    assert found(feature, pa.array(["1.0", None, "x", "none"]))[0] == [1, 3, 4, 3]
    only = categorical("none", missing={"level": "none"})
    assert found(only, pa.array(["1.0", None]))[0] == [None, 1]


LEVELS = st.lists(
    st.sampled_from(["0", "1", "2", "-3", "01", "1.0", "2.5", "true", "false", "True", "AA", "", " 1", "1e5"]),
    min_size=1, max_size=6, unique=True,
)  # fmt: skip
CELLS = st.lists(
    st.sampled_from(["0", "1", "2", "-3", "01", "1.0", "2.0", "2.5", "2.50", "true", "True", "AA", "", "x", None]),
    min_size=1, max_size=12,
)  # fmt: skip


@given(LEVELS, CELLS, st.sampled_from(["null", "zero"]))
@example(["1", "2"], ["2.0", "2", "x"], "zero")
def test_version_1_files_give_the_same_bits_for_levels_spelled_as_in_the_file(
    levels: list[str], cells: list[str | None], unseen: str
) -> None:
    unstated = categorical(*levels, unseen=unseen)
    now, _ = found(unstated, pa.array(cells, pa.string()))
    text, _ = found({**unstated, "levels": "text"}, pa.array(cells, pa.string()))
    before = [
        None if cell is None else unstated["coefficients"].get(cell, 0.0 if unseen == "zero" else None)
        for cell in cells
    ]
    assert text == before
    for cell, value, old in zip(cells, now, before, strict=True):
        if cell is None or cell in unstated["coefficients"]:
            assert value == old


def test_the_description_of_a_model_without_the_new_keys_is_byte_for_byte_what_it_was() -> None:
    # Both digests were computed before there were types of levels.
    model = LogisticModel.load(SAMPLE)
    assert model.digest() == "ea90f9ec90cc59df52636978c0e9f7b8e4c796504a69db441379bffaec5d1a62"
    described = digest(ScoreBlock.of(model.file).describe())
    assert described == "74922fe2e579aacefe1727b81ecdfcd131026b564fc7457cdd0f7b85e8c501df"
    stated = model_of(boolean(boolean=False), categorical("a"))
    plain = boolean()
    del plain["boolean"]
    assert stated.digest() == model_of(plain, categorical("a")).digest()


def test_the_new_keys_are_in_the_digest_the_file_the_table_and_the_schema(tmp_path: Path) -> None:
    model = model_of(boolean(), categorical(*INTEGERS, levels="integer"))
    unstated = boolean()
    del unstated["boolean"]
    assert len({model.digest(), model_of(unstated, categorical(*INTEGERS)).digest()}) == 2
    model.save(tmp_path / "m.json")
    assert LogisticModel.load(tmp_path / "m.json") == model
    saved = json.loads((tmp_path / "m.json").read_text())["features"]
    assert (saved[0]["boolean"], saved[1]["levels"]) == (True, "integer")
    assert [row[1] for row in show_model(model).rows][:2] == ["numeric (boolean)", "categorical (integer levels)"]
    defined = schema()["$defs"]
    assert defined["NumericFeature"]["properties"]["boolean"]["type"] == "boolean"
    stated = defined["CategoricalFeature"]["properties"]["levels"]["anyOf"][0]
    assert stated["enum"] == ["text", "boolean", "integer", "number"]


MISTAKES = [
    (["1", "01"], "integer", "01", 'the levels "1" and "01" are the same integer'),
    (["true", "1"], "boolean", "1", 'the levels "true" and "1" are the same boolean'),
    (["1.5", "1.50"], "number", "1.50", 'the levels "1.5" and "1.50" are the same number'),
    (["true", "A-A"], "boolean", "A-A", 'the level "A-A" is not a boolean, but "levels" is "boolean"'),
    (["1", "1.5"], "integer", "1.5", 'the level "1.5" is not an integer, but "levels" is "integer"'),
    (["1", "1,5"], "number", "1,5", 'the level "1,5" is not a number, but "levels" is "number"'),
]


@pytest.mark.parametrize(("levels", "type_", "wrong", "message"), MISTAKES, ids=str)
def test_two_keys_that_read_as_one_level_and_levels_of_another_type_are_errors_with_their_place(
    levels: list[str], type_: str, wrong: str, message: str
) -> None:
    text = json.dumps(document(boolean(), categorical(*levels, levels=type_)), indent=1)
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each.strip().startswith(f'"{wrong}":'))
    with pytest.raises(ModelError) as caught:
        LogisticModel.from_json(text)
    assert f'features[1].coefficients["{wrong}"] at line {line}, column 5: {message}' in str(caught.value)
    # Without the key the same levels are text, as they always were, or of a type that tells them apart.
    model_of(categorical(*levels))


def test_every_mistake_is_listed_at_once_and_a_level_of_a_policy_is_none() -> None:
    feature = categorical("1", "x", "01", "y", levels="integer", missing={"level": "x"})
    with pytest.raises(ModelError) as caught:
        model_of(feature, boolean(boolean="yes"))
    for message in (
        '"1" and "01" are the same',
        'level "y" is not an integer',
        "boolean at line 1, column 298: must be true or false",
    ):
        assert message in str(caught.value)
    assert 'level "x"' not in str(caught.value)


def test_a_type_that_does_not_exist_is_an_error_that_lists_the_types() -> None:
    with pytest.raises(ModelError, match=r'levels.*must be "text", "boolean", "integer" or "number", not "int"'):
        model_of(categorical("1", levels="int"))
    with pytest.raises(ModelError, match=r"levels.*must be .*, not \["):
        model_of(categorical("1", levels=["integer"]))


def test_the_decimal_sign_of_csv_files_is_in_the_identity_only_where_it_is_no_point() -> None:
    feature = categorical(*INTEGERS)
    assert "decimal" not in block_of(feature).describe()
    comma = block_of(feature, decimal=",")
    assert comma.describe()["decimal"] == ","
    assert restore(json.loads(json.dumps(comma.describe()))) == comma
    cells = pa.array(["2,0", "2.0", "1"])
    assert found(feature, cells, decimal=",")[0] == [2, None, 1]
    assert found(feature, cells)[0] == [None, 2, 1]
    # Numbers have no decimal sign.
    assert found(feature, pa.array([2.0, 1.0]), decimal=",")[0] == [2, 1]
    # Blocks of one model do not take over what was looked up for the other sign.
    model = model_of(feature).file
    for decimal, expected in (",", [2, None, 1]), (".", [None, 2, 1]), (",", [2, None, 1]):
        block = ScoreBlock(model, ("raw_prediction",), decimal=decimal)
        assert block.block([cells]).arrays[0].to_pylist() == expected


def test_a_model_with_types_is_copied_and_pickled() -> None:
    block = block_of(categorical(*INTEGERS))
    cells = [pa.array(["2.0", "1"])]
    block.block(cells)
    again = pickle.loads(pickle.dumps(block))
    assert again == block
    assert again.block(cells).arrays[0].equals(block.block(cells).arrays[0])
    feature = block.model.features[0]
    other = feature.model_copy(update={"coefficients": {"1": 7.0, "2": 8.0}})
    assert other.lookup.table().by_value == {"1": 0, "2": 1}  # type: ignore[attr-defined]
    assert other.weights.tolist() == [7.0, 8.0, 0.0]  # type: ignore[attr-defined]
    assert feature.lookup.table() is feature.lookup.table()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([True, False, None]),
        pa.array([1, 0, None]),
        pa.array([1.0, 0.0, None]),
        pa.array([1.0, -0.0, NAN]),
        pa.array([True, False, None]).cast(pa.int8()).dictionary_encode(),
        pa.array([1, 0, None]).cast(pa.decimal128(20, 1)),
    ],
    ids=lambda cells: str(cells.type),
)
def test_a_boolean_feature_takes_booleans_and_the_numbers_1_and_0(cells: pa.Array) -> None:
    model = model_of(boolean(coefficient=2.0, missing={"impute": 0.5}))
    values = ScoreBlock(model.file, ("raw_prediction",)).block([cells])
    assert values.arrays[0].to_pylist() == [2.0, 0.0, 1.0]
    assert values.rejected == ()


@pytest.mark.parametrize("cells", [pa.array([1, 2, None]), pa.array([NAN, 0.5, 1.0]), pa.array([0, -1, 1])], ids=str)
def test_another_number_is_a_bad_cell_of_a_boolean_feature(cells: pa.Array) -> None:
    (cell,) = ScoreBlock(model_of(boolean()).file).block([cells]).rejected
    assert (cell.record, cell.cause) == (1, "number for a boolean")
    with pytest.raises(BadCellsError, match=r"row 1, column x: .* is neither 1 nor 0, and the feature is a boolean"):
        model_of(boolean()).probability({"x": cells})


def test_a_number_beyond_float64_is_bad_once() -> None:
    (cell,) = ScoreBlock(model_of(boolean()).file).block([pa.array([2**60 + 1])]).rejected
    assert cell.cause == "inexact"


def test_python_scores_frames_with_the_same_lookup() -> None:
    pandas = pytest.importorskip("pandas")
    model = model_of(categorical("1", "2", missing={"level": "2"}), boolean())
    frame = pandas.DataFrame({"c": [1.0, None, 2.0], "x": [True, False, True]})
    expected = 1 / (1 + np.exp(-np.array([2.0, 2.0, 3.0])))
    assert np.allclose(model.probability(frame), expected, rtol=0, atol=1e-15)
    assert np.allclose(model.probability(frame.to_numpy()), expected, rtol=0, atol=1e-15)
    with pytest.raises(SchemaError, match=r'column "x" is .*string, but a numeric feature'):
        model.probability({"c": ["1", "2.0"], "x": ["True", "False"]})
