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
from pipeline.models.network.file import LAYERS
from pipeline.models.network.inputs import INPUTS
from pipeline.models.network.recurrent import POOLING, RECURRENT
from pipeline.units import escape, format_count

Document = Mapping[str, object]
Rule = Callable[[Document], Iterator[Problem]]

_LEAST_CLASSES = 2
_SEQUENCE, _DENSE = "sequence", "dense"
_OF_STEPS = frozenset({*RECURRENT, *POOLING})
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
    first: dict[tuple[str, bool], int] = {}
    for position, feature in _members(document, "features"):
        column = feature.get("column")
        # Beside its values a column may be an input where they are missing.
        if isinstance(column, str) and first.setdefault((column, _is_indicator(feature)), position) != position:
            place = first[column, _is_indicator(feature)]
            yield Problem(
                ("features", position, "column"), f'"{escape(column)}" is already the column of features[{place}]'
            )


def _is_indicator(feature: Document) -> bool:
    return feature.get("kind") == "indicator"


def _offset(document: Document) -> Iterator[Problem]:
    """Yield that an offset would change nothing, or that its column holds lists."""
    column = _section(document, "offset").get("column")
    if document.get("offset") is not None and document.get("head") == "softmax":
        yield Problem(
            ("offset",), 'is for "head": "sigmoid": added to the sums of all classes it changes no probability'
        )
    for position, feature in _members(document, "features"):
        if isinstance(column, str) and feature.get("kind") == _SEQUENCE and feature.get("column") == column:
            message = f'"{escape(column)}" is the sequence of features[{position}]: an offset is a column of numbers'
            yield Problem(("offset", "column"), message)


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


def _mixed_features(document: Document) -> Iterator[Problem]:
    """Yield the first feature that is a sequence where those before are none, or the other way round."""
    known = [
        (place, feature["kind"] == _SEQUENCE)
        for place, feature in _members(document, "features")
        if _is_known(feature, INPUTS)
    ]
    for place, is_sequence in known:
        if is_sequence != known[0][1]:
            is_one, is_other = ("is no", "is a") if is_sequence else ("is a", "is no")
            message = (
                f"{is_other} sequence, but features[{known[0][0]}] {is_one} sequence: a network takes one or the other"
            )
            yield Problem(("features", place, "kind"), message)
            return


def _order_of_layers(document: Document) -> Iterator[Problem]:
    """Yield the layers that do not take what comes to them: steps, or a row."""
    layers = [(place, str(layer["kind"])) for place, layer in _members(document, "layers") if _is_known(layer, LAYERS)]
    if any(_mixed_features(document)):
        return
    if any(feature.get("kind") == _SEQUENCE for _, feature in _members(document, "features")):
        yield from _unfit_order(layers)
        return
    for place, kind in layers:
        if kind in _OF_STEPS:
            message = f'"{kind}" takes the steps of sequences, but no feature has the kind "{_SEQUENCE}"'
            yield Problem(("layers", place, "kind"), message)
    if "steps" in document:
        yield Problem(("steps",), f'is for a network with features of the kind "{_SEQUENCE}"')


def _unfit_order(layers: Sequence[tuple[int, str]]) -> Iterator[Problem]:
    """Yield what is out of order in a network of sequences; its layers by their places and kinds."""
    recurrent, pooled = False, ""
    for place, kind in layers:
        at = ("layers", place, "kind")
        if pooled and kind in _OF_STEPS:
            yield Problem(at, f'"{kind}" takes steps, but "{pooled}" before it has made one row of them')
        elif kind in POOLING and not recurrent:
            yield Problem(at, f'"{kind}" comes behind a layer {wording.quoted_words(RECURRENT)}')
        elif kind == _DENSE and not pooled:
            yield Problem(at, f'"{kind}" takes a row, not steps: put {wording.quoted_words(POOLING)} before it')
            return
        recurrent = recurrent or kind in RECURRENT
        pooled = kind if kind in POOLING else pooled
    if layers and not pooled:
        yield Problem(("layers",), f"has no layer {wording.quoted_words(POOLING)}, which makes one row of the steps")


def _is_known(part: Document, kinds: Mapping[str, object]) -> bool:
    kind = part.get("kind")
    return isinstance(kind, str) and kind in kinds


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
    _offset,
    _categories,
    _classes,
    _mixed_features,
    _order_of_layers,
    _last_layer,
    _no_terms,
    output_faults,
)
