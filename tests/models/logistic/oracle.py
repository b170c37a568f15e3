"""Model files scored row by row in plain Python: the definition, written apart from the scorer."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


def ieee(function: Callable[[float], float], pole: float) -> Callable[[float], float]:
    """Return a function that is minus infinity at its pole and NaN below it, where Python raises an error."""
    return lambda x: -math.inf if x == pole else math.nan if x < pole else function(x)


FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "log": ieee(math.log, 0.0),
    "log1p": ieee(math.log1p, -1.0),
    "sqrt": lambda x: math.nan if x < 0 else math.sqrt(x),
    "square": lambda x: x * x,
}


@dataclass
class Verdict:
    """What becomes of a row: ``bad`` before ``aside`` before ``null``, else the contributions of each output."""

    bad: bool = False
    aside: bool = False
    null: bool = False
    parts: list[list[float]] = field(default_factory=list)

    def lack(self, policy: Any) -> None:
        self.bad |= policy == "error"
        self.aside |= policy == "quarantine"
        self.null |= policy == "null"

    @property
    def word(self) -> str:
        return "bad" if self.bad else "aside" if self.aside else "null" if self.null else "scored"


def score(model: Mapping[str, Any], row: Row) -> tuple[str, list[float]]:
    """Return what becomes of a row, and its raw predictions."""
    outputs = len(model["classes"]) if "classes" in model else 1
    verdict = Verdict()
    if "offset" in model:
        value = number(model["offset"], row, verdict)
        verdict.parts.append([value] * outputs)
    verdict.parts += [contribution(feature, row, verdict, outputs) for feature in model["features"]]
    totals = []
    for output in range(outputs):
        constants = [c for feature in model["features"] for c in constant(feature, output)]
        total = math.fsum([of(model["intercept"], output), *constants])
        for part in verdict.parts:
            total += part[output]
        totals.append(total)
    return verdict.word, totals


def of(numbers: Any, output: int) -> float:
    return float(numbers[output] if isinstance(numbers, list) else numbers)


def constant(feature: Mapping[str, Any], output: int) -> list[float]:
    if feature["kind"] not in {"numeric", "transformed"}:
        return []
    return [-of(feature["coefficient"], output) * feature.get("center", 0.0) / feature.get("scale", 1.0)]


def is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def number(part: Mapping[str, Any], row: Row, verdict: Verdict) -> float:
    cell = row[part["column"]]
    if not is_missing(cell):
        return float(cell)
    policy = part.get("missing", "null")
    verdict.lack(policy)
    return float(policy["impute"]) if isinstance(policy, Mapping) and "impute" in policy else math.nan


def transformed(value: float, transform: Any, verdict: Verdict) -> float:
    result = value
    for step in transform if isinstance(transform, list) else [transform]:
        result = result if math.isnan(result) else applied(result, step)
    verdict.bad |= math.isfinite(value) and not math.isfinite(result)
    return result


def applied(value: float, step: Any) -> float:
    if isinstance(step, str):
        return FUNCTIONS[step](value)
    if "clip" in step:
        low, high = step["clip"]
        value = value if low is None else max(value, low)
        return value if high is None else min(value, high)
    return (value - step.get("center", 0.0)) / step.get("scale", 1.0)


def level(part: Mapping[str, Any], row: Row, known: Sequence[str], verdict: Verdict) -> str | None:
    cell = row[part["column"]]
    lack = "missing" if is_missing(cell) else "unseen" if str(cell) not in known else None
    if lack is None:
        return str(cell)
    policy = part.get(lack, "null")
    verdict.lack(policy)
    return policy["level"] if isinstance(policy, Mapping) else None


def contribution(feature: Mapping[str, Any], row: Row, verdict: Verdict, outputs: int) -> list[float]:
    return [KINDS[feature["kind"]](feature, row, verdict, output) for output in range(outputs)]


def _numeric(feature: Mapping[str, Any], row: Row, verdict: Verdict, output: int) -> float:
    value = number(feature, row, verdict)
    if "transform" in feature:
        value = transformed(value, feature["transform"], verdict)
    return value * (of(feature["coefficient"], output) / feature.get("scale", 1.0))


def _categorical(feature: Mapping[str, Any], row: Row, verdict: Verdict, output: int) -> float:
    found = level(feature, row, list(feature["coefficients"]), verdict)
    return 0.0 if found is None else of(feature["coefficients"][found], output)


def _binned(feature: Mapping[str, Any], row: Row, verdict: Verdict, output: int) -> float:
    policy = feature.get("missing", "null")
    if is_missing(row[feature["column"]]) and isinstance(policy, Mapping) and "coefficient" in policy:
        return of(policy["coefficient"], output)
    value = number(feature, row, verdict)
    return of(feature["coefficients"][bisect_right(feature["edges"], value)], output)


def _indicator(feature: Mapping[str, Any], row: Row, _: Verdict, output: int) -> float:
    return of(feature["coefficient"], output) if is_missing(row[feature["column"]]) else 0.0


def _product(feature: Mapping[str, Any], row: Row, verdict: Verdict, output: int) -> float:
    product, chosen = 1.0, feature.get("coefficients", feature.get("coefficient"))
    depth = sum(term.get("kind") == "categorical" for term in feature["terms"])
    place = 0
    for term in feature["terms"]:
        if term.get("kind") == "categorical":
            known = levels_at(feature["coefficients"], place, depth)
            place += 1
            found = level(term, row, known, verdict)
            chosen = chosen.get(found, {} if place < depth else 0.0)
            continue
        value = number(term, row, verdict)
        if "transform" in term:
            value = transformed(value, term["transform"], verdict)
        product *= (value - term.get("center", 0.0)) / term.get("scale", 1.0)
    return product * of(chosen, output) if not isinstance(chosen, dict) else 0.0


def levels_at(coefficients: Mapping[str, Any], place: int, depth: int) -> list[str]:
    if place == 0:
        return list(coefficients) if depth == 1 else [k for k, v in coefficients.items() if leaves(v, depth - 1)]
    return list(dict.fromkeys(k for v in coefficients.values() for k in levels_at(v, place - 1, depth - 1)))


def leaves(value: Any, depth: int) -> int:
    return sum(leaves(v, depth - 1) for v in value.values()) if depth else 1


KINDS: Mapping[str, Callable[[Mapping[str, Any], Row, Verdict, int], float]] = {
    "numeric": _numeric,
    "transformed": _numeric,
    "categorical": _categorical,
    "binned": _binned,
    "indicator": _indicator,
    "product": _product,
}
