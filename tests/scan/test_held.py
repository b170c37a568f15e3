"""Memory that allocators hold ready goes back to the system: at rest, near the budget, and now and then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.memory import current_bytes
from pipeline.plan import make_plan
from pipeline.scan import HowToScan, Needs, PreparedScan, StepCosts, discover, gather_facts, open_scan, prepare_scan
from pipeline.scan.held import Held, give_back, held
from pipeline.types.inputs import CsvOptions, Need
from pipeline.units import MIB

pytestmark = pytest.mark.skipif(
    pa.default_memory_pool().backend_name != "mimalloc", reason="other allocators of Arrow hold nothing ready"
)
USED = 64 * MIB


def used_and_freed() -> None:
    """Do what a chunk does to memory."""
    np.frombuffer(pa.allocate_buffer(USED), dtype=np.uint8)[:] = 1


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    give_back()
    yield
    give_back()


def kept(of: Held = held) -> bool:
    """Whether what a task has used is still held ready when it has ended."""
    before = current_bytes()
    with of:
        used_and_freed()
    return current_bytes() - before > USED // 2


def wide_budget() -> int:
    """So many bytes that what a task uses here does not come near: other tests may have used much in this process."""
    return 2 * current_bytes() + 4 * USED


@pytest.fixture
def in_chunks(tmp_path: Path) -> Path:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": np.arange(4_000.0)}), path, row_group_size=1_000)
    return path


def scan_of(path: Path, **how: Any) -> PreparedScan:
    facts = gather_facts(discover((str(path),)).files, CsvOptions())
    plan = make_plan(facts, chunk_size="1000")
    return prepare_scan(facts, Needs.of([Need("x", "numeric")]), plan, CsvOptions(), StepCosts(), HowToScan(**how))


def test_a_process_without_tasks_keeps_nothing() -> None:
    assert not kept()


def test_a_task_beside_another_one_keeps_what_it_used_sixteen_times_at_most() -> None:
    mine = Held()
    with mine:
        found = []
        for _ in range(17):
            found.append(kept(mine))
            give_back()
    assert [number for number, it in enumerate(found, start=1) if not it] == [16]


@pytest.mark.parametrize(("scheduler", "workers"), [("sync", 2), ("threads", 1), ("threads", 2)])
def test_a_scan_in_this_process_keeps_what_its_tasks_used_until_it_ends(
    in_chunks: Path, scheduler: str, workers: int
) -> None:
    before = current_bytes()
    with open_scan(scan_of(in_chunks, scheduler=scheduler, workers=workers, memory=f"{wide_budget() // MIB}MiB")):
        assert kept()
    assert current_bytes() - before < USED // 2
    assert not kept()


def test_a_scan_elsewhere_keeps_nothing_here(in_chunks: Path) -> None:
    with open_scan(scan_of(in_chunks, scheduler="processes", workers=2)):
        assert not kept()


def test_near_the_budget_every_task_gives_memory_back() -> None:
    mine = Held()
    with mine.within(wide_budget()), mine.within(int(1.2 * (current_bytes() + USED))):
        assert not kept(mine)
        with mine.within(1):
            assert not kept(mine)
    with mine.within(wide_budget()):
        assert kept(mine)


def test_every_sixteenth_task_gives_memory_back() -> None:
    mine = Held()
    with mine.within(wide_budget()):
        found = []
        for _ in range(33):
            found.append(kept(mine))
            give_back()
    assert [number for number, it in enumerate(found, start=1) if not it] == [16, 32]
