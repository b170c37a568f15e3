"""Networks drawn from a seed and written as model files, and how PyTorch computes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Tensors = dict[str, np.ndarray]

FUNCTIONS: Mapping[str, Mapping[str, float]] = {
    "sigmoid": {},
    "log_sigmoid": {},
    "tanh": {},
    "relu": {},
    "leaky_relu": {"alpha": 0.2},
    "softplus": {},
    "silu": {},
    "hard_sigmoid": {},
    "gelu": {},
    "gelu_tanh": {},
    "elu": {"alpha": 0.5},
    "softmax": {},
}


def numeric(column: str, **other: Any) -> dict[str, Any]:
    return {"column": column, "kind": "numeric", **other}


def categorical(column: str, categories: Sequence[str], **other: Any) -> dict[str, Any]:
    return {"column": column, "kind": "categorical", "categories": list(categories), **other}


def sequence(column: str, **other: Any) -> dict[str, Any]:
    return {"column": column, "kind": "sequence", **other}


def recurrent(kind: str, name: str, **other: Any) -> dict[str, Any]:
    """Return an LSTM or a GRU with the tensors of a name."""
    members = ("input_weight", "hidden_weight", "input_bias", "hidden_bias")
    return {"kind": kind, **{member: f"{name}.{member}" for member in members}, **other}


def dense(name: str, function: str | None = None, **parameters: float) -> dict[str, Any]:
    layer: dict[str, Any] = {"kind": "dense", "weight": f"{name}.weight", "bias": f"{name}.bias"}
    if function is not None:
        layer["function"] = function
    return {**layer, "parameters": parameters} if parameters else layer


def drawn(widths: Sequence[int], dtype: type = np.float64, seed: int = 0) -> Tensors:
    """Return weights of dense layers called 0, 1, ... between so many columns."""
    generator = np.random.Generator(np.random.Philox(seed))
    tensors: Tensors = {}
    for number, (inputs, units) in enumerate(pairwise(widths)):
        tensors[f"{number}.weight"] = generator.normal(0, 1.5 / np.sqrt(inputs), (units, inputs)).astype(dtype)
        tensors[f"{number}.bias"] = generator.normal(0, 0.5, units).astype(dtype)
    return tensors


def drawn_steps(kind: str, widths: Sequence[int], dtype: type = np.float64, seed: int = 0) -> Tensors:
    """Return weights of recurrent layers called r0, r1, ... between so many columns, then of one dense layer, 0.

    The last width is that of the dense layer. Recurrent weights are those that PyTorch begins with; with larger ones a
    network of many steps may double a rounding error with each of them.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    gates = 4 if kind == "lstm" else 3
    tensors: Tensors = {}
    for number, (inputs, units) in enumerate(pairwise(widths[:-1])):
        for member, shape in (
            ("input_weight", (gates * units, inputs)),
            ("hidden_weight", (gates * units, units)),
            ("input_bias", (gates * units,)),
            ("hidden_bias", (gates * units,)),
        ):
            tensors[f"r{number}.{member}"] = (generator.uniform(-1, 1, shape) / np.sqrt(units)).astype(dtype)
    tensors["0.weight"] = generator.normal(0, 1, (widths[-1], widths[-2])).astype(dtype)
    tensors["0.bias"] = generator.normal(0, 1, widths[-1]).astype(dtype)
    return tensors


def step_layers(kind: str, count: int, pooling: str, **other: Any) -> list[dict[str, Any]]:
    """Return so many recurrent layers, a pooling and one dense layer."""
    return [*(recurrent(kind, f"r{number}", **other) for number in range(count)), {"kind": pooling}, dense("0")]


def layers(count: int, function: str | None, parameters: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Return so many dense layers, all with a function but the last."""
    hidden = [dense(str(number), function, **(parameters or {})) for number in range(count - 1)]
    return [*hidden, dense(str(count - 1))]


def content_of(tensors: Tensors) -> bytes:
    """Return the bytes of a weights file."""
    save = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed").save
    content: bytes = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    return content


def written(folder: Path, tensors: Tensors | bytes, **content: Any) -> Path:
    """Write a network and its weights into a folder, and return the path of the model file."""
    data = tensors if isinstance(tensors, bytes) else content_of(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(data)
    weights = {"file": "model.safetensors", "sha256": hashlib.sha256(data).hexdigest()}
    document = {"format": "logitstream-model", "version": 1, "kind": "network", "weights": weights, "head": "sigmoid"}
    path = folder / "model.json"
    path.write_text(json.dumps(document | content, indent=1))
    return path


def columns(count: int) -> list[dict[str, Any]]:
    """Return numeric features x0, x1, ... that are used as they are."""
    return [numeric(f"x{number}") for number in range(count)]


def by_torch(
    tensors: Tensors, rows: np.ndarray, function: str | None, parameters: Mapping[str, float] | None = None
) -> np.ndarray:
    """Return the raw predictions of PyTorch, shape (rows, outputs), in the type of the weights."""
    import torch

    functional = torch.nn.functional
    applied = {
        "sigmoid": torch.sigmoid,
        "log_sigmoid": functional.logsigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky_relu": lambda x, alpha: functional.leaky_relu(x, negative_slope=alpha),
        # By default it is the identity above 20, which is 2e-9 off.
        "softplus": lambda x: functional.softplus(x, threshold=700),
        "silu": functional.silu,
        "hard_sigmoid": functional.hardsigmoid,
        "gelu": functional.gelu,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "elu": functional.elu,
        "softmax": lambda x: torch.softmax(x, 1),
    }
    held = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    values = torch.from_numpy(rows).to(held["0.weight"].dtype)
    count = len(held) // 2
    for number in range(count):
        values = functional.linear(values, held[f"{number}.weight"], held[f"{number}.bias"])
        if function is not None and number < count - 1:
            values = applied[function](values, **(parameters or {}))
    return values.numpy()


def steps_by_torch(tensors: Tensors, kind: str, rows: Sequence[np.ndarray], pooling: str) -> np.ndarray:
    """Return the raw predictions of PyTorch, shape (rows, outputs), row by row; each row has shape (steps, inputs)."""
    import torch

    held = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    dtype, count = held["0.weight"].dtype, (len(held) - 2) // 4
    made = []
    for number in range(count):
        first = held[f"r{number}.input_weight"]
        units = held[f"r{number}.hidden_weight"].shape[1]
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](first.shape[1], units, batch_first=True, dtype=dtype)
        for name, member in (("weight_ih", "input_weight"), ("weight_hh", "hidden_weight")):
            getattr(layer, f"{name}_l0").data = held[f"r{number}.{member}"]
        for name, member in (("bias_ih", "input_bias"), ("bias_hh", "hidden_bias")):
            getattr(layer, f"{name}_l0").data = held[f"r{number}.{member}"]
        made.append(layer)
    found = []
    with torch.no_grad():
        for row in rows:
            values = torch.from_numpy(np.ascontiguousarray(row)).to(dtype)[None]
            if not len(row):
                pooled = torch.zeros(held["0.weight"].shape[1], dtype=dtype)
            else:
                for layer in made:
                    values = layer(values)[0]
                pooled = {"last": lambda x: x[-1], "mean": lambda x: x.mean(0), "max": lambda x: x.amax(0)}[pooling](
                    values[0]
                )
            found.append(torch.nn.functional.linear(pooled, held["0.weight"], held["0.bias"]).numpy())
    return np.array(found)
