"""A diagnosis as plain values for programs, ready for :func:`json.dumps`.

They have ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`. A number that
is infinite, because numbers grew beyond float64, is null, and so is a mean of such numbers.

``kind: "diagnose-initialisation"``
    ``width``, ``depth``, ``seeds``, ``rows``, ``function``, ``largest_slope``; ``saturated_below``, the slope under
    which a unit is saturated; ``stacks``, each with ``initialisation``, ``gain`` (null for normal), ``ratio`` of the
    first layer to the last, its ``lowest`` and ``highest`` value, ``saturated``, and ``layers``, each with ``number``
    (1 is next to the input), ``norm`` of dL/dz, its ``lowest`` and ``highest`` value, ``saturated`` and
    ``mean_activation``; ``sentences``; ``advice``.
"""

from __future__ import annotations

import math
from dataclasses import asdict

from pipeline.diagnosis.findings import InitialisationReport, StackSignal
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


def _stack(stack: StackSignal) -> Json:
    return {
        "initialisation": stack.initialisation,
        "gain": stack.gain,
        "ratio": _number(stack.ratio),
        "lowest": _number(stack.lowest),
        "highest": _number(stack.highest),
        "saturated": stack.saturated,
        "layers": [{name: _number(value) for name, value in asdict(each).items()} for each in stack.layers],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
