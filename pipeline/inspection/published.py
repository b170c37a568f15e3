"""What the manifest of an output says about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pipeline.inspection.findings import OutputFacts
from pipeline.publish import MANIFEST, Manifest
from pipeline.units import escape, format_count

COUNTS = ("read", "written", "scored", "null", "nan", "quarantined", "bad")


def is_output(folder: Path) -> bool:
    """Return whether a folder contains a manifest."""
    return (folder / MANIFEST).is_file()


def output_facts(manifest: Manifest) -> OutputFacts:
    """Return what a manifest says about its output."""
    body = cast("Mapping[str, Any]", manifest.body)
    observed: Any = body.get("observed") or {}
    totals: Any = body.get("totals") or {}
    return OutputFacts(
        job_id=manifest.job_id,
        manifest_digest=manifest.digest,
        function=_function(body.get("block")),
        finished_unix=observed.get("finished_unix"),
        totals={name: int(totals[name]) for name in COUNTS if name in totals},
    )


def _function(block: Mapping[str, Any] | None) -> str:
    if block is None:
        return "an expression, which the manifest does not describe"
    if block.get("function") == "score":
        features = len(block["model"]["features"])
        target = (block["model"].get("target") or {}).get("column")
        of = f" of {escape(target)}" if target else ""
        kind = "a network" if block["model"].get("kind") == "network" else "a logistic model"
        return f"score, {kind}{of} with {format_count(features)} feature{'' if features == 1 else 's'}"
    if block.get("function") == "transform":
        return ", ".join(f"{escape(name)} = {escape(f)}({escape(column)})" for name, f, column in block["applications"])
    return escape(str(block.get("identity") or block.get("function") or "a function"))
