"""Memory as a number: how much is free, how much a plan needs, and how much was used.

    available_bytes, default_budget, usable_cores   what this machine, or the control group of this process, leaves free
    choose_resources                                the demand of a plan and a budget -> workers and rows of a batch
    peak_bytes, current_bytes, data_bytes           what was used at most, and what is used now

``choose_resources`` is a pure function; everything else reads ``/proc``, ``/sys/fs/cgroup`` and limits of the process.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from pipeline.dataclass import dataclass
from pipeline.disk import mounts
from pipeline.errors import MemoryBudgetError
from pipeline.types.report import Resources
from pipeline.units import MIB, escape, format_bytes, format_count

# A little above a power of two. Where a batch begins in the middle of a page, Arrow's Parquet reader takes room for
# what is left of that page and for a whole batch, rounded up to a power of two. The first room that it takes is for a
# batch alone: with 65,536 rows that is too little, and nearly every column of every batch is copied (pyarrow 26).
LARGEST_BATCH = 67_584
# Smaller batches cost time, so workers are given up first. Only one worker goes below this.
SMALL_BATCH = LARGEST_BATCH >> 4
CHUNKS_PER_WORKER = 64

# An open Parquet column holds a page as stored, decompressed and decoded, behind a read buffer: 61 MiB in
# the Arrow pool for 20 columns of a file with pages of 1 MiB, whatever the batch (pyarrow 26).
COLUMN_READER_BYTES = 3 * MIB + MIB // 4

# Resident bytes for each decoded byte of a batch: the batch, the one that is being decoded, and what mimalloc keeps.
# Batches of 10 and 40 MiB of 20 doubles added 38 and 130 MiB to the peak of reading the same file.
BATCH_FACTOR = 3.5

# For each byte of an output row group: the columns as they are collected, joined in one piece, hashed where they are
# dictionary-encoded, and their pages. 2 is enough for numbers; text of many values measured 3.5.
ROW_GROUP_FACTOR = 4.0

# What else a busy worker takes: its stack, an arena of each allocator, the tiles of the kernels. A run over three
# columns, whose batches are small, peaked 40 MiB above the imports for each of two threads, readers included.
WORKER_BYTES = 32 * MIB
# What threads that decode columns for a worker take: each has a heap of its own in the Arrow pool. Of 120 fits with and
# without them the largest peaks were 8 MiB apart, and one under load was 22 MiB higher. The batch that is decoded while
# another is used is part of BATCH_FACTOR.
COLUMN_THREADS_BYTES = 22 * MIB
# The number of this parameter of glibc's mallopt.
_M_ARENA_MAX = -8

_ROOT = Path("/")
FEWER_COLUMNS = "read fewer columns"
FEWER_FEATURES = "leave out features, or levels of features"


@dataclass(frozen=True, slots=True)
class Demand:
    """How much memory a plan needs, in bytes and rows.

    Attributes
    ----------
    reserved_bytes : int
        A process with its imports, before any row is read.
    shared_bytes : int
        What every process receives of the job through the scheduler, and what it makes of that.
    payload_bytes : int
        The payloads that wait in the driver, for each worker.
    reader_bytes : int
        The readers that a worker holds open, whatever the batch.
    decoded_row_bytes : float
        A row of the needed columns, decoded.
    made_row_bytes : float
        A row of what the block function makes and of its temporaries.
    output_row_bytes : float
        A row of the output, decoded.
    row_group_rows : int
        Rows of an output row group: no more than the largest chunk has.
    threads_share_process : bool
        Whether the workers are threads of one process; otherwise each worker takes ``reserved_bytes`` too.
    chunk_rows : int
        Rows of the largest chunk, an estimate where rows are not known.
    batch_rows : int
        Rows that a batch has at most: those of the largest row group of the inputs, or of the largest chunk where
        a CSV is among them.
    cuttable : bool
        Whether a lower ``--chunk-size`` would make the largest chunk smaller: one row group is never cut.
    whole_chunk : bool
        Whether the block function wants a chunk in one piece: the batch is then the chunk.
    widest : tuple of (str, float)
        The widest needed column and its decoded bytes a row.
    driver_bytes : int
        What the driver takes besides, whatever the workers: sums that wait for others.
    step_bytes : int
        What each worker takes besides, whatever the batch: sums that it adds up, and room for that.
    gathered_bytes : int
        What the driver takes for rows that it gathers from all chunks.
    fewer_payloads : str
        What makes payloads smaller, for a person.
    fewer_sums : str
        What makes the sums of the driver and of the workers smaller, for a person.
    """

    reserved_bytes: int
    shared_bytes: int
    payload_bytes: int
    reader_bytes: int
    decoded_row_bytes: float
    made_row_bytes: float
    output_row_bytes: float
    row_group_rows: int
    threads_share_process: bool
    chunk_rows: int
    batch_rows: int
    cuttable: bool
    whole_chunk: bool
    widest: tuple[str, float]
    driver_bytes: int = 0
    step_bytes: int = 0
    gathered_bytes: int = 0
    fewer_payloads: str = FEWER_COLUMNS
    fewer_sums: str = FEWER_FEATURES

    @property
    def process_bytes(self) -> int:
        """Bytes that a process takes before any row is read."""
        return self.reserved_bytes + self.shared_bytes

    @property
    def own_bytes(self) -> int:
        """Bytes that the process of the driver takes, whatever the workers and the batch."""
        return self.process_bytes + self.driver_bytes + self.gathered_bytes

    def worker_room(self, allowed_bytes: int, workers: int) -> float:
        """Return the bytes that a budget leaves to each worker, before any row is read."""
        own = 0 if self.threads_share_process else self.process_bytes
        room = (allowed_bytes - self.own_bytes) / workers
        return room - own - self.payload_bytes - self.step_bytes

    def batch_bytes(self, rows: int) -> int:
        """Return the bytes of a batch and of everything that is made from it."""
        return math.ceil(rows * (self.decoded_row_bytes * BATCH_FACTOR + self.made_row_bytes))

    @property
    def row_group_bytes(self) -> int:
        """Bytes that an output row group takes until it is written."""
        return math.ceil(self.row_group_rows * self.output_row_bytes * ROW_GROUP_FACTOR)

    def batch_room(self, allowed_bytes: int, workers: int) -> int:
        """Return the decoded bytes that a batch may take so that a run with these workers stays within a budget."""
        fixed = WORKER_BYTES + self.reader_bytes + self.row_group_bytes
        return int((self.worker_room(allowed_bytes, workers) - fixed) / BATCH_FACTOR)

    def fitting_rows(self, allowed_bytes: int, workers: int) -> int:
        """Return the rows of a batch with which a run with these workers stays within a budget."""
        fixed = WORKER_BYTES + self.reader_bytes + self.row_group_bytes
        return int((self.worker_room(allowed_bytes, workers) - fixed) / max(1, self.batch_bytes(1)))

    def row_group_room(self, allowed_bytes: int, workers: int, batch_rows: int) -> int:
        """Return the decoded bytes that an output row group may take so that a run stays within a budget."""
        fixed = WORKER_BYTES + self.reader_bytes + self.batch_bytes(batch_rows)
        return int((self.worker_room(allowed_bytes, workers) - fixed) / ROW_GROUP_FACTOR)

    def thread_bytes(self, batch_rows: int) -> int:
        """Return the bytes that work on one chunk takes: readers + batch + row group + payloads."""
        fixed = WORKER_BYTES + self.reader_bytes + self.row_group_bytes + self.payload_bytes + self.step_bytes
        return fixed + self.batch_bytes(batch_rows)

    def projected_bytes(self, workers: int, batch_rows: int) -> int:
        """Return the expected peak of a run: base + workers x (readers + batch + row group + payloads)."""
        each = self.thread_bytes(batch_rows)
        if not self.threads_share_process:
            each += self.process_bytes
        return self.own_bytes + workers * each


def choose_resources(demand: Demand, allowed_bytes: int, workers: int, chunks: int) -> Resources:
    """Return the workers and the rows of a batch with which a plan fits a budget.

    Pure. The projection is never over the budget. First the batch is lowered, by halves, down to ``SMALL_BATCH`` rows;
    then the workers, down to one; then the batch of that worker, down to one row. Each is stated in a note. A smaller
    budget never gives more workers or larger batches.

    Parameters
    ----------
    demand : Demand
    allowed_bytes : int
        The budget.
    workers : int
        The most workers to use. There are never more workers than chunks.
    chunks : int

    Raises
    ------
    MemoryBudgetError
        One worker with batches of one row does not fit. The message has both numbers and names what to change.
    """
    wanted = max(1, min(workers, chunks))
    batches = _batches(demand)
    for used, rows in _ladder(batches, wanted):
        projected = demand.projected_bytes(used, rows)
        if projected <= allowed_bytes:
            notes = _lowered(batches[0], rows, wanted, used, allowed_bytes)
            wave = min(CHUNKS_PER_WORKER * used, max(1, chunks))
            return Resources(used, rows, wave, allowed_bytes, demand.reserved_bytes, projected, notes)
    raise _does_not_fit(demand, batches[-1], allowed_bytes)


def _ladder(batches: list[int], workers: int) -> Iterator[tuple[int, int]]:
    """Yield workers and rows of a batch in the order in which they are tried."""
    small = max((rows for rows in batches if rows <= SMALL_BATCH), default=batches[-1])
    yield from ((workers, rows) for rows in batches if rows >= small)
    yield from ((fewer, small) for fewer in range(workers - 1, 0, -1))
    yield from ((1, rows) for rows in batches if rows < small)


def _batches(demand: Demand) -> list[int]:
    """Return the rows that a batch may have, largest first."""
    if demand.whole_chunk:
        return [max(1, demand.chunk_rows)]
    most = max(1, min(LARGEST_BATCH, demand.batch_rows))
    halves = (LARGEST_BATCH >> times for times in range(1, LARGEST_BATCH.bit_length()))
    return [most, *(rows for rows in halves if rows < most)]


def _lowered(batch: int, rows: int, wanted: int, used: int, allowed: int) -> tuple[str, ...]:
    notes = []
    if rows < batch:
        notes.append(f"batch lowered from {format_count(batch)} to {_rows(rows)}")
    if used < wanted:
        notes.append(f"workers lowered from {wanted} to {used}")
    return tuple(f"{note} to fit {format_bytes(allowed)}" for note in notes)


def _does_not_fit(demand: Demand, rows: int, allowed: int) -> MemoryBudgetError:
    needed = demand.projected_bytes(1, rows)
    culprit, remedy = _culprit(demand, rows, allowed)
    return MemoryBudgetError(
        f"the job needs {_mebibytes(needed)} with one worker and batches of {_rows(rows)}, but may use"
        f" only {allowed // MIB:,} MiB; {culprit}",
        f"allow --memory {math.ceil(needed / MIB)}MiB" + (remedy and f", or {remedy}"),
    )


def _culprit(demand: Demand, rows: int, allowed: int) -> tuple[str, str]:
    """Return what a refusal blames, as a clause, and what helps besides more memory.

    The program is blamed only where no job would fit, since its size is the one part that no option changes.
    """
    processes = 1 if demand.threads_share_process else 2
    program = processes * demand.reserved_bytes
    if program + WORKER_BYTES > allowed:
        return f"{format_bytes(program)} are reserved for Python and its libraries", ""
    takes, what, remedy = max(_parts(demand, rows))
    return f"the largest part, besides Python and its libraries, is {format_bytes(takes)} for {what}", remedy


def _parts(demand: Demand, rows: int) -> Iterator[tuple[int, str, str]]:
    name, width = demand.widest
    column = f" (the widest column is {escape(name)} with {format_bytes(width)} a row)" if name else ""
    # A step that writes nothing has no columns to keep.
    writes = demand.output_row_bytes > 0
    fewer = "read fewer columns (--keep)" if writes else "leave out the file that has it"
    yield demand.shared_bytes, "the model and the list of files in each worker", "give a smaller model, or fewer files"
    yield demand.driver_bytes + demand.step_bytes, "sums over the rows", demand.fewer_sums
    yield demand.gathered_bytes, "rows that are gathered from several chunks", FEWER_COLUMNS
    yield demand.payload_bytes, "results that wait until all chunks before them are done", demand.fewer_payloads
    yield demand.reader_bytes, f"reading the columns of the input{column}", fewer
    smaller = ", or lower --chunk-size" if demand.cuttable else ""
    yield demand.row_group_bytes, f"a row group of the output{column}", f"keep fewer columns (--keep){smaller}"
    if demand.whole_chunk:
        batch = f"a chunk of {_rows(rows)}, which the function needs in one piece{column}"
        yield demand.batch_bytes(rows), batch, "lower --chunk-size"
    else:
        yield demand.batch_bytes(rows), f"a batch of {_rows(rows)}{column}", fewer


def _rows(count: int) -> str:
    return f"{format_count(count)} row{'' if count == 1 else 's'}"


def _mebibytes(size: int) -> str:
    # Rounded up where the budget is rounded down: the two numbers in the message are never equal.
    return f"{math.ceil(size / MIB):,} MiB"


def available_bytes() -> int:
    """Return how many bytes this process may still take.

    This is the smallest of three numbers: what the machine has available; what every control group from that of this
    process up to the root leaves (version 1 and 2; file cache that can be dropped counts as free); and what
    ``RLIMIT_AS`` and ``RLIMIT_DATA`` leave.
    """
    limits = (psutil.virtual_memory().available, cgroup_available(_ROOT), rlimit_available())
    return max(0, min(limit for limit in limits if limit is not None))


def default_budget() -> int:
    """Return half of the bytes that this process may still take."""
    return available_bytes() // 2


def usable_cores() -> int:
    """Return the cores that this process may use, by its affinity and the quota of its control group; at least 1."""
    cores = len(os.sched_getaffinity(0))
    quota = cgroup_cores(_ROOT)
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def cgroup_available(root: Path) -> int | None:
    """Return the bytes that the control groups under a root of ``/proc`` and ``/sys`` leave; ``None`` without limit."""
    found = [_left_v1(folder) for folder in _folders(root, "memory")]
    found += [_left_v2(folder) for folder in _folders(root, "")]
    return min((left for left in found if left is not None), default=None)


def cgroup_cores(root: Path) -> float | None:
    """Return the cores that the control groups under a root of ``/proc`` and ``/sys`` allow; ``None`` without quota."""
    found = [_quota_v1(folder) for folder in _folders(root, "cpu")]
    found += [_quota_v2(folder) for folder in _folders(root, "")]
    return min((quota for quota in found if quota is not None), default=None)


def rlimit_available() -> int | None:
    """Return the bytes that ``RLIMIT_AS`` and ``RLIMIT_DATA`` leave to this process; ``None`` without limit."""
    found = [
        limit - _status(os.getpid(), field)
        for which, field in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData"))
        if (limit := resource.getrlimit(which)[0]) != resource.RLIM_INFINITY
    ]
    return min(found, default=None)


def _left_v2(folder: Path) -> int | None:
    limits = [limit for name in ("memory.max", "memory.high") if (limit := _integer(folder / name)) is not None]
    if not limits:
        return None
    used = _integer(folder / "memory.current") or 0
    return min(limits) - used + _stat(folder, "inactive_file")


def _left_v1(folder: Path) -> int | None:
    limit = _integer(folder / "memory.limit_in_bytes")
    if limit is None:
        return None
    used = _integer(folder / "memory.usage_in_bytes") or 0
    return limit - used + _stat(folder, "total_inactive_file")


def _quota_v2(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _integer(folder / "cpu.cfs_quota_us"), _integer(folder / "cpu.cfs_period_us")
    return quota / period if quota is not None and period else None


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control group of this process and of all above it; no controller means version 2."""
    group = _group(root, controller)
    for top, mount in _mounts(root, controller):
        # In a container that shares its host's view of groups, the mount begins somewhere below the root.
        inside = Path(group).relative_to(top) if group and Path(group).is_relative_to(top) else Path()
        folder = root / mount.relative_to("/")
        yield from (folder / part for part in (inside, *inside.parents))


