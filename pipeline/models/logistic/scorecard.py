"""A model as a scorecard: the points of each attribute, as analysts read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.logistic.binned import BinnedFeature
from pipeline.models.logistic.feature import Entry, Feature
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.points import Points, feature_points
from pipeline.models.logistic.policies import Impute, Level, policy_text
from pipeline.models.logistic.product import NumericTerm
from pipeline.models.logistic.references import contribution_at
from pipeline.models.logistic.sections import number_of
from pipeline.types.report import Attribute, Scorecard
from pipeline.units import format_count

_REMEDY = (
    'add these lines to "output" of the model file, with your numbers: '
    '"points": {"pdo": 20, "base_points": 600, "base_odds": 50} (odds of 50 have 600 points; 20 more double the odds)'
)

# An attribute of a feature, what it adds to the raw prediction, and whether that is for each unit of a number.
_Row = tuple[str, float | None, bool]


def scorecard(model: ModelFile, name: str = "model") -> Scorecard:
    """Return the points of each attribute of a model; ``name`` is how messages call it.

    The points of a row are the sum of those of its attributes. A number has points for each unit, and where it is 0.

    Raises
    ------
    ModelError
        The model has no ``output.points``, or it is one that cannot have them.
    """
    if model.classes is not None:
        message = f"{name} has {format_count(len(model.classes))} classes; a scorecard is for models without classes"
        raise ModelError(message, "model show prints its coefficients")
    if model.link != "logit":
        message = f'{name} has the link "{model.link}"; a scorecard is for the link "logit"'
        raise ModelError(message, "model show prints its coefficients")
    points = model.output.points
    if points is None:
        raise ModelError(f"{name} has no output.points, so it has no scale for a scorecard", _REMEDY)
    card = _Card(points, points.share(model.base, len(model.features)))
    attributes = [] if model.offset is None else [card.unit(model.offset.label, 1.0)]
    attributes += [each for feature in model.features for each in card.attributes(feature)]
    facts = tuple(_facts(points, card.share, len(model.features)))
    return Scorecard(facts, points.model_dump(), card.share, tuple(attributes))


@dataclass(frozen=True, slots=True)
class _Card:
    """Turns contributions into points."""

    points: Points
    share: float

    def attributes(self, feature: Feature) -> Iterator[Attribute]:
        for attribute, contribution, is_unit in _ROWS[feature.kind](feature):
            if is_unit:
                yield self.unit(feature.label, contribution or 0.0, attribute)
            elif contribution is None:
                yield Attribute(feature.label, attribute, None, None)
            else:
                counted = feature_points(self.points, np.array([contribution]), self.share)
                yield Attribute(feature.label, attribute, contribution, float(counted[0]))

    def unit(self, name: str, weight: float, attribute: str = "each 1 more") -> Attribute:
        return Attribute(name, attribute, weight, self.points.slope * weight)


def _numbers(feature: Any) -> Iterator[_Row]:
    """Yield what a number adds: where it is 0, and for each unit."""
    described, entries = kind_of(feature).describe(feature)
    transform = described.partition(": ")[2]
    what = f"{transform} of {feature.column}" if transform else feature.column
    for entry in entries:
        yield f"{what} is 0", 0.0, False
        yield f"each 1 more of {what}", _weight(entry), True
        yield from _policies(entry, lambda value: contribution_at(feature, value))


def _booleans(feature: Feature) -> Iterator[_Row]:
    _, entries = kind_of(feature).describe(feature)
    for entry in entries:
        yield "false", 0.0, False
        yield "true", _weight(entry), False
        yield from _policies(entry, lambda value: contribution_at(feature, value))


def _levels(feature: Feature) -> Iterator[_Row]:
    _, entries = kind_of(feature).describe(feature)
    listed = list(entries)
    yield from ((entry.level, _weight(entry), False) for entry in listed)
    by_level = {entry.level: _weight(entry) for entry in listed}
    yield from _policies(listed[0], by_level.__getitem__)


def _bins(feature: BinnedFeature) -> Iterator[_Row]:
    _, entries = kind_of(feature).describe(feature)
    for entry in entries:
        yield entry.level, _weight(entry), False
    yield from _policies(Entry(0.0, missing=feature.missing), lambda value: contribution_at(feature, value))


def _missing(feature: Feature) -> Iterator[_Row]:
    _, entries = kind_of(feature).describe(feature)
    for entry in entries:
        yield "missing", _weight(entry), False
    yield "not missing", 0.0, False


def _products(feature: Any) -> Iterator[_Row]:
    _, entries = kind_of(feature).describe(feature)
    has_number = any(isinstance(term, NumericTerm) for term in feature.terms)
    what = "the product"
    if has_number:
        yield f"{what} is 0", 0.0, False
    for entry in entries:
        level = f" where {entry.level}" if entry.level else ""
        yield f"each 1 more of {what}{level}" if has_number else entry.level, _weight(entry), has_number


_ROWS: Mapping[str, Callable[[Any], Iterator[_Row]]] = {
    "numeric": lambda feature: _booleans(feature) if feature.boolean else _numbers(feature),
    "transformed": _numbers,
    "categorical": _levels,
    "binned": _bins,
    "indicator": _missing,
    "product": _products,
}


def _weight(entry: Entry) -> float:
    return number_of(entry.coefficient, 0) / entry.scale


def _policies(entry: Entry, adds: Callable[[Any], float]) -> Iterator[_Row]:
    """Yield what a missing and an unseen value add, or that a row with one has no points."""
    for word, policy in (("missing", entry.missing), ("unseen", entry.unseen)):
        if isinstance(policy, Impute):
            yield f"{word}: as {policy.impute:.15g}", adds(policy.impute), False
        elif isinstance(policy, Level):
            yield f'{word}: as "{policy.level}"', adds(policy.level), False
        elif policy == "zero":
            yield word, 0.0, False
        elif isinstance(policy, str) and policy:
            yield f"{word}: {policy_text(policy)}", None, False


def _facts(points: Points, share: float, features: int) -> Iterator[tuple[str, str | float]]:
    yield "points to double the odds", points.pdo
    yield f"points at odds of {points.base_odds:.15g}", points.base_points
    yield "more points", f"the {points.higher} class"
    yield "rounding", points.rounding
    yield f"constant part of each of {format_count(features)} features", share
