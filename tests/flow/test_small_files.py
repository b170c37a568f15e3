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
from pipeline.errors import BadCellsError, DataError, InputChangedError
from pipeline.flow.manifest import CODEC
from pipeline.scan import delivered

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
KINDS = ("plain", "plain", "plain", "missing", "set aside", "not a number", "whole numbers", "dictionary", "unseen")
ALL_KINDS = (*KINDS, "unknown", "infinite")


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
    letters = pa.array(
        numbers.choice(["a", "b", "z"] if kind == "unseen" else ["a", "b"], size=rows).tolist(), pa.string()
    )
    columns = {"n": pa.array(range(rows), pa.int64()), "x": pa.array(x), "y": pa.array(y, mask=absent), "c": letters}
    if kind == "whole numbers":
        columns["x"] = pa.array(x.astype(np.int32))
    elif kind == "dictionary":
        columns["c"] = letters.dictionary_encode()
    elif kind == "unknown":
        columns["c"] = pa.array(["z"] * rows, pa.string())
    elif rows and kind == "infinite":
        columns["x"] = pa.array([np.inf] * rows)
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


def _published(inputs: Path, model: Path, out: Path, **options: Any) -> dict[str, bytes]:
    """Return the bytes of all parts and quarantines that a run publishes, and what its receipts say but for times."""
    given: dict[str, Any] = {"keep": ["n"], "raw_prediction": True, "allow_empty": True, "scheduler": "sync"}
    pipeline.score(inputs, model, out, **given | options)
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.parquet")}
    with (out / "_manifest.receipts").open("rb") as file, CODEC.decompressed(file) as stream:
        return files | {"receipts": stream.read()}


def _one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivered, "_MOST_ROWS", 0)


def _written(folder: Path, *kinds: str, rows: int = 5) -> Path:
    for number, kind in enumerate(kinds):
        path = folder / f"k={number % 2}" / f"{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table(kind, rows, number), path)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL))
    return path


@pytest.mark.parametrize("most_rows", [16_384, 12])
def test_files_read_together_give_what_they_give_one_by_one(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, most_rows: int
) -> None:
    data = _written(tmp_path / "data", *ALL_KINDS, "plain", *ALL_KINDS[::-1], "plain")
    monkeypatch.setattr(delivered, "_MOST_ROWS", most_rows)
    monkeypatch.setattr(delivered, "_SMALL_SHARE", 2)
    together = _published(data, model, tmp_path / "together", max_bad="50%")
    _one_by_one(monkeypatch)
    assert _published(data, model, tmp_path / "apart", max_bad="50%") == together


@pytest.mark.parametrize("kinds", [("plain", "unknown", "plain"), ("unknown", "plain", "plain")])
def test_a_file_of_which_no_level_is_known_is_found_among_others(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...]
) -> None:
    for number, kind in enumerate(kinds):
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(_table(kind, 5, number), tmp_path / "data" / f"{number}.parquet")
    together = _published(tmp_path / "data", model, tmp_path / "together", max_unseen="100%")
    assert f'"unknown":[[{kinds.index("unknown")},"c",5]]'.encode() in together["receipts"]
    _one_by_one(monkeypatch)
    assert _published(tmp_path / "data", model, tmp_path / "apart", max_unseen="100%") == together


def test_what_is_counted_does_not_go_with_a_file_without_a_good_row(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "k=0"
    folder.mkdir(parents=True)
    for number, (kind, stated) in enumerate([("plain", 1), ("missing", 0), ("plain", 0)]):
        table = _table(kind, 5, number)
        pq.write_table(table.append_column("k", pa.array([stated] * 5)), folder / f"{number}.parquet")
    options: dict[str, Any] = {"keep": ["n", "k"], "max_bad": 5}
    together = _published(tmp_path / "data", model, tmp_path / "together", **options)
    assert b'"missing x":1' in bytes(together["receipts"])
    _one_by_one(monkeypatch)
    assert _published(tmp_path / "data", model, tmp_path / "apart", **options) == together


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL_KINDS), st.integers(0, 4)), min_size=2, max_size=20), st.integers(2, 40))
@pytest.mark.slow
def test_any_files_read_together_give_what_they_give_one_by_one(files: list[tuple[str, int]], most_rows: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name)
        (folder / "model.json").write_text(json.dumps(MODEL))
        (folder / "data").mkdir()
        for number, (kind, rows) in enumerate(files):
            pq.write_table(_table(kind, rows, number), folder / "data" / f"{number:03d}.parquet")
        patched.setattr(delivered, "_SMALL_SHARE", 2)
        found = []
        for rows in (most_rows, 0):
            patched.setattr(delivered, "_MOST_ROWS", rows)
            options = {"max_bad": "100%", "max_unseen": "100%", "max_missing": "100%"}
            found.append(_published(folder / "data", folder / "model.json", folder / f"out-{rows}", **options))
        assert found[0] == found[1]


def test_a_limit_ends_within_the_same_file(tmp_path: Path, model: Path) -> None:
    data = _written(tmp_path / "data", *["plain"] * 6)
    pipeline.score(data, model, tmp_path / "out", keep=["n"], scheduler="sync", limit=12)
    (part,) = (tmp_path / "out").glob("part-*")
    assert pq.read_table(part)["n"].to_pylist() == [*range(5), *range(5), 0, 1]


def _bad_cells(folder: Path) -> None:
    """Make the second row of a file one whose number float64 cannot hold."""
    table = _table("plain", 5, 0)
    wide = pa.array([1, 2**53 + 1, 2, 3, 4])
    pq.write_table(table.set_column(1, "x", wide), folder / "k=0" / "002.parquet")


def test_a_bad_row_is_found_in_its_file_before_damage_in_a_later_one(tmp_path: Path, model: Path) -> None:
    data = _written(tmp_path / "data", *["plain"] * 8)
    for path in data.rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.set_column(1, "x", pa.array(range(5))), path)
    _bad_cells(data)
    damaged = data / "k=0" / "004.parquet"
    damaged.write_bytes(damaged.read_bytes().replace(b"PAR1\x15", b"PAR1\xff", 1))
    with pytest.raises(BadCellsError, match=r"k=0/002\.parquet: row 2\b.*column x") as found:
        pipeline.score(data, model, tmp_path / "out", keep=["n"], scheduler="sync")
    assert found.value.exit_code == 65
    with pytest.raises(DataError, match=r"k=0/004\.parquet is damaged"):
        pipeline.score(data, model, tmp_path / "out", keep=["n"], scheduler="sync", max_bad=10)


def test_a_file_that_changes_is_named(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _written(tmp_path / "data", *["plain"] * 4)
    joined = delivered._joined

    def replaced(batches: Any) -> Any:
        pq.write_table(_table("plain", 6, 9), data / "k=1" / "003.parquet")
        return joined(batches)

    # Less than all rows fit, so that a batch is joined before the last file is read.
    monkeypatch.setattr(delivered, "_MOST_ROWS", 10)
    monkeypatch.setattr(delivered, "_SMALL_SHARE", 2)
    monkeypatch.setattr(delivered, "_joined", replaced)
    with pytest.raises(InputChangedError, match=r"k=1/003\.parquet has changed since the run was planned"):
        pipeline.score(data, model, tmp_path / "out", scheduler="sync", retries=0)
