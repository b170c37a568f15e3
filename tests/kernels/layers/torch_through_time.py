"""What PyTorch's autograd says of recurrent layers in float64. Some of it is stored beside this file:

python -m tests.kernels.layers.torch_through_time > tests/kernels/layers/stored_through_time.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.kernels.layers import GruLayer, LstmLayer, RecurrentLayer

NAMES = ("input_weight", "hidden_weight", "input_bias", "hidden_bias")
KINDS = ("lstm", "gru", "gru before")
POOLINGS = ("last", "mean", "max")


def drawn_layer(kind: str, inputs: int, units: int, seed: int) -> RecurrentLayer:
    generator = np.random.Generator(np.random.Philox(seed))
    gates = 4 if kind == "lstm" else 3
    weights = [
        generator.normal(0, 0.6, shape)
        for shape in ((gates * units, inputs), (gates * units, units), (gates * units,), (gates * units,))
    ]
    return LstmLayer(*weights) if kind == "lstm" else GruLayer(*weights, reset_after=kind == "gru")


def drawn_steps(steps: int, inputs: int, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs, shape (steps, inputs, rows), and how many steps each row has."""
    generator = np.random.Generator(np.random.Philox(seed + 1))
    return generator.normal(0, 1.5, (steps, inputs, rows)), generator.integers(0, steps + 1, rows)


def steps_of_row(layer: RecurrentLayer, held: dict[str, Any], x: Any, arguments: list[Any]) -> list[Any]:
    """Return the hidden states of one row, shape (units,) each; the arguments of the gates are noted, step by step."""
    import torch

    h = c = torch.zeros(layer.units, dtype=torch.float64)
    w, u, a, b = (held[name] for name in NAMES)
    found = []
    for step in x:
        if isinstance(layer, LstmLayer):
            z = w @ step + a + u @ h + b
            z.retain_grad()
            i, f, g, o = z.chunk(4)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        else:
            units = layer.units
            n_u, n_b = u[2 * units :], b[2 * units :]
            both = (w @ step + a)[: 2 * units] + u[: 2 * units] @ h + b[: 2 * units]
            both.retain_grad()
            r, update = torch.sigmoid(both).chunk(2)
            after = r * (n_u @ h + n_b) if layer.reset_after else n_u @ (r * h) + n_b
            new = (w @ step + a)[2 * units :] + after
            new.retain_grad()
            z = (both, new)
            h = (1 - update) * torch.tanh(new) + update * h
        arguments.append(z)
        found.append(h)
    return found


def pooled(states: list[Any], units: int, pooling: str) -> Any:
    import torch

    if not states:
        return torch.zeros(units, dtype=torch.float64)
    stacked = torch.stack(states)
    return {"last": lambda x: x[-1], "mean": lambda x: x.mean(0), "max": lambda x: x.max(0).values}[pooling](stacked)


def by_autograd(
    layer: RecurrentLayer, inputs: np.ndarray, lengths: np.ndarray, pooling: str, error: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the derivatives of the sum of error times pooled states: by inputs, weights and arguments of gates."""
    import torch

    held = {name: torch.tensor(getattr(layer, name), requires_grad=True) for name in NAMES}
    signals = np.zeros((len(inputs), layer.gates * layer.units, inputs.shape[2]))
    of_inputs = np.zeros_like(inputs)
    for row, length in enumerate(lengths):
        x = torch.tensor(inputs[:length, :, row], requires_grad=True)
        arguments: list[Any] = []
        states = steps_of_row(layer, held, x, arguments)
        (pooled(states, layer.units, pooling) * torch.tensor(error[:, row])).sum().backward() if length else None
        if length:
            of_inputs[:length, :, row] = x.grad.numpy()
        for step, z in enumerate(arguments):
            parts = z if isinstance(z, tuple) else (z,)
            signals[step, :, row] = np.concatenate([part.grad.numpy() for part in parts])
    zero = {name: np.zeros_like(getattr(layer, name)) for name in NAMES}
    weights = {name: zero[name] if each.grad is None else each.grad.numpy() for name, each in held.items()}
    return {"signals": signals, "inputs": of_inputs, **weights}


def stored_cases() -> Iterator[tuple[str, str, RecurrentLayer, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield layers, and what is sent through them."""
    for number, (kind, pooling) in enumerate((kind, pooling) for kind in KINDS for pooling in POOLINGS):
        inputs, lengths = drawn_steps(4, 3, 4, number)
        error = np.random.Generator(np.random.Philox(99)).normal(size=(3, 4))
        yield kind, pooling, drawn_layer(kind, 3, 3, number), inputs, lengths, error


def main() -> None:
    import torch

    found: dict[str, Any] = {"torch": torch.__version__}
    for kind, pooling, *given in stored_cases():
        gradients = by_autograd(given[0], given[1], given[2], pooling, given[3])
        found[f"{kind}, {pooling}"] = {name: np.round(each, 14).ravel().tolist() for name, each in gradients.items()}
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    main()
