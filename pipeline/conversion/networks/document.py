"""From layers one after the other to the content of a model file, and the weights beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.importing import Score
from pipeline.conversion.networks.stack import (
    Floats,
    Stack,
    StackedDense,
    StackedPart,
    StackedPool,
    StackedRecurrent,
    Straight,
)
from pipeline.dataclass import dataclass

Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ImportedNetwork:
    """A network of another tool, and how that tool scores; ``Imported`` says what its other attributes are.

    Attributes
    ----------
    document : dict
        The model file as JSON, without ``weights`` and ``training``.
    tensors : dict of str to ndarray
        The weights by name.
    """

    document: dict[str, Any]
    tensors: Tensors
    notes: tuple[str, ...] = ()
    tolerance: float = 1e-12
    score: Score | None = None
    unnamed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkHead:
    """What becomes of the sums of the last layer.

    Attributes
    ----------
    labels : sequence
        The names of the classes as the tool has them: two of a sigmoid, or one for each sum. Others are made up.
    is_raw : bool
        Whether the tool gives the sums themselves.
    """

    labels: Sequence[Any] = ()
    is_raw: bool = False


def network_document(stack: Stack, head: NetworkHead) -> dict[str, Any]:
    """Return the content of a model file; the names of tensors are those of :func:`tensors_of`."""
    document: dict[str, Any] = {
        "format": "logitstream-model",
        "version": 1,
        "kind": "network",
        "features": [_sequence(stack)] if stack.has_steps else _features(stack.columns, stack.first),
        "layers": [_layer(place, part) for place, part in enumerate(stack.parts)],
    }
    if stack.steps is not None:
        document["steps"] = stack.steps
    if stack.units == 1:
        document["head"] = "sigmoid"
        if len(head.labels) == 2:
            document["target"] = {"negative": head.labels[0], "positive": head.labels[1]}
    else:
        made_up = [f"class_{number}" for number in range(stack.units)]
        document |= {"head": "softmax", "classes": list(head.labels) if len(head.labels) == stack.units else made_up}
    return document | ({"output": {"columns": ["raw_prediction"]}} if head.is_raw else {})


def tensors_of(stack: Stack, dtype: type[np.float32 | np.float64]) -> Tensors:
    """Return the weights of a stack by their names, each rounded once to a type."""
    # What is too large for the type becomes infinite, which is refused with the weights.
    with np.errstate(over="ignore"):
        return {
            f"{place}.{name}": np.ascontiguousarray(values, dtype=dtype)
            for place, part in enumerate(stack.parts)
            for name, values in _weights(part).items()
        }


def _weights(part: StackedPart) -> dict[str, Floats]:
    """Return the weights of a layer by the members of a model file."""
    if isinstance(part, StackedPool):
        return {}
    if isinstance(part, StackedDense):
        said = {"weight": part.weight, "bias": part.bias}
    else:
        said = {name: getattr(part, name) for name in ("input_weight", "hidden_weight", "input_bias", "hidden_bias")}
    return {name: values for name, values in said.items() if values is not None}


def _sequence(stack: Stack) -> dict[str, Any]:
    (column,) = stack.columns
    first, width = stack.first, stack.width
    feature: dict[str, Any] = {"column": column, "kind": "sequence", "width": width}
    if first is None:
        return feature
    centers, scales = (0.0 - first.shift / first.scale).tolist(), (1 / first.scale).tolist()
    return feature | ({"center": centers, "scale": scales} if width > 1 else {"center": centers[0], "scale": scales[0]})


def _features(columns: Sequence[str], first: Straight | None) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = [{"column": name, "kind": "numeric"} for name in columns]
    if first is not None:
        for feature, scale, shift in zip(features, first.scale.tolist(), first.shift.tolist(), strict=True):
            feature |= {"center": 0.0 - shift / scale, "scale": 1 / scale}
    return features


def _layer(place: int, part: StackedPart) -> dict[str, Any]:
    named = {name: f"{place}.{name}" for name in _weights(part)}
    if isinstance(part, StackedPool):
        return {"kind": part.kind}
    if isinstance(part, StackedRecurrent):
        return {"kind": part.kind, **named} | ({"reset_after": part.reset_after} if part.kind == "gru" else {})
    layer: dict[str, Any] = {"kind": "dense", **named}
    if part.function is not None:
        layer["function"] = part.function
    return layer | ({"parameters": dict(part.parameters)} if part.parameters else {})
