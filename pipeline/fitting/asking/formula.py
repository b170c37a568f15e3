"""The grammar of ``--features``: terms as a person writes them, separated by commas.

``distance``, ``"dep. delay"``      a column of numbers; odd names are in double quotes or backticks
``log1p(x)``, ``log(clip(x, 1, 9))``  the same after one or several steps: log, log1p, sqrt, square, clip, scale
``C(carrier)``                      a column of levels
``B(age, bins=20)``                 intervals; also ``edges=[18, 65]``, ``woe=true``, ``monotone=up``
``M(x)``                            1 where a column is missing, else 0
``C(origin):hour``                  a product
``a*b``                             short for ``a, b, a:b``
``*``                               every numeric column except those that are used otherwise

The text is parsed here and never evaluated. A quote inside a quoted name is doubled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any, NoReturn, get_args

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.fitting.asking.terms import (
    AllTerm,
    AnyTerm,
    BinsTerm,
    CategoryTerm,
    MissingTerm,
    Monotone,
    NumberTerm,
    ProductTerm,
    Term,
    term_factors,
)
from pipeline.kernels import STEP_FUNCTIONS, Affine, Clip, Step
from pipeline.units import escape, format_count, is_text, nearest, number_pattern, pointed, shortest

MOST_CHARACTERS = 1_000_000
MOST_STEPS = 16
MOST_FACTORS = 6
MOST_BINS = 1_000

_TOKEN = re.compile(
    r'\s*+(?:(?P<name>[^\W\d][\w.]*+)|(?P<quoted>"(?:[^"]++|"")*+"|`(?:[^`]++|``)*+`)|(?P<sign>[=(),:*\[\]])'
    rf"|(?P<number>{number_pattern()}(?![\w.]))|(?P<end>\Z))"
)
# A hyphen without blanks is part of a name more often than it is a minus.
_HYPHENATED = re.compile(r"\w-\w")
_BARE = re.compile(r"[^\W\d][\w.]*")
_REMEDY = "write names, log1p(x), C(x), B(x, bins=20), M(x), a:b, a*b or *, separated by commas"
# What users of other formulas write, and what it is called here.
_ELSEWHERE = {
    "+": "separate features with commas",
    "~": "name the target with --target, and here only the features",
    "-": "leave out what is not wanted; --no-intercept leaves out the intercept",
    "^": "write square(x) for a square, and a*b for a product with its factors",
}
_Factor = NumberTerm | CategoryTerm


@dataclass(frozen=True, slots=True)
class _FormulaToken:
    """A token: where it begins, its kind and its text."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class _FormulaValue:
    """The value of an argument, and where it is."""

    at: _FormulaToken
    value: float | str | tuple[float, ...]


def parse_terms(*texts: str) -> tuple[AnyTerm, ...]:
    """Return the terms that one text or several describe, in their order.

    The terms that ``a*b`` is short for may be there already; else a term may be there once.

    Raises
    ------
    UsageError
        A text does not follow the grammar, or a term is listed twice. The message shows the text with a caret under the
        place.
    """
    named: dict[object, AnyTerm] = {}
    terms: dict[object, AnyTerm] = {}
    for text in texts:
        if len(text) > MOST_CHARACTERS:
            raise UsageError(
                f"the features are {format_count(len(text))} characters, more than {format_count(MOST_CHARACTERS)}",
                "write * for all numeric columns, or fit fewer features",
            )
        reader = _FormulaReader(text)
        for place, term, is_named in reader.terms():
            key = _key(term)
            if is_named and key in named:
                reader.refuse(place, f"{escape(term_text(term))} is listed twice", "leave one of them out")
            if is_named:
                named[key] = term
            terms.setdefault(key, term)
    if not terms:
        raise UsageError("there are no features", _REMEDY)
    return tuple(terms.values())


def term_text(term: AnyTerm) -> str:
    """Return the text of a term, which :func:`parse_terms` reads as the same term."""
    match term:
        case NumberTerm(column, steps):
            return _number_text(column, steps)
        case CategoryTerm(column):
            return f"C({_name_text(column)})"
        case BinsTerm():
            return _bins_text(term)
        case MissingTerm(column):
            return f"M({_name_text(column)})"
        case ProductTerm(factors):
            return ":".join(map(term_text, factors))
        case AllTerm():
            return "*"


def term_columns(term: Term) -> tuple[str, ...]:
    """Return the columns that a term reads, each once."""
    return tuple(dict.fromkeys(factor.column for factor in term_factors(term)))


def _key(term: AnyTerm) -> object:
    """Return what two terms have in common that are the same: the order of factors does not count."""
    return frozenset(term.factors) if isinstance(term, ProductTerm) else term


