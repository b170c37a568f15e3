"""Tiles: what their columns hold, which rows they leave out, and that they depend on the rows of a chunk alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fitting.asking.terms import BinsTerm, CategoryTerm, MissingTerm, NumberTerm, ProductTerm
from pipeline.fitting.designs.design import DesignColumn, FitDesign, LevelSource, NumberSource
from pipeline.fitting.first_pass.dividing import Divider
from pipeline.fitting.tiles.decoding import ClassSource, RowSources, _LevelCodes
from pipeline.fitting.tiles.encoding import Encoder
from pipeline.fitting.tiles.layout import FitLayout, Tile
from pipeline.fitting.tiles.recipes import divide
from pipeline.kernels import Clip
from pipeline.models.columns import RecentLevels, levels
from pipeline.models.levels import LevelTable
from pipeline.types.inputs import Integers

A, B = CategoryTerm("a"), CategoryTerm("b")
X, Z = NumberTerm("x"), NumberTerm("z")
LOG = NumberTerm("z", ("log",))
ROWS = RowSources(
    ClassSource("y", "text", {"no": 0, "yes": 1}),
    (0.5, 2.0),
    NumberSource("w", "drop"),
    NumberSource("o", "drop"),
    Divider(folds=3),
)


@dataclass
class Rows:
    """A batch whose rows have the places that follow ``first``."""

    data: pa.RecordBatch
    first: int = 0
    file: int = 0

    def places(self) -> Integers:
        return np.arange(self.first, self.first + self.data.num_rows, dtype=np.int64)


def cut(data: pa.RecordBatch, sizes: Sequence[int]) -> Iterator[Rows]:
    first = 0
    for size in (*sizes, data.num_rows):
        yield Rows(data.slice(first, size), first)
        first = min(data.num_rows, first + size)


def design() -> FitDesign:
    """Every kind of column, on two columns of numbers and two of levels."""
    columns = (
        DesignColumn(X, "x", dense=0, center=1.5, scale=0.3),
        DesignColumn(MissingTerm("x"), "M(x)", dense=1, center=0.25, scale=4.0),
        DesignColumn(LOG, "log(z)", dense=2, center=-1.0, scale=2.0),
        DesignColumn(ProductTerm((X, Z)), "x:z", dense=3, center=0.5, scale=7.0),
        DesignColumn(BinsTerm("x", edges=(0.0, 1.0), woe=True), "B", dense=4, values=(0.1, 0.2, 0.3, -9.0)),
        DesignColumn(A, "a", levels=0, labels=("q", "r"), reference="p", cells=((0,), (1,))),
        DesignColumn(BinsTerm("x", edges=(0.0, 1.0)), "B(x)", levels=1, labels=("low", "high"), cells=((0,), (2,))),
        DesignColumn(BinsTerm("x", edges=(0.5,)), "own", levels=2, labels=("<", "missing"), cells=((0,), (2,))),
        DesignColumn(ProductTerm((A, Z)), "a:z", levels=3, labels=("r",), cells=((1,),), scale=2.0),
        DesignColumn(
            ProductTerm((A, B)), "a:b", levels=4, labels=("q:t", "r:s", "p:t"), cells=((0, 1), (1, 0), (-1, 1))
        ),
    )
    levels = (
        LevelSource("a", "text", {"p": -1, "q": 0, "r": 1}, 1, unseen=-1),
        LevelSource("b", "integer", {"7": 0, "8": 1, "9": 2}, "drop", unseen=-1),
    )
    numbers = (NumberSource("x", 0.75), NumberSource("z", "error"))
    return FitDesign(FitLayout(5, (2, 2, 2, 1, 3)), columns, numbers, levels, finite=(X, LOG, Z))


def table(rows: int, seed: int = 0) -> pa.RecordBatch:
    """Rows of which some cannot be fitted."""
    chance = np.random.default_rng(seed)

    def some(values: Any, share: float) -> pa.Array:
        return pa.array(values, mask=chance.random(rows) < share)

    z = chance.exponential(size=rows).astype(np.float32)
    z[chance.random(rows) < 0.02] = 0
    x = chance.normal(size=rows)
    x[chance.random(rows) < 0.02] = np.nan
    x[chance.random(rows) < 0.01] = np.inf
    return pa.RecordBatch.from_pydict(
        {
            "y": some(chance.choice(["no", "yes"], rows), 0.02),
            "x": some(x, 0.05),
            "z": some(z, 0.02),
            "a": some(chance.choice(["p", "q", "r", "unseen"], rows), 0.05),
            "b": some(chance.integers(7, 11, rows), 0.05),
            "w": some(chance.integers(0, 4, rows), 0.02),
            "o": some(chance.normal(size=rows), 0.02),
        }
    )


def copied(tiles: Iterator[Tile]) -> list[tuple[Any, ...]]:
    """Return the bytes of each array of each tile."""
    found = []
    for tile in tiles:
        assert tile.dense.flags.f_contiguous
        levels = [
            (column.codes.tobytes(), None if column.values is None else column.values.tobytes())
            for column in tile.levels
        ]
        others = [None if each is None else each.tobytes() for each in (tile.weights, tile.offset, tile.folds)]
        found.append((tile.dense.tobytes("F"), *levels, tile.classes.tobytes(), *others))
    return found


def expected(data: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows that are fitted, with what each column of the design holds: from the definitions."""
    folds = ROWS.divider.of_batch(Rows(data), "f") if ROWS.divider else []  # type: ignore[arg-type]
    found = []
    for row, fold in zip(data.to_pylist(), folds, strict=True):
        missing = row["x"] is None or row["x"] != row["x"]
        x = 0.75 if missing else row["x"]
        if None in (row["y"], row["z"], row["b"], row["w"], row["o"]) or math.isinf(x) or row["z"] <= 0:
            continue
        a = {"p": -1, "q": 0, "r": 1, None: 1}.get(row["a"], -1)
        b = {7: 0, 8: 1, 9: 2}.get(row["b"], -1)
        interval = 0 if x < 0 else 1 if x < 1 else 2
        found.append(
            {
                "dense": [
                    1.0,
                    (x - 1.5) / 0.3,
                    (missing - 0.25) / 4,
                    (float(np.log(row["z"])) + 1) / 2,
                    (x * row["z"] - 0.5) / 7,
                    -9.0 if missing else (0.1, 0.2, 0.3)[interval],
                ],
                "codes": [
                    a,
                    {0: 0, 2: 1}.get(interval, -1),
                    1 if missing else 0 if x < 0.5 else -1,
                    0 if a == 1 else -1,
                    {(0, 1): 0, (1, 0): 1, (-1, 1): 2}.get((a, b), -1),
                ],
                "value": row["z"] / 2,
                "class": int(row["y"] == "yes"),
                "weight": row["w"] * (2.0 if row["y"] == "yes" else 0.5),
                "offset": row["o"],
                "fold": int(fold),
            }
        )
    return found


