"""A logistic model as plain values: what its file says with every default written out, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipeline.models.logistic.feature import Feature
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.sections import Section


def described(model: ModelFile) -> dict[str, Any]:
    """Return a model as plain values, ready for :func:`json.dumps`; numbers keep their bits.

    Besides the keys of the file it has ``digest``, ``base``, and in each feature ``name``, ``constant`` and what its
    kind adds. Of a model with classes a number is a list with one for each class.
    """
    content = plain(model)
    features = [_feature(model, feature) for feature in model.features]
    return {**content, "features": features, "base": _by_output(model, model.bases), "digest": model.digest()}


def _feature(model: ModelFile, feature: Feature) -> dict[str, Any]:
    constants = [math.fsum(feature.constants(output)) for output in range(model.outputs)]
    follows = plain(kind_of(feature).follows(feature))
    return {**plain(feature), "name": feature.label, "constant": _by_output(model, constants), **follows}


def _by_output(model: ModelFile, numbers: Any) -> Any:
    return numbers[0] if model.classes is None else list(numbers)


def plain(value: object) -> Any:
    """Return a section with all that is in it as plain values."""
    if isinstance(value, Section):
        return {key: plain(getattr(value, key)) for key in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: plain(member) for key, member in value.items()}
    return [plain(member) for member in value] if isinstance(value, list | tuple) else value
