"""Small inputs and jobs of the campaign, only through the public interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
FEATURES = [
    {"column": "x", "kind": "numeric", "coefficient": 0.5, "missing": "quarantine"},
    {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}, "unseen": "zero"},
]


def write_model(path: Path, intercept: float = 0.25) -> Path:
    """Write a model of two columns whose missing numbers go to the quarantine."""
    content = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": intercept}
    path.write_text(json.dumps(content | {"features": FEATURES}))
    return path


def write_rows(path: Path, rows: int, version: int, missing: int = 0, row_group_size: int = 1_000) -> Path:
    """Write rows that all have the number of a version; the first ``missing`` have no number."""
    random = np.random.default_rng(version)
    numbers = pa.array(random.normal(size=rows), mask=np.arange(rows) < missing)
    letters = pa.array(random.choice(["a", "b", "z"], size=rows))
    table = pa.table({"version": pa.array([version] * rows, pa.int64()), "x": numbers, "c": letters})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def command_line(*words: object) -> list[str]:
    """Return the command line with these arguments."""
    return [sys.executable, "-c", "from jobs.cli import main; main()", *map(str, words)]


def environment() -> dict[str, str]:
    """Return the environment that the command line needs."""
    return {"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath)}


def command(*words: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command line in a separate process."""
    defaults: dict[str, Any] = {"env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command_line(*words), **defaults | options)
