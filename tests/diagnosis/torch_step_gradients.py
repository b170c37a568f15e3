"""What PyTorch's autograd says of a network over sequences, in float64, row by row.

Values for everyday tests are stored beside this file:

python -m tests.diagnosis.torch_step_gradients > tests/diagnosis/stored_step_gradients.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from pipeline.kernels.layers import GruLayer, LstmLayer, RecurrentLayer
from tests.kernels.layers.torch_through_time import KINDS, NAMES, POOLINGS, pooled, steps_of_row
from tests.models.network.networks import Tensors, drawn_steps

LENGTHS = (4, 1, 9, 0, 4, 12, 3, 2)
CASES = tuple(product(KINDS, POOLINGS, (1, 3)))


def recurrent_layers(kind: str, tensors: Tensors) -> list[RecurrentLayer]:
    count = sum(name.endswith(".input_weight") for name in tensors)
    made: list[RecurrentLayer] = []
    for number in range(count):
        given = [tensors[f"r{number}.{name}"].astype(np.float64) for name in NAMES]
        made.append(LstmLayer(*given) if kind == "lstm" else GruLayer(*given, reset_after=kind == "gru"))
    return made


def by_autograd(
    kind: str, tensors: Tensors, rows: Sequence[np.ndarray], codes: np.ndarray | None, pooling: str
) -> dict[str, Any]:
    """Return the norms of each layer, and those through time, the last step of each row last, over rows with steps."""
    import torch

    layers = recurrent_layers(kind, tensors)
    held = [{name: torch.tensor(getattr(each, name), requires_grad=True) for name in NAMES} for each in layers]
    weight = torch.tensor(tensors["0.weight"].astype(np.float64), requires_grad=True)
    bias = torch.tensor(tensors["0.bias"].astype(np.float64))
    norms: list[list[float]] = [[] for _ in range(len(layers) + 1)]
    steps: list[dict[int, list[float]]] = [{} for _ in layers]
    values: list[list[float]] = [[] for _ in layers]
    losses = []
    for place, row in enumerate(rows):
        states: Any = [torch.tensor(step) for step in row]
        arguments: list[list[Any]] = []
        for number, layer in enumerate(layers):
            arguments.append([])
            states = steps_of_row(layer, held[number], states, arguments[-1])
            values[number] += [float(each) for state in states for each in state.detach()]
        raw = torch.nn.functional.linear(pooled(states, layers[-1].units, pooling), weight, bias)
        raw.retain_grad()
        loss = loss_of(raw, None if codes is None else int(codes[place]))
        loss.backward()
        losses.append(float(loss.detach()))
        norms[-1].append(float(raw.grad.norm()))
        for number, of_layer in enumerate(arguments):
            found = [float(torch.cat([part.grad for part in parts_of(z)]).norm()) for z in of_layer]
            norms[number].append(float(np.linalg.norm(found)))
            for back, norm in enumerate(reversed(found)):
                steps[number].setdefault(back, []).append(norm)
    weights = [np.concatenate([each[name].grad.numpy().ravel() for name in NAMES[:2]]) for each in held]
    return {
        "norm": [float(np.mean(each)) for each in norms],
        "weight_gradient": [
            float(np.linalg.norm(each)) / len(rows) for each in (*weights, weight.grad.numpy().ravel())
        ],
        "steps": [[float(np.mean(each[back])) for back in sorted(each, reverse=True)] for each in steps],
        "mean_activation": [float(np.mean(each)) for each in values],
        "loss": float(np.mean(losses)),
    }


def parts_of(z: Any) -> tuple[Any, ...]:
    return z if isinstance(z, tuple) else (z,)


def loss_of(raw: Any, code: int | None) -> Any:
    import torch

    if code is None:
        return raw.sum()
    if len(raw) == 1:
        return torch.nn.functional.binary_cross_entropy_with_logits(raw[0], torch.tensor(float(code)).double())
    return torch.nn.functional.cross_entropy(raw[None], torch.tensor([code]))


def stored_rows() -> list[np.ndarray]:
    generator = np.random.Generator(np.random.Philox(18))
    return [generator.normal(0, 1, (length, 3)) for length in LENGTHS]


def main() -> None:
    import torch

    found: dict[str, Any] = {"torch": torch.__version__}
    for kind, pooling, outputs in CASES:
        tensors = drawn_steps(kind.partition(" ")[0], (3, 6, 5, outputs))
        codes = np.arange(len(LENGTHS)) % max(2, outputs)
        found[f"{kind}, {pooling}, {outputs}"] = by_autograd(kind, tensors, stored_rows(), codes, pooling)
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    main()
