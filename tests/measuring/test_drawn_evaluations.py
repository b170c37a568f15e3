"""Drawn files with all that can be wrong in them: accounts and measures are those of plain numpy and scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

import pipeline as logitstream
from pipeline.evaluation.json import evaluation_json
from tests.seeds import seeds

Floats = np.ndarray


def drawn(generator: np.random.Generator) -> dict[str, Any]:
    """Return columns: what was observed, a probability, a weight and a group, some missing and some wrong."""
    rows = int(generator.choice([1, 7, 400, 3_000]))
    p = generator.random(rows) ** generator.choice([0.2, 1, 6])
    p = np.round(p, int(generator.choice([1, 3, 16])))
    y = (generator.random(rows) < p).astype(object)
    w = np.round(generator.exponential(1, rows), 2).astype(object)
    p = p.astype(object)
    group = generator.choice(np.array(["a", "b", "7", "70", None], dtype=object), rows)
    for column, wrong in ((p, [None, 1.5, -0.25]), (y, [None, 2]), (w, [None, -1.0])):
        where = generator.random(rows) < generator.choice([0, 0.05])
        column[where] = generator.choice(np.array(wrong, dtype=object), int(where.sum()))
    return {
        "y": [None if each is None else int(each) for each in y],
        "p": p.tolist(),
        "w": w.tolist(),
        "g": group.tolist(),
    }


def judged(columns: dict[str, Any], *, weighted: bool) -> tuple[dict[str, int], np.ndarray]:
    """Return the accounts, and which rows are used, one row after the other."""
    names = ("read", "used", "not_held_out", "dropped", "bad", "without_target", "set_aside", "without_score")
    counts = dict.fromkeys(names, 0)
    used = []
    for y, p, w in zip(columns["y"], columns["p"], columns["w"], strict=True):
        is_bad = y == 2 or (p is not None and not 0 <= p <= 1) or (weighted and w is not None and w < 0)
        lacks = y is None or (weighted and w is None)
        what = "bad" if is_bad else "without_target" if lacks else "without_score" if p is None else "used"
        counts[what] += 1
        counts["dropped"] += what == "without_score"
        counts["read"] += 1
        used.append(what == "used")
    return counts, np.array(used)


def written(columns: dict[str, Any], path: Path, row_group: int) -> Path:
    table = pa.table(
        {"y": pa.array(columns["y"], pa.int16()), "p": pa.array(columns["p"], pa.float64()),
         "w": pa.array(columns["w"], pa.float64()), "g": pa.array(columns["g"], pa.string())}
    )  # fmt: skip
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=row_group)
    return path


def expected(y: Floats, p: Floats, w: Floats | None) -> dict[str, float]:
    found = {
        "log_loss": metrics.log_loss(y, p, sample_weight=w, labels=[0, 1]),
        "brier": float(np.average((y - p) ** 2, weights=w)),
    }
    if len(set(y)) == 2:
        found["auc"] = metrics.roc_auc_score(y, p, sample_weight=w)
        found["average_precision"] = metrics.average_precision_score(y, p, sample_weight=w)
    return found


@pytest.mark.parametrize("seed", seeds(400, slow=40))
def test_drawn_files_are_measured_as_scikit_learn_does(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng((20, seed))
    columns = drawn(generator)
    weighted = bool(generator.integers(0, 2))
    kind = str(generator.choice(["parquet", "csv"]))
    rows = len(columns["y"])
    path = written(columns, tmp_path / f"in.{kind}", int(generator.choice([50, 1_000, 10_000])))
    counts, used = judged(columns, weighted=weighted)
    options: dict[str, Any] = {
        "weight": "w" if weighted else None,
        "by": "g",
        "max_groups": int(generator.choice([1, 2, 200])),
        "missing_target": "drop",
        "max_bad": rows,
        "chunk_size": int(generator.choice([50, 700, 1_000_000])),
    }
    y, p = (np.array([columns[name][row] for row in np.flatnonzero(used)], dtype=float) for name in ("y", "p"))
    w = np.array([columns["w"][row] for row in np.flatnonzero(used)], dtype=float) if weighted else None
    if not len(y) or (w is not None and not w.sum()):
        return
    report = logitstream.evaluate(path, target="y", probability="p", workers=1, scheduler="sync", **options)
    assert report.rows == counts
    for name, value in expected(y, p, w).items():
        found, bound = getattr(report.measures, name), getattr(report.measures, f"{name}_bound", 0.0)
        assert found == pytest.approx(value, rel=1e-9, abs=1e-12 + (bound or 0.0)), name
    named = [columns["g"][row] for row in np.flatnonzero(used)]
    (groups,) = report.groups
    assert sum(group.measures.rows for group in groups.groups) == len(y) - rows_without_weight(groups, named, w)
    again = logitstream.evaluate(path, target="y", probability="p", workers=2, **options)
    assert json.dumps(evaluation_json(again)) == json.dumps(evaluation_json(report))


def rows_without_weight(groups: Any, named: list[Any], w: Floats | None) -> int:
    """Return how many rows are in groups whose weights are all 0, which have no measures."""
    if w is None:
        return 0
    shown = {group.value[0] for group in groups.groups if group.value is not None}
    others = any(group.value is None for group in groups.groups)
    return sum(name not in shown for name in named) if not others else 0
