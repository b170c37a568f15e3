"""What the columns of a matrix are, as sums of what features of a model file can say; other tools are read into it.

A :class:`Signal` is one column of the matrix that a linear model multiplies by its coefficients: a constant, and
weights times atoms. An atom is what one feature can add for one row: the number in a column (:class:`Number`, perhaps
transformed), 1 where a column has a level (:class:`Is`), 1 where a number is in a bin (:class:`InBin`), 1 where a
column is missing (:class:`Missing`), or a product of these (:class:`ProductAtom`). Operations return new signals:

    column("x", 0)                                the number in a column
    constant(2.5)
    affine(signal, center, scale)                 (signal - center) / scale
    combine(signals, weights, offset)             offset + sum of weight * signal
    transform(signal, "log")                      also "log1p", "sqrt", "square" and Clip(low, high)
    multiply(first, second)
    impute(signal, value)                         a value where the signal is missing
    is_missing(signal)                            1 where it is missing, else 0
    lookup(encoding, values, missing, unseen)     a number for each level of a column
    binned(signal, edges, values, missing)        a number for each bin [a, b) of a column
    map_values(signal, function)                  any function of levels, bins or a missing indicator
    guarded(signal, others)                       the same; rows in which another signal is missing are refused

:func:`pipeline.conversion.folding.document` turns signals, coefficients and intercepts into a model file. What an
operation cannot express raises :class:`UnfoldableError`, a ModelError without a place: the caller adds the place.

Weights and constants are decimals of 60 digits and are rounded to float64 once, when features are written. A number
that was only centred and scaled keeps its center and scale bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from functools import cached_property, partial
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.kernels import Affine, Clip, Step, stepped
from pipeline.models.levels import LevelType
from pipeline.units import escape

Floats = npt.NDArray[np.float64]

MISSING = -1
UNSEEN = -2

EXACT = Context(prec=60, traps=[])
_ZERO, _ONE = Decimal(0), Decimal(1)


class UnfoldableError(ModelError):
    """A model file cannot express it: what, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Number:
    """The number in a column after ``steps``. Missing values count as ``fill``; ``None``: the atom is missing there.

    ``fill`` is in units of the column. It may be a text before a column is known to hold levels.
    """

    column: str
    position: int
    steps: tuple[Step, ...] = ()
    fill: Any = None

    def value(self, value: float) -> float:
        """Return what the steps make of a value of the column."""
        return stepped(self.steps, value)


@dataclass(frozen=True, eq=False)
class Encoding:
    """The levels of a column, as a model file spells them; ``fill`` is the level that missing values count as."""

    column: str
    position: int
    levels: tuple[str, ...]
    type: LevelType
    fill: str | None = None

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each level."""
        return {level: place for place, level in enumerate(self.levels)}


@dataclass(frozen=True, slots=True)
class Is:
    """1 where a column has the level at a place of an encoding, or is ``MISSING`` or ``UNSEEN``, else 0."""

    encoding: Encoding
    state: int

    @property
    def position(self) -> int:
        """The place of the column in the table."""
        return self.encoding.position


@dataclass(frozen=True, slots=True, eq=False)
class Binning:
    """Bins of a column: below the first edge, between two edges with the lower one included, from the last edge on."""

    column: str
    position: int
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class InBin:
    """1 where a number is in the bin of this number, or is ``MISSING``, else 0."""

    binning: Binning
    state: int

    @property
    def position(self) -> int:
        """The place of the column in the table."""
        return self.binning.position


@dataclass(frozen=True, slots=True)
class Missing:
    """1 where a column is missing, else 0."""

    column: str
    position: int


@dataclass(frozen=True, slots=True)
class FactorAtom:
    """``(number - center) / scale`` in a product."""

    number: Number
    center: float
    scale: float

    @property
    def position(self) -> int:
        """The place of the column in the table."""
        return self.number.position


@dataclass(frozen=True, slots=True)
class ProductAtom:
    """The product of factors, from left to right; at most one of them for each encoding."""

    factors: tuple[FactorAtom | Is, ...]

    @property
    def position(self) -> int:
        """The place of its first column in the table."""
        return min(factor.position for factor in self.factors)


Atom = Number | Is | InBin | Missing | ProductAtom
# Where a signal is missing: a column is, or a level is unseen or missing.
Lack = Missing | Is
# What must be refused all the same: the missing values of a number, an unseen or missing level.
Guard = Number | Is
Special = Literal["missing", "refused"]
Value = float | Special


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A column of a matrix: ``constant`` and the sum of weights times atoms. Immutable.

    Attributes
    ----------
    constant : Decimal
    terms : mapping of Atom to Decimal
        A weight of 0 stays: its column may be missing.
    scaled : (float, float), optional
        ``(center, scale)`` of a signal that is one number; its constant and weight say the same in decimals.
    absent : frozenset
        Where it is missing.
    guards : frozenset
        What is refused though no term says so.
    path : tuple of callable
        What was done to each value of ``start``, in float64, as the other tool does it.
    start : Signal, optional
        Where ``path`` begins; ``None`` is the signal itself.
    """

    constant: Decimal
    terms: Mapping[Atom, Decimal]
    scaled: tuple[float, float] | None = None
    absent: frozenset[Lack] = frozenset()
    guards: frozenset[Guard] = frozenset()
    path: tuple[Callable[[Floats], Floats], ...] = ()
    start: Signal | None = None

    @property
    def number(self) -> Number | None:
        """The one number that it is, centred and scaled; ``None`` if it is something else."""
        return None if self.scaled is None else cast("Number", next(iter(self.terms)))

    @property
    def columns(self) -> list[str]:
        """The columns that it is made of."""
        return list(dict.fromkeys(name for atom in self.terms for name in columns_of(atom)))


