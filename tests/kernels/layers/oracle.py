"""What PyTorch gives for a drawn case in float64, and the command that stores a corner of it.

    python -m tests.kernels.layers.oracle

writes ``torch.json`` beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.registry import FUNCTIONS
from tests.kernels.layers.drawn import CASES, Array, Case

STORED = Path(__file__).with_name("torch.json")
ROWS, UNITS = 3, 4


def corner(outputs: Array) -> Array:
    """Return a few of the last rows, and of a few units, behind the last step."""
    last = outputs[:, -1] if outputs.ndim == 3 else outputs
    return last[-ROWS:, :UNITS]


def by_torch(case: Case) -> Array:
    """Return the outputs in float64; behind the end of a row its last state."""
    import torch

    weights = [[torch.from_numpy(array) for array in layer] for layer in case.weights(np.float64)]
    x = torch.from_numpy(case.inputs(np.float64))
    with torch.no_grad():
        if case.kind == "dense":
            for (weight, bias), function in zip(weights, case.functions, strict=True):
                x = _function(torch, function)(torch.nn.functional.linear(x, weight, bias))
            return np.asarray(x)
        return _recurrent(torch, case, weights, x)


def _function(torch: Any, name: str | None) -> Any:
    if name is None:
        return lambda x: x
    entry = FUNCTIONS[name]
    function = torch
    for part in entry.torch.split("."):
        function = getattr(function, part)
    return lambda x: function(x, **entry.torch_options)


def _recurrent(torch: Any, case: Case, weights: Any, x: Any) -> Array:
    states = np.zeros((case.rows, case.steps, case.sizes[-1]))
    if not case.rows:
        return states
    lengths = case.lengths()
    ends = np.full(case.rows, case.steps) if lengths is None else lengths
    some = ends > 0
    for layer in weights:
        module = getattr(torch.nn, case.kind.upper())(layer[0].shape[1], layer[1].shape[1], batch_first=True).double()
        for parameter, weight in zip(module.parameters(), layer, strict=True):
            parameter.data = weight
        x = _packed(torch, module, x, ends, some)
    states[some] = np.asarray(x)[some]
    return states


def _packed(torch: Any, module: Any, x: Any, ends: Array, some: Array) -> Any:
    """Return the states of every step, which the rows without any leave at 0, and the last one behind the end."""
    steps = x.shape[1]
    result = torch.zeros((*x.shape[:2], module.hidden_size), dtype=torch.float64)
    if some.any():
        given = torch.nn.utils.rnn.pack_padded_sequence(
            x[some], torch.from_numpy(ends[some]), batch_first=True, enforce_sorted=False
        )
        found, _ = torch.nn.utils.rnn.pad_packed_sequence(module(given)[0], batch_first=True, total_length=steps)
        last = np.minimum(np.arange(steps), ends[some, np.newaxis] - 1)
        result[some] = torch.take_along_dim(found, torch.from_numpy(last)[:, :, np.newaxis], dim=1)
    return result


def main() -> None:
    lines = (f'"{case.number}": {json.dumps(corner(by_torch(case)).tolist())}' for case in CASES if case.rows)
    STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
