"""Control groups as trees of files, properties of the choice of resources, measured memory of real processes."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline import memory
from pipeline.errors import MemoryBudgetError
from pipeline.memory import Demand, cgroup_available, cgroup_cores, choose_resources
from pipeline.units import MIB, parse_bytes

UNLIMITED_V1 = "9223372036854771712"


class Kernel:
    """A folder that looks like the ``/proc`` and ``/sys`` of a machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts = ["23 1 0:22 / / rw - ext4 /dev/vda rw"]
        self.groups: list[str] = []

    def v2(self, group: str, mount: str = "/sys/fs/cgroup", top: str = "/") -> Kernel:
        self.groups.append(f"0::{group}")
        return self._mount(top, mount, "cgroup2", "rw,nsdelegate")

    def v1(self, controllers: str, group: str, top: str = "/") -> Kernel:
        self.groups.append(f"{len(self.groups) + 1}:{controllers}:{group}")
        return self._mount(top, f"/sys/fs/cgroup/{controllers}", "cgroup", f"rw,{controllers}")

    def _mount(self, top: str, mount: str, kind: str, options: str) -> Kernel:
        self.mounts.append(
            f"{40 + len(self.mounts)} 23 0:30 {top} {mount} rw,nosuid shared:9 - {kind} cgroup {options}"
        )
        self.files("proc/self", mountinfo="\n".join(self.mounts), cgroup="\n".join(self.groups))
        return self

    def files(self, folder: str, **files: str) -> Kernel:
        path = self.root / folder
        path.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (path / name.replace("__", ".")).write_text(f"{text}\n")
        return self


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_no_control_groups_no_limit(kernel: Kernel) -> None:
    assert cgroup_available(kernel.root) is None
    assert cgroup_cores(kernel.root) is None


def test_v2_counts_droppable_file_cache_as_free(kernel: Kernel) -> None:
    kernel.v2("/job").files(
        "sys/fs/cgroup/job",
        memory__max="1000",
        memory__high="max",
        memory__current="700",
        memory__stat="anon 500\ninactive_file 150\nactive_file 50",
    )
    assert cgroup_available(kernel.root) == 1000 - 700 + 150


def test_v2_high_is_a_limit_too(kernel: Kernel) -> None:
    kernel.v2("/job").files("sys/fs/cgroup/job", memory__max="1000", memory__high="800", memory__current="100")
    assert cgroup_available(kernel.root) == 700


def test_v2_max_everywhere_is_no_limit(kernel: Kernel) -> None:
    kernel.v2("/a/b").files("sys/fs/cgroup/a", memory__max="max", memory__high="max", memory__current="5")
    assert cgroup_available(kernel.root) is None


@pytest.mark.parametrize(("outer", "inner", "left"), [("900", "2000", 600), ("max", "2000", 1990), ("5000", "50", 40)])
def test_every_level_counts(kernel: Kernel, outer: str, inner: str, left: int) -> None:
    kernel.v2("/outer/middle/inner")
    kernel.files("sys/fs/cgroup/outer", memory__max=outer, memory__current="300")
    kernel.files("sys/fs/cgroup/outer/middle/inner", memory__max=inner, memory__current="10")
    assert cgroup_available(kernel.root) == left


def test_v1_nested(kernel: Kernel) -> None:
    kernel.v1("cpu,cpuacct", "/x").v1("memory", "/outer/inner")
    kernel.files("sys/fs/cgroup/memory", memory__limit_in_bytes=UNLIMITED_V1, memory__usage_in_bytes="99")
    kernel.files(
        "sys/fs/cgroup/memory/outer",
        memory__limit_in_bytes="4000",
        memory__usage_in_bytes="3000",
        memory__stat="inactive_file 1\ntotal_inactive_file 200",
    )
    kernel.files("sys/fs/cgroup/memory/outer/inner", memory__limit_in_bytes="3500", memory__usage_in_bytes="20")
    assert cgroup_available(kernel.root) == 1200


def test_hybrid_takes_the_least_of_both(kernel: Kernel) -> None:
    kernel.v1("memory", "/job").v2("/job", mount="/sys/fs/cgroup/unified")
    kernel.files("sys/fs/cgroup/memory/job", memory__limit_in_bytes="3000", memory__usage_in_bytes="0")
    assert cgroup_available(kernel.root) == 3000
    kernel.files("sys/fs/cgroup/unified/job", memory__max="2000", memory__current="0")
    assert cgroup_available(kernel.root) == 2000


