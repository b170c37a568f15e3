"""Networks, the graphs that we write of them, and what onnxruntime makes of these, stored.

python -m tests.conversion.written_networks
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.conversion.onnx.network_graph import network_graph
from pipeline.models.network.model import NetworkModel
from tests.conversion.onnx.make_graphs import to_plain
from tests.models.network.networks import FUNCTIONS, categorical, drawn, layers, numeric, written

STORED = Path(__file__).parent / "data" / "networks.json"

CLASSES: dict[str, Any] = {"head": "softmax", "classes": ["a", "b", "c"]}
FEATURES = [
    numeric("x", center=2.0, scale=3.0),
    categorical("c", ["AA", "UA"], unseen="zero", missing={"level": "AA"}),
    numeric("y", missing={"impute": 1.5}),
]


def rows_of(count: int = 200, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 9, count), rng.normal(size=count)
    x[[3, 9, 10]] = np.nan, np.inf, -np.inf
    y[7] = np.nan
    return {"x": x, "y": y, "c": [["AA", "UA", "ZZ", None][number % 4] for number in range(count)]}


def of_functions(folder: Path, function: str, dtype: Any, outputs: int = 1) -> NetworkModel:
    described = layers(2, function, FUNCTIONS[function])
    other = CLASSES if outputs > 1 else {}
    return NetworkModel.load(
        written(folder, drawn([4, 6, outputs], dtype), features=FEATURES, layers=described, **other)
    )


def by_runtime(path: Path, feeds: dict[str, Any]) -> dict[str, Any]:
    from pipeline.conversion.onnx.scoring import runtime

    session = runtime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def column_feeds(rows: dict[str, Any]) -> dict[str, Any]:
    texts = np.array([each or "" for each in rows["c"]], dtype=object)
    return {"x": rows["x"][:, None], "y": rows["y"][:, None], "c": texts[:, None]}


def sequences_of(kind: str, pooling: str, *, reset_after: bool, biases: bool, dtype: Any) -> tuple[Any, Any]:
    """Return tensors, and what a model file says, of two recurrent layers over two sequences."""
    rng, gates = np.random.default_rng(0), {"lstm": 4, "gru": 3}[kind]
    tensors, described = {"d.weight": rng.normal(size=(1, 4))}, []
    for number, (inputs, units) in enumerate([(3, 5), (5, 4)]):
        layer = {"kind": kind} | ({} if kind == "lstm" or reset_after else {"reset_after": False})
        shapes = {"input_weight": (gates * units, inputs), "hidden_weight": (gates * units, units)}
        shapes |= {"input_bias": (gates * units,), "hidden_bias": (gates * units,)} if biases else {}
        for name, shape in shapes.items():
            tensors[f"{number}.{name}"] = rng.normal(0, 0.5, shape)
            layer[name] = f"{number}.{name}"
        described.append(layer)
    missing = "empty" if biases else "null"
    features = [
        {"column": "s", "kind": "sequence", "center": 0.5, "scale": 2, "missing": missing},
        {"column": "t", "kind": "sequence", "width": 2, "center": [0, 1], "missing": "empty"},
    ]
    features[0]["missing_step"] = {"impute": 0.25}
    last = [{"kind": "dropout"}, {"kind": pooling}, {"kind": "dense", "weight": "d.weight"}]
    said = {"features": features, "layers": [*described, *last], "steps": 9}
    return {name: tensor.astype(dtype) for name, tensor in tensors.items()}, said


def ragged(count: int = 300) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return rows as lists, and as the inputs of a graph."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 12, count)
    one = [rng.normal(size=length).tolist() for length in lengths]
    two = [rng.normal(size=(length, 2)).tolist() for length in lengths]
    long = np.flatnonzero(lengths > 3)
    one[long[0]][1], two[long[1]][2][0] = None, float("nan")
    padded = {"s": np.full((count, 11, 1), np.nan), "t": np.full((count, 11, 2), np.nan)}
    for row, length in enumerate(lengths):
        if length:
            padded["s"][row, :length, 0] = [np.nan if value is None else value for value in one[row]]
            padded["t"][row, :length] = two[row]
    lists = {"s": pa.array(one, pa.list_(pa.float64())), "t": pa.array(two, pa.list_(pa.list_(pa.float64())))}
    return lists, {**padded, "steps": lengths[:, None]}


def of_sequences(folder: Path, kind: str, pooling: str, *, reset_after: bool = True) -> NetworkModel:
    tensors, said = sequences_of(kind, pooling, reset_after=reset_after, biases=True, dtype=np.float32)
    return NetworkModel.load(written(folder, tensors, **said))


NETWORKS: Mapping[str, Callable[[Path], NetworkModel]] = {
    **{
        f"{function} {np.dtype(dtype)}": partial(of_functions, function=function, dtype=dtype)
        for function in FUNCTIONS
        for dtype in (np.float32, np.float64)
        if (function, dtype) != ("gelu", np.float64)
    },
    "classes float64": partial(of_functions, function="tanh", dtype=np.float64, outputs=3),
    "lstm float32": partial(of_sequences, kind="lstm", pooling="last"),
    "gru float32": partial(of_sequences, kind="gru", pooling="mean"),
    "gru of onnx float32": partial(of_sequences, kind="gru", pooling="max", reset_after=False),
}


def model_of(name: str, folder: Path) -> NetworkModel:
    return NETWORKS[name](folder)


def digest_of(model: NetworkModel) -> str:
    """Return a digest of the graph of a network."""
    return hashlib.sha256(json.dumps(to_plain(network_graph(model))).encode()).hexdigest()


def scores(model: NetworkModel) -> np.ndarray:
    """Return our probabilities of its rows, the first 40 of those that have at most 9 steps."""
    rows = fitting(ragged()[0]) if model.file.sequences else rows_of(40)
    found = model.predict_proba(rows)[:40]
    return found[:, 1:] if found.shape[1] == 2 else found


def fitting(lists: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rows with at most 9 steps."""
    fits = pa.array([len(each) <= 9 for each in lists["s"].to_pylist()])
    return {name: values.filter(fits) for name, values in lists.items()}


def main() -> None:
    """Write what onnxruntime makes of every network."""
    said = {}
    for name in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            model, path = model_of(name, Path(folder)), Path(folder) / "model.onnx"
            model.export("onnx", path)
            feeds = ragged()[1] if model.file.sequences else column_feeds(rows_of(40))
            if model.file.sequences:
                feeds = {key: value[feeds["steps"][:, 0] <= 9] for key, value in feeds.items()}
            found, graph = by_runtime(path, feeds)["probability"][:40], digest_of(model)
        rows = [[None if math.isnan(value) else value for value in row] for row in found.tolist()]
        said[name] = {"graph": graph, "probability": rows}
    STORED.write_text(json.dumps(said, indent=None) + "\n")


if __name__ == "__main__":
    main()
