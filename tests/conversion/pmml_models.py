"""Random models of every kind that PMML can say, and rows for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

NUMBERS = ("age", "income", '2nd <balance> & "more"')
LEVELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "carrier": ("text", ("AA", "UA", "a b", " x ", "é<&>\"'", "tab\tline\nreturn\r", "1")),
    "zone": ("integer", ("1", "2", "-3", "40")),
    "rate": ("number", ("0.5", "1.25", "-2.0", "1e-07")),
    "flag": ("boolean", ("true", "false")),
}
LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit")


class Maker:
    """Makes random documents; ``classes`` is 0 for a binary model."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.classes = self.random.choice([0, 0, 0, 2, 3, 4])

    def number(self) -> float:
        return self.random.choice(
            [0.0, 1.0, self.random.gauss(0, 1), self.random.gauss(0, 1), self.random.gauss(0, 1e-9)]
        )

    def numbers(self) -> Any:
        return [self.number() for _ in range(self.classes)] if self.classes else self.number()

    def missing_number(self) -> Any:
        return self.random.choice(["error", {"impute": round(self.random.uniform(0.5, 30), 3)}, {"impute": 3.0}])

    def document(self) -> dict[str, Any]:
        count = self.random.randint(1, 7)
        kinds = [*KINDS.values()]
        features = [self.random.choice(kinds)(self) for _ in range(count)]
        if self.random.random() < 0.4:
            features = self.simple()
        document = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": self.numbers()}
        if self.classes:
            document["classes"] = [f"class {place}" for place in range(self.classes)]
            document["normalise"] = self.random.choice(["softmax", "one-vs-rest"])
        else:
            document["link"] = self.random.choice([*LINKS, "logit", "logit"])
            targets = [
                {"column": "late", "negative": False, "positive": True},
                {"negative": "no", "positive": "yes"},
                None,
            ]
            target = self.random.choice(targets)
            document |= {} if target is None else {"target": target}
            if self.random.random() < 0.2:
                document["offset"] = {"column": "exposure", "missing": self.random.choice(["error", {"impute": 0.25}])}
        document["features"] = _named(features)
        return document

    def simple(self) -> list[dict[str, Any]]:
        """Return features of columns of their own, which need no derived field."""
        levels = self.random.sample(sorted(LEVELS), self.random.randint(0, 3))
        numbers = self.random.sample(NUMBERS, self.random.randint(1, 3))
        made = [self.numeric(column) for column in numbers] + [self.categorical(column) for column in levels]
        self.random.shuffle(made)
        return made

    def numeric(self, column: str | None = None) -> dict[str, Any]:
        column = column or self.random.choice(NUMBERS)
        feature = {"kind": "numeric", "column": column, "coefficient": self.numbers(), "missing": self.missing_number()}
        if self.random.random() < 0.5:
            feature |= {"center": self.random.gauss(40, 9), "scale": self.random.uniform(0.3, 9)}
        return feature

    def boolean(self) -> dict[str, Any]:
        return {
            "kind": "numeric",
            "column": "member",
            "boolean": True,
            "coefficient": self.numbers(),
            "missing": self.random.choice(["error", {"impute": 0.3}, {"impute": 1.0}]),
        }

    def policies(self, levels: list[str]) -> dict[str, Any]:
        level = {"level": self.random.choice(levels)}
        return {"missing": self.random.choice(["error", level]), "unseen": self.random.choice(["error", "zero", level])}

    def levels(self, column: str | None) -> tuple[str, dict[str, Any], list[str]]:
        column = column or self.random.choice(sorted(LEVELS))
        type_, known = LEVELS[column]
        levels = self.random.sample(known, self.random.randint(1, len(known)))
        return column, {"levels": type_}, levels

    def categorical(self, column: str | None = None) -> dict[str, Any]:
        column, typed, levels = self.levels(column)
        coefficients = {level: self.numbers() for level in levels}
        return {"kind": "categorical", "column": column, "coefficients": coefficients, **typed, **self.policies(levels)}

    def binned(self) -> dict[str, Any]:
        edges = sorted(
            {round(self.random.uniform(-5, 80), self.random.choice([0, 3])) for _ in range(self.random.randint(1, 5))}
        )
        missing = self.random.choice(["error", {"impute": 20.0}, {"coefficient": self.numbers()}])
        coefficients = [self.numbers() for _ in range(len(edges) + 1)]
        column = self.random.choice(NUMBERS)
        return {"kind": "binned", "column": column, "edges": edges, "coefficients": coefficients, "missing": missing}

    def indicator(self) -> dict[str, Any]:
        column = self.random.choice([*NUMBERS, "carrier", "member", "other"])
        return {"kind": "indicator", "column": column, "coefficient": self.numbers()}

    def steps(self) -> list[Any]:
        step = [
            {"clip": [1.5, 50.0]},
            {"clip": [None, 60.0]},
            {"clip": [0.5, None]},
            "square",
            {"center": -3.5, "scale": 2.5},
            {"scale": 3.0},
            {"center": -1.0},
        ]
        chosen = [self.random.choice(step) for _ in range(self.random.randint(0, 3))]
        return [{"clip": [1.5, 50.0]}, self.random.choice(["log", "log1p", "sqrt", *step]), *chosen]

    def transformed(self) -> dict[str, Any]:
        return {**self.numeric(), "kind": "transformed", "transform": self.steps()}

    def term(self) -> dict[str, Any]:
        term = self.numeric()
        del term["coefficient"]
        return term | ({"transform": self.steps()} if self.random.random() < 0.3 else {})

    def product(self) -> dict[str, Any]:
        terms = [self.term() for _ in range(self.random.randint(2, 3))]
        return {"kind": "product", "terms": terms, "coefficient": self.numbers()}

    def combined(self) -> dict[str, Any]:
        columns = self.random.sample(sorted(LEVELS), self.random.randint(1, 2))
        chosen = [self.levels(column) for column in columns]
        terms: list[dict[str, Any]] = [
            {"kind": "categorical", "column": column, **typed, **self.policies(levels)}
            for column, typed, levels in chosen
        ]
        coefficients: dict[str, Any] = {}
        for first in chosen[0][2]:
            inner = {second: self.numbers() for second in chosen[1][2]} if len(chosen) > 1 else self.numbers()
            coefficients[first] = inner
        terms += [self.term() for _ in range(self.random.randint(2 - len(columns), 2))]
        self.random.shuffle(terms)
        return _in_order({"kind": "product", "terms": terms, "coefficients": coefficients}, columns)


