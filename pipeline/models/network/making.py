"""From a safetensors file and a description of its layers to the file of a network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt

from pipeline.canonical import sha256
from pipeline.errors import UsageError
from pipeline.models.document import Problem, locate, read
from pipeline.models.judging import FORMAT
from pipeline.models.kinds import examine_model
from pipeline.models.network.file import KIND, VERSIONS
from pipeline.models.network.model import NetworkModel
from pipeline.models.network.parsing import judge_content
from pipeline.models.network.weights import weights_content, weights_file
from pipeline.models.store import read_file
from pipeline.models.wording import json_type, model_error, show
from pipeline.units import escape

_HEAD = {"format": FORMAT, "version": VERSIONS[-1], "kind": KIND}
_UNSAVED = "model.safetensors"


def network_in_memory(said: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]], name: str) -> NetworkModel:
    """Return a network that is in no file.

    Parameters
    ----------
    said : mapping
        What its model file says besides ``format``, ``version``, ``kind`` and ``weights``.
    tensors : mapping of str to ndarray
        The weights, all float32 or all float64.
    name : str
        What messages call it.

    Raises
    ------
    ModelError
        The content is not valid, or the tensors do not fit it.
    ConfigurationError
        safetensors is not installed.
    """
    held = weights_file(tensors)
    document = {**_HEAD, "weights": {"file": _UNSAVED, "sha256": sha256(held)}, **said}
    found = judge_content(read(json.dumps(document).encode()), held)
    if isinstance(found, list):
        raise model_error(name, [replace(each, line=0, column=0) for each in found])
    return NetworkModel(found, "", held)


def network_of_state(weights: str, layers: str, output: str) -> tuple[NetworkModel, bytes]:
    """Return the network that some weights and a description are, and the bytes of its model file.

    Parameters
    ----------
    weights : str
        The path of a safetensors file, such as the state of a PyTorch module.
    layers : str
        The path of a JSON file with what a model file says besides ``weights``: ``features``, ``layers``, ``head``.
        It may leave out ``format``, ``version`` and ``kind``.
    output : str
        The path that the model file is meant for: it names the weights from its folder.

    Raises
    ------
    ModelError
        The description is not valid, or the weights do not fit it; the message has every place in the description.
    UsageError
        The weights are not in the folder of the output, nor below it.
    InputMissingError, PermissionDeniedError, StorageError
        A file cannot be read.
    ConfigurationError
        safetensors is not installed.
    """
    described = read(read_file(layers))
    if not described.is_readable or described.faults:
        raise model_error(layers, list(described.faults))
    if not isinstance(described.value, dict):
        problem = Problem((), f"a description of layers is a JSON object, not {json_type(described.value)}")
        raise model_error(layers, [problem])
    if (kind := described.value.get("kind", KIND)) != KIND:
        problem = Problem(("kind",), f'must be "{KIND}", not {show(kind)}')
        raise model_error(layers, locate(described.text, [problem]))
    digest = sha256(weights_content(weights))
    record = {"from": "safetensors", "file": Path(weights).name, "sha256": digest}
    document: dict[str, Any] = {
        **_HEAD,
        **described.value,
        "weights": {"file": _below(weights, output), "sha256": digest},
        "training": {"imported": record},
    }
    data = (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    found = examine_model(data, output)
    if isinstance(found, NetworkModel):
        return found, data
    problems = cast("list[Problem]", found)
    raise model_error(layers, locate(described.text, [replace(each, line=0, column=0) for each in problems]))


def recorded(model: NetworkModel, data: bytes, found: Mapping[str, Any]) -> tuple[NetworkModel, bytes]:
    """Return a network with more in ``training.imported``, and the bytes of its model file with the same."""
    training = dict(model.file.training or {})
    training["imported"] = {**training.get("imported", {}), **found}
    document = {**json.loads(data), "training": training}
    content = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return model.with_training(training), content.encode()


def _below(weights: str, output: str) -> str:
    """Return the path of the weights from the folder of the output."""
    folder = os.path.realpath(Path(output).absolute().parent)
    path = os.path.relpath(os.path.realpath(weights), folder)
    if path.startswith(".."):
        raise UsageError(
            f"{escape(weights)} is not in the folder of {escape(output)}: a model file names its weights from there",
            "move the weights beside the output, or write the output beside the weights",
        )
    return path
