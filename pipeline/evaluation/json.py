"""An evaluation as plain values for programs, ready for :func:`json.dumps`.

It has ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`. A number that is
infinite or not defined is null.

``kind: "evaluation"``
    ``target``, ``classes`` (the negative one first where there are two); ``models``, each with ``name`` and ``digest``
    (none where a column has the probability); ``probability`` and ``weight``, the columns (null without one);
    ``files``; ``rows`` with ``read``, and of these ``used``, ``not_held_out``, ``dropped``, ``bad`` and
    ``without_target``, which add up to it, and how many of those that were dropped are ``set_aside`` by the model or
    ``without_score``; ``clipped``, for each model the rows whose class has a probability of 0, in a column one below
    2.2e-16;
    ``measures``, under the names of the attributes of :class:`~pipeline.evaluation.results.BinaryMeasures` or
    :class:`~pipeline.evaluation.results.MultinomialMeasures`; ``challenger``, those of a second model, and
    ``differences``, the second model minus the first (both null without one); ``groups``, for each ``--by`` the
    ``columns``, how many groups are ``pooled``, and ``groups``, each with ``value`` (null for all others together; in
    it a value that is missing is null), ``measures``, ``challenger`` and ``differences``; ``notes``; ``warnings``
    about features without a value, or of which the model knows no value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.report import EvaluationReport, GroupMeasures, GroupsReport
from pipeline.report.json import SCHEMA_VERSION, Json


def evaluation_json(report: EvaluationReport) -> Json:
    """Return an evaluation under the keys that this module documents."""
    pairs = zip(report.models, report.digests, strict=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "evaluation",
        "target": report.target,
        "classes": list(report.classes),
        "models": [{"name": name, "digest": digest} for name, digest in pairs],
        "probability": report.probability,
        "weight": report.weight,
        "files": report.files,
        "rows": dict(report.rows),
        "clipped": list(report.clipped),
        **_measured(report),
        "groups": [_groups(each) for each in report.groups],
        "notes": list(report.notes),
        "warnings": list(report.warnings),
    }


def _groups(found: GroupsReport) -> Json:
    groups = [{"value": None if each.value is None else list(each.value), **_measured(each)} for each in found.groups]
    return {"columns": list(found.columns), "pooled": found.pooled, "groups": groups}


def _measured(of: EvaluationReport | GroupMeasures) -> Json:
    return {name: _plain(getattr(of, name)) for name in ("measures", "challenger", "differences")}


def _plain(value: Any) -> Any:
    """Return a value of data classes, tuples, mappings and numbers as JSON has it."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
