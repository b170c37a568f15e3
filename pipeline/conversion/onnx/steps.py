"""A node and the values of its inputs, and what several operators have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from pipeline.conversion.onnx.graph import Constant, Node
from pipeline.conversion.onnx.symbols import (
    LinearSum,
    Numeral,
    Operation,
    Symbol,
    apply,
    divide,
    linear,
    plain,
    subtract,
)
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape

REMEDY = (
    "logitstream imports logistic models with the steps of sklearn-onnx; convert the model in the tool that made it"
)

TORN = "the graph does not fit together: write it again with another version of the tool that made it"

ONE_BY_ONE = "leave the Normalizer out: a logistic model adds columns up one by one"

# Of a tensor; and of the numbers of a matrix, which become fractions.
MOST_COLUMNS = 100_000

MOST_WEIGHTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """A tensor whose first axis is the rows: its columns as symbols."""

    columns: tuple[Symbol, ...]


Value = Rows | Constant


@dataclass(frozen=True, slots=True)
class NodeStep:
    """A node with the values of its inputs; ``None`` for an input that is left out."""

    node: Node
    inputs: Sequence[Value | None]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or what it is where the node has none."""
        return self.node.attributes.get(name, default)

    def refused(self, why: str, remedy: str = REMEDY) -> ModelError:
        """Return an error that names the node."""
        made = next(iter(self.node.outputs), "")
        shown = f'"{escape(self.node.name)}" ' if self.node.name else f'that makes "{escape(made)}" '
        return ModelError(f"the node {shown}({escape(self.node.operator)}) {why}", remedy)

    def value(self, position: int) -> Value:
        """Return an input that the operator must have."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise self.refused("lacks an input", "write the graph again with the tool that made it")
        return found

    def rows(self, position: int = 0) -> Rows:
        """Return an input as columns; a constant is the same in every row."""
        value = self.value(position)
        if isinstance(value, Rows):
            return value
        if value.ndim > 2 or (value.ndim == 2 and value.shape[0] != 1) or value.dtype.kind not in "biuf":
            raise self.refused(f"has a constant of shape {value.shape} where a row of numbers is read")
        return Rows(tuple(Numeral(float(each)) for each in value.ravel()))

    def constant(self, position: int) -> Constant:
        """Return an input that must be constant."""
        value = self.value(position)
        if isinstance(value, Rows):
            raise self.refused("takes a value that is computed where a constant is read")
        return value

    def whole(self, position: int) -> list[int]:
        """Return an input that must be constant whole numbers."""
        value = self.constant(position)
        if value.dtype.kind not in "iu":
            raise self.refused("takes numbers with fractions where whole ones are read")
        return [int(each) for each in value.ravel()]

    def check_width(self, columns: int) -> None:
        """Raise an error if the result had more columns than a tensor may have."""
        if columns > MOST_COLUMNS:
            raise self.refused(f"makes {columns:,} columns, more than {MOST_COLUMNS:,}", "convert a smaller model")

    def finite(self, numbers: Sequence[float], what: str) -> list[float]:
        """Return numbers that must be finite."""
        if not all(map(math.isfinite, numbers)):
            raise self.refused(f"has {what} that are not finite", "correct the model in the tool that made it")
        return list(numbers)


def elementwise(function: Callable[..., Symbol], step: NodeStep) -> Value:
    """Return a function of columns with columns, one column broadcast."""
    parts = [step.rows(position) for position in range(len(step.inputs))]
    width = max(len(each.columns) for each in parts)
    if any(len(each.columns) not in {1, width} for each in parts):
        raise step.refused(f"joins tensors of {' and '.join(str(len(each.columns)) for each in parts)} columns")
    spread = [each.columns * (width // len(each.columns)) for each in parts]
    return Rows(tuple(map(function, *spread)))


def identity(step: NodeStep) -> Value:
    """Return the first input."""
    return step.value(0)


def matrix(step: NodeStep, rows: Rows, weights: Constant) -> tuple[Symbol, ...]:
    """Return columns times a matrix of shape (columns, results); equal symbols are added up exactly."""
    if weights.ndim != 2 or weights.shape[0] != len(rows.columns) or weights.dtype.kind not in "iuf":
        raise step.refused(
            f"multiplies {len(rows.columns)} columns by a matrix of shape {weights.shape}",
            TORN,
        )
    sums = [linear(each) for each in rows.columns]
    if weights.shape[1] * sum(len(each.terms) + 1 for each in sums) > MOST_WEIGHTS:
        raise step.refused(f"has more than {MOST_WEIGHTS:,} weights", "convert a smaller model")
    made = []
    for column in weights.T.tolist():
        constants: list[Fraction] = []
        terms: dict[Symbol, Fraction] = {}
        for sum_, number in zip(sums, step.finite(column, "weights"), strict=True):
            weight = Fraction(number)
            constants += [each * weight for each in sum_.constants]
            for atom, factor in sum_.terms:
                terms[atom] = terms.get(atom, Fraction(0)) + factor * weight
        depth = max((each.depth for each in sums), default=0)
        made.append(plain(LinearSum(tuple(constants), tuple(terms.items()), depth)))
    return tuple(made)


def softmax(columns: tuple[Symbol, ...]) -> tuple[Symbol, ...]:
    """Return the softmax of columns."""
    largest = apply("largest", *columns)
    powers = tuple(apply("exp", subtract(each, largest)) for each in columns)
    total = Operation("sum", powers)
    return tuple(divide(each, total) for each in powers)


def picked(step: NodeStep, rows: Rows, positions: Sequence[int]) -> Rows:
    """Return the columns at positions."""
    if any(not -len(rows.columns) <= each < len(rows.columns) for each in positions):
        raise step.refused(f"chooses a column beyond the {len(rows.columns)} that it gets")
    step.check_width(len(positions))
    return Rows(tuple(rows.columns[each] for each in positions))


def to_sum_1(step: NodeStep) -> Value:
    """Return columns divided by their sum: of what is never negative alone, since a norm adds up what is positive."""
    columns = step.rows(0).columns
    if all(isinstance(each, Operation) and each.operator == "share" for each in columns):
        return Rows(columns)
    if not all(apply("abs", each) is each for each in columns):
        raise step.refused("divides each row by the sum of its values", ONE_BY_ONE)
    total = Operation("sum", columns)
    return Rows(tuple(divide(each, total) for each in columns))
