"""Scans on a cluster of real processes: the same bits as here, and the cluster is kept busy."""

from __future__ import annotations

import operator
from pathlib import Path

import numpy as np
import pytest

from pipeline import inspect
from pipeline.plan import make_plan
from pipeline.scan import HowToScan, Needs, PreparedScan, StepCosts, discover, gather_facts, open_scan, prepare_scan
from pipeline.types.inputs import CsvOptions, Need
from tests.contracts.cluster import Cluster
from tests.contracts.steps import add_up

pytestmark = pytest.mark.slow

ROWS = 20_000


def prepared(folder: Path, **how: object) -> PreparedScan:
    files = gather_facts(discover((str(folder),)).files, CsvOptions())
    needs = Needs.of([Need("x", "numeric")])
    plan = make_plan(files, chunk_size="2KiB")
    return prepare_scan(files, needs, plan, CsvOptions(), StepCosts(), HowToScan(**how))  # type: ignore[arg-type]


def test_a_cluster_gives_the_same_bits_and_waits_for_no_chunk(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "data").mkdir()
    chance = np.random.default_rng(7)
    values = (chance.normal(size=ROWS) * 10.0 ** chance.integers(-8, 8, ROWS)).tolist()
    lines = (f'{value!r},"line of\n{row}"\n' for row, value in enumerate(values))
    (tmp_path / "data" / "a.csv").write_text("x,note\n" + "".join(lines))
    with open_scan(prepared(tmp_path / "data", scheduler="sync")) as here:
        expected = here.reduce(add_up, operator.add, parameters=b"3.0")
    scan = prepared(tmp_path / "data", scheduler=cluster.address)
    with open_scan(scan) as there:
        assert there.scheduler.workers == 2
        assert scan.ahead(there.scheduler.workers) == 8
        first = there.reduce(add_up, operator.add, parameters=b"3.0")
        assert (first, there.reduce(add_up, operator.add, parameters=b"3.0")) == (expected, expected)
    whole = inspect(str(tmp_path / "data"), full=True, scheduler=cluster.address)
    assert whole == inspect(str(tmp_path / "data"), full=True, scheduler="sync")
