"""What the probabilities of a graph are a function of: raw predictions, a link, a calibration, classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from typing import Any

from pipeline.conversion.onnx.symbols import (
    ONE,
    ZERO,
    LinearSum,
    Numeral,
    Operation,
    RawOutput,
    Symbol,
    TableLookup,
    apply,
    divide,
    linear,
    multiply,
    negative,
    plain,
    subtract,
    times,
)
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError

_REMEDY = "logitstream imports logistic regressions: binary, softmax, or one-vs-rest"


@dataclass(frozen=True, slots=True)
class Meaning:
    """How a graph scores.

    Attributes
    ----------
    raw : tuple of Symbol
        The raw predictions: one for a binary model, or one for each class.
    link : str
    normalise : str
        Empty for a binary model.
    output : mapping
        Members of ``output`` in the model file.
    is_raw : bool
        Whether the graph gives raw predictions alone.
    """

    raw: tuple[Symbol, ...]
    link: str = "logit"
    normalise: str = ""
    output: Mapping[str, Any] = field(default_factory=dict)
    is_raw: bool = False


def meaning_of(columns: Sequence[Symbol]) -> Meaning:
    """Return what probabilities are, one for the positive class or one for each class.

    Raises
    ------
    ModelError
        They are no logistic model's.
    """
    columns = tuple(columns)
    if len(columns) == 1:
        return _binary(columns[0])
    shared = [each.arguments for each in columns if isinstance(each, Operation) and each.operator == "share"]
    if len(shared) == len(columns) and all(total is shared[0][1] for _, total in shared):
        return _of_shares([part for part, _ in shared])
    if len(columns) == 2:
        return _of_two(*columns)
    if all(_is_sum(each) for each in columns):
        return Meaning(columns, normalise="softmax", output={"columns": ["raw_prediction"]}, is_raw=True)
    raise ModelError(
        f"the {len(columns)} outputs of the graph are no probabilities of classes that sum to 1", f"{_REMEDY} models"
    )


def _of_two(first: Symbol, second: Symbol) -> Meaning:
    """Return a binary model of the outputs for both classes."""
    if second == subtract(ONE, first) or first == subtract(ONE, second) or _is_sigmoid(second):
        return _binary(second if _is_sigmoid(second) else subtract(ONE, first))
    if _is_sum(first) and linear(first) == linear(negative(second)):
        return _binary(second)
    raise ModelError("the 2 outputs of the graph are not the probabilities of two classes", f"{_REMEDY} models")


def _is_sigmoid(symbol: Symbol) -> bool:
    return isinstance(symbol, Operation) and symbol.operator == "sigmoid"


def _is_sum(symbol: Symbol) -> bool:
    """Return whether a symbol is a raw prediction: a sum of what no sigmoid was applied to."""
    atoms = [atom for atom, _ in linear(symbol).terms]
    functions = {"sigmoid", "share", "exp", "where", "divide", "sum"}
    return bool(atoms) and not any(isinstance(atom, Operation) and atom.operator in functions for atom in atoms)


def _of_shares(parts: Sequence[Symbol]) -> Meaning:
    powers = [each.arguments[0] for each in parts if isinstance(each, Operation) and each.operator == "exp"]
    below = [each.arguments[0] for each in powers if isinstance(each, Operation) and each.operator == "below"]
    if len(parts) in {len(powers), len(below)}:
        return _softmax(below if len(below) == len(parts) else powers)
    raw = tuple(each.arguments[0] for each in parts if isinstance(each, Operation) and _is_sigmoid(each))
    if len(raw) < len(parts):
        raise ModelError("the graph divides by a sum what are neither sigmoids nor powers", f"{_REMEDY} models")
    if _are_opposite(raw):
        return _binary(parts[1])
    return Meaning(*_calibrated_alike(raw, "one-vs-rest"))


def _softmax(raw: Sequence[Symbol]) -> Meaning:
    # The graphs that logitstream writes keep two classes as they are.
    if _are_opposite(raw) and not isinstance(raw[0], RawOutput):
        return Meaning((times(raw[1], Fraction(2)),))
    return Meaning(*_calibrated_alike(raw, "softmax"))


def _are_opposite(raw: Sequence[Symbol]) -> bool:
    return len(raw) == 2 and linear(raw[0]) == linear(negative(raw[1]))


def _calibrated_alike(raw: Sequence[Symbol], normalise: str) -> tuple[tuple[Symbol, ...], str, str, dict[str, Any]]:
    said = [_parameters(each) for each in raw]
    if any(output != said[0][1] for _, output in said):
        raise ModelError("the graph calibrates its classes differently", "calibrate all classes alike, or none")
    return tuple(inner for inner, _ in said), "logit", normalise, said[0][1]


def _binary(symbol: Symbol) -> Meaning:
    if isinstance(symbol, Operation) and symbol.operator == "sigmoid":
        raw, output = _parameters(symbol.arguments[0])
        return Meaning((raw,), output=output)
    if (steps := _isotonic(symbol)) is not None:
        return steps
    for link, inverse in _LINKS.items():
        if (inner := inverse(symbol)) is not None:
            return Meaning((inner,), link)
    if _is_sum(symbol):
        return Meaning((symbol,), output={"columns": ["raw_prediction"]}, is_raw=True)
    raise ModelError("the output of the graph is no probability that logitstream knows", f"{_REMEDY} models")


def _parameters(symbol: Symbol) -> tuple[Symbol, dict[str, Any]]:
    """Return the raw prediction in the argument of a sigmoid, and the parameters or the calibration around it."""
    if isinstance(symbol, Operation) and symbol.operator == "divide":
        inner, divisor = symbol.arguments
        if isinstance(divisor, Numeral):
            raw, output = _parameters(inner)
            return raw, {**output, "temperature": divisor.value}
    sum_ = linear(symbol)
    if len(sum_.terms) == 1 and isinstance(raw := sum_.terms[0][0], RawOutput):
        said = {"alpha": float(sum_.terms[0][1]), "beta": float(sum(sum_.constants))}
        return raw, {name: value for name, value in said.items() if value != {"alpha": 1, "beta": 0}[name]}
    return _beta(symbol, sum_)


def _beta(symbol: Symbol, sum_: LinearSum) -> tuple[Symbol, dict[str, Any]]:
    """Return the raw prediction and calibration of ``a log s(z) - b log(1 - s(z)) + c``."""
    factors: dict[str, Fraction] = {}
    raw: Symbol | None = None
    for (atom, weight), (log, opposite) in zip(sum_.terms[::2], sum_.terms[1::2], strict=False):
        z = atom.arguments[0] if isinstance(atom, Operation) else atom
        if (atom, log) != _log_sigmoid(z) or weight != -opposite:
            return symbol, {}
        is_negative = not isinstance(z, RawOutput)
        raw = negative(z) if is_negative else z
        factors["b" if is_negative else "a"] = -weight if is_negative else weight
    if not isinstance(raw, RawOutput) or len(sum_.terms) != 2 * len(factors):
        return symbol, {}
    said = {name: float(factors.get(name, 0)) for name in ("a", "b")}
    return raw, {"calibration": {"method": "beta", **said, "c": float(sum(sum_.constants))}}


def _log_sigmoid(z: Symbol) -> tuple[Symbol, Symbol]:
    """Return the two parts of ``min(z, 0) - log(1 + exp(-abs(z)))``."""
    power = apply("exp", negative(apply("abs", z)))
    return apply("min", z, ZERO), apply("log", LinearSum((Fraction(1),), ((power, Fraction(1)),)))


def _isotonic(symbol: Symbol) -> Meaning | None:
    """Return a step function of the raw prediction."""
    if not isinstance(symbol, TableLookup) or len(symbol.places) != 1 or not isinstance(symbol.places[0], Operation):
        return None
    place = symbol.places[0]
    flags = [atom for atom, _ in linear(place.arguments[-1]).terms if isinstance(atom, Operation)]
    edges = [end.value for flag in flags if isinstance(end := flag.arguments[-1], Numeral)]
    raw = flags[0].arguments[0] if flags else None
    if not isinstance(raw, RawOutput) or place != _place_among(edges, raw) or len(edges) + 2 != len(symbol.table):
        return None
    *probabilities, none = symbol.table.tolist()
    said = {"thresholds": edges, "probabilities": probabilities}
    return Meaning((raw,), output={"calibration": {"method": "isotonic", **said}}) if math.isnan(none) else None


def _place_among(edges: Sequence[float], raw: RawOutput) -> Symbol:
    """Return how many edges a raw prediction reaches; one more than all for NaN."""
    flags = tuple((apply("greater_equal", raw, Numeral(edge)), Fraction(1)) for edge in edges)
    return apply("where", apply("isnan", raw), Numeral(len(edges) + 1.0), plain(LinearSum((), flags)))


def _argument(symbol: Symbol, operator: str) -> Symbol | None:
    return symbol.arguments[0] if isinstance(symbol, Operation) and symbol.operator == operator else None


def _exp_of_minus_exp(symbol: Symbol | None) -> Symbol | None:
    """Return z of ``exp(-exp(z))``."""
    inner = None if symbol is None else _argument(symbol, "exp")
    return None if inner is None else _argument(negative(inner), "exp")


def _loglog(symbol: Symbol) -> Symbol | None:
    """Return z of ``exp(-exp(-z))``."""
    inner = _exp_of_minus_exp(symbol)
    return None if inner is None else negative(inner)


def _cloglog(symbol: Symbol) -> Symbol | None:
    """Return z of ``1 - exp(-exp(z))``, also where small values are computed apart."""
    if isinstance(symbol, Operation) and symbol.operator == "where":
        _, rest, small = symbol.arguments
        u = _without_one(rest)
        if u is None or (inner := _argument(u, "exp")) is None:
            return None
        t = negative(inner)
        mended = divide(multiply(rest, t), negative(apply("log", u)))
        if small != Operation("where", (apply("equal", u, ONE), t, mended)):
            return None
        return _exp_of_minus_exp(u)
    return _exp_of_minus_exp(_without_one(symbol))


def _without_one(symbol: Symbol) -> Symbol | None:
    """Return u of ``1 - u``."""
    sum_ = linear(symbol)
    is_rest = sum(sum_.constants) == 1 and len(sum_.terms) == 1 and sum_.terms[0][1] == -1
    return sum_.terms[0][0] if is_rest else None


_LINKS = {"loglog": _loglog, "cloglog": _cloglog}
