"""The table of the kinds of models: ``kind`` in a model file selects the entry that knows everything else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from pipeline.choices import Precision
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError
from pipeline.models.document import Document, Problem, read
from pipeline.models.logistic import score
from pipeline.models.logistic.file import KIND, VERSIONS
from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.parsing import judge
from pipeline.models.request import ScoreRequest
from pipeline.models.store import read_file, refuse_foreign
from pipeline.models.tables import LateTable
from pipeline.models.wording import model_error
from pipeline.types.blocks import BlockFunction
from pipeline.types.report import Scorecard, ShownModel


class Model(Protocol):
    """A model of any kind: immutable, picklable, and equal to a model with the same content."""

    @property
    def kind(self) -> str:
        """The name of its kind."""
        ...

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of what the model says."""
        ...


class DescribedBlock(BlockFunction, Protocol):
    """A block function that can be made again from its description."""

    @property
    def precision(self) -> Precision:
        """The precision of its functions."""
        ...


M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class ModelKind(Generic[M]):
    """A kind of models.

    Attributes
    ----------
    name : str
        What a model file calls it.
    parse : callable
        Returns the model in a document, or everything that is wrong with it. The names of all kinds are for the message
        about a document that names none of them; the path of the file leads to what is beside it.
    block : callable
        Returns the block function that scores with a model as a caller asks.
    restore : callable
        Returns the block function described by a result of ``describe()``; the paths of files beside the model, by
        their SHA-256, lead to what is not in the description.
    show : callable
        Returns what ``logitstream model show`` prints.
    scratch_row_bytes : callable
        Returns the bytes that scoring a row takes in addition to its cells and its results.
    describe : callable
        Returns a model as plain values, ready for JSON.
    version : int
        The newest version of its files; a file of an older one says the same if only its version is made this.
    scorecard : callable
        Returns the points of each attribute, from a model and what messages call it.
    """

    name: str
    parse: Callable[[Document, Sequence[str], str], M | list[Problem]]
    block: Callable[[M, ScoreRequest], DescribedBlock]
    restore: Callable[[Mapping[str, object], Mapping[str, str]], DescribedBlock]
    show: Callable[[M], ShownModel]
    scratch_row_bytes: Callable[[M], int]
    describe: Callable[[M], Mapping[str, object]]
    version: int
    scorecard: Callable[[M, str], Scorecard]


def _logistic(document: Document, kinds: Sequence[str], _: str) -> LogisticModel | list[Problem]:
    found = judge(document, kinds)
    return found if isinstance(found, list) else LogisticModel(found)


def _show(model: LogisticModel) -> ShownModel:
    from pipeline.models.logistic.show import show  # noqa: PLC0415 - scoring needs none of these

    return show(model.file)


def _describe(model: LogisticModel) -> Mapping[str, object]:
    from pipeline.models.logistic.described import described  # noqa: PLC0415 - as above

    return described(model.file)


def _scorecard(model: LogisticModel, name: str) -> Scorecard:
    from pipeline.models.logistic.scorecard import scorecard  # noqa: PLC0415 - as above

    return scorecard(model.file, name)


LOGISTIC: ModelKind[LogisticModel] = ModelKind(
    name=KIND,
    parse=_logistic,
    block=lambda model, request: score.ScoreBlock.of(model.file, request),
    restore=lambda description, _: score.restore_score(description),
    show=_show,
    scratch_row_bytes=lambda model: score.scratch_row_bytes(model.file),
    describe=_describe,
    version=VERSIONS[-1],
    scorecard=_scorecard,
)


def _network() -> ModelKind[Any]:
    from pipeline.models.network.kind import NETWORK  # noqa: PLC0415 - most models are none

    return NETWORK


# A file that names no known kind is checked as one of the first.
KINDS: Mapping[str, ModelKind[Any]] = LateTable({LOGISTIC.name: lambda: LOGISTIC, "network": _network})


def kind_of(model: Model) -> ModelKind[Any]:
    """Return the entry of a model's kind."""
    return KINDS[model.kind]


def load_model(path: str | os.PathLike[str]) -> Model:
    """Return the model in a file.

    Raises
    ------
    ModelError
        The file is not a valid model; the message lists everything that is wrong, with its place. A pickle is refused
        without opening it.
    InputMissingError, PermissionDeniedError, StorageError
        The file cannot be read.
    """
    name = os.fspath(path)
    try:
        return parse_model(read_file(path), name)
    except LogitstreamError as error:
        error.at(name)
        raise


def parse_model(data: bytes, name: str = "model") -> Model:
    """Return the model in the bytes of a file; raises what :func:`load_model` raises."""
    found = examine_model(data, name)
    if isinstance(found, list):
        raise model_error(name, found)
    return found


def examine_model(data: bytes, name: str = "model") -> Model | list[Problem]:
    """Return the model in the bytes of a file, or everything that is wrong with it, in the order of the text.

    Raises
    ------
    ModelError
        The file is in a known format of another kind.
    """
    refuse_foreign(data, name)
    document = read(data)
    named = document.member("kind")
    known = KINDS.get(named) if isinstance(named, str) else None
    kind = next(iter(KINDS.values())) if known is None else known
    found: Model | list[Problem] = kind.parse(document, tuple(KINDS), name)
    return found


def score_block(model: Model, request: ScoreRequest) -> DescribedBlock:
    """Return the block function that scores with a model as a caller asks."""
    return kind_of(model).block(model, request)


def scorecard_model(model: Model, name: str = "model") -> Scorecard:
    """Return the points of each attribute of a model; raise a :class:`ModelError` if it states no scale of points."""
    return kind_of(model).scorecard(model, name)


def restore_model(description: Mapping[str, Any], beside: Mapping[str, str]) -> DescribedBlock:
    """Return the block function of a model from what its ``describe()`` returned, and the paths of files beside it."""
    return KINDS[description["model"]["kind"]].restore(description, beside)


def describe_model(model: Model) -> Mapping[str, object]:
    """Return a model as plain values, ready for JSON."""
    return kind_of(model).describe(model)


def show_model(model: Model) -> ShownModel:
    """Return what ``logitstream model show`` prints of a model."""
    return kind_of(model).show(model)
