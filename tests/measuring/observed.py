"""Rows with a probability and what was observed, and a model of them, for the tests of measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROWS = 2_000


def observed(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Return features, a probability with ties, what was observed, weights, and columns of groups."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 2))
    p = np.round(1 / (1 + np.exp(-(x[:, 0] - 0.5 * x[:, 1] - 0.4))), 3)
    region = np.array(["north", "south", "west", None])[generator.integers(0, 4, rows)]
    return pa.table(
        {
            "x0": x[:, 0],
            "x1": x[:, 1],
            "p": p,
            "y": (generator.random(rows) < p).astype(np.int8),
            "w": np.round(generator.exponential(1, rows), 3),
            "region": pa.array(region.tolist()),
            "month": generator.integers(1, 13, rows),
        }
    )


def model_file(folder: Path, name: str = "model.json", **changes: Any) -> Path:
    features = [
        {"column": "x0", "kind": "numeric", "coefficient": 1.0},
        {"column": "x1", "kind": "numeric", "coefficient": -0.5},
    ]
    content = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": -0.4, "features": features}
    path = folder / name
    path.write_text(json.dumps(content | changes))
    return path
