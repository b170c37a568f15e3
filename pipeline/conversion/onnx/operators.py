"""The operators that are read: what each makes of columns, as symbols."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.conversion.onnx.graph import BOOL, CORE, INT32, INT64, ML, STRING, Constant, Node
from pipeline.conversion.onnx.symbols import (
    ONE,
    Applied,
    Cell,
    Filled,
    Labels,
    Level,
    Linear,
    Lookup,
    Number,
    Symbol,
    add,
    apply,
    divide,
    is_flag,
    linear,
    multiply,
    negative,
    plain,
    subtract,
    times,
)
from pipeline.errors import ModelError
from pipeline.units import escape

REMEDY = (
    "logitstream imports logistic models with the steps of sklearn-onnx; convert the model in the tool that made it"
)


TORN = "the graph does not fit together: write it again with another version of the tool that made it"
# Of a tensor; and of the numbers of a matrix, which become fractions.
MOST_COLUMNS = 100_000
MOST_WEIGHTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """A tensor whose first axis is the rows: its columns as symbols, and how many axes it has."""

    columns: tuple[Symbol, ...]
    axes: int = 2


Value = Rows | Constant


@dataclass(frozen=True, slots=True)
class Step:
    """A node with the values of its inputs; ``None`` for an input that is left out."""

    node: Node
    inputs: Sequence[Value | None]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or what it is where the node has none."""
        return self.node.attributes.get(name, default)

    def refused(self, why: str, remedy: str = REMEDY) -> ModelError:
        """Return an error that names the node."""
        shown = f'"{escape(self.node.name)}" ' if self.node.name else f'that makes "{escape(self.node.outputs[0])}" '
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
        return Rows(tuple(Number(float(each)) for each in value.ravel()))

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


