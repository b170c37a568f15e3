"""All targets by name; each one's module is loaded when it is asked for, so that a process loads what it needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tests.fuzz.target import Target

MODULES = {
    "parquet": "tests.fuzz.parquet_files",
    "csv": "tests.fuzz.csv_files",
    "csv-cuts": "tests.fuzz.csv_cuts",
    "model": "tests.fuzz.model_json",
    "manifest": "tests.fuzz.published",
    "receipts": "tests.fuzz.published",
    "journal": "tests.fuzz.journals",
}


def load(name: str) -> Target:
    """Return a target by its name."""
    targets = cast("list[Target]", import_module(MODULES[name]).TARGETS)
    return next(target for target in targets if target.name == name)
