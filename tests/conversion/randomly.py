"""Random models of every kind of feature, rows for them, and the scores that they must have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.tally import RowTally

Rng = np.random.Generator
LEVELS = ("AA", "b'b", 'c"c', "", "ü%s", "x\\y", "line\nbreak")
WHOLE = ("1", "-3", "20")
DECIMALS = ("0.5", "2.0", "-1.25")
LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit")


def number(rng: Rng, low: float = -2.0, high: float = 1.0) -> float:
    """Return a number of a random size, now and then 0."""
    return 0.0 if rng.random() < 0.05 else float(rng.normal() * 10 ** rng.uniform(low, high))


def _coefficient(rng: Rng, classes: int) -> Any:
    return number(rng, -2, 0) if not classes else [number(rng, -2, 0) for _ in range(classes)]


def _missing(rng: Rng) -> Any:
    # Seldom a word: else few rows have a score.
    return ["null", "quarantine", *6 * [{"impute": abs(number(rng)) + 0.5}]][rng.integers(8)]


def _policies(rng: Rng, levels: tuple[str, ...]) -> dict[str, Any]:
    named = {"level": levels[int(rng.integers(len(levels)))]}
    return {
        "missing": ["null", "quarantine", *6 * [named]][rng.integers(8)],
        "unseen": ["null", "quarantine", *3 * ["zero"], *3 * [named]][rng.integers(8)],
    }


def _steps(rng: Rng) -> Any:
    steps: list[Any] = [
        {"clip": [-1.5, None]},
        {"center": -20.0, "scale": 3.0},
        "square",
        "log1p",
        "sqrt",
        {"clip": [None, 2.25]},
        "log",
    ]
    chosen = [step for step in steps if rng.random() < 0.4]
    return chosen or "square"


def _numeric(rng: Rng, classes: int) -> dict[str, Any]:
    return {
        "kind": "numeric", "column": f"n{rng.integers(3)}", "coefficient": _coefficient(rng, classes),
        "center": number(rng), "scale": number(rng) or 1.0, "missing": _missing(rng),
    }  # fmt: skip


def _boolean(rng: Rng, classes: int) -> dict[str, Any]:
    return {"kind": "numeric", "column": "flag", "coefficient": _coefficient(rng, classes), "boolean": True,
            "missing": _missing(rng)}  # fmt: skip


def _categorical(rng: Rng, classes: int) -> dict[str, Any]:
    column, levels, type_ = [("c", LEVELS, "text"), ("i", WHOLE, "integer"), ("d", DECIMALS, "number")][rng.integers(3)]
    coefficients = {level: _coefficient(rng, classes) for level in levels}
    typed = {"kind": "categorical", "column": column, "levels": type_, "coefficients": coefficients}
    return typed | _policies(rng, levels)


def _binned(rng: Rng, classes: int) -> dict[str, Any]:
    edges = sorted({number(rng) for _ in range(rng.integers(1, 6))})
    own = {"coefficient": _coefficient(rng, classes)}
    return {
        "kind": "binned", "column": f"n{rng.integers(3)}", "edges": edges,
        "coefficients": [_coefficient(rng, classes) for _ in range(len(edges) + 1)],
        "missing": [own, _missing(rng)][rng.integers(2)],
    }  # fmt: skip


def _indicator(rng: Rng, classes: int) -> dict[str, Any]:
    column = ["n0", "n1", "c", "i", "d", "flag"][rng.integers(6)]
    return {"kind": "indicator", "column": column, "coefficient": _coefficient(rng, classes)}


def _transformed(rng: Rng, classes: int) -> dict[str, Any]:
    return {
        "kind": "transformed", "column": f"n{rng.integers(3)}", "transform": _steps(rng), "center": number(rng),
        "scale": 0.5, "coefficient": _coefficient(rng, classes), "missing": _missing(rng),
    }  # fmt: skip


def _product(rng: Rng, classes: int) -> dict[str, Any]:
    terms: list[dict[str, Any]] = [
        {"column": "n0", "center": number(rng), "scale": 3.0, "missing": _missing(rng)},
        {"column": "n1", "missing": _missing(rng)},
        {"column": "n2", "transform": _steps(rng), "missing": _missing(rng)},
        {"kind": "categorical", "column": "c", "levels": "text", **_policies(rng, LEVELS[:3])},
        {"kind": "categorical", "column": "i", "levels": "integer", **_policies(rng, WHOLE[:2])},
    ]
    chosen = [terms[place] for place in rng.permutation(5)[: rng.integers(2, 4)]]
    depths = [LEVELS[:3] if term["column"] == "c" else WHOLE[:2] for term in chosen if "kind" in term]
    if not depths:
        return {"kind": "product", "terms": chosen, "coefficient": _coefficient(rng, classes)}
    return {"kind": "product", "terms": chosen, "coefficients": _nested(rng, classes, depths)}


def _nested(rng: Rng, classes: int, depths: list[tuple[str, ...]]) -> Any:
    if not depths:
        return _coefficient(rng, classes)
    return {level: _nested(rng, classes, depths[1:]) for level in depths[0]}


KINDS: tuple[Callable[[Rng, int], dict[str, Any]], ...] = (
    _numeric, _boolean, _categorical, _binned, _indicator, _transformed, _product,
)  # fmt: skip


def document(rng: Rng, classes: int = 0) -> dict[str, Any]:
    """Return a model file of version 2 with one feature of each kind and some more, in a random order."""
    made = [*KINDS, *(KINDS[place] for place in rng.integers(len(KINDS), size=2))]
    features = [make(rng, classes) for make in made]
    features = [features[place] | {"name": f"f{place}"} for place in rng.permutation(len(features))]
    columns = ["probability", "raw_prediction", "decision"]
    whole: dict[str, Any] = {
        "format": "logitstream-model", "version": 2, "kind": "logistic",
        "intercept": _coefficient(rng, classes), "features": features, "output": {"columns": columns},
    }  # fmt: skip
    if rng.random() < 0.5:
        whole["offset"] = {"column": "n1", "name": "exposure", "missing": _missing(rng)}
    if classes:
        names = [f"class {place}'s" for place in range(classes)]
        return whole | {"classes": names, "normalise": ["softmax", "one-vs-rest"][rng.integers(2)]}
    whole["output"] |= {"threshold": round(float(rng.random()), 2), "columns": [*columns, "contributions"]}
    whole["link"] = ["logit", *LINKS][rng.integers(6)]
    if whole["link"] == "logit":
        whole["output"] |= _scale(rng)
    return whole


CALIBRATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 1.7, "alpha": -1.0, "beta": -0.3},
    {"temperature": 0.3, "alpha": 0.7, "beta": 0.0},
    {"calibration": {"method": "platt", "slope": -1.3, "intercept": 0.7}},
    {"calibration": {"method": "temperature", "temperature": 2.5}},
    {"calibration": {"method": "beta", "a": 0.7, "b": 1.4, "c": -0.2}},
    {"calibration": {"method": "beta", "a": 0.0, "b": 1.4, "c": 0.2}},
    {"calibration": {"method": "isotonic", "thresholds": [-1.0, 0.25, 2.0], "probabilities": [0.0, 0.25, 0.25, 0.9]}},
)


def _scale(rng: Rng) -> dict[str, Any]:
    """Return how the probability is calibrated, and points and bands."""
    on = ["probability", "points"][rng.integers(2)]
    thresholds = [0.1, 0.25, 0.75] if on == "probability" else [450.0, 600.5, 601.0]
    return {
        **CALIBRATIONS[rng.integers(len(CALIBRATIONS))],
        "columns": [
            "probability", "raw_prediction", "decision", "contributions", "points", "points_by_feature", "band",
        ],
        "points": {
            "pdo": 20.0, "base_points": 600.0, "base_odds": 50.0,
            "rounding": ["none", "points", "features"][rng.integers(3)],
            "higher": ["negative", "positive"][rng.integers(2)],
        },
        "bands": {"on": on, "thresholds": thresholds, "names": ["it's", "b", "ü", "d"]},
    }  # fmt: skip


def table(rng: Rng, rows: int, largest: float = 1e308) -> pa.Table:
    """Return rows with nulls, NaN, infinities, very large and very small numbers, unseen levels and odd texts."""

    def some(values: list[Any]) -> list[Any]:
        return [values[place] for place in rng.integers(len(values), size=rows)]

    special = [None, math.nan, 0.0, -0.0, math.inf, -math.inf, largest, -largest, 5e-324, 1e-200, 1e-100]
    floats = [
        [special[rng.integers(len(special))] if rng.random() < 0.1 else number(rng) for _ in range(rows)]
        for _ in range(3)
    ]
    return pa.table(
        {
            **{f"n{place}": pa.array(values, pa.float64()) for place, values in enumerate(floats)},
            "flag": pa.array(some([True, False, None]), pa.bool_()),
            "c": pa.array(some([*LEVELS, None, "new", "nan", "NaN", "null", " AA"]), pa.string()),
            "i": pa.array(some([1, -3, 20, 7, None]), pa.int64()),
            "d": pa.array(some([0.5, 2.0, -1.25, 3.5, math.nan, None]), pa.float64()),
        }
    )


# Names and texts that are code where they are not quoted.
ODD = (
    'a"b', "it's", "100%", "%s", "select", "a b", "x1", "X2", "ünïcode", "new\nline", "tab\t", "\\", "`", "--", "/*",
    ";", '"; DROP TABLE rows; --', "' OR 1=1 --", "{0}", "$1", "?", ":name",
)  # fmt: skip


def odd() -> tuple[dict[str, Any], pa.Table]:
    """Return a model with such names, levels and decisions, and rows for it."""
    category = "'; SELECT error('x'); --"
    features: list[dict[str, Any]] = [
        {"column": name, "kind": "numeric", "coefficient": 0.1 * place} for place, name in enumerate(ODD, 1)
    ]
    levels = dict.fromkeys(ODD, 0.25) | {"it's": -0.75}
    whole = {
        "format": "logitstream-model", "version": 1, "kind": "logistic",
        "intercept": 2.0 - sum(0.05 * place * (place + 1) for place in range(len(ODD))),
        "features": [*features, {"column": category, "kind": "categorical", "coefficients": levels}],
        "output": {"columns": ["raw_prediction", "decision"], "threshold": 0.9},
        "target": {"negative": "it's; --", "positive": 'a "b" \\ %s'},
    }  # fmt: skip
    columns = {name: [0.5 * place] * len(ODD) for place, name in enumerate(ODD)}
    return whole, pa.table(columns | {category: list(ODD)})


def far(link: str) -> tuple[dict[str, Any], pa.Table]:
    """Return a model with a link, and rows near and far from the middle of its probabilities."""
    feature = {"column": "x", "kind": "numeric", "coefficient": 0.7, "center": 0.3, "scale": 0.7}
    whole = {
        "format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.0, "link": link,
        "features": [feature], "output": {"columns": ["probability", "raw_prediction"]},
    }  # fmt: skip
    ranges = [np.linspace(-800, 800, 801), np.linspace(-40, 40, 801), np.linspace(-7, -6, 101)]
    return whole, pa.table({"x": np.concatenate([*ranges, [1e-300, -1e300, 1e300]])})


@dataclass(frozen=True)
class Scored:
    """What the scorer makes of a table.

    Attributes
    ----------
    model : ModelFile
    rows : pyarrow.Table
        Without bad rows, of which nothing is made.
    columns : mapping of str to list
        By name; ``None`` where a row has no score.
    bad : pyarrow.Table
        The bad rows.
    """

    model: ModelFile
    rows: pa.Table
    columns: Mapping[str, list[Any]]
    bad: pa.Table


def scored(whole: Mapping[str, Any], rows: pa.Table) -> Scored:
    """Score a table by a model file."""
    model = from_mapping(whole)
    block = ScoreBlock.of(model)
    names = [need.name for need in block.columns()]
    tally = RowTally(rows.num_rows)
    block.scores([rows[name].combine_chunks() for name in names], tally)
    is_bad = np.isin(np.arange(rows.num_rows), tally.bad)
    good, bad = rows.filter(pa.array(~is_bad)), rows.filter(pa.array(is_bad))
    tally = RowTally(good.num_rows)
    arrays, _ = block.scores([good[name].combine_chunks() for name in names], tally)
    columns = {}
    for field, array in zip(block.fields(), arrays, strict=True):
        values = array.to_pylist()
        for row in tally.rejected.tolist():
            values[row] = None
        columns[field.name] = values
    return Scored(model, good, columns, bad)


def differences(expected: Scored, made: Mapping[str, list[Any]]) -> float:
    """Check that columns are those of the scorer, and return the largest difference of a number.

    Nulls, NaN and infinities are in the same rows, decisions and texts are equal. The difference of a probability is
    relative down to e^-700; that of other numbers is relative to the largest number that was added, at least 1.
    """
    assert list(made) == list(expected.columns)
    largest = 0.0
    sizes = [1.0] * expected.rows.num_rows
    for name, values in expected.columns.items():
        if name.startswith(("contribution_", "raw_prediction")):
            for row, value in enumerate(values):
                if value is not None and math.isfinite(value):
                    sizes[row] = max(sizes[row], abs(value))
    for name, values in expected.columns.items():
        for row, (ours, theirs) in enumerate(zip(values, made[name], strict=True)):
            largest = max(largest, _difference(name, ours, theirs, sizes[row]))
    return largest


def _difference(name: str, ours: Any, theirs: Any, size: float) -> float:
    if not isinstance(ours, float) or not isinstance(theirs, float):
        assert ours == theirs, (name, ours, theirs)
        return 0.0
    if math.isnan(ours) or math.isnan(theirs) or math.isinf(ours) or math.isinf(theirs):
        assert repr(ours) == repr(theirs), (name, ours, theirs)
        return 0.0
    if name.startswith("probability"):
        # The raw prediction may differ in its last bits, relative to the numbers that were added.
        return abs(ours - theirs) / max(ours, math.exp(-700)) / size
    return abs(ours - theirs) / size
