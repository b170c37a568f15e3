"""From a document to a network, or to a list of everything that is wrong with it and with its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pipeline.errors import ModelError
from pipeline.models import wording
from pipeline.models.document import Document, Problem, locate
from pipeline.models.judging import FileForm
from pipeline.models.network.faults import faults
from pipeline.models.network.file import KIND, VERSIONS, NetworkFile
from pipeline.models.network.model import NetworkModel
from pipeline.models.network.shapes import unfit_weights
from pipeline.models.network.weights import parse_weights, read_weights


def judge(document: Document, kinds: Sequence[str], name: str) -> NetworkModel | list[Problem]:
    """Return the network in a document, or what is wrong with it, in the order of the text.

    Parameters
    ----------
    document : Document
    kinds : sequence of str
        All kinds of models, for the message about a document that names another one.
    name : str
        The path of the model file: the weights are found from its folder.

    Raises
    ------
    InputMissingError, PermissionDeniedError, StorageError
        The weights cannot be read.
    ConfigurationError
        safetensors is not installed.
    """
    found = _FORM.judge(document, kinds)
    if isinstance(found, list):
        return found
    path = os.path.abspath(os.path.join(os.path.dirname(name), found.weights.file))  # noqa: PTH100, PTH118, PTH120
    try:
        weights = read_weights(path, found.weights.sha256)
    except ModelError as error:
        return locate(document.text, [Problem(("weights", "file"), f"{error.message}; {error.remedy}")])
    problems = list(unfit_weights(found, weights))
    return locate(document.text, problems) if problems else NetworkModel(found, path)


def judge_content(document: Document, content: bytes) -> NetworkFile | list[Problem]:
    """Return the file of a network whose weights have these bytes, or what is wrong with it; see :func:`judge`."""
    found = _FORM.judge(document, (KIND,))
    if isinstance(found, list):
        return found
    problems = list(unfit_weights(found, parse_weights(content, "the weights")))
    return problems or found


def _vocabulary() -> wording.Vocabulary:
    from pipeline.models.network.contents import vocabulary  # noqa: PLC0415 - loads all that a file may have

    return vocabulary()


_FORM = FileForm(NetworkFile, KIND, VERSIONS, frozenset({"layers", "features", "weights"}), faults, _vocabulary)
