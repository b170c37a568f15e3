"""How onnxruntime scores rows with a graph, for comparing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.agreement import squashed
from pipeline.conversion.importing import Floats, Score
from pipeline.conversion.onnx.graph import BOOL, DOUBLE, FLOAT, INT32, INT64, STRING, Graph, ReadGraph, needed
from pipeline.errors import ModelError
from pipeline.units import escape

_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_DTYPES: Mapping[int, Any] = {
    FLOAT: np.float32,
    DOUBLE: np.float64,
    INT32: np.int32,
    INT64: np.int64,
    BOOL: np.bool_,
    STRING: object,
}
_EMPTY = {STRING: "", BOOL: False, INT32: 0, INT64: 0}


def scorer(path: Path, graph: Graph, found: ReadGraph) -> Score | None:
    """Return what scores named columns with onnxruntime; ``None`` if onnxruntime is not installed.

    Missing numbers are NaN and missing text is the empty text. A row in which a whole number or boolean is missing,
    which the graph cannot take, has the score NaN.
    """
    if find_spec("onnxruntime") is None:
        return None

    session = cache(partial(session_of, path, graph, found.output))

    def score(rows: Mapping[str, Any]) -> Floats:
        return _scored(session(), graph, found, rows)

    return score


def runtime() -> Any:
    """Return the module onnxruntime, imported without its telemetry: a file in the home folder that it sends home."""
    before = os.environ.get(_TELEMETRY)
    os.environ[_TELEMETRY] = "1"
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    finally:
        if before is None:
            del os.environ[_TELEMETRY]
        else:
            os.environ[_TELEMETRY] = before
    return onnxruntime


def session_of(path: Path, graph: Graph, output: str, *, any_rows: bool = True) -> Any:
    """Return a session with one tensor as its output; nodes that do not lead to it are left out.

    onnxruntime refuses whole graphs for some of them, such as a ZipMap of float64. With ``any_rows`` any number of rows
    may be given, also to a graph that was written for one.
    """
    import onnx  # noqa: PLC0415 - an extra

    onnxruntime = runtime()
    model = onnx.load(str(path))
    made = {name for node in needed(graph, output) for name in node.outputs}
    kept = [node for node in model.graph.node if made.intersection(node.output)]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(kept)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(output))
    del model.graph.value_info[:]
    for port in model.graph.input:
        if any_rows and port.type.tensor_type.shape.dim:
            port.type.tensor_type.shape.dim[0].dim_param = "rows"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with refusals():
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what onnxruntime refuses as an error of the model."""
    states = runtime().capi.onnxruntime_pybind11_state
    refused = (states.Fail, states.InvalidGraph, states.NotImplemented, states.InvalidArgument, states.RuntimeException)
    try:
        yield
    except refused as error:
        raise ModelError(
            f"onnxruntime cannot run the graph: {escape(str(error), 200)}", "import it without --check"
        ) from error


def _scored(session: Any, graph: Graph, found: ReadGraph, rows: Mapping[str, Any]) -> Floats:
    feeds, lacking = {}, np.zeros(0, dtype=bool)
    for port in graph.inputs:
        columns = [_column(rows[name], port.type) for name in found.columns[port.name]]
        none = np.any([each for _, each in columns], axis=0)
        lacking = none if not lacking.size else lacking | none
        values = np.column_stack([each for each, _ in columns])
        feeds[port.name] = values if len(port.shape) > 1 else values[:, 0]
    with refusals():
        (scores,) = session.run([found.output], feeds)
    result = np.asarray(scores, dtype=np.float64).reshape(len(lacking), -1)
    result[lacking] = np.nan
    picked = result[:, -1] if "classes" not in found.document else result
    return squashed(picked) if found.is_raw else picked


def _column(cells: Sequence[Any], type_: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return a column as an input takes it, and where it takes none."""
    values = np.array(cells, dtype=object)
    missing = np.array(
        [each is None or (isinstance(each, float) and math.isnan(each)) for each in values.tolist()], dtype=bool
    )
    if type_ in {FLOAT, DOUBLE}:
        values[missing] = np.nan
        return values.astype(np.float64).astype(_DTYPES[type_]), np.zeros(len(values), dtype=bool)
    values[missing] = _EMPTY[type_]
    if type_ == STRING:
        return np.array([str(each) for each in values.tolist()], dtype=object), np.zeros(len(values), dtype=bool)
    return values.astype(_DTYPES[type_]), missing
