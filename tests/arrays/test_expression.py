"""Expressions as a block function: the results for the rows of one chunk."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import pipeline
from pipeline.arrays.expression import ExpressionBlock
from pipeline.arrays.places import RowPlaces


def test_a_row_with_nan_in_several_results_is_counted_once(tmp_path: Path) -> None:
    x = pa.array([1.0, None, math.nan, -1.0, 2.0])
    pq.write_table(pa.table({"x": x, "n": [1, 2, 3, 4, None]}), tmp_path / "in.parquet")
    dataset = pipeline.open_dataset(tmp_path / "in.parquet")
    first, second = dataset.to_dask_array(["x"])[:, 0], dataset.to_dask_array(["n"])[:, 0]
    expressions = {"a": np.sqrt(first), "b": (first * second).astype("f4"), "c": first > 0}
    places = RowPlaces(dataset.plan, dataset.files, dataset._counted.rows)
    block = ExpressionBlock.of(expressions, dataset._sources, dataset._blocks, places, None)
    with np.errstate(invalid="ignore"):
        values = block.block([x, pa.array([1, 2, 3, 4, None])])
    assert (values.nan, values.null, values.rejected) == (4, 0, ())
    assert [array.type for array in values.arrays] == [pa.float64(), pa.float32(), pa.bool_()]
    assert values.arrays[2].to_pylist() == [True, False, False, False, True]
    only = ExpressionBlock.of({"c": first > 0}, dataset._sources, dataset._blocks, places, None)
    assert only.block([x]).nan == 0
