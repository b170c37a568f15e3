"""What PyTorch's autograd says of a network in float64: norms of error signals and gradients of weights.

Values for everyday tests are stored beside this file:

python -m tests.diagnosis.torch_gradients > tests/diagnosis/stored_gradients.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.models.network.networks import FUNCTIONS, Tensors, drawn

WIDTHS = (6, 12, 9, 7)
ROWS = 40
Found = dict[str, Any]


def activated(function: str | None, parameters: Mapping[str, float], z: Any) -> Any:
    """Return a function of the registry, as PyTorch has it."""
    import torch

    functional = torch.nn.functional
    if function is None:
        return z
    applied = {
        "sigmoid": lambda x, temperature=1.0, alpha=1.0, beta=0.0: torch.sigmoid((alpha * x + beta) / temperature),
        "log_sigmoid": functional.logsigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky_relu": lambda x, alpha: functional.leaky_relu(x, negative_slope=alpha),
        # By default it is the identity above 20, which is 2e-9 off.
        "softplus": lambda x: functional.softplus(x, threshold=700),
        "silu": functional.silu,
        # Its own has a slope of 1/6 in float32, which is off by 1e-8 of itself.
        "hard_sigmoid": lambda x: torch.clamp((x + 3) / 6, 0, 1),
        "gelu": functional.gelu,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "elu": functional.elu,
        "softmax": lambda x, temperature=1.0: torch.softmax(x / temperature, 1),
    }
    return applied[function](z, **parameters)


def by_autograd(
    tensors: Tensors,
    rows: np.ndarray,
    codes: np.ndarray | None,
    function: str | None,
    parameters: Mapping[str, float],
) -> Found:
    """Return the mean norm of dL/dz and the norm of the gradient of the mean loss in each layer, and the mean loss.

    The last layer has no function. Its head is the sigmoid if it has one unit, else the softmax.
    """
    import torch

    count = len(tensors) // 2
    held = {name: torch.tensor(tensor, dtype=torch.float64, requires_grad=True) for name, tensor in tensors.items()}
    values, sums, means = torch.tensor(rows, dtype=torch.float64), [], []
    for number in range(count):
        z = torch.nn.functional.linear(values, held[f"{number}.weight"], held[f"{number}.bias"])
        z.retain_grad()
        sums.append(z)
        values = activated(function if number < count - 1 else None, parameters, z)
        means.append(float(values.detach().mean()))
    raw = sums[-1]
    if codes is None:
        loss = raw.sum()
    elif raw.shape[1] == 1:
        y = torch.tensor(codes, dtype=torch.float64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(raw[:, 0], y, reduction="sum")
    else:
        loss = torch.nn.functional.cross_entropy(raw, torch.tensor(codes), reduction="sum")
    loss.backward()
    means[-1] = float((torch.sigmoid(raw) if raw.shape[1] == 1 else torch.softmax(raw, 1)).detach().mean())
    return {
        "norm": [float(z.grad.norm(dim=1).mean()) for z in sums],
        "weight_gradient": [float(held[f"{number}.weight"].grad.norm()) / len(rows) for number in range(count)],
        "mean_activation": means,
        "loss": float(loss.detach()) / len(rows),
    }


def stored_rows() -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that gradients were stored of, and a number of each from which its class follows."""
    generator = np.random.Generator(np.random.Philox(18))
    return generator.normal(0, 2, (ROWS, WIDTHS[0])), generator.integers(0, 60, ROWS)


def main() -> None:
    import torch

    rows, numbers = stored_rows()
    found = {
        function: {
            str(outputs): {
                loss: by_autograd(
                    drawn((*WIDTHS, outputs)), rows, numbers % max(2, outputs) if loss == "log" else None, function, of
                )
                for loss in ("log", "unit")
            }
            for outputs in (1, 3)
        }
        for function, of in FUNCTIONS.items()
    }
    json.dump({"torch": torch.__version__, "gradients": found}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
