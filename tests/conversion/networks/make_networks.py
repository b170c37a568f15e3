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
STEPS, WIDTH = 6, 3


def drawn() -> np.ndarray:
    """Return rows of float32."""
    generator = np.random.Generator(np.random.Philox(18))
    return generator.normal(0, 2, (ROWS, COLUMNS)).astype(np.float32)


def drawn_steps() -> np.ndarray:
    """Return sequences of float32, shape (rows, steps, numbers)."""
    generator = np.random.Generator(np.random.Philox(21))
    return generator.normal(0, 1, (ROWS, STEPS, WIDTH)).astype(np.float32)


def _torch_sequences() -> dict[str, Any]:
    """Return networks of sequences; the last word of a name says what is made of the steps."""
    import torch
    from torch import nn

    torch.manual_seed(22)

    class Steps(nn.Module):
        def __init__(self, kind: str, layers: int, pooling: str, classes: int = 1) -> None:
            super().__init__()
            self.is_first = pooling == "steps"
            self.recurrent = getattr(nn, kind)(WIDTH, 4, layers, batch_first=not self.is_first)
            self.last, self.pooling = nn.Linear(4, classes), pooling

        def forward(self, x: Any) -> Any:
            states, final = self.recurrent(x)
            pooled = {
                "last": lambda: states[:, -1],
                "cut": lambda: states[:, -1:, :].squeeze(1),
                "state": lambda: (final[0] if isinstance(final, tuple) else final)[-1],
                "mean": lambda: states.mean(dim=1),
                "max": lambda: states.max(dim=1).values,
                "steps": lambda: states[-1],
            }[self.pooling]()
            sums = self.last(torch.relu(pooled))
            return torch.sigmoid(sums) if sums.shape[-1] == 1 else torch.softmax(sums, -1)

    return {
        "lstm_last": Steps("LSTM", 1, "last"),
        "lstm_state": Steps("LSTM", 2, "state"),
        "lstm_cut": Steps("LSTM", 1, "cut"),
        "gru_mean": Steps("GRU", 1, "mean", 3),
        "gru_max": Steps("GRU", 2, "max"),
        "gru_steps": Steps("GRU", 1, "steps"),
    }


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

    network, rows = _ready((_torch_networks() | _torch_sequences())[name]), drawn()
    is_sequence, axis = hasattr(network, "recurrent"), int(getattr(network, "is_first", False))
    if is_sequence:
        rows = drawn_steps() if not axis else drawn_steps().transpose(1, 0, 2).copy()
    path = GRAPHS / f"{case_name(name, dynamo=dynamo, is_dynamic=is_dynamic, opset=opset)}.onnx"
    options: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"], "dynamo": dynamo, "opset_version": opset}
    if is_dynamic and dynamo:
        options["dynamic_shapes"] = ({axis: torch.export.Dim("rows")},)
    elif is_dynamic:
        open_axes = {axis: "rows", 1 - axis: "steps"} if is_sequence else {0: "rows"}
        options["dynamic_axes"] = {"x": open_axes, "y": {0: "rows"}}
    options |= {"external_data": False, "verbose": False} if dynamo else {}
    # A graph for a fixed number of rows is one for three of them; one of dense layers for one.
    some = rows if is_dynamic else rows[:, :3] if axis else rows[: 3 if is_sequence else 1]
    torch.onnx.export(network, (torch.from_numpy(some),), str(path), **options)
    _without_notes(path)
    columns = {"x": drawn_steps().tolist()} if is_sequence else _columns(rows)
    return {
        "tools": [f"torch {torch.__version__}"],
        "rows": columns,
        "probabilities": _by_torch(network, rows).tolist(),
    }


def _columns(rows: np.ndarray) -> dict[str, list[float]]:
    return {f"column_{place}": rows[:, place].tolist() for place in range(rows.shape[1])}


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
    columns = _columns(rows)
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
        ("lstm_last", False, True, 14),
        ("lstm_last", True, True, None),
        ("lstm_state", False, False, None),
        ("lstm_state", True, True, None),
        ("lstm_cut", True, False, 18),
        ("gru_mean", False, True, 17),
        ("gru_mean", True, True, None),
        ("gru_max", False, False, None),
        ("gru_max", True, False, None),
        ("gru_steps", False, True, None),
        ("gru_steps", True, True, None),
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
