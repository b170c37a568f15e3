"""The columns of a design matrix that patsy or formulaic made from a formula, as signals.

Read are the objects that a fitted formula leaves: the terms, the contrast matrix of each category, and the code of each
number, which is parsed and never run. Sources: ``patsy.DesignInfo`` (patsy 1.0) and ``formulaic.ModelSpec`` (formulaic
1.2). In both the columns of an interaction vary fastest in its first factor.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from pipeline.conversion import algebra
from pipeline.conversion.algebra import Encoding, Signal, UnfoldableError
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.kernels import STEP_FUNCTIONS
from pipeline.models.levels import LevelType
from pipeline.units import escape

_IN_A_COLUMN = "put it into the data as a column before fitting, or use log, log1p, sqrt, I(x ** 2), center or scale"
_SPLINES = frozenset({"BS", "CC", "CR", "TE", "bs", "cc", "cr", "cs", "te", "poly", "hashed", "lag"})
# By the logarithm of their base.
_LOGARITHMS: Mapping[str, float] = {"log2": math.log(2), "log10": math.log(10)}
_CENTERED = frozenset({"center", "scale", "standardize"})


@dataclass(frozen=True, slots=True)
class _Coded:
    """A factor of a term: the signals of its columns."""

    signals: tuple[Signal, ...]


@dataclass(eq=False)
class Design:
    """The columns of the data that a formula names, in the order in which they appear.

    Attributes
    ----------
    known : set of str or None
        The columns of the data that the formula was fitted on; ``None`` where they are not known.
    """

    known: frozenset[str] | None = None
    positions: dict[str, int] = field(default_factory=dict)
    encodings: dict[tuple[object, ...], Encoding] = field(default_factory=dict)

    def column(self, name: str, text: str) -> Signal:
        """Return the number in a column."""
        return algebra.column(name, self.position(name, text))

    def position(self, name: str, text: str) -> int:
        """Return the place of a column."""
        if self.known is not None and name not in self.known:
            raise _unknown(text, f"names {escape(name)}, which is not a column of the data")
        return self.positions.setdefault(name, len(self.positions))

    def encoding(self, name: str, text: str, categories: Sequence[Any]) -> Encoding:
        """Return the levels of a column, the same object for the same levels."""
        type_ = _level_type(categories, text)
        levels = tuple(_spelled(value) for value in categories)
        key = name, levels, type_
        if key not in self.encodings:
            self.encodings[key] = Encoding(name, self.position(name, text), levels, type_)
        return self.encodings[key]


def signals(spec: Any, design: Design) -> list[Signal]:
    """Return the columns of a design matrix.

    Raises
    ------
    ModelError
        A term cannot be said in a model file; the message names it.
    """
    terms = _patsy_terms(spec, design) if hasattr(spec, "term_codings") else _formulaic_terms(spec, design)
    return [signal for factors, scale in terms for signal in _products(factors, scale)]


def _products(factors: Sequence[_Coded], scale: float) -> Iterator[Signal]:
    """Yield the columns of a term: products of one column of each factor, those of the first factor varying fastest."""
    for chosen in itertools.product(*(factor.signals for factor in reversed(factors))):
        made = algebra.constant(scale)
        for signal in reversed(chosen):
            made = algebra.multiply(made, signal)
        yield made


def _patsy_terms(spec: Any, design: Design) -> Iterator[tuple[list[_Coded], float]]:
    for subterms in spec.term_codings.values():
        for subterm in subterms:
            yield [_patsy_factor(spec, subterm, factor, design) for factor in subterm.factors], 1.0


def _patsy_factor(spec: Any, subterm: Any, factor: Any, design: Design) -> _Coded:
    info, text = spec.factor_infos[factor], str(factor.code)
    if info.type == "categorical":
        matrix = np.asarray(subterm.contrast_matrices[factor].matrix, dtype=np.float64)
        return _categorical(text, list(info.categories), matrix, design)
    parsed = _parsed(str(info.state["eval_code"]), text)
    if info.num_columns != 1:
        raise _unknown(text, "is a spline or makes several columns")
    return _Coded((_TermReader(text, design, info.state["transforms"], {}).signal(parsed),))


def _formulaic_terms(spec: Any, design: Design) -> Iterator[tuple[list[_Coded], float]]:
    for row in spec.structure:
        for scoped in row.scoped_terms:
            factors = [_formulaic_factor(spec, each, design) for each in scoped.factors]
            yield factors, float(scoped.scale)


def _formulaic_factor(spec: Any, scoped: Any, design: Design) -> _Coded:
    text = str(scoped.factor.expr)
    kind, state = spec.encoder_state.get(text, (None, {}))
    if getattr(kind, "value", "") == "categorical":
        contrasts = state["contrasts"]
        matrix = contrasts.contrasts.get_coding_matrix(contrasts.levels, reduced_rank=scoped.reduced)
        return _categorical(text, list(contrasts.levels), np.asarray(matrix, dtype=np.float64), design)
    factor = scoped.factor.factor if hasattr(scoped.factor, "factor") else scoped.factor
    if getattr(getattr(factor, "eval_method", None), "value", "") == "lookup":
        return _Coded((design.column(text, text),))
    parsed = _parsed(text, text)
    return _Coded((_TermReader(text, design, {}, spec.transform_state).signal(parsed),))


def _categorical(text: str, categories: Sequence[Any], matrix: Any, design: Design) -> _Coded:
    """Return a column for each contrast: a number for each level."""
    encoding = design.encoding(_category_column(text), text, categories)
    columns = []
    for numbers in matrix.T:
        values = {level: float(number) for level, number in zip(encoding.levels, numbers, strict=True)}
        columns.append(algebra.lookup(encoding, values, missing="refused", unseen="refused"))
    return _Coded(tuple(columns))


def _category_column(text: str) -> str:
    """Return the column of ``C(column, ...)``, or of a column that is a category by itself."""
    node = _parsed(text, text) if not text.startswith("`") else ast.Name(text.strip("`"))
    while isinstance(node, ast.Call) and _called(node) == "C" and node.args:
        node = node.args[0]
    name = _name(node)
    if name is None:
        raise _unknown(text, "makes categories of an expression")
    return name


def _parsed(text: str, shown: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unknown(shown, "is not an expression that can be read") from error


def _called(node: ast.Call) -> str:
    """Return the name of a function, without numpy: ``log`` for ``np.log``; empty for a method of something else."""
    if isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node.func, ast.Attribute) and _name(node.func.value) in {"np", "numpy"}:
        return node.func.attr
    return ""


def _name(node: ast.expr) -> str | None:
    """Return the column that a name or ``Q("name")`` means."""
    if isinstance(node, ast.Name):
        return node.id
    quoted = node.args if isinstance(node, ast.Call) and _called(node) == "Q" else []
    if len(quoted) == 1 and isinstance(quoted[0], ast.Constant) and isinstance(quoted[0].value, str):
        return quoted[0].value
    return None


@dataclass(frozen=True, eq=False)
class _TermReader:
    """Reads the code of a number: columns, arithmetic, functions, and what was learnt from the data.

    ``learnt`` has patsy's objects by the names that stand for them in the code; ``states`` has formulaic's numbers by
    the code of the call.
    """

    text: str
    design: Design
    learnt: Mapping[str, Any]
    states: Mapping[str, Any]

    def signal(self, node: ast.expr) -> Signal:
        """Return what an expression makes of the columns."""
        if (name := _name(node)) is not None:
            return self.design.column(name, self.text)
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            return algebra.constant(float(node.value))  # type: ignore[arg-type]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self.signal(node.operand)
            return algebra.times(inner, -1.0) if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node)
        if isinstance(node, ast.Call):
            return self._function(node)
        raise _unknown(self.text, f"has {ast.unparse(node)}, which a model file cannot say")

    def _arithmetic(self, node: ast.BinOp) -> Signal:
        left, right = self.signal(node.left), self.signal(node.right)
        made = _ARITHMETIC.get(type(node.op))
        if made is None or (result := made(left, right)) is None:
            raise _unknown(self.text, f"has {ast.unparse(node)}, which a model file cannot say")
        return result

    def _function(self, node: ast.Call) -> Signal:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "transform" and node.args:
            learnt = self.learnt.get(_name(node.func.value) or "")
            return self._patsy_centered(node, learnt)
        name = _called(node)
        if name in _CENTERED:
            return self._formulaic_centered(node)
        if name in _SPLINES:
            raise _unknown(self.text, "is a spline or makes several columns")
        if len(node.args) != 1 or node.keywords or not name:
            raise _unknown(self.text, f"calls {ast.unparse(node.func)}, which a model file does not have")
        inner = self.signal(node.args[0])
        if name == "I":
            return inner
        if name in STEP_FUNCTIONS:
            return algebra.transform(inner, name)
        if name in _LOGARITHMS:
            return algebra.affine(algebra.transform(inner, "log"), 0.0, _LOGARITHMS[name])
        raise _unknown(self.text, f"calls {ast.unparse(node.func)}, which a model file does not have")

    def _patsy_centered(self, node: ast.Call, learnt: Any) -> Signal:
        kind = type(learnt).__name__
        given = {keyword.arg: _constant(keyword.value) for keyword in node.keywords}
        if len(node.args) != 1 or kind not in {"Center", "Standardize"} or None in given.values():
            spline = kind in _SPLINES
            raise _unknown(self.text, "is a spline or makes several columns" if spline else "learns from the data")
        inner = self.signal(node.args[0])
        if kind == "Center":
            return algebra.affine(inner, _number(learnt._sum / learnt._count), 1.0)  # noqa: SLF001 - its only place
        center = _number(learnt.current_mean) if given.get("center", True) else 0.0
        deviation = np.sqrt(learnt.current_M2 / (learnt.current_n - (given.get("ddof") or 0)))
        return algebra.affine(inner, center, _number(deviation) if given.get("rescale", True) else 1.0)

    def _formulaic_centered(self, node: ast.Call) -> Signal:
        state = self.states.get(ast.unparse(node))
        if not isinstance(state, Mapping) or not node.args:
            raise _unknown(self.text, "learns from the data, but what it learnt is not in the result")
        center, scale = (state.get(key) for key in ("center", "scale"))
        inner = self.signal(node.args[0])
        return algebra.affine(
            inner, 0.0 if center is None else _number(center), 1.0 if scale is None else _number(scale)
        )


def _number(value: Any) -> float:
    return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])


def _constant(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _power(base: Signal, exponent: Signal) -> Signal | None:
    power = None if exponent.terms else int(exponent.constant)
    if power is None or power != exponent.constant or not 1 <= power <= 10:
        return None
    if power == 2 and base.number is not None:
        return algebra.transform(base, "square")
    made = base
    for _ in range(power - 1):
        made = algebra.multiply(made, base)
    return made


def _quotient(left: Signal, right: Signal) -> Signal | None:
    return None if right.terms or not right.constant else algebra.affine(left, 0.0, float(right.constant))


def _sum(sign: float) -> Callable[[Signal, Signal], Signal]:
    def added(left: Signal, right: Signal) -> Signal:
        if not right.terms and left.terms:
            return algebra.affine(left, -sign * float(right.constant), 1.0)
        return algebra.combine([left, right], [1.0, sign])

    return added


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Signal, Signal], Signal | None]] = {
    ast.Add: _sum(1.0),
    ast.Sub: _sum(-1.0),
    ast.Mult: algebra.multiply,
    ast.Div: _quotient,
    ast.Pow: _power,
}


def _level_type(categories: Sequence[Any], text: str) -> LevelType:
    if all(isinstance(value, str) for value in categories):
        return "text"
    if all(isinstance(value, bool | np.bool_) for value in categories):
        return "boolean"
    if all(isinstance(value, int | np.integer) for value in categories):
        return "integer"
    if all(isinstance(value, int | float | np.number) for value in categories):
        return "number"
    raise _unknown(text, "has categories that are neither texts, numbers nor booleans")


def _spelled(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(value)


def _unknown(text: str, why: str) -> ModelError:
    return UnfoldableError(f"the term {escape(text, 80)} {why}", _IN_A_COLUMN)
