"""The contributions with which those of a row are compared, so that a feature can be named as a reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kernels import raw_prediction
from pipeline.models.document import Path, Problem
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import Feature
from pipeline.models.logistic.features import FEATURE_KINDS, kind_of
from pipeline.models.logistic.output import MOST_REASONS
from pipeline.models.logistic.reasons import Direction, FeatureReason, ReasonRules, Reference
from pipeline.models.logistic.sections import number_of
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.models.wording import quoted_words, show, unknown
from pipeline.units import escape

Floats = npt.NDArray[np.float64]
Document = Mapping[str, object]

# The kinds of features that have a contribution at a value, at a level, and a largest one.
_AT_VALUE = ("numeric", "binned", "transformed")
_AT_LEVEL = ("categorical",)
_KINDS_AT = {"value": _AT_VALUE, "level": _AT_LEVEL}
_BOUNDED = ("categorical", "binned", "indicator")


def references_of(reasons: ReasonRules, features: tuple[Feature, ...]) -> Floats:
    """Return the contribution of each feature at its reference: float64, shape (features,).

    Not finite where a value is outside the domain of a transform, 0 where :func:`faults` refuses the reference.
    """
    found = (_reference(feature, reasons.features.get(feature.label), reasons) for feature in features)
    return np.array(list(found), dtype=np.float64)


def faults(reasons: object, features: Mapping[str, Document]) -> Iterator[Problem]:
    """Yield what does not fit together in reasons as JSON with any content, with its path in them.

    ``features`` are those of the file as JSON, by their names.
    """
    if not isinstance(reasons, Mapping):
        return
    if type(count := reasons.get("count")) is int and count > MOST_REASONS:
        yield Problem(("count",), f"must be at most {MOST_REASONS}, not {count}")
    stated = reasons.get("features", {})
    if not isinstance(stated, Mapping):
        return
    for name, reason in stated.items():
        if name not in features:
            yield Problem(("features", name), unknown("feature", name, features))
        elif isinstance(reason, Mapping) and reason.get("reference") is not None:
            yield from _of_reference(("features", name, "reference"), reason["reference"], features[name])
    if (word := reasons.get("reference")) in ("mean", "best"):
        yield from _without_reference(str(word), stated, features)


def _without_reference(word: str, stated: Mapping[str, object], features: Mapping[str, Document]) -> Iterator[Problem]:
    for name, feature in features.items():
        reason = stated.get(name, {})
        if str(feature.get("kind")) not in FEATURE_KINDS or not isinstance(reason, Mapping):
            continue
        if reason.get("reference") is not None:
            continue
        if word == "mean" and reason.get("mean") is None:
            yield Problem(("features", name, "mean"), 'is required but missing, because the reference is "mean"')
        if word == "best" and not _is_bounded(feature):
            kind = feature["kind"]
            message = f"is required but missing, because a {kind} feature has no best contribution: write {_form(kind)}"
            yield Problem(("features", name, "reference"), message)


def _form(kind: object) -> str:
    """Return the reference that a feature of a kind may have."""
    if kind in _AT_VALUE:
        return '{"value": number}'
    return '{"level": text}' if kind in _AT_LEVEL else '{"contribution": number}'


def _of_reference(path: Path, reference: object, feature: Document) -> Iterator[Problem]:
    if not isinstance(reference, Mapping):
        yield Problem(path, f"must be an object, such as {_form(feature.get('kind'))}, not {show(reference)}")
        return
    # A description of a model says null where the file says nothing.
    given = [key for key in Reference.model_fields if reference.get(key) is not None]
    if len(given) != 1:
        found = f"not {len(given)} of them" if given else "but all are missing"
        yield Problem(path, f"must have one of {quoted_words(Reference.model_fields)}, {found}")
        return
    kind, level, levels = feature.get("kind"), reference.get("level"), feature.get("coefficients")
    if str(kind) not in FEATURE_KINDS:
        return
    if kind not in _KINDS_AT.get(given[0], (kind,)):
        yield Problem((*path, given[0]), f"is not for features of the kind {kind}: write {_form(kind)}")
    elif isinstance(level, str) and isinstance(levels, Mapping) and level not in levels:
        yield Problem((*path, "level"), unknown("level", level, levels))


def _is_bounded(feature: Document) -> bool:
    return feature.get("kind") in _BOUNDED or feature.get("boolean") is True


def _reference(feature: Feature, reason: FeatureReason | None, reasons: ReasonRules) -> float:
    own = None if reason is None else reason.reference
    if own is not None:
        return _own(feature, own)
    if reasons.reference == "mean":
        return 0.0 if reason is None or reason.mean is None else reason.mean
    return _best(feature, reasons.direction) if reasons.reference == "best" else 0.0


def _own(feature: Feature, own: Reference) -> float:
    if own.value is not None and feature.kind in _AT_VALUE:
        return contribution_at(feature, own.value)
    if own.level is not None and feature.kind in _AT_LEVEL:
        return contribution_at(feature, own.level)
    return own.contribution or 0.0


def contribution_at(feature: Any, value: Any) -> float:
    """Return what a feature of one column adds where the column has this value."""
    tally = RowTally(1)
    batch = BatchColumns({feature.column: BatchColumn(0, feature.column, pa.array([value]))}, tally)
    terms = [kind_of(feature).prepare(feature, batch).term]
    return float(raw_prediction(terms, 0.0, out=np.empty(1))[0])


def _best(feature: Feature, direction: Direction) -> float:
    """Return the largest contribution that a feature can have, or the smallest if those that raise are named."""
    _, entries = kind_of(feature).describe(feature)
    possible = [number_of(entry.coefficient, 0) for entry in entries]
    if feature.kind not in {"categorical", "binned"} or getattr(feature, "unseen", "") == "zero":
        possible.append(0.0)
    return max(possible) if direction == "lower" else min(possible)


def not_finite(reasons: ReasonRules, features: tuple[Feature, ...]) -> Iterator[Problem]:
    """Yield the references at which a contribution is not a finite number, with their path in the reasons."""
    if any(isinstance(entry.coefficient, Sequence) for each in features for entry in kind_of(each).describe(each)[1]):
        # Lists where there are no classes are faults of the document, which has more to say of them.
        return
    for feature, reference in zip(features, references_of(reasons, features), strict=True):
        if not math.isfinite(reference):
            message = f"the contribution of {escape(feature.label)} there is not a finite number"
            yield Problem(("features", feature.label, "reference"), message)
