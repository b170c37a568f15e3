"""Rollbacks, unfinished runs and versions as plain values for programs, ready for :func:`json.dumps`.

Each has ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`. Ages are seconds;
``finished_unix`` is seconds since 1970, or null if it is not known.

``kind: "rollback"``
    ``output``; ``standing``, the version that is published now: ``job_id``, ``manifest_digest``, ``parts``, ``rows``,
    ``bytes``, ``finished_unix``; ``replaced``, a version as below, or null if nothing was published before.

``kind: "runs"``
    ``outputs``, each as the next one without ``schema_version`` and ``kind``; ``errors`` of outputs that cannot be
    read, each with ``error`` and ``exit_code``.

``kind: "output"``
    ``output`` and ``home``, absolute paths, the latter null if there is none; ``standing``, as above or null, and
    ``problem``, why what is there is not a version; ``under_way``, null or ``pid``, ``host``, ``started``, ``job_id``,
    ``text``; ``runs``, each with ``name``, ``job_id``, ``age_seconds``, ``bytes``, of these ``own_bytes`` that no
    version shares, ``chunks`` done, ``running``, ``resumable``, ``newer``, true if a newer logitstream started it, and
    ``ended`` and ``exit_code``, null if the run was killed or is still running; ``versions``, each with ``name``,
    ``number``, ``job_id``, ``age_seconds`` since it was put aside, ``bytes``, ``own_bytes``, ``rows``,
    ``finished_unix``, ``newer``, true if a newer logitstream made it.

``kind: "cleaning"``
    ``output``; ``dry_run``; ``runs`` and ``versions`` that were removed, or would be, as above; ``freed_bytes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from pipeline.errors import LogitstreamError
from pipeline.report.json import SCHEMA_VERSION, Json
from pipeline.upkeep import Cleaned, Rollback, State, freed_bytes


def rollback_json(done: Rollback) -> Json:
    """Return a rollback under the keys that the module documents."""
    return _headed("rollback", asdict(done))


def runs_json(states: Sequence[State], errors: Sequence[LogitstreamError]) -> Json:
    """Return several outputs under the keys that the module documents."""
    failed = [{"error": error.message, "exit_code": error.exit_code} for error in errors]
    return _headed("runs", {"outputs": [asdict(state) for state in states], "errors": failed})


def output_json(state: State) -> Json:
    """Return everything about one output under the keys that the module documents."""
    return _headed("output", asdict(state))


def cleaning_json(output: str, cleaned: Cleaned, *, dry_run: bool) -> Json:
    """Return what was removed under the keys that the module documents."""
    facts = {"output": output, "dry_run": dry_run, **asdict(cleaned)}
    return _headed("cleaning", facts | {"freed_bytes": freed_bytes((*cleaned.runs, *cleaned.versions))})


def _headed(kind: str, facts: Json) -> Json:
    return {"schema_version": SCHEMA_VERSION, "kind": kind} | facts
