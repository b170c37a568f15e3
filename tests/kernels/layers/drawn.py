"""Layers, rows and lengths drawn from raw bits, which are the same with every version of numpy."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.layers import DenseLayer, GruLayer, LstmLayer, by_tiles

Array = npt.NDArray[Any]

KINDS = ("dense", "lstm", "gru")
# Those that PyTorch has, and that take any number.
FUNCTIONS = (
    *(None, "sigmoid", "tanh", "relu", "leaky_relu", "softplus", "silu", "hard_sigmoid", "gelu", "gelu_tanh", "elu"),
    "softmax",
)


def uniform(shape: tuple[int, ...], seed: int, dtype: Any = np.float64, within: float = 1.0) -> Array:
    """Return numbers of float32 between minus a limit and the limit, in any type."""
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))) >> np.uint64(11)
    return (within * (np.ldexp(raw.astype(np.float64), -52) - 1)).reshape(shape).astype(np.float32).astype(dtype)


@dataclass(frozen=True)
class Case:
    """Layers of one kind on top of each other, and what they are given."""

    number: int
    kind: str
    sizes: tuple[int, ...]
    rows: int
    steps: int
    functions: tuple[str | None, ...]
    is_ragged: bool
    reset_after: bool = True

    def weights(self, dtype: Any) -> list[list[Array]]:
        """Return the weights of each layer in the order of its fields."""
        gates = {"dense": 1, "lstm": 4, "gru": 3}[self.kind]
        drawn = []
        for layer, (inputs, units) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            all_units = gates * units
            recurrent = [(all_units, units)] if gates > 1 else []
            shapes = [(all_units, inputs), *recurrent, (all_units,), *([(all_units,)] if gates > 1 else [])]
            seeds = (1_000 * self.number + 10 * layer + place for place in range(4))
            # As PyTorch initialises. With larger ones states are chaotic, and its own float32 is further off than 1e-6.
            limits = [1 / math.sqrt(shape[-1] if len(shape) == 2 else units) for shape in shapes]
            drawn.append([uniform(*each[:2], dtype, each[2]) for each in zip(shapes, seeds, limits, strict=False)])
        return drawn

    def inputs(self, dtype: Any) -> Array:
        shape = (self.rows, self.sizes[0]) if self.kind == "dense" else (self.rows, self.steps, self.sizes[0])
        return uniform(shape, 1_000 * self.number + 999, dtype, within=2.0)

    def lengths(self) -> Array | None:
        if not self.is_ragged:
            return None
        drawn = np.random.Philox(key=1_000 * self.number + 998).random_raw(self.rows)
        return (drawn % np.uint64(self.steps + 1)).astype(np.int64)

    def outputs(self, dtype: Any) -> Array:
        """Return what our layers give: of dense ones the last values, of others the states of every step."""
        x, lengths = self.inputs(dtype), self.lengths()
        if self.kind == "dense":
            layers = [DenseLayer(*w, function) for w, function in zip(self.weights(dtype), self.functions, strict=True)]
            result = np.empty((self.rows, self.sizes[-1]), dtype)
            by_tiles(lambda tile: (_through(layers, tile),), (x,), (result,))
            return result
        made = LstmLayer if self.kind == "lstm" else partial(GruLayer, reset_after=self.reset_after)
        cells = [made(*weights) for weights in self.weights(dtype)]
        given = (x,) if lengths is None else (x, lengths)
        result = np.empty((self.rows, self.steps, self.sizes[-1]), dtype)
        by_tiles(lambda tile, *ends: (_through(cells, tile, *ends, every_step=True),), given, (result,))
        return result


def _through(layers: Any, tile: Array, *lengths: Array, **options: bool) -> Array:
    for layer in layers:
        tile = layer.outputs(tile, *lengths, **options)
    return tile


def drawn_cases(count: int) -> list[Case]:
    """Return so many cases, the kinds in turn."""
    chooser = random.Random(18)
    return [_case(number, chooser) for number in range(count)]


def _case(number: int, chooser: random.Random) -> Case:
    kind = KINDS[number % len(KINDS)]
    layers = chooser.randint(1, 3)
    return Case(
        number=number,
        kind=kind,
        sizes=tuple(chooser.choice((1, 2, 3, 5, 8, 17, 32)) for _ in range(layers + 1)),
        rows=chooser.choice((0, 1, 2, 7, 1023, 1024, 1025, 2100)),
        steps=chooser.choice((1, 2, 3, 9, 20)),
        functions=tuple(chooser.choice(FUNCTIONS) for _ in range(layers)),
        is_ragged=chooser.random() < 0.5,
    )


CASES = drawn_cases(100)