def columns_of(atom: Atom | FactorAtom) -> list[str]:
    """Return the columns of an atom."""
    if isinstance(atom, ProductAtom):
        return [name for factor in atom.factors for name in columns_of(factor)]
    if isinstance(atom, FactorAtom):
        return [atom.number.column]
    if isinstance(atom, Is):
        return [atom.encoding.column]
    return [atom.binning.column if isinstance(atom, InBin) else atom.column]


def column(name: str, position: int) -> Signal:
    """Return the value in a column, which may be missing. ``position`` is its place in the table, from 0."""
    return _of_number(Number(name, position), frozenset({Missing(name, position)}))


def constant(value: float) -> Signal:
    """Return a value that no column changes."""
    return Signal(Decimal(value), {})


def affine(signal: Signal, center: float = 0.0, scale: float = 1.0) -> Signal:
    """Return ``(signal - center) / scale``; ``scale`` is not 0."""
    if (center, scale) == (0.0, 1.0):
        return signal
    with localcontext(EXACT):
        by, added = _ONE / Decimal(scale), (signal.constant - Decimal(center)) / Decimal(scale)
        terms = {atom: weight * by for atom, weight in signal.terms.items()}
    scaled = (center, scale) if signal.scaled == (0.0, 1.0) else _scaled(added, terms)
    return replace(signal, constant=added, terms=terms, scaled=scaled, path=(), start=None)


def times(signal: Signal, factor: float, offset: float = 0.0) -> Signal:
    """Return ``factor * signal + offset``."""
    if (factor, offset) == (1.0, 0.0):
        return signal
    with localcontext(EXACT):
        by = Decimal(factor)
        terms = {atom: weight * by for atom, weight in signal.terms.items()}
        added = signal.constant * by + Decimal(offset)
    return replace(signal, constant=added, terms=terms, scaled=_scaled(added, terms), path=(), start=None)


def _scaled(added: Decimal, terms: Mapping[Atom, Decimal]) -> tuple[float, float] | None:
    """Return the center and scale, rounded once, of what is one number; ``None`` if it is something else."""
    if len(terms) != 1 or not isinstance(next(iter(terms)), Number):
        return None
    (weight,) = terms.values()
    with localcontext(EXACT):
        center, scale = (float(-added / weight), float(_ONE / weight)) if weight else (0.0, 0.0)
    return (center, scale) if scale and math.isfinite(center) and math.isfinite(scale) else None


