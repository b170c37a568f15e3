"""The model file: what it may contain, and every mistake in it."""

from __future__ import annotations

import copy
import json
import math
import pickle
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputMissingError, ModelError
from pipeline.models import LogisticModel, schema
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.categorical import CategoricalFeature
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.parsing import examine, from_mapping, parse
from pipeline.models.tally import BatchColumn, RowTally

EXAMPLE = """{"format": "logitstream-model", "version": 1, "kind": "logistic",
 "target": {"column": "late", "negative": false, "positive": true},
 "intercept": -1.5,
 "features": [
   {"column": "distance", "kind": "numeric", "coefficient": 0.12, "center": 1048.3, "scale": 735.6,
    "missing": {"impute": 872.0}},
   {"column": "hour", "kind": "numeric", "coefficient": 0.07},
   {"column": "carrier", "kind": "categorical", "coefficients": {"AA": 0.1, "UA": -0.2}, "unseen": "zero",
    "missing": "null"}],
 "output": {"columns": ["probability", "decision"], "threshold": 0.5}}"""


CENTER = '"coefficient": 0.12, "center": 1048.3'


def changed(old: str, new: str) -> bytes:
    assert old in EXAMPLE
    return EXAMPLE.replace(old, new).encode()


def problems(data: bytes) -> list[str]:
    found = examine(data)
    assert not isinstance(found, ModelFile)
    return [str(problem) for problem in found]


