"""Models written as SQL: DuckDB gives the scores of the scorer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.conversion.exporting import export
from tests.conversion.randomly import Scored, differences, document, scored, table

duckdb = pytest.importorskip("duckdb", reason="DuckDB (the extra bench) is not installed")


def run(expected: Scored) -> dict[str, list[Any]]:
    """Return the columns that the exported expressions make of the rows."""
    rows = expected.rows.append_column("place", pa.array(range(expected.rows.num_rows)))
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        text = export(expected.model, "sql")
        made = connection.execute(f"SELECT place, {text} FROM rows ORDER BY place").fetchall()
    return {name: [row[place] for row in made] for place, name in enumerate(expected.columns, 1)}


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0, 2, 5]))
def test_any_model_scores_in_duckdb_as_here(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    expected = scored(document(rng, classes), table(rng, 60))
    assert differences(expected, run(expected)) <= 1e-13
