"""The table of the operators that are read, by domain and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.conversion.onnx import core_operators, ml_operators
from pipeline.conversion.onnx.graph import CORE, ML
from pipeline.conversion.onnx.steps import NodeStep, Value

Operator = Callable[[NodeStep], Sequence[Value]]


def _single(function: Callable[[NodeStep], Value]) -> Operator:
    return lambda step: (function(step),)


OPERATORS: Mapping[tuple[str, str], Operator] = {
    (domain, name): function
    for domain, room in ((CORE, core_operators), (ML, ml_operators))
    for name, function in {**{key: _single(each) for key, each in room.SINGLE.items()}, **room.SEVERAL}.items()
}
