"""Model files that are made: their version, and names of features that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from pipeline.models.logistic.faults import fits_version_1

Feature = dict[str, Any]


def version_of(document: Mapping[str, Any]) -> int:
    """Return the version of a model file: 1 where that can say it, else 2."""
    return 1 if fits_version_1(document) else 2


def default_name(feature: Mapping[str, Any]) -> str:
    """Return the name that a feature has where it gives none."""
    if feature["kind"] == "product":
        return ":".join(term["column"] for term in feature["terms"])
    return f"missing_{feature['column']}" if feature["kind"] == "indicator" else str(feature["column"])


def named_apart(features: Sequence[Feature]) -> list[Feature]:
    """Return features with another name where theirs is that of a feature before."""
    used: set[str] = set()
    made = []
    for feature in features:
        own = str(feature.get("name") or default_name(feature))
        name = next(each for each in chain([own], (f"{own}_{number}" for number in count(2))) if each not in used)
        used.add(name)
        made.append(feature if name == own else {**feature, "name": name})
    return made
