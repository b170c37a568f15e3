"""A graph under construction: nodes one after another, equal constants once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.onnx.graph import BOOL, CORE, DOUBLE, INT64, ML, Constant, Node
from pipeline.models.logistic.expression import Numbers

NAN = float("nan")


class Construction:
    """The nodes and constants of a graph, with names that are given once.

    Parameters
    ----------
    taken : iterable of str
        Names of inputs and outputs.

    Attributes
    ----------
    nodes : list of Node
    constants : dict of str to ndarray
    width : int
        How many raw predictions a row has: that of the widest row of numbers so far.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Constant] = {}
        self.width = 1
        self._taken = frozenset(taken)
        self._numbers = count()
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, operator: str, *inputs: str, domain: str = CORE, **attributes: Any) -> str:
        """Return the name of the output of a new node."""
        name = self._name()
        self.nodes.append(Node(operator, inputs, (name,), attributes, domain, f"{operator}_{name}"))
        return name

    def add_two(self, operator: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Return the names of both outputs of a new node."""
        names = self._name(), self._name()
        self.nodes.append(Node(operator, inputs, names, attributes, CORE, f"{operator}_{names[0]}"))
        return names

    def label(self, column: str, keys: dict[str, Any], values: list[int], default: int) -> str:
        """Return the whole number that a value of a column stands for: one of ``values``, or else ``default``."""
        return self.add("LabelEncoder", column, domain=ML, **keys, values_int64s=values, default_int64=default)

    def output(self, name: str, value: str) -> str:
        """Return ``name``, which is now another name of a value."""
        self.nodes.append(Node("Identity", (value,), (name,), name=f"Identity_{name}"))
        return name

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Return the name of a constant."""
        content = repr(value.tolist()).encode() if value.dtype == object else value.tobytes()
        key = (value.dtype.str, value.shape, content)
        if key not in self._known:
            self._known[key] = name = self._name()
            self.constants[name] = value
        return self._known[key]

    def named(self, name: str, value: npt.NDArray[Any]) -> str:
        """Return the name of a constant that has one."""
        self.constants[name] = value
        return name

    def row(self, numbers: Numbers) -> str:
        """Return a constant of shape (1, 1), or with a number for each class (1, classes)."""
        value = np.array([numbers if isinstance(numbers, tuple) else [numbers]], dtype=np.float64)
        self.width = max(self.width, value.shape[1])
        return self.constant(value)

    def whole(self, *numbers: int) -> str:
        """Return whole numbers as a constant of shape (1, numbers)."""
        return self.constant(np.array([numbers], dtype=np.int64))

    def cast(self, value: str, type_: int) -> str:
        """Return a value as another type."""
        return self.add("Cast", value, to=type_)

    def number(self, value: str) -> str:
        """Return a value as float64."""
        return self.cast(value, DOUBLE)

    def flag(self, value: str) -> str:
        """Return a number as a boolean."""
        return self.cast(value, BOOL)

    def total(self, value: str) -> str:
        """Return the sum over the columns of a value, of shape (rows, 1)."""
        return self.add("ReduceSum", value, self.constant(np.array([1], dtype=np.int64)), keepdims=1)

    def chosen(self, table: npt.NDArray[Any], *positions: str) -> str:
        """Return the rows of a table at positions, one for each of its axes but the last."""
        place = positions[0] if len(positions) == 1 else self.add("Concat", *positions, axis=1)
        return self.add("GatherND", self.constant(table), place)

    def counted(self, flags: str) -> str:
        """Return how many flags of a row are true."""
        return self.total(self.cast(flags, INT64))

    def _name(self) -> str:
        return next(name for number in self._numbers if (name := f"v{number}") not in self._taken)
