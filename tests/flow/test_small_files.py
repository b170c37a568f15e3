"""Many small files that share chunks are scored as each alone: the same rows, accounts and bad rows."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pipeline
from pipeline.flow.manifest import CODEC

MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.5,
    "features": [
        {"column": "x", "kind": "numeric", "coefficient": 1.0},
        {"column": "y", "kind": "numeric", "coefficient": -2.0, "missing": "quarantine"},
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}, "unseen": "zero"},
    ],
}
# What a file has in addition to rows with scores, and how it is written.
KINDS = ("plain", "plain", "plain", "missing", "set aside", "not a number", "whole numbers", "dictionary")


def _table(kind: str, rows: int, seed: int) -> pa.Table:
    numbers = np.random.default_rng(seed)
    x, y = numbers.uniform(-5, 5, size=(2, rows))
    absent = np.zeros(rows, dtype=bool)
    if rows and kind == "missing":
        x[0] = np.nan
    elif rows and kind == "set aside":
        absent[-1] = True
    elif rows and kind == "not a number":
        x[0] = y[0] = np.inf
    letters = pa.array(numbers.choice(["a", "b", "z"], size=rows).tolist(), pa.string())
    columns = {"n": pa.array(range(rows), pa.int64()), "x": pa.array(x), "y": pa.array(y, mask=absent), "c": letters}
    if kind == "whole numbers":
        columns["x"] = pa.array(x.astype(np.int32))
    elif kind == "dictionary":
        columns["c"] = letters.dictionary_encode()
    return pa.table(columns)


def _score(folder: Path, inputs: Path, output: str) -> tuple[pa.Table, list[dict[str, int]], list[dict[str, Any]]]:
    """Return rows, accounts without the number of their file, and quarantined rows, of files below a folder."""
    out = folder / output
    options: dict[str, Any] = {"keep": ["n"], "scheduler": "sync", "raw_prediction": True, "allow_empty": True}
    pipeline.score(inputs, folder / "model.json", out, **options)
    with (out / "_manifest.receipts").open("rb") as file, CODEC.decompressed(file) as stream:
        lines = [json.loads(line) for line in stream.read().splitlines()]
    accounts = [{**one, "file": 0} for line in lines for one in line["receipt"]["accounts"]]
    bad = [row for path in sorted(out.glob("_quarantine/*")) for row in pq.read_table(path).to_pylist()]
    return pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("part-*"))]), accounts, bad


@settings(max_examples=10, deadline=None)
@example([("plain", 30, 1), ("missing", 30, 1), ("plain", 2, 1)])
@example([("plain", 30, 1), ("set aside", 30, 1), ("plain", 2, 1)])
@example([("plain", 30, 1), ("not a number", 30, 1), ("plain", 2, 1)])
@example([("plain", 5_000, 1), ("plain", 30, 1), ("plain", 2, 1), ("plain", 5_000, 2)])
@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.sampled_from([0, 1, 2, 30, 3_000, 5_000]), st.integers(1, 3)),
        min_size=2,
        max_size=12,
    )
)
@pytest.mark.slow
def test_a_folder_of_small_files_is_scored_as_each_of_them_alone(files: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.json").write_text(json.dumps(MODEL))
        (folder / "all").mkdir()
        apart = []
        for number, (kind, rows, groups) in enumerate(files):
            path = folder / "all" / f"{number:03d}.parquet"
            pq.write_table(_table(kind, rows, number), path, row_group_size=max(1, rows // groups))
            apart.append(_score(folder, path, f"apart-{number}"))
        rows, accounts, bad = _score(folder, folder / "all", "together")
        # by their texts: NaN does not equal NaN
        assert repr(rows.to_pydict()) == repr(pa.concat_tables([one for one, _, _ in apart]).to_pydict())
        assert accounts == [one for _, theirs, _ in apart for one in theirs]
        assert bad == [row for _, _, theirs in apart for row in theirs]