@pytest.mark.parametrize("group", ["/docker/c1", "/docker/c1/sub"])
def test_a_container_whose_mount_begins_at_its_own_group(kernel: Kernel, group: str) -> None:
    kernel.v1("memory", group, top="/docker/c1")
    kernel.files("sys/fs/cgroup/memory", memory__limit_in_bytes="1000", memory__usage_in_bytes="1")
    assert cgroup_available(kernel.root) == 999


def test_a_group_that_the_mount_does_not_show_has_the_limit_of_the_mount(kernel: Kernel) -> None:
    kernel.v2("/../elsewhere").files("sys/fs/cgroup", memory__max="1000", memory__current="1")
    assert cgroup_available(kernel.root) == 999


def test_cpu_quotas(kernel: Kernel) -> None:
    kernel.v2("/a/b").files("sys/fs/cgroup/a/b", cpu__max="max 100000")
    assert cgroup_cores(kernel.root) is None
    kernel.files("sys/fs/cgroup/a", cpu__max="250000 100000")
    assert cgroup_cores(kernel.root) == 2.5


@pytest.mark.parametrize(("quota", "cores"), [("-1", None), ("50000", 0.5)])
def test_cpu_quota_v1(kernel: Kernel, quota: str, cores: float | None) -> None:
    kernel.v1("cpu,cpuacct", "/a")
    kernel.files("sys/fs/cgroup/cpu,cpuacct/a", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")
    assert cgroup_cores(kernel.root) == cores


def test_the_quota_is_rounded_up_and_never_below_one(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.v2("/a").files("sys/fs/cgroup/a", cpu__max="20000 100000")
    monkeypatch.setattr(memory, "_ROOT", kernel.root)
    assert memory.usable_cores() == 1


def test_this_machine() -> None:
    assert 1 <= memory.usable_cores() <= len(os.sched_getaffinity(0))
    assert 0 < memory.available_bytes() <= psutil.virtual_memory().total
    assert memory.default_budget() < memory.available_bytes()


def test_the_control_group_bounds_what_is_available(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.v2("/a").files("sys/fs/cgroup/a", memory__max="100", memory__current="90")
    monkeypatch.setattr(memory, "_ROOT", kernel.root)
    assert (memory.available_bytes(), memory.default_budget()) == (10, 5)
    kernel.files("sys/fs/cgroup/a", memory__current="190")
    assert memory.available_bytes() == 0


_LIMITED = """
import resource, sys
from pipeline import memory
which = getattr(resource, sys.argv[1])
before = memory.rlimit_available()
resource.setrlimit(which, (8 << 30, 8 << 30))
print(before, memory.rlimit_available())
"""


@pytest.mark.parametrize("which", ["RLIMIT_AS", "RLIMIT_DATA"])
@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    or resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY,
    reason="the tests themselves run under a limit, which a process cannot raise",
)
def test_process_limits_leave_what_is_not_taken(which: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(
        [sys.executable, "-c", _LIMITED, which], env=environment, check=True, capture_output=True, text=True
    ).stdout.split()
    assert printed[0] == "None"
    assert 4 << 30 < int(printed[1]) < 8 << 30


def test_peak_and_current() -> None:
    before = memory.peak_bytes()
    block = bytearray(64 * MIB)
    assert memory.current_bytes() >= len(block)
    del block
    assert memory.peak_bytes() >= memory.current_bytes()
    assert memory.peak_bytes() >= before


def demand(**changes: object) -> Demand:
    base = Demand(
        reserved_bytes=100 * MIB,
        shared_bytes=0,
        payload_bytes=0,
        reader_bytes=10 * MIB,
        decoded_row_bytes=160.0,
        made_row_bytes=24.0,
        output_row_bytes=16.0,
        row_group_rows=1_048_576,
        threads_share_process=True,
        chunk_rows=1_048_576,
        batch_rows=1_048_576,
        cuttable=True,
        whole_chunk=False,
        widest=("note", 60.0),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{}, {"threads_share_process": False}, {"payload_bytes": MIB}, {"step_bytes": MIB}])
def test_the_rows_that_fit_are_the_most_that_are_projected_within_the_budget(changes: dict[str, object]) -> None:
    asked = demand(**changes)
    rows = asked.fitting_rows(1024 * MIB, workers=2)
    assert asked.projected_bytes(2, rows) <= 1024 * MIB < asked.projected_bytes(2, rows + 2)


def test_with_room_nothing_is_lowered() -> None:
    chosen = choose_resources(demand(), 4096 * MIB, workers=4, chunks=1000)
    assert (chosen.workers, chosen.batch_rows, chosen.wave, chosen.notes) == (4, 67_584, 256, ())
    assert chosen.allowed_bytes == 4096 * MIB
    assert chosen.reserved_bytes == 100 * MIB
    assert chosen.projected_bytes == demand().projected_bytes(4, 67_584)


def test_the_batch_is_lowered_first_and_said() -> None:
    allowed = demand().projected_bytes(4, 16_896)
    chosen = choose_resources(demand(), allowed, workers=4, chunks=1000)
    assert (chosen.workers, chosen.batch_rows) == (4, 16_896)
    assert chosen.projected_bytes == allowed
    assert re.fullmatch(r"batch lowered from 67,584 to 16,896 rows to fit \d+ MiB", chosen.notes[0])


def test_then_the_workers() -> None:
    allowed = demand().projected_bytes(4, 4_224) - 1
    chosen = choose_resources(demand(), allowed, workers=4, chunks=1000)
    assert (chosen.workers, chosen.batch_rows, chosen.wave) == (3, 4_224, 192)
    assert [note.partition(" to fit")[0] for note in chosen.notes] == [
        "batch lowered from 67,584 to 4,224 rows",
        "workers lowered from 4 to 3",
    ]


@pytest.mark.parametrize(("rows", "words"), [(2_112, "2,112 rows"), (16, "16 rows"), (1, "1 row")])
def test_then_the_batch_of_one_worker_down_to_a_row(rows: int, words: str) -> None:
    allowed = demand().projected_bytes(1, 2 * rows) - 1
    chosen = choose_resources(demand(), allowed, workers=4, chunks=1000)
    assert (chosen.workers, chosen.batch_rows, chosen.wave) == (1, rows, 64)
    assert [note.partition(" to fit")[0] for note in chosen.notes] == [
        f"batch lowered from 67,584 to {words}",
        "workers lowered from 4 to 1",
    ]


def test_no_more_workers_than_chunks_and_no_larger_batch_than_a_row_group() -> None:
    chosen = choose_resources(demand(batch_rows=10_000), 4096 * MIB, workers=8, chunks=2)
    assert (chosen.workers, chosen.batch_rows, chosen.wave, chosen.notes) == (2, 10_000, 2, ())
    nothing = choose_resources(demand(chunk_rows=0, batch_rows=0), 4096 * MIB, workers=8, chunks=0)
    assert (nothing.workers, nothing.batch_rows) == (1, 1)


def test_a_row_group_of_few_wide_rows_needs_no_more_than_its_rows() -> None:
    wide = demand(decoded_row_bytes=4.0 * MIB, output_row_bytes=0.0, batch_rows=8)
    ample = choose_resources(wide, 4096 * MIB, workers=2, chunks=9)
    assert (ample.workers, ample.batch_rows, ample.notes) == (2, 8, ())
    small = choose_resources(wide, 200 * MIB, workers=2, chunks=9)
    assert (small.workers, small.batch_rows) == (1, 4)
    assert small.notes[0] == "batch lowered from 8 to 4 rows to fit 200 MiB"


def test_a_whole_chunk_is_the_batch() -> None:
    whole = demand(whole_chunk=True, chunk_rows=300_000)
    assert choose_resources(whole, 4096 * MIB, workers=2, chunks=9).batch_rows == 300_000
    with pytest.raises(MemoryBudgetError, match="a chunk of 300,000 rows, which the function needs") as caught:
        choose_resources(whole, 200 * MIB, workers=2, chunks=9)
    assert "--chunk-size" in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "culprit", "flag"),
    [
        ({"reserved_bytes": 900 * MIB}, "900 MiB are reserved for Python and its libraries", "--memory"),
        ({"shared_bytes": 900 * MIB}, "the model and the list of files in each worker", "smaller model"),
        ({"payload_bytes": 900 * MIB}, "results that wait until all chunks before them are done", "fewer columns"),
        ({"reader_bytes": 900 * MIB}, "reading the columns of the input", "--keep"),
        ({"output_row_bytes": 2000.0}, "a row group of the output", "--chunk-size"),
        ({"decoded_row_bytes": 90e6}, "a batch of 1 row (the widest column is note with 60 B a row)", "--keep"),
        ({"reserved_bytes": 150 * MIB, "decoded_row_bytes": 9e6}, "is 64 MiB for a row group of the output", "--keep"),
        ({"decoded_row_bytes": 90e6, "output_row_bytes": 0.0}, "a batch of 1 row", "leave out the file"),
    ],
)
def test_a_refusal_names_what_takes_most(changes: dict[str, object], culprit: str, flag: str) -> None:
    with pytest.raises(MemoryBudgetError) as caught:
        choose_resources(demand(**changes), 256 * MIB, workers=2, chunks=9)
    assert culprit in caught.value.message
    assert "may use only 256 MiB" in caught.value.message
    assert flag in caught.value.remedy