def combine(signals: Sequence[Signal], weights: Sequence[float], offset: float = 0.0) -> Signal:
    """Return ``offset`` plus the sum of weights times signals; missing where one of them is."""
    with localcontext(EXACT):
        added, terms = Decimal(offset), dict[Atom, Decimal]()
        for signal, weight in zip(signals, weights, strict=True):
            by = Decimal(weight)
            added += by * signal.constant
            for atom, own in signal.terms.items():
                terms[atom] = terms.get(atom, _ZERO) + by * own
    return Signal(added, terms, _scaled(added, terms), _union(signals), _guards(signals))


def _union(signals: Iterable[Signal]) -> frozenset[Lack]:
    return frozenset().union(*(signal.absent for signal in signals))


def _guards(signals: Iterable[Signal]) -> frozenset[Guard]:
    return frozenset().union(*(signal.guards for signal in signals))


def transform(signal: Signal, step: Step) -> Signal:
    """Return a function of a signal; of levels, bins and missing indicators it is computed value by value."""
    if signal.number is None:
        return map_values(signal, partial(stepped, (step,)))
    number, (center, scale) = signal.number, signal.scaled or (0.0, 1.0)
    if isinstance(step, Clip) and scale > 0 and (center, scale) != (0.0, 1.0):
        # Between the same values of the column: it keeps its center and scale.
        ends = Clip(step.low * scale + center, step.high * scale + center)
        clipped = transform(_of_number(number, signal.absent), ends)
        return replace(affine(clipped, center, scale), guards=signal.guards)
    before = () if (center, scale) == (0.0, 1.0) else (Affine(center, scale),)
    if isinstance(number.fill, str):
        raise UnfoldableError(
            f'column "{escape(number.column)}" is numeric, but its missing values are filled with text'
        )
    made = replace(number, steps=(*number.steps, *before, step))
    if number.fill is not None and not math.isfinite(made.value(number.fill)):
        name = step if isinstance(step, str) else "clip"
        raise UnfoldableError(
            f'{name} of the value for missing values in column "{escape(number.column)}" is not finite'
        )
    return replace(_of_number(made, signal.absent), guards=signal.guards)


def _of_number(number: Number, absent: frozenset[Lack]) -> Signal:
    return Signal(_ZERO, {number: _ONE}, (0.0, 1.0), absent)


def is_partial(signal: Signal) -> bool:
    """Return whether a signal has a logarithm or a root, which other tools take as missing where it does not exist.

    Behind a step that refuses missing values it has none.
    """
    numbers = [atom for atom in signal.terms if isinstance(atom, Number)]
    numbers += [
        each.number
        for atom in signal.terms
        if isinstance(atom, ProductAtom)
        for each in atom.factors
        if isinstance(each, FactorAtom)
    ]
    open_ = [number for number in numbers if number not in signal.guards]
    return any(step in {"log", "log1p", "sqrt"} for number in open_ for step in number.steps)


def impute(signal: Signal, value: Any) -> Signal:
    """Return a signal that has a value where it is missing; the same signal if it never is."""
    if is_partial(signal):
        raise UnfoldableError(
            f'it fills missing values behind a logarithm or root of column "{escape(signal.columns[0])}"',
            "fill them before",
        )
    if not signal.absent:
        return signal
    number = signal.number
    if number is not None and number.fill is None:
        return _imputed(signal, number, value)
    if isinstance(value, str):
        raise UnfoldableError(f'it fills numbers of column "{escape(signal.columns[0])}" with text')
    _one_column(signal)
    with localcontext(EXACT):
        terms = dict(signal.terms)
        for lack in signal.absent:
            terms[lack] = Decimal(value) - signal.constant
        return Signal(signal.constant, terms, guards=signal.guards)


def _one_column(signal: Signal) -> None:
    if not all(isinstance(atom, Is) for atom in signal.terms) or len({id(a.encoding) for a in signal.terms}) > 1:  # type: ignore[union-attr]
        names = ", ".join(f'"{escape(name)}"' for name in signal.columns[:3])
        raise UnfoldableError(f"it fills missing values of what is made of the columns {names}", "fill them before")