def _group(root: Path, controller: str) -> str | None:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            return group
    return None


def _mounts(root: Path, controller: str) -> Iterator[tuple[str, Path]]:
    """Yield (group at the top of the mount, mount point) of each mount of a controller."""
    for mount in mounts(root):
        named = controller in mount.options.split(",") if controller else True
        if named and mount.kind == ("cgroup" if controller else "cgroup2"):
            yield mount.top, Path(mount.place)


def _stat(folder: Path, name: str) -> int:
    for line in _text(folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _integer(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    """Return the text of a file of the kernel, empty where it does not exist or may not be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def peak_bytes() -> int:
    """Return the largest resident size that this process has had (``VmHWM``), in bytes."""
    return _status(os.getpid(), "VmHWM")


def reset_peak() -> bool:
    """Start :func:`peak_bytes` again from what is resident now; return ``False`` where the kernel cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def current_bytes() -> int:
    """Return the resident size of this process (``VmRSS``), in bytes."""
    return _status(os.getpid(), "VmRSS")


def give_back() -> None:
    """Return memory that the C library holds ready to the system, where the library can do that."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def use_one_arena() -> None:
    """Let the C library serve all threads from one place, where it can: what one gives back, another one gets.

    For a process that is ours alone, before it starts threads. With a place for each of them, large arrays that come
    and go are kept by each.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def data_bytes() -> int:
    """Return how much this process uses of what ``RLIMIT_DATA`` limits (``VmData``), in bytes."""
    return _status(os.getpid(), "VmData")


def _status(pid: int, name: str) -> int:
    # Read after every chunk, so only the one number is turned into text.
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:  # noqa: PTH123 - half the time of a Path
            content = file.read()
    except OSError:
        return 0
    _, found, rest = content.partition(f"\n{name}:".encode())
    return int(rest.split(None, 1)[0]) * 1024 if found else 0
