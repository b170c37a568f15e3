"""Passes over a scan: the same bits on every scheduler, with any workers and batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.fitting.passes.packing import pack_sums
from pipeline.fitting.passes.points import Point
from pipeline.fitting.passes.scanning import open_passes
from pipeline.scan import PreparedScan
from tests.fitting.scans import ROWS, needs_of, numbers_design, numbers_table, prepared, write

COLUMNS = 4
TOTAL = 70_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("numbers")
    table = numbers_table(TOTAL, COLUMNS)
    write(table, path / "parquet", files=2)
    write(table, path / "csv", "csv")
    return path


def points() -> list[Point]:
    chance = np.random.default_rng(3)
    coefficients = chance.normal(size=(1, COLUMNS + 1))
    return [Point(np.zeros((1, COLUMNS + 1))), Point(coefficients, step=coefficients)]


def bits_of(scan: PreparedScan) -> bytes:
    with open_passes(scan, numbers_design(COLUMNS), ROWS) as passes:
        first = pack_sums(passes.sums(points()))
        assert pack_sums(passes.sums(points())) == first
    return first


LOCAL = (("sync", 1), ("threads", 2), ("threads", 3))


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("schedulers", [LOCAL, pytest.param((*LOCAL, ("processes", 2)), marks=pytest.mark.slow)])
def test_sums_have_the_same_bits_on_every_scheduler_with_any_workers_and_batches(
    folder: Path, kind: str, schedulers: tuple[tuple[str, int], ...]
) -> None:
    size = "20000" if kind == "parquet" else "300KiB"
    found = set()
    for scheduler, workers in schedulers:
        scan = prepared(folder / kind, needs_of(COLUMNS), chunk_size=size, scheduler=scheduler, workers=workers)
        assert len(scan.plan) >= 4
        found.add(bits_of(scan))
        if scheduler == "threads":
            found.add(bits_of(replace(scan, resources=replace(scan.resources, batch_rows=777))))
    assert len(found) == 1


def test_sums_are_those_of_the_rows(folder: Path) -> None:
    scan = prepared(folder / "parquet", needs_of(COLUMNS), scheduler="sync")
    with open_passes(scan, numbers_design(COLUMNS), ROWS) as passes:
        start, at = passes.sums(points())
    table = numbers_table(TOTAL, COLUMNS)
    y = table["y"].to_numpy()
    x = np.column_stack([np.ones(TOTAL), *(table[f"x{place}"].to_numpy() for place in range(COLUMNS))])
    design = numbers_design(COLUMNS)
    x[:, 1:] = (x[:, 1:] - [column.center for column in design.columns]) / [column.scale for column in design.columns]
    raw = x @ points()[1].coefficients[0]
    assert (start.rows, start.weight) == (TOTAL, TOTAL)
    assert start.loss == pytest.approx(TOTAL * np.log(2), rel=1e-12)
    assert at.loss == pytest.approx(np.logaddexp(0, np.where(y == 1, -raw, raw)).sum(), rel=1e-12)
    assert at.gradient is not None
    np.testing.assert_allclose(at.gradient[0], (1 / (1 + np.exp(-raw)) - y) @ x, rtol=1e-9)
