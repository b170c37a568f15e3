"""What does not fit together between the parts of the file of a network, in a document with any content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

from pipeline.models import wording
from pipeline.models.document import FOUND_LIMIT, Problem
from pipeline.models.logistic.categorical import unfit_levels, unknown_levels
from pipeline.models.logistic.faults import output_faults
from pipeline.models.logistic.file import MOST_CLASSES
from pipeline.units import escape, format_count

Document = Mapping[str, object]
Rule = Callable[[Document], Iterator[Problem]]

_LEAST_CLASSES = 2
_NO_SUM = "is not for networks, whose raw prediction is no sum of contributions"
_SUM_COLUMNS = frozenset({"contributions", "points_by_feature", "reasons"})


def faults(document: Document) -> Iterator[Problem]:
    """Yield what the schema does not find, or finds only where all else is right: at most 10,000 of each rule."""
    for rule in _RULES:
        yield from islice(rule(document), FOUND_LIMIT)


def _members(document: Document, name: str) -> Iterator[tuple[int, Document]]:
    members = document.get(name)
    for position, member in enumerate(members if isinstance(members, list) else ()):
        if isinstance(member, Mapping):
            yield position, cast("Document", member)


def _section(document: Document, name: str) -> Mapping[str, Any]:
    section = document.get(name)
    return section if isinstance(section, Mapping) else {}


def _repeated_columns(document: Document) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for position, feature in _members(document, "features"):
        column = feature.get("column")
        if isinstance(column, str) and first.setdefault(column, position) != position:
            message = f'"{escape(column)}" is already the column of features[{first[column]}]'
            yield Problem(("features", position, "column"), message)


def _categories(document: Document) -> Iterator[Problem]:
    """Yield the levels that a policy names and no category is, and categories that are not of the stated type."""
    for position, feature in _members(document, "features"):
        categories = feature.get("categories")
        if not isinstance(categories, list) or not all(isinstance(each, str) for each in categories):
            continue
        places = {category: place for place, category in enumerate(categories)}
        for found in unknown_levels(feature, places):
            message = wording.unknown(found.what, found.name, found.known)
            yield Problem(("features", position, *found.path), message)
        for level, message in unfit_levels(feature, places):
            yield Problem(("features", position, "categories", places[level]), message)


def _classes(document: Document) -> Iterator[Problem]:
    """Yield where head and classes do not fit together."""
    head, classes = document.get("head"), document.get("classes")
    if head == "softmax" and classes is None:
        yield Problem(("classes",), 'is required for "head": "softmax": the values of the decision, in order')
    elif head == "sigmoid" and classes is not None:
        yield Problem(("head",), 'must be "softmax" for a network with classes, not "sigmoid"')
    if isinstance(classes, list) and not _LEAST_CLASSES <= len(classes) <= MOST_CLASSES:
        limits = f"at least {_LEAST_CLASSES} and at most {MOST_CLASSES:,}"
        yield Problem(("classes",), f"has {format_count(len(classes))}; a model has {limits}")


def _last_layer(document: Document) -> Iterator[Problem]:
    """Yield that no layer makes raw predictions, or that the last one has a function of its own."""
    dense = [(position, layer) for position, layer in _members(document, "layers") if layer.get("kind") == "dense"]
    if not dense and list(_members(document, "layers")):
        yield Problem(("layers",), 'has no layer of the kind "dense"')
    elif dense and dense[-1][1].get("function") is not None:
        position, layer = dense[-1]
        message = f'the last layer has no function: "head" makes probabilities of its sums, not {_shown(layer)}'
        yield Problem(("layers", position, "function"), message)


def _shown(layer: Document) -> str:
    return wording.show(layer["function"])


def _no_terms(document: Document) -> Iterator[Problem]:
    """Yield the words of the output that are about a sum of contributions."""
    output = _section(document, "output")
    columns = output.get("columns")
    for position, word in enumerate(columns if isinstance(columns, list) else ()):
        if isinstance(word, str) and word in _SUM_COLUMNS:
            yield Problem(("output", "columns", position), f'"{word}" {_NO_SUM}')
    if output.get("reasons") is not None:
        yield Problem(("output", "reasons"), _NO_SUM)
    points = output.get("points")
    if isinstance(points, Mapping) and points.get("rounding") == "features":
        yield Problem(("output", "points", "rounding"), f'"features" {_NO_SUM}; use "points"')


_RULES: Sequence[Rule] = (
    _repeated_columns,
    _categories,
    _classes,
    _last_layer,
    _no_terms,
    output_faults,
)
