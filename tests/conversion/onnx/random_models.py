"""Random models of every kind that a graph can express, and rows for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from pipeline.conversion.onnx.graph import BOOL, DOUBLE, INT64, STRING, Graph
from pipeline.errors import ModelError
from pipeline.models.logistic.output import Output
from pipeline.models.logistic.parsing import from_mapping

ROWS = 60
NUMBERS, TEXTS, WHOLES, BOOLEANS = ("x", "y", "z"), ("c", "e"), ("i", "k"), ("b",)

floats = st.floats(-5, 5).map(lambda value: round(value, 3)) | st.sampled_from([1.0, -2.5, 1e-9, 1 / 3])
positive = st.floats(0.1, 5).map(lambda value: round(value, 3))
words = st.sampled_from(["null", "quarantine"])
missing_numbers = words | floats.map(lambda value: {"impute": value})
steps = st.one_of(
    st.sampled_from(["log", "log1p", "sqrt", "square"]),
    st.tuples(floats, positive).map(lambda ends: {"clip": [ends[0], ends[0] + ends[1]]}),
    floats.map(lambda end: {"clip": [end, None]}),
    floats.map(lambda end: {"clip": [None, end]}),
    st.tuples(floats, positive).map(lambda said: {"center": said[0], "scale": said[1]}),
)
transforms = steps | st.lists(steps, min_size=1, max_size=3)


def numbers(outputs: int) -> st.SearchStrategy[Any]:
    return floats if outputs == 1 else st.lists(floats, min_size=outputs, max_size=outputs)


def policies(levels: Sequence[str]) -> st.SearchStrategy[dict[str, Any]]:
    known = st.sampled_from(levels).map(lambda level: {"level": level})
    if "" in levels:
        # A graph gets missing text as the empty text.
        return st.fixed_dictionaries({"missing": st.just({"level": ""}), "unseen": words | st.just("zero") | known})
    return st.fixed_dictionaries({"missing": words | known, "unseen": words | st.just("zero") | known})


@st.composite
def levels_of(draw: st.DrawFn) -> tuple[str, str, list[str]]:
    """Return a column, the type of its levels, and some levels."""
    column = draw(st.sampled_from([*TEXTS, *WHOLES, *BOOLEANS]))
    if column in TEXTS:
        type_, known = "text", ["A", "b b", "ä", "(missing)", "7", ""]
    elif column in WHOLES:
        type_, known = "integer", ["0", "1", "-3", "12"]
    else:
        type_, known = "boolean", ["true", "false"]
    return column, type_, draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True))


@st.composite
def categorical(draw: st.DrawFn, outputs: int) -> dict[str, Any]:
    column, type_, levels = draw(levels_of())
    said = {"column": column, "kind": "categorical", "levels": type_, **draw(policies(levels))}
    return said | {"coefficients": {level: draw(numbers(outputs)) for level in levels}}


@st.composite
def of_numbers(draw: st.DrawFn, outputs: int) -> dict[str, Any]:
    """Return a column of numbers with levels."""
    levels = draw(st.lists(st.sampled_from(["0.5", "1.25", "-2", "3"]), min_size=1, max_size=3, unique=True))
    said = {"column": "q", "kind": "categorical", "levels": "number", **draw(policies(levels))}
    return said | {"coefficients": {level: draw(numbers(outputs)) for level in levels}}


@st.composite
def binned(draw: st.DrawFn, outputs: int) -> dict[str, Any]:
    edges = sorted(draw(st.lists(floats, min_size=1, max_size=4, unique=True)))
    missing = missing_numbers | numbers(outputs).map(lambda number: {"coefficient": number})
    return {
        "column": draw(st.sampled_from(NUMBERS)),
        "kind": "binned",
        "edges": edges,
        "coefficients": [draw(numbers(outputs)) for _ in range(len(edges) + 1)],
        "missing": draw(missing),
    }


@st.composite
def numeric_term(draw: st.DrawFn) -> dict[str, Any]:
    said = {"kind": "numeric", "column": draw(st.sampled_from(NUMBERS)), "missing": draw(missing_numbers)}
    if draw(st.booleans()):
        said["transform"] = draw(transforms)
    if draw(st.booleans()):
        said |= {"center": draw(floats), "scale": draw(positive)}
    return said


@st.composite
def products(draw: st.DrawFn, outputs: int) -> dict[str, Any]:
    terms = [draw(numeric_term()) for _ in range(draw(st.integers(0, 2)))]
    columns = draw(st.lists(levels_of(), min_size=0 if len(terms) == 2 else 2 - len(terms), max_size=2))
    if not columns:
        return {"kind": "product", "terms": terms, "coefficient": draw(numbers(outputs))}
    for column, type_, levels in columns:
        terms.append({"kind": "categorical", "column": column, "levels": type_, **draw(policies(levels))})

    def nested(depth: int) -> Any:
        if depth == len(columns):
            return draw(numbers(outputs))
        return {level: nested(depth + 1) for level in columns[depth][2]}

    return {"kind": "product", "terms": terms, "coefficients": nested(0)}


@st.composite
def features(draw: st.DrawFn, outputs: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(["numeric", "transformed", "indicator", "level", "number", "binned", "product"]))
    if kind == "level":
        return draw(categorical(outputs))
    if kind == "number":
        return draw(of_numbers(outputs))
    if kind == "binned":
        return draw(binned(outputs))
    if kind == "product":
        return draw(products(outputs))
    if kind == "indicator":
        column = draw(st.sampled_from([*NUMBERS, *TEXTS, *WHOLES]))
        return {"column": column, "kind": "indicator", "coefficient": draw(numbers(outputs))}
    said = {"column": draw(st.sampled_from(NUMBERS)), "kind": kind, "coefficient": draw(numbers(outputs))}
    said |= {"center": draw(floats), "scale": draw(positive), "missing": draw(missing_numbers)}
    return said | ({"transform": draw(transforms)} if kind == "transformed" else {})


outputs_of_binary = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"threshold": st.floats(0, 1).map(lambda value: round(value, 3))}),
    st.fixed_dictionaries({"temperature": positive, "alpha": positive, "beta": floats}),
)


calibrations = st.one_of(
    st.builds(lambda a, b: {"method": "platt", "slope": a, "intercept": b}, positive, floats),
    st.builds(lambda t: {"method": "temperature", "temperature": t}, positive),
    st.builds(lambda a, b, c: {"method": "beta", "a": a, "b": b, "c": c}, positive, st.just(0.0) | positive, floats),
    st.just({"method": "isotonic", "thresholds": [-2.0, 0.5, 1.0], "probabilities": [0.0, 0.25, 0.25, 1.0]}),
).map(lambda said: {"calibration": said})
if "calibration" in Output.model_fields:
    outputs_of_binary |= calibrations


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Return model files of version 2 as mappings."""
    return _documents().filter(_is_model)


