"""A verification as plain values for programs, ready for :func:`json.dumps`.

It has ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`.

``kind: "verification"``
    ``holds``, whether nothing differs; ``as_published``, whether the output itself is what was published; ``output``,
    ``job_id``, ``manifest_digest``; ``parts``, ``rows``, ``bytes``; ``inputs`` compared, of these ``inputs_changed``,
    and ``chunks_scored`` again, 0 where they were not asked for; ``differences``, each with ``subject``, ``what``,
    ``expected``, ``found``, all of them text, and ``of_input``.
"""

from __future__ import annotations

from dataclasses import asdict

from pipeline.report.json import SCHEMA_VERSION, Json
from pipeline.verification import Verification


def verification_json(found: Verification) -> Json:
    """Return a verification under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "verification",
        "holds": not found.differences,
        "as_published": found.as_published,
        "output": found.output,
        "job_id": found.job_id,
        "manifest_digest": found.manifest_digest,
        "parts": found.parts,
        "rows": found.rows,
        "bytes": found.bytes,
        "inputs": found.inputs,
        "inputs_changed": found.inputs_changed,
        "chunks_scored": found.chunks_scored,
        "differences": [asdict(each) for each in found.differences],
    }