@pytest.mark.parametrize("cuttable", [False, True])
def test_a_lower_chunk_size_is_advised_only_where_it_helps(cuttable: bool) -> None:
    with pytest.raises(MemoryBudgetError) as caught:
        choose_resources(demand(output_row_bytes=2000.0, cuttable=cuttable), 256 * MIB, workers=2, chunks=9)
    assert ("--chunk-size" in caught.value.remedy) == cuttable


demands = st.builds(
    Demand,
    reserved_bytes=st.integers(1 << 20, 1 << 30),
    shared_bytes=st.integers(0, 1 << 28),
    payload_bytes=st.integers(0, 1 << 26),
    reader_bytes=st.integers(0, 1 << 30),
    decoded_row_bytes=st.floats(0, 1e6),
    made_row_bytes=st.floats(0, 1e4),
    output_row_bytes=st.floats(0, 1e5),
    row_group_rows=st.integers(0, 1 << 21),
    threads_share_process=st.booleans(),
    chunk_rows=st.integers(0, 1 << 22),
    batch_rows=st.integers(0, 1 << 22),
    cuttable=st.booleans(),
    whole_chunk=st.booleans(),
    widest=st.tuples(st.text(), st.floats(0, 1e6)),
)
budgets = st.integers(1 << 20, 1 << 38)


