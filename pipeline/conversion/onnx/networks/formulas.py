"""What a graph does with each number of a tensor by itself, as formulas, and the functions of the registry in them.

Exporters write some functions as several nodes: SiLU as ``x * Sigmoid(x)``, GELU with Erf or Tanh. They are recognised
as polynomials of x and of functions of polynomials, so that the order of factors and terms does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import field
from itertools import product
from typing import Any

import numpy as np

from pipeline.conversion.networks.stack import Stack
from pipeline.conversion.onnx.graph import Constant
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError

# Monomials, each a sorted tuple of its factors, with their coefficients.
Polynomial = dict[tuple[Hashable, ...], float]

_DEEPEST, _NEAREST, _MOST_TERMS, _HIGHEST = 40, 12, 8, 4
_REMEDY = "leave the step out, or convert the model in the tool that made it"
_ADDED = "joins outputs of layers with each other, but here each layer takes those of the one before"


@dataclass(frozen=True, eq=False)
class NetworkFormula:
    """An operator on formulas and constants, or the outputs of layers; equal to itself alone.

    Attributes
    ----------
    operator : str
        The name of an ONNX operator; empty for the outputs of layers.
    arguments : tuple
    stack : Stack or None
        The layers, where there is no operator.
    parameters : mapping
        The parameters of a function of the registry.
    node : str
        What messages call the node.
    """

    operator: str
    arguments: tuple[NetworkFormula | Constant, ...] = ()
    stack: Stack | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    node: str = ""
    depth: int = 0

    def __post_init__(self) -> None:
        depth = 1 + max((each.depth for each in self.inner), default=-1)
        object.__setattr__(self, "depth", depth)
        if depth > _DEEPEST:
            raise ModelError(f"{self.node} is the last of more than {_DEEPEST} operations without a layer", _REMEDY)

    @property
    def inner(self) -> tuple[NetworkFormula, ...]:
        """The arguments that are no constants."""
        return tuple(each for each in self.arguments if isinstance(each, NetworkFormula))


# The function of the registry that an operator is.
FUNCTION_OF: Mapping[str, str] = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Softplus": "softplus",
    "Elu": "elu",
    "HardSigmoid": "hard_sigmoid",
    "Gelu": "gelu",
    "GeluTanh": "gelu_tanh",
    "Softmax": "softmax",
}


def settled(formula: NetworkFormula) -> Stack:
    """Return the layers that a formula is.

    Raises
    ------
    ModelError
        It is none that layers have; the message names the node.
    """
    if formula.stack is not None:
        return formula.stack
    for inner in _inside(formula):
        if (function := _PATTERNS.get(_key(_polynomial(formula, inner, {})))) is not None:
            return settled(inner).function(function)
    if len(formula.inner) != 1:
        raise ModelError(f"{formula.node} {_ADDED}", _REMEDY)
    if (straight := _straight(formula)) is not None:
        return settled(formula.inner[0]).straight(*straight)
    if (name := FUNCTION_OF.get(formula.operator)) is not None:
        return settled(formula.inner[0]).function(name, formula.parameters)
    raise ModelError(f"{formula.node} is part of no function that logitstream has", _REMEDY)


def _straight(formula: NetworkFormula) -> tuple[Any, Any] | None:
    """Return scale and shift of a formula of one argument and constants."""
    number = next((each for each in formula.arguments if not isinstance(each, NetworkFormula)), None)
    if number is None:
        return (-1.0, 0.0) if formula.operator == "Neg" else None
    is_first = isinstance(formula.arguments[0], NetworkFormula)
    value = np.asarray(number, np.float64).ravel()
    if formula.operator == "Add":
        return 1.0, value
    if formula.operator == "Sub":
        return (1.0, -value) if is_first else (-1.0, value)
    if formula.operator == "Mul":
        return value, 0.0
    return (1 / value, 0.0) if formula.operator == "Div" and is_first and np.all(value) else None


def _inside(formula: NetworkFormula) -> Iterator[NetworkFormula]:
    """Yield the formulas in a formula, the outer ones first, each once."""
    seen: dict[int, NetworkFormula] = {}
    level = formula.inner
    for _ in range(_NEAREST):
        fresh = {id(each): each for each in level if id(each) not in seen}
        seen |= fresh
        yield from fresh.values()
        level = tuple(part for each in fresh.values() for part in each.inner)


def _polynomial(
    formula: NetworkFormula | Constant, x: NetworkFormula, known: dict[int, Polynomial | None]
) -> Polynomial | None:
    """Return a formula as a polynomial of another one; ``None`` where it is none, or a long one."""
    if formula is x:
        return {("x",): 1.0}
    if not isinstance(formula, NetworkFormula):
        numbers = np.unique(formula)
        return {(): float(numbers[0])} if numbers.size == 1 else None
    if id(formula) not in known:
        known[id(formula)] = _applied(formula, x, known)
    return known[id(formula)]


def _applied(formula: NetworkFormula, x: NetworkFormula, known: dict[int, Polynomial | None]) -> Polynomial | None:
    parts = [_polynomial(each, x, known) for each in formula.arguments]
    given = [each for each in parts if each is not None]
    if not given or len(given) < len(parts):
        return None
    if (arithmetic := _ARITHMETIC.get(formula.operator)) is not None:
        return arithmetic(*given)
    return {((formula.operator, *map(_key, given)),): 1.0}


def _plus(one: Polynomial | None, other: Polynomial | None) -> Polynomial | None:
    if one is None or other is None:
        return None
    made = dict(one)
    for monomial, number in other.items():
        made[monomial] = made.get(monomial, 0.0) + number
    return made if len(made) <= _MOST_TERMS else None


def _times(one: Polynomial | None, other: Polynomial | None) -> Polynomial | None:
    if one is None or other is None:
        return None
    made: Polynomial = {}
    for (left, a), (right, b) in product(one.items(), other.items()):
        monomial = tuple(sorted((*left, *right), key=repr))
        made[monomial] = made.get(monomial, 0.0) + a * b
    return made if len(made) <= _MOST_TERMS and max(map(len, made)) <= _HIGHEST else None


def _negative(one: Polynomial | None) -> Polynomial | None:
    return _times(one, {(): -1.0})


def _minus(one: Polynomial, other: Polynomial) -> Polynomial | None:
    return _plus(one, _negative(other))


def _number(polynomial: Polynomial) -> float:
    """Return the constant that a polynomial is, 0 for any other."""
    return polynomial.get((), 0.0) if len(polynomial) == 1 else 0.0


def _over(one: Polynomial, other: Polynomial) -> Polynomial | None:
    number = _number(other)
    return _times(one, {(): 1 / number}) if number else None


def _power(one: Polynomial, other: Polynomial) -> Polynomial | None:
    number = _number(other)
    if number not in {2.0, 3.0}:
        return None
    return _times(_times(one, one), one if number == 3.0 else {(): 1.0})


_ARITHMETIC: Mapping[str, Callable[..., Polynomial | None]] = {
    "Add": _plus,
    "Sub": _minus,
    "Mul": _times,
    "Div": _over,
    "Pow": _power,
    "Neg": _negative,
}


def _key(polynomial: Polynomial | None) -> Hashable:
    """Return what is equal for polynomials whose coefficients have the same five digits, as those of float32 do."""
    if polynomial is None:
        return None
    return tuple(sorted(((each, f"{number:.5g}") for each, number in polynomial.items() if number), key=repr))


def _patterns() -> Iterator[tuple[Hashable, str]]:
    x: Polynomial = {("x",): 1.0}

    def of(operator: str, argument: Polynomial | None) -> Polynomial:
        return {((operator, _key(argument)),): 1.0}

    def half(argument: Polynomial) -> Polynomial | None:
        return _times(_times(x, {(): 0.5}), _plus(argument, {(): 1.0}))

    slope = math.sqrt(2 / math.pi)
    cubic: Polynomial = {("x",): slope, ("x", "x", "x"): 0.044715 * slope}
    yield _key(_times(x, of("Sigmoid", x))), "silu"
    yield _key(half(of("Erf", {("x",): math.sqrt(0.5)}))), "gelu"
    yield _key(half(of("Tanh", cubic))), "gelu_tanh"
    yield _key(of("Log", of("Sigmoid", x))), "log_sigmoid"
    yield _key(_times(of("Softplus", {("x",): -1.0}), {(): -1.0})), "log_sigmoid"


_PATTERNS: Mapping[Hashable, str] = dict(_patterns())
