"""A fit, that of a network too, and the plan of one as plain values for programs, ready for :func:`json.dumps`.

Each has ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`. A number that is
not finite is null.

``kind: "fit"``
    ``output``, the model file, null where none was written; ``digest`` of the model; ``model``, the content of the
    model file; ``rows`` with ``read``, ``used``, ``held_out``, ``dropped``, ``bad`` and ``without_target``;
    ``coefficients``, each with ``feature``, ``label`` (the level or interval), ``output`` (the class), ``value``,
    ``error``, ``z``, ``p``, ``low``, ``high``, ``variance_inflation`` and ``note``, null where there is none;
    ``effects`` likewise; ``measures`` of the fit; ``certificate``, as ``training`` of the model file has it; ``path``,
    each penalty that was tried with ``l1``, ``l2``, ``log_loss``, ``error``, ``nonzero`` and ``chosen``;
    ``information_values`` by binned feature; ``passes``; ``pass_seconds``, what each of them took in order, null for
    one that an interrupted fit had made; ``seconds``, ``peak_bytes``; ``notes``.

``kind: "fit-network"``
    ``output``, ``digest``, ``model``, ``rows``, ``seconds``, ``peak_bytes`` and ``notes`` as above; ``epochs``, each
    with ``number``, ``rows``, ``log_loss`` of the mini-batches, ``held_out_log_loss`` and ``seconds``; ``best_epoch``,
    whose weights the model has; ``log_loss`` and ``held_out_log_loss`` with these weights; ``early``, whether the
    epochs ended because the loss of the rows held out got no better.

``kind: "fit-network-plan"``
    ``files``, ``rows``, ``rows_estimated``; ``inputs`` and ``weights``, the most that the network may have; ``epochs``;
    ``bytes_first`` and ``bytes_epoch`` that the first pass and each epoch reads; ``held``, ``held_bytes``,
    ``projected_bytes``, ``allowed_bytes``, ``workers`` and ``notes`` as below.

``kind: "fit-plan"``
    ``files``, ``rows``, ``rows_estimated``; ``columns``, each with ``feature``, ``kind`` and ``coefficients``, null
    where only the first pass tells; ``width``, the most coefficients of the model; ``bytes_first`` and ``bytes_pass``
    that the first pass and each later one reads; ``held``, where decoded rows are between passes, and ``held_bytes``;
    ``projected_bytes``, ``allowed_bytes``, ``workers``; ``passes``, about how many; ``solver``; ``notes``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict

from pipeline.fitting.report import FitPlan, FitReport, NetworkPlan, NetworkReport
from pipeline.report.json import SCHEMA_VERSION, Json


def fit_json(report: FitReport) -> Json:
    """Return a fit under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "fit",
        "output": report.output,
        "digest": report.model.digest(),
        "model": json.loads(report.model.to_json()),
        "rows": dict(report.rows),
        "coefficients": [_finite(asdict(each)) for each in report.coefficients],
        "effects": [_finite(asdict(each)) for each in report.effects],
        "measures": _finite(asdict(report.measures)),
        "certificate": _finite(report.certificate),
        "path": [_finite(asdict(each)) for each in report.path],
        "information_values": _finite(report.bins),
        "passes": report.passes,
        "pass_seconds": [None if each is None else round(each, 6) for each in report.pass_seconds],
        "seconds": round(report.seconds, 6),
        "peak_bytes": report.peak_bytes,
        "notes": list(report.notes),
    }


def network_fit_json(report: NetworkReport) -> Json:
    """Return a fit of a network under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "fit-network",
        "output": report.output,
        "digest": report.model.digest(),
        "model": json.loads(report.model.file.to_json()),
        "rows": dict(report.rows),
        "epochs": [_finite({**asdict(each), "seconds": round(each.seconds, 6)}) for each in report.epochs],
        "best_epoch": report.best_epoch,
        "log_loss": _finite(report.log_loss),
        "held_out_log_loss": _finite(report.held_out_log_loss),
        "early": report.early,
        "seconds": round(report.seconds, 6),
        "peak_bytes": report.peak_bytes,
        "notes": list(report.notes),
    }


def network_plan_json(plan: NetworkPlan) -> Json:
    """Return the plan of a fit of a network under the keys that the module documents."""
    return {"schema_version": SCHEMA_VERSION, "kind": "fit-network-plan", **asdict(plan), "notes": list(plan.notes)}


def fit_plan_json(plan: FitPlan) -> Json:
    """Return the plan of a fit under the keys that the module documents."""
    columns = [{"feature": name, "kind": kind, "coefficients": count} for name, kind, count in plan.columns]
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "fit-plan",
        **asdict(plan),
        "columns": columns,
        "notes": list(plan.notes),
    }


def _finite(value: object) -> object:
    """Return a value with null in place of numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
