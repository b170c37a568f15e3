"""The layers of a network that take sequences, as its file has them: recurrent ones, and what makes one row of steps.

Weights are those of PyTorch's ``LSTM`` and ``GRU``: gates one below the other, in the order i, f, g, o and r, z, n.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

from pipeline.models.logistic.sections import Name, Section

Pooling = Literal["last", "mean", "max"]


class RecurrentSection(Section):
    """A layer that takes the steps of a row one after the other; tensors by their names.

    ``input_weight`` has shape (gates * units, inputs), ``hidden_weight`` (gates * units, units), and each of the two
    biases (gates * units,); one that is left out is zero.
    """

    gates: ClassVar[int]

    kind: str
    input_weight: Name
    hidden_weight: Name
    input_bias: Name | None = None
    hidden_bias: Name | None = None

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors that it has."""
        names = (self.input_weight, self.hidden_weight, self.input_bias, self.hidden_bias)
        return tuple(name for name in names if name is not None)


class LstmSection(RecurrentSection):
    """Long short-term memory."""

    gates: ClassVar[int] = 4

    kind: Literal["lstm"]


class GruSection(RecurrentSection):
    """Gated recurrent unit; ``reset_after`` says whether the reset gate comes after the product, as in PyTorch."""

    gates: ClassVar[int] = 3

    kind: Literal["gru"]
    reset_after: bool = True


class PoolingSection(Section):
    """One row of the steps of a row: the last hidden state, or the mean or the largest of all; without a step, 0."""

    kind: Pooling


RECURRENT: Mapping[str, type[RecurrentSection]] = {"lstm": LstmSection, "gru": GruSection}
POOLING: tuple[Pooling, ...] = get_args(Pooling)