def _is_model(document: dict[str, Any]) -> bool:
    """Return whether a model may be so: the logarithm of an imputed value is finite, for example."""
    try:
        from_mapping(document)
    except ModelError:
        return False
    return True


@st.composite
def _documents(draw: st.DrawFn) -> dict[str, Any]:
    outputs = draw(st.sampled_from([1, 1, 1, 2, 3]))
    head: dict[str, Any] = {"format": "logitstream-model", "version": 2, "kind": "logistic"}
    if outputs > 1:
        names = draw(st.sampled_from([["p", "q q", "r"], [3, 1, 2], [0.5, 1.5, -1.0]]))
        head |= {"classes": names[:outputs], "normalise": draw(st.sampled_from(["softmax", "one-vs-rest"]))}
    else:
        head |= {"link": draw(st.sampled_from(["logit", "logit", "cloglog", "loglog"]))}
        head |= {
            "target": draw(
                st.sampled_from(
                    [
                        {"negative": False, "positive": True},
                        {"negative": "no", "positive": "yes"},
                        {"negative": 1, "positive": 2},
                    ]
                )
            )
        }
        head["output"] = draw(outputs_of_binary) if head["link"] == "logit" else {}
    if draw(st.booleans()):
        head["offset"] = {"column": draw(st.sampled_from(NUMBERS)), "missing": draw(missing_numbers)}
    made = [draw(features(outputs)) for _ in range(draw(st.integers(1, 5)))]
    return head | {
        "intercept": draw(numbers(outputs)),
        "features": [{**f, "name": f"f{i}"} for i, f in enumerate(made)],
    }


def table(seed: int, rows: int = ROWS) -> pa.Table:
    """Return rows with missing values, unseen levels, zeros and negative numbers in every column."""
    random = np.random.default_rng(seed)

    def of(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
        chosen = [values[i] for i in random.integers(0, len(values), rows)]
        return pa.array([None if random.random() < 0.1 else value for value in chosen], type_)

    spread = [
        0.0,
        1.0,
        -1.0,
        1e-12,
        -1e-300,
        37.5,
        1e308,
        math.inf,
        -math.inf,
        *random.normal(scale=3, size=30).tolist(),
    ]
    columns = {name: of(spread, pa.float64()) for name in NUMBERS}
    columns["q"] = of([0.5, 1.25, -2.0, 3.0, 4.5], pa.float64())
    columns |= {name: of(["A", "b b", "ä", "7", "other", "(missing)", ""], pa.string()) for name in TEXTS}
    columns |= {name: of([0, 1, -3, 12, 99], pa.int64()) for name in WHOLES}
    columns["b"] = of([True, False], pa.bool_())
    return pa.table(columns)


def feeds(graph: Graph, rows: pa.Table) -> dict[str, Any]:
    """Return rows as the inputs of a graph take them; rows that they cannot hold are to be left out before."""
    return {port.name: _cells(rows[port.name].to_pylist(), port.type) for port in graph.inputs}


def _cells(values: list[Any], type_: int) -> Any:
    if type_ == STRING:
        return np.array([["" if each is None else each] for each in values], dtype=object)
    # Text of which only whether it is missing counts.
    values = [1.0 if isinstance(each, str) else each for each in values]
    dtype = {DOUBLE: np.float64, INT64: np.int64, BOOL: np.bool_}[type_]
    return np.array([[np.nan if each is None else each] for each in values], dtype=dtype)


def without_gaps(graph: Graph, rows: pa.Table) -> pa.Table:
    """Return the rows in which no whole number or boolean is missing that the graph takes as such."""
    mask = np.ones(len(rows), dtype=bool)
    for port in graph.inputs:
        if port.type in {INT64, BOOL}:
            mask &= rows[port.name].is_valid().to_numpy()
    return rows.filter(pa.array(mask))


def without_empty_text(rows: pa.Table) -> pa.Table:
    """Return rows in which text that is empty is missing, which is the same to a graph."""
    emptied = [[each or None for each in rows[name].to_pylist()] for name in TEXTS]
    places = [rows.column_names.index(name) for name in TEXTS]
    for place, values in zip(places, emptied, strict=True):
        rows = rows.set_column(place, rows.field(place), pa.array(values, pa.string()))
    return rows


def columns_of(document: Mapping[str, Any]) -> list[str]:
    """Return the columns of the features and the offset, each once."""
    parts = [p for f in document["features"] for p in (f["terms"] if f["kind"] == "product" else [f])]
    return list(dict.fromkeys(part["column"] for part in (*parts, *filter(None, [document.get("offset")]))))
