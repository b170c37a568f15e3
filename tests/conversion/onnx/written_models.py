"""Models of every kind, link and normalisation, and what onnxruntime makes of their graphs.

    PYTHONPATH=. python tests/conversion/onnx/written_models.py

writes ``written.json`` anew: the graph of each model, and what onnxruntime makes of its rows. Needs onnx and
onnxruntime.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.conversion.onnx.writing import graph, write
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion.onnx.make_graphs import to_plain
from tests.conversion.onnx.random_models import columns_of, feeds

WRITTEN = Path(__file__).with_name("written.json")
HEAD: dict[str, Any] = {"format": "logitstream-model", "version": 2, "kind": "logistic"}
X: dict[str, Any] = {"kind": "numeric", "column": "x", "coefficient": 0.75}
# Raw predictions from one end of float64's exponential to the other.
TAILS = [-1000.0, -745.5, -708.5, -699.0, -300.0, -37.5, -20.0, -1e-9, 0.0, 1e-9, 0.7, 20.0, 37.5, 709.5, 1000.0]
TAIL_COLUMNS = {"x": [*TAILS, None]}
COLUMNS: dict[str, list[Any]] = {
    "x": [0.5, -1.25, None, 3.0, 1e9, 0.0],
    "y": [2.0, 0.0, -3.5, None, 1e-10, 7.25],
    "c": ["A", "ä b", None, "other", "A", "ä b"],
    "i": [1, -3, 7, None, 1, 12],
    "b": [True, False, True, False, None, True],
}


def _levels(column: str, *levels: str, **policies: Any) -> dict[str, Any]:
    numbers = {level: 0.5 * place - 0.75 for place, level in enumerate(levels)}
    return {"kind": "categorical", "column": column, "coefficients": numbers, **policies}


MODELS: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "tails_of_logit": ({"features": [{**X, "coefficient": 1.0}], "intercept": 0.0}, TAIL_COLUMNS),
    "tails_of_cloglog": ({"link": "cloglog", "features": [{**X, "coefficient": 1.0}], "intercept": 0.0}, TAIL_COLUMNS),
    "tails_of_loglog": ({"link": "loglog", "features": [{**X, "coefficient": 1.0}], "intercept": 0.0}, TAIL_COLUMNS),
    **{
        f"calibrated_by_{said['method']}": (
            {"features": [{**X, "coefficient": 1.0}], "intercept": 0.0, "output": {"calibration": said}},
            TAIL_COLUMNS,
        )
        for said in (
            {"method": "platt", "slope": 0.9, "intercept": -0.25},
            {"method": "temperature", "temperature": 1.25},
            {"method": "beta", "a": 0.75, "b": 0.5, "c": 0.1},
            {"method": "isotonic", "thresholds": [-1.0, 0.0, 1.0], "probabilities": [0.0, 0.25, 0.25, 1.0]},
        )
    },
    "policies": (
        {
            "intercept": 0.25,
            "features": [
                {**X, "center": 0.3, "scale": 1.7, "missing": {"impute": 0.1}},
                {**X, "column": "y", "missing": "quarantine"},
                _levels("c", "A", "ä b", "(none)", missing={"level": "(none)"}, unseen="zero"),
                _levels("i", "1", "-3", levels="integer", missing={"level": "1"}, unseen={"level": "-3"}),
                _levels("b", "true", "false", missing={"level": "false"}),
            ],
            "target": {"negative": "no", "positive": "yes"},
            "output": {"threshold": 0.4, "temperature": 1.5},
        },
        COLUMNS,
    ),
    "kinds": (
        {
            "intercept": -0.5,
            "offset": {"column": "y", "missing": {"impute": 0.5}},
            "features": [
                {
                    "kind": "binned",
                    "column": "x",
                    "edges": [-1.0, 0.5, 2.0],
                    "coefficients": [0.1, 0.2, -0.3, 0.4],
                    "missing": {"coefficient": 0.7},
                },
                {"kind": "indicator", "column": "c", "coefficient": 0.9},
                {
                    "kind": "transformed",
                    "name": "log of x",
                    "column": "x",
                    "transform": [{"clip": [0.0, None]}, "log1p"],
                    "coefficient": -0.3,
                    "missing": {"impute": 1.0},
                },
                {
                    "kind": "product",
                    "terms": [
                        {"kind": "numeric", "column": "y", "center": 0.1, "scale": 3.0, "missing": {"impute": 0.0}},
                        {"kind": "categorical", "column": "c", "unseen": "zero", "missing": {"level": "A"}},
                    ],
                    "coefficients": {"A": 0.3, "ä b": -0.2},
                },
            ],
        },
        COLUMNS,
    ),
    "softmax": (
        {
            "classes": ["p", "q", "r"],
            "intercept": [0.1, -0.2, 0.3],
            "features": [
                {**X, "coefficient": [1.0, -1.0, 0.5]},
                {**X, "column": "y", "coefficient": [0.3, 0.1, 0.0], "missing": {"impute": 1.0}},
            ],
        },
        COLUMNS,
    ),
    "one_vs_rest": (
        {
            "classes": [3, 1],
            "normalise": "one-vs-rest",
            "intercept": [0.1, -0.2],
            "features": [{**X, "coefficient": [400.0, 300.0]}],
        },
        COLUMNS,
    ),
}


def document_of(name: str) -> dict[str, Any]:
    """Return a model file."""
    return {**HEAD, **MODELS[name][0]}


def rows_of(name: str) -> pa.Table:
    """Return the rows of a model: the columns that it reads."""
    document, columns = document_of(name), MODELS[name][1]
    return pa.table({each: pa.array(columns[each]) for each in columns_of(document)})


def main() -> None:
    """Write what onnxruntime makes of every model."""
    from pipeline.conversion.onnx.scoring import runtime

    said = {}
    for name in MODELS:
        model = from_mapping(document_of(name))
        made = graph(model)
        session = runtime().InferenceSession(write(model), providers=["CPUExecutionProvider"])
        names = [port.name for port in made.outputs]
        results = session.run(names, feeds(made, rows_of(name)))
        outputs = {each: np.asarray(value).tolist() for each, value in zip(names, results, strict=True)}
        said[name] = {"graph": to_plain(made), "outputs": outputs}
    WRITTEN.write_text(json.dumps(said, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