def _imputed(signal: Signal, number: Number, value: Any) -> Signal:
    """Return a number with a value for missing ones: in units of the column, corrected where there is no such value."""
    center, scale = signal.scaled or (0.0, 1.0)
    if isinstance(value, str) or (not number.steps and (center, scale) == (0.0, 1.0)):
        return replace(signal, terms={replace(number, fill=value): _ONE}, absent=frozenset(), path=(), start=None)
    with localcontext(EXACT):
        weight = signal.terms[number]
        wanted = (Decimal(value) - signal.constant) / weight
        fill = _inverse(number, float(wanted))
        made = replace(number, fill=fill)
        terms: dict[Atom, Decimal] = {made: weight}
        missed = wanted - Decimal(made.value(fill))
        if abs(missed) <= Decimal(2.0**-50) * abs(wanted):
            return replace(signal, terms=terms, absent=frozenset(), path=(), start=None)
        (lack,) = signal.absent
        return Signal(signal.constant, terms | {lack: missed * weight}, guards=signal.guards)


def _inverse(number: Number, value: float) -> float:
    """Return a number whose steps give about a value, or another one where they give something finite."""
    found = value
    for step in reversed(number.steps):
        if isinstance(step, Affine):
            found = found * step.scale + step.center
        elif step == "square":
            found = math.sqrt(max(found, 0.0))
    return found if math.isfinite(found) and math.isfinite(number.value(found)) else 0.0


def is_missing(signal: Signal) -> Signal:
    """Return 1 where a signal is missing, else 0."""
    if is_partial(signal):
        raise UnfoldableError("it looks for missing values behind a logarithm or root", "look for them before")
    if len({lack for lack in signal.absent if isinstance(lack, Missing)}) > 1:
        raise UnfoldableError("it looks for missing values of several columns at once", "look for them in each column")
    return Signal(_ZERO, dict.fromkeys(signal.absent, _ONE), guards=signal.guards)


def guarded(signal: Signal, others: Iterable[Signal]) -> Signal:
    """Return a signal; rows where one of the others is missing or cannot be computed are refused."""
    added: set[Guard] = set()
    for other in others:
        added |= other.guards
        added |= {lack for lack in other.absent if isinstance(lack, Is)}
        added |= {atom for atom in other.terms if isinstance(atom, Number) and (atom.steps or atom.fill is None)}
    return replace(signal, guards=signal.guards | added)


def complete(signal: Signal) -> Signal:
    """Return a signal behind a step that refuses missing values: it is never missing any more."""
    is_open = bool(signal.absent) or is_partial(signal)
    return replace(signal, absent=frozenset(), guards=guarded(signal, [signal]).guards) if is_open else signal


def lookup(encoding: Encoding, values: Mapping[str, float], missing: Value, unseen: Value) -> Signal:
    """Return a number for each level of a column; a level without one has 0.

    ``missing`` and ``unseen`` are numbers, or ``"missing"`` where the signal is missing there, or ``"refused"``. With
    ``encoding.fill``, missing values have the number of that level.
    """
    places = encoding.places
    terms: dict[Atom, Decimal] = {Is(encoding, places[level]): Decimal(value) for level, value in values.items()}
    absent, guards = set[Lack](), set[Guard]()
    for state, value in ((MISSING, missing), (UNSEEN, unseen)):
        atom = Is(encoding, state)
        if state == MISSING and encoding.fill is not None:
            continue
        if value == "missing":
            absent.add(atom)
        elif value == "refused":
            guards.add(atom)
        elif value:
            terms[atom] = Decimal(value)
    # A column without a coefficient still is one that is looked at.
    terms = terms or {Is(encoding, 0): _ZERO}
    return Signal(_ZERO, terms, absent=frozenset(absent), guards=frozenset(guards))


def binned(signal: Signal, edges: Sequence[float], values: Sequence[float], missing: Value = "refused") -> Signal:
    """Return a number for each bin of a column; see :func:`bins`."""
    return bins(signal, edges, [values], [missing])[0]


