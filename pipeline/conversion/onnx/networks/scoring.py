"""How onnxruntime scores sequences with a graph, for comparing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conversion.agreement import squashed
from pipeline.conversion.importing import Floats, Score
from pipeline.conversion.networks.sequences import scored_by_length
from pipeline.conversion.onnx.graph import DOUBLE, Graph, Port, ReadGraph
from pipeline.conversion.onnx.scoring import refusals, session_of


def sequence_scorer(path: Path, graph: Graph, found: ReadGraph, rows_axis: int) -> Score | None:
    """Return what scores a named column of lists with onnxruntime; ``None`` if onnxruntime is not installed.

    A graph for a fixed number of rows gets as many at a time.
    """
    if find_spec("onnxruntime") is None:
        return None
    (port,) = graph.inputs
    session = cache(partial(session_of, path, graph, found.output, any_rows=False))
    width, steps = port.shape[2], port.shape[1 - rows_axis]
    assert width is not None
    # Of two classes a graph may give both.
    outputs = len(found.document.get("classes", [None]))

    def picked(values: Floats) -> Floats:
        return _scored(session(), port, rows_axis, values)[:, -outputs:]

    def score(rows: Mapping[str, Any]) -> Floats:
        made = scored_by_length(rows[port.name], width, steps, outputs, picked)
        made = made[:, 0] if outputs == 1 else made
        return squashed(made) if found.is_raw else made

    return score


def _scored(session: Any, port: Port, rows_axis: int, values: Floats) -> Floats:
    """Return the outputs for rows of one length, shape (rows, steps, numbers)."""
    count = len(values)
    size = port.shape[rows_axis] or count
    parts = []
    for start in range(0, count, size):
        part = values[start : start + size]
        filled = np.concatenate([part, np.repeat(part[:1], size - len(part), axis=0)])
        given = filled if rows_axis == 0 else filled.transpose(1, 0, 2)
        typed = np.ascontiguousarray(given, dtype=np.float64 if port.type == DOUBLE else np.float32)
        with refusals():
            (made,) = session.run(None, {port.name: typed})
        parts.append(np.asarray(made, dtype=np.float64).reshape(size, -1)[: len(part)])
    return np.concatenate(parts)
