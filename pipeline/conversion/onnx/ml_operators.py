"""The operators of the domain ai.onnx.ml that are read: what each makes of columns, as symbols."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.conversion.onnx.steps import (
    ONE_BY_ONE,
    TORN,
    NodeStep,
    Rows,
    Value,
    identity,
    matrix,
    picked,
    softmax,
    to_sum_1,
)
from pipeline.conversion.onnx.symbols import (
    ONE,
    EncodedLevels,
    Filled,
    InputCell,
    LinearSum,
    Numeral,
    OneHotLevel,
    Operation,
    Symbol,
    add,
    apply,
    is_flag,
    linear,
    plain,
    subtract,
    times,
)
from pipeline.units import escape


def _extract(step: NodeStep) -> Value:
    value = step.value(0)
    if not isinstance(value, Rows):
        raise step.refused("chooses among constants by a value that is computed")
    return picked(step, value, step.whole(1))


def _scaler(step: NodeStep) -> Value:
    rows = step.rows(0)
    offsets, scales = (
        _spread(step, step.finite(step.attribute(name, [default]), name + "s"), rows)
        for name, default in (("offset", 0.0), ("scale", 1.0))
    )
    moved = (subtract(each, Numeral(offset)) for each, offset in zip(rows.columns, offsets, strict=True))
    return Rows(tuple(times(each, Fraction(scale)) for each, scale in zip(moved, scales, strict=True)))


def _spread(step: NodeStep, numbers: list[float], rows: Rows) -> list[float]:
    if len(numbers) not in {1, len(rows.columns)}:
        raise step.refused(f"has {len(numbers)} numbers for {len(rows.columns)} columns")
    return numbers if len(numbers) == len(rows.columns) else numbers * len(rows.columns)


def _imputer(step: NodeStep) -> Value:
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


def _imputed(step: NodeStep, symbol: Symbol, value: float) -> Symbol:
    """Return a column with a value for NaN; behind a scaler, the value in units of the column."""
    terms = linear(symbol).terms
    if len(terms) == 1 and isinstance(cell := terms[0][0], InputCell) and cell.type != "text" and terms[0][1]:
        sum_ = linear(symbol)
        own = float((Fraction(value) - sum(sum_.constants)) / terms[0][1])
        return plain(LinearSum(sum_.constants, ((Filled(cell, own), terms[0][1]),)))
    if terms and all(isinstance(atom, Filled | OneHotLevel) or is_flag(atom) for atom, _ in terms):
        return symbol
    raise step.refused("imputes a value that is computed from columns", "impute before other steps")


def _one_hot(step: NodeStep) -> Value:
    keys = step.attribute("cats_strings") or step.attribute("cats_int64s") or []
    made: list[Symbol] = []
    step.check_width(len(keys) * len(step.rows(0).columns))
    for symbol in step.rows(0).columns:
        if isinstance(symbol, LinearSum) and (bins := _one_hot_bins(symbol, keys)):
            made += bins
            continue
        cell = _cell(step, symbol, keys)
        is_strict = not step.attribute("zeros", 1)
        made += [OneHotLevel(cell, tuple(keys), i, step.node.outputs[0], is_strict) for i in range(len(keys))]
    return Rows(tuple(made))


def _one_hot_bins(number: LinearSum, keys: Sequence[Any]) -> list[Symbol]:
    """Return 1 where the number of a bin is a key, else 0: beyond the edge before it, but not beyond its own."""
    beyond = [atom for atom, _ in number.terms if isinstance(atom, Operation) and atom.operator == "at_least"]
    if len(beyond) < len(number.terms) or list(keys) != list(range(len(beyond) + 1)):
        return []
    ends: list[Symbol] = [ONE, *beyond, Numeral(0.0)]
    return [subtract(low, high) for low, high in pairwise(ends)]


def _cell(step: NodeStep, symbol: Symbol, keys: Sequence[Any]) -> InputCell:
    """Return the column whose levels are read, of the type of the keys."""
    if isinstance(symbol, Operation) and symbol.operator == "whole":
        (symbol,) = symbol.arguments
    if not isinstance(symbol, InputCell):
        raise step.refused("reads levels of a value that is computed", "encode the columns before other steps")
    if len(set(keys)) < len(keys) or not keys:
        raise step.refused("has no levels" if not keys else "has a level twice", "encode the column again")
    if isinstance(keys[0], str) != (symbol.type == "text"):
        raise step.refused("has levels of another type than its column", "give the graph an input of that type")
    # Whole numbers of a column of floats.
    return InputCell(symbol.name, "integer") if symbol.type == "number" and isinstance(keys[0], int) else symbol


def _label_encoder(step: NodeStep) -> Value:
    keys, values = (_tensor(step, name) for name in ("keys", "values"))
    (symbol,) = step.rows(0).columns
    if len(keys) != len(values) or (values and isinstance(values[0], str)):
        raise step.refused("gives text to levels, or keys and values differ in number")
    cell = _cell(step, symbol, keys)
    default = next((step.attribute(name) for name in _DEFAULTS if step.attribute(name) is not None), None)
    if default is None:
        default = -1 if isinstance(values[0], int) else 0.0
    *numbers, other = (float(each) for each in (*values, np.ravel(default)[0]))
    if any(map(math.isinf, (*numbers, other))):
        raise step.refused("gives a level an infinite number", "correct the model in the tool that made it")
    return Rows((EncodedLevels(cell, tuple(keys), tuple(numbers), other),))


_DEFAULTS = ("default_tensor", "default_int64", "default_float")


def _tensor(step: NodeStep, kind: str) -> list[Any]:
    for ending in ("strings", "int64s", "floats"):
        if found := step.attribute(f"{kind}_{ending}"):
            return list(found)
    tensor = step.attribute(f"{kind}_tensor")
    return [] if tensor is None else list(np.ravel(tensor).tolist())


def _normalizer(step: NodeStep) -> Value:
    norm = str(step.attribute("norm", "MAX"))
    if norm != "L1":
        raise step.refused(f"divides each row by its {escape(norm)} norm", ONE_BY_ONE)
    return to_sum_1(step)


def _binarizer(step: NodeStep) -> Value:
    threshold = Numeral(float(step.attribute("threshold", 0.0)))
    return Rows(tuple(Operation("greater", (each, threshold)) for each in step.rows(0).columns))


def _linear_classifier(step: NodeStep) -> Sequence[Value]:
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
    scores = matrix(step, rows, weights)
    if intercepts:
        scores = tuple(add(each, Numeral(value)) for each, value in zip(scores, intercepts, strict=True))
    if count not in {1, len(labels)} or (count == 1 and len(labels) != 2):
        raise step.refused(f"has {count} rows of coefficients for {len(labels)} classes")
    return Rows((Numeral(math.nan),)), Rows(_transformed(step, scores))


def _transformed(step: NodeStep, scores: tuple[Symbol, ...]) -> tuple[Symbol, ...]:
    kind = step.attribute("post_transform", "NONE")
    if kind == "NONE":
        return scores
    if kind == "LOGISTIC":
        made = tuple(apply("sigmoid", each) for each in scores)
        return made if len(made) > 1 else (subtract(ONE, made[0]), made[0])
    if kind == "SOFTMAX" and len(scores) > 1:
        return softmax(scores)
    raise step.refused(f"has the post_transform {escape(str(kind))}", "fit a logistic regression")


SINGLE: Mapping[str, Callable[[NodeStep], Value]] = {
    "ArrayFeatureExtractor": _extract,
    "Scaler": _scaler,
    "Imputer": _imputer,
    "OneHotEncoder": _one_hot,
    "LabelEncoder": _label_encoder,
    "Normalizer": _normalizer,
    "Binarizer": _binarizer,
    "ZipMap": identity,
}
# With several outputs.
SEVERAL: Mapping[str, Callable[[NodeStep], Sequence[Value]]] = {"LinearClassifier": _linear_classifier}
