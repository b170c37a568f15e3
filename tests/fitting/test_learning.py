"""The first pass: the same numbers on every scheduler, with any workers and batches; accounts; bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.fitting.designing import design_of
from pipeline.fitting.formula import parse_terms
from pipeline.fitting.job import DataWishes, FitJob, MeansWishes, ModelWishes, SolveWishes
from pipeline.fitting.learning import learn
from pipeline.fitting.learnt import Learnt
from pipeline.fitting.reading import PreparedFit, prepare_fit
from pipeline.scan import open_scan

ROWS = 60_000


def job_of(
    inputs: object, features: str, *, data: Any = None, solve: Any = None, means: Any = None, **model: Any
) -> FitJob:
    """Return a job: options of the model by name, others as mappings."""
    return FitJob(
        DataWishes((str(inputs),), **{"chunk_size": "20000", **(data or {})}),
        ModelWishes(**{"target": "late", "features": parse_terms(features), **model}),
        SolveWishes(**(solve or {})),
        MeansWishes(**{"scheduler": "sync", "memory": "800MiB", **(means or {})}),
    )


def learnt_by(job: FitJob, batch_rows: int | None = None) -> tuple[PreparedFit, Learnt, pa.Table]:
    """Return what the first pass of a job learns, and its sample."""
    prepared = prepare_fit(job)
    if batch_rows is not None:
        resources = replace(prepared.scan.resources, batch_rows=batch_rows)
        prepared = replace(prepared, scan=replace(prepared.scan, resources=resources))
    with open_scan(prepared.scan) as scan:
        return prepared, *learn(scan, prepared)


def ipc(table: pa.Table) -> bytes:
    """Return the bytes of a table."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows with numbers, levels, missing values and a target, in two Parquet files of several row groups."""
    path = tmp_path_factory.mktemp("flights")
    chance = np.random.default_rng(11)
    distance = chance.gamma(2.0, 500.0, ROWS)
    delay = chance.normal(5.0, 30.0, ROWS)
    delay[chance.random(ROWS) < 0.02] = np.nan
    table = pa.table(
        {
            "late": chance.random(ROWS) < 1 / (1 + np.exp(-0.002 * (distance - 1000))),
            "distance": distance,
            "delay": pa.array(delay, from_pandas=True),
            "hour": chance.integers(0, 24, ROWS),
            "carrier": pa.array(chance.choice(["AA", "UA", "B6", "WN"], ROWS, p=[0.4, 0.3, 0.2, 0.1])),
            "weight": chance.random(ROWS),
            "id": np.arange(ROWS),
        }
    )
    for number in range(2):
        pq.write_table(table.slice(number * ROWS // 2, ROWS // 2), path / f"{number}.parquet", row_group_size=5_000)
    return path


def whole(path: Path) -> pa.Table:
    return pq.read_table(path)


def test_numbers_are_those_of_numpy(flights: Path) -> None:
    _, learnt, _ = learnt_by(job_of(flights, "distance, log1p(distance), hour"))
    distance = whole(flights)["distance"].to_numpy()
    for name, values in (("distance", distance), ("log1p(distance)", np.log1p(distance))):
        found = learnt.numbers[name]
        assert (found.values, found.missing, found.share) == (ROWS, 0, 1.0)
        assert found.mean == pytest.approx(values.mean(), rel=1e-14)
        assert found.deviation == pytest.approx(values.std(), rel=1e-14)
        assert (found.smallest, found.largest) == (values.min(), values.max())
    assert learnt.classes == (False, True)
    assert learnt.rows.read == learnt.rows.used == learnt.weight == ROWS


def test_the_design_centres_and_scales_numbers(flights: Path) -> None:
    prepared, learnt, _ = learnt_by(job_of(flights, "distance, hour"))
    design, notes = design_of(prepared.job, learnt)
    assert [column.name for column in design.columns] == ["distance", "hour"]
    assert (design.layout.dense, design.layout.width, notes) == (2, 3, ())
    assert design.columns[0].center == learnt.numbers["distance"].mean
    assert [source.missing for source in design.numbers] == ["error", "error"]


@pytest.mark.parametrize("means", [{"scheduler": "threads", "workers": 3}, {"scheduler": "processes", "workers": 2}])
def test_every_scheduler_learns_the_same_bits(flights: Path, means: dict[str, object]) -> None:
    features = "distance, log1p(distance), hour"
    options: dict[str, Any] = {"weight": "weight", "solve": {"folds": 3, "holdout": "10%"}}
    _, learnt, sample = learnt_by(job_of(flights, features, **options))
    _, others, other_sample = learnt_by(job_of(flights, features, means=means, **options))
    assert learnt == others
    assert ipc(sample) == ipc(other_sample)


@pytest.mark.parametrize("batch_rows", [777, 5_000])
def test_batches_change_no_bit(flights: Path, batch_rows: int) -> None:
    options: dict[str, Any] = {"weight": "weight", "solve": {"folds": 3, "holdout": "10%"}}
    _, learnt, sample = learnt_by(job_of(flights, "distance, hour", **options))
    _, others, other_sample = learnt_by(job_of(flights, "distance, hour", **options), batch_rows)
    assert learnt == others
    assert ipc(sample) == ipc(other_sample)
