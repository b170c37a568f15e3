"""What a plan takes of memory: from the facts of the files and the types of the columns, before any row is read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyarrow as pa

from pipeline import memory
from pipeline.flow.schema import ColumnNumbers, shape_of
from pipeline.memory import COLUMN_READER_BYTES, Demand
from pipeline.plan import Plan
from pipeline.sources import source_for
from pipeline.types.inputs import CsvOptions, FileFacts, Need
from pipeline.types.job import Job
from pipeline.types.report import Resources
from pipeline.units import KIB, MIB

# A process with everything imported, at rest (Python 3.11, pyarrow 26, dask 2026.8).
_IMPORTED_BYTES = 160 * MIB

# A CSV is read in pieces of up to 4 MiB; a piece, its copy, the parsed columns, the decompressor and the 5 MiB that are
# read ahead live together.
_CSV_READER_BYTES = 20 * MIB

# An open Parquet column holds no more than a row group has of it: pages as stored, decompressed and decoded.
_READER_COPIES = 3

_MISLED = 4

# A text or nested value whose width no footer tells.
_UNKNOWN_WIDTH = 32.0


def demand_of(job: Job, files: Sequence[FileFacts], needs: Sequence[Need], schema: pa.Schema, plan: Plan) -> Demand:
    """Return what a plan takes of memory.

    Fixed-width columns are exact. Text and nested ones are taken at their mean width by the footer; what is wider is
    noticed when it is read.
    """
    kept = len(schema) - len(job.block.fields())
    widths = _column_widths(job.csv, files, needs)
    made = sum(width_of(field.type) for field in list(schema)[kept:])
    # The rows of a CSV are an estimate, which its first lines may mislead by as much as this.
    largest = plan.most_rows() or min(plan.chunk_rows, _MISLED * sum(facts.estimated_rows for facts in files) + 1024)
    places = ColumnNumbers({need.name for need in needs})
    name = max(widths, key=lambda column: widths[column], default="")
    return Demand(
        reserved_bytes=max(_IMPORTED_BYTES, memory.current_bytes()),
        reader_bytes=max((_reader_bytes(facts, places) for facts in files), default=0),
        decoded_row_bytes=sum(widths.values()),
        made_row_bytes=2 * made + job.block.scratch_row_bytes,
        output_row_bytes=made + sum(widths.get(need.name, _UNKNOWN_WIDTH) for need in needs[len(needs) - kept :]),
        row_group_rows=min(int(plan.group_rows.max()) if len(plan) else 0, max(1, largest)),
        threads_share_process=job.scheduler in {"threads", "sync"},
        chunk_rows=largest,
        whole_chunk=job.block.whole_chunk,
        widest=(name, widths.get(name, 0.0)),
    )


def batch_share(demand: Demand, resources: Resources) -> int:
    """Return the bytes that a decoded batch may take before it counts as too large: what the budget leaves for it."""
    return max(MIB, demand.batch_room(resources.allowed_bytes, resources.workers))


def row_group_share(demand: Demand, resources: Resources) -> int:
    """Return the bytes that an output row group may hold before it counts as too large."""
    room = demand.row_group_room(resources.allowed_bytes, resources.workers, resources.batch_rows)
    return max(MIB, room)


def width_of(type_: pa.DataType) -> float:
    """Return the bytes of a value of a fixed-width type, and a guess for any other."""
    try:
        return max(1.0, float(type_.bit_width) / 8)
    except ValueError:
        return _UNKNOWN_WIDTH


def _column_widths(csv: CsvOptions, files: Sequence[FileFacts], needs: Sequence[Need]) -> dict[str, float]:
    """Return for each needed column the decoded bytes of a value, in the file where they are most."""
    widths: dict[str, float] = {}
    # Of files written alike the columns of fixed width are alike too: the others are looked at in every file.
    others: dict[object, Sequence[Need]] = {}
    for facts in files:
        shape = shape_of(facts)
        variable = []
        for need in others.get(shape, needs) if facts.columns else ():
            width, fixed = _value_width(csv, facts, need)
            widths[need.name] = max(width, widths.get(need.name, 0.0))
            if not fixed:
                variable.append(need)
        if shape is not None:
            others[shape] = variable
    return widths


def _value_width(csv: CsvOptions, facts: FileFacts, need: Need) -> tuple[float, bool]:
    """Return the decoded bytes of a value, and whether its type alone tells."""
    try:
        type_ = source_for(facts.file.format, csv).field(facts, need).type
    except LookupError:
        return 0.0, True
    if pa.types.is_dictionary(type_):
        return 4.0, True
    if facts.file.format == "csv":
        return (width_of(type_) if type_ != pa.string() else 4 + facts.row_bytes / max(1, len(facts.columns))), False
    try:
        return float(type_.bit_width) / 8 + 1 / 8, True
    except ValueError:
        decoded = next((c.decoded_bytes for c in facts.columns if c.field.name == need.name), 0)
        return 4 + (decoded / facts.rows if facts.rows else _UNKNOWN_WIDTH), False


def _reader_bytes(facts: FileFacts, places: ColumnNumbers) -> int:
    if facts.file.format == "csv":
        return _CSV_READER_BYTES
    share = int(facts.group_rows.max(initial=0)) / max(1, facts.rows or 0)
    held = (math.ceil(_READER_COPIES * decoded * share) for decoded in places.decoded(facts))
    return sum(min(COLUMN_READER_BYTES, size + 64 * KIB) for size in held)
