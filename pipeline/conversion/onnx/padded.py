"""How onnxruntime scores sequences with a graph that we wrote of a network, for comparing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conversion.importing import Floats, Score
from pipeline.conversion.networks.sequences import step_numbers
from pipeline.conversion.onnx.graph import Graph
from pipeline.conversion.onnx.recurrent_nodes import STEPS
from pipeline.conversion.onnx.scoring import refusals, session_of
from pipeline.models.network.file import NetworkFile


def padded_scorer(path: Path, graph: Graph, file: NetworkFile) -> Score | None:
    """Return what scores named columns of lists with onnxruntime; ``None`` if onnxruntime is not installed.

    A row whose lists differ in length, or end within a step, has the score NaN.
    """
    if find_spec("onnxruntime") is None:
        return None
    session = cache(partial(session_of, path, graph, "probability"))

    def score(rows: Mapping[str, Any]) -> Floats:
        read = {each.column: step_numbers(rows[each.column], each.width) for each in file.sequences}
        torn = np.array([any(cell is None for cell in row) for row in zip(*read.values(), strict=True)], dtype=bool)
        columns = {name: [_TORN if cell is None else cell for cell in cells] for name, cells in read.items()}
        counts = np.array([[len(cell) for cell in cells] for cells in columns.values()], dtype=np.int64)
        feeds: dict[str, Any] = {
            each.column: _padded(columns[each.column], each.width, int(counts.max(initial=1)))
            for each in file.sequences
        }
        if file.offset is not None:
            feeds[file.offset.column] = _numbers(rows[file.offset.column])
        with refusals():
            (made,) = session().run(None, {**feeds, STEPS: counts[0][:, np.newaxis]})
        found: Floats = np.array(made, dtype=np.float64)
        found[torn | (counts != counts[0]).any(axis=0)] = np.nan
        return found if file.classes is not None else found[:, -1]

    return score


def _numbers(cells: Iterable[Any]) -> Floats:
    """Return a column of numbers, NaN where one is missing, shape (rows, 1)."""
    return np.array([[np.nan if cell is None else cell] for cell in cells], dtype=np.float64)


_TORN: Floats = np.empty((0, 1))


def _padded(cells: Sequence[Floats], width: int, steps: int) -> Floats:
    made = np.full((len(cells), max(1, steps), width), np.nan)
    for row, cell in enumerate(cells):
        made[row, : len(cell)] = cell if len(cell) else np.empty((0, width))
    return made
