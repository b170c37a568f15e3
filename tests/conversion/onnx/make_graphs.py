"""Makes the graphs of ``graphs/`` with sklearn-onnx, and the probabilities that onnxruntime gives for some rows.

    PYTHONPATH=. python tests/conversion/onnx/make_graphs.py [NAME ...]

Needs scikit-learn, skl2onnx, onnx and onnxruntime. Each graph is stored as it is (``NAME.onnx``) and as plain values
with rows and probabilities (``NAME.json``), so that the walk over graphs can be tested without the package onnx.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conversion.onnx.graph import Graph, Node, Port

GRAPHS = Path(__file__).parent / "graphs"
ROWS = 40
# How sklearn-onnx is to write some of them.
OPTIONS = {"columns": {"zipmap": "columns"}, "columns_classes": {"zipmap": "columns"}}


def to_plain(graph: Graph) -> dict[str, Any]:
    """Return a graph as JSON."""
    return {
        "inputs": [[port.name, port.type, list(port.shape)] for port in graph.inputs],
        "outputs": [[port.name, port.type, list(port.shape)] for port in graph.outputs],
        "nodes": [[n.operator, list(n.inputs), list(n.outputs), _attributes(n), n.domain, n.name] for n in graph.nodes],
        "constants": {name: _constant(value) for name, value in graph.constants.items()},
        "opsets": dict(graph.opsets),
        "metadata": dict(graph.metadata),
    }


def from_plain(said: Mapping[str, Any]) -> Graph:
    """Return the graph that :func:`to_plain` wrote."""
    return Graph(
        tuple(Port(name, type_, tuple(shape)) for name, type_, shape in said["inputs"]),
        tuple(Port(name, type_, tuple(shape)) for name, type_, shape in said["outputs"]),
        tuple(
            Node(operator, tuple(inputs), tuple(outputs), {k: _value(v) for k, v in attributes.items()}, domain, name)
            for operator, inputs, outputs, attributes, domain, name in said["nodes"]
        ),
        {name: _value(value) for name, value in said["constants"].items()},
        said["opsets"],
        said["metadata"],
    )


def _attributes(node: Node) -> dict[str, Any]:
    return {k: _constant(v) if isinstance(v, np.ndarray) else v for k, v in node.attributes.items()}


def _constant(value: Any) -> dict[str, Any]:
    return {"dtype": value.dtype.name, "shape": list(value.shape), "values": value.ravel().tolist()}


def _value(said: Any) -> Any:
    if isinstance(said, dict):
        return np.array(said["values"], dtype=said["dtype"]).reshape(said["shape"])
    return said


def _cases() -> dict[str, tuple[Callable[[], Any], str, str]]:
    """Return a model, its rows and its target by the name of a graph."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import PCA
    from sklearn.feature_selection import SelectKBest
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import (
        Binarizer,
        KBinsDiscretizer,
        MaxAbsScaler,
        MinMaxScaler,
        OneHotEncoder,
        OrdinalEncoder,
        PolynomialFeatures,
        RobustScaler,
        StandardScaler,
        TargetEncoder,
    )
    from sklearn.svm import LinearSVC

    def regression() -> Any:
        return LogisticRegression(max_iter=2000)

    def table(encoder: Any, *before: Any) -> Any:
        scaled = make_pipeline(*before, StandardScaler())
        return make_pipeline(ColumnTransformer([("n", scaled, ["a", "b"]), ("c", encoder, ["c", "d"])]), regression())

    grouped = OneHotEncoder(min_frequency=90, handle_unknown="infrequent_if_exist")
    ordinal = ColumnTransformer([("o", OrdinalEncoder(), ["c"]), ("n", "passthrough", ["a"])])
    targets = ColumnTransformer([("o", TargetEncoder(random_state=0), ["c"]), ("n", StandardScaler(), ["a"])])
    union = FeatureUnion([("a", StandardScaler()), ("b", "passthrough")])
    return {
        "scaled": (lambda: make_pipeline(StandardScaler(), regression()), "numbers", "two"),
        "imputed": (lambda: make_pipeline(SimpleImputer(), regression()), "gaps", "two"),
        "clipped": (lambda: make_pipeline(MinMaxScaler(clip=True), regression()), "numbers", "two"),
        "union": (lambda: make_pipeline(MaxAbsScaler(), union, regression()), "numbers", "two"),
        "components": (lambda: make_pipeline(PCA(2), SelectKBest(k=1), regression()), "numbers", "two"),
        "products": (lambda: make_pipeline(PolynomialFeatures(2), regression()), "numbers", "two"),
        "binary_numbers": (lambda: make_pipeline(Binarizer(threshold=0.5), regression()), "numbers", "two"),
        "bins": (lambda: make_pipeline(KBinsDiscretizer(3, encode="onehot-dense"), regression()), "numbers", "two"),
        "softmax": (lambda: make_pipeline(MinMaxScaler(), regression()), "numbers", "three"),
        "one_vs_rest": (lambda: make_pipeline(RobustScaler(), OneVsRestClassifier(regression())), "numbers", "three"),
        "sgd": (
            lambda: make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
            "numbers",
            "two",
        ),
        "sgd_classes": (
            lambda: make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", alpha=0.1, random_state=0)),
            "numbers",
            "three",
        ),
        "calibrated": (lambda: CalibratedClassifierCV(regression(), ensemble=False), "numbers", "two"),
        "raw": (LinearSVC, "numbers", "two"),
        "raw_classes": (LinearSVC, "numbers", "three"),
        "columns": (regression, "numbers", "two"),
        "columns_classes": (regression, "numbers", "three"),
        "levels": (lambda: table(OneHotEncoder(handle_unknown="ignore"), SimpleImputer()), "table", "two"),
        "levels_classes": (lambda: table(OneHotEncoder(handle_unknown="ignore")), "table", "three"),
        "dropped": (lambda: table(OneHotEncoder(drop="first")), "table", "two"),
        "infrequent": (lambda: table(grouped), "table", "two"),
        "ordinal": (lambda: make_pipeline(ordinal, regression()), "table", "two"),
        "targets": (lambda: make_pipeline(targets, regression()), "table", "two"),
    }


