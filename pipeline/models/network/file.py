"""The file of a network, version 1: what it may contain besides the weights, which lie beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Strict, Tag, model_validator
from pydantic_core import PydanticCustomError

from pipeline.canonical import digest
from pipeline.choices import Link
from pipeline.models import wording
from pipeline.models.logistic.feature import Use
from pipeline.models.logistic.file import MOST_CLASSES, ClassName, Normalise, Target, distinct_classes
from pipeline.models.logistic.output import Output
from pipeline.models.logistic.sections import GrownSection, Name, Section, fault
from pipeline.models.network.inputs import AddedColumn, AnyInput, PlainInput
from pipeline.models.network.recurrent import (
    POOLING,
    RECURRENT,
    GruSection,
    LstmSection,
    Pooling,
    PoolingSection,
    RecurrentSection,
)
from pipeline.models.network.sequences import Count, SequenceInput
from pipeline.models.wording import tag
from pipeline.registry import FUNCTIONS, function_named
from pipeline.units import nearest

KIND = "network"
VERSIONS = (1,)

Head = Literal["sigmoid", "softmax"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def _exact_version(version: object) -> object:
    # A literal type would accept true and 1.0 as 1.
    if type(version) is not int:
        raise fault("version", f"must be the number 1, not {wording.show(version)}", [])
    return version


def _beside(path: str) -> str:
    if not path or "\0" in path or path.startswith("/") or ".." in path.split("/"):
        message = "must be a path below the folder of the model file, such as model.safetensors"
        raise PydanticCustomError("beside", message)
    return path


def _hexadecimal(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise PydanticCustomError("sha256", "must be a SHA-256: 64 digits of 0-9 and a-f")
    return text


class WeightsFile(Section):
    """The safetensors file with the weights, by its path from the folder of the model file, and its SHA-256."""

    file: Annotated[str, AfterValidator(_beside)]
    sha256: Annotated[str, AfterValidator(_hexadecimal)]

    def named(self, path: str) -> WeightsFile:
        """Return the same weights under the last name of a path."""
        return WeightsFile(file=path.rpartition("/")[2], sha256=self.sha256)


class DenseSection(Section):
    """``function(weight x + bias)``, where x are the outputs of the layer before; tensors by their names.

    ``weight`` has shape (units, inputs), ``bias`` (units,), as in PyTorch's ``Linear``. Without a function the sums are
    the outputs.
    """

    kind: Literal["dense"]
    weight: Name
    bias: Name | None = None
    function: str | None = None
    parameters: dict[str, float] = Field(default_factory=dict)

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors that it has."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    @model_validator(mode="after")
    def _function_is_known(self) -> DenseSection:
        if self.function is None:
            if self.parameters:
                raise fault("parameters", "are for a layer with a function", ["parameters"])
            return self
        if self.function not in FUNCTIONS:
            message = f"unknown function {wording.show(self.function)}{nearest(self.function, FUNCTIONS)}"
            raise fault("function", message, ["function"])
        try:
            function_named(self.function).arguments(self.parameters)
        except (TypeError, ValueError) as error:
            raise fault("parameters", str(error), ["parameters"]) from None
        return self


class DropoutSection(Section):
    """A layer that drops values while a network learns; nothing is dropped when it scores."""

    kind: Literal["dropout"]
    rate: Annotated[float, Field(ge=0, le=1)] | None = None


def _kind(value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return tag(kind) if isinstance(kind, str) else None


LAYERS: Mapping[str, type[Section]] = {
    "dense": DenseSection,
    "dropout": DropoutSection,
    **RECURRENT,
    **dict.fromkeys(POOLING, PoolingSection),
}
AnyLayer = Annotated[
    Annotated[DenseSection, Tag(tag("dense"))]
    | Annotated[DropoutSection, Tag(tag("dropout"))]
    | Annotated[LstmSection, Tag(tag("lstm"))]
    | Annotated[GruSection, Tag(tag("gru"))]
    | Annotated[PoolingSection, Tag(tag("last"))]
    | Annotated[PoolingSection, Tag(tag("mean"))]
    | Annotated[PoolingSection, Tag(tag("max"))],
    Discriminator(_kind),
]


class NetworkFile(GrownSection):
    """The content of the file of a network; equal to another with the same content. Immutable and picklable.

    ``steps`` is the most steps of a row that a network of sequences takes.
    """

    later: ClassVar[frozenset[str]] = frozenset({"steps", "offset"})

    format: Literal["logitstream-model"]
    version: Annotated[Literal[1], BeforeValidator(_exact_version)]
    kind: Literal["network"]
    weights: WeightsFile
    features: Annotated[tuple[AnyInput, ...], Strict(strict=False), Field(min_length=1)]
    layers: Annotated[tuple[AnyLayer, ...], Strict(strict=False), Field(min_length=1)]
    steps: Count | None = None
    offset: AddedColumn | None = None
    head: Head
    classes: (
        Annotated[
            tuple[ClassName, ...],
            Strict(strict=False),
            Field(min_length=2, max_length=MOST_CLASSES),
            AfterValidator(distinct_classes),
        ]
        | None
    ) = None
    target: Target | None = None
    output: Output = Output()
    training: dict[str, Any] | None = None

    @property
    def outputs(self) -> int:
        """How many raw predictions a row has: one for each class, one without classes."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def inputs(self) -> int:
        """How many numbers the first layer gets of a row, or of a step of it."""
        return sum(feature.width for feature in self.features)

    @property
    def dense(self) -> tuple[tuple[int, DenseSection], ...]:
        """The layers that compute, each with its place in the file."""
        return tuple((place, layer) for place, layer in enumerate(self.layers) if isinstance(layer, DenseSection))

    @property
    def recurrent(self) -> tuple[tuple[int, RecurrentSection], ...]:
        """The layers that take one step after the other, each with its place in the file; empty without sequences."""
        return tuple((place, layer) for place, layer in enumerate(self.layers) if isinstance(layer, RecurrentSection))

    @property
    def weighted(self) -> tuple[tuple[int, DenseSection | RecurrentSection], ...]:
        """The layers with weights, in their order, each with its place in the file."""
        return (*self.recurrent, *self.dense)

    @property
    def pooling(self) -> Pooling | None:
        """What makes one row of the steps of a row; ``None`` without sequences."""
        return next((layer.kind for layer in self.layers if isinstance(layer, PoolingSection)), None)

    @property
    def sequences(self) -> tuple[SequenceInput, ...]:
        """The features, where they are sequences; else none."""
        return tuple(feature for feature in self.features if isinstance(feature, SequenceInput))

    @property
    def plain(self) -> tuple[PlainInput, ...]:
        """The features, where they are no sequences; else none."""
        return tuple(feature for feature in self.features if not isinstance(feature, SequenceInput))

    @property
    def uses(self) -> tuple[Use, ...]:
        """What the features, and then the offset, want of their columns, in the order of the file."""
        of_offset = () if self.offset is None else (self.offset.number.use,)
        return (*(feature.use for feature in self.features), *of_offset)

    @property
    def link(self) -> Link:
        """The probability of a network of two classes is the sigmoid of its raw prediction."""
        return "logit"

    @property
    def normalise(self) -> Normalise:
        """The probabilities of a network with classes are the softmax of its raw predictions."""
        return "softmax"

    @property
    def adding(self) -> tuple[()]:
        """No features: the raw prediction is no sum of terms."""
        return ()

    @property
    def terms(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def base(self) -> float:
        """Nothing is added to it."""
        return 0.0

    @property
    def largest(self) -> float:
        """Unknown, which counts as infinite."""
        return float("inf")

    def __hash__(self) -> int:
        return hash(self.digest())

    def identity(self) -> dict[str, Any]:
        """Return what the file says, but the path of the weights: their SHA-256 tells which they are."""
        said = self.model_dump(mode="json")
        return {**said, "weights": {"sha256": self.weights.sha256}}

    def to_json(self) -> str:
        """Return the text of the file, without defaults; floats are read back bit for bit."""
        return json.dumps(self.model_dump(exclude_defaults=True), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @cached_property
    def _digest(self) -> str:
        return digest(self.identity())

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of what the file says, weights included, however it is laid out."""
        return self._digest
