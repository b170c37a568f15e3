"""Columns that are wider than their footer says: within the budget, or refused with their name; more memory helps."""

from __future__ import annotations

import json
import uuid

import pyarrow as pa
import pytest

from pipeline.errors import MemoryBudgetError
from pipeline.memory import current_bytes, peak_bytes, reset_peak
from pipeline.scan.held import give_back
from pipeline.units import MIB
from tests.flow.conftest import Bench

ONE_TEXT = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.5,
    "features": [{"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "zero"}],
}


# Short enough for one page of a dictionary, so that the footer counts it once.
LONG = "x" * 900 * 1024


def budget(extra: int) -> int:
    # What a run gives back before it begins does not count as memory of the process.
    give_back()
    return max(160 * MIB, current_bytes()) + extra * MIB


@pytest.fixture
def long_texts(bench: Bench) -> Bench:
    """Texts of a megabyte after many short ones: neither the first rows nor the footer show it."""
    texts = ["ab"] * 2_000 + [LONG] * 60
    bench.put("in.parquet", pa.table({"x": [1.0] * len(texts), "c": ["a"] * len(texts), "note": texts}))
    return bench


def test_more_levels_than_a_dictionary_holds(bench: Bench) -> None:
    values = [str(uuid.UUID(int=i)) for i in range(60_000)]
    bench.put("in.parquet", pa.table({"c": values}))
    model = bench.folder / "one_text.json"
    model.write_text(json.dumps(ONE_TEXT))
    report = bench.score(model=model, memory=budget(150), max_unseen="100%")
    assert report.totals.events["unseen c"] == len(values)
    assert report.totals.scored == len(values)


def test_long_texts_fit_a_large_budget(long_texts: Bench) -> None:
    report = long_texts.score(keep=["note"], memory=budget(1_500))
    assert report.totals.written == 2_060
    assert long_texts.table()["note"].to_pylist()[-1] == LONG


def test_long_texts_are_refused_by_name_in_a_small_one(long_texts: Bench) -> None:
    message = long_texts.refused(MemoryBudgetError, known=False, keep=["note"], memory=budget(70))
    assert "column note: a batch of" in message
    assert "--memory" in message


@pytest.fixture
def few_wide_rows(bench: Bench) -> Bench:
    """A row group of 8 rows, each with a text of 4 MiB that no other row has."""
    texts = [f"{number:08d}" * (MIB // 2) for number in range(8)]
    bench.put("in.parquet", pa.table({"x": [1.0] * 8, "c": ["a"] * 8, "note": texts}))
    return bench


def test_few_wide_rows_fit_a_small_budget_and_are_the_same_rows(few_wide_rows: Bench) -> None:
    few_wide_rows.score(keep=["note"], memory=budget(3_000))
    ample, allowed = few_wide_rows.folder / "ample", budget(285)
    few_wide_rows.out.rename(ample)
    assert reset_peak()
    report = few_wide_rows.score(keep=["note"], memory=allowed)
    assert peak_bytes() <= allowed
    assert report.plan.resources.batch_rows < 4
    assert any(note.startswith("batch lowered from 8 to ") for note in report.plan.resources.notes)
    parts = [{path.name: path.read_bytes() for path in out.glob("part-*")} for out in (ample, few_wide_rows.out)]
    assert parts[0] == parts[1]
    identities = [json.loads((out / "_manifest.json").read_text())["job_id"] for out in (ample, few_wide_rows.out)]
    assert identities[0] == identities[1] == report.plan.job_id


def test_few_wide_rows_are_refused_with_their_column_in_too_small_a_budget(few_wide_rows: Bench) -> None:
    message = few_wide_rows.refused(MemoryBudgetError, keep=["note"], memory=budget(100))
    assert "with one worker and batches of 1 row" in message
    assert "the widest column is note with 4 MiB a row" in message
    assert "allow --memory" in message
    # A row group is never cut.
    assert "--chunk-size" not in message


@pytest.fixture
def repeated_texts(bench: Bench) -> Bench:
    """A hundred texts of 8 KiB over and over: a megabyte in the file, and by its footer, 160 MB decoded."""
    texts = pa.array([f"{number:04d}" * 2048 for number in range(100)])
    codes = pa.array([number % 100 for number in range(20_000)], pa.int32())
    table = pa.table({"x": [1.0] * 20_000, "c": ["a"] * 20_000, "note": pa.DictionaryArray.from_arrays(codes, texts)})
    bench.put("in.parquet", table, store_schema=False)
    return bench


def test_a_row_group_of_text_that_unfolds_is_refused_by_name_in_a_small_budget(repeated_texts: Bench) -> None:
    message = repeated_texts.refused(MemoryBudgetError, known=False, keep=["note"], memory=budget(200))
    assert "column note: the first" in message
    assert "raise --memory, or lower --chunk-size" in message


def test_a_row_group_of_text_that_unfolds_fits_a_large_one(repeated_texts: Bench) -> None:
    report = repeated_texts.score(keep=["note"], memory=budget(3_000))
    assert report.totals.written == 20_000