def _rows() -> tuple[dict[str, Any], dict[str, Any]]:
    import pandas as pd

    random = np.random.default_rng(7)
    n = 400
    numbers = np.column_stack([random.normal(size=n), random.normal(5, 100, n)]).astype(np.float32).astype(np.float64)
    frame = pd.DataFrame({"a": numbers[:, 0], "b": numbers[:, 1]})
    frame["c"], frame["d"] = random.choice(["x", "y y", "ž"], n), random.integers(0, 4, n)
    drift = numbers[:, 0] + (frame["c"] == "x") + random.normal(size=n)
    two = np.where(drift > 0.3, "late", "on time")
    three = np.where(drift > 1, "hi", np.where(drift > 0, "mid", "lo"))
    gaps = np.where(random.random(numbers.shape) < 0.1, np.nan, numbers)
    return {"numbers": numbers, "gaps": gaps, "table": frame}, {"two": two, "three": three}


def main(names: Sequence[str] = ()) -> None:
    """Write every graph, or those whose names are given."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

    from pipeline.conversion.onnx.protobuf import decode

    GRAPHS.mkdir(exist_ok=True)
    rows, targets = _rows()
    for name, (make, data, target) in _cases().items():
        if names and name not in names:
            continue
        model, given = make().fit(rows[data], targets[target]), rows[data]
        for ending, numbers in (("float", FloatTensorType), ("double", DoubleTensorType)):
            types: list[tuple[str, Any]] = [("X", numbers([None, 2]))]
            if data == "table":
                types = [(each, numbers([None, 1])) for each in ("a", "b")]
                types += [("c", StringTensorType([None, 1])), ("d", Int64TensorType([None, 1]))]
            try:
                options = {id(model): OPTIONS[name]} if name in OPTIONS else None
                made = to_onnx(model, initial_types=types, target_opset=18, options=options)
                scores = _scores(made, given[:ROWS], data, np.float32 if ending == "float" else np.float64)
            except Exception as error:  # noqa: BLE001 - sklearn-onnx and onnxruntime refuse some in float64
                print(f"{name}_{ending}: {type(error).__name__}")
                continue
            path = GRAPHS / f"{name}_{ending}.onnx"
            path.write_bytes(made.SerializeToString())
            said = {"graph": to_plain(decode(path, path.read_bytes())), "rows": _columns(given[:ROWS], data)}
            said["probabilities"] = scores.tolist()
            path.with_suffix(".json").write_text(json.dumps(said, ensure_ascii=False) + "\n")


def _columns(given: Any, data: str) -> dict[str, list[Any]]:
    if data == "table":
        return {name: given[name].tolist() for name in given}
    said = {f"column_{i}": given[:, i].tolist() for i in range(given.shape[1])}
    return {name: [None if value != value else value for value in values] for name, values in said.items()}


def _scores(made: Any, given: Any, data: str, dtype: Any) -> Any:
    """Return what onnxruntime gives for the input of ZipMap, or for the output of scores."""
    import onnx

    from pipeline.conversion.onnx.scoring import runtime

    model = onnx.load_from_string(made.SerializeToString())
    zipped = [node for node in model.graph.node if node.op_type == "ZipMap"]
    output = zipped[0].input[0] if zipped else "probabilities"
    for node in zipped:
        model.graph.node.remove(node)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(output))
    feeds = (
        {"X": given.astype(dtype)}
        if data != "table"
        else {
            **{name: given[[name]].to_numpy().astype(dtype) for name in ("a", "b")},
            "c": given[["c"]].to_numpy().astype(object),
            "d": given[["d"]].to_numpy(),
        }
    )
    session = runtime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run([output], {each.name: feeds[each.name] for each in session.get_inputs()})
    return scores.astype(np.float64)


if __name__ == "__main__":
    main(sys.argv[1:])
