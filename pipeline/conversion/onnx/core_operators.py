"""The operators of the domain ai.onnx that are read: what each makes of columns, as symbols."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import numpy as np

from pipeline.conversion.onnx.graph import BOOL, INT32, INT64, STRING, Constant
from pipeline.conversion.onnx.steps import (
    MOST_COLUMNS,
    ONE_BY_ONE,
    TORN,
    NodeStep,
    Rows,
    Value,
    elementwise,
    identity,
    matrix,
    picked,
    softmax,
    to_sum_1,
)
from pipeline.conversion.onnx.symbols import (
    ONE,
    EncodedLevels,
    InputCell,
    LinearSum,
    Numeral,
    OneHotLevel,
    Operation,
    Symbol,
    TableLookup,
    add,
    apply,
    divide,
    is_flag,
    linear,
    multiply,
    negative,
    subtract,
    times,
)


def _named(name: str) -> Callable[[NodeStep], Value]:
    return partial(elementwise, partial(apply, name))


def _folded(function: Callable[[NodeStep], Value], computed: Callable[..., Any], step: NodeStep) -> Value:
    """Return what a function makes of columns, or the numbers that it makes of constants alone."""
    constants = [each for each in step.inputs if each is not None and not isinstance(each, Rows)]
    if len(constants) < len(step.inputs) or any(each.dtype.kind not in "biuf" for each in constants):
        return function(step)
    try:
        size = math.prod(np.broadcast_shapes(*(each.shape for each in constants)))
    except ValueError:
        raise step.refused(f"joins constants of the shapes {[each.shape for each in constants]}", TORN) from None
    if size > MOST_COLUMNS:
        raise step.refused(f"makes a constant of {size:,} numbers", "convert a smaller model")
    with np.errstate(all="ignore"):
        return np.asarray(computed(*constants))


def _chained(function: Callable[[Symbol, Symbol], Symbol]) -> Callable[..., Symbol]:
    """Return a function of two arguments, taken from left to right over any number."""
    return lambda *symbols: reduce(function, symbols)


def _matmul(step: NodeStep) -> Value:
    return Rows(matrix(step, step.rows(0), step.constant(1)))


def _gemm(step: NodeStep) -> Value:
    if step.attribute("transA", 0):
        raise step.refused("has transA, which mixes rows")
    weights = step.constant(1)
    product = matrix(step, step.rows(0), weights.T if step.attribute("transB", 0) else weights)
    alpha, beta = (Fraction(float(step.attribute(name, 1.0))) for name in ("alpha", "beta"))
    made: Value = Rows(tuple(times(each, alpha) for each in product))
    if len(step.inputs) < 3 or step.inputs[2] is None:
        return made
    added = Rows(tuple(times(each, beta) for each in step.rows(2).columns))
    return elementwise(add, NodeStep(step.node, (made, added)))


def _cast(step: NodeStep) -> Value:
    value, to = step.value(0), step.attribute("to")
    if not isinstance(value, Rows):
        return value
    if to == BOOL:
        return Rows(tuple(map(_flag, value.columns)))
    if to in {INT32, INT64}:
        return Rows(tuple(map(_whole, value.columns)))
    if to == STRING or any(isinstance(each, InputCell) and each.type == "text" for each in value.columns):
        raise step.refused("makes text of numbers, or numbers of text", "give the graph an input of the right type")
    return value


def _flag(symbol: Symbol) -> Symbol:
    is_boolean = is_flag(symbol) or (isinstance(symbol, InputCell) and symbol.type == "boolean")
    return symbol if is_boolean else Operation("flag", (symbol,))


def _whole(symbol: Symbol) -> Symbol:
    """Return a number without its fraction."""
    return symbol if _is_whole(symbol) else Operation("whole", (symbol,))


def _is_whole(symbol: Symbol) -> bool:
    if isinstance(symbol, LinearSum):
        numbers = (*symbol.constants, *(weight for _, weight in symbol.terms))
        return all(each.denominator == 1 for each in numbers) and all(_is_whole(atom) for atom, _ in symbol.terms)
    if isinstance(symbol, EncodedLevels):
        return all(each.is_integer() for each in (*symbol.values, symbol.default))
    if isinstance(symbol, InputCell):
        return symbol.type in {"integer", "boolean"}
    return is_flag(symbol) or isinstance(symbol, OneHotLevel)


def _concat(step: NodeStep) -> Value:
    if step.attribute("axis", 1) not in {1, -1}:
        raise step.refused("joins rows, not columns")
    parts = [step.rows(position).columns for position in range(len(step.inputs))]
    step.check_width(sum(map(len, parts)))
    return Rows(tuple(each for part in parts for each in part))


def _reshape(step: NodeStep) -> Value:
    value = step.value(0)
    shape = step.whole(1) if len(step.inputs) > 1 else list(step.attribute("shape", ()))
    if not isinstance(value, Rows):
        return value.reshape(shape)
    width = math.prod(shape[1:])
    if not shape or shape[0] not in {-1, 0} or (width not in {len(value.columns), -1} or 0 in shape[1:]):
        raise step.refused(f"gives {len(value.columns)} columns the shape {shape}")
    return value


def _axes(step: NodeStep) -> list[int]:
    given = len(step.inputs) > 1 and step.inputs[1] is not None
    return step.whole(1) if given else [int(each) for each in step.attribute("axes", ())]


def _reduced(function: Callable[..., Symbol], step: NodeStep) -> Value:
    rows = step.rows(0)
    if _axes(step) not in ([1], [-1]):
        raise step.refused("reduces another axis than that of the columns")
    return Rows((function(*rows.columns),))


def _softmax(step: NodeStep) -> Value:
    rows = step.rows(0)
    if step.attribute("axis", 1) not in {1, -1}:
        raise step.refused("works over another axis than that of the columns")
    return Rows(softmax(rows.columns))


def _gather(step: NodeStep) -> Value:
    value = step.value(0)
    axis = step.attribute("axis", 0)
    if isinstance(value, Rows):
        if axis not in {1, -1}:
            raise step.refused("chooses rows, not columns")
        return picked(step, value, step.whole(1))
    if axis or value.ndim != 1:
        raise step.refused("chooses from a table along another axis than its first")
    return _looked_up(step, value[:, None], step.rows(1))


def _gather_nd(step: NodeStep) -> Value:
    table, places = step.constant(0), step.rows(1)
    return _looked_up(step, table if table.ndim > len(places.columns) else table[..., None], places)


def _looked_up(step: NodeStep, table: Constant, places: Rows) -> Value:
    if table.dtype.kind == "O" or table.ndim != len(places.columns) + 1:
        raise step.refused(f"looks up {len(places.columns)} positions in a table of shape {table.shape}")
    numbers = table.astype(np.float64)
    return Rows(tuple(TableLookup(places.columns, numbers[..., k]) for k in range(table.shape[-1])))


def _slice(step: NodeStep) -> Value:
    starts, ends = step.whole(1), step.whole(2)
    axes = step.whole(3) if len(step.inputs) > 3 else list(range(len(starts)))
    steps = step.whole(4) if len(step.inputs) > 4 else [1]
    if axes not in ([1], [-1]):
        raise step.refused("cuts another axis than that of the columns")
    rows = step.rows(0)
    return Rows(rows.columns[starts[0] : ends[0] : steps[0]])


def _clip(step: NodeStep) -> Value:
    rows = step.rows(0)
    bounds = [
        step.rows(position).columns[0] if len(step.inputs) > position and step.inputs[position] is not None else None
        for position in (1, 2)
    ]
    for position, name in enumerate(("min", "max")):
        if bounds[position] is None and (value := step.attribute(name)) is not None:
            bounds[position] = Numeral(float(value))
    columns = rows.columns
    for bound, name in zip(bounds, ("max", "min"), strict=True):
        if bound is not None:
            columns = tuple(apply(name, each, bound) for each in columns)
    return Rows(columns)


def _shape(step: NodeStep) -> Value:
    """Return the columns whose number is asked for."""
    if step.attribute("start", 0) or step.attribute("end") is not None:
        raise step.refused("reads the length of one axis")
    return step.rows(0)


def _filled(step: NodeStep) -> Value:
    """Return constant columns, as sklearn-onnx makes one from the shape of another."""
    value = step.attribute("value")
    if not isinstance(step.value(0), Rows):
        raise step.refused("makes a tensor whose shape is not that of its columns")
    number = Numeral(0.0 if value is None else float(np.ravel(value)[0]))
    return Rows((number,) * len(step.rows(0).columns))


def _lp_normalization(step: NodeStep) -> Value:
    norm = step.attribute("p", 2)
    if norm != 1 or step.attribute("axis", -1) not in {1, -1}:
        raise step.refused(f"divides each row by its L{norm} norm", ONE_BY_ONE)
    return to_sum_1(step)


def _argmax(step: NodeStep) -> Value:
    """Return the number of a bin, where sklearn-onnx finds it as the first edge that is above a column."""
    value = step.value(0)
    columns = value.columns if isinstance(value, Rows) else ()
    edges = [each.arguments for each in columns[:-1] if isinstance(each, Operation) and each.operator == "less"]
    is_last = bool(columns) and _is_one(columns[-1])
    if is_last and edges and len(edges) == len(columns) - 1 and all(cell == edges[0][0] for cell, _ in edges):
        terms = tuple((Operation("at_least", edge), Fraction(1)) for edge in edges)
        return Rows((LinearSum((), terms),))
    # A label: labels are read from the nodes that know them.
    return Rows((Numeral(math.nan),))


def _is_one(symbol: Symbol) -> bool:
    sum_ = linear(symbol)
    return sum(sum_.constants) == 1 and not any(weight for _, weight in sum_.terms)


def _split(step: NodeStep) -> Sequence[Value]:
    rows = step.rows(0)
    if step.attribute("axis", 0) not in {1, -1}:
        raise step.refused("splits rows, not columns")
    count = len(step.node.outputs)
    given = step.whole(1) if len(step.inputs) > 1 else step.attribute("split")
    sizes = [int(each) for each in given] if given else [-(-len(rows.columns) // count)] * count
    ends = np.cumsum(sizes).tolist()
    return [Rows(rows.columns[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


SINGLE: Mapping[str, Callable[[NodeStep], Value]] = {
    "Add": partial(_folded, partial(elementwise, add), np.add),
    "Sub": partial(_folded, partial(elementwise, subtract), np.subtract),
    "Mul": partial(_folded, partial(elementwise, multiply), np.multiply),
    "Div": partial(_folded, partial(elementwise, divide), np.divide),
    "Neg": partial(elementwise, negative),
    "Sum": partial(elementwise, _chained(add)),
    "Min": partial(elementwise, _chained(partial(apply, "min"))),
    "Max": partial(elementwise, _chained(partial(apply, "max"))),
    "Reciprocal": partial(elementwise, partial(divide, ONE)),
    "Abs": _named("abs"),
    "Exp": _named("exp"),
    "Log": _named("log"),
    "Sqrt": _named("sqrt"),
    "Sigmoid": _named("sigmoid"),
    "IsNaN": _named("isnan"),
    "IsInf": _named("isinf"),
    "Not": _named("not"),
    "And": _named("and"),
    "Equal": _named("equal"),
    "Less": _named("less"),
    "LessOrEqual": _named("less_equal"),
    "Greater": _named("greater"),
    "GreaterOrEqual": _named("greater_equal"),
    "Where": _named("where"),
    "Identity": identity,
    "Cast": _cast,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Concat": _concat,
    "Reshape": _reshape,
    # Axes of length 1 come and go.
    "Flatten": identity,
    "Squeeze": identity,
    "Unsqueeze": identity,
    "ReduceSum": partial(_reduced, partial(apply, "sum")),
    "ReduceMax": partial(_reduced, partial(apply, "largest")),
    "ReduceProd": partial(_reduced, _chained(multiply)),
    "Softmax": _softmax,
    "ArgMax": _argmax,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Slice": _slice,
    "Clip": _clip,
    "Shape": _shape,
    "ConstantOfShape": _filled,
    "LpNormalization": _lp_normalization,
}
# With several outputs.
SEVERAL: Mapping[str, Callable[[NodeStep], Sequence[Value]]] = {"Split": _split}
