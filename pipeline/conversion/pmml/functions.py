"""The functions that ``Apply`` may name, on what their arguments are for any row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial, reduce
from typing import Any

from pipeline.conversion.pmml.elements import Element, in_range, is_number, refused
from pipeline.conversion.pmml.intervals import COMPARISONS, compare, merged, table
from pipeline.conversion.pmml.values import (
    INVALID,
    ITSELF,
    MISSING,
    Absent,
    ColumnNumber,
    ColumnTable,
    Polynomial,
    Scalar,
    Step,
    Value,
    collect,
    constant,
    factor,
)
from pipeline.kernels import Affine, Clip
from pipeline.units import escape, format_count, nearest

Spelled = Callable[[str, str], str]
Function = Callable[[Element, Sequence[Value], Spelled], Value]

_TERMS_LIMIT, _DEGREE_LIMIT, _BITS_LIMIT = 100_000, 100, 100_000


def call(element: Element, name: str, arguments: Sequence[Value], spelled: Spelled) -> Value:
    """Return the value of a function of the standard."""
    if name not in FUNCTIONS:
        raise refused(element, f'the function "{escape(name)}" is not read{nearest(name, FUNCTIONS)}')
    least, most, function = FUNCTIONS[name]
    if not least <= len(arguments) <= (most or len(arguments)):
        raise refused(element, f'"{name}" has {len(arguments)} arguments')
    with in_range(element):
        return function(element, arguments, spelled)


def as_number(value: Any) -> Any:
    """Return a boolean as 1 or 0; anything else as it is."""
    return float(value) if isinstance(value, bool) else value


def as_text(value: Scalar) -> str:
    """Return a scalar as a level is spelled."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def to_sum(element: Element, value: Value) -> Polynomial:
    """Return a value as a number."""
    if isinstance(value, Polynomial):
        return value
    if isinstance(value, ColumnTable):
        made = value.map(as_number)
        if any(isinstance(each, str) or each is ITSELF for each in made.values):
            raise refused(
                element, f'the column "{escape(value.column)}" is used as a number', 'give it optype="continuous"'
            )
        return factor(made)
    if isinstance(value, str) or value is MISSING or value is INVALID:
        raise refused(element, "a value that is not a number is used as one")
    return constant(float(value))  # type: ignore[arg-type]


def table_equal(value: ColumnTable, text: str, spelled: Spelled) -> ColumnTable:
    """Return whether the value of a table is the one that a text means."""
    if value.type is None and not any(isinstance(each, str) for each in value.values):
        wanted = as_text(float(text)) if is_number(text) else text
        return merged_if(value.map(lambda old: old if isinstance(old, Absent) else as_text(old) == wanted))
    sought = spelled(value.column, text) if value.type is not None else text

    def same(old: Any) -> Any:
        if old is ITSELF:
            return False
        return old if isinstance(old, Absent) else as_text(old) == as_text(sought)

    return merged_if(value.map(same, (sought,)))


def merged_if(made: ColumnTable) -> ColumnTable:
    """Return a table without needless edges."""
    return merged(made) if made.type is None else made


