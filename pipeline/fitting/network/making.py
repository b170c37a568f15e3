"""The model file of a network that has learnt, with its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.terms import CategoryTerm, MissingTerm
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

    With ``--prior`` the last bias is corrected for the true share of positives. Columns under ``--control`` have the
    value of :func:`references` in every row, and what they give the first layer is in its biases.

    Raises
    ------
    DataError
        All columns are set to a reference.
    ModelError
        No model file can hold it.
    ConfigurationError
        safetensors is not installed.
    """
    views = [(weight.copy(), bias.copy()) for weight, bias in shape.views(parameters)]
    views[-1][1][:] += intercept_shift(job.fit, learnt)
    columns, unused = _in_order(design), list(_that_drop(design, learnt))
    views[0] = _first_layer(*views[0], design, learnt, unused)
    if all(column.control for column in columns):
        raise DataError("no feature is left: every column is a control", "name other columns under --features")
    tensors: dict[str, Floats] = {}
    for number, (weight, bias) in enumerate(views):
        tensors |= {f"{number}.weight": weight, f"{number}.bias": bias}
    said = {
        "features": [*(_feature(design, learnt, each) for each in columns if not each.control), *unused],
        "layers": [_layer(number, function) for number, function in enumerate((*shape.functions, None))],
        **_head(job, learnt),
    }
    return network_in_memory(said, tensors, "the fitted network")


def _in_order(design: FitDesign) -> list[DesignColumn]:
    """Return the columns in the order of the inputs: numbers first, then levels."""
    return sorted(design.columns, key=lambda column: (column.dense is None, column.dense or 0, column.levels or 0))


def _first_layer(
    weight: Floats, bias: Floats, design: FitDesign, learnt: Learnt, unused: Sequence[Document]
) -> tuple[Floats, Floats]:
    """Return weight and bias of the first layer without the inputs of controls, and with those that change nothing."""
    kept, bias, first = list[Floats](), bias.copy(), 0
    for column in _in_order(design):
        own = weight[:, first : first + max(1, len(column.labels))]
        first += own.shape[1]
        if column.control:
            bias += np.dot(own, _at_reference(design, learnt, column))
        else:
            kept.append(own)
    zeros = sum(len(feature.get("categories", ("",))) for feature in unused)
    return np.hstack([*kept, np.zeros((len(weight), zeros))]), bias


def _at_reference(design: FitDesign, learnt: Learnt, column: DesignColumn) -> Floats:
    """Return the inputs of a column that is set to its reference."""
    reference = _reference(design, learnt, column)
    if isinstance(reference, str):
        return np.array([label == reference for label in column.labels], dtype=np.float64)
    return np.array([(reference - column.center) / column.scale])


def _reference(design: FitDesign, learnt: Learnt, column: DesignColumn) -> float | str:
    if isinstance(column.term, CategoryTerm):
        return LevelPolicies(design, learnt, column.term.column).most_frequent
    return 0.0 if isinstance(column.term, MissingTerm) else learnt.numbers[term_text(column.term)].mean


def references(design: FitDesign, learnt: Learnt) -> dict[str, float | str]:
    """Return what columns under ``--control`` are set to, by the text of their term: means and most frequent levels."""
    return {term_text(each.term): _reference(design, learnt, each) for each in _in_order(design) if each.control}


def _feature(design: FitDesign, learnt: Learnt, column: DesignColumn) -> Document:
    name = column.term.column  # type: ignore[union-attr]
    if isinstance(column.term, CategoryTerm):
        members = LevelPolicies(design, learnt, name).members
        return {"column": name, "kind": "categorical", "categories": list(column.labels), **members}
    scaled = {"center": column.center, "scale": column.scale}
    if isinstance(column.term, MissingTerm):
        return {"column": name, "kind": "indicator", **scaled}
    return {"column": name, "kind": "numeric", **scaled, "missing": missing_number(design, name)}


def _that_drop(design: FitDesign, learnt: Learnt) -> Iterator[Document]:
    """Yield features with weights of 0: of columns that were left out, whose missing values drop a row."""
    known = {column.term.column for column in design.columns}  # type: ignore[union-attr]
    for source in design.numbers:
        if source.missing == "drop" and source.column not in known:
            yield {"column": source.column, "kind": "numeric", "missing": missing_number(design, source.column)}
    for level in design.levels:
        if level.missing == "drop" and level.column not in known:
            found = LevelPolicies(design, learnt, level.column)
            name, categories = level.column, list(found.levels)
            yield {"column": name, "kind": "categorical", "categories": categories, **found.members}


def _layer(number: int, function: str | None) -> Document:
    layer = {"kind": "dense", "weight": f"{number}.weight", "bias": f"{number}.bias"}
    return layer if function is None else {**layer, "function": function}


def _head(job: NetworkJob, learnt: Learnt) -> Mapping[str, Any]:
    target: Document = {"column": job.fit.model.target}
    if len(learnt.classes) > 2:
        return {"head": "softmax", "classes": list(learnt.classes), "target": target}
    negative, positive = learnt.classes
    head: Document = {"head": "sigmoid", "target": target | {"negative": negative, "positive": positive}}
    offset = job.fit.model.offset
    return head if offset is None else head | {"offset": {"column": offset, "missing": "error"}}
