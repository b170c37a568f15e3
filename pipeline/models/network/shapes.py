"""What does not fit together in the file of a network and its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.models.document import Problem
from pipeline.models.network.file import DenseSection, NetworkFile
from pipeline.models.network.recurrent import RecurrentSection
from pipeline.models.network.weights import Tensor, Weights
from pipeline.units import escape, format_count, nearest

if TYPE_CHECKING:
    from pipeline.models.document import Path

# The axes of a tensor, by the member of a layer that names it.
_FORMS: Mapping[str, tuple[str, ...]] = {
    "weight": ("units", "inputs"),
    "bias": ("units",),
    "input_weight": ("gates * units", "inputs"),
    "hidden_weight": ("gates * units", "units"),
    "input_bias": ("gates * units",),
    "hidden_bias": ("gates * units",),
}


def unfit_weights(file: NetworkFile, weights: Weights) -> Iterator[Problem]:
    """Yield what does not fit together in a file and its weights, each with its place in the file."""
    tensors = weights.tensors
    named = {name for _, layer in file.weighted for name in layer.tensors}
    if problems := list(_unfit_tensors(file, weights)):
        yield from problems
        return
    if unused := sorted(tensors.keys() - named):
        more = f" (and {format_count(len(unused) - 1)} more)" if len(unused) > 1 else ""
        message = f"no layer uses the tensor {_quoted(unused[0])}{more}: name it in one, or leave it out of the file"
        yield Problem(("weights", "file"), message)
    yield from _unfit_layers(file, weights)


def _unfit_tensors(file: NetworkFile, weights: Weights) -> Iterator[Problem]:
    """Yield the tensors that are not there, or whose numbers cannot be used."""
    first: tuple[str, str] | None = None
    for place, layer in file.weighted:
        for member, name in _members(layer):
            path = ("layers", place, member)
            tensor = weights.tensors.get(name)
            if tensor is None:
                near = nearest(name, weights.tensors)
                yield Problem(path, f"there is no tensor {_quoted(name)} in the weights{near}")
                continue
            first = first or (name, tensor.dtype)
            yield from _unfit_numbers(path, name, tensor, first)


def _members(layer: DenseSection | RecurrentSection) -> Iterator[tuple[str, str]]:
    """Yield the members of a layer that name a tensor, with its name."""
    named = ((member, getattr(layer, member)) for member in type(layer).model_fields if member in _FORMS)
    return ((member, name) for member, name in named if name is not None)


def _unfit_numbers(path: Path, name: str, tensor: Tensor, first: tuple[str, str]) -> Iterator[Problem]:
    shown, values = _quoted(name), tensor.values
    form = _FORMS[str(path[-1])]
    if values is None:
        yield Problem(path, f"tensor {shown} is {tensor.dtype}; weights are float32 (F32) or float64 (F64)")
    elif tensor.dtype != first[1]:
        yield Problem(path, f"tensor {shown} is {tensor.dtype}, but {_quoted(first[0])} is {first[1]}: use one type")
    elif values.ndim != len(form) or not values.size:
        yield Problem(path, f"tensor {shown} has shape {_shape(values.shape)}; it must have {_shape(form)}")
    elif not np.isfinite(values).all():
        count = int(values.size - np.count_nonzero(np.isfinite(values)))
        verb = "is" if count == 1 else "are"
        yield Problem(path, f"{format_count(count)} of the numbers {verb} NaN or infinite in tensor {shown}")


def _unfit_layers(file: NetworkFile, weights: Weights) -> Iterator[Problem]:
    """Yield the layers that do not take what the one before gives, and a last one that does not fit the head."""
    width, of = file.inputs, f"the features make {format_count(file.inputs)}"
    for place, layer in file.weighted:
        units, problems = _units(place, layer, weights, width, of)
        yield from problems
        width, of = units, f"layers[{place}] gives {format_count(units)}"
    if width != file.outputs:
        place, last = file.dense[-1]
        wants = f"the head {file.head} needs {format_count(file.outputs)}"
        message = f"tensor {_quoted(last.weight)} has {_many(width, 'unit')}, but {wants}"
        yield Problem(("layers", place, "weight"), message)


def _units(
    place: int, layer: DenseSection | RecurrentSection, weights: Weights, width: int, of: str
) -> tuple[int, list[Problem]]:
    """Return the units of a layer and the tensors of it that do not fit; it gets ``width`` inputs, as ``of`` says."""
    (member, first), *others = _members(layer)
    rows, inputs = weights.tensors[first].shape
    gates = layer.gates if isinstance(layer, RecurrentSection) else 1
    units, found = max(1, rows // gates), []
    if rows % gates:
        message = f"tensor {_quoted(first)} has {_many(rows, 'row')}, but the {gates} gates have as many rows each"
        return units, [Problem(("layers", place, member), message)]
    if inputs != width:
        message = f"tensor {_quoted(first)} takes {_many(inputs, 'input')}, but {of}"
        found.append(Problem(("layers", place, member), message))
    for other, name in others:
        shape, fitting = weights.tensors[name].shape, (rows, units)[: len(_FORMS[other])]
        if shape != fitting:
            of_gates = f" and {gates} gates, which make {_shape(fitting)}" if gates > 1 else ""
            message = (
                f"tensor {_quoted(name)} has shape {_shape(shape)}, but the layer has {_many(units, 'unit')}{of_gates}"
            )
            found.append(Problem(("layers", place, other), message))
    return units, found


def _many(count: int, what: str) -> str:
    return f"{format_count(count)} {what}{'' if count == 1 else 's'}"


def _shape(shape: Sequence[object]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _quoted(name: str) -> str:
    return f'"{escape(name)}"'
