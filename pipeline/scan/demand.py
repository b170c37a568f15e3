"""How much memory a scan needs: from the facts of the files and the widths of the columns, before any row is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from pipeline import memory
from pipeline.dataclass import dataclass
from pipeline.memory import COLUMN_READER_BYTES, Demand
from pipeline.plan import Plan
from pipeline.scan.blocks import MOST_LEVEL
from pipeline.scan.facts import field_of
from pipeline.scan.jobfile import Needs, job_file_bytes
from pipeline.scan.shapes import ColumnNumbers, shape_of
from pipeline.types.inputs import CsvOptions, FileFacts, Integers, Need
from pipeline.types.report import Resources
from pipeline.units import KIB, MIB

# A process with everything imported, at rest (Python 3.11, pyarrow 26, dask 2026.8).
_IMPORTED_BYTES = 160 * MIB
# The same where threads write an output: far less is loaded, and 10,000 rows peak at 104 MiB.
_IMPORTED_TO_WRITE_BYTES = 136 * MIB

# A CSV is read in pieces of up to 4 MiB; a piece, its copy, the parsed columns, the decompressor and the 5 MiB that are
# read ahead live together.
_CSV_READER_BYTES = 20 * MIB

# An open Parquet column holds a page three times: as stored, decompressed and decoded.
_READER_COPIES = 3

# Writers look at the size of a page only every so many rows, so a page of long values is as long as these.
_PAGE_ROWS = 1_024

_MISLED = 4

# JSON while it is parsed, and what is made of it, for each of its bytes: 68 MiB of numbers took 390 MiB (Python 3.11).
_PARSED = 7

# Rows that are gathered, and their copy while those of two chunks are joined.
_JOINED = 2

# The width of a text or nested value where no footer states it.
_UNKNOWN_WIDTH = 32.0


@dataclass(frozen=True, slots=True)
class StepCosts:
    """How much memory a step needs in addition to the batches that it receives.

    Attributes
    ----------
    made_bytes : float
        Bytes of a row of its results.
    scratch_bytes : float
        Bytes of a row of its temporary values.
    kept : tuple of str
        The columns that it copies to an output.
    writes : bool
        Whether it gathers row groups of an output.
    whole_chunk : bool
        Whether it wants a chunk in one piece.
    payload_bytes : int
        Bytes of the payload of an outcome; payloads wait in the driver until their turn comes.
    fewer_payloads, fewer_sums : str
        What makes payloads and sums smaller, for a person.
    waiting : int or None
        How many payloads each worker makes and has waiting, where that is known; else as a tree over chunks has them.
    travels : bool
        Whether the job file travels through the scheduler. If not, it is in staging.
    shared_bytes : int
        The settings of the step in a job file that travels, and the parameters of a pass.
    table_bytes : int
        What the step makes of its settings in each process, where that may be much more.
    sums_bytes : int
        Bytes of sums that a worker adds up chunk by chunk, and that the driver combines in a tree: each worker has one,
        or one for each level of its blocks, and the driver one for each level and one more.
    step_bytes : int
        What else the step takes in each worker, whatever the batch.
    totals_bytes : int
        What the driver adds up out of all payloads, and takes for that.
    gathered_bytes : int
        Bytes of rows that the payloads of all chunks have together: the driver gathers them, and keeps them for the
        passes that follow.
    """

    made_bytes: float = 0.0
    scratch_bytes: float = 8.0
    kept: tuple[str, ...] = ()
    writes: bool = False
    whole_chunk: bool = False
    payload_bytes: int = 0
    fewer_payloads: str = memory.FEWER_COLUMNS
    fewer_sums: str = memory.FEWER_FEATURES
    waiting: int | None = None
    travels: bool = False
    shared_bytes: int = 0
    table_bytes: int = 0
    sums_bytes: int = 0
    step_bytes: int = 0
    totals_bytes: int = 0
    gathered_bytes: int = 0


def demand_of(
    csv: CsvOptions,
    files: Sequence[FileFacts],
    needs: Needs,
    plan: Plan,
    costs: StepCosts,
    *,
    threads_share_process: bool,
    ahead: int,
) -> Demand:
    """Return how much memory a plan needs.

    Fixed-width columns are exact, and so is the mean width of lists of numbers. Text and other nested columns count
    with their mean width by the footer; wider values are noticed when they are read. ``ahead`` is how many payloads
    wait for each worker, in addition to those of the open nodes of a tree over all chunks.
    """
    widths = _column_widths(csv, files, needs)
    # The rows of a CSV are an estimate. Lines at its ends may be so many times as long as the others.
    largest = plan.most_rows() or min(plan.chunk_rows, _MISLED * sum(facts.estimated_rows for facts in files) + 1024)
    batch_rows = _largest_row_group(files, largest)
    numbers = ColumnNumbers(needs.names)
    name, width = max(_totals(widths), key=lambda pair: pair[1], default=("", 0.0))
    travelling = job_file_bytes(files, plan) + _PARSED * costs.shared_bytes if costs.travels else costs.shared_bytes
    levels = max(1, len(plan)).bit_length()
    kept = sum(_width(widths, name) for name in costs.kept)
    gathered = _JOINED * costs.gathered_bytes
    # The rows of a chunk are where they were read until the driver has them; threads hand them over.
    of_chunk = 0 if threads_share_process else gathered // max(1, len(plan))
    imported = _IMPORTED_TO_WRITE_BYTES if threads_share_process and costs.writes else _IMPORTED_BYTES
    return Demand(
        reserved_bytes=max(imported, memory.current_bytes()),
        shared_bytes=travelling + costs.table_bytes,
        payload_bytes=costs.payload_bytes * (ahead + levels if costs.waiting is None else costs.waiting),
        fewer_payloads=costs.fewer_payloads,
        fewer_sums=costs.fewer_sums,
        reader_bytes=max((_reader_bytes(facts, numbers) for facts in files), default=0),
        decoded_row_bytes=max((sum(of_list.values()) for of_list in widths), default=0.0),
        made_row_bytes=2 * costs.made_bytes + costs.scratch_bytes,
        output_row_bytes=costs.made_bytes + kept if costs.writes else 0.0,
        row_group_rows=min(int(plan.group_rows.max()) if len(plan) else 0, max(1, largest)),
        threads_share_process=threads_share_process,
        chunk_rows=largest,
        batch_rows=batch_rows,
        cuttable=largest > batch_rows or any(facts.cuttable for facts in files),
        whole_chunk=costs.whole_chunk,
        widest=(name, width),
        driver_bytes=costs.sums_bytes * (levels + 1) + costs.totals_bytes,
        step_bytes=costs.step_bytes + costs.sums_bytes * (1 if threads_share_process else 1 + MOST_LEVEL) + of_chunk,
        gathered_bytes=gathered,
    )


def batch_share(demand: Demand, resources: Resources) -> int:
    """Return the bytes that the budget leaves for a decoded batch; a larger one is refused."""
    return max(MIB, demand.batch_room(resources.allowed_bytes, resources.workers))


def joined_rows(demand: Demand, resources: Resources) -> int:
    """Return how many rows of small files the budget lets a worker join: they are there twice then."""
    return demand.fitting_rows(resources.allowed_bytes, resources.workers) // 2


def row_group_share(demand: Demand, resources: Resources) -> int:
    """Return the bytes that the budget leaves for an output row group; a larger one is refused."""
    room = demand.row_group_room(resources.allowed_bytes, resources.workers, resources.batch_rows)
    return max(MIB, room)


def width_of(type_: pa.DataType) -> float:
    """Return the bytes of a value of a fixed-width type, and a guess for any other."""
    if isinstance(type_, pa.BaseExtensionType):
        return width_of(type_.storage_type)
    try:
        return max(1.0, float(type_.bit_width) / 8)
    except ValueError:
        return _UNKNOWN_WIDTH


def _width(widths: Sequence[Mapping[str, float]], name: str) -> float:
    return max((of_list[name] for of_list in widths if name in of_list), default=_UNKNOWN_WIDTH)


def _totals(widths: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    for of_list in widths:
        yield from of_list.items()


def _column_widths(csv: CsvOptions, files: Sequence[FileFacts], needs: Needs) -> list[dict[str, float]]:
    """Return, for each list of needs, the decoded bytes of a value of each column, in the file where it is widest."""
    widths: list[dict[str, float]] = [{} for _ in needs.lists]
    # Files with equal schemas have equal fixed-width columns. Only the other columns are looked at in every file.
    others: dict[object, Sequence[Need]] = {}
    for number, facts in enumerate(files):
        shape, found = shape_of(facts), widths[needs.number(number)]
        variable = []
        for need in others.get(shape, needs[number]) if facts.columns else ():
            width, fixed = _value_width(csv, facts, need)
            found[need.name] = max(width, found.get(need.name, 0.0))
            if not fixed:
                variable.append(need)
        if shape is not None:
            others[shape] = variable
    return widths


def _value_width(csv: CsvOptions, facts: FileFacts, need: Need) -> tuple[float, bool]:
    """Return the decoded bytes of a value, and whether its type alone decides them."""
    try:
        type_ = field_of(facts, need, csv).type
    except LookupError:
        return 0.0, True
    if pa.types.is_dictionary(type_):
        return 4.0, True
    if facts.file.format == "csv":
        is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
        return (4 + facts.row_bytes / max(1, len(facts.columns)) if is_text else width_of(type_)), False
    try:
        return float(type_.bit_width) / 8 + 1 / 8, True
    except ValueError:
        sizes = (max(c.decoded_bytes, c.member_bytes) for c in facts.columns if c.field.name == need.name)
        decoded = next(sizes, 0)
        return 4 + (decoded / facts.rows if facts.rows else _UNKNOWN_WIDTH), False


def _reader_bytes(facts: FileFacts, numbers: ColumnNumbers) -> int:
    if facts.file.format == "csv":
        return _CSV_READER_BYTES
    largest, rows = int(facts.group_rows.max(initial=0)), max(1, facts.rows or 0)
    decoded = numbers.decoded(facts)
    usual = np.maximum(COLUMN_READER_BYTES, _page_copies(decoded, min(largest, _PAGE_ROWS) / rows))
    return int(np.minimum(usual, _page_copies(decoded, largest / rows) + 64 * KIB).sum())


def _page_copies(decoded: Integers, share: float) -> Integers:
    """Return the bytes of a page with a share of the values of each column, as often as a reader holds it."""
    copies: Integers = np.ceil(_READER_COPIES * decoded * share).astype(np.int64)
    return copies


def _largest_row_group(files: Sequence[FileFacts], chunk_rows: int) -> int:
    """Return the rows of the largest row group, or of a chunk where a CSV, which has none, is among the files."""
    if any(facts.file.format == "csv" for facts in files):
        return max(1, chunk_rows)
    return max((int(facts.group_rows.max(initial=1)) for facts in files), default=1)