def bins(
    signal: Signal, edges: Sequence[float], values: Sequence[Sequence[float]], missing: Sequence[Value]
) -> list[Signal]:
    """Return signals with a number for each bin of the same bins of a column, which is not changed otherwise.

    ``edges`` are in units of the column and increase; each of ``values`` has a number more than there are edges.
    ``missing`` is for rows in which the column is missing.
    """
    number = signal.number
    if number is None:
        raise UnfoldableError("it makes bins of what is made of several columns", "make bins of a column")
    if not edges:
        return [_one_bin(signal, number, own[0], value) for own, value in zip(values, missing, strict=True)]
    binning = Binning(number.column, number.position, tuple(edges))
    made = []
    for own, value in zip(values, missing, strict=True):
        terms: dict[Atom, Decimal] = {InBin(binning, state): Decimal(each) for state, each in enumerate(own)}
        absent = frozenset[Lack]({Missing(number.column, number.position)} if value == "missing" else ())
        if not isinstance(value, str):
            terms[InBin(binning, MISSING)] = Decimal(value)
        made.append(Signal(_ZERO, terms, absent=absent, guards=signal.guards))
    return made


def _one_bin(signal: Signal, number: Number, value: float, missing: Value) -> Signal:
    lack = Missing(number.column, number.position)
    terms: dict[Atom, Decimal] = {}
    if not isinstance(missing, str) and missing != value:
        terms[lack] = Decimal(missing) - Decimal(value)
    absent = frozenset[Lack]({lack} if missing == "missing" else ())
    made = Signal(Decimal(value), terms, absent=absent, guards=signal.guards)
    return guarded(made, [signal]) if missing == "refused" else made


def states(signal: Signal) -> dict[Atom | None, float | None]:
    """Return the values of a signal that has finitely many, by the atom that is 1 there; ``None``: it is missing.

    The key ``None`` is for a column that is not missing, where the signal is a missing indicator. Empty if the values
    are not finitely many, or of several columns. Values are those of ``path``, where there is one.
    """
    if signal.start is not None:
        before = states(signal.start)
        found = replay(signal.path, [math.nan if value is None else value for value in before.values()])
        return {atom: None if math.isnan(value) else value for atom, value in zip(before, found.tolist(), strict=True)}
    with localcontext(EXACT):
        own = {atom: signal.terms.get(atom, _ZERO) if atom else _ZERO for atom in _every_state(signal)}
        return {atom: None if atom in signal.absent else float(signal.constant + value) for atom, value in own.items()}


