"""The type that several types share: a table of our own, checked against every value and every order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.column_types import arrow_type, packed, type_name, unified, unpacked
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import InputFile, Need
from pipeline.types.rows import Slice
from pipeline.units import MIB

INTEGERS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
TEXTS = [pa.string(), pa.large_string(), pa.string_view()]
BYTES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(16)]
OTHERS = [pa.null(), pa.bool_(), pa.date32(), pa.timestamp("us"), pa.decimal128(5, 2), pa.list_(pa.int8())]
DICTIONARIES = [pa.dictionary(pa.int8(), type_) for type_ in (*TEXTS[:2], pa.int16(), pa.null())]
DICTIONARIES += [pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int32(), pa.string(), ordered=True)]
TYPES = [*INTEGERS, *FLOATS, *TEXTS, *BYTES, *OTHERS, *DICTIONARIES]


@settings(deadline=None)
@given(st.lists(st.sampled_from(TYPES), min_size=1, max_size=5))
def test_the_unified_type_is_the_same_for_every_permutation(types: list[pa.DataType]) -> None:
    assert len({unified(order) for order in permutations(types)}) == 1
    assert unified(types) == unified([*types, *types]) == unified([*types, pa.null()])


@settings(deadline=None)
@given(st.lists(st.sampled_from(INTEGERS), min_size=1, max_size=4))
def test_integers_become_the_narrowest_integer_that_holds_them_all(types: list[pa.DataType]) -> None:
    def ends(type_: pa.DataType) -> tuple[int, int]:
        bits = type_.bit_width
        return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if pa.types.is_signed_integer(type_) else (0, 2**bits - 1)

    low, high = min(ends(type_)[0] for type_ in types), max(ends(type_)[1] for type_ in types)
    holding = [type_ for type_ in INTEGERS if ends(type_)[0] <= low and high <= ends(type_)[1]]
    assert unified(types) == min(holding, key=lambda type_: type_.bit_width, default=None)


@pytest.mark.parametrize(
    "types",
    [
        [pa.int64(), pa.float64()],
        [pa.int8(), pa.float64()],
        [pa.int64(), pa.uint64()],
        [pa.bool_(), pa.int8()],
        [pa.string(), pa.int64()],
        [pa.string(), pa.binary()],
        [pa.timestamp("us"), pa.timestamp("ns")],
        [pa.decimal128(5, 2), pa.float64()],
    ],
    ids=str,
)
def test_types_without_one_that_holds_both_are_not_unified(types: list[pa.DataType]) -> None:
    assert unified(types) is None


def test_bytes_of_fixed_lengths_become_bytes_of_any_length() -> None:
    assert unified([pa.binary(16), pa.binary(7)]) == unified([pa.binary(16), pa.binary()]) == pa.binary()
    assert unified([pa.binary(16), pa.large_binary()]) == pa.large_binary()
    assert unified([pa.binary(16), pa.null()]) == pa.binary(16)


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_a_type_has_the_name_that_gives_it(type_: pa.DataType) -> None:
    name = type_name(type_)
    assert name is None or arrow_type(name) == type_


@pytest.mark.parametrize("type_", [*TYPES, pa.struct([("a", pa.timestamp("ns", "UTC"))])], ids=str)
def test_any_type_survives_packing(type_: pa.DataType) -> None:
    assert unpacked(packed(type_)) == type_


def test_dictionaries_with_long_texts_are_decoded_piece_by_piece(tmp_path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5_000, np.int32)), pa.array(["y" * 20_000]))
    pq.write_table(pa.table({"k": texts}), tmp_path / "f.parquet")
    file = InputFile("f.parquet", str(tmp_path / "f.parquet"), 0, "parquet")
    source = ParquetSource()
    identity = source.facts(file).identity
    need = Need("k", "kept", unified=packed(pa.string()))
    with source.read(file, identity, Slice(0, 0, 1, 5_000), [need], 5_000) as reader:
        sizes = [(batch.num_rows, batch.nbytes) for batch in reader]
    assert sum(rows for rows, _ in sizes) == 5_000
    assert max(taken for _, taken in sizes) < 33 * MIB
