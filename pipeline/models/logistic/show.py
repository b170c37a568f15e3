"""A logistic model as rows of a table."""

from __future__ import annotations

import json

from pipeline.models.logistic.feature import HEADERS, NUMBERS
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.types.report import ShownModel
from pipeline.units import escape, format_count


def show(model: ModelFile) -> ShownModel:
    """Return the facts about a model, and a row for each of its coefficients."""
    rows = tuple(row for feature in model.features for row in kind_of(feature).show(feature))
    return ShownModel(tuple(facts(model)), HEADERS, rows, NUMBERS, len(model.features))


def facts(model: ModelFile) -> list[tuple[str, str | float]]:
    """Return the names and values of what a model states besides its features."""
    target, output = model.target, model.output
    decides = () if output.threshold is None else ("decision",)
    shown: list[tuple[str, str | float]] = [("kind", model.kind), ("intercept", model.intercept)]
    if target is not None:
        of = f"{escape(target.column)}: " if target.column else ""
        shown.append(("target", f"{of}{_shown(target.negative)} or {_shown(target.positive)}"))
    shown.append(("output", ", ".join(output.columns or ("probability", *decides))))
    if output.threshold is not None:
        shown.append(("threshold", output.threshold))
    shown += output.changed.items()
    shown.append(("features", format_count(len(model.features))))
    return [*shown, ("digest", model.digest())]


def _shown(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False))
