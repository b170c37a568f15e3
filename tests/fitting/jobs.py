"""Jobs that fit, and what their first pass learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from pipeline.fitting.asking.formula import parse_terms
from pipeline.fitting.asking.job import DataWishes, FitJob, MeansWishes, ModelWishes, SolveWishes
from pipeline.fitting.first_pass.learning import learn
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.asking.reading import PreparedFit, prepare_fit
from pipeline.scan import open_scan


def job_of(
    inputs: object, features: str, *, data: Any = None, solve: Any = None, means: Any = None, **model: Any
) -> FitJob:
    """Return a job: options of the model by name, others as mappings."""
    return FitJob(
        DataWishes((str(inputs),), **{"chunk_size": "20000", **(data or {})}),
        ModelWishes(**{"target": "late", "features": parse_terms(features), **model}),
        SolveWishes(**(solve or {})),
        MeansWishes(**{"scheduler": "sync", "memory": "4GiB", **(means or {})}),
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
