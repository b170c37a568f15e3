"""What a worker reads from the job file is what the driver wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.flow.write import WriteSettings
from pipeline.plan import make_plan
from pipeline.scan.jobfile import JobFile, Needs, read_job_file
from pipeline.types.inputs import CsvOptions, FileFacts, Identity, InputFile, Need


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
        needs=Needs(((Need("x", "numeric"), Need("id", "kept", "int64")), ()), np.array([0, 1, 0, 0, 1, 1, 0])),
        variable=(True, False),
        csv=CsvOptions(nulls=("", "NA"), types=(("id", "int64"),)),
        batch_rows=100,
        batch_bytes=10**6,
        joined_rows=50,
        threaded_from=3,
        bad_rows=None,
        retries=3,
        settings={"block": {"function": "score"}, "ß": [1, None]},
    )
    path = tmp_path / "job.json"
    content = job.to_bytes()
    path.write_bytes(content)
    found = read_job_file(str(path), hashlib.sha256(content).hexdigest())
    assert list(found.files) == list(job.files)
    assert found.files[6] == job.files[6]
    assert [found.needs[number] for number in range(7)] == [job.needs[number] for number in range(7)]
    assert replace(found, files=(), plan=job.plan, needs=job.needs) == replace(job, files=())
    for one in fields(job.plan):
        assert np.array_equal(getattr(found.plan, one.name), getattr(job.plan, one.name))
    assert found.plan.chunk(3) == job.plan.chunk(3)


def test_what_is_made_of_the_settings_is_made_once() -> None:
    facts = [_facts(0)]
    plan = make_plan(facts)
    job = JobFile((), plan, Needs.of([]), (False,), CsvOptions(), 1, 1, 1, False, None, 0, {"n": 3})
    made = []

    def make(settings: Mapping[str, Any]) -> int:
        made.append(settings["n"])
        return 2 * settings["n"]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: job.once("double", make), range(20))) == [6] * 20
    assert made == [3]
    assert job.once("other", make) == 6


def test_settings_that_are_written_are_those_that_are_read() -> None:
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("p", pa.float64(), nullable=False)])
    settings = WriteSettings(
        {"function": "score"}, 2, schema, "csv", "gzip", 10**7, "fast-x", {"store": "local", "folder": "/x"}
    )
    assert WriteSettings.of(json.loads(json.dumps(settings.to_json()))) == settings
