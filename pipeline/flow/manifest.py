"""What a manifest says about a job, and what it only notes; the same for jobs over files and over streams."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa

from pipeline.choices import Absent, Durability, Fingerprint, Format
from pipeline.plan import FORMAT_VERSION
from pipeline.publish import Codec, Manifest
from pipeline.types.inputs import CsvOptions
from pipeline.types.report import Report, Totals

CODEC = Codec(
    compressed=lambda stream: pa.CompressedOutputStream(stream, "zstd"),
    decompressed=lambda stream: pa.CompressedInputStream(stream, "zstd"),
)

COUNTS = ("read", "written", "scored", "null", "nan", "quarantined", "bad")


@dataclass(frozen=True, slots=True)
class Described:
    """A job as its manifest describes it. ``block`` is ``None`` if nothing describes the function."""

    inputs: Sequence[object]
    chunks: int
    chunk_size: str
    chunk_rows: int
    limit: int | None
    block: Mapping[str, object] | None
    keep: Sequence[str]
    absent: Absent
    rename: Mapping[str, str]
    csv: CsvOptions
    format: Format
    compression: str | None
    arithmetic: str
    fingerprint: Fingerprint
    schema: pa.Schema


def body(job: Described, totals: Totals) -> dict[str, object]:
    """Return the sections of a manifest that its digest covers."""
    return {
        "format_version": FORMAT_VERSION,
        "inputs": job.inputs,
        "plan": {
            "chunks": job.chunks,
            "chunk_size": job.chunk_size,
            "chunk_rows": job.chunk_rows,
            "limit": job.limit,
        },
        "block": job.block,
        "options": {
            "keep": list(job.keep),
            # Only what was asked for, so that the digest of any other manifest stays as it is.
            **({"absent": job.absent} if job.absent != "error" else {}),
            **({"rename": dict(job.rename)} if job.rename else {}),
            "csv": asdict(job.csv),
            "format": job.format,
            "compression": job.compression,
            "arithmetic": job.arithmetic,
            "fingerprint": job.fingerprint,
        },
        "schema": [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in job.schema],
        "totals": {
            **{name: getattr(totals, name) for name in COUNTS},
            "events": dict(sorted(totals.events.items())),
        },
    }


def format_version(manifest: Manifest) -> int:
    """Return the version of the answers in an output. Manifests state it since version 2."""
    return cast("int", manifest.body.get("format_version", 1))


def observed(report: Report, output: str, inputs: Sequence[str], durability: Durability) -> dict[str, object]:
    """Return the notes of a manifest, outside its digest: they may differ between two runs of the same job."""
    totals, resources = report.totals, report.plan.resources
    folder = os.path.realpath(Path(output).absolute().parent)
    return {
        "finished_unix": time.time(),
        "seconds": report.seconds,
        "peak_bytes": report.peak_bytes,
        "bytes_read": totals.bytes_read,
        "chunks": {"resumed": totals.resumed, "reused": totals.reused},
        "scheduler": report.plan.scheduler,
        "workers": resources.workers,
        "batch_rows": resources.batch_rows,
        "durability": durability,
        "inputs": [os.path.relpath(text, folder) for text in inputs],
    }