def _in_order(feature: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    # The nesting follows the order of the terms.
    names = iter(columns)
    by_column = {term["column"]: term for term in feature["terms"] if term["kind"] == "categorical"}
    terms = [by_column[next(names)] if term["kind"] == "categorical" else term for term in feature["terms"]]
    return {**feature, "terms": terms}


def _named(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = len({feature.get("column", id(feature)) for feature in features}) == len(features)
    plain = plain and all(feature["kind"] in {"numeric", "categorical"} for feature in features)
    return features if plain else [{**feature, "name": f"f{place}"} for place, feature in enumerate(features)]


KINDS: Mapping[str, Callable[[Maker], dict[str, Any]]] = {
    "numeric": Maker.numeric,
    "boolean": Maker.boolean,
    "categorical": Maker.categorical,
    "binned": Maker.binned,
    "indicator": Maker.indicator,
    "transformed": Maker.transformed,
    "product": Maker.product,
    "combined": Maker.combined,
}


def rows(seed: int, count: int = 40) -> pa.Table:
    """Return rows with missing values, unknown levels and numbers on the edges."""
    rng = random.Random(seed)

    def some(draw: Callable[[], Any], share: float = 0.1) -> list[Any]:
        return [None if rng.random() < share else draw() for _ in range(count)]

    def number() -> float:
        return rng.choice([rng.gauss(40, 20), float(rng.randint(-5, 80)), rng.gauss(0, 1e-6), 0.0])

    return pa.table(
        {
            **{name: pa.array(some(number), pa.float64()) for name in NUMBERS},
            "carrier": some(lambda: rng.choice([*LEVELS["carrier"][1], "unknown", "aa"])),
            "zone": some(lambda: rng.choice([1, 2, -3, 40, 7])),
            "rate": some(lambda: rng.choice([0.5, 1.25, -2.0, 1e-7, 9.5])),
            "flag": some(lambda: rng.choice([True, False])),
            "member": some(lambda: rng.choice([True, False])),
            "other": some(lambda: rng.choice(["x", "y"])),
            "exposure": pa.array(some(lambda: rng.gauss(0, 1)), pa.float64()),
        }
    )
