"""What a worker learns of its job from the job file is what the driver knew."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.flow.jobfile import JobFile, read_job_file
from pipeline.flow.preparation import prepare
from pipeline.interface import score_job
from pipeline.plan import make_plan
from pipeline.types.inputs import CsvOptions, FileFacts, Identity, InputFile, Need
from tests.flow.conftest import Bench


def _facts(number: int) -> FileFacts:
    # Names of any bytes, and a partition that states nothing.
    name = f"ma\u00df\n{number}\udcff.parquet"
    file = InputFile(name, f"/data/{name}", number % 2, "parquet", (("country", None), ("year", "2020")))
    identity = Identity(1000 + number, 10**18 + number, f"{number:064x}", "")
    return FileFacts(file, identity, (), 30, 10.0, np.full(3, 10, dtype=np.int64))


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    facts = [_facts(number) for number in range(7)]
    job = JobFile(
        files=tuple((one.file, one.identity) for one in facts),
        plan=make_plan(facts, chunk_size="10", limit=200),
        needs=(Need("x", "numeric"), Need("id", "kept", "int64")),
        features=1,
        csv=CsvOptions(nulls=("", "NA"), types=(("id", "int64"),)),
        schema=pa.schema([pa.field("id", pa.int64()), pa.field("p", pa.float64(), nullable=False)]),
        format="parquet",
        compression="snappy",
        batch_rows=100,
        batch_bytes=10**6,
        column_threads=True,
        row_group_bytes=10**7,
        staging=str(tmp_path),
        file_mode=0o644,
        durable=True,
        bad_rows=None,
        retries=3,
        arithmetic="fast",
        block={"function": "score"},
    )
    path = tmp_path / "job.json"
    content = job.to_bytes()
    path.write_bytes(content)
    found = read_job_file(str(path), hashlib.sha256(content).hexdigest())
    assert list(found.files) == list(job.files)
    assert found.files[6] == job.files[6]
    assert replace(found, files=(), plan=job.plan) == replace(job, files=())
    for one in fields(job.plan):
        assert np.array_equal(getattr(found.plan, one.name), getattr(job.plan, one.name))
    assert found.plan.chunk(3) == job.plan.chunk(3)


def test_the_model_is_in_it_once(bench: Bench) -> None:
    bench.put("rows.csv", "x,c\n1,a\n")
    coefficient = "0.12345678901234566"
    features = [
        {"column": "x", "kind": "numeric", "coefficient": float(coefficient)},
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "level of c": -1.0}},
    ]
    preparation = prepare(score_job(bench.inputs, bench.model(features), bench.out))
    content = preparation.job_file(bench.folder, 0o644).to_bytes()
    assert content.count(coefficient.encode()) == 1
    assert content.count(b"level of c") == 1


@pytest.mark.parametrize(
    ("options", "made"), [({}, 8), ({"raw_prediction": True}, 16), ({"float32": True, "threshold": 0.5}, 5)]
)
def test_what_scoring_takes_of_memory_is_its_results_twice_and_the_raw_prediction(
    bench: Bench, options: dict[str, Any], made: int
) -> None:
    bench.put("rows.csv", "x,c\n1,a\n")
    assert prepare(score_job(bench.inputs, bench.model(), bench.out, **options)).demand.made_row_bytes == 2 * made + 8
