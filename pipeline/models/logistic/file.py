"""The file of a logistic model, versions 1 and 2: what it may contain."""

from __future__ import annotations

import json
import math
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from pipeline.canonical import digest
from pipeline.choices import Link, listed
from pipeline.models import wording
from pipeline.models.logistic.feature import Use
from pipeline.models.logistic.features import AnyFeature, kind_of
from pipeline.models.logistic.late import LateSection
from pipeline.models.logistic.output import Output
from pipeline.models.logistic.sections import GrownSection, Name, Number, Section, fault, number_of

VERSIONS = (1, 2)
KIND = "logistic"
MOST_CLASSES = 1_000

Normalise = Literal["softmax", "one-vs-rest"]
# What a class is called, and what a decision for it is.
ClassName = bool | int | float | str

_INT64 = range(-(2**63), 2**63)


def _exact_version(version: object) -> object:
    # A literal type would accept true and 1.0 as 1.
    if type(version) is not int:
        raise fault("version", f"must be the number {listed(map(str, VERSIONS))}, not {wording.show(version)}", [])
    return version


class Target(GrownSection):
    """What the model predicts: the column, and the values of the two classes.

    A model with ``classes`` has the values there.
    """

    later: ClassVar[frozenset[str]] = frozenset({"negative", "positive"})

    column: Name | None = None
    negative: ClassName | None = None
    positive: ClassName | None = None

    @model_validator(mode="after")
    def _two_values_of_one_type(self) -> Target:
        if self.negative is None and self.positive is None:
            return self
        type_ = wording.json_type(self.negative)
        if type_ != wording.json_type(self.positive):
            message = f"must be {type_} as target.negative is, not {wording.show(self.positive)}"
        elif self.negative == self.positive:
            message = "must differ from target.negative"
        elif any(type(value) is int and value not in _INT64 for value in (self.negative, self.positive)):
            message = "whole numbers must fit into 64 bits"
        else:
            return self
        raise fault("target", message, ["positive"])


def distinct_classes(classes: tuple[ClassName, ...]) -> tuple[ClassName, ...]:
    """Return classes; raise if they are of several types, or one is there twice."""
    first: dict[tuple[str, object], int] = {}
    for position, value in enumerate(classes):
        if wording.json_type(value) != wording.json_type(classes[0]):
            raise fault("classes", f"must be {wording.json_type(classes[0])} as the first class is", [position])
        if first.setdefault((wording.json_type(value), value), position) != position:
            raise fault("classes", f"{wording.show(value)} is there twice", [position])
        if type(value) is int and value not in _INT64:
            raise fault("classes", "whole numbers must fit into 64 bits", [position])
    return classes


def _offset() -> type[Section]:
    from pipeline.models.logistic.offset import Offset  # noqa: PLC0415 - most models have none

    return Offset


if TYPE_CHECKING:
    from pipeline.models.logistic.offset import Offset as AnyOffset
else:
    AnyOffset = Annotated[Section, LateSection({"offset": _offset})]


class ModelFile(GrownSection):
    """The content of the file of a logistic model; equal to another with the same content.

    Immutable and picklable. It does no work itself: :class:`~pipeline.models.ScoreBlock` scores with it.
    """

    later: ClassVar[frozenset[str]] = frozenset({"classes", "normalise", "link", "offset"})

    format: Literal["logitstream-model"]
    version: Annotated[Literal[1, 2], BeforeValidator(_exact_version)]
    kind: Literal["logistic"]
    link: Link = "logit"
    classes: (
        Annotated[
            tuple[ClassName, ...],
            Strict(strict=False),
            Field(min_length=2, max_length=MOST_CLASSES),
            AfterValidator(distinct_classes),
        ]
        | None
    ) = None
    normalise: Normalise = "softmax"
    target: Target | None = None
    intercept: Number
    offset: AnyOffset | None = None
    features: Annotated[tuple[AnyFeature, ...], Strict(strict=False), Field(min_length=1)]
    output: Output = Output()
    training: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _bases_are_finite(self) -> ModelFile:
        try:
            is_finite = all(map(math.isfinite, self.bases))
        except IndexError:
            # Lists of other lengths than there are classes are faults of the document, which has more to say of them.
            return self
        if not is_finite:
            message = "intercept minus the sum of coefficient * center / scale is beyond float64"
            raise fault("base", message, ["intercept"])
        return self

    @model_validator(mode="after")
    def _references_are_finite(self) -> ModelFile:
        reasons = self.output.reasons
        if reasons is None or self.classes is not None:
            return self
        from pipeline.models.logistic.references import not_finite  # noqa: PLC0415 - most models have no reasons

        for found in not_finite(reasons, self.features):
            raise fault("reference", found.message, ["output", "reasons", *found.path])
        return self

    @property
    def outputs(self) -> int:
        """How many raw predictions a row has: one for each class, one without classes."""
        return 1 if self.classes is None else len(self.classes)

    @cached_property
    def bases(self) -> tuple[float, ...]:
        """The raw predictions if every column is 0: intercept and constants, added exactly and rounded once."""
        return tuple(map(self._base, range(self.outputs)))

    @property
    def base(self) -> float:
        """The raw prediction if every column is 0; of the first class where there are classes."""
        return self.bases[0]

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The names of what adds to the raw prediction: the offset, then the features, in their order."""
        of_offset = () if self.offset is None else (self.offset.label,)
        return (*of_offset, *(feature.label for feature in self.features))

    @property
    def adding(self) -> tuple[AnyFeature, ...]:
        """The features, each of which adds a term to the raw prediction."""
        return self.features

    @cached_property
    def largest(self) -> float:
        """What the raw prediction of a binary model cannot exceed if each feature adds one of its coefficients."""
        most = abs(self.base)
        for feature in self.features:
            _, entries = kind_of(feature).describe(feature)
            most += max(abs(number_of(entry.coefficient, 0)) for entry in entries)
        return most

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """What the offset and the features want of their columns, in the order of the file."""
        of_offset = () if self.offset is None else (self.offset.use,)
        return (*of_offset, *(use for feature in self.features for use in kind_of(feature).uses(feature)))

    def _base(self, output: int) -> float:
        constants = [constant for feature in self.features for constant in feature.constants(output)]
        if not all(map(math.isfinite, constants)):
            return math.nan
        try:
            return math.fsum([number_of(self.intercept, output), *constants])
        except OverflowError:
            return math.inf

    def to_json(self) -> str:
        """Return the text of the file, without defaults; floats are read back bit for bit."""
        return json.dumps(self.model_dump(exclude_defaults=True), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the content of the file, however it is laid out."""
        return digest(self.model_dump())