def _plus(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
    if _is_any_missing(arguments):
        return MISSING
    joined = _pointwise(arguments, _PLAIN["+"])
    if joined is not None:
        return joined
    sums = [to_sum(element, each) for each in arguments]
    return collect(term for each in sums for term in each.terms)


def _times(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
    if _is_any_missing(arguments):
        return MISSING
    joined = _pointwise(arguments, _PLAIN["*"])
    return (
        joined if joined is not None else reduce(partial(_product, element), map(partial(to_sum, element), arguments))
    )


def _is_any_missing(arguments: Sequence[Value]) -> bool:
    return any(each is MISSING for each in arguments)


def _product(element: Element, left: Polynomial, right: Polynomial) -> Polynomial:
    if len(left.terms) * len(right.terms) > _TERMS_LIMIT:
        raise refused(element, f"multiplies out to more than {format_count(_TERMS_LIMIT)} terms")
    if left.degree + right.degree > _DEGREE_LIMIT:
        raise refused(element, f"multiplies more than {_DEGREE_LIMIT} numbers")
    made = left * right
    # Exact constants double their digits each time that they are squared.
    if any(max(map(int.bit_length, weight.as_integer_ratio())) > _BITS_LIMIT for _, weight in made.terms):
        raise refused(element, "multiplies too many constants", "write their product as one constant")
    return made


_PLAIN: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
}


def _pointwise(arguments: Sequence[Value], function: Callable[[float, float], float]) -> ColumnTable | None:
    """Return a function of constants and tables of one column as a table; ``None`` where there are others."""
    plain = [_plain(each) for each in arguments]
    tables = [each for each in plain if isinstance(each, ColumnTable)]
    if not tables or any(each is None for each in plain):
        return None
    if not all(_are_alike(each, tables[0]) for each in tables):
        return None

    def both(left: Any, right: Any) -> Any:
        absent = next((each for each in (left, right) if isinstance(each, Absent)), None)
        return _finite(function(as_number(left), as_number(right))) if absent is None else absent

    found: ColumnTable = reduce(lambda left, right: _joined(left, right, both), plain)
    return found


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OverflowError
    return value


def _are_alike(left: ColumnTable, right: ColumnTable) -> bool:
    """Return whether two tables are functions of one column, read in one way."""
    return left.column == right.column and (left.type is None) == (right.type is None)


def _plain(value: Value) -> Any:
    """Return a table of numbers or a constant; ``None`` for anything else."""
    if isinstance(value, Polynomial):
        known = value.constant
        return None if known is None else float(known)
    if isinstance(value, ColumnTable):
        return None if any(isinstance(each, str) or each is ITSELF for each in value.values) else value
    return float(value) if isinstance(value, bool | float) else None


def _joined(left: Any, right: Any, function: Callable[[Any, Any], Any]) -> Any:
    if isinstance(left, ColumnTable) and isinstance(right, ColumnTable):
        return left.join(right, function)
    if isinstance(left, ColumnTable):
        return left.map(lambda value: function(value, right))
    if isinstance(right, ColumnTable):
        return right.map(lambda value: function(left, value))
    return function(left, right)


def _minus(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
    left, right = arguments
    if _is_any_missing(arguments):
        return MISSING
    joined = _pointwise(arguments, _PLAIN["-"])
    if joined is not None:
        return joined
    first, second = to_sum(element, left), to_sum(element, right)
    inner, by = first.number, second.constant
    if inner is not None and by is not None:
        return factor(inner.then(Affine(float(by), 1.0)))
    return first + second * constant(-1)


def _over(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
    left, right = arguments
    if _is_any_missing(arguments):
        return MISSING
    first, by = to_sum(element, left), to_sum(element, right).constant
    if by is None:
        raise refused(element, "divides by what is not a constant", "derive the column before scoring")
    if float(by) == 0:
        raise refused(element, "divides by 0", "derive the column before scoring")
    inner = first.number
    if inner is None:
        return _product(element, first, constant(1 / by))
    last = inner.steps[-1] if inner.steps else None
    if isinstance(last, Affine) and last.scale == 1.0:
        return factor(replace(inner, steps=(*inner.steps[:-1], Affine(last.center, float(by)))))
    return factor(inner.then(Affine(0.0, float(by))))


def _step(name: str, times: float = 1.0, plain: Callable[[float], float] = math.log) -> Function:
    def run(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
        if arguments[0] is MISSING:
            return MISSING
        value = to_sum(element, arguments[0])
        known, inner = value.constant, value.number
        if known is not None:
            try:
                return constant(plain(float(known)) * times)
            except ValueError:
                raise refused(element, f"{name} of {float(known)!r} is not a number") from None
        if inner is None:
            raise refused(element, "is of what is not a number of one column", "derive the column before scoring")
        found = factor(inner.then(name))
        return found if times == 1.0 else found * constant(times)

    return run


def _power(element: Element, arguments: Sequence[Value], spelled: Spelled) -> Value:
    if _is_any_missing(arguments):
        return MISSING
    exponent = to_sum(element, arguments[1]).constant
    if exponent is None:
        raise refused(element, "the exponent is not a constant")
    return power(element, to_sum(element, arguments[0]), float(exponent), spelled)


def power(element: Element, value: Polynomial, exponent: float, spelled: Spelled) -> Value:
    """Return a number to a constant power: 0.5, or a whole number that is not negative."""
    if exponent == 0.5:
        return call(element, "sqrt", [value], spelled)
    if exponent < 0 or not exponent.is_integer() or exponent > 100:
        raise refused(element, f"the exponent {exponent!r} is not read", "use 0.5, or a whole number from 0 to 100")
    if exponent == 2 and value.number is not None:
        return factor(value.number.then("square"))
    return call(element, "product", [constant(1), *[value] * int(exponent)], spelled)


def _end(*, low: bool) -> Function:
    def run(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
        if _is_any_missing(arguments):
            return MISSING
        sums = [to_sum(element, each) for each in arguments]
        constants = [float(each.constant) for each in sums if each.constant is not None]
        numbers = [each.number for each in sums if each.constant is None]
        if not numbers:
            return constant(max(constants) if low else min(constants))
        if len(numbers) != 1 or numbers[0] is None or not constants:
            raise refused(element, "compares more than one column", "derive the column before scoring")
        return factor(_ignoring(numbers[0], constants, low=low).then(_clip(constants, low=low)))

    return run


def _ignoring(number: ColumnNumber, constants: Sequence[float], *, low: bool) -> ColumnNumber:
    """Return a column with the constant in place of missing values, which these functions leave out."""
    if number.missing is not MISSING or number.steps:
        return number
    return replace(number, missing=max(constants) if low else min(constants))


def _clip(constants: Sequence[float], *, low: bool) -> Clip:
    return Clip(low=max(constants)) if low else Clip(high=min(constants))


def _is_missing(*, wanted: bool) -> Function:
    def run(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
        value = arguments[0]
        if isinstance(value, Absent):
            return (value is MISSING) == wanted
        if isinstance(value, ColumnTable):
            return merged_if(value.map(lambda old: (old is MISSING) == wanted if old is not INVALID else old))
        known = to_sum(element, value)
        inner = known.number
        if known.constant is not None:
            return not wanted
        if inner is None:
            raise refused(element, "is of what is not a column", "name the column itself")
        found = inner.missing is MISSING
        return ColumnTable(inner.column, INVALID if inner.missing is INVALID else found == wanted, (), (not wanted,))

    return run


def _comparison(name: str) -> Function:
    def run(element: Element, arguments: Sequence[Value], spelled: Spelled) -> Value:
        left, right = arguments
        if _is_any_missing(arguments):
            return MISSING
        if isinstance(right, ColumnTable) or (isinstance(right, Polynomial) and right.constant is None):
            left, right, operator = right, left, _MIRRORED.get(name, name)
        else:
            operator = name
        return _compared(element, operator, left, right, spelled)

    return run


_MIRRORED = {
    "lessThan": "greaterThan",
    "lessOrEqual": "greaterOrEqual",
    "greaterThan": "lessThan",
    "greaterOrEqual": "lessOrEqual",
}


def _compared(element: Element, operator: str, left: Value, right: Value, spelled: Spelled) -> Value:
    known = right.constant if isinstance(right, Polynomial) else right
    if known is None or isinstance(known, ColumnTable | Polynomial | Absent):
        raise refused(element, "compares two columns", "derive the column before scoring")
    if isinstance(left, ColumnTable):
        return _table_compared(element, operator, left, known, spelled)
    if isinstance(left, Polynomial):
        if isinstance(known, str):
            raise refused(element, f'compares a number with "{escape(known)}"')
        return compare(element, operator, left, float(known))
    if operator in {"equal", "notEqual"}:
        return (as_text(left) == as_text(_scalar(known))) == (operator == "equal")
    raise refused(element, "compares two constants")


def _scalar(value: Scalar | Fraction) -> Scalar:
    return float(value) if isinstance(value, Fraction) else value


def _table_compared(element: Element, operator: str, left: ColumnTable, known: Any, spelled: Spelled) -> Value:
    if operator in {"equal", "notEqual"}:
        same = table_equal(left, as_text(_scalar(known)), spelled)
        return same if operator == "equal" else same.map(_not)
    numbers = _plain(left)
    if numbers is None or not (is_number(str(known)) or isinstance(known, Fraction)):
        raise refused(element, f'"{operator}" compares levels, which have no order', "use equal, or a continuous field")
    border = float(known)
    found: ColumnTable = numbers.map(
        lambda old: old if isinstance(old, Absent) else COMPARISONS[operator](float(old), border)
    )
    return merged_if(found)


def _not(value: Any) -> Any:
    return value if isinstance(value, Absent) else not value


def _negation(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
    value = arguments[0]
    return value.map(_not) if isinstance(value, ColumnTable) else _not(_truth(element, value))


def _truth(element: Element, value: Value) -> Any:
    if isinstance(value, bool) or value is MISSING:
        return value
    raise refused(element, "an argument is not true or false")


def _both(left: Any, right: Any) -> Any:
    # Unknown and false are false.
    return _logic(left, right, False)


def _either(left: Any, right: Any) -> Any:
    return _logic(left, right, True)


def _logic(left: Any, right: Any, strong: bool) -> Any:
    if INVALID in (left, right):
        return INVALID
    if left is strong or right is strong:
        return strong
    return MISSING if MISSING in (left, right) else not strong


def _joining(function: Callable[[Any, Any], Any]) -> Function:
    def run(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
        return reduce(lambda left, right: _one_column(element, left, right, function), arguments)

    return run


def _one_column(element: Element, left: Value, right: Value, function: Callable[[Any, Any], Any]) -> Value:
    if isinstance(left, ColumnTable) and isinstance(right, ColumnTable) and not _are_alike(left, right):
        raise refused(
            element,
            f'joins the columns "{escape(left.column)}" and "{escape(right.column)}" in one condition',
            "use a product, or derive the column before scoring",
        )
    result: Value = _joined(left, right, function)
    return merged_if(result) if isinstance(result, ColumnTable) else result


def _if(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
    condition = arguments[0]
    yes, no = arguments[1], arguments[2] if len(arguments) > 2 else MISSING
    if not isinstance(condition, ColumnTable):
        found = _truth(element, condition)
        return MISSING if found is MISSING else (yes if found else no)
    filled = _filled(condition, yes, no)
    if filled is not None:
        return filled
    pair = [_branch(element, each, condition) for each in (yes, no)]

    def chosen(left: Any, right: Any) -> Any:
        return left if left is not None else right

    then = _one_column(element, condition, pair[0], lambda test, value: value if test is True else None)
    other = _one_column(
        element, condition, pair[1], lambda test, value: value if test is False else None if test is True else test
    )
    return _one_column(element, then, other, chosen)


def _filled(condition: ColumnTable, yes: Value, no: Value) -> Value | None:
    """Return a number with a constant in place of missing values, if that is what a condition says."""
    here = [value for value in condition.values if value is not None]
    if condition.missing is here[0] or any(
        value is not here[0] for value in condition.values[:-1] if value is not None
    ):
        return None
    if not isinstance(condition.missing, bool) or not isinstance(here[0], bool):
        return None
    fill, rest = (yes, no) if condition.missing else (no, yes)
    known = fill.constant if isinstance(fill, Polynomial) else fill
    inner = rest.number if isinstance(rest, Polynomial) else None
    if (
        inner is None
        or inner.column != condition.column
        or not all(isinstance(step, Affine) for step in inner.steps)
        or isinstance(known, Absent | ColumnTable | str | None)
    ):
        return None
    return factor(replace(inner, missing=_before(inner.steps, float(known)))) if inner.missing is MISSING else rest


def _before(steps: Sequence[Step], value: float) -> float:
    """Return the number that shifts and divisions turn into a value."""
    for step in reversed(steps):
        if isinstance(step, Affine):
            value = value * step.scale + step.center
    return value


def _branch(element: Element, value: Value, condition: ColumnTable) -> Any:
    if isinstance(value, Polynomial):
        known = value.constant
        if known is None and len(value.terms) == 1 and len(value.terms[0][0]) == 1:
            inner = value.terms[0][0][0]
            if isinstance(inner, ColumnTable) and value.terms[0][1] == 1:
                return inner
        if known is None:
            message = f'chooses between numbers by the column "{escape(condition.column)}"'
            raise refused(element, message, "use Discretize, or derive the column before scoring")
        return float(known)
    return value


def _threshold(element: Element, arguments: Sequence[Value], _: Spelled) -> Value:
    value, border = to_sum(element, arguments[0]), to_sum(element, arguments[1]).constant
    if border is None:
        raise refused(element, "the threshold is not a constant")
    limit = float(border)
    known = value.constant
    if known is not None:
        return constant(float(known > limit))
    return table(element, value, [limit], lambda number: float(number > limit), MISSING)


def _is_in(*, wanted: bool) -> Function:
    def run(element: Element, arguments: Sequence[Value], spelled: Spelled) -> Value:
        equal = FUNCTIONS["equal"][2]
        tests = [equal(element, [arguments[0], each], spelled) for each in arguments[1:]]
        found = _joining(_either)(element, tests, spelled)
        return found if wanted else _negation(element, [found], spelled)

    return run


# The fewest and the most arguments (0: any number), and the function.
FUNCTIONS: Mapping[str, tuple[int, int, Function]] = {
    "+": (2, 2, _plus),
    "-": (2, 2, _minus),
    "*": (2, 2, _times),
    "/": (2, 2, _over),
    "sum": (1, 0, _plus),
    "product": (1, 0, _times),
    "ln": (1, 1, _step("log")),
    "log": (1, 1, _step("log")),
    "log10": (1, 1, _step("log", 1 / math.log(10))),
    "ln1p": (1, 1, _step("log1p", plain=math.log1p)),
    "sqrt": (1, 1, _step("sqrt", plain=math.sqrt)),
    "abs": (1, 1, _step("abs", plain=abs)),
    "pow": (2, 2, _power),
    "min": (1, 0, _end(low=False)),
    "max": (1, 0, _end(low=True)),
    "threshold": (2, 2, _threshold),
    "isMissing": (1, 1, _is_missing(wanted=True)),
    "isNotMissing": (1, 1, _is_missing(wanted=False)),
    **{name: (2, 2, _comparison(name)) for name in COMPARISONS},
    "and": (2, 0, _joining(_both)),
    "or": (2, 0, _joining(_either)),
    "not": (1, 1, _negation),
    "isIn": (2, 0, _is_in(wanted=True)),
    "isNotIn": (2, 0, _is_in(wanted=False)),
    "if": (2, 3, _if),
}