def _name_text(name: str) -> str:
    return name if _BARE.fullmatch(name) else '"{}"'.format(name.replace('"', '""'))


def _number_text(column: str, steps: Iterable[Step]) -> str:
    text = _name_text(column)
    for step in steps:
        if isinstance(step, Clip):
            ends = {"low": step.low, "high": step.high}
            finite = {name: end for name, end in ends.items() if math.isfinite(end)}
            shown = [shortest(end) if len(finite) == 2 else f"{name}={shortest(end)}" for name, end in finite.items()]
            text = f"clip({', '.join([text, *shown])})"
        elif isinstance(step, Affine):
            text = f"scale({text}, {shortest(step.center)}, {shortest(step.scale)})"
        else:
            text = f"{step}({text})"
    return text


def _bins_text(term: BinsTerm) -> str:
    edges = f"edges=[{', '.join(map(shortest, term.edges))}]"
    parts = [_name_text(term.column), edges if term.edges else f"bins={term.bins}"]
    parts += ["woe=true"] if term.woe else []
    parts += [f"monotone={term.monotone}"] if term.monotone else []
    return f"B({', '.join(parts)})"


class _FormulaReader:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0

    def terms(self) -> Iterable[tuple[_FormulaToken, AnyTerm, bool]]:
        """Yield each term with its place, and whether it was named itself."""
        while True:
            start = self.peek()
            yield from ((start, term, is_named) for term, is_named in self._feature())
            end = self.next()
            if end.kind == "end":
                return
            if end.text != "," or end.kind != "sign":
                self._refuse_rest(start, end)

    def peek(self) -> _FormulaToken:
        """Return the next token, and stay before it."""
        before = self.offset
        token = self.next()
        self.offset = before
        return token

    def next(self) -> _FormulaToken:
        """Return the next token."""
        found = _TOKEN.match(self.text, self.offset)
        if found is None:
            blank = len(self.text) - self.offset - len(self.text[self.offset :].lstrip())
            self._refuse_character(_FormulaToken("wrong", self.text[self.offset + blank], self.offset + blank))
        self.offset = found.end()
        kind = str(found.lastgroup)
        text = found.group(kind)
        if kind == "quoted":
            text = text[1:-1].replace(text[0] * 2, text[0])
        return _FormulaToken(kind, text, found.start(kind))

    def accept(self, *signs: str) -> str:
        """Return the sign that comes next and go behind it, if it is one of some; else the empty text."""
        token = self.peek()
        if token.kind != "sign" or token.text not in signs:
            return ""
        self.next()
        return token.text

    def expect(self, sign: str, what: str) -> None:
        """Go behind a sign, which must come next."""
        token = self.peek()
        if not self.accept(sign):
            self.refuse(token, f'expected "{sign}" {what}')

    def refuse(self, place: _FormulaToken, message: str, remedy: str = _REMEDY) -> NoReturn:
        """Raise the error of a place."""
        raise UsageError(f"{message}, at column {place.offset + 1}\n{pointed(self.text, place.offset)}", remedy)

    def _refuse_character(self, place: _FormulaToken) -> NoReturn:
        if place.text in {'"', "`"}:
            self.refuse(place, "a quote is not closed", f"close it: {place.text}NAME{place.text}")
        around = self.text[max(0, place.offset - 1) : place.offset + 2]
        if place.text in _ELSEWHERE and not _HYPHENATED.fullmatch(around):
            self.refuse(place, f'"{place.text}" has no meaning here', _ELSEWHERE[place.text])
        message = f'"{escape(place.text)}" cannot be part of a name that has no quotes'
        self.refuse(place, message, 'put the whole name in double quotes: "dep. delay"')

    def _refuse_rest(self, start: _FormulaToken, end: _FormulaToken) -> NoReturn:
        if start.kind == "name" and end.kind in {"name", "number"}:
            self.refuse(
                end,
                "expected a comma",
                'separate features with commas; a name with blanks is in double quotes: "dep. delay"',
            )
        self.refuse(end, "expected a comma, : or *")

    def _feature(self) -> Iterable[tuple[AnyTerm, bool]]:
        """Return the terms of one feature, each with whether it was named itself."""
        if self.accept("*"):
            return [(AllTerm(), True)]
        start = self.peek()
        first = self._term()
        joined = self.accept(":", "*")
        if not joined:
            return [(first, True)]
        factors = [self._factor(start, first, ())]
        sign = joined
        while sign:
            start = self.peek()
            if sign == "*" and start.text == "*" and start.kind == "sign":
                self.refuse(start, '"**" has no meaning here', "write square(x) for a square")
            factors.append(self._factor(start, self._term(), factors))
            place = self.peek()
            sign = self.accept(":", "*")
            if sign and sign != joined:
                self.refuse(place, "a:b and a*b cannot be mixed in one feature", "write the products one by one")
        whole = (ProductTerm(tuple(factors)), True)
        return [whole] if joined == ":" else [*((term, False) for term in _parts(factors)), whole]

    def _factor(self, place: _FormulaToken, term: Term, before: Sequence[_Factor]) -> _Factor:
        """Return a term as the next factor of a product."""
        if isinstance(term, BinsTerm | MissingTerm | ProductTerm):
            text = escape(term_text(term))
            self.refuse(place, f"{text} cannot be a factor of a product", "multiply numbers and levels: C(origin):hour")
        if term in before:
            text = escape(term_text(term))
            again = f"write square({text})" if isinstance(term, NumberTerm) else "leave one of them out"
            self.refuse(place, f"{text} is twice in one product", again)
        if len(before) == MOST_FACTORS:
            self.refuse(place, f"a product has more than {MOST_FACTORS} factors", "multiply fewer")
        return term

    def _term(self) -> Term:
        """Return the term that begins here: a name, or a function of one."""
        token = self._name("a feature")
        if token.kind == "quoted" or not self.accept("("):
            return NumberTerm(token.text)
        if token.text in _OF_COLUMNS:
            term = _OF_COLUMNS[token.text](self._column_of(token))
            self.expect(")", f"after the column of {token.text}")
            return term
        if token.text == "B":
            return self._bins(token)
        return self._number(token)

    def _name(self, what: str) -> _FormulaToken:
        token = self.peek()
        if token.kind not in {"name", "quoted"}:
            self.refuse(token, f"expected {what}")
        if not token.text:
            self.refuse(token, "a name must not be empty", "name a column")
        if not is_text(token.text):
            self.refuse(token, "a name must be valid text", "write it in UTF-8")
        return self.next()

    def _column_of(self, function: _FormulaToken) -> str:
        """Return the column that a function takes, which takes no function of a column."""
        token = self._name("the name of a column")
        if token.kind == "name" and self.peek().text == "(":
            message = f"{function.text} takes the name of a column, not a function of it"
            self.refuse(token, message, f"write {function.text}(COLUMN)")
        return token.text

    def _bins(self, function: _FormulaToken) -> BinsTerm:
        column = self._column_of(function)
        given = self._arguments(function, _OF_BINS)
        values = {name: self._checked(name, each) for name, each in given.items()}
        if "edges" in given and "bins" in given:
            self.refuse(given["edges"].at, "B takes either bins or edges", "leave one of them out")
        if "monotone" in given and not values.get("woe"):
            self.refuse(given["monotone"].at, "monotone needs woe=true", "write B(x, woe=true, monotone=up)")
        return BinsTerm(column, **values)

    def _number(self, function: _FormulaToken) -> NumberTerm:
        """Return a number after its steps; the innermost comes first."""
        calls: list[_FormulaToken] = []
        while True:
            if function.text not in _STEPS:
                self._refuse_function(function, calls)
            calls.append(function)
            if len(calls) > MOST_STEPS:
                self.refuse(function, f"more than {MOST_STEPS} functions inside each other", "write fewer")
            token = self._name("a column or a function of one")
            if token.kind == "quoted" or not self.accept("("):
                return NumberTerm(token.text, tuple(self._step(each) for each in reversed(calls)))
            function = token

    def _refuse_function(self, function: _FormulaToken, outer: Sequence[_FormulaToken]) -> NoReturn:
        if outer and function.text in {*_OF_COLUMNS, "B"}:
            message = f"there is no function {function.text} inside {outer[-1].text}"
            self.refuse(function, message, f"write {function.text}(x) by itself")
        known = [*_OF_COLUMNS, "B", *_STEPS]
        message = f"there is no function {escape(function.text)}{nearest(function.text, known)}"
        self.refuse(function, message, f"choose one of {', '.join(known)}")

    def _step(self, function: _FormulaToken) -> Step:
        """Return the step of a function from the arguments behind its column."""
        names = _STEPS[function.text]
        given = self._arguments(function, names)
        values = {name: self._checked(name, each) for name, each in given.items()}
        if function.text == "clip":
            if not given:
                self.refuse(function, "clip needs a number", "write clip(x, 0, 100), clip(x, low=0) or clip(x, high=9)")
            if values.get("low", -math.inf) > values.get("high", math.inf):
                self.refuse(given["low"].at, "low must not be more than high", "exchange the two")
            return Clip(**values)
        if function.text == "scale":
            if not given:
                self.refuse(function, "scale needs a number", "write scale(x, center, scale)")
            return Affine(**{"center": 0.0, "scale": 1.0} | values)
        return function.text  # type: ignore[return-value]

    def _arguments(self, function: _FormulaToken, names: Sequence[str]) -> dict[str, _FormulaValue]:
        """Return the arguments from the comma to the closing parenthesis; those of steps need no names."""
        given: dict[str, _FormulaValue] = {}
        while self.accept(","):
            token = self.next()
            if token.kind == "number" and function.text in _STEPS and len(given) < len(names):
                name, value = names[len(given)], _FormulaValue(token, self._finite(token))
            elif token.kind == "name" and token.text in names:
                self.expect("=", f"behind {token.text}")
                name, value = token.text, self._value()
            else:
                self._refuse_argument(function, token, names)
            if name in given:
                self.refuse(token, f"{name} is given twice", "leave one of them out")
            given[name] = value
        self.expect(")", f"at the end of {function.text}")
        return given

    def _refuse_argument(self, function: _FormulaToken, token: _FormulaToken, names: Sequence[str]) -> NoReturn:
        if not names:
            self.refuse(token, f"{function.text} takes one column, and nothing else", f"write {function.text}(x)")
        listed = ", ".join(f"{name}=" for name in names)
        near = nearest(token.text, names) if token.kind == "name" else ""
        message = f"{function.text} has no such argument{near}"
        self.refuse(token, message, f"{function.text} takes one column, then {listed}")

    def _value(self) -> _FormulaValue:
        token = self.next()
        if token.kind == "number":
            return _FormulaValue(token, self._finite(token))
        if token.kind in {"name", "quoted"}:
            return _FormulaValue(token, token.text)
        if token.text != "[":
            self.refuse(token, "expected a value", "write a number, a word or a list such as [1, 2.5]")
        numbers: list[float] = []
        while not numbers or self.accept(","):
            number = self.next()
            if number.kind != "number":
                self.refuse(number, "expected a number", "write a list such as [1, 2.5]")
            numbers.append(self._finite(number))
        self.expect("]", "at the end of a list")
        return _FormulaValue(token, tuple(numbers))

    def _finite(self, token: _FormulaToken) -> float:
        number = float(token.text)
        if math.isinf(number):
            self.refuse(token, "the number is too large", "write a number below 1.8e308")
        return number

    def _checked(self, name: str, given: _FormulaValue) -> Any:
        try:
            return _ARGUMENTS[name](given.value)
        except ValueError as error:
            self.refuse(given.at, f"{name} must be {error}", _EXAMPLES.get(name, f"write {name}=2.5"))


