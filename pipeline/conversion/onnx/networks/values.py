"""The values of a graph of a network: constants, shapes, and tensors that layers make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from pipeline.conversion.networks.stack import Stack
from pipeline.conversion.onnx.graph import Constant, Node
from pipeline.conversion.onnx.networks.formulas import NetworkFormula, settled
from pipeline.conversion.onnx.steps import NodeStep
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError

ROWS, UNITS, ONE = "rows", "units", "one"
REMEDY = (
    "logitstream imports networks of LSTM, GRU and dense layers; leave the step out, or convert the model in the tool "
    "that made it"
)


@dataclass(frozen=True, slots=True)
class AxisLengths:
    """Lengths of axes, some of which only the rows tell: a text stands for such a one."""

    lengths: tuple[int | str, ...]
    is_vector: bool = True


@dataclass(frozen=True, slots=True)
class NetworkTensor:
    """What layers make of the inputs.

    Attributes
    ----------
    formula : NetworkFormula
    axes : tuple of str
        ``rows`` or the axes of an input of three by their numbers, ``units``, and ``one`` for an axis of length 1.
    units : int
        The length of the axis ``units``.
    steps : str
        Which of the axes is that of the steps, once a recurrent layer has told it; empty where there is none.
    """

    formula: NetworkFormula
    axes: tuple[str, ...]
    units: int
    steps: str = ""

    @classmethod
    def of(cls, stack: Stack, axes: Sequence[str], steps: str = "") -> NetworkTensor:
        """Return the outputs of layers."""
        return cls(NetworkFormula("", stack=stack), tuple(axes), stack.units, steps)

    @property
    def stack(self) -> Stack:
        """The layers that make it; raises ``ModelError`` where none do."""
        return settled(self.formula)

    def with_axes(self, axes: Sequence[str]) -> NetworkTensor:
        """Return the same numbers with axes of length 1 elsewhere."""
        return replace(self, axes=tuple(axes))

    def with_formula(self, formula: NetworkFormula) -> NetworkTensor:
        """Return numbers of the same axes."""
        return replace(self, formula=formula)

    def with_stack(self, stack: Stack) -> NetworkTensor:
        """Return outputs of layers with the same axes."""
        return NetworkTensor.of(stack, self.axes, self.steps)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Tensors whose columns are side by side, as the probabilities of two classes are."""

    parts: tuple[NetworkTensor, ...]


@dataclass(frozen=True, slots=True)
class LayerStates:
    """The last states of several recurrent layers, one behind the other along an axis that is 1 long in each."""

    parts: tuple[NetworkTensor, ...]
    axis: int


@dataclass(frozen=True, slots=True)
class UniformTensor:
    """One number everywhere, in a shape that the rows tell: NaN where there are several.

    ``lengths`` are those of its axes, where they are known.
    """

    number: float
    lengths: tuple[int | str, ...] | None = None


NetworkValue = Constant | AxisLengths | NetworkTensor | SideBySide | LayerStates | UniformTensor


@dataclass(frozen=True, slots=True)
class NetworkStep:
    """A node and the values of its inputs; ``None`` for an input that is left out.

    Attributes
    ----------
    node : Node
    inputs : sequence of values
    opset : int
        The version of the operators of ai.onnx.
    lengths : mapping of str to int
        The axes whose length is fixed.
    """

    node: Node
    inputs: Sequence[NetworkValue | None]
    opset: int
    lengths: Mapping[str, int] = field(default_factory=dict)

    def length(self, tensor: NetworkTensor, axis: str) -> int | str:
        """Return the length of an axis, or its name where it is not fixed."""
        return {ONE: 1, UNITS: tensor.units}.get(axis, self.lengths.get(axis, axis))

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or what it is where the node has none."""
        return self.node.attributes.get(name, default)

    def refused(self, why: str, remedy: str = REMEDY) -> ModelError:
        """Return an error that names the node."""
        return NodeStep(self.node, ()).refused(why, remedy)

    def has(self, position: int) -> bool:
        """Return whether an input is there."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def value(self, position: int) -> NetworkValue:
        """Return an input that the operator must have."""
        found = self.inputs[position] if self.has(position) else None
        if found is None:
            raise self.refused("lacks an input", "write the graph again with the tool that made it")
        return found

    def tensor(self, position: int = 0) -> NetworkTensor:
        """Return an input that layers make."""
        value = self.value(position)
        if not isinstance(value, NetworkTensor):
            raise self.refused("takes something else where outputs of a layer are read")
        return value

    def constant(self, position: int) -> Constant:
        """Return an input that must be constant numbers."""
        value = self.value(position)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
            raise self.refused("takes a value that is computed where a constant is read")
        return value

    def finite(self, position: int) -> Constant:
        """Return constant numbers in float64, which must be finite."""
        value = self.constant(position).astype(np.float64)
        if not np.isfinite(value).all():
            raise self.refused("has numbers that are NaN or infinite", "correct the model in the tool that made it")
        return value

    def whole(self, position: int, name: str, default: Sequence[int] | None = None) -> list[int]:
        """Return whole numbers that are an input, or an attribute as in older versions of the operator."""
        if self.has(position):
            value = self.constant(position)
            if value.dtype.kind not in "iu":
                raise self.refused("takes numbers with fractions where whole ones are read")
            return [int(each) for each in value.ravel()]
        said = self.attribute(name, default)
        if said is None:
            raise self.refused("lacks an input", "write the graph again with the tool that made it")
        return [int(each) for each in (said if hasattr(said, "__iter__") else [said])]

    def applied(self, operator: str, *arguments: NetworkFormula | Constant, **parameters: float) -> NetworkFormula:
        """Return a formula of this node."""
        shown = NodeStep(self.node, ()).refused("").message.strip()
        return NetworkFormula(operator, arguments, parameters=parameters, node=shown)
