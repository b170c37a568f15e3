"""From the bytes of a file to a logistic model, or to a list of everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from pydantic import ValidationError as PydanticError

from pipeline.errors import ModelError
from pipeline.models import wording
from pipeline.models.document import Document, Path, Problem, locate, read
from pipeline.models.logistic.faults import faults
from pipeline.models.logistic.file import FORMAT, KIND, VERSIONS, ModelFile
from pipeline.models.store import refuse_foreign
from pipeline.units import escape


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
    found = examine(data)
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
    if not document.is_readable:
        return list(document.faults)
    found = _validate(document.value, kinds)
    if isinstance(found, ModelFile):
        return locate(document.text, document.faults) if document.faults else found
    known = {problem.path for problem in document.faults}
    problems = [*document.faults, *(problem for problem in found if problem.path not in known)]
    return locate(document.text, problems)


def _validate(value: object, kinds: Sequence[str]) -> ModelFile | list[Problem]:
    foreign = list(_foreign(value))
    if foreign and not _resembles_a_model(value):
        return foreign
    document = cast("Mapping[str, object]", value)
    # pydantic reports parts that do not fit together only if each part is valid, and only the first.
    ours = list(_first_of_each_place([*foreign, *_head(document, kinds), *faults(document)]))
    try:
        model = ModelFile.model_validate(value)
    except PydanticError as error:
        known = {problem.path for problem in ours}
        from pipeline.models.logistic.contents import vocabulary  # noqa: PLC0415 - loads all that a file may have

        theirs = wording.problems(error, value, vocabulary())
        return [*ours, *(problem for problem in theirs if problem.path not in known)]
    return ours or model


def _foreign(value: object) -> Iterator[Problem]:
    """Yield the signs that this is another kind of file, or of another version."""
    if not isinstance(value, Mapping):
        yield Problem((), f"a model file is a JSON object, not {wording.json_type(value)}")
    elif value.get("format") != FORMAT:
        found = f"not {wording.show(value['format'])}" if "format" in value else "but it is missing"
        yield Problem(("format",), f'must be "{FORMAT}", {found}')
    elif type(version := value.get("version")) is int and version not in VERSIONS:
        read = " and ".join(map(str, VERSIONS))
        yield Problem(("version",), f"is {escape(str(version), 20)}; this release reads versions {read}")


def _resembles_a_model(value: object) -> bool:
    """Return whether it helps to list all that is wrong with a value as a model of this version."""
    if not isinstance(value, Mapping) or not value.keys() & {"intercept", "features"}:
        return False
    return type(version := value.get("version")) is not int or version in VERSIONS


def _first_of_each_place(found: Sequence[Problem]) -> Iterator[Problem]:
    seen: set[Path] = set()
    for problem in found:
        if problem.path not in seen:
            seen.add(problem.path)
            yield problem


def _head(value: Mapping[str, object], kinds: Sequence[str]) -> Iterator[Problem]:
    if "version" not in value:
        yield Problem(("version",), f'is required but missing: write "version": {VERSIONS[-1]}')
    if "kind" not in value:
        yield Problem(("kind",), f'is required but missing: write "kind": "{KIND}"')
    elif value["kind"] != KIND:
        yield Problem(("kind",), f"must be {wording.quoted_words(kinds)}, not {wording.show(value['kind'])}")
