"""Makes the graphs of ``graphs/`` with the exporters of PyTorch and sklearn-onnx, and what these tools give for rows.

    PYTHONPATH=. python tests/conversion/networks/make_networks.py [NAME ...]

Needs torch, onnxscript, scikit-learn, skl2onnx and onnx. Each graph is stored as it is (``NAME.onnx``) and as plain
values with rows and probabilities (``NAME.json``), so that graphs can be read without the package onnx. What PyTorch
notes about lines of Python in a graph is left out.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conversion.onnx.protobuf import decode
from tests.conversion.onnx.make_graphs import to_plain

GRAPHS = Path(__file__).parent / "graphs"
ROWS = 8
COLUMNS = 4


def drawn() -> np.ndarray:
    """Return rows of float32."""
    generator = np.random.Generator(np.random.Philox(18))
    return generator.normal(0, 2, (ROWS, COLUMNS)).astype(np.float32)


def _torch_networks() -> dict[str, Any]:
    import torch
    from torch import nn

    torch.manual_seed(18)

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(COLUMNS, 6), nn.BatchNorm1d(6)
            self.second, self.third = nn.Linear(6, 5, bias=False), nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            hidden = nn.functional.gelu(self.norm(self.first(x)))
            return torch.softmax(self.third(nn.functional.silu(self.second(hidden))), 1)

    functions = (nn.GELU(approximate="tanh"), nn.LeakyReLU(0.2), nn.ELU(0.5), nn.LogSigmoid(), nn.Softplus())
    hidden = [layer for function in (*functions, nn.Hardsigmoid()) for layer in (nn.Linear(4, 4), function)]
    normed = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3))
    return {
        "mlp": nn.Sequential(
            *(nn.Linear(COLUMNS, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 1)),
            *(nn.Sigmoid(), nn.Flatten(0)),
        ),
        "gated": Gated(),
        "functions": nn.Sequential(*hidden, nn.Linear(4, 1)),
        "normed": nn.Sequential(*normed, nn.LogSoftmax(1)),
    }


def _ready(network: Any) -> Any:
    """Return a network whose normalisations have learnt something, in evaluation mode."""
    import torch

    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            for tensor, least, most in ((layer.running_mean, -1, 1), (layer.running_var, 0.5, 2)):
                tensor.uniform_(least, most)
            layer.weight.data.uniform_(0.5, 2)
            layer.bias.data.uniform_(-1, 1)
    return network.eval()


def _by_torch(network: Any, rows: np.ndarray) -> np.ndarray:
    """Return the probabilities of a network in float64; it may end in sums or in logarithms."""
    import torch

    with torch.no_grad():
        made = network.double()(torch.from_numpy(rows).double())
        last = type(network[-1]).__name__ if isinstance(network, torch.nn.Sequential) else ""
        made = {"Linear": torch.sigmoid, "LogSoftmax": torch.exp}.get(last, lambda values: values)(made)
    found: np.ndarray = made.numpy()
    return found


def torch_case(name: str, *, dynamo: bool, is_dynamic: bool, opset: int | None = None) -> dict[str, Any]:
    """Write a graph with one of the two exporters of PyTorch, and return rows and probabilities."""
    import torch

    network, rows = _ready(_torch_networks()[name]), drawn()
    path = GRAPHS / f"{case_name(name, dynamo=dynamo, is_dynamic=is_dynamic, opset=opset)}.onnx"
    options: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"], "dynamo": dynamo, "opset_version": opset}
    if is_dynamic and dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim("rows")},)
    elif is_dynamic:
        options["dynamic_axes"] = {"x": {0: "rows"}, "y": {0: "rows"}}
    options |= {"external_data": False, "verbose": False} if dynamo else {}
    torch.onnx.export(network, (torch.from_numpy(rows if is_dynamic else rows[:1]),), str(path), **options)
    _without_notes(path)
    columns = {f"column_{place}": rows[:, place].tolist() for place in range(rows.shape[1])}
    return {
        "tools": [f"torch {torch.__version__}"],
        "rows": columns,
        "probabilities": _by_torch(network, rows).tolist(),
    }


def _without_notes(path: Path) -> None:
    import onnx

    model = onnx.load(str(path))
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.metadata_props[:]
    onnx.save(model, str(path))


def case_name(name: str, *, dynamo: bool, is_dynamic: bool, opset: int | None = None) -> str:
    return f"{name}_{'dynamo' if dynamo else 'legacy'}_{'dynamic' if is_dynamic else 'fixed'}{opset or ''}"


def sklearn_case(name: str, dtype: type[np.floating[Any]], make: Callable[[], Any], classes: int) -> dict[str, Any]:
    """Write a graph with sklearn-onnx, and return rows and probabilities."""
    from skl2onnx import to_onnx

    generator = np.random.Generator(np.random.Philox(19))
    known = generator.normal(3, 2, (200, COLUMNS)).astype(dtype)
    sums = known[:, 0] + known[:, 1] ** 2 / 4
    target = np.digitize(sums, [5, 9]) if classes == 3 else np.where(sums > 7, "late", "on time")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = make().fit(known, target)
    rows = drawn().astype(dtype)
    (GRAPHS / f"{name}.onnx").write_bytes(to_onnx(estimator, known[:1]).SerializeToString())
    columns = {f"column_{place}": rows[:, place].tolist() for place in range(COLUMNS)}
    tools = [f"scikit-learn {version('scikit-learn')}", f"skl2onnx {version('skl2onnx')}"]
    return {"tools": tools, "rows": columns, "probabilities": estimator.predict_proba(rows).tolist()}


def cases() -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what writes each graph, by its name."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    def classifier(function: str, *hidden: int) -> Any:
        return MLPClassifier(hidden, activation=function, max_iter=60, random_state=0)

    made: dict[str, Callable[[], dict[str, Any]]] = {}
    for name, dynamo, is_dynamic, opset in (
        ("mlp", False, False, None),
        ("mlp", True, True, None),
        ("gated", False, True, 14),
        ("gated", True, False, 18),
        ("functions", False, False, 14),
        ("functions", True, True, None),
        ("normed", False, True, None),
        ("normed", True, True, None),
    ):
        said = {"dynamo": dynamo, "is_dynamic": is_dynamic, "opset": opset}
        made[case_name(name, **said)] = lambda name=name, said=said: torch_case(name, **said)
    for dtype in (np.float32, np.float64):
        ending = np.dtype(dtype).name
        for name, make, classes in (
            ("sklearn_two", lambda: classifier("relu", 6, 5), 2),
            ("sklearn_scaled", lambda: make_pipeline(StandardScaler(), classifier("tanh", 6)), 3),
            ("sklearn_logistic", lambda: make_pipeline(MinMaxScaler(), classifier("logistic", 4)), 2),
        ):
            whole = f"{name}_{ending}"
            made[whole] = lambda n=whole, d=dtype, m=make, c=classes: sklearn_case(n, d, m, c)
    return made


def main(wanted: list[str]) -> None:
    GRAPHS.mkdir(exist_ok=True)
    for name, make in cases().items():
        if wanted and name not in wanted:
            continue
        said = make()
        path = GRAPHS / f"{name}.onnx"
        said["graph"] = to_plain(decode(path, path.read_bytes()))
        (GRAPHS / f"{name}.json").write_text(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