def test_the_example_says_what_it_says() -> None:
    model = parse(EXAMPLE.encode())
    assert [feature.column for feature in model.features] == ["distance", "hour", "carrier"]
    assert model.base == math.fsum([-1.5, -0.12 * 1048.3 / 735.6, -0.07 * 0.0 / 1.0])
    assert model.features[0].weight == 0.12 / 735.6


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"intercept": -1.5', '"intercept": NaN', "intercept at line 3, column 15: NaN is not a finite number"),
        ('"intercept": -1.5', '"intercept": -Infinity', "intercept at line 3, column 15: -Infinity is not a finite"),
        ('"intercept": -1.5', '"intercept": 1e999', "intercept at line 3, column 15: 1e999 is beyond the range"),
        ('"intercept": -1.5', '"intercept": ' + "9" * 5000, "intercept at line 3, column 15: 999"),
        ('"intercept": -1.5', '"intercept": true', "intercept at line 3, column 2: must be a number, not true"),
        ('"intercept": -1.5', '"intercept": "1"', 'intercept at line 3, column 2: must be a number, not "1"'),
        ('"intercept": -1.5', '"intercept": null', "intercept at line 3, column 2: must be a number, not null"),
        ('"intercept": -1.5', '"slope": 1', "intercept at line 1, column 1: is required but missing"),
        ('"intercept": -1.5', '"intercept": 1, "intercept": 1', "column 18: duplicate key, first on line 3"),
        ('"intercept": -1.5', '"intercept": 1, "ouput": {}', 'unknown key "ouput"; did you mean "output"?'),
        ('"coefficient": 0.07', '"coeficient": 0.07', 'features[1].coeficient at line 7, column 42: unknown key "coe'),
        ('"scale": 735.6', '"scale": 0', "features[0].scale at line 5, column 85: must not be 0"),
        ('"scale": 735.6', '"scale": -0.0', "features[0].scale at line 5, column 85: must not be 0"),
        ('"hour"', '"distance"', 'features[1].column at line 7, column 5: "distance" is already the column of featu'),
        ('"hour"', '""', "features[1].column at line 7, column 5: must not be empty"),
        ('"hour"', "7", "features[1].column at line 7, column 5: must be text, not 7"),
        ('"hour"', r'"\ud800"', "half of a surrogate pair"),
        ('"kind": "logistic"', '"kind": "tree"', 'kind at line 1, column 47: must be "logistic", not "tree"'),
        ('"version": 1', '"version": 3', "version at line 1, column 33: is 3; this release reads versions 1 and 2"),
        ('"version": 1', '"version": true', "version at line 1, column 33: must be the number 1 or 2, not true"),
        ('"version": 1', '"version": 1.0', "version at line 1, column 33: must be the number 1 or 2, not 1.0"),
        ("logitstream-model", "onnx", 'format at line 1, column 2: must be "logitstream-model", not "onnx"'),
        ('"format": "logitstream-model", ', "", 'format at line 1, column 1: must be "logitstream-model", but it is'),
        ('"hour", "kind": "numeric"', '"hour", "kind": "spline"', 'features[1].kind at line 7, column 23: must'),
        ('"hour", "kind": "numeric"', '"hour"', "features[1].kind at line 7, column 4: must be"),
        ('"impute": 872.0', '"impute": "872"', "features[0].missing.impute at line 6, column 17: must be a number"),
        ('"impute": 872.0', '"level": "x"', 'features[0].missing at line 6, column 5: must be "null", "error", "qu'),
        ('"missing": "null"', '"missing": "zero"', '"null", "error", "quarantine" or {"level": text}, not "zero"'),
        ('"missing": "null"', '"missing": {"level": "BA"}', 'features[2].missing.level at line 9, column 17: unknown'),
        ('"missing": {"impute": 872.0}', '"missing": 0', '"null", "error", "quarantine" or {"impute": number}, not 0'),
        ('"missing": "null"', '"missing": []', 'must be "null", "error", "quarantine" or {"level": text}, not []'),
        ('"unseen": "zero"', '"unseen": "zer"', '"null", "zero", "error", "quarantine" or {"level": text}, not "zer"'),
        ('"unseen": "zero"', '"unseen": {"level": "U"}', 'features[2].unseen.level at line 8, column 101: unknown lev'),
        ('{"AA": 0.1, "UA": -0.2}', "{}", "features[2].coefficients at line 8, column 49: must not be empty"),
        ('{"AA": 0.1, "UA": -0.2}', '{"A A": "x"}', 'features[2].coefficients["A A"] at line 8, column 66: must be'),
        ('{"AA": 0.1, "UA": -0.2}', '{"AA": 1, "AA": 2}', "features[2].coefficients.AA at line 8, column 75: duplic"),
        ('"positive": true', '"positive": 1', "target.positive at line 2, column 50: must be a boolean as"),
        ('"positive": true', '"positive": false', "target.positive at line 2, column 50: must differ"),
        ('"positive": true', '"positive": [1]', "target.positive at line 2, column 50: must be text, a boolean or a n"),
        ('"probability", "dec', '"probability", "probability", "dec', "output.columns at line 10, column 13: a col"),
        ('"probability", "decision"', '"logit"', 'output.columns[0] at line 10, column 25: must be'),
        ('"probability", "decision"', "", "output.columns at line 10, column 13: must not be empty"),
        (', "threshold": 0.5', "", "output.columns at line 10, column 13: a decision needs a threshold"),
        ('"threshold": 0.5', '"threshold": 1.5', "output.threshold at line 10, column 53: must be between 0 and 1"),
        ('"scale": 735.6', '"scale": 1e-320', "features[0].coefficient at line 5, column 46: coefficient / scale is"),
        ('"center": 1048.3', '"center": 1e308, "x": 0', "features[0].x at line 5, column 84: unknown key"),
        (CENTER, '"coefficient": 1e9, "center": 1e308', "intercept at line 3, column 2: intercept minus the sum"),
        ('"intercept": -1.5,', '"intercept": -1.5', 'line 4, column 2: not JSON: a comma belongs before "features"'),
        ('": 0.5', '": 0.5, "temperature": 0', "output.temperature at line 10, column 71: must be more than 0, not 0"),
        ('": 0.5', '": 0.5, "alpha": 0', "output.alpha at line 10, column 71: must not be 0: every row would have"),
        ('": 0.5', '": 0.5, "temprature": 2', "output.temprature at line 10, column 71: unknown key"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_place(old: str, new: str, expected: str) -> None:
    found = problems(changed(old, new))
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "line 1, column 1: not JSON: it is empty"),
        (b"[]", "a model file is a JSON object, not a list"),
        (b"null", "a model file is a JSON object, not null"),
        (b"[" * 200_000, "nested more than 100 deep"),
        (b'{"a":' * 200_000, "nested more than 100 deep"),
        (changed("-1.5", '1, "training": {"a": ' + "[" * 120 + "]" * 120 + "}"), "nested more than 100 deep"),
        (changed("-1.5", '1, "training": {"a": [1, NaN]}'), "training.a[1] at line 3, column 40: NaN is not"),
        (b'{"a":\n "\xff"}', "line 2, column 3: not UTF-8: byte 0xff at offset 8"),
        (b"{}\x00", "line 1, column 3: not JSON: it should end before \\x00"),
        (EXAMPLE.encode("utf-16"), "not UTF-8"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_a_model_is_refused(data: bytes, expected: str) -> None:
    assert expected in "\n".join(problems(data))


def test_everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_text() -> None:
    data = changed('"scale": 735.6', '"scale": 0').replace(b"0.07", b'"x"').replace(b"-1.5", b"1e999")
    places = [problem.split(":")[0] for problem in problems(data.replace(b'"zero"', b'"nil"'))]
    assert places == [
        "intercept at line 3, column 15",
        "features[0].scale at line 5, column 85",
        "features[1].coefficient at line 7, column 42",
        "features[2].unseen at line 8, column 90",
    ]
    with pytest.raises(ModelError, match=r"m\.json is not a valid model: 4 problems\n  intercept at line 3"):
        parse(data.replace(b'"zero"', b'"nil"'), "m.json")


def test_levels_that_do_not_exist_are_reported_with_all_other_faults() -> None:
    data = changed('"unseen": "zero"', '"unseen": {"level": "UB"}').replace(b'"null"}', b'{"level": "AB"}}')
    expected = [
        'features[2].unseen.level at line 8, column 101: unknown level "UB"',
        'features[2].missing.level at line 9, column 17: unknown level "AB"',
    ]
    assert [problem.partition(";")[0] for problem in problems(data)] == expected
    elsewhere = problems(data.replace(b"0.07", b'"x"').replace(b'"scale": 735.6', b'"scale": 1e-320'))
    assert [problem.split(" at ")[0] for problem in elsewhere] == [
        "features[0].coefficient",
        "features[1].coefficient",
        "features[2].unseen.level",
        "features[2].missing.level",
    ]
    beside = problems(data.replace(b"0.1,", b'"x",').replace(b"categorical", b'categorical", "x": "'))
    assert [problem.split(" at ")[0] for problem in beside] == [
        "features[2].x",
        "features[2].coefficients.AA",
        "features[2].unseen.level",
        "features[2].missing.level",
    ]


def test_each_weight_beyond_float64_is_reported() -> None:
    data = changed('"scale": 735.6', '"scale": 1e-320').replace(
        b'"coefficient": 0.07', b'"coefficient": 7, "scale": 1e-320'
    )
    assert [problem.split(" at ")[0] for problem in problems(data)] == [
        "features[0].coefficient",
        "features[1].coefficient",
    ]


def test_a_wrong_format_hides_nothing() -> None:
    data = changed("logitstream-model", "onnx").replace(b"0.07", b'"x"')
    assert [problem.split(" at ")[0] for problem in problems(data)] == ["format", "features[1].coefficient"]
    without = changed('"format": "logitstream-model", ', "").replace(b"0.07", b'"x"')
    assert [problem.split(" at ")[0] for problem in problems(without)] == ["format", "features[1].coefficient"]
    assert problems(b'{"learner": {"attributes": {}}}') == [
        'format at line 1, column 1: must be "logitstream-model", but it is missing'
    ]


def test_one_problem_is_counted_as_one() -> None:
    with pytest.raises(ModelError, match=r"m\.json is not a valid model: 1 problem\n  intercept at line 3"):
        parse(changed("-1.5", "true"), "m.json")


def test_control_characters_never_reach_the_terminal() -> None:
    data = changed('"hour"', '"hour", "\\u001b[31m\\u202e": 1')
    message = "\n".join(problems(data))
    assert r"\x1b[31m\u202e" in message
    assert all(character.isprintable() or character == "\n" for character in message)


def test_a_missing_file_and_a_folder_have_their_own_errors(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no such file"):
        LogisticModel.load(tmp_path / "none.json")
    with pytest.raises(ModelError, match="is a folder"):
        LogisticModel.load(tmp_path)
    with pytest.raises(InputMissingError, match="cannot be a path"):
        LogisticModel.load("a\0b")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_model_or_a_model_error(data: bytes) -> None:
    with pytest.raises(ModelError):
        parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    (), ("version",), ("kind",), ("target",), ("target", "negative"), ("intercept",), ("features",), ("features", 0),
    ("features", 0, "missing"), ("features", 0, "scale"), ("features", 0, "kind"), ("features", 2, "coefficients"),
    ("features", 2, "coefficients", "AA"), ("features", 2, "unseen"), ("output",), ("output", "columns"), ("training",),
]  # fmt: skip


@given(st.sampled_from(PATHS), JSON)
def test_any_value_anywhere_is_a_model_or_a_list_of_problems(path: tuple[str | int, ...], value: object) -> None:
    document = json.loads(EXAMPLE)
    if path:
        place = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
    else:
        document = value
    text = json.dumps(document)
    found = examine(text.encode())
    if isinstance(found, ModelFile):
        assert parse(found.to_json().encode()) == found
        return
    lines = text.split("\n")
    for problem in found:
        assert problem.message
        assert 0 <= problem.line <= len(lines)
        assert problem.column <= len(lines[problem.line - 1]) + 1
        assert str(problem).isprintable()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=5))
