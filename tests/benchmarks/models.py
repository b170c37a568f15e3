"""The models that score generated data, and what they give: worked out here with numpy, apart from every contender."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.benchmarks.data import CHUNK_ROWS, SEED, Dataset, Mixture, level_names

# Center, scale and the value taken for a missing one, by the first letter of the column.
SPREADS = {"g": (0.0, 1.0, 0.25), "d": (5000.0, 2886.75, 4321.5), "i": (49.5, 28.87, 42.0)}
# Where there are nulls, each categorical feature takes the next of these pairs.
TEXT_POLICIES: tuple[tuple[str, str], ...] = (
    ("level", "null"),
    ("null", "zero"),
    ("level", "zero"),
    ("level", "level"),
    ("level", "null"),
    ("level", "zero"),
)
THRESHOLD = 0.5
SCALE = {"pdo": 20, "base_points": 600, "base_odds": 50}
BAND_THRESHOLDS, BAND_NAMES = [480, 500, 520], ["D", "C", "B", "A"]
REASONS = 3
# What the coefficients of the plain model are multiplied by, class by class.
CLASSES = [-1.0, -0.5, 0.0, 0.5, 1.0]


def model(mixture: Mixture) -> dict[str, Any]:
    """Return a model file's content for the features of a mixture; raw predictions are of the size of 1.

    With nulls all policies are at work: a row without its first numeric feature has no score, the other numbers are
    imputed; categorical features take the pairs of ``TEXT_POLICIES``, and every fiftieth level is unseen.
    """
    random = np.random.default_rng(SEED)
    names = mixture.numeric
    coefficients = random.standard_normal(len(names)) / max(1, len(names)) ** 0.5
    features: list[dict[str, Any]] = []
    for name, coefficient in zip(names, coefficients, strict=True):
        center, scale, impute = SPREADS[name[0]]
        feature = {"column": name, "kind": "numeric", "coefficient": float(coefficient), "center": center}
        features.append(feature | {"scale": scale})
        if mixture.nulls and name != names[0]:
            features[-1]["missing"] = {"impute": impute}
    for number, (name, count) in enumerate(mixture.texts.items()):
        features.append(_categorical(name, count, number if mixture.nulls else None))
    return {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": -0.5, "features": features}


def _categorical(name: str, count: int, policies: int | None) -> dict[str, Any]:
    weights = np.random.default_rng((SEED, count)).standard_normal(count).tolist()
    levels = dict(zip(level_names(count), weights, strict=True))
    feature: dict[str, Any] = {"column": name, "kind": "categorical", "coefficients": levels}
    if policies is not None:
        feature["coefficients"] = {level: weight for n, (level, weight) in enumerate(levels.items()) if n % 50 != 49}
        missing, unseen = TEXT_POLICIES[policies % len(TEXT_POLICIES)]
        fallback = {"level": level_names(count)[1 % count]}
        feature["missing"] = fallback if missing == "level" else missing
        feature["unseen"] = fallback if unseen == "level" else unseen
    return feature


def decisions(mixture: Mixture) -> dict[str, Any]:
    """Return the model of a mixture with points, four bands of them and three reasons beside the probability."""
    content = model(mixture)
    names = [feature["column"] for feature in content["features"]]
    output = {
        "columns": ["probability", "points", "band", "reasons"],
        "points": SCALE,
        "bands": {"on": "points", "thresholds": BAND_THRESHOLDS, "names": BAND_NAMES},
        "reasons": {"count": REASONS, "features": {name: {"code": f"R-{name}"} for name in names}},
    }
    return content | {"version": 2, "output": output}


def classes(mixture: Mixture) -> dict[str, Any]:
    """Return a model of five classes: the coefficients of the plain model, times the number of the class."""
    content = model(mixture)
    features = [
        feature | {"coefficient": [times * feature["coefficient"] for times in CLASSES]}
        for feature in content["features"]
    ]
    intercept = [times * content["intercept"] for times in CLASSES]
    names = list(range(len(CLASSES)))
    return content | {"version": 2, "classes": names, "intercept": intercept, "features": features}


def bins(mixture: Mixture) -> dict[str, Any]:
    """Return a model in which each number has twenty intervals, each with its coefficient."""
    random = np.random.default_rng(SEED)
    features = []
    for name in mixture.numeric:
        center, scale, _ = SPREADS[name[0]]
        edges = (center + scale * np.linspace(-1.6, 1.6, 19)).tolist()
        coefficients = (random.standard_normal(20) / 5).tolist()
        features.append({"column": name, "kind": "binned", "edges": edges, "coefficients": coefficients})
    return _document(features)


def products(mixture: Mixture) -> dict[str, Any]:
    """Return a model of twenty products: each number with the next one, both centred and scaled."""
    random = np.random.default_rng(SEED)
    names = mixture.numeric
    terms = [{"column": name, "center": SPREADS[name[0]][0], "scale": SPREADS[name[0]][1]} for name in names]
    features = [
        {"kind": "product", "terms": [one, other], "coefficient": float(random.standard_normal()) / 5}
        for one, other in zip(terms, [*terms[1:], terms[0]], strict=True)
    ]
    return _document(features)


def _document(features: list[dict[str, Any]]) -> dict[str, Any]:
    content = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": -0.5}
    return content | {"features": features, "output": {"columns": ["probability"]}}


def save_model(content: Mapping[str, Any], path: Path) -> Path:
    """Write a model file and return its path."""
    path.write_text(json.dumps(content))
    return path


def truth(dataset: Dataset, folder: Path) -> np.ndarray:
    """Return the raw prediction of every row by ``id``, NaN where it is null; kept in the folder and mapped."""
    path = folder / f"{dataset.rows_name}.raw.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"unfinished-{path.name}")
        content = model(dataset.mixture)
        np.save(unfinished, np.concatenate([raw_predictions(content, rows) for rows in dataset.tables(CHUNK_ROWS)]))
        unfinished.rename(path)
    return np.load(path, mmap_mode="r")


def raw_predictions(content: Mapping[str, Any], rows: pa.Table) -> np.ndarray:
    """Return the raw prediction of each row, NaN where a policy makes it null."""
    total = np.full(rows.num_rows, content["intercept"])
    for feature in content["features"]:
        total += _KINDS[feature["kind"]](feature, rows)
    return total


def contributions(content: Mapping[str, Any], rows: pa.Table) -> np.ndarray:
    """Return what each numeric feature adds beside its constant part: coefficient / scale * value, by feature."""
    weights = [feature["coefficient"] / feature["scale"] for feature in content["features"]]
    columns = [rows[feature["column"]].cast(pa.float64()).to_numpy() for feature in content["features"]]
    return np.array([weight * column for weight, column in zip(weights, columns, strict=True)])


def probabilities(raw: np.ndarray) -> np.ndarray:
    """Return the sigmoid."""
    return 1 / (1 + np.exp(-raw))


def _numeric(feature: Mapping[str, Any], rows: pa.Table) -> np.ndarray:
    column = rows[feature["column"]]
    values = np.array(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    if "missing" in feature:
        values[pc.is_null(column).to_numpy()] = feature["missing"]["impute"]
    return feature["coefficient"] * (values - feature.get("center", 0)) / feature.get("scale", 1)


def _binned(feature: Mapping[str, Any], rows: pa.Table) -> np.ndarray:
    values = rows[feature["column"]].cast(pa.float64()).to_numpy()
    return np.array(feature["coefficients"])[np.searchsorted(feature["edges"], values, side="right")]


def _product(feature: Mapping[str, Any], rows: pa.Table) -> np.ndarray:
    one, other = (_numeric(term | {"coefficient": 1.0}, rows) for term in feature["terms"])
    return feature["coefficient"] * one * other


def _of_levels(feature: Mapping[str, Any], rows: pa.Table) -> np.ndarray:
    column = rows[feature["column"]]

    def policy(name: str) -> float:
        match feature.get(name, "null"):
            case {"level": level}:
                return feature["coefficients"][level]
            case "zero":
                return 0.0
            case _:
                return float("nan")

    encoded = column.combine_chunks().dictionary_encode()
    seen = [feature["coefficients"].get(level, policy("unseen")) for level in encoded.dictionary.to_pylist()]
    codes = pc.fill_null(encoded.indices, len(seen)).to_numpy()
    return np.array([*seen, policy("missing")])[codes]


_KINDS: Mapping[str, Callable[[Mapping[str, Any], pa.Table], np.ndarray]] = {
    "numeric": _numeric,
    "categorical": _of_levels,
    "binned": _binned,
    "product": _product,
}