def test_tiles_hold_what_the_design_says() -> None:
    data = table(3_000)
    (tile,) = Encoder(design(), ROWS).tiles([Rows(data)], lambda _: "f")
    rows = expected(data)
    assert 1_500 < tile.rows == len(rows) < 2_700
    np.testing.assert_allclose(tile.dense, [row["dense"] for row in rows], rtol=1e-6)
    codes = np.column_stack([column.codes for column in tile.levels])
    assert codes.tolist() == [row["codes"] for row in rows]
    values = tile.levels[3].values
    assert values is not None
    np.testing.assert_array_equal(values, [row["value"] for row in rows])
    assert [column.values is None for column in tile.levels] == [True, True, True, False, True]
    for array, name in (
        (tile.classes, "class"),
        (tile.weights, "weight"),
        (tile.offset, "offset"),
        (tile.folds, "fold"),
    ):
        assert array is not None
        assert array.tolist() == [row[name] for row in rows]


def test_a_number_times_itself_and_rounding_follow_scoring() -> None:
    data = pa.RecordBatch.from_pydict({"x": [0.1, 0.7], "y": ["no", "yes"]})
    steps = NumberTerm("x", (Clip(low=0.2), "square"))
    columns = (DesignColumn(steps, "s", dense=0, center=0.1, scale=0.3),)
    made = FitDesign(FitLayout(1), columns, (NumberSource("x", "error"),), ())
    (tile,) = Encoder(made, RowSources(ROWS.target)).tiles([Rows(data)])
    assert tile.dense[:, 1].tolist() == [(0.2 * 0.2 - 0.1) / 0.3, (0.7 * 0.7 - 0.1) / 0.3]


ROWS_OF_TILE = design().layout.tile_rows
WHOLE = table(2 * ROWS_OF_TILE + 20_000, seed=3)
TILES = copied(Encoder(design(), ROWS).tiles([Rows(WHOLE)], lambda _: "f"))


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 40_000) | st.integers(1, 40), max_size=9))
def test_tiles_of_any_batches_are_those_of_the_whole_chunk(sizes: list[int]) -> None:
    assert len(TILES) == 3
    assert copied(Encoder(design(), ROWS).tiles(cut(WHOLE, sizes), lambda _: "f")) == TILES


def test_full_tiles_have_one_size_and_the_last_has_the_rest() -> None:
    sizes = [tile.rows for tile in Encoder(design(), ROWS).tiles(cut(WHOLE, [100, 39_000]), lambda _: "f")]
    assert sizes[:-1] == [ROWS_OF_TILE] * (len(sizes) - 1)
    assert 0 < sizes[-1] <= ROWS_OF_TILE


@pytest.mark.parametrize("kind", ["null", "NaN", "infinite", "beyond float64"])
def test_rows_that_the_first_pass_refused_or_dropped_are_left_out(kind: str) -> None:
    values: dict[str, pa.Array] = {
        "null": pa.array([1.0, None, 3.0]),
        "NaN": pa.array([1.0, math.nan, 3.0]),
        "infinite": pa.array([1.0, math.inf, 3.0]),
        "beyond float64": pa.array([1, 2**53 + 1, 3]),
    }
    data = pa.RecordBatch.from_pydict({"x": values[kind], "y": ["no", "yes", "yes"]})
    made = FitDesign(FitLayout(1), (DesignColumn(X, "x", dense=0),), (NumberSource("x", "drop"),), (), finite=(X,))
    (tile,) = Encoder(made, RowSources(ROWS.target)).tiles([Rows(data)])
    assert tile.dense[:, 1].tolist() == [1.0, 3.0]
    assert tile.classes.tolist() == [0, 1]


