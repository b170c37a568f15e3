"""Names for columns without one of their own are those of pandas."""

from __future__ import annotations

import io
import time

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.sources.csv.naming import pandas_names

NAMES = ["", "x", "x.1", "x.2", "x.1.1", "Unnamed: 0", "Unnamed: 1", "Unnamed: 0.1", "y"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=7))
@example(["", "x", "x"])
@example(["Unnamed: 1", ""])
@example(["x", "x.1", "x", "x"])
def test_clashes_are_avoided_as_pandas_avoids_them(header: list[str]) -> None:
    frame = pd.read_csv(io.StringIO(f"{','.join(header)}\n{','.join('1' * len(header))}\n"))
    assert list(pandas_names(header)) == list(frame.columns)


@pytest.mark.parametrize("name", ["", "x"])
def test_very_many_columns_are_named_at_once(name: str) -> None:
    began = time.perf_counter()
    assert len(set(pandas_names([name] * 65_536))) == 65_536
    assert time.perf_counter() - began < 2
