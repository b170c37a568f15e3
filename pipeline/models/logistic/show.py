"""A logistic model as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.models.logistic.feature import Coefficient, Feature
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.making import class_text
from pipeline.models.logistic.output import Output
from pipeline.models.logistic.policies import policy_text, shown_policy
from pipeline.models.logistic.sections import Section, number_of
from pipeline.types.report import Shown, ShownModel
from pipeline.units import escape, format_count, visible

# What ``model show`` prints of a feature, a row for each of its coefficients; cells that would repeat are empty.
_HEADERS = ("column", "kind", "level", "coefficient", "center", "scale", "missing", "unseen")
_NUMBERS = (3, 4, 5)


def show(model: ModelFile) -> ShownModel:
    """Return the facts about a model, and a row for each of its coefficients."""
    rows = tuple(row for feature in model.features for row in _rows(model, feature))
    return ShownModel(tuple(facts(model)), _HEADERS, rows, _NUMBERS, len(model.features))


def facts(model: ModelFile) -> list[tuple[str, str | float]]:
    """Return the names and values of what a model states besides its features."""
    target, output = model.target, model.output
    shown: list[tuple[str, str | float]] = [("kind", model.kind)]
    if model.link != "logit":
        shown.append(("link", model.link))
    if model.classes is not None:
        shown += [("classes", ", ".join(map(_shown, model.classes))), ("normalise", model.normalise)]
    shown += _of_outputs(model, "intercept", [number_of(model.intercept, each) for each in range(model.outputs)])
    if model.version > 1:
        shown += _of_outputs(model, "base", model.bases)
    if model.offset is not None:
        name = f" ({escape(model.offset.name)})" if model.offset.name else ""
        column = f"{escape(model.offset.column)}{name}"
        shown.append(("offset", f"{column}, missing: {policy_text(model.offset.missing)}"))
    if target is not None:
        of = f"{escape(target.column)}: " if target.column else ""
        values = "" if target.negative is None else f"{_shown(target.negative)} or {_shown(target.positive)}"
        shown.append(("target", f"{of}{values}" if values else escape(target.column or "")))
    shown.append(("output", ", ".join(output.columns or output.wanted)))
    if output.threshold is not None:
        shown.append(("threshold", output.threshold))
    shown += output.changed.items()
    shown += decisions(output)
    shown.append(("features", format_count(len(model.features))))
    return [*shown, ("digest", model.digest())]


def decisions(output: Output) -> Iterator[tuple[str, str | float]]:
    """Yield what the sections of an output for calibration, points, bands and reasons say."""
    if output.calibration is not None:
        steps = getattr(output.calibration, "probabilities", None)
        yield "calibration", _members(output.calibration) if steps is None else f"method isotonic, {len(steps)} steps"
    if output.points is not None:
        yield "points", _members(output.points)
    if (bands := output.bands) is not None:
        ends = [f"from {threshold:.15g}" for threshold in bands.thresholds]
        named = zip((f"below {bands.thresholds[0]:.15g}", *ends), bands.names, strict=True)
        yield f"bands of {bands.on}", ", ".join(f"{escape(name)} {where}" for where, name in named)
    if (reasons := output.reasons) is not None:
        what = f"{reasons.count} that {reasons.direction} most, against {reasons.reference}"
        yield "reasons", what
        for name, reason in reasons.features.items():
            yield f"reason {escape(name)}", _members(reason)


def _members(section: Section) -> str:
    members = section.model_dump(exclude_none=True)
    return ", ".join(
        f"{key} {escape(value) if isinstance(value, str) else _shown(value)}" for key, value in members.items()
    )


def coefficients(model: ModelFile) -> Iterator[Coefficient]:
    """Yield the coefficients of a model, in the order of the file."""
    for feature in model.features:
        _, entries = kind_of(feature).describe(feature)
        for entry in entries:
            for output in range(model.outputs):
                yield Coefficient(
                    _columns(feature),
                    entry.level,
                    number_of(entry.coefficient, output),
                    entry.center,
                    entry.scale,
                    policy_text(entry.missing),
                    policy_text(entry.unseen),
                    feature.label,
                    "" if model.classes is None else class_text(model.classes[output]),
                )


def _rows(model: ModelFile, feature: Feature) -> Iterator[tuple[Shown, ...]]:
    kind, described = kind_of(feature).describe(feature)
    entries, terms = tuple(described), tuple(kind_of(feature).terms(feature))
    name = "" if feature.label == feature.usual_name else f" ({escape(feature.label)})"
    head: tuple[str, str] = (escape(_columns(feature)) + name, kind)
    for term in terms:
        policies = shown_policy(term.missing), shown_policy(term.unseen)
        yield *head, escape(term.term), "", term.center, term.scale, *policies
        head = ("", "")
    before: tuple[Shown, Shown] = ("", "")
    for entry in entries:
        policies = (shown_policy(entry.missing), shown_policy(entry.unseen))
        tail = ("", "") if policies == before else policies
        before = policies
        is_level = bool(entry.level) or feature.kind == "categorical" or (bool(terms) and len(entries) > 1)
        center_and_scale: tuple[Shown, Shown] = ("", "") if is_level or terms else (entry.center, entry.scale)
        level = visible(entry.level) if is_level else ""
        for output in range(model.outputs):
            yield *head, _level(model, level, output), number_of(entry.coefficient, output), *center_and_scale, *tail
            head = tail = ("", "")


def _level(model: ModelFile, level: str, output: int) -> str:
    if model.classes is None:
        return level
    return ": ".join(filter(None, (class_text(model.classes[output]), level)))


def _columns(feature: Feature) -> str:
    """Return the column of a feature, or those of its terms."""
    return str(getattr(feature, "column", feature.usual_name))


def _of_outputs(model: ModelFile, what: str, numbers: Any) -> list[tuple[str, str | float]]:
    if model.classes is None:
        return [(what, numbers[0])]
    return [(f"{what} {class_text(name)}", number) for name, number in zip(model.classes, numbers, strict=True)]


def _shown(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False))
