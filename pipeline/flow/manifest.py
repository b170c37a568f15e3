"""What a manifest says about a job, and what it only notes; the same for jobs over files and over streams."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pyarrow as pa

from pipeline.choices import Absent, Durability, Fingerprint, Format
from pipeline.dataclass import dataclass
from pipeline.plan import FORMAT_VERSION
from pipeline.publish import Codec, Manifest, observed_holds
from pipeline.types.features import NO_COUNTS, FeatureCounts, FeatureWarning
from pipeline.types.inputs import CsvOptions
from pipeline.types.report import Report, Totals

CODEC = Codec(
    compressed=lambda stream: pa.CompressedOutputStream(stream, "zstd"),
    decompressed=lambda stream: pa.CompressedInputStream(stream, "zstd"),
)

# What another release may have noted.
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError)

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
            **({"features": totals.features.to_json()} if totals.features.rows else {}),
        },
    }


def format_version(manifest: Manifest) -> int:
    """Return the version of the answers in an output. Manifests state it since version 2."""
    return cast("int", manifest.body.get("format_version", 1))


def totals_in(manifest: Manifest) -> Totals:
    """Return the totals of a published output."""
    totals = dict(cast("dict[str, Any]", manifest.body["totals"]))
    features = FeatureCounts.from_json(totals.pop("features", None))
    return Totals(**totals, chunks=manifest.parts, features=features)


def spelled_in(manifest: Manifest, counts: FeatureCounts) -> FeatureCounts:
    """Return counts with the most frequent unseen values that a manifest notes, where they can be read."""
    with suppress(*_UNREADABLE):
        noted = _notes_of(manifest).get("unseen", {})
        spelled = {name: replace(count, spellings=dict(noted.get(name, ()))) for name, count in counts.columns.items()}
        return FeatureCounts(counts.rows, spelled)
    return counts


def warnings_of_files_in(manifest: Manifest) -> tuple[FeatureWarning, ...]:
    """Return the warnings about single files that a manifest notes, where they can be read."""
    with suppress(*_UNREADABLE):
        noted = _notes_of(manifest).get("warnings", ())
        return tuple(FeatureWarning.from_json(each) for each in noted if each["file"] is not None)
    return ()


def _notes_of(manifest: Manifest) -> Mapping[str, Any]:
    """Return what a manifest notes outside its digest; nothing where that was edited."""
    return cast("Mapping[str, Any]", manifest.body["observed"]) if observed_holds(manifest) else {}


def observed(
    report: Report,
    output: str,
    inputs: Sequence[str],
    durability: Durability,
    counts: FeatureCounts = NO_COUNTS,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, object]:
    """Return the notes of a manifest, outside its digest: they may differ between two runs of the same job.

    ``beside`` has the paths of the files beside a model, by their SHA-256.
    """
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
        "unseen": {name: [*map(list, count.frequent)] for name, count in counts.columns.items() if count.unseen},
        "warnings": [warning.to_json() for warning in report.warnings],
        **({"beside": {digest: os.path.relpath(path, folder) for digest, path in beside.items()}} if beside else {}),
    }


def beside_in(manifest: Manifest, output: Path) -> dict[str, str]:
    """Return where the files beside the model of an output are, by their SHA-256, as far as its manifest notes it."""
    with suppress(*_UNREADABLE):
        parent = os.path.realpath(output.parent)
        noted = cast("Mapping[str, str]", _notes_of(manifest).get("beside", {}))
        return {str(digest): os.path.normpath(f"{parent}/{path}") for digest, path in noted.items()}
    return {}
