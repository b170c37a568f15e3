"""From the bytes of a file to a logistic model, or to a list of everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.errors import ModelError
from pipeline.models import wording
from pipeline.models.document import Document, Problem, read
from pipeline.models.judging import FileForm
from pipeline.models.logistic.faults import faults
from pipeline.models.logistic.file import KIND, VERSIONS, ModelFile
from pipeline.models.store import refuse_foreign
from pipeline.units import escape

_OTHER_KINDS = ("network",)


def parse(data: bytes, name: str = "model") -> ModelFile:
    """Return the model in the bytes of a file.

    Only text is read: a pickle is refused without opening it. Any bytes give a model or a ``ModelError``.

    Parameters
    ----------
    data : bytes
        The whole file: JSON in UTF-8, at most 256 MiB.
    name : str
        The name for messages: the path.

    Raises
    ------
    ModelError
        Everything that is wrong (the first 100 problems), each with its path, line and column.
    """
    refuse_foreign(data, name)
    document = read(data)
    if document.member("kind") in _OTHER_KINDS:
        raise ModelError(
            f"{escape(name)} is a {document.member('kind')}, and this is for logistic models alone",
            "load it with logitstream.NetworkModel.load(PATH), or score files: logitstream score INPUT --model MODEL",
        )
    found = judge(document)
    if isinstance(found, ModelFile):
        return found
    raise wording.model_error(name, found)


def from_mapping(value: Mapping[str, object], name: str = "model") -> ModelFile:
    """Return the model in a mapping, as if it were in a file as JSON; raises what :func:`parse` raises."""
    try:
        data = json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{escape(name)} cannot be written as JSON: {escape(str(error))}") from error
    found = examine(data)
    if isinstance(found, ModelFile):
        return found
    raise wording.model_error(name, [replace(problem, line=0, column=0) for problem in found])


def examine(data: bytes) -> ModelFile | list[Problem]:
    """Return the model, or what is wrong with it, in the order of the text."""
    return judge(read(data))


def judge(document: Document, kinds: Sequence[str] = (KIND,)) -> ModelFile | list[Problem]:
    """Return the model in a document, or what is wrong with it, in the order of the text.

    ``kinds`` are all kinds of models, for the message about a document that names another one.
    """
    return _FORM.judge(document, kinds)


def _vocabulary() -> wording.Vocabulary:
    from pipeline.models.logistic.contents import vocabulary  # noqa: PLC0415 - loads all that a file may have

    return vocabulary()


_FORM = FileForm(ModelFile, KIND, VERSIONS, frozenset({"intercept", "features"}), faults, _vocabulary)
