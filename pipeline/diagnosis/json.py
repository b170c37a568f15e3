"""A diagnosis as plain values for programs, ready for :func:`json.dumps`.

They have ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`. A number that
is infinite, because numbers grew beyond float64, is null, and so is a mean of such numbers.

``kind: "diagnose-initialisation"``
    ``width``, ``depth``, ``seeds``, ``rows``, ``function``, ``largest_slope``; ``saturated_below``, the slope under
    which a unit is saturated; ``stacks``, each with ``initialisation``, ``gain`` (null for normal), ``ratio`` of the
    first layer to the last, its ``lowest`` and ``highest`` value, ``saturated``, and ``layers``, each with ``number``
    (1 is next to the input), ``norm`` of dL/dz, its ``lowest`` and ``highest`` value, ``saturated`` and
    ``mean_activation``; ``sentences``; ``advice``.

``kind: "diagnose-gradients"``
    ``target`` (null without one), ``loss``, the mean log loss (null without a target); ``rows`` with ``read``,
    ``used``, ``bad``, ``set_aside``, ``without_score``, ``without_target``, ``not_finite``; ``ratio`` of the first
    layer to the last; ``layers``, each with ``number`` (1 is next to the input), ``place`` in the model file, ``kind``,
    ``units``, ``function`` (null where it has none), ``norm`` of dL/dz, ``weight_gradient``, ``saturated``,
    ``mean_activation`` and ``steps``, norms of dL/dz through time, the last step of each row last; ``sentences``;
    ``advice``; ``notes`` about the files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

from pipeline.diagnosis.findings import GradientReport, InitialisationReport, StackSignal
from pipeline.diagnosis.signals import SATURATED_SHARE
from pipeline.report.json import SCHEMA_VERSION, Json


def initialisation_json(report: InitialisationReport) -> Json:
    """Return a diagnosis under the keys that this module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "diagnose-initialisation",
        "width": report.width,
        "depth": report.depth,
        "seeds": report.seeds,
        "rows": report.rows,
        "function": report.function,
        "largest_slope": report.largest_slope,
        "saturated_below": SATURATED_SHARE * report.largest_slope,
        "stacks": [_stack(each) for each in report.stacks],
        "sentences": list(report.sentences),
        "advice": report.advice,
    }


def gradients_json(report: GradientReport) -> Json:
    """Return a diagnosis of gradients under the keys that this module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "diagnose-gradients",
        "target": report.target,
        "loss": None if report.loss is None else _number(report.loss),
        "rows": dict(report.rows),
        "ratio": _number(report.ratio),
        "layers": [_plain(asdict(each)) for each in report.layers],
        "sentences": list(report.sentences),
        "advice": report.advice,
        "notes": list(report.notes),
    }


def _plain(values: Mapping[str, object]) -> Json:
    """Return values of which numbers may be infinite."""
    return {name: _value(value) for name, value in values.items()}


def _value(value: object) -> object:
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    return _number(value) if isinstance(value, float) else value


def _stack(stack: StackSignal) -> Json:
    return {
        "initialisation": stack.initialisation,
        "gain": stack.gain,
        "ratio": _number(stack.ratio),
        "lowest": _number(stack.lowest),
        "highest": _number(stack.highest),
        "saturated": stack.saturated,
        "layers": [_plain(asdict(each)) for each in stack.layers],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
