"""The file of a logistic model, version 1: what it may contain."""

from __future__ import annotations

import json
import math
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.canonical import digest
from pipeline.models import wording
from pipeline.models.logistic.features import FEATURE_KINDS, AnyFeature
from pipeline.models.logistic.sections import Name, Section
from pipeline.registry import FUNCTIONS

FORMAT = "logitstream-model"
VERSION = 1
KIND = "logistic"

Column = Literal["probability", "raw_prediction", "decision"]

_SIGMOID_DEFAULTS = {name: FUNCTIONS["sigmoid"].defaults[name] for name in ("temperature", "alpha", "beta")}
_INT64 = range(-(2**63), 2**63)


def _not_zero_alpha(alpha: float) -> float:
    if alpha == 0:
        raise PydanticCustomError("zero_alpha", "must not be 0: every row would have the same probability")
    return alpha


def _exact_version(version: object) -> object:
    # A literal type would accept true and 1.0 as 1.
    if type(version) is not int:
        found = wording.show(version)
        raise PydanticCustomError("version", f"must be the number {VERSION}, not {{found}}", {"found": found})
    return version


class Target(Section):
    """What the model predicts: the column, and the values of the two classes."""

    column: Name | None = None
    negative: bool | int | float | str
    positive: bool | int | float | str

    @model_validator(mode="after")
    def _two_values_of_one_type(self) -> Target:
        type_ = wording.json_type(self.negative)
        if type_ != wording.json_type(self.positive):
            message = f"must be {type_} as target.negative is, not {wording.show(self.positive)}"
        elif self.negative == self.positive:
            message = "must differ from target.negative"
        elif any(type(value) is int and value not in _INT64 for value in (self.negative, self.positive)):
            message = "whole numbers must fit into 64 bits"
        else:
            return self
        raise PydanticCustomError("target", "{message}", {"message": message, "at": ["positive"]})


class Output(Section):
    """The columns that scoring makes by default, and how the raw prediction becomes the probability.

    It is the sigmoid of ``(alpha * raw_prediction + beta) / temperature``.
    """

    columns: Annotated[tuple[Column, ...], Strict(strict=False), Field(min_length=1)] | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    temperature: Annotated[float, Field(gt=0)] = 1.0
    alpha: Annotated[float, AfterValidator(_not_zero_alpha)] = 1.0
    beta: float = 0.0

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the sigmoid."""
        return {name: getattr(self, name) for name in _SIGMOID_DEFAULTS}

    @property
    def changed(self) -> dict[str, float]:
        """The parameters that differ from their defaults."""
        return {name: value for name, value in self.parameters.items() if value != _SIGMOID_DEFAULTS[name]}

    @model_serializer(mode="wrap")
    def _without_unused_parameters(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A model without parameters keeps the digest that it had before parameters existed.
        said = handler(self)
        return {key: value for key, value in said.items() if key not in _SIGMOID_DEFAULTS or key in self.changed}

    @model_validator(mode="after")
    def _columns_can_be_made(self) -> Output:
        columns = self.columns or ()
        if len(set(columns)) < len(columns):
            message = "a column is listed twice"
        elif "decision" in columns and self.threshold is None:
            message = "a decision needs a threshold: add output.threshold"
        else:
            return self
        raise PydanticCustomError("output", "{message}", {"message": message, "at": ["columns"]})


class ModelFile(Section):
    """The content of the file of a logistic model; equal to another with the same content.

    Immutable and picklable. It does no work itself: :class:`~pipeline.models.ScoreBlock` scores with it.
    """

    format: Literal["logitstream-model"]
    version: Annotated[Literal[1], BeforeValidator(_exact_version)]
    kind: Literal["logistic"]
    target: Target | None = None
    intercept: float
    features: Annotated[tuple[AnyFeature, ...], Strict(strict=False), Field(min_length=1)]
    output: Output = Output()
    training: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _base_is_finite(self) -> ModelFile:
        if not math.isfinite(self.base):
            message = "intercept minus the sum of coefficient * center / scale is beyond float64"
            raise PydanticCustomError("base", "{message}", {"message": message, "at": ["intercept"]})
        return self

    @cached_property
    def base(self) -> float:
        """The raw prediction if every column is 0: intercept and offsets, added exactly and rounded once."""
        offsets = [offset for feature in self.features for offset in feature.offsets]
        if not all(map(math.isfinite, offsets)):
            return math.nan
        try:
            return math.fsum([self.intercept, *offsets])
        except OverflowError:
            return math.inf

    def to_json(self) -> str:
        """Return the text of the file, without defaults; floats are read back bit for bit."""
        return json.dumps(self.model_dump(exclude_defaults=True), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the content of the file, however it is laid out."""
        return digest(self.model_dump())


def schema() -> dict[str, Any]:
    """Return the JSON schema of a model file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ModelFile.model_json_schema()}


def _vocabulary() -> wording.Vocabulary:
    tagged = [(wording.tag(name), kind) for name, kind in FEATURE_KINDS.items()]
    policies = {(tag, name): policy for tag, kind in tagged for name, policy in kind.policies.items()}
    sections: dict[str, type[Section]] = {"": ModelFile, "target": Target, "output": Output}
    sections |= {tag: kind.schema for tag, kind in tagged}
    return wording.Vocabulary(
        keys={step: tuple(section.model_fields) for step, section in sections.items()},
        rules={at: tuple(policy.rule.model_fields) for at, policy in policies.items()},
        policies={at: policy.choices for at, policy in policies.items()},
        feature_kinds=tuple(FEATURE_KINDS),
        plain=frozenset({("target", "negative"), ("target", "positive")}),
    )


VOCABULARY = _vocabulary()
