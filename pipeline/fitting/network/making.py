"""The model file of a network that has learnt, with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.fitting.asking.terms import CategoryTerm
from pipeline.fitting.designs.design import DesignColumn, FitDesign
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.network.layers import NetworkShape
from pipeline.fitting.network.wishes import NetworkJob
from pipeline.fitting.outcome.policies import LevelPolicies, missing_number
from pipeline.fitting.outcome.totals import intercept_shift
from pipeline.fitting.tiles.layout import Floats
from pipeline.models.network.making import network_in_memory
from pipeline.models.network.model import NetworkModel

Document = dict[str, Any]


def network_of_parameters(
    job: NetworkJob, design: FitDesign, learnt: Learnt, shape: NetworkShape, parameters: Floats
) -> NetworkModel:
    """Return the network with these parameters, in memory; its raw predictions are those of the mini-batches.

    With ``--prior`` the last bias is corrected for the true share of positives.

    Raises
    ------
    ModelError
        No model file can hold it.
    ConfigurationError
        safetensors is not installed.
    """
    views = [(weight.copy(), bias.copy()) for weight, bias in shape.views(parameters)]
    views[-1][1][:] += intercept_shift(job.fit, learnt)
    tensors: dict[str, Floats] = {}
    for number, (weight, bias) in enumerate(views):
        tensors |= {f"{number}.weight": weight, f"{number}.bias": bias}
    said = {
        "features": [_feature(design, learnt, column) for column in _in_order(design)],
        "layers": [_layer(number, function) for number, function in enumerate((*shape.functions, None))],
        **_head(job, learnt),
    }
    return network_in_memory(said, tensors, "the fitted network")


def _in_order(design: FitDesign) -> list[DesignColumn]:
    """Return the columns in the order of the inputs: numbers first, then levels."""
    return sorted(design.columns, key=lambda column: (column.dense is None, column.dense or 0, column.levels or 0))


def _feature(design: FitDesign, learnt: Learnt, column: DesignColumn) -> Document:
    name = column.term.column  # type: ignore[union-attr]
    if isinstance(column.term, CategoryTerm):
        members = LevelPolicies(design, learnt, name).members
        return {"column": name, "kind": "categorical", "categories": list(column.labels), **members}
    policy = missing_number(design, name)
    return {"column": name, "kind": "numeric", "center": column.center, "scale": column.scale, "missing": policy}


def _layer(number: int, function: str | None) -> Document:
    layer = {"kind": "dense", "weight": f"{number}.weight", "bias": f"{number}.bias"}
    return layer if function is None else {**layer, "function": function}


def _head(job: NetworkJob, learnt: Learnt) -> Mapping[str, Any]:
    target: Document = {"column": job.fit.model.target}
    if len(learnt.classes) > 2:
        return {"head": "softmax", "classes": list(learnt.classes), "target": target}
    negative, positive = learnt.classes
    return {"head": "sigmoid", "target": target | {"negative": negative, "positive": positive}}
