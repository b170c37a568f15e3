"""Files of raw predictions with what was observed, and models whose raw predictions are columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Floats = np.ndarray


def sigmoid(z: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-z))


def drawn_rows(seed: int, rows: int, slope: float = 0.6, intercept: float = -0.5, scale: float = 2.0) -> Any:
    """Return raw predictions, and targets that are positive with the sigmoid of a line in them."""
    generator = np.random.default_rng(seed)
    z = generator.normal(0.4, 1.0, rows) * scale
    return z, (generator.random(rows) < sigmoid(slope * z / scale * 2.0 + intercept)).astype(np.int64)


def model_of_raw(folder: Path, **more: Any) -> Path:
    """Write a model whose raw prediction is the column z, or with ``classes`` the columns z0, z1, ..."""
    classes = more.get("classes")
    if classes is None:
        features = [{"column": "z", "kind": "numeric", "coefficient": 1.0}]
        more = {"target": {"column": "y", "negative": 0, "positive": 1}, "intercept": 0.0, **more}
    else:
        unit = np.eye(len(classes)).tolist()
        features = [{"column": f"z{k}", "kind": "numeric", "coefficient": row} for k, row in enumerate(unit)]
        more = {"intercept": [0.0] * len(classes), **more}
    document = {"format": "logitstream-model", "version": 2, "kind": "logistic", "features": features, **more}
    path = folder / "model.json"
    path.write_text(json.dumps(document))
    return path


def rows_file(folder: Path, z: Floats, y: Any, name: str = "in.parquet", group: int = 5_000, **more: Any) -> Path:
    """Write raw predictions, shape (rows,) or (classes, rows), and targets."""
    columns = {"z": z} if z.ndim == 1 else {f"z{k}": column for k, column in enumerate(z)}
    table = pa.table({**columns, "y": y, **more})
    pq.write_table(table, folder / name, row_group_size=group)
    return folder / name
