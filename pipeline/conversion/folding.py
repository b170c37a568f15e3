"""From signals, coefficients and intercepts to the features of a model file."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from decimal import Decimal, localcontext
from typing import Any, ClassVar

from pipeline.conversion.algebra import (
    EXACT,
    MISSING,
    UNSEEN,
    Atom,
    Encoding,
    FactorAtom,
    InBin,
    Is,
    Missing,
    Number,
    ProductAtom,
    Signal,
    UnfoldableError,
    columns_of,
)
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.kernels import Step
from pipeline.models.levels import level_value
from pipeline.models.logistic.documents import default_name, version_of
from pipeline.models.logistic.transforms import step_document
from pipeline.units import escape

Json = dict[str, Any]
Sums = tuple[Decimal, ...]
_BOOLEANS: Mapping[Any, str] = {0.0: "false", 1.0: "true"}
_MISSING = "(missing)"
_ZERO = Decimal(0)


def document(
    signals: Sequence[Signal],
    weights: Sequence[Sequence[float]],
    intercepts: Sequence[float],
    *,
    booleans: frozenset[str] = frozenset(),
) -> Json:
    """Return a model file with ``intercept`` and ``features`` as JSON; the caller adds target, classes and output.

    It is of version 1 where that can say it, else of version 2. Features are in the order of the columns of the table;
    products come last.

    Parameters
    ----------
    signals : sequence of Signal, n of them
    weights : sequence of K rows of n numbers
        One row for a binary model; for K classes every coefficient is a list.
    intercepts : sequence of K numbers
    booleans : frozenset of str, optional
        Columns that hold booleans, which the other tool took as numbers.

    Raises
    ------
    ModelError
        A number is beyond float64, or a column is used in ways that a model file cannot join.
    """
    folded = _Folded(len(intercepts), booleans)
    for place, signal in enumerate(signals):
        folded.add(signal, [row[place] for row in weights])
    features = _named(folded.features())
    constants = [float(value) for value in folded.intercepts(intercepts)]
    _check_finite("the intercept", constants)
    return {
        "format": "logitstream-model",
        "version": version_of({"features": features}) if len(intercepts) == 1 else 2,
        "kind": "logistic",
        "intercept": _one_or_list(constants),
        "features": features,
    }


def _one_or_list(values: Sequence[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else list(values)


def _check_finite(what: str, values: Iterable[float]) -> None:
    if not all(map(math.isfinite, values)):
        raise ModelError(f"{what} is beyond float64", "rescale the columns before fitting")


@dataclass(eq=False)
class _Sum:
    """What the signals add for one atom: a sum for each class; ``only`` is the one signal that has it, scaled."""

    sums: list[Decimal]
    only: tuple[Signal, list[float]] | None
    order: int


@dataclass(eq=False)
class _Folded:
    """Sums over signals, by atom."""

    classes: int
    booleans: frozenset[str]
    sums: dict[Atom, _Sum] = field(default_factory=dict)
    constants: list[list[Decimal]] = field(default_factory=list)
    guards: set[Number | Is] = field(default_factory=set)

    def add(self, signal: Signal, weights: Sequence[float]) -> None:
        """Add a signal times its coefficients, one for each class."""
        own = [float(weight) for weight in weights]
        is_plain = signal.number is not None
        with localcontext(EXACT):
            exact = [Decimal(weight) for weight in own]
            if not is_plain:
                self.constants.append([weight * signal.constant for weight in exact])
            for atom, by in signal.terms.items():
                found = self.sums.get(atom)
                if found is None:
                    only = (signal, own) if is_plain else None
                    self.sums[atom] = _Sum([weight * by for weight in exact], only, len(self.sums))
                    continue
                self._no_longer_alone(found)
                if is_plain:
                    self.constants.append([weight * signal.constant for weight in exact])
                found.sums = [one + weight * by for one, weight in zip(found.sums, exact, strict=True)]
        self.guards |= signal.guards | {lack for lack in signal.absent if isinstance(lack, Is)}

    def _no_longer_alone(self, found: _Sum) -> None:
        if found.only is not None:
            signal, weights = found.only
            self.constants.append([Decimal(weight) * signal.constant for weight in weights])
            found.only = None

    def intercepts(self, given: Sequence[float]) -> Iterator[Decimal]:
        """Yield the intercepts with all constants, one for each class."""
        with localcontext(EXACT):
            for place, value in enumerate(given):
                yield sum((constants[place] for constants in self.constants), Decimal(float(value)))

    def features(self) -> list[Json]:
        """Return the features; :func:`_named` makes their names differ."""
        self._check_guards()
        self._add_guards()
        groups: dict[tuple[object, ...], list[tuple[Any, _Sum]]] = {}
        for atom, found in self.sums.items():
            groups.setdefault(_shared(atom), []).append((atom, found))
        made: list[tuple[tuple[bool, int, int], Json]] = []
        for parts in groups.values():
            first, found = parts[0]
            place = isinstance(first, ProductAtom), first.position, found.order
            made.append((place, self._made[type(first)](self, parts)))
        self._check_types([feature for _, feature in made])
        return [feature for _, feature in sorted(made, key=lambda each: each[0])]

    def _check_guards(self) -> None:
        """Refuse a level that the other tool knows, but makes missing."""
        for guard in self.guards:
            if isinstance(guard, Is) and guard.state >= 0:
                name, level = guard.encoding.column, guard.encoding.levels[guard.state]
                raise UnfoldableError(
                    f'the level "{escape(level)}" of column "{escape(name)}" becomes missing in a step',
                    "fill missing values behind that step, or give what it does not know a number",
                )

    def _add_guards(self) -> None:
        zeros = [_ZERO] * self.classes
        factors = [each for atom in self.sums if isinstance(atom, ProductAtom) for each in atom.factors]
        known = {_same_levels(atom.encoding) for atom in (*self.sums, *factors) if isinstance(atom, Is)}
        refusing = {factor.number for factor in factors if isinstance(factor, FactorAtom)}
        refusing |= {Number(atom.binning.column, atom.position) for atom in self._strict_bins()}
        for guard in sorted(self.guards, key=lambda each: each.position):
            if guard in refusing:
                continue
            if isinstance(guard, Number):
                self.sums.setdefault(guard, _Sum(list(zeros), None, len(self.sums)))
            elif _same_levels(guard.encoding) not in known:
                known.add(_same_levels(guard.encoding))
                self.sums[Is(guard.encoding, 0)] = _Sum(list(zeros), None, len(self.sums))

    def _strict_bins(self) -> Iterator[InBin]:
        filled = {atom.binning for atom in self.sums if isinstance(atom, InBin) and atom.state == MISSING}
        return (atom for atom in self.sums if isinstance(atom, InBin) and atom.binning not in filled)

    def _floats(self, name: str, sums: Sequence[Decimal]) -> float | list[float]:
        values = [float(value) for value in sums]
        _check_finite(f'the coefficient of column "{escape(name)}"', values)
        return _one_or_list(values)

    def _number(self, parts: Sequence[tuple[Number, _Sum]]) -> Json:
        ((atom, found),) = parts
        if atom.column in self.booleans and atom.steps:
            values = [atom.value(each) for each in (0.0, 1.0, 0.0 if atom.fill is None else atom.fill)]
            if all(map(math.isfinite, values)):
                return self._of_two(atom, found, values)
        made: Json = {"column": atom.column, "kind": "numeric"}
        if atom.steps:
            made |= {"kind": "transformed", "transform": _transform(atom.steps)}
        scaled = None
        if found.only is None:
            made["coefficient"] = self._floats(atom.column, found.sums)
        else:
            signal, weights = found.only
            made["coefficient"], scaled = _one_or_list(weights), signal.scaled
        made["missing"] = _policy(atom)
        if scaled is not None and scaled != (0.0, 1.0):
            made["center"], made["scale"] = scaled
        is_boolean = atom.column in self.booleans and not atom.steps
        return made | ({"boolean": True} if is_boolean else {})

    def _of_two(self, atom: Number, found: _Sum, values: Sequence[float]) -> Json:
        """Return a boolean column as levels, with what its steps make of false, true and missing values."""
        self._no_longer_alone(found)
        with localcontext(EXACT):
            false, true, missing = ([by * Decimal(value) for by in found.sums] for value in values)
        return self._of_boolean(atom.column, false, true, None if atom.fill is None else missing)

    def _of_boolean(
        self, name: str, false: Sequence[Decimal], true: Sequence[Decimal], missing: Sequence[Decimal] | None
    ) -> Json:
        levels = {"false": false, "true": true} | ({} if missing is None else {_MISSING: missing})
        return {
            "column": name,
            "kind": "categorical",
            "coefficients": {level: self._floats(name, sums) for level, sums in levels.items()},
            "levels": "boolean",
            "missing": "error" if missing is None else {"level": _MISSING},
            "unseen": "error",
        }

    def _indicator(self, parts: Sequence[tuple[Missing, _Sum]]) -> Json:
        ((atom, found),) = parts
        return {"column": atom.column, "kind": "indicator", "coefficient": self._floats(atom.column, found.sums)}

    def _categorical(self, parts: Sequence[tuple[Is, _Sum]]) -> Json:
        encoding = parts[0][0].encoding
        states: dict[int, Sums] = {}
        for atom, found in parts:
            before = states.get(atom.state, (_ZERO,) * self.classes)
            states[atom.state] = tuple(one + other for one, other in zip(before, found.sums, strict=True))
        refused = self._refused(encoding)
        names, policies = _levels(encoding, [state for state in states if any(states[state])], refused, self.booleans)
        zeros = (_ZERO,) * self.classes
        return {
            "column": encoding.column,
            "kind": "categorical",
            "coefficients": {
                name: self._floats(encoding.column, states.get(state, zeros)) for state, name in names.items()
            },
            **policies,
        }

    def _refused(self, encoding: Encoding) -> set[int]:
        key = _same_levels(encoding)
        return {guard.state for guard in self.guards if isinstance(guard, Is) and _same_levels(guard.encoding) == key}

    def _binned(self, parts: Sequence[tuple[InBin, _Sum]]) -> Json:
        binning = parts[0][0].binning
        states: dict[int, list[Decimal]] = {}
        for atom, found in parts:
            before = states.get(atom.state, [_ZERO] * self.classes)
            states[atom.state] = [one + other for one, other in zip(before, found.sums, strict=True)]
        zeros = [_ZERO] * self.classes
        missing = states.pop(MISSING, None)
        bins = range(len(binning.edges) + 1)
        if binning.column in self.booleans:
            false, true = (states.get(bisect_right(binning.edges, value), zeros) for value in (0.0, 1.0))
            return self._of_boolean(binning.column, false, true, missing)
        return {
            "column": binning.column,
            "kind": "binned",
            "edges": list(binning.edges),
            "coefficients": [self._floats(binning.column, states.get(state, zeros)) for state in bins],
            "missing": "error" if missing is None else {"coefficient": self._floats(binning.column, missing)},
        }

    def _product(self, parts: Sequence[tuple[ProductAtom, _Sum]]) -> Json:
        factors = parts[0][0].factors
        levels = [factor.encoding for factor in factors if isinstance(factor, Is)]
        name = columns_of(factors[0])[0]
        if not levels:
            terms = [_factor_term(factor, self.booleans) for factor in factors if isinstance(factor, FactorAtom)]
            return {"kind": "product", "terms": terms, "coefficient": self._floats(name, parts[0][1].sums)}
        used: list[set[int]] = [set() for _ in levels]
        for atom, _ in parts:
            for states, factor in zip(used, (each for each in atom.factors if isinstance(each, Is)), strict=True):
                states.add(factor.state)
        spelled = [
            _levels(encoding, sorted(states), self._refused(encoding), self.booleans)
            for encoding, states in zip(levels, used, strict=True)
        ]
        nested: Json = {}
        for atom, found in parts:
            inner = nested
            *outer, last = [
                names[factor.state]
                for (names, _), factor in zip(
                    spelled, (each for each in atom.factors if isinstance(each, Is)), strict=True
                )
            ]
            for level in outer:
                inner = inner.setdefault(level, {})
            inner[last] = self._floats(name, found.sums)
        zero = _one_or_list([0.0] * self.classes)
        policies = iter(spelled)
        terms = [
            _factor_term(factor, self.booleans)
            if isinstance(factor, FactorAtom)
            else _level_term(factor, next(policies)[1])
            for factor in factors
        ]
        return {
            "kind": "product",
            "terms": terms,
            "coefficients": _completed(nested, [names for names, _ in spelled], zero),
        }

    _made: ClassVar[Mapping[type, Callable[[Any, Any], Json]]] = {
        Number: _number,
        Missing: _indicator,
        Is: _categorical,
        InBin: _binned,
        ProductAtom: _product,
    }

    def _check_types(self, features: Sequence[Json]) -> None:
        """Refuse a column that is text in one feature and a number in another."""
        texts, numbers = set[str](), set[str]()
        for feature in features:
            for part in feature.get("terms", [feature]):
                kind = part.get("kind", "numeric")
                if kind == "categorical" and part["levels"] == "text":
                    texts.add(part["column"])
                elif kind not in {"categorical", "indicator"}:
                    numbers.add(part["column"])
        for name in sorted(texts & numbers):
            raise UnfoldableError(
                f'column "{escape(name)}" is text in one step and a number in another',
                "make its categories numbers before fitting",
            )


def _policy(number: Number) -> str | dict[str, float]:
    if number.fill is None:
        return "error"
    if isinstance(number.fill, str):
        raise UnfoldableError(
            f'column "{escape(number.column)}" is numeric, but its missing values are filled with text'
        )
    return {"impute": float(number.fill)}


def _transform(steps: Sequence[Step]) -> Any:
    shown = [step_document(step) for step in steps]
    return shown[0] if len(shown) == 1 else shown


def _factor_term(factor: FactorAtom, booleans: frozenset[str]) -> Json:
    number = factor.number
    made: Json = {"kind": "numeric", "column": number.column}
    if (factor.center, factor.scale) != (0.0, 1.0):
        made |= {"center": factor.center, "scale": factor.scale}
    if number.steps:
        made["transform"] = _transform(number.steps)
    elif number.column in booleans:
        made["boolean"] = True
    return made | {"missing": _policy(number)}


def _level_term(factor: Is, policies: Json) -> Json:
    return {"kind": "categorical", "column": factor.encoding.column, **policies}


def _completed(nested: Any, names: Sequence[Mapping[int, str]], zero: Any) -> Any:
    """Return nested coefficients in the order of the levels, with every level at each depth."""
    if not names:
        return nested
    first, *rest = names
    return {name: _completed(nested.get(name, {} if rest else zero), rest, zero) for name in first.values()}


def _same_levels(encoding: Encoding) -> tuple[object, ...]:
    return encoding.position, encoding.levels, encoding.type, encoding.fill


def _shared(atom: Atom) -> tuple[object, ...]:
    """Return a key that is the same for the atoms of one feature."""
    if isinstance(atom, Is):
        return Is, *_same_levels(atom.encoding)
    if isinstance(atom, InBin):
        return InBin, atom.binning.position, atom.binning.edges
    if isinstance(atom, ProductAtom):
        factors = (each if isinstance(each, FactorAtom) else _same_levels(each.encoding) for each in atom.factors)
        return ProductAtom, *factors
    return (atom,)


def _levels(
    encoding: Encoding, used: Sequence[int], refused: set[int], booleans: frozenset[str]
) -> tuple[dict[int, str], Json]:
    """Return the spelling of each state of an encoding that a feature needs, and the policies and type that go with it.

    A missing or unseen value that adds something is a level of its own, which no column has.
    """
    names = dict(enumerate(encoding.levels))
    type_: str = encoding.type
    if encoding.column in booleans and (spelled := _as_booleans(encoding)) is not None:
        names, type_ = spelled, "boolean"
    missing: Any = "error"
    if encoding.fill is not None:
        missing = {"level": names[encoding.levels.index(encoding.fill)]}
    elif MISSING not in refused:
        names[MISSING] = _free(_MISSING, names.values())
        missing = {"level": names[MISSING]}
    unseen: Any = "error" if UNSEEN in refused else "zero"
    if UNSEEN in used and UNSEEN not in refused:
        names[UNSEEN] = _free("(unseen)", names.values())
        unseen = {"level": names[UNSEEN]}
    return names, {"levels": type_, "missing": missing, "unseen": unseen}


def _free(name: str, taken: Iterable[str]) -> str:
    known = set(taken)
    while name in known:
        name += "_"
    return name


def _as_booleans(encoding: Encoding) -> dict[int, str] | None:
    """Return the levels as booleans are spelled, ``None`` where they are not 0 and 1."""
    if encoding.type not in {"integer", "number"}:
        return None
    values = [level_value(level, "number") for level in encoding.levels]
    if not all(value in {0, 1} for value in values):
        return None
    return {state: _BOOLEANS[value] for state, value in enumerate(values)}


def _named(features: list[Json]) -> list[Json]:
    """Return features with a name where the default name of another feature before it is the same."""
    taken = set[str]()
    made = []
    for feature in features:
        default = default_name(feature)
        base = f"{default} ({feature['kind']})"
        numbered = (f"{base} {number}" for number in itertools.count(2))
        name = next(each for each in itertools.chain([default, base], numbered) if each not in taken)
        taken.add(name)
        made.append(feature if name == default else {**feature, "name": name})
    return made