def test_floats_come_back_bit_for_bit(numbers: list[float]) -> None:
    levels = {str(position): number for position, number in enumerate(numbers)}
    feature = {"column": "c", "kind": "categorical", "coefficients": levels}
    model = from_mapping(
        {
            "format": "logitstream-model",
            "version": 1,
            "kind": "logistic",
            "intercept": numbers[0],
            "features": [feature],
        }
    )
    again = parse(model.to_json().encode())
    stored = list(again.features[0].coefficients.values())  # type: ignore[union-attr]
    assert struct.pack(f"<{len(numbers)}d", *stored) == struct.pack(f"<{len(numbers)}d", *numbers)
    assert struct.pack("<d", again.intercept) == struct.pack("<d", numbers[0])
    assert again.digest() == model.digest()


def test_what_scoring_keeps_is_not_part_of_the_model() -> None:
    used, unused = parse(EXAMPLE.encode()), parse(EXAMPLE.encode())
    feature = used.features[2]
    assert isinstance(feature, CategoricalFeature)
    feature.lookup.read(
        BatchColumns({feature.column: BatchColumn(0, feature.column, pa.array(["AA", "B6"]))}, RowTally(2))
    )
    assert used == unused
    assert (used.digest(), used.to_json()) == (unused.digest(), unused.to_json())
    assert pickle.loads(pickle.dumps(used)) == copy.deepcopy(used) == unused
    other = feature.model_copy(update={"coefficients": {"AA": 7.0}})
    assert list(other.weights) == [7.0, 0.0]
    assert list(other.lookup.positions) == ["AA"]


