"""Files and prepared scans for the tests of fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from pipeline.fitting.tiles.decoding import ClassSource, RowSources
from pipeline.fitting.designs.design import DesignColumn, FitDesign, NumberSource
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.fitting.asking.terms import NumberTerm
from pipeline.plan import make_plan
from pipeline.scan import HowToScan, Needs, PreparedScan, StepCosts, discover, gather_facts, prepare_scan
from pipeline.types.inputs import CsvOptions, Need

ROWS = RowSources(ClassSource("y", "integer", {"0": 0, "1": 1}))


def numbers_table(rows: int, columns: int, seed: int = 1) -> pa.Table:
    """Return columns x0, x1, ... in units far apart, and y, which depends on them."""
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(rows, columns))
    raw = values @ chance.normal(size=columns) / np.sqrt(columns)
    y = (chance.random(rows) < 1 / (1 + np.exp(-raw))).astype(np.int8)
    scaled = values * 10.0 ** (np.arange(columns) % 5 - 2) + np.arange(columns)
    return pa.table({**{f"x{place}": scaled[:, place] for place in range(columns)}, "y": y})


def numbers_design(columns: int, *, missing: Any = "error") -> FitDesign:
    """Return the design of such a table."""
    return FitDesign(
        FitLayout(columns),
        tuple(
            DesignColumn(
                NumberTerm(f"x{place}"), f"x{place}", dense=place, center=float(place), scale=10.0 ** (place % 5 - 2)
            )
            for place in range(columns)
        ),
        tuple(NumberSource(f"x{place}", missing) for place in range(columns)),
        (),
    )


def write(table: pa.Table, folder: Path, kind: str = "parquet", *, files: int = 1, groups: int = 3_000) -> Path:
    """Write a table to files of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        first, stop = (table.num_rows * each // files for each in (number, number + 1))
        part, path = table.slice(first, stop - first), folder / f"{number}.{kind}"
        if kind == "parquet":
            pq.write_table(part, path, row_group_size=groups)
        else:
            pcsv.write_csv(part, path)
    return folder


def prepared(
    folder: Path, needs: Sequence[Need], *, chunk_size: str = "20000", costs: StepCosts | None = None, **how: Any
) -> PreparedScan:
    """Return a prepared scan of a folder."""
    files = gather_facts(discover((str(folder),)).files, CsvOptions())
    plan = make_plan(files, chunk_size=chunk_size)
    costs = costs or StepCosts(travels=True)
    return prepare_scan(files, Needs.of(needs), plan, CsvOptions(), costs, HowToScan(**how))


def needs_of(columns: int) -> list[Need]:
    """Return the needs of a table of numbers."""
    return [*(Need(f"x{place}", "numeric") for place in range(columns)), Need("y", "categorical")]