def replay(path: Sequence[Callable[[Floats], Floats]], values: Sequence[float] | Floats) -> Floats:
    """Return what the functions of a path make of values."""
    found = np.asarray(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        for function in path:
            found = np.asarray(function(found), dtype=np.float64)
    return found


def _every_state(signal: Signal) -> list[Atom | None]:
    kinds = {type(atom) for atom in signal.terms}
    first = next(iter(signal.terms), None)
    if isinstance(first, Is) and kinds == {Is} and len({id(a.encoding) for a in signal.terms}) == 1:  # type: ignore[union-attr]
        encoding = first.encoding
        outer = [UNSEEN] if encoding.fill is not None else [MISSING, UNSEEN]
        return [
            Is(encoding, state)
            for state in (*range(len(encoding.levels)), *outer)
            if Is(encoding, state) not in signal.guards
        ]
    if isinstance(first, InBin) and kinds == {InBin} and len({id(a.binning) for a in signal.terms}) == 1:  # type: ignore[union-attr]
        return [atom for atom in signal.terms if atom is not None]
    if kinds == {Missing} and len(signal.terms) == 1:
        return [first, None]
    return [None] if not signal.terms else []


def map_values(signal: Signal, function: Callable[[float], float]) -> Signal:
    """Return a function of levels, bins or a missing indicator, computed for each of their values."""
    return map_states(signal, lambda value: "missing" if value is None else function(value))


def map_states(signal: Signal, function: Callable[[float | None], Value]) -> Signal:
    """Return a function of levels, bins or a missing indicator; it gets ``None`` where the signal is missing.

    It may return ``"missing"``, or ``"refused"`` for levels alone.
    """
    found = {atom: function(value) for atom, value in states(signal).items()}
    name = escape((signal.columns or [""])[0])
    if not found:
        raise UnfoldableError(f'it is a function of what is made of column "{name}"', "use it on the column as it is")
    refused = {atom for atom, value in found.items() if value == "refused"}
    if not all(isinstance(atom, Is) and atom.state < 0 for atom in refused):
        raise UnfoldableError(f'it refuses a value of column "{name}" that it was not fitted on')
    values = {atom: value for atom, value in found.items() if not isinstance(value, str)}
    if not all(map(math.isfinite, values.values())):
        raise UnfoldableError(f'it is not finite for a value of column "{name}"')
    base = Decimal(values.pop(None, 0.0))
    with localcontext(EXACT):
        terms = {atom: Decimal(value) - base for atom, value in values.items() if atom is not None}
    lacks = [atom for atom, value in found.items() if value == "missing"]
    absent = frozenset(atom for atom in lacks if isinstance(atom, Is))
    if len(absent) < len(lacks):
        raise UnfoldableError(f'it makes a number of column "{name}" missing', "give what it does not know a number")
    guards = signal.guards | {atom for atom in refused if isinstance(atom, Is)}
    return Signal(base, terms, absent=absent, guards=guards)


def multiply(first: Signal, second: Signal) -> Signal:
    """Return the product of two signals; missing where one of them is."""
    if not (first.terms and second.terms):
        signal, factor = (first, second) if first.terms else (second, first)
        return times(signal, float(factor.constant))
    with localcontext(EXACT):
        terms: dict[Atom, Decimal] = {}
        added = _ZERO
        for one, weight in _factors(first).items():
            for other, own in _factors(second).items():
                atom, by = _product(one, other), weight * own
                if isinstance(atom, FactorAtom):
                    by /= Decimal(atom.scale)
                    added -= by * Decimal(atom.center)
                    atom = atom.number
                if atom is None:
                    added += by
                elif atom is not _NOTHING:
                    terms[atom] = terms.get(atom, _ZERO) + by
        return Signal(added, terms, _scaled(added, terms), _union((first, second)), _guards((first, second)))


_Factors = tuple[Any, ...]
_NOTHING = Missing("", -1)


def _factors(signal: Signal) -> dict[_Factors, Decimal]:
    """Return the summands of a signal, each as factors and a weight; the constant has no factor."""
    number = signal.number
    if number is not None and signal.scaled is not None:
        return {(FactorAtom(number, *signal.scaled),): _ONE}
    found: dict[_Factors, Decimal] = {} if signal.terms and not signal.constant else {(): signal.constant}
    for atom, weight in signal.terms.items():
        if isinstance(atom, Number):
            found[(FactorAtom(atom, 0.0, 1.0),)] = weight
        else:
            found[atom.factors if isinstance(atom, ProductAtom) else (atom,)] = weight
    return found


def _product(one: _Factors, other: _Factors) -> Atom | FactorAtom | None:
    """Return the product of factors as an atom, or as its only factor: ``None`` is 1, ``_NOTHING`` is 0."""
    factors = list(one)
    for factor in other:
        if isinstance(factor, FactorAtom):
            factors.append(factor)
            continue
        same = [each for each in factors if _same_states(each, factor)]
        if same and same[0] != factor:
            return _NOTHING
        if not same:
            factors.append(factor)
    return _atom(tuple(factors))


def _same_states(one: Any, other: Any) -> bool:
    """Return whether two factors are 1 in states of the same thing, so that their product is 1 or 0."""
    if isinstance(one, Is) and isinstance(other, Is):
        return one.encoding is other.encoding
    if isinstance(one, InBin) and isinstance(other, InBin):
        return one.binning is other.binning
    return isinstance(one, Missing) and one == other


def _atom(factors: _Factors) -> Atom | FactorAtom | None:
    if not factors:
        return None
    if len(factors) == 1:
        return factors[0]  # type: ignore[no-any-return]
    odd = [each for each in factors if isinstance(each, InBin | Missing)]
    if odd:
        what = "a bin" if isinstance(odd[0], InBin) else "a missing indicator"
        name = columns_of(odd[0])[0]
        raise UnfoldableError(
            f'it multiplies {what} of column "{escape(name)}" by something else', "leave that column out of products"
        )
    return ProductAtom(tuple(sorted(factors, key=lambda factor: factor.position)))
