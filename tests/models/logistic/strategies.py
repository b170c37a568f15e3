"""Model files of version 2 with any content that fits together, and rows for them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.models.logistic import oracle

NUMBERS, TEXTS = ("x", "y", "z"), ("c", "d")
LEVELS = ("a", "b", "é")
MOST_TEXT = ("a", "b", "é", "zz")

finite = st.floats(-50, 50).map(lambda x: round(x, 3))
scales = st.sampled_from([1.0, 0.5, -2.0, 3.7])
words = st.sampled_from(["null", "error", "quarantine"])


def coefficient(outputs: int) -> st.SearchStrategy[Any]:
    return finite if outputs == 1 else st.lists(finite, min_size=outputs, max_size=outputs)


missing_number = words | st.fixed_dictionaries({"impute": st.floats(0.5, 9).map(lambda x: round(x, 2))})
step = st.sampled_from(
    ["sqrt", "square", {"clip": [0.25, 4.0]}, {"clip": [None, 3.0]}, {"center": 0.5, "scale": 2.0}, "log", "log1p"]
)
transform = step | st.lists(step, min_size=1, max_size=3)


def without_unfit(part: dict[str, Any]) -> dict[str, Any]:
    """The part, without an imputed number of which its steps make none that is finite: such a file is refused."""
    policy = part.get("missing")
    if not isinstance(policy, dict) or "transform" not in part:
        return part
    verdict = oracle.Verdict()
    oracle.transformed(policy["impute"], part["transform"], verdict)
    return {key: value for key, value in part.items() if key != "missing"} if verdict.bad else part


def level_policies(levels: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    rule = st.fixed_dictionaries({"level": st.sampled_from(levels)})
    optional = {"missing": words | rule, "unseen": words | st.just("zero") | rule}
    return st.fixed_dictionaries({}, optional=optional)


@st.composite
def linear(draw: Any, outputs: int, kind: str) -> dict[str, Any]:
    optional = {"center": finite, "scale": scales, "missing": missing_number}
    feature = draw(st.fixed_dictionaries({"coefficient": coefficient(outputs)}, optional=optional))
    if kind == "transformed":
        feature["transform"] = draw(transform)
    return {"kind": kind, "column": draw(st.sampled_from(NUMBERS)), **without_unfit(feature)}


@st.composite
def categorical(draw: Any, outputs: int) -> dict[str, Any]:
    levels = draw(st.lists(st.sampled_from(LEVELS), min_size=1, unique=True))
    coefficients = {level: draw(coefficient(outputs)) for level in levels}
    column = draw(st.sampled_from(TEXTS))
    return {"kind": "categorical", "column": column, "coefficients": coefficients, **draw(level_policies(levels))}


@st.composite
def binned(draw: Any, outputs: int) -> dict[str, Any]:
    edges = sorted(draw(st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=5, unique=True)))
    own = st.fixed_dictionaries({"coefficient": coefficient(outputs)})
    feature = {"edges": edges, "coefficients": [draw(coefficient(outputs)) for _ in range(len(edges) + 1)]}
    missing = draw(st.fixed_dictionaries({}, optional={"missing": missing_number | own}))
    return {"kind": "binned", "column": draw(st.sampled_from(NUMBERS)), **feature, **missing}


@st.composite
def indicator(draw: Any, outputs: int) -> dict[str, Any]:
    column = draw(st.sampled_from([*NUMBERS, *TEXTS]))
    return {"kind": "indicator", "column": column, "coefficient": draw(coefficient(outputs))}


@st.composite
def product(draw: Any, outputs: int) -> dict[str, Any]:
    optional = {"center": finite, "scale": scales, "missing": missing_number, "transform": transform}
    numbers = [
        {"column": draw(st.sampled_from(NUMBERS)), **without_unfit(draw(st.fixed_dictionaries({}, optional=optional)))}
        for _ in range(draw(st.integers(0, 2)))
    ]
    depth = draw(st.integers(max(0, 2 - len(numbers)), 2))
    known = [draw(st.lists(st.sampled_from(LEVELS), min_size=1, unique=True)) for _ in range(depth)]
    texts = [
        {"kind": "categorical", "column": draw(st.sampled_from(TEXTS)), **draw(level_policies(levels))}
        for levels in known
    ]
    feature: dict[str, Any] = {"kind": "product", "terms": draw(st.permutations([*numbers, *texts]))}
    if not depth:
        return feature | {"coefficient": draw(coefficient(outputs))}
    order = [known[texts.index(term)] for term in feature["terms"] if term in texts]
    if depth == 1:
        return feature | {"coefficients": {level: draw(coefficient(outputs)) for level in order[0]}}
    nested = {one: {other: draw(coefficient(outputs)) for other in order[1]} for one in order[0]}
    return feature | {"coefficients": nested}


def feature_of(outputs: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        linear(outputs, "numeric"),
        linear(outputs, "transformed"),
        categorical(outputs),
        binned(outputs),
        indicator(outputs),
        product(outputs),
    )


@st.composite
def documents(draw: Any, outputs: int | None = None) -> dict[str, Any]:
    """A document of version 2; ``outputs`` classes, one output without classes, any number if not given."""
    count = draw(st.integers(1, 3)) if outputs is None else outputs
    features = draw(st.lists(feature_of(count), min_size=1, max_size=5))
    document: dict[str, Any] = {"format": "logitstream-model", "version": 2, "kind": "logistic"}
    document["intercept"] = draw(coefficient(count))
    if count > 1:
        document["classes"] = [f"k{position}" for position in range(count)]
    if draw(st.booleans()):
        document["offset"] = {"column": "w", "name": "offset", "missing": draw(missing_number)}
    document["features"] = [feature | {"name": f"f{position}"} for position, feature in enumerate(features)]
    return document


@st.composite
def tables(draw: Any) -> list[dict[str, Any]]:
    """Rows with every column that a document may read."""
    cell = st.none() | st.floats(-4, 5).map(lambda x: round(x, 2)) | st.just(float("nan"))
    text = st.none() | st.sampled_from(MOST_TEXT)
    row = st.fixed_dictionaries(dict.fromkeys((*NUMBERS, "w"), cell) | dict.fromkeys(TEXTS, text))
    return draw(st.lists(row, min_size=1, max_size=12))
