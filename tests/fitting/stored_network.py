"""What PyTorch makes of one epoch, with the rows in the order of ``fit-network`` and the same initial weights.

Written anew with ``python -m tests.fitting.stored_network``, which needs PyTorch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.fitting.network.hidden import parse_hidden
from pipeline.fitting.network.layers import NetworkShape, drawn
from pipeline.fitting.network.order import BatchCutter, chunk_order
from pipeline.fitting.network.rows import LearningRows
from pipeline.fitting.network.wishes import LearningWishes

STORED = Path(__file__).with_name("data") / "network_epochs.json"
ROWS, CHUNK, BATCH, SEED = 1_000, 128, 48, 7
HIDDEN = "6 sigmoid, 4 tanh"
LEVELS = ("b", "c", "a")


@dataclass(frozen=True)
class EpochCase:
    """Options of ``fit_network``, and what PyTorch needs to do the same."""

    classes: int
    optimizer: str
    options: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "sgd": EpochCase(2, "sgd", {"learning_rate": 0.3, "momentum": 0.8}),
    "adam": EpochCase(2, "adam", {"learning_rate": 0.02}),
    "sgd, three classes, clipped": EpochCase(3, "sgd", {"learning_rate": 0.5, "momentum": 0.9, "clip": 0.05}),
    "adam, weights and l2": EpochCase(2, "adam", {"learning_rate": 0.01, "l2": 0.01, "weight": "w"}),
}


def table(classes: int) -> pa.Table:
    """Return rows whose class depends on two numbers and a level."""
    chance = np.random.Generator(np.random.Philox(5))
    x = chance.normal(size=(ROWS, 2)) * [10.0, 0.1] + [3.0, -1.0]
    level = chance.integers(0, 3, ROWS)
    raw = (x[:, 0] - 3) / 10 + (x[:, 1] + 1) * 10 + level - 1 + chance.normal(size=ROWS)
    y = np.digitize(raw, [0.0] if classes == 2 else [-0.7, 0.7])
    names = pa.array(np.array(["a", "b", "c"])[level])
    return pa.table({"x0": x[:, 0], "x1": x[:, 1], "c": names, "w": chance.uniform(0.5, 2, ROWS), "y": y})


def write(folder: Path, classes: int) -> Path:
    """Write the rows as a file with a row group for each chunk."""
    path = folder / f"rows{classes}.parquet"
    pq.write_table(table(classes), path, row_group_size=CHUNK)
    return path


def fit_options(case: EpochCase) -> dict[str, Any]:
    """Return the arguments of ``fit_network`` for one epoch."""
    return {
        "target": "y",
        "features": "x0, C(c), x1",
        "hidden": HIDDEN,
        "epochs": 1,
        "batch_rows": BATCH,
        "chunk_size": CHUNK,
        "seed": SEED,
        "optimizer": case.optimizer,
        **case.options,
    }


def learning_rows(classes: int, weighted: bool) -> LearningRows:
    """Return the rows as a network gets them: numbers standardised, the most frequent level first."""
    rows = table(classes)
    weights = rows["w"].to_numpy() if weighted else np.ones(ROWS)
    numbers = np.column_stack([rows["x0"].to_numpy(), rows["x1"].to_numpy()])
    mean = np.average(numbers, axis=0, weights=weights)
    deviation = np.sqrt(np.average((numbers - mean) ** 2, axis=0, weights=weights))
    names = rows["c"].to_pylist()
    order = sorted(set(names), key=lambda name: (-names.count(name), name))
    codes = np.array([[order.index(name)] for name in names], dtype=np.int32)
    return LearningRows(
        (numbers - mean) / deviation, codes, rows["y"].to_numpy().astype(np.intp), weights if weighted else None
    )


def batches(rows: LearningRows) -> Iterator[LearningRows]:
    """Yield the mini-batches of the first epoch."""
    cutter = BatchCutter(SEED, 1, BATCH)
    for chunk in chunk_order(SEED, 1, -(-ROWS // CHUNK)):
        yield from cutter.add(rows.taken(slice(chunk * CHUNK, (chunk + 1) * CHUNK)))
    yield from cutter.end()


def one_epoch(case: EpochCase) -> list[np.ndarray]:
    """Return weight and bias of each layer after one epoch of PyTorch."""
    import torch

    torch.set_num_threads(1)
    learning = LearningWishes(parse_hidden(HIDDEN), seed=SEED)
    shape = NetworkShape.of(learning, 5, case.classes)
    initial = [array for pair in shape.views(drawn(shape, learning)) for array in pair]
    parameters = [torch.tensor(array, requires_grad=True) for array in initial]
    rate = case.options["learning_rate"]
    optimizer: Any = torch.optim.Adam(parameters, lr=rate)
    if case.optimizer == "sgd":
        optimizer = torch.optim.SGD(parameters, lr=rate, momentum=case.options["momentum"])
    for batch in batches(learning_rows(case.classes, "weight" in case.options)):
        optimizer.zero_grad()
        _loss(torch, parameters, batch, case).backward()
        if clip := case.options.get("clip"):
            norm = torch.sqrt(sum((each.grad**2).sum() for each in parameters))
            for each in parameters:
                each.grad *= min(1.0, clip / float(norm))
        optimizer.step()
    return [each.detach().numpy() for each in parameters]


def _loss(torch: Any, parameters: list[Any], batch: LearningRows, case: EpochCase) -> Any:
    functional = torch.nn.functional
    one_hot = functional.one_hot(torch.tensor(batch.levels[:, 0].astype(np.int64)), 3)
    values = torch.cat([torch.tensor(batch.numbers), one_hot.double()], dim=1)
    values = torch.sigmoid(functional.linear(values, *parameters[:2]))
    values = torch.tanh(functional.linear(values, *parameters[2:4]))
    raw = functional.linear(values, *parameters[4:])
    target = torch.tensor(batch.classes)
    if case.classes == 2:
        losses = functional.binary_cross_entropy_with_logits(raw[:, 0], target.double(), reduction="none")
    else:
        losses = functional.cross_entropy(raw, target, reduction="none")
    weights = torch.ones_like(losses) if batch.weights is None else torch.tensor(batch.weights)
    penalty = sum((weight**2).sum() for weight in parameters[::2]) * case.options.get("l2", 0.0) / 2
    return (losses * weights).sum() / weights.sum() + penalty


def main() -> None:
    """Write the file, or with ``-`` print what it would have."""
    found = {name: [array.tolist() for array in one_epoch(case)] for name, case in CASES.items()}
    text = json.dumps(found, indent=1) + "\n"
    if sys.argv[1:] == ["-"]:
        print(text)
    else:
        STORED.write_text(text)


if __name__ == "__main__":
    main()
