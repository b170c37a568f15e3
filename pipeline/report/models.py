"""What is known of a model file as plain values for programs, ready for :func:`json.dumps`.

Each has ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`.

``kind: "model"``
    ``path``; ``model``: the keys of the model file, each default written out, and besides them ``digest``, ``base``
    (the raw prediction if every column is 0), in each feature its ``name`` and its ``constant`` (its part of the base),
    in a binned one the ``intervals`` of its coefficients, in one with levels ``read_as``, the type by which cells are
    read, and in a numeric or transformed one ``weight``, the coefficient over the scale. With classes each number is a
    list with one for each class.

``kind: "model-check"``
    ``path``, ``valid``, ``problems``, each with its ``place`` in the model, ``line`` and ``column`` (0 where it has no
    place in the text) and ``message``; ``version``, ``digest`` and ``features``, the number of them, null where the
    file is not valid.

``kind: "model-upgrade"``
    ``path``, ``output``; ``version`` and ``digest``, each with ``before`` and ``after``; ``written``, whether a file
    was written.

``kind: "model-import"``
    ``path``, the file of the other tool; ``output``, the model file; ``digest``; ``imported``: what
    ``training.imported`` of the model file says.

``kind: "scorecard"``
    ``path``; ``points``: the keys of ``output.points``, each default written out; ``share``, the constant part that is
    in the points of each feature; ``attributes``, each with ``feature``, ``attribute``, ``contribution`` and
    ``points``: for each unit where the attribute begins with "each 1 more", null where a row has no score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from pipeline.report.json import SCHEMA_VERSION, Json
from pipeline.types.report import CheckedModel, Scorecard, UpgradedModel


def model_json(path: str, content: Mapping[str, object]) -> Json:
    """Return a model under the keys that the module documents."""
    return {"schema_version": SCHEMA_VERSION, "kind": "model", "path": path, "model": content}


def check_json(path: str, found: CheckedModel) -> Json:
    """Return what was found in a model file under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "model-check",
        "path": path,
        "valid": found.error is None,
        "problems": [asdict(each) for each in found.problems],
        "version": found.version,
        "digest": found.digest,
        "features": found.features,
    }


def upgrade_json(path: str, output: str, found: UpgradedModel) -> Json:
    """Return what became of a model file under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "model-upgrade",
        "path": path,
        "output": output,
        "version": {"before": found.before, "after": found.after},
        "digest": {"before": found.digest_before, "after": found.digest_after},
        "written": found.written,
    }


def import_json(path: str, output: str, digest: str, imported: Mapping[str, object]) -> Json:
    """Return what was imported under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "model-import",
        "path": path,
        "output": output,
        "digest": digest,
        "imported": imported,
    }


def scorecard_json(path: str, card: Scorecard) -> Json:
    """Return the points of a model under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "scorecard",
        "path": path,
        "points": dict(card.scale),
        "share": card.share,
        "attributes": [asdict(each) for each in card.attributes],
    }