def _parts(factors: Sequence[_Factor]) -> Iterator[Term]:
    """Yield what ``a*b*c`` is short for, the whole product left out: single terms first, then products of two ..."""
    yield from factors
    for size in range(2, len(factors)):
        yield from map(ProductTerm, combinations(factors, size))


def _number_of(value: object) -> float:
    if not isinstance(value, float):
        raise ValueError("a number")
    return value


def _scale_of(value: object) -> float:
    if not isinstance(value, float) or not value:
        raise ValueError("a number other than 0: values are divided by it")
    return value


def _bins_of(value: object) -> int:
    if not isinstance(value, float) or not value.is_integer() or not 2 <= value <= MOST_BINS:
        raise ValueError(f"a whole number from 2 to {format_count(MOST_BINS)}")
    return int(value)


def _edges_of(value: object) -> tuple[float, ...]:
    if not isinstance(value, tuple) or any(low >= high for low, high in pairwise(value)):
        raise ValueError("a list of numbers, each larger than the one before")
    if len(value) >= MOST_BINS:
        raise ValueError(f"a list of fewer than {format_count(MOST_BINS)} numbers")
    return value


def _truth_of(value: object) -> bool:
    word = str(value).casefold()
    if word not in {"true", "false"}:
        raise ValueError("true or false")
    return word == "true"


def _direction_of(value: object) -> str:
    if value not in get_args(Monotone):
        raise ValueError("up or down")
    return str(value)


_OF_COLUMNS: Mapping[str, Callable[[str], Term]] = {"C": CategoryTerm, "M": MissingTerm}
_STEPS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(STEP_FUNCTIONS, ()),
    "clip": ("low", "high"),
    "scale": ("center", "scale"),
}
_OF_BINS = ("bins", "edges", "woe", "monotone")
_ARGUMENTS: Mapping[str, Callable[[object], Any]] = {
    "low": _number_of,
    "high": _number_of,
    "center": _number_of,
    "scale": _scale_of,
    "bins": _bins_of,
    "edges": _edges_of,
    "woe": _truth_of,
    "monotone": _direction_of,
}
_EXAMPLES = {
    "bins": "write B(x, bins=20)",
    "edges": "write B(x, edges=[1, 2.5])",
    "woe": "write B(x, woe=true)",
    "monotone": "write B(x, woe=true, monotone=up)",
}
