"""Scoring compared with a reference that works row by row in plain Python floats."""

from __future__ import annotations

import json
import math
import pickle
import struct
import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.models import ScoreBlock, ScoreRequest, restore
from pipeline.models.logistic.categorical import CategoricalFeature
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.numeric import NumericFeature
from pipeline.models.logistic.parsing import from_mapping
from pipeline.types.blocks import BlockFunction, Values

INF, NAN = math.inf, math.nan
LEVELS = ["AA", "UA", "7", "true", "", "é"]


def model_of(*features: dict[str, Any], intercept: float = 0.25, **more: Any) -> ModelFile:
    return from_mapping(
        {
            "format": "logitstream-model",
            "version": 1,
            "kind": "logistic",
            "intercept": intercept,
            "features": list(features),
            **more,
        }
    )


def numeric(column: str = "x", coefficient: float = 1.5, **more: Any) -> dict[str, Any]:
    return {"column": column, "kind": "numeric", "coefficient": coefficient, **more}


def categorical(column: str = "c", coefficients: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    return {"column": column, "kind": "categorical", "coefficients": coefficients or {"AA": 0.5, "UA": -2.0}, **more}


@dataclass
class Expected:
    """The results that the contract requires, computed one row at a time."""

    raw: list[float | None] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    rejected: dict[int, tuple[str, str, bool]] = field(default_factory=dict)


def level_of(cell: object) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def reference(model: ModelFile, rows: Sequence[Sequence[Any]]) -> Expected:
    expected = Expected()
    for number, row in enumerate(rows):
        total = model.base
        is_null = False
        bad: list[tuple[str, str, bool]] = []
        quarantined: list[tuple[str, str, bool]] = []
        for feature, cell in zip(model.features, row, strict=True):
            is_missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
            event = "missing" if is_missing else ""
            policy: Any = feature.missing if is_missing else None
            if isinstance(feature, NumericFeature):
                value = policy.impute if is_missing and not isinstance(policy, str) else cell
                if not is_missing and isinstance(cell, float) and math.isinf(cell):
                    event = "infinite"
                product = 0.0 if value is None or isinstance(policy, str) else feature.weight * float(value)
            else:
                assert isinstance(feature, CategoricalFeature)
                level = level_of(cell)
                if not is_missing and level not in feature.coefficients:
                    event, policy = "unseen", feature.unseen
                key = level if policy is None else getattr(policy, "level", None)
                product = 0.0 if key is None else feature.coefficients[key]
            if event:
                expected.events[f"{event} {feature.column}"] += 1
            is_inexact = isinstance(feature, NumericFeature) and isinstance(cell, int) and abs(cell) > 2**53
            text = "null" if cell is None else "NaN" if is_missing else level_of(cell)
            if policy == "error" or is_inexact:
                bad.append((feature.column, text, False))
            elif policy == "quarantine":
                quarantined.append((feature.column, text, True))
            is_null |= policy == "null"
            total = total + product
        if reasons := bad + quarantined:
            expected.rejected[number] = reasons[0]
        expected.raw.append(None if is_null else total)
    return expected


def shown(values: Values) -> dict[int, tuple[str, str, bool]]:
    """Return the rejected rows as the reference has them, once it is seen that they ascend."""
    records = [cell.record for cell in values.rejected]
    assert records == sorted(set(records))
    return {cell.record: (cell.column, cell.text, cell.by_policy) for cell in values.rejected}


def bits(value: float | None) -> bytes | None:
    return None if value is None else b"nan" if math.isnan(value) else struct.pack("<d", value)


def everything(model: ModelFile, threshold: float = 0.5) -> ScoreBlock:
    return ScoreBlock(model, ("probability", "raw_prediction", "decision"), threshold)


finite = st.floats(-1e6, 1e6, allow_subnormal=False)
# Values whose product with a coefficient overflows, cancels or is not a number are as likely as plain ones.
cells = {
    "float64": st.none() | st.floats() | st.sampled_from([NAN, INF, -INF, 0.0, -0.0, 1e308]),
    "float32": st.none() | st.floats(width=32),
    "halffloat": st.none() | st.floats(width=16),
    "int64": st.none() | st.integers(-(2**53), 2**53) | st.sampled_from([2**53 + 1, -(2**60)]),
    "uint8": st.none() | st.integers(0, 255),
    "bool": st.none() | st.booleans(),
    "string": st.none() | st.sampled_from([*LEVELS, "unknown"]),
    "large_string": st.none() | st.sampled_from([*LEVELS, "unknown"]),
    "string_view": st.none() | st.sampled_from([*LEVELS, "unknown"]),
    "int32": st.none() | st.integers(6, 8),
}
TYPES = {name: pa.type_for_alias(name) for name in cells}


@st.composite
def numeric_features(draw: st.DrawFn, column: str) -> tuple[dict[str, Any], str]:
    missing = draw(st.sampled_from(["null", "error", "quarantine"]) | finite.map(lambda value: {"impute": value}))
    scale = draw(st.floats(0.01, 100))
    feature = numeric(column, draw(finite), center=draw(finite), scale=scale, missing=missing)
    return feature, draw(st.sampled_from(["float64", "float64", "float32", "halffloat", "int64", "uint8", "bool"]))


@st.composite
def categorical_features(draw: st.DrawFn, column: str) -> tuple[dict[str, Any], str]:
    coefficients = draw(st.dictionaries(st.sampled_from(LEVELS), finite, min_size=1))
    level = st.sampled_from(sorted(coefficients)).map(lambda name: {"level": name})
    missing = draw(st.sampled_from(["null", "error", "quarantine"]) | level)
    unseen = draw(st.sampled_from(["null", "zero", "error", "quarantine"]) | level)
    feature = categorical(column, coefficients, missing=missing, unseen=unseen)
    return feature, draw(st.sampled_from(["string", "large_string", "string_view", "int32", "bool"]))


Drawn = tuple[ModelFile, list[str], list[list[Any]]]


@st.composite
def jobs(draw: st.DrawFn) -> Drawn:
    kinds = draw(st.lists(st.sampled_from([numeric_features, categorical_features]), min_size=1, max_size=4))
    drawn = [draw(kind(f"column{position}")) for position, kind in enumerate(kinds)]
    types = [arrow_type for _, arrow_type in drawn]
    rows = draw(st.lists(st.tuples(*(cells[name] for name in types)).map(list), max_size=12))
    return model_of(*(feature for feature, _ in drawn), intercept=draw(finite)), types, rows


def arrays_of(rows: Sequence[Sequence[Any]], types: Sequence[str], encode: int = 0) -> list[pa.Array]:
    """Return columns; bits of ``encode`` say which are dictionaries, and which are slices of a longer array."""
    made = []
    for position, name in enumerate(types):
        array = pa.array([row[position] for row in rows], TYPES[name])
        # pyarrow 26 makes another number of a NaN where it joins dictionaries of halffloat.
        if encode >> position & 1 and name not in {"bool", "halffloat"}:
            array = array.dictionary_encode()
        if encode >> (position + 4) & 1:
            array = pa.concat_arrays([array[:1], array[:2], array])[min(1, len(array)) + min(2, len(array)) :]
        made.append(array)
    return made


@given(jobs(), st.integers(0, 255))
def test_a_batch_is_what_the_rows_are_one_by_one(job: Drawn, encode: int) -> None:
    model, types, rows = job
    expected = reference(model, rows)
    values = everything(model).block(arrays_of(rows, types, encode))
    assert values.events == dict(expected.events)
    assert shown(values) == expected.rejected
    written = [row for row in range(len(rows)) if row not in expected.rejected]
    raws = [expected.raw[row] for row in written]
    probability, raw, decision = (array.take(pa.array(written, pa.int64())).to_pylist() for array in values.arrays)
    assert list(map(bits, raw)) == list(map(bits, raws))
    assert values.null == raws.count(None)
    assert values.nan == sum(value is not None and math.isnan(value) for value in raws)
    for score, chosen, value in zip(probability, decision, raws, strict=True):
        if value is None or math.isnan(value):
            assert chosen is None
            assert score is None if value is None else math.isnan(score)
        else:
            assert math.isclose(
                score, math.exp(min(value, 0)) / (1 + math.exp(-abs(value))), rel_tol=1e-14, abs_tol=1e-320
            )
            assert chosen is (score >= 0.5)
    for array, made in zip(values.arrays, everything(model).fields(), strict=True):
        array.validate(full=True)
        assert len(array) == len(rows)
        assert array.type == made.type
        assert made.nullable or array.null_count == 0


@given(jobs(), st.lists(st.integers(0, 12), max_size=3), st.sampled_from(["fast", "accurate", "reproducible"]))
def test_the_bits_do_not_depend_on_how_rows_are_cut(job: Drawn, cuts: list[int], precision: Any) -> None:
    model, types, rows = job
    block = ScoreBlock(model, ("probability", "raw_prediction", "decision"), 0.3, precision=precision)
    whole = block.block(arrays_of(rows, types))
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    pieces = [
        block.block([array.slice(first, last - first) for array in arrays_of(rows, types)])
        for first, last in pairwise(edges)
    ]
    for position, array in enumerate(whole.arrays):
        joined = pa.concat_arrays([array[:0], *(piece.arrays[position] for piece in pieces)])
        assert joined.to_pylist().__repr__() == array.to_pylist().__repr__()
    assert sum(piece.null for piece in pieces) == whole.null
    assert sum(piece.nan for piece in pieces) == whole.nan
    moved = [
        replace(cell, record=cell.record + first)
        for piece, first in zip(pieces, edges[:-1], strict=True)
        for cell in piece.rejected
    ]
    assert tuple(moved) == whole.rejected
    assert sum((Counter(piece.events) for piece in pieces), Counter()) == Counter(whole.events)


def one(block: ScoreBlock, *columns: pa.Array) -> Values:
    return block.block(list(columns))


def test_an_imputed_value_keeps_its_digits_among_float32_values() -> None:
    model = model_of(numeric(coefficient=1.0, missing={"impute": 0.1}), intercept=0.0)
    for array in (
        pa.array([1.0, None], pa.float32()),
        pa.array([1.0, NAN], pa.float32()),
        pa.array([1.0, None], pa.float16()),
    ):
        assert one(everything(model), array).arrays[1].to_pylist() == [1.0, 0.1]


def test_error_comes_before_null_where_both_fire() -> None:
    model = model_of(numeric("x"), numeric("y", missing="error"))
    for missing in (None, NAN):
        values = one(everything(model), pa.array([missing], pa.float64()), pa.array([missing], pa.float64()))
        assert shown(values) == {0: ("y", "null" if missing is None else "NaN", False)}
        assert (values.null, values.nan) == (0, 0)


def test_infinities_are_values_and_their_difference_is_counted_as_nan() -> None:
    model = model_of(numeric("x", 1.0, missing="error"), numeric("y", -1.0, missing="error"))
    values = one(everything(model), pa.array([INF, -INF, INF, 1.0]), pa.array([0.0, 0.0, INF, 1.0]))
    assert values.arrays[0].to_pylist()[:2] == [1.0, 0.0]
    assert math.isnan(values.arrays[0][2].as_py())
    assert values.arrays[2].to_pylist() == [True, False, None, True]
    assert (values.null, values.nan) == (0, 1)
    assert values.events == {"infinite x": 3, "infinite y": 1}


def test_what_lies_under_a_null_never_shows() -> None:
    """A null may stand on NaN, infinity, an integer beyond 2**53 or a code outside the dictionary."""
    validity = pa.py_buffer(bytes([0b0001]))
    garbage = np.array([1.0, INF, NAN, -INF])
    floats = pa.Array.from_buffers(pa.float64(), 4, [validity, pa.py_buffer(garbage)])
    integers = pa.Array.from_buffers(pa.int64(), 4, [validity, pa.py_buffer(np.array([1, 2**62, -(2**62), 7]))])
    indices = pa.Array.from_buffers(pa.int32(), 4, [validity, pa.py_buffer(np.array([0, 99, -5, 1], dtype="i4"))])
    codes = pa.DictionaryArray.from_arrays(indices, pa.array(["AA", "ZZ"]), safe=False)
    model = model_of(numeric("f"), numeric("i"), categorical("c"), target={"negative": 3, "positive": 9})
    values = everything(model).block([floats, integers, codes])
    assert values.events == {"missing f": 3, "missing i": 3, "missing c": 3}
    assert (values.null, values.nan, values.rejected) == (3, 0, ())
    for array in values.arrays:
        assert array.null_count == 3
        assert bytes(array.buffers()[1])[8:] == bytes(24)


def test_float32_rounds_the_results_and_not_the_decision() -> None:
    model = model_of(numeric(coefficient=1.0, missing="error"), intercept=0.0)
    block = ScoreBlock(model, ("probability", "raw_prediction", "decision"), 0.5, float32=True)
    values = one(block, pa.array([-1e-16 * 4, 0.0, 1e300]))
    assert [made.type for made in block.fields()] == [pa.float32(), pa.float32(), pa.bool_()]
    assert values.arrays[0].to_pylist() == [0.5, 0.5, 1.0]
    assert values.arrays[1].to_pylist()[2] == INF
    assert values.arrays[2].to_pylist() == [False, True, True]


@pytest.mark.parametrize(
    ("target", "arrow_type", "expected"),
    [
        (None, pa.bool_(), [False, True, None]),
        ({"negative": True, "positive": False}, pa.bool_(), [True, False, None]),
        ({"negative": 0, "positive": 1}, pa.int64(), [0, 1, None]),
        ({"negative": 0, "positive": 0.5}, pa.float64(), [0.0, 0.5, None]),
        ({"negative": "on time", "positive": "late"}, pa.string(), ["on time", "late", None]),
    ],
)
def test_a_decision_has_the_values_of_the_target(target: Any, arrow_type: Any, expected: list[Any]) -> None:
    model = model_of(numeric(), **({} if target is None else {"target": target}))
    block = ScoreBlock(model, ("decision",))
    (array,) = one(block, pa.array([-5.0, 5.0, None])).arrays
    assert block.fields()[0].type == array.type == arrow_type
    assert array.to_pylist() == expected


def test_the_threshold_itself_is_positive() -> None:
    model = model_of(numeric(coefficient=1.0), intercept=0.0)
    assert one(everything(model, 0.5), pa.array([0.0])).arrays[2].to_pylist() == [True]


@pytest.mark.parametrize(
    ("features", "nullable", "decision_nullable"),
    [
        ([numeric()], True, True),
        ([numeric(missing="error")], False, True),
        ([numeric(missing={"impute": 1.0})], False, True),
        ([categorical()], True, True),
        ([numeric(missing="quarantine")], False, True),
        ([categorical(missing="error")], True, True),
        ([categorical(missing="quarantine", unseen="quarantine")], False, False),
        ([categorical(missing="error", unseen="zero")], False, False),
        ([categorical(missing={"level": "AA"}, unseen={"level": "UA"}), numeric(missing="error")], False, True),
    ],
)
def test_nullability_comes_from_the_model_alone(features: list[Any], nullable: bool, decision_nullable: bool) -> None:
    fields = everything(model_of(*features)).fields()
    assert [made.name for made in fields] == ["probability", "raw_prediction", "decision"]
    assert [made.nullable for made in fields] == [nullable, nullable, decision_nullable]


@pytest.mark.parametrize(
    ("output", "flags", "columns"),
    [
        (None, {}, ["probability"]),
        ({"threshold": 0.3}, {}, ["probability", "decision"]),
        ({"columns": ["decision", "probability"], "threshold": 0.3}, {}, ["probability", "decision"]),
        ({"columns": ["raw_prediction"], "threshold": 0.3}, {}, ["raw_prediction"]),
        ({"columns": ["raw_prediction"]}, {"threshold": 0.7}, ["raw_prediction", "decision"]),
        (None, {"raw_prediction": True, "threshold": 0.0}, ["probability", "raw_prediction", "decision"]),
    ],
)
def test_a_flag_beats_the_file(output: Any, flags: dict[str, Any], columns: list[str]) -> None:
    model = model_of(numeric(), **({} if output is None else {"output": output}))
    block = ScoreBlock.of(model, ScoreRequest(**flags))
    assert [made.name for made in block.fields()] == columns
    assert block.threshold == flags.get("threshold", (output or {}).get("threshold", 0.5))


def test_a_block_travels_by_pickle_and_by_json() -> None:
    model = model_of(numeric(missing={"impute": 0.1}), categorical(), target={"negative": "no", "positive": "yes"})
    block = ScoreBlock.of(model, ScoreRequest(raw_prediction=True, threshold=0.25, float32=True, precision="accurate"))
    assert isinstance(block, BlockFunction)
    assert pickle.loads(pickle.dumps(block)) == block
    assert restore(json.loads(json.dumps(block.describe()))) == block
    assert not block.whole_chunk


def test_a_block_may_be_called_from_several_threads() -> None:
    block = everything(model_of(numeric(), categorical()))
    columns = [pa.array([1.0, None, NAN] * 500), pa.array(["AA", "ZZ", None] * 500)]
    once = block.block(columns)
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(lambda _: block.block(columns), range(16)):
            assert [array.to_pylist().__repr__() for array in values.arrays] == [
                array.to_pylist().__repr__() for array in once.arrays
            ]
            assert values.events == once.events


def test_check_names_every_unfit_column() -> None:
    block = ScoreBlock(model_of(numeric("x"), numeric("y"), categorical("c\n")))
    fields = [pa.field("x", pa.string()), pa.field("y", pa.float64()), pa.field("c", pa.timestamp("us"))]
    sentences = block.check(fields)
    assert sentences[0].startswith('column "x" is string, but a numeric feature is')
    assert sentences[1].startswith('column "c\\n" is timestamp[us], but a categorical feature is')
    assert len(sentences) == 2


def test_every_rejected_row_has_one_cell_in_the_order_of_the_rows() -> None:
    model = model_of(numeric("x", missing="error"), categorical("c", unseen="error", missing="error"))
    x = pa.array([None if row % 2 else 1.0 for row in range(20)])
    c = pa.array(["ZZ" if row % 3 == 0 else "AA" for row in range(20)])
    values = one(everything(model), x, c)
    assert shown(values) == {
        row: ("x", "null", False) if row % 2 else ("c", "ZZ", False) for row in range(20) if row % 2 or row % 3 == 0
    }


def test_error_comes_before_the_quarantine_and_the_quarantine_before_null() -> None:
    features = [numeric("n"), numeric("q", missing="quarantine"), categorical("u", unseen="quarantine")]
    model = model_of(*features, numeric("e", missing="error"))
    n, q, e = (pa.array(cells) for cells in ([None, None, 1.0, 1.0], [NAN, NAN, NAN, 1.0], [1.0, None, 1.0, 1.0]))
    values = one(everything(model), n, q, pa.array(["ZZ", "ZZ", "AA", "ZZ"]), e)
    assert [(cell.record, cell.column, cell.text, cell.reason, cell.by_policy) for cell in values.rejected] == [
        (0, "q", "NaN", "is missing, and the model sends such rows to the quarantine", True),
        (1, "e", "null", "is missing, and the model treats that as an error", False),
        (2, "q", "NaN", "is missing, and the model sends such rows to the quarantine", True),
        (3, "u", "ZZ", "is not a level of the model, and the model sends such rows to the quarantine", True),
    ]
    assert (values.null, values.nan) == (0, 0)
    assert values.events == {"missing n": 2, "missing q": 3, "missing e": 1, "unseen u": 3}


def test_a_bad_row_counts_neither_as_null_nor_as_nan() -> None:
    model = model_of(numeric("x"), numeric("y", missing="quarantine"), numeric("z", -1.5))
    x, y = pa.array([None, INF, INF, 1.0]), pa.array([None, None, 1.0, 1.0])
    values = one(everything(model), x, y, pa.array([1.0, INF, INF, 2.0]))
    assert list(shown(values)) == [0, 1]
    assert (values.null, values.nan) == (0, 1)
    assert [array.null_count for array in values.arrays] == [0, 0, 1]


def test_a_whole_batch_of_rejected_rows_is_reported_quickly() -> None:
    """Keeping each cell of each column would take half a gigabyte here, and seconds to sort."""
    features = [numeric(f"x{position}", missing="error") for position in range(100)]
    columns = [pa.nulls(65_536, pa.float64())] * 100
    tracemalloc.start()
    try:
        started = time.process_time()
        values = everything(model_of(*features)).block(columns)
        assert time.process_time() - started < 5
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(values.rejected) == 65_536
    assert {cell.column for cell in values.rejected} == {"x0"}
    assert peak < 100 * 2**20


def test_options_that_make_no_sense_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="must be among"):
        ScoreBlock(model_of(numeric()), ("logit",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threshold"):
        ScoreBlock(model_of(numeric()), threshold=1.5)
