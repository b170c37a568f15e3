"""What becomes of types that a file has and the scores do not: integers to round, logical types, old timestamps."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import BadCellsError, SchemaError
from tests.flow.conftest import Bench, sigmoid

# Nanoseconds since the epoch; float64 holds neither, and rounds one up and one down.
EPOCHS = [1_700_000_000_123_456_789, 1_700_000_000_123_456_900, None, -(2**63), 2**53 + 1]
SCALE = 1e18
TS = [{"column": "ts", "kind": "numeric", "coefficient": 1.0, "scale": SCALE}]


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_int64_beyond_2_53_is_a_bad_cell_whose_message_names_the_type_that_rounds(bench: Bench, format_: str) -> None:
    frame = pd.DataFrame({"ts": pd.array(EPOCHS, "Int64"), "k": "k"})
    path = bench.inputs / f"f.{format_}"
    frame.to_csv(path, index=False) if format_ == "csv" else frame.to_parquet(path)
    message = bench.refused(BadCellsError, known=False, model=bench.model(TS))
    assert "column ts: '1700000000123456789' cannot be held exactly as a float64" in message
    assert "add --type NAME=float64 with the name of this column to round it" in message


@pytest.mark.parametrize("format_", ["csv", "parquet"])
@pytest.mark.parametrize("type_", ["float64", "double", "float32"])
def test_type_ts_float64_rounds_by_the_users_word(bench: Bench, format_: str, type_: str) -> None:
    frame = pd.DataFrame({"ts": pd.array(EPOCHS, "Int64"), "k": "k"})
    path = bench.inputs / f"f.{format_}"
    frame.to_csv(path, index=False) if format_ == "csv" else frame.to_parquet(path)
    report = bench.score(model=bench.model(TS), types={"ts": type_}, keep=["ts"])
    assert report.totals.bad == 0
    expected = [None if value is None else float(np.dtype(type_).type(value)) for value in EPOCHS]
    table = bench.table()
    assert table["ts"].to_pylist() == expected
    known = [value for value in expected if value is not None]
    scores = [value for value in table["probability"].to_pylist() if value is not None]
    np.testing.assert_allclose(scores, sigmoid(0.5 + np.array(known) / SCALE), rtol=1e-12)
    manifest = json.loads((bench.out / "_manifest.json").read_text())
    assert ["ts", type_] in manifest["options"]["csv"]["types"]
    assert pipeline.verify(bench.out, sample=1).as_published


def test_the_command_line_rounds_too(bench: Bench, command) -> None:  # type: ignore[no-untyped-def]
    pq.write_table(pa.table({"ts": pa.array(EPOCHS)}), bench.inputs / "f.parquet")
    words = ("score", bench.inputs, "--model", bench.model(TS), "--output", bench.out)
    done = command(*words)
    assert (done.returncode, "--type NAME=float64" in done.stderr) == (65, True)
    assert command(*words, "--type", "ts=float64").returncode == 0
    assert len(bench.table()) == len(EPOCHS)


@pytest.mark.parametrize("scale", [0, 2, 10, 20])
def test_decimals_round_once(bench: Bench, scale: int) -> None:
    random = np.random.default_rng(scale)
    cells = [Decimal(int(random.integers(2**62)) * 10**12 + 7).scaleb(-scale) for _ in range(200)]
    bench.put("f.parquet", pa.table({"ts": pa.array(cells, pa.decimal128(38, scale))}))
    bench.score(model=bench.model(TS), types={"ts": "float64"}, keep=["ts"])
    assert bench.table()["ts"].to_pylist() == [float(cell) for cell in cells]


@pytest.mark.parametrize("type_", ["int64", "uint64"])
def test_another_type_does_not_round(bench: Bench, type_: str) -> None:
    bench.put("f.csv", f"ts\n{2**53 + 1}\n")
    bench.refused(BadCellsError, known=False, model=bench.model(TS), types={"ts": type_})


def test_a_partition_rounds_by_the_users_word(bench: Bench) -> None:
    bench.put(f"ts={2**53 + 1}/f.csv", "x\n1\n")
    message = bench.refused(SchemaError, model=bench.model(TS))
    assert "cannot be held exactly as a float64" in message
    assert "--type ts=float64 rounds it" in message
    bench.score(model=bench.model(TS), types={"ts": "float64"}, keep=["ts"])
    assert bench.table()["ts"].to_pylist() == [float(2**53)]
