"""From folded features and the layers behind them to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.conversion.sklearn.perceptrons import PerceptronLayer
from pipeline.errors import ModelError
from pipeline.models.network.making import network_in_memory
from pipeline.models.network.model import NetworkModel
from pipeline.units import escape

Json = dict[str, Any]
Columns = Sequence[Sequence[float]]

_NAME = "the estimator"
# What a feature of a logistic model is, and a network has none of.
_OTHERS: Mapping[str, str] = {
    "transformed": "a function of numbers",
    "binned": "intervals of numbers",
    "product": "a product of columns",
}
_REMEDY = (
    "scale numbers, encode levels one-hot, impute what is missing; leave the other steps out, or make their columns "
    "before fitting"
)


def network_of(folded: Mapping[str, Any], layers: Sequence[PerceptronLayer], said: Mapping[str, Any]) -> NetworkModel:
    """Return a network that is in memory alone.

    Parameters
    ----------
    folded : mapping
        ``intercept`` and ``features`` of the first sums, as :func:`pipeline.conversion.folding.document` makes them: a
        number for each unit of the first layer.
    layers : sequence of PerceptronLayer
        The layers behind it.
    said : mapping
        What the model file says besides features, layers and weights.

    Raises
    ------
    ModelError
        The features of a network cannot say what a feature is; the message names the column.
    ConfigurationError
        safetensors is not installed.
    """
    _check_features(folded["features"])
    made = [_MADE[feature["kind"]](feature) for feature in folded["features"]]
    columns = [column for _, columns in made for column in columns]
    tensors = {"0.weight": np.array(columns).T, "0.bias": np.atleast_1d(folded["intercept"])}
    for number, layer in enumerate(layers, 1):
        tensors |= {f"{number}.weight": np.array(layer.weights), f"{number}.bias": np.array(layer.intercepts)}
    functions = [*(layer.function for layer in layers), None]
    content = {
        "features": [feature for feature, _ in made],
        "layers": [_dense(number, function) for number, function in enumerate(functions)],
        **said,
    }
    return network_in_memory(content, {name: each.astype(np.float64) for name, each in tensors.items()}, _NAME)


def _dense(number: int, function: str | None) -> Json:
    layer: Json = {"kind": "dense", "weight": f"{number}.weight", "bias": f"{number}.bias"}
    return layer if function is None else {**layer, "function": function}


def _check_features(features: Sequence[Json]) -> None:
    seen = set[tuple[str, bool]]()
    for feature in features:
        if what := _OTHERS.get(feature["kind"]):
            name = feature.get("column") or feature["terms"][0]["column"]
            raise ModelError(f'the steps make {what} of column "{escape(name)}", which a network cannot have', _REMEDY)
        # Beside its values a column may be an input where they are missing.
        way = (feature["column"], feature["kind"] == "indicator")
        if way in seen:
            why = f'the steps use column "{escape(feature["column"])}" in two ways; a network has one for each column'
            raise ModelError(why, "use one of them, or give the column twice, under two names")
        seen.add(way)


def _number(feature: Json) -> tuple[Json, Columns]:
    known = ("column", "kind", "boolean", "center", "scale", "missing")
    said: Json = {key: feature[key] for key in known if key in feature}
    return said, [np.atleast_1d(feature["coefficient"]).tolist()]


def _levels(feature: Json) -> tuple[Json, Columns]:
    said: Json = {key: feature[key] for key in ("column", "kind", "levels", "missing", "unseen")}
    coefficients = feature["coefficients"]
    return {**said, "categories": list(coefficients)}, [np.atleast_1d(each).tolist() for each in coefficients.values()]


def _flag(feature: Json) -> tuple[Json, Columns]:
    return {"column": feature["column"], "kind": "indicator"}, [np.atleast_1d(feature["coefficient"]).tolist()]


_MADE: Mapping[str, Callable[[Json], tuple[Json, Columns]]] = {
    "numeric": _number,
    "categorical": _levels,
    "indicator": _flag,
}
