"""Layers one after the other, as a network of another tool is read: what a model file has no layer for is folded.

A multiple of a number plus a constant, such as that of a batch normalisation, is folded into the layer before it, or
waits and is folded into the one behind. Everything is folded in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.units import escape

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StackedDense:
    """``function(weight x + bias)``; ``weight`` has shape (units, inputs)."""

    weight: Floats
    bias: Floats | None
    function: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)


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
        How many the last layer gives.
    parts : tuple
    first : Straight or None
        What is done to the inputs before the first layer.
    waiting : Straight or None
        What is done to the units of the last layer, and is not folded yet.
    """

    columns: tuple[str, ...]
    units: int
    parts: tuple[StackedDense, ...] = ()
    first: Straight | None = None
    waiting: Straight | None = None

    @classmethod
    def of(cls, columns: Sequence[str]) -> Stack:
        """Return a stack without layers."""
        return cls(tuple(columns), len(columns))

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
        weight, first = np.asarray(weight, np.float64), self.first
        if self.waiting is not None and not self.parts and np.all(self.waiting.scale):
            first = self.waiting
        elif self.waiting is not None:
            added = np.dot(weight, self.waiting.shift)
            weight, bias = weight * self.waiting.scale, added if bias is None else bias + added
        part = StackedDense(weight, None if bias is None else np.asarray(bias, np.float64))
        return replace(self, units=len(weight), parts=(*self.parts, part), first=first, waiting=None)

    def function(self, name: str, parameters: Mapping[str, float] | None = None) -> Stack:
        """Return the stack with a function of the registry behind it."""
        last = self._open
        if last is None:
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
        function = last.function if last is not None and self.waiting is None else None
        if last is not None and function == ("sigmoid" if self.units == 1 else "softmax"):
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
        return last if last is not None and self.waiting is None and last.function is None else None

    def _ending(self, part: StackedDense) -> Stack:
        return replace(self, parts=(*self.parts[:-1], part))