def test_the_digest_is_of_what_the_file_says_not_of_how() -> None:
    model = parse(EXAMPLE.encode())
    assert parse(b"\xef\xbb\xbf" + json.dumps(json.loads(EXAMPLE), indent=4).encode()).digest() == model.digest()
    assert parse(changed('"coefficient": 0.07', '"scale": 1, "coefficient": 0.07')).digest() == model.digest()
    assert parse(changed("0.07", "0.070000001")).digest() != model.digest()


def test_parameters_of_the_sigmoid_enter_the_digest_only_where_they_change_something() -> None:
    model = parse(EXAMPLE.encode())
    for said in ('"temperature": 1', '"alpha": 1.0, "beta": 0'):
        same = parse(changed('"threshold": 0.5', f'"threshold": 0.5, {said}'))
        assert (same, same.digest(), same.to_json()) == (model, model.digest(), model.to_json())
    for said in ('"temperature": 2', '"alpha": -1', '"beta": 0.1'):
        other = parse(changed('"threshold": 0.5', f'"threshold": 0.5, {said}'))
        assert other.digest() != model.digest()
        assert parse(other.to_json().encode()) == other


def test_terms_of_the_base_are_rounded_after_the_product_and_after_the_quotient() -> None:
    coefficient, center, scale = 0.1, 0.7, 0.3
    model = parse(changed("-1.5", "0").replace(b"0.12", b"0.1").replace(b"1048.3", b"0.7").replace(b"735.6", b"0.3"))
    assert model.base == -(coefficient * center) / scale
    assert model.base != -(coefficient * (center / scale))
    assert model.base != -(coefficient / scale * center)


def test_a_place_points_at_the_text_that_is_wrong() -> None:
    data = changed('"scale": 735.6', '"scale": 0')
    (problem,) = examine(data)  # type: ignore[misc]
    assert data.decode().split("\n")[problem.line - 1][problem.column - 1 :].startswith('"scale": 0')


def test_python_values_that_json_cannot_hold_are_refused() -> None:
    document = json.loads(EXAMPLE)
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        from_mapping({**document, "training": {"a": object()}})
    with pytest.raises(ModelError, match="not a finite number"):
        from_mapping({**document, "training": {"a": float("nan")}})
    with pytest.raises(ModelError, match="surrogate"):
        from_mapping({**document, "training": {"a": "\ud800"}})


def test_the_json_schema_is_for_editors() -> None:
    described = schema()
    policies = {
        (kind, name): described["$defs"][kind]["properties"][name]["oneOf"][0]["enum"]
        for kind, name in (
            ("NumericFeature", "missing"),
            ("CategoricalFeature", "missing"),
            ("CategoricalFeature", "unseen"),
        )
    }
    assert all({"null", "error", "quarantine"} <= set(words) for words in policies.values())
    assert ["zero" in words for words in policies.values()] == [False, False, True]
    assert described["properties"].keys() == ModelFile.model_fields.keys()
    assert described["additionalProperties"] is False
    json.dumps(described)
