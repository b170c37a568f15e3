"""The model file, version 1: what it may say, and everything that is wrong with one that says something else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic import ValidationError as PydanticError
from pydantic_core import PydanticCustomError

from pipeline.canonical import digest
from pipeline.errors import ModelError
from pipeline.models import wording
from pipeline.models.columns import RecentLevels
from pipeline.models.places import FOUND_LIMIT, PROBLEM_LIMIT, Problem, locate, read
from pipeline.registry import FUNCTIONS
from pipeline.units import escape

FORMAT = "logitstream-model"
VERSION = 1

Column = Literal["probability", "raw_prediction", "decision"]
Word = Literal["null", "error", "quarantine"]
UnseenWord = Literal["null", "zero", "error", "quarantine"]

_PICKLE_NAME = re.compile(
    r".*\.(pkl|pickle|joblib|sav|skops|dill|cloudpickle|npz|npy|pt|pth)(\.(gz|bz2|xz|zst|lz4|z))?",
    re.IGNORECASE | re.DOTALL,
)
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04|\x93NUMPY")
_COMPARED_LIMIT = 20_000
_SIGMOID_DEFAULTS = {name: FUNCTIONS["sigmoid"].defaults[name] for name in ("temperature", "alpha", "beta")}
_INT64 = range(-(2**63), 2**63)


def _policy_tag(value: object) -> str:
    return "<rule>" if isinstance(value, Mapping | BaseModel) else "<word>"


def _feature_tag(value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"<{kind}>" if isinstance(kind, str) else None


def _not_zero(scale: float) -> float:
    if scale == 0:
        raise PydanticCustomError("zero_scale", "must not be 0: values are divided by it")
    return scale


def _not_zero_alpha(alpha: float) -> float:
    if alpha == 0:
        raise PydanticCustomError("zero_alpha", "must not be 0: every row would have one probability")
    return alpha


def _has_name(name: str) -> str:
    if not name:
        raise PydanticCustomError("empty_name", "must not be empty")
    return name


def _exact_version(version: object) -> object:
    # A literal type alone would take true and 1.0 for 1.
    if type(version) is not int:
        raise PydanticCustomError("version", f"must be the number {VERSION}, not {{found}}", {"found": _show(version)})
    return version


def _show(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False, default=str), 60)


Name = Annotated[str, AfterValidator(_has_name)]
Scale = Annotated[float, AfterValidator(_not_zero)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Impute(_Section):
    """A missing value counts as this number, in units of the column (before ``center`` and ``scale``)."""

    impute: float


class Level(_Section):
    """A missing or unseen value counts as this level."""

    level: str


MissingNumber = Annotated[
    Annotated[Word, Tag("<word>")] | Annotated[Impute, Tag("<rule>")],
    Discriminator(_policy_tag),
]
MissingLevel = Annotated[
    Annotated[Word, Tag("<word>")] | Annotated[Level, Tag("<rule>")],
    Discriminator(_policy_tag),
]
UnseenLevel = Annotated[
    Annotated[UnseenWord, Tag("<word>")] | Annotated[Level, Tag("<rule>")],
    Discriminator(_policy_tag),
]


class NumericFeature(_Section):
    """A column that adds ``coefficient * (value - center) / scale`` to the raw prediction."""

    column: Name
    kind: Literal["numeric"]
    coefficient: float
    center: float = 0.0
    scale: Scale = 1.0
    missing: MissingNumber = "null"

    @model_validator(mode="after")
    def _weight_is_finite(self) -> NumericFeature:
        if not math.isfinite(self.weight):
            message = "coefficient / scale is beyond float64"
            raise PydanticCustomError("weight", "{message}", {"message": message, "at": ["coefficient"]})
        return self

    @property
    def weight(self) -> float:
        """``coefficient / scale``, rounded once."""
        return self.coefficient / self.scale

    @property
    def offset(self) -> float:
        """``-coefficient * center / scale``, from left to right: the product is rounded, then the quotient."""
        return -self.coefficient * self.center / self.scale


class CategoricalFeature(_Section):
    """A column that adds the coefficient of its level to the raw prediction."""

    column: Name
    kind: Literal["categorical"]
    coefficients: Annotated[dict[str, float], Field(min_length=1)]
    missing: MissingLevel = "null"
    unseen: UnseenLevel = "null"

    @cached_property
    def recent_levels(self) -> RecentLevels:
        """What was looked up last in ``coefficients``; no part of what the file says."""
        return RecentLevels()

    @model_validator(mode="after")
    def _levels_exist(self) -> CategoricalFeature:
        for name, level in _unknown_levels({**dict(self), **self.model_dump(include={"missing", "unseen"})}):
            context = {"message": f'unknown level "{escape(level)}"', "at": [name, "level"]}
            raise PydanticCustomError("unknown_level", "{message}", context)
        return self


Feature = Annotated[
    Annotated[NumericFeature, Tag("<numeric>")] | Annotated[CategoricalFeature, Tag("<categorical>")],
    Discriminator(_feature_tag),
]


class Target(_Section):
    """What the model predicts: the column, and the values that stand for the two classes."""

    column: Name | None = None
    negative: bool | int | float | str
    positive: bool | int | float | str

    @model_validator(mode="after")
    def _two_values_of_one_type(self) -> Target:
        if wording.json_type(self.negative) != wording.json_type(self.positive):
            message = f"must be {wording.json_type(self.negative)} as target.negative is, not {_show(self.positive)}"
        elif self.negative == self.positive:
            message = "must differ from target.negative"
        elif any(type(value) is int and value not in _INT64 for value in (self.negative, self.positive)):
            message = "whole numbers must fit into 64 bits"
        else:
            return self
        raise PydanticCustomError("target", "{message}", {"message": message, "at": ["positive"]})


class Output(_Section):
    """The columns that scoring makes unless told otherwise, and how the raw prediction becomes the probability.

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
        """Those of the parameters that are not as they are unless given."""
        return {name: value for name, value in self.parameters.items() if value != _SIGMOID_DEFAULTS[name]}

    @model_serializer(mode="wrap")
    def _without_unused_parameters(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What a model says, and its digest, is what it was before there were parameters.
        said = handler(self)
        return {key: value for key, value in said.items() if key not in _SIGMOID_DEFAULTS or key in self.changed}

    @model_validator(mode="after")
    def _columns_can_be_made(self) -> Output:
        columns = self.columns or ()
        if len(set(columns)) < len(columns):
            message = "a column stands twice"
        elif "decision" in columns and self.threshold is None:
            message = "a decision needs a threshold: add output.threshold"
        else:
            return self
        raise PydanticCustomError("output", "{message}", {"message": message, "at": ["columns"]})


class ModelFile(_Section):
    """A logistic model as its file states it; equal to another where the two say the same.

    Immutable, picklable, free of behaviour that costs anything: ``pipeline.models.score`` makes it score.
    """

    format: Literal["logitstream-model"]
    version: Annotated[Literal[1], BeforeValidator(_exact_version)]
    kind: Literal["logistic"]
    target: Target | None = None
    intercept: float
    features: Annotated[tuple[Feature, ...], Strict(strict=False), Field(min_length=1)]
    output: Output = Output()
    training: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _base_is_finite(self) -> ModelFile:
        if not math.isfinite(self.base):
            message = "intercept less the sum of coefficient * center / scale is beyond float64"
            raise PydanticCustomError("base", "{message}", {"message": message, "at": ["intercept"]})
        return self

    @cached_property
    def base(self) -> float:
        """Raw prediction where every column is 0: the intercept and all offsets, added exactly and rounded once."""
        offsets = [feature.offset for feature in self.features if isinstance(feature, NumericFeature)]
        if not all(map(math.isfinite, offsets)):
            return math.nan
        try:
            return math.fsum([self.intercept, *offsets])
        except OverflowError:
            return math.inf

    def to_json(self) -> str:
        """Return the file that says the same, defaults left out; floats come back bit for bit."""
        return json.dumps(self.model_dump(exclude_defaults=True), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of what the file says, however it is laid out."""
        return digest(self.model_dump())


def schema() -> dict[str, Any]:
    """Return the JSON schema of a model file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ModelFile.model_json_schema()}


def parse(data: bytes, name: str = "model") -> ModelFile:
    """Return the model that the bytes of a file state.

    Nothing but text is read: a pickle is refused unopened. Whatever the bytes are, the outcome is a model or a
    ``ModelError``.

    Parameters
    ----------
    data : bytes
        The whole file: JSON in UTF-8, at most 256 MiB.
    name : str
        How messages call it: the path.

    Raises
    ------
    ModelError
        Everything that is wrong (the first 100 problems), each with its path, line and column.
    """
    refuse_pickle(data, name)
    found = examine(data)
    if isinstance(found, ModelFile):
        return found
    raise _model_error(name, found)


def from_mapping(value: Mapping[str, object], name: str = "model") -> ModelFile:
    """Return the model that a mapping states, as a file with the same JSON would; errors as :func:`parse` has them."""
    try:
        data = json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{escape(name)} cannot be written as JSON: {escape(str(error))}") from error
    found = examine(data)
    if isinstance(found, ModelFile):
        return found
    raise _model_error(name, [replace(problem, line=0, column=0) for problem in found])


def examine(data: bytes) -> ModelFile | list[Problem]:
    """Return the model, or what is wrong with it, in the order of the text."""
    value, text, faults = read(data)
    if value is None and faults:
        return faults
    found = _validate(value)
    if isinstance(found, ModelFile):
        return locate(text, faults) if faults else found
    known = {problem.path for problem in faults}
    problems = [*faults, *(problem for problem in found if problem.path not in known)]
    return locate(text, problems)


def refuse_pickle(data: bytes, name: str) -> None:
    """Raise ``ModelError`` where the name or the first bytes are those of a pickle, or of what may hold one."""
    if _PICKLE_NAME.fullmatch(name) or _PICKLE_START.match(data):
        raise ModelError(
            f"{escape(name)} is a pickled object, not a model file; it was not opened, since a pickle runs code",
            "convert it where it was made: pipeline.from_sklearn(estimator).save('model.json')",
        )


def _validate(value: object) -> ModelFile | list[Problem]:
    foreign = list(_foreign(value))
    if foreign and not _resembles_a_model(value):
        return foreign
    features = cast("Mapping[str, object]", value).get("features")
    features = features if isinstance(features, list) else []
    # The validation stops at the first fault between the parts of a feature, and before it where a part is at fault.
    twice = islice(_duplicate_columns(features), FOUND_LIMIT)
    ours = [*foreign, *twice, *islice(_unknown_levels_in(features), FOUND_LIMIT)]
    try:
        model = ModelFile.model_validate(value)
    except PydanticError as error:
        known = {problem.path for problem in ours}
        return [*ours, *(problem for problem in wording.problems(error, value) if problem.path not in known)]
    return ours or model


def _foreign(value: object) -> Iterator[Problem]:
    """Yield what shows that this is another kind of file, or of another version."""
    if not isinstance(value, Mapping):
        yield Problem((), f"a model file is a JSON object, not {wording.json_type(value)}")
    elif value.get("format") != FORMAT:
        found = f"not {_show(value['format'])}" if "format" in value else "and is not there"
        yield Problem(("format",), f'must be "{FORMAT}", {found}')
    elif type(version := value.get("version")) is int and version != VERSION:
        yield Problem(("version",), f"is {escape(str(version), 20)}; this release reads version {VERSION}")


def _resembles_a_model(value: object) -> bool:
    """Return whether a value is worth a list of all that is wrong with it as a model of this version."""
    if not isinstance(value, Mapping) or not value.keys() & {"intercept", "features"}:
        return False
    return type(version := value.get("version")) is not int or version == VERSION


def _unknown_levels_in(features: Sequence[object]) -> Iterator[Problem]:
    compared = 0
    for position, feature in enumerate(features):
        if isinstance(feature, Mapping) and feature.get("kind") == "categorical":
            for name, level in _unknown_levels(feature):
                # What was perhaps meant takes a microsecond or ten for each level that there is.
                known = cast("Mapping[str, object]", feature["coefficients"])
                compared += len(known)
                message = wording.unknown("level", level, known if compared <= _COMPARED_LIMIT else ())
                yield Problem(("features", position, name, "level"), message)


def _unknown_levels(feature: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the policies of a categorical feature that name a level without a coefficient, and that level."""
    coefficients = feature.get("coefficients")
    if not isinstance(coefficients, Mapping) or not coefficients:
        return
    for name in ("missing", "unseen"):
        policy = feature.get(name)
        level = policy.get("level") if isinstance(policy, Mapping) else None
        if isinstance(level, str) and level not in coefficients:
            yield name, level


def _duplicate_columns(features: Sequence[object]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for position, feature in enumerate(features):
        column = feature.get("column") if isinstance(feature, Mapping) else None
        if isinstance(column, str) and first.setdefault(column, position) != position:
            message = f'"{escape(column)}" is already the column of features[{first[column]}]'
            yield Problem(("features", position, "column"), message)


def _model_error(name: str, problems: list[Problem]) -> ModelError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    if len(problems) >= PROBLEM_LIMIT:
        count = f"at least {PROBLEM_LIMIT} problems"
    lines = "".join(f"\n  {problem}" for problem in problems[:PROBLEM_LIMIT])
    return ModelError(f"{escape(name)} is not a valid model: {count}{lines}")
