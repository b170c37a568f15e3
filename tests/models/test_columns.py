"""Which Arrow types may be features, and the values of their cells."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.columns import RecentLevels, bad_cell, levels, null_mask, numbers, unfit
from pipeline.models.levels import LevelTable
from pipeline.types.rows import BadCell

NUMERIC = [
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
    pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.decimal32(5, 2), pa.decimal64(15, 2),
    pa.decimal128(38, 10), pa.dictionary(pa.int8(), pa.float64()), pa.dictionary(pa.int32(), pa.int64()),
]  # fmt: skip
CATEGORICAL = [
    pa.string(), pa.large_string(), pa.string_view(), pa.bool_(), pa.int8(), pa.uint64(),
    pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.uint32(), pa.large_string()),
]  # fmt: skip
NEITHER = [
    pa.null(), pa.binary(), pa.timestamp("us"), pa.date32(), pa.time64("us"), pa.duration("s"), pa.decimal256(40, 2),
    pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int64()),
    pa.dictionary(pa.int8(), pa.binary()),
]  # fmt: skip


@pytest.mark.parametrize("arrow_type", [*NUMERIC, *CATEGORICAL, *NEITHER], ids=str)
def test_types_are_fit_or_named_as_unfit(arrow_type: pa.DataType) -> None:
    assert (unfit("numeric", arrow_type) is None) == (arrow_type in NUMERIC)
    is_level = arrow_type in CATEGORICAL or (arrow_type in NUMERIC and not pa.types.is_decimal(arrow_type))
    assert (unfit("categorical", arrow_type) is None) == is_level
    assert unfit("kept", arrow_type) is None
    for role in ("numeric", "categorical"):
        reason = unfit(role, arrow_type)
        assert reason is None or reason.startswith(f"is {arrow_type}, but a {role} feature is ")


def values_of(array: pa.Array) -> list[float | None]:
    cells = numbers(array)
    assert len(cells.values) == len(array)
    null = np.zeros(len(array), dtype=bool) if cells.null is None else cells.null
    return [None if is_null else float(value) for value, is_null in zip(cells.values, null, strict=True)]


@pytest.mark.parametrize("arrow_type", NUMERIC, ids=str)
def test_cells_are_the_same_with_nulls_and_in_slices(arrow_type: pa.DataType) -> None:
    cells: list[Any] = [1, 0, None, 1, 0, 1, 1, None, 0, 1, 1]
    if pa.types.is_dictionary(arrow_type):
        array = pa.array(cells, arrow_type.value_type).dictionary_encode().cast(arrow_type)
    elif pa.types.is_decimal(arrow_type):
        array = pa.array([None if cell is None else Decimal(cell) for cell in cells], arrow_type)
    else:
        array = pa.array(cells, pa.int64()).cast(arrow_type)
    for first in range(len(cells) + 1):
        for length in (0, 1, 5, 20):
            expected = cells[first : first + length]
            assert values_of(array.slice(first, length)) == expected
    assert null_mask(array.slice(3, 4) if not pa.types.is_dictionary(arrow_type) else array.indices.slice(3, 4)) is None


@pytest.mark.parametrize("arrow_type", NUMERIC[:11], ids=str)
def test_fixed_width_columns_are_not_copied(arrow_type: pa.DataType) -> None:
    array = pa.array([1, 2, None, 4], pa.int64()).cast(arrow_type).slice(1)
    values = numbers(array).values
    start = array.buffers()[1].address + arrow_type.bit_width // 8
    assert values.__array_interface__["data"][0] == start


@pytest.mark.parametrize(
    ("arrow_type", "cells", "inexact"),
    [
        (pa.int64(), [2**53, -(2**53), 2**53 + 1, -(2**53) - 1, None, 2**54], [2, 3, 5]),
        (pa.uint64(), [2**53, 2**53 + 1, 0, 2**64 - 1, None], [1, 3]),
        (pa.int64(), [None, None], []),
        (pa.int32(), [2**31 - 1], []),
        (pa.dictionary(pa.int8(), pa.int64()), [2**60, 1, None, 2**60], [0, 3]),
    ],
    ids=str,
)
def test_integers_beyond_2_53_are_inexact(arrow_type: pa.DataType, cells: list[Any], inexact: list[int]) -> None:
    array = pa.array(cells, arrow_type)
    assert numbers(array).inexact.tolist() == inexact
    assert numbers(array.slice(1)).inexact.tolist() == [row - 1 for row in inexact if row]


def test_what_lies_under_a_null_is_not_inexact() -> None:
    data = pa.py_buffer(np.array([2**60, 1]))
    array = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(bytes([0b10])), data])
    assert numbers(array).inexact.size == 0


@pytest.mark.parametrize(
    ("precision", "scale", "cell", "is_exact"),
    [
        (5, 2, "12.34", True),
        (5, 2, "-0.07", True),
        (20, 2, "123456789012345.67", True),
        (38, 2, "90071992547409.93", False),
        (38, 0, str(2**53), True),
        (38, 0, str(2**53 + 1), False),
        (38, 0, str(2**60), True),
        (38, 0, "9" * 38, False),
        (38, 10, "0.0000000001", True),
        (38, 18, "12.34", True),
        (38, 20, "1.00000000000000000001", False),
        (38, 30, "1.5", True),
        (38, 38, "0.1", True),
        (5, -3, "12000", True),
    ],
)
def test_a_decimal_is_exact_where_its_digits_survive(precision: int, scale: int, cell: str, is_exact: bool) -> None:
    array = pa.array([None, Decimal(cell)], pa.decimal128(precision, scale))
    cells = numbers(array)
    assert cells.inexact.tolist() == ([] if is_exact else [1])
    assert cells.values[1] == float(Decimal(cell))


@given(st.integers(-(10**17), 10**17), st.integers(0, 25))
def test_decimals_are_rounded_as_their_text_is(units: int, scale: int) -> None:
    cell = Decimal(units).scaleb(-scale)
    cells = numbers(pa.array([cell], pa.decimal128(38, scale)))
    assert cells.values[0] == float(str(cell))
    survives = Decimal(str(float(cells.values[0]))) == cell or Decimal(float(cells.values[0])) == cell
    assert cells.inexact.tolist() == ([] if survives else [0])


def names_of(array: pa.Array) -> list[str | None]:
    cells = levels(array)
    null = np.zeros(len(array), dtype=bool) if cells.null is None else cells.null
    return [None if is_null else cells.names[code] for code, is_null in zip(cells.codes, null, strict=True)]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["a", None, "é", ""]), ["a", None, "é", ""]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array(["a", None, "longer than twelve bytes"], pa.string_view()), ["a", None, "longer than twelve bytes"]),
        (pa.array([True, None, False]), ["true", None, "false"]),
        (pa.array([7, None, -7, 0], pa.int8()), ["7", None, "-7", "0"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([2.0, None, -0.5, float("nan"), 1e-7]), ["2.0", None, "-0.5", None, "1e-07"]),
        (pa.array([0.1, 16.0], pa.float32()), ["0.1", "16.0"]),
        (pa.array([0.5, None, 3.0], pa.float16()), ["0.5", None, "3.0"]),
        (pa.array(["a", None, "b"]).dictionary_encode(), ["a", None, "b"]),
        (pa.array(["a", None, "b"]).dictionary_encode(null_encoding="encode"), ["a", None, "b"]),
        (pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), pa.array([5, 6])), ["6", "5", None]),
        (
            pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], "u2"), pa.array(["x", "x", None])),
            ["x", "x", None],
        ),
        (pa.array([], pa.string()), []),
        (pa.array([None, None], pa.string()), [None, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_levels_have_the_names_of_a_model_file(array: pa.Array, expected: list[str | None]) -> None:
    assert names_of(array) == expected
    assert names_of(array.slice(1)) == expected[1:]
    assert names_of(array.slice(0, 1)) == expected[:1]


NAMES = st.none() | st.text(max_size=3)
DICTIONARIES = st.one_of(
    st.builds(pa.array, st.lists(NAMES, max_size=5), st.sampled_from([pa.string(), pa.large_string()])),
    st.builds(pa.array, st.lists(st.none() | st.integers(0, 9), max_size=5), st.sampled_from([pa.int8(), pa.int64()])),
    st.builds(pa.array, st.lists(st.none() | st.booleans(), max_size=3), st.just(pa.bool_())),
)
POSITIONS: Mapping[str, int] = {"": 0, "a": 1, "0": 2, "1": 3, "true": 4, "é": 5}
TABLE = LevelTable(POSITIONS)


def looked_up(dictionary: pa.Array, positions: Mapping[str, int]) -> tuple[list[int | None], list[bool]]:
    shown = [str(value).lower() if isinstance(value, bool) else value for value in [*dictionary.to_pylist(), None]]
    return [None if n is None else positions.get(str(n)) for n in shown], [n is None for n in shown]


def found_in(recent: RecentLevels, dictionary: pa.Array, table: LevelTable) -> object:
    found = recent.find(table, dictionary)
    assert found.is_read is None
    known = [None if value < 0 else value for value in found.positions.tolist()]
    return known, found.is_missing.tolist()


@given(st.lists(DICTIONARIES, min_size=1, max_size=4), st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_levels_that_are_kept_are_those_of_looking_up_each_time(
    dictionaries: list[pa.Array], order: list[int], data: st.DataObject
) -> None:
    others = LevelTable({**POSITIONS, "a": 7, "2": 8})
    recent = RecentLevels()
    for position in order:
        dictionary = dictionaries[position % len(dictionaries)]
        dictionary = dictionary.slice(data.draw(st.integers(0, len(dictionary))))
        table = data.draw(st.sampled_from([TABLE, others]))
        assert found_in(recent, dictionary, table) == looked_up(dictionary, table.positions)


def test_kept_levels_do_not_depend_on_the_memory_of_the_caller() -> None:
    numbers = np.array([0, 1, 5])
    dictionary = pa.array(numbers)
    recent = RecentLevels()
    assert found_in(recent, dictionary, TABLE) == looked_up(pa.array([0, 1, 5]), POSITIONS)
    numbers[:] = [5, 5, 1]
    assert found_in(recent, dictionary, TABLE) == looked_up(pa.array([5, 5, 1]), POSITIONS)


def test_kept_levels_are_looked_up_once_and_by_each_thread_for_itself() -> None:
    recent = RecentLevels()
    dictionary = pa.array(["a", "b", None])
    first = recent.find(TABLE, dictionary)
    assert recent.find(TABLE, pa.array(["a", "b", None])) is first
    assert not first.positions.flags.writeable
    assert not first.is_missing.flags.writeable
    assert pickle.loads(pickle.dumps(recent)).find(TABLE, dictionary) is not first
    large = pa.array(["x" * 5_000_000])
    assert recent.find(TABLE, large) is not recent.find(TABLE, large)

    def work(seed: int) -> bool:
        chosen = np.random.default_rng(seed)
        pool = [pa.array(chosen.permutation(["a", "b", "é", "0", ""])) for _ in range(3)]
        return all(
            found_in(recent, pool[n], TABLE) == looked_up(pool[n], POSITIONS) for n in chosen.integers(0, 3, 200)
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(16)))


def test_a_bad_cell_shows_what_was_found() -> None:
    assert bad_cell(pa.array([2**60]), 0, "x", "inexact").text == str(2**60)
    assert bad_cell(pa.array([True]), 0, "x", "inexact").text == "true"
    assert bad_cell(pa.array(["a"]).dictionary_encode(), 0, "x", "unseen set aside", by_policy=True) == BadCell(
        0, "x", "a", "unseen set aside", by_policy=True
    )
    assert bad_cell(pa.array(["x" * 500]), 0, "x", "inexact").text == "x" * 200
    assert bad_cell(pa.array([None], pa.int8()), 0, "x", "inexact").text == "null"
    assert bad_cell(pa.array([float("nan")]), 0, "x", "inexact").text == "NaN"
