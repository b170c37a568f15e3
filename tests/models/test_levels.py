"""What a text means as a value of a type, and which type the spellings of levels mean."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.levels import LevelTable, LevelType, level_value, spelled_type, value_of


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        *(("boolean", text, True) for text in ("true", "True", "TRUE", "tRuE", "1")),
        *(("boolean", text, False) for text in ("false", "False", "FALSE", "0")),
        *(("boolean", text, None) for text in ("", " true", "true ", "yes", "t", "2", "01", "1.0", "on")),
        *(("integer", text, "1") for text in ("1", "01", "+1", "1.", "1.0", "001.000")),
        *(("integer", text, "-12") for text in ("-12", "-012.0")),
        *(("integer", text, "0") for text in ("0", "-0", "+000", "-0.0")),
        *(("integer", text, None) for text in ("", " 1", "1 ", "1.5", "1e0", "1,0", ".0", "--1", "1_0", "١", "1\n")),
        ("integer", "9007199254740993", "9007199254740993"),
        ("integer", "0" * 5_000 + "7" * 5_000, "7" * 5_000),
        *(("number", text, 0.5) for text in ("0.5", ".5", "+0.50", "00.5")),
        *(("number", text, 2.0) for text in ("2", "2.", "2.0", "02")),
        *(("number", text, None) for text in ("", " 2", "5e-1", "inf", "nan", "0,5", ".", "1" * 400, "0.5\n")),
        ("text", "1", None),
    ],
)
def test_a_text_is_a_boolean_an_integer_or_a_number_as_the_contract_says(
    type_: LevelType, text: str, value: object
) -> None:
    found = value_of(text, type_)
    assert found == value
    assert type(found) is type(value)


def test_the_decimal_sign_applies_to_levels_read_by_type() -> None:
    assert value_of("1,0", "integer", ",") == "1"
    assert value_of("1,50", "number", ",") == 1.5
    assert value_of("1.0", "integer", ",") is None
    assert value_of("1.5", "number", ",") is None
    assert LevelTable({"1.5": 2}, "number", decimal=",").read(["1,50", "1.50"]) == [2, None]


@pytest.mark.parametrize(
    ("levels", "type_"),
    [
        (["true", "false"], "boolean"),
        (["true"], "boolean"),
        (["True", "False"], "text"),
        (["true", "false", "1"], "text"),
        (["1", "-3", "0"], "integer"),
        (["9" * 400], "integer"),
        (["01", "02"], "text"),
        (["1", "+2"], "text"),
        (["-0"], "text"),
        (["1", "2.5"], "number"),
        (["1.0", "2.0"], "number"),
        (["-0.5"], "number"),
        (["1", "1.0"], "text"),
        (["1.50", "2.5"], "text"),
        ([".5"], "text"),
        (["1.", "2.5"], "text"),
        (["1e5", "2.5"], "text"),
        (["0.1", "0.1000000000000000055511151231257827"], "text"),
        (["AA", "1"], "text"),
        ([""], "text"),
        ([], "text"),
    ],
    ids=str,
)
def test_where_no_type_is_stated_the_spellings_decide(levels: list[str], type_: LevelType) -> None:
    assert spelled_type(set(levels)) == type_


@given(st.integers(), st.text("0", max_size=3), st.text("0", max_size=3), st.sampled_from(["", "."]))
def test_integers_compare_exactly(number: int, zeros: str, fraction: str, point: str) -> None:
    sign, digits = ("-", str(-number)) if number < 0 else ("", str(number))
    text = f"{sign}{zeros}{digits}{point}{fraction if point else ''}"
    table = LevelTable({str(number): 1, str(number + 1): 2}, "integer")
    assert table.read([text]) == [1]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6))
def test_numbers_are_equal_as_float64(number: Decimal) -> None:
    table = LevelTable({repr(float(number)): 1}, "number")
    assert table.read([f"{number:f}", f"{number:f}000"]) == [1, 1]


def test_a_level_that_is_a_float_may_have_an_exponent_and_a_cell_may_not() -> None:
    assert level_value("1e-07", "number") == 1e-07
    assert LevelTable({"1e-07": 1}, "number").read(["0.0000001", "1e-7"]) == [1, None]


def test_a_level_that_a_policy_names_need_not_be_of_the_type_and_comes_last() -> None:
    table = LevelTable({"02": 7, "2": 1, "(missing)": 3}, "integer", named=["02", "(missing)"])
    assert table.read(["+2", "(missing)"]) == [1, None]