def elementwise(function: Callable[..., Symbol], step: Step) -> Value:
    """Return a function of columns with columns, one column broadcast."""
    parts = [step.rows(position) for position in range(len(step.inputs))]
    width = max(len(each.columns) for each in parts)
    if any(len(each.columns) not in {1, width} for each in parts):
        raise step.refused(f"joins tensors of {' and '.join(str(len(each.columns)) for each in parts)} columns")
    spread = [each.columns * (width // len(each.columns)) for each in parts]
    return Rows(tuple(map(function, *spread)), max(each.axes for each in parts))


def _named(name: str) -> Callable[[Step], Value]:
    return partial(elementwise, partial(apply, name))


def _folded(function: Callable[[Step], Value], computed: Callable[..., Any], step: Step) -> Value:
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


def _chain(function: Callable[[Symbol, Symbol], Symbol], step: Step) -> Value:
    """Return a function of two arguments, taken from left to right over any number."""

    def fold(*symbols: Symbol) -> Symbol:
        found = symbols[0]
        for each in symbols[1:]:
            found = function(found, each)
        return found

    return elementwise(fold, step)


def _identity(step: Step) -> Value:
    return step.value(0)


def _matrix(step: Step, rows: Rows, weights: Constant) -> tuple[Symbol, ...]:
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
        made.append(plain(Linear(tuple(constants), tuple(terms.items()), depth)))
    return tuple(made)


def _matmul(step: Step) -> Value:
    return Rows(_matrix(step, step.rows(0), step.constant(1)))


def _gemm(step: Step) -> Value:
    if step.attribute("transA", 0):
        raise step.refused("has transA, which mixes rows")
    weights = step.constant(1)
    product = _matrix(step, step.rows(0), weights.T if step.attribute("transB", 0) else weights)
    alpha, beta = (Fraction(float(step.attribute(name, 1.0))) for name in ("alpha", "beta"))
    made: Value = Rows(tuple(times(each, alpha) for each in product))
    if len(step.inputs) < 3 or step.inputs[2] is None:
        return made
    added = Rows(tuple(times(each, beta) for each in step.rows(2).columns))
    return elementwise(add, Step(step.node, (made, added)))


def _cast(step: Step) -> Value:
    value, to = step.value(0), step.attribute("to")
    if not isinstance(value, Rows):
        return value
    if to == BOOL:
        return Rows(tuple(map(_flag, value.columns)), value.axes)
    if to in {INT32, INT64}:
        return Rows(tuple(map(_whole, value.columns)), value.axes)
    if to == STRING or any(isinstance(each, Cell) and each.type == "text" for each in value.columns):
        raise step.refused("makes text of numbers, or numbers of text", "give the graph an input of the right type")
    return value


def _flag(symbol: Symbol) -> Symbol:
    is_boolean = is_flag(symbol) or (isinstance(symbol, Cell) and symbol.type == "boolean")
    return symbol if is_boolean else Applied("flag", (symbol,))


def _whole(symbol: Symbol) -> Symbol:
    """Return a number as the whole number that it is taken for."""
    return Cell(symbol.name, "integer") if isinstance(symbol, Cell) and symbol.type == "number" else symbol


def _concat(step: Step) -> Value:
    if step.attribute("axis", 1) not in {1, -1}:
        raise step.refused("joins rows, not columns")
    parts = [step.rows(position).columns for position in range(len(step.inputs))]
    step.check_width(sum(map(len, parts)))
    return Rows(tuple(each for part in parts for each in part))


def _reshape(step: Step) -> Value:
    value = step.value(0)
    shape = step.whole(1) if len(step.inputs) > 1 else list(step.attribute("shape", ()))
    if not isinstance(value, Rows):
        return value.reshape(shape)
    width = math.prod(shape[1:])
    if not shape or shape[0] not in {-1, 0} or (width not in {len(value.columns), -1} or 0 in shape[1:]):
        raise step.refused(f"gives {len(value.columns)} columns the shape {shape}")
    return Rows(value.columns, len(shape))


def _same_rows(step: Step) -> Value:
    """Return a tensor whose axes of length 1 come or go."""
    value = step.value(0)
    return Rows(value.columns, 2) if isinstance(value, Rows) else value


def _axes(step: Step) -> list[int]:
    given = len(step.inputs) > 1 and step.inputs[1] is not None
    return step.whole(1) if given else [int(each) for each in step.attribute("axes", ())]


def _reduced(name: str, step: Step) -> Value:
    rows = step.rows(0)
    if _axes(step) not in ([1], [-1]):
        raise step.refused("reduces another axis than that of the columns")
    return Rows((apply(name, *rows.columns),), 2 if step.attribute("keepdims", 1) else 1)


def _product(step: Step) -> Value:
    rows = step.rows(0)
    if _axes(step) not in ([1], [-1]):
        raise step.refused("reduces another axis than that of the columns")
    found = rows.columns[0]
    for each in rows.columns[1:]:
        found = multiply(found, each)
    return Rows((found,))


def _softmax(step: Step) -> Value:
    rows = step.rows(0)
    if step.attribute("axis", 1) not in {1, -1}:
        raise step.refused("works over another axis than that of the columns")
    return Rows(softmax(rows.columns))


def softmax(columns: tuple[Symbol, ...]) -> tuple[Symbol, ...]:
    """Return the softmax of columns."""
    largest = apply("largest", *columns)
    powers = tuple(apply("exp", subtract(each, largest)) for each in columns)
    total = Applied("sum", powers)
    return tuple(divide(each, total) for each in powers)


def _extract(step: Step) -> Value:
    value = step.value(0)
    if not isinstance(value, Rows):
        raise step.refused("chooses among constants by a value that is computed")
    return _picked(step, value, step.whole(1))


def _picked(step: Step, rows: Rows, positions: Sequence[int]) -> Rows:
    if any(not -len(rows.columns) <= each < len(rows.columns) for each in positions):
        raise step.refused(f"chooses a column beyond the {len(rows.columns)} that it gets")
    step.check_width(len(positions))
    return Rows(tuple(rows.columns[each] for each in positions))


def _gather(step: Step) -> Value:
    value = step.value(0)
    axis = step.attribute("axis", 0)
    if isinstance(value, Rows):
        if axis not in {1, -1}:
            raise step.refused("chooses rows, not columns")
        return _picked(step, value, step.whole(1))
    if axis or value.ndim != 1:
        raise step.refused("chooses from a table along another axis than its first")
    return _looked_up(step, value[:, None], step.rows(1))


def _gather_nd(step: Step) -> Value:
    table, places = step.constant(0), step.rows(1)
    return _looked_up(step, table if table.ndim > len(places.columns) else table[..., None], places)


def _looked_up(step: Step, table: Constant, places: Rows) -> Value:
    if table.dtype.kind == "O" or table.ndim != len(places.columns) + 1:
        raise step.refused(f"looks up {len(places.columns)} positions in a table of shape {table.shape}")
    numbers = table.astype(np.float64)
    return Rows(tuple(Lookup(places.columns, numbers[..., k]) for k in range(table.shape[-1])))


def _slice(step: Step) -> Value:
    starts, ends = step.whole(1), step.whole(2)
    axes = step.whole(3) if len(step.inputs) > 3 else list(range(len(starts)))
    steps = step.whole(4) if len(step.inputs) > 4 else [1]
    if axes not in ([1], [-1]):
        raise step.refused("cuts another axis than that of the columns")
    rows = step.rows(0)
    return Rows(rows.columns[starts[0] : ends[0] : steps[0]], rows.axes)


def _clip(step: Step) -> Value:
    rows = step.rows(0)
    bounds = [
        step.rows(position).columns[0] if len(step.inputs) > position and step.inputs[position] is not None else None
        for position in (1, 2)
    ]
    for position, name in enumerate(("min", "max")):
        if bounds[position] is None and (value := step.attribute(name)) is not None:
            bounds[position] = Number(float(value))
    columns = rows.columns
    for bound, name in zip(bounds, ("max", "min"), strict=True):
        if bound is not None:
            columns = tuple(apply(name, each, bound) for each in columns)
    return Rows(columns, rows.axes)


def _ones(step: Step) -> Value:
    """Return the constant column that sklearn-onnx makes from the shape of another one."""
    value = step.attribute("value")
    return Rows((Number(0.0 if value is None else float(np.ravel(value)[0])),))


def _scaler(step: Step) -> Value:
    rows = step.rows(0)
    offsets, scales = (
        _spread(step, step.finite(step.attribute(name, [default]), name + "s"), rows)
        for name, default in (("offset", 0.0), ("scale", 1.0))
    )
    moved = (subtract(each, Number(offset)) for each, offset in zip(rows.columns, offsets, strict=True))
    return Rows(tuple(times(each, Fraction(scale)) for each, scale in zip(moved, scales, strict=True)))


def _spread(step: Step, numbers: list[float], rows: Rows) -> list[float]:
    if len(numbers) not in {1, len(rows.columns)}:
        raise step.refused(f"has {len(numbers)} numbers for {len(rows.columns)} columns")
    return numbers if len(numbers) == len(rows.columns) else numbers * len(rows.columns)


def _imputer(step: Step) -> Value:
    rows = step.rows(0)
    replaced = step.attribute("replaced_value_float", 0.0)
    given = step.attribute("imputed_value_floats") or step.attribute("imputed_value_int64s") or []
    if not math.isnan(replaced) or "replaced_value_int64" in step.node.attributes:
        raise step.refused(
            f"replaces {step.attribute('replaced_value_int64', replaced)!r}, not missing values",
            "make these values missing before the model is fitted",
        )
    values = _spread(step, step.finite([float(each) for each in given], "values"), rows)
    return Rows(tuple(_imputed(step, each, value) for each, value in zip(rows.columns, values, strict=True)))


def _imputed(step: Step, symbol: Symbol, value: float) -> Symbol:
    """Return a column with a value for NaN; behind a scaler, the value in units of the column."""
    terms = linear(symbol).terms
    if len(terms) == 1 and isinstance(cell := terms[0][0], Cell) and cell.type != "text" and terms[0][1]:
        sum_ = linear(symbol)
        own = float((Fraction(value) - sum(sum_.constants)) / terms[0][1])
        return plain(Linear(sum_.constants, ((Filled(cell, own), terms[0][1]),)))
    if terms and all(isinstance(atom, Filled | Level) or is_flag(atom) for atom, _ in terms):
        return symbol
    raise step.refused("imputes a value that is computed from columns", "impute before other steps")


def _one_hot(step: Step) -> Value:
    keys = step.attribute("cats_strings") or step.attribute("cats_int64s") or []
    made: list[Symbol] = []
    step.check_width(len(keys) * len(step.rows(0).columns))
    for symbol in step.rows(0).columns:
        if isinstance(symbol, Linear) and (bins := _one_hot_bins(symbol, keys)):
            made += bins
            continue
        cell = _cell(step, symbol, keys)
        is_strict = not step.attribute("zeros", 1)
        made += [Level(cell, tuple(keys), i, step.node.outputs[0], is_strict) for i in range(len(keys))]
    return Rows(tuple(made))


def _one_hot_bins(number: Linear, keys: Sequence[Any]) -> list[Symbol]:
    """Return 1 where the number of a bin is a key, else 0: beyond the edge before it, but not beyond its own."""
    beyond = [atom for atom, _ in number.terms if isinstance(atom, Applied) and atom.operator == "at_least"]
    if len(beyond) < len(number.terms) or list(keys) != list(range(len(beyond) + 1)):
        return []
    ends: list[Symbol] = [ONE, *beyond, Number(0.0)]
    return [subtract(low, high) for low, high in pairwise(ends)]


def _cell(step: Step, symbol: Symbol, keys: Sequence[Any]) -> Cell:
    """Return the column whose levels are read, of the type of the keys."""
    if not isinstance(symbol, Cell):
        raise step.refused("reads levels of a value that is computed", "encode the columns before other steps")
    if len(set(keys)) < len(keys) or not keys:
        raise step.refused("has no levels" if not keys else "has a level twice", "encode the column again")
    if isinstance(keys[0], str) != (symbol.type == "text"):
        raise step.refused("has levels of another type than its column", "give the graph an input of that type")
    # Whole numbers of a column of floats.
    return Cell(symbol.name, "integer") if symbol.type == "number" and isinstance(keys[0], int) else symbol


def _label_encoder(step: Step) -> Value:
    keys, values = (_tensor(step, name) for name in ("keys", "values"))
    (symbol,) = step.rows(0).columns
    if len(keys) != len(values) or (values and isinstance(values[0], str)):
        raise step.refused("gives text to levels, or keys and values differ in number")
    cell = _cell(step, symbol, keys)
    default = next((step.attribute(name) for name in _DEFAULTS if step.attribute(name) is not None), None)
    if default is None:
        default = -1 if isinstance(values[0], int) else 0.0
    whole = float(np.ravel(default)[0])
    return Rows((Labels(cell, tuple(keys), tuple(float(each) for each in values), whole),), step.rows(0).axes)


_DEFAULTS = ("default_tensor", "default_int64", "default_float")


def _tensor(step: Step, kind: str) -> list[Any]:
    for ending in ("strings", "int64s", "floats"):
        if found := step.attribute(f"{kind}_{ending}"):
            return list(found)
    tensor = step.attribute(f"{kind}_tensor")
    return [] if tensor is None else list(np.ravel(tensor).tolist())


def _normalizer(step: Step) -> Value:
    norm = str(step.attribute("norm", "MAX"))
    if norm != "L1":
        raise step.refused(f"divides each row by its {escape(norm)} norm", _ONE_BY_ONE)
    return _to_sum_1(step)


def _lp_normalization(step: Step) -> Value:
    norm = step.attribute("p", 2)
    if norm != 1 or step.attribute("axis", -1) not in {1, -1}:
        raise step.refused(f"divides each row by its L{norm} norm", _ONE_BY_ONE)
    return _to_sum_1(step)


def _to_sum_1(step: Step) -> Value:
    columns = step.rows(0).columns
    if all(isinstance(each, Applied) and each.operator == "share" for each in columns):
        return Rows(columns)
    if not all(apply("abs", each) is each for each in columns):
        raise step.refused("divides each row by the sum of its values", _ONE_BY_ONE)
    total = Applied("sum", columns)
    return Rows(tuple(divide(each, total) for each in columns))


_ONE_BY_ONE = "leave the Normalizer out: a logistic model adds columns up one by one"


def _argmax(step: Step) -> Value:
    """Return the number of a bin, where sklearn-onnx finds it as the first edge that is above a column."""
    value = step.value(0)
    columns = value.columns if isinstance(value, Rows) else ()
    edges = [each.arguments for each in columns[:-1] if isinstance(each, Applied) and each.operator == "less"]
    is_last = bool(columns) and _is_one(columns[-1])
    if is_last and edges and len(edges) == len(columns) - 1 and all(cell == edges[0][0] for cell, _ in edges):
        terms = tuple((Applied("at_least", edge), Fraction(1)) for edge in edges)
        return Rows((Linear((), terms),))
    # A label: labels are read from the nodes that know them.
    return Rows((Number(math.nan),))


def _is_one(symbol: Symbol) -> bool:
    sum_ = linear(symbol)
    return sum(sum_.constants) == 1 and not any(weight for _, weight in sum_.terms)


def _split(step: Step) -> Sequence[Value]:
    rows = step.rows(0)
    if step.attribute("axis", 0) not in {1, -1}:
        raise step.refused("splits rows, not columns")
    count = len(step.node.outputs)
    given = step.whole(1) if len(step.inputs) > 1 else step.attribute("split")
    sizes = [int(each) for each in given] if given else [-(-len(rows.columns) // count)] * count
    ends = np.cumsum(sizes).tolist()
    return [Rows(rows.columns[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _binarizer(step: Step) -> Value:
    threshold = Number(float(step.attribute("threshold", 0.0)))
    return Rows(tuple(Applied("greater", (each, threshold)) for each in step.rows(0).columns))


def _linear_classifier(step: Step) -> Sequence[Value]:
    rows = step.rows(0)
    labels = step.attribute("classlabels_strings") or step.attribute("classlabels_ints") or []
    numbers = step.finite(step.attribute("coefficients", ()), "coefficients")
    intercepts = step.finite(step.attribute("intercepts") or [], "intercepts")
    count = len(numbers) // max(len(rows.columns), 1)
    if not count or count * len(rows.columns) != len(numbers) or len(intercepts) not in {0, count}:
        raise step.refused(
            f"has {len(numbers)} coefficients and {len(intercepts)} intercepts for {len(rows.columns)} columns",
            TORN,
        )
    weights = np.array(numbers, dtype=np.float64).reshape(count, -1).T
    scores = _matrix(step, rows, weights)
    if intercepts:
        scores = tuple(add(each, Number(value)) for each, value in zip(scores, intercepts, strict=True))
    if count not in {1, len(labels)} or (count == 1 and len(labels) != 2):
        raise step.refused(f"has {count} rows of coefficients for {len(labels)} classes")
    return Rows((Number(math.nan),), 1), Rows(_transformed(step, scores))


def _transformed(step: Step, scores: tuple[Symbol, ...]) -> tuple[Symbol, ...]:
    kind = step.attribute("post_transform", "NONE")
    if kind == "NONE":
        return scores
    if kind == "LOGISTIC":
        made = tuple(apply("sigmoid", each) for each in scores)
        return made if len(made) > 1 else (subtract(ONE, made[0]), made[0])
    if kind == "SOFTMAX" and len(scores) > 1:
        return softmax(scores)
    raise step.refused(f"has the post_transform {escape(str(kind))}", "fit a logistic regression")


def _single(function: Callable[[Step], Value]) -> Callable[[Step], Sequence[Value]]:
    return lambda step: (function(step),)


_SINGLE: Mapping[tuple[str, str], Callable[[Step], Value]] = {
    (CORE, "Add"): partial(_folded, partial(elementwise, add), np.add),
    (CORE, "Sub"): partial(_folded, partial(elementwise, subtract), np.subtract),
    (CORE, "Mul"): partial(_folded, partial(elementwise, multiply), np.multiply),
    (CORE, "Div"): partial(_folded, partial(elementwise, divide), np.divide),
    (CORE, "Neg"): partial(elementwise, negative),
    (CORE, "Sum"): partial(_chain, add),
    (CORE, "Min"): partial(_chain, partial(apply, "min")),
    (CORE, "Max"): partial(_chain, partial(apply, "max")),
    (CORE, "Reciprocal"): partial(elementwise, partial(divide, ONE)),
    (CORE, "Abs"): _named("abs"),
    (CORE, "Exp"): _named("exp"),
    (CORE, "Log"): _named("log"),
    (CORE, "Sqrt"): _named("sqrt"),
    (CORE, "Sigmoid"): _named("sigmoid"),
    (CORE, "IsNaN"): _named("isnan"),
    (CORE, "IsInf"): _named("isinf"),
    (CORE, "Not"): _named("not"),
    (CORE, "And"): _named("and"),
    (CORE, "Equal"): _named("equal"),
    (CORE, "Less"): _named("less"),
    (CORE, "LessOrEqual"): _named("less_equal"),
    (CORE, "Greater"): _named("greater"),
    (CORE, "GreaterOrEqual"): _named("greater_equal"),
    (CORE, "Where"): _named("where"),
    (CORE, "Identity"): _identity,
    (CORE, "Cast"): _cast,
    (CORE, "MatMul"): _matmul,
    (CORE, "Gemm"): _gemm,
    (CORE, "Concat"): _concat,
    (CORE, "Reshape"): _reshape,
    (CORE, "Flatten"): _same_rows,
    (CORE, "Squeeze"): _same_rows,
    (CORE, "Unsqueeze"): _same_rows,
    (CORE, "ReduceSum"): partial(_reduced, "sum"),
    (CORE, "ReduceMax"): partial(_reduced, "largest"),
    (CORE, "ReduceProd"): _product,
    (CORE, "Softmax"): _softmax,
    (CORE, "ArgMax"): _argmax,
    (CORE, "Gather"): _gather,
    (CORE, "GatherND"): _gather_nd,
    (CORE, "Slice"): _slice,
    (CORE, "Clip"): _clip,
    (CORE, "Shape"): _identity,
    (CORE, "ConstantOfShape"): _ones,
    (CORE, "LpNormalization"): _lp_normalization,
    (ML, "ArrayFeatureExtractor"): _extract,
    (ML, "Scaler"): _scaler,
    (ML, "Imputer"): _imputer,
    (ML, "OneHotEncoder"): _one_hot,
    (ML, "LabelEncoder"): _label_encoder,
    (ML, "Normalizer"): _normalizer,
    (ML, "Binarizer"): _binarizer,
    (ML, "ZipMap"): _identity,
}

OPERATORS: Mapping[tuple[str, str], Callable[[Step], Sequence[Value]]] = {
    **{key: _single(function) for key, function in _SINGLE.items()},
    (CORE, "Split"): _split,
    (ML, "LinearClassifier"): _linear_classifier,
}