def test_infinities_are_in_the_outer_intervals_where_scoring_has_them() -> None:
    data = pa.RecordBatch.from_pydict({"x": [-math.inf, 0.0, math.inf], "y": ["no", "yes", "yes"]})
    column = DesignColumn(BinsTerm("x", edges=(0.0,)), "B(x)", levels=0, labels=("high",), cells=((1,),))
    made = FitDesign(FitLayout(0, (1,)), (column,), (NumberSource("x", "drop"),), ())
    (tile,) = Encoder(made, RowSources(ROWS.target)).tiles([Rows(data)])
    assert tile.levels[0].codes.tolist() == [-1, 0, 0]


def test_a_chunk_without_rows_that_are_fitted_has_no_tile() -> None:
    data = pa.RecordBatch.from_pydict({"x": pa.array([None, None], pa.float64()), "y": ["no", "yes"]})
    made = FitDesign(FitLayout(1), (DesignColumn(X, "x", dense=0),), (NumberSource("x", "drop"),), ())
    assert list(Encoder(made, RowSources(ROWS.target)).tiles([Rows(data), Rows(data.slice(0, 0))])) == []


def test_combinations_of_many_levels_are_searched_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.fitting.tiles.recipes._MOST_CELLS", 1)
    found = copied(Encoder(design(), ROWS).tiles([Rows(WHOLE)], lambda _: "f"))
    assert found == TILES


def test_groups_are_the_same_number_for_the_same_value_in_any_batch() -> None:
    rows = RowSources(ROWS.target, groups="g")
    made = FitDesign(FitLayout(1), (DesignColumn(X, "x", dense=0),), (NumberSource("x", "drop"),), ())
    groups = []
    for names in (["u", "v", "u"], ["v", "v", "w"]):
        data = pa.RecordBatch.from_pydict({"x": [1.0, 2.0, 3.0], "y": ["no", "yes", "no"], "g": names})
        (tile,) = Encoder(made, rows).tiles([Rows(data)], groups=True)
        assert tile.groups is not None
        groups += tile.groups.tolist()
    assert groups[0] == groups[2] != groups[1]
    assert groups[1] == groups[3] == groups[4]
    assert len(set(groups)) == 3
    (tile,) = Encoder(made, rows).tiles([Rows(data)])
    assert tile.groups is None


@pytest.mark.parametrize("type_", ["text", "boolean", "integer", "number"])
@given(
    known=st.lists(st.sampled_from(["1", "-3", "01", "7.0", "true", "x", "0"]), unique=True, min_size=1),
    cells=st.lists(st.none() | st.sampled_from(["1", "-3", "01", "1.0", "+7", "TRUE", "x", "y", "0"]), min_size=1),
    missing=st.integers(-2, 3),
)
@settings(max_examples=30)
def test_levels_are_those_that_scoring_looks_up(
    type_: Any, known: list[str], cells: list[str | None], missing: int
) -> None:
    table_of = LevelTable({name: code for code, name in enumerate(known)}, type_)
    arrays = [pa.array(cells, pa.string()), pa.array(cells, pa.large_string()).dictionary_encode()]
    whole = [None if cell is None or not cell.lstrip("-").isdigit() else int(cell) for cell in cells]
    arrays += [pa.array(whole, kind) for kind in (pa.int8(), pa.int64())]
    arrays.append(pa.array([None if value is None else abs(value) for value in whole], pa.uint64()))
    arrays.append(pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array([cells[0], None])))
    for array in arrays:
        read = levels(array)
        one = RecentLevels().find(table_of, read.dictionary)
        expected_codes = np.where(one.is_missing, missing, one.positions).take(read.codes, mode="clip")
        if read.null is not None:
            expected_codes[read.null] = missing
        assert _LevelCodes(table_of).found(read, missing).tolist() == expected_codes.tolist()


@pytest.mark.parametrize(
    ("dense", "rows"),
    [(0, 32_768), (20, 32_768), (31, 32_768), (32, 16_384), (64, 8_192), (200, 8_192), (2_000, 8_192)],
)
def test_tiles_of_many_columns_have_fewer_rows(dense: int, rows: int) -> None:
    assert FitLayout(dense).tile_rows == rows


@pytest.mark.parametrize("scales", [[1.0, 1.0], [2.0, 0.25], [3.0, 1.0], [0.1, 1e300]])
def test_columns_that_are_divided_at_once_have_the_bits_of_each_by_itself(scales: list[float]) -> None:
    values = np.random.default_rng(1).normal(size=(2, 500))
    found = values.copy()
    divide(found, np.array(scales)[:, np.newaxis])
    assert found.tolist() == [(row / scale).tolist() for row, scale in zip(values, scales, strict=True)]
