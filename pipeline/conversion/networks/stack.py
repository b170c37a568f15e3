"""Layers one after the other, as a network of another tool is read: what a model file has no layer for is folded.

A multiple of a number plus a constant, such as that of a batch normalisation, is folded into the layer before it, or
waits and is folded into the one behind. Everything is folded in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape

Floats = npt.NDArray[np.float64]

# A function without a layer before it becomes a layer whose weights are 0 and 1, of which there are units times units.
_MOST_ALONE = 4096
_NO_LAYER = "put a dense layer before the function, or leave it out"
_AFTER_STEPS = (
    "sequences go through LSTM or GRU layers, then the last step, the mean or the largest over the steps, then through "
    "dense layers"
)


@dataclass(frozen=True, eq=False)
class StackedDense:
    """``function(weight x + bias)``; ``weight`` has shape (units, inputs)."""

    weight: Floats
    bias: Floats | None
    function: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StackedRecurrent:
    """An LSTM or a GRU, with weights as PyTorch has them: gates in the order i, f, g, o and r, z, n."""

    kind: Literal["lstm", "gru"]
    input_weight: Floats
    hidden_weight: Floats
    input_bias: Floats | None = None
    hidden_bias: Floats | None = None
    reset_after: bool = True


@dataclass(frozen=True, eq=False)
class StackedPool:
    """One row of units from those of all steps of a row."""

    kind: Literal["last", "mean", "max"]


StackedPart = StackedDense | StackedRecurrent | StackedPool


@dataclass(frozen=True, eq=False)
class Straight:
    """``scale * x + shift``, a number of each for every unit."""

    scale: Floats
    shift: Floats

    def then(self, scale: Floats, shift: Floats) -> Straight:
        """Return what another multiple and constant make of it."""
        return Straight(self.scale * scale, self.shift * scale + shift)


@dataclass(frozen=True, eq=False)
class Stack:
    """Layers over inputs. Immutable: each method returns another stack.

    Attributes
    ----------
    columns : tuple of str
        What the inputs are called.
    units : int
        How many the last layer gives, of a row or of a step.
    is_sequence : bool
        Whether there are steps, each with its units.
    steps : int or None
        The steps of a row, where they are a fixed number.
    parts : tuple
    first : Straight or None
        What is done to the inputs before the first layer.
    waiting : Straight or None
        What is done to the units of the last layer, and is not folded yet.
    """

    columns: tuple[str, ...]
    units: int
    is_sequence: bool = False
    steps: int | None = None
    parts: tuple[StackedPart, ...] = ()
    first: Straight | None = None
    waiting: Straight | None = None

    @classmethod
    def of(cls, columns: Sequence[str]) -> Stack:
        """Return a stack without layers."""
        return cls(tuple(columns), len(columns))

    @classmethod
    def of_steps(cls, column: str, width: int, steps: int | None = None) -> Stack:
        """Return a stack without layers over a sequence of ``width`` numbers a step."""
        return cls((column,), width, is_sequence=True, steps=steps)

    @property
    def has_steps(self) -> bool:
        """Whether the inputs are a sequence."""
        return self.is_sequence or any(isinstance(part, StackedPool) for part in self.parts)

    @property
    def width(self) -> int:
        """The numbers of a step of the inputs, where these are a sequence."""
        first = next((part for part in self.parts if isinstance(part, StackedRecurrent)), None)
        return self.units if first is None else int(first.input_weight.shape[1])

    @property
    def is_bare(self) -> bool:
        """Whether it has no layers, and its units are its inputs."""
        return not self.parts and self.waiting is None

    def chosen(self, positions: Sequence[int]) -> Stack:
        """Return a bare stack of some of the inputs."""
        return Stack.of([self.columns[position] for position in positions])

    def straight(self, scale: Floats | float, shift: Floats | float) -> Stack:
        """Return the stack with ``scale * x + shift`` behind it, numbers or shape (units,)."""
        scales, shifts = (np.broadcast_to(np.asarray(each, np.float64), (self.units,)) for each in (scale, shift))
        last = self._open
        if last is not None:
            bias = shifts if last.bias is None else last.bias * scales + shifts
            return self._ending(replace(last, weight=last.weight * scales[:, None], bias=bias))
        before = self.waiting or Straight(np.ones(self.units), np.zeros(self.units))
        return replace(self, waiting=before.then(scales, shifts))

    def dense(self, weight: Floats, bias: Floats | None = None) -> Stack:
        """Return the stack with ``weight x + bias`` behind it."""
        if self.is_sequence:
            raise ModelError("the network has a dense layer for each step of a sequence", _AFTER_STEPS)
        first, weight, bias = self._folded(weight, bias)
        return replace(
            self, units=len(weight), parts=(*self.parts, StackedDense(weight, bias)), first=first, waiting=None
        )

    def over(self, steps: int | None) -> Stack:
        """Return the stack for a number of steps, or for any number."""
        return replace(self, steps=steps)

    def recurrent(self, part: StackedRecurrent) -> Stack:
        """Return the stack with a recurrent layer behind it."""
        if not self.is_sequence:
            raise ModelError("the network has a recurrent layer that takes no sequence", _AFTER_STEPS)
        first, weight, bias = self._folded(part.input_weight, part.input_bias)
        part = replace(part, input_weight=weight, input_bias=bias)
        units = part.hidden_weight.shape[1]
        return replace(self, units=units, parts=(*self.parts, part), first=first, waiting=None)

    def pooled(self, kind: Literal["last", "mean", "max"]) -> Stack:
        """Return the stack with one row of units from those of all steps."""
        if not self.is_sequence or not self.parts:
            raise ModelError(f"the network takes the {kind} of steps that no recurrent layer makes", _AFTER_STEPS)
        if kind == "max" and self.waiting is not None and np.any(self.waiting.scale < 0):
            raise ModelError("the network takes the largest of numbers times negative ones", _AFTER_STEPS)
        return replace(self, parts=(*self.parts, StackedPool(kind)), is_sequence=False)

    def _folded(self, weight: Floats, bias: Floats | None) -> tuple[Straight | None, Floats, Floats | None]:
        """Return what is done to the inputs, and weights with what waits folded in."""
        weight, first = np.asarray(weight, np.float64), self.first
        if self.waiting is not None and not self.parts and np.all(self.waiting.scale):
            first = self.waiting
        elif self.waiting is not None:
            added = np.dot(weight, self.waiting.shift)
            weight, bias = weight * self.waiting.scale, added if bias is None else bias + added
        return first, weight, None if bias is None else np.asarray(bias, np.float64)

    def function(self, name: str, parameters: Mapping[str, float] | None = None) -> Stack:
        """Return the stack with a function of the registry behind it."""
        if self.is_sequence:
            raise ModelError(f"the network has the function {name} behind each step of a sequence", _AFTER_STEPS)
        last = self._open
        if last is None:
            if self.units > _MOST_ALONE:
                raise ModelError(f"the network has the function {name} alone over {self.units} numbers", _NO_LAYER)
            return self.dense(np.eye(self.units)).function(name, parameters)
        return self._ending(replace(last, function=name, parameters=dict(parameters or {})))

    def headed(self, output: str) -> tuple[Stack, bool]:
        """Return the layers before the sigmoid or softmax that ends them, and whether they end in sums without either.

        Raises
        ------
        ModelError
            They end in another function, or in a sigmoid of each of several sums; ``output`` is what it is called.
        """
        last = self.parts[-1] if self.parts else None
        function = last.function if isinstance(last, StackedDense) and self.waiting is None else None
        if isinstance(last, StackedDense) and function == ("sigmoid" if self.units == 1 else "softmax"):
            return self._ending(replace(last, function=None)), False
        if self._open is not None:
            return self, True
        if function == "sigmoid":
            raise ModelError(
                f'the output "{escape(output)}" is a sigmoid of each of {self.units} sums, for labels that do not '
                "exclude each other",
                "export one network for each label, or end it in a softmax",
            )
        raise ModelError(
            f'the output "{escape(output)}" is neither probabilities nor the sums of a last layer',
            "end the network in a sigmoid, a softmax or a linear layer",
        )

    @property
    def _open(self) -> StackedDense | None:
        """The last layer, if something can still be folded into it."""
        last = self.parts[-1] if self.parts else None
        is_open = isinstance(last, StackedDense) and self.waiting is None and last.function is None
        return last if is_open and isinstance(last, StackedDense) else None

    def _ending(self, part: StackedPart) -> Stack:
        return replace(self, parts=(*self.parts[:-1], part))