@given(demands, budgets, st.integers(1, 64), st.integers(0, 10**6))
def test_never_over_the_budget_and_a_refusal_is_honest(wanted: Demand, allowed: int, workers: int, chunks: int) -> None:
    try:
        chosen = choose_resources(wanted, allowed, workers, chunks)
    except MemoryBudgetError as error:
        needed, stated = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) MiB(?=[ ;])", error.message)[:2])
        assert needed * MIB > allowed >= stated * MIB
        assert needed > stated
        asked = re.search(r"--memory (\d+MiB)", error.remedy)
        assert asked
        assert choose_resources(wanted, parse_bytes(asked.group(1)), workers, chunks).workers >= 1
    else:
        assert chosen.projected_bytes == wanted.projected_bytes(chosen.workers, chosen.batch_rows) <= allowed
        assert 1 <= chosen.workers <= workers
        assert 1 <= chosen.wave <= max(1, 64 * chosen.workers)
        if wanted.whole_chunk:
            return
        largest = max(1, min(67_584, wanted.batch_rows))
        assert 1 <= chosen.batch_rows <= largest
        # The order in which they give way: the batch to 4,224 rows, the workers to one, the batch to one row.
        assert chosen.workers == max(1, min(workers, chunks)) or chosen.batch_rows <= 4_224
        assert chosen.batch_rows >= min(largest, 4_224) // 2 + 1 or chosen.workers == 1


@given(demands, budgets, budgets, st.integers(1, 64))
def test_more_memory_never_gives_less(wanted: Demand, one: int, other: int, workers: int) -> None:
    assume(one != other)
    try:
        less = choose_resources(wanted, min(one, other), workers, 1000)
    except MemoryBudgetError:
        return
    more = choose_resources(wanted, max(one, other), workers, 1000)
    assert more.workers >= less.workers
    assert more.batch_rows >= less.batch_rows


_ARENAS = """
import ctypes, sys, threading
from pipeline import memory
if sys.argv[1] == "one":
    memory.use_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(3)
def take():
    together.wait()
    libc.malloc(1 << 12)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_stats()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="the C library is not glibc")
def test_threads_share_what_the_c_library_holds_where_that_is_asked_for() -> None:
    def arenas(word: str) -> int:
        outcome = subprocess.run([sys.executable, "-c", _ARENAS, word], capture_output=True, text=True, check=True)
        return outcome.stderr.count("Arena")

    assert arenas("usual") > 1
    assert arenas("one") == 1
